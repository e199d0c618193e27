"""One table's share of a run: from the resource it belongs to, over its files, to its report.

A resource loads into one table, or into a family: its own table, child tables of lists, and the quarantine of
what did not get in. Each of them is a part; the parts of one resource are written, recognised as repeated and
moved on together.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from lakeload.commit.journal import Journal
from lakeload.commit.lake import Recovered
from lakeload.commit.plan import Load
from lakeload.config import machine_cores, memory_budget, parse_size
from lakeload.errors import LakeloadError
from lakeload.lakehouse import Lakehouse
from lakeload.model.changes import Changeset
from lakeload.model.cursor import Checkpoint
from lakeload.model.events import SchemaEvent, events
from lakeload.model.layout import Layout
from lakeload.model.mode import Append, Overwrite
from lakeload.model.progress import Progress
from lakeload.model.protocols import Table
from lakeload.model.table import (
    PARENT_PROPERTY,
    PATH_PROPERTY,
    QUARANTINE,
    TARGET_SIZE_PROPERTY,
    TableState,
)
from lakeload.normalize.naming import table_name
from lakeload.report import TableReport
from lakeload.sources.resource import Resource
from lakeload.task import LoadTask, Place, TableResult, TaskResult, run_task
from lakeload.write.repeated import same_rows
from lakeload.write.writer import WriteOptions

DEFAULT_TARGET = 128 << 20
"""Target size of data files in bytes."""


@dataclass(slots=True)
class Part:
    """One table's share of a run.

    Args:
        table: The table itself.
        options: How its files were written.
        result: What was made for it.
        task: What was made of the whole resource.
        label: Tells the resource's position from those of others.
        aside: The quarantine, where the resource's own table does not exist.
        moved: Whether the resource's position changed; on its own table only.
        repeated: Whether the rows are those of the unfinished load that was completed first.
        changeset: What has to happen to the table; `None` when nothing has.
    """

    table: Table
    options: WriteOptions
    result: TableResult
    task: TaskResult
    label: str
    aside: TableState | None = None
    moved: bool = False
    repeated: bool = False
    changeset: Changeset | None = None
    folded: int = 0
    unregistered: LakeloadError | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.result.spec.name

    @property
    def state(self) -> TableState | None:
        """The table as it was."""
        return self.result.state

    @property
    def is_root(self) -> bool:
        """Whether it is the resource's own table, which holds the position."""
        return self.result is self.task.root

    @property
    def kept(self) -> bool:
        """Whether an overwrite leaves the table as it is, because no row came."""
        mode = self.result.spec.mode
        empty = isinstance(mode, Overwrite) and mode.empty == "keep" and not self.task.root.rows
        return empty and self.state is not None

    def load(self, load_id: str) -> Load:
        """What the run hands over for the table."""
        spec, result = self.result.spec, self.result
        properties = dict(result.properties)
        if spec.target_file_size is not None:
            properties[TARGET_SIZE_PROPERTY] = str(spec.target_file_size)
        return Load(
            table=spec.name,
            mode=spec.mode,
            files=result.files,
            schema=result.schema,
            changes=result.changes,
            layout=result.layout,
            load_id=load_id,
            properties=properties,
            moved=self.moved,
            keep=self.kept,
        )

    def events(self, load_id: str, at: dt.datetime, pipeline: str) -> tuple[SchemaEvent, ...]:
        """What changed in the table's schema."""
        if self.changeset is None:
            return ()
        created = self.result.schema if self.state is None else None
        return events(
            self.name,
            self.result.changes,
            created=created,
            files=self.result.files,
            load_id=load_id,
            at=at,
            pipeline=pipeline,
        )

    def report(self, version: Mapping[str, int | None]) -> TableReport:
        """What the run did to the table, which is at these versions by format."""
        files = () if self.repeated else self.result.files
        tally = self.task.tally
        told = {
            "discarded_rows": tally.discarded,
            "discarded_values": tally.values,
            "quarantined_rows": tally.quarantined,
            "rejected": dict(tally.reasons),
            "rules": dict(self.task.rules),
            "notes": self.task.notes,
        }
        counts = {"rows_read": self.task.read, "rows_seen": self.task.seen}
        return TableReport(
            rows=0 if self.repeated else self.result.rows,
            files=len(files),
            bytes=sum(file.size for file in files),
            schema_changes=self.result.changes,
            created=self.state is None and self.changeset is not None,
            version=version,
            repeated=self.repeated,
            folded=self.folded,
            unregistered=str(self.unregistered) if self.unregistered else None,
            kept=self.kept,
            seconds=self.seconds,
            **(counts if self.is_root else {}),  # type: ignore[arg-type]  # by name
            **(told if self.is_root and not self.repeated else {}),  # type: ignore[arg-type]  # by name
        )


@dataclass(frozen=True, slots=True)
class Loading:
    """What all resources of a run share.

    Args:
        lake: Where to.
        load_id: Load id.
        at: When the run began, UTC.
        progress: Listens.
    """

    lake: Lakehouse
    load_id: str
    at: dt.datetime
    progress: Progress

    def write(self, resource: Resource, journal: Journal, recovered: Recovered | None) -> list[Part]:
        """Write the files of all tables of a resource.

        Raises:
            LakeloadError: The data cannot be read, does not fit, or cannot be written.
        """
        name = table_name(resource.name)
        label = table_name(resource.label or resource.name)
        resource = resource.with_table(name).with_storage(self.lake.options)
        places = self._places(resource)
        state = places(name).state
        positioned = resource.spec.cursor is not None or resource.positions is not None
        aside = self._aside(name) if state is None else None
        checkpoint = journal.checkpoint(name, label, state, aside) if positioned else None
        task = LoadTask(
            resource=resource,
            formats=self.lake.writes(name),
            places=places,
            children=child_tables(resource, self.lake.tables, lambda name: self.lake.open(name).load()),
            checkpoint=checkpoint,
            load_id=self.load_id,
            loaded_at=self.at,
        )
        try:
            result = run_task(task, self.progress)
        except LakeloadError as error:
            error.table = error.table or name  # readers of files do not know what they read for
            raise
        repeated = isinstance(resource.spec.mode, Append) and self._repeats(result, recovered)
        return [
            Part(
                self.lake.open(table.spec.name),
                places(table.spec.name).options,
                table,
                result,
                label,
                aside,
                moved=table is result.root
                and (result.checkpoint or Checkpoint()) != (checkpoint or Checkpoint()),
                repeated=repeated,
                seconds=dict(result.seconds) if table is result.root else {},
            )
            for table in result.tables
        ]

    def _repeats(self, result: TaskResult, recovered: Recovered | None) -> bool:
        """Whether all rows are those of the load that was just completed."""
        if recovered is None:
            return False
        root = result.root.spec.name
        family = {
            name: files
            for name, files in recovered.files.items()
            if files and (name == root or name.startswith(f"{root}__"))
        }
        filled = {table.spec.name: table for table in result.tables if table.rows}
        return family.keys() == filled.keys() and all(
            same_rows(self.lake.store(name), files, filled[name].files, filled[name].schema)
            for name, files in family.items()
        )

    def _places(self, resource: Resource) -> Callable[[str], Place]:
        @cache
        def place(name: str) -> Place:
            table = self.lake.open(name)
            state = table.load()
            self.lake.check_name(name)
            self.lake.check(name, state)
            mode = resource.spec.mode
            if state is not None and isinstance(mode, Overwrite) and not name.endswith(QUARANTINE):
                table.check_overwrite(state, partitions=mode.partitions is not None)
            options = WriteOptions(
                layout=Layout(),
                load_id=self.load_id,
                target_file_size=_target(resource, state),
                memory_budget=memory_budget(),
                workers=machine_cores(),
                encoding=resource.spec.encoding,
            )
            return Place(state, self.lake.store(name), options)

        return place

    def _aside(self, name: str) -> TableState | None:
        """The quarantine, which knows the position while everything that came was put aside."""
        return self.lake.open(f"{name}{QUARANTINE}").load()


def child_tables(
    resource: Resource, names: Callable[[], Iterable[str]], state: Callable[[str], TableState | None]
) -> tuple[str, ...]:
    """Child tables the resource's table has; looked for only when lists may become tables.

    Args:
        resource: The resource, under its table's final name.
        names: Gives the tables there are.
        state: Finds one of them.
    """
    nesting = resource.spec.nesting
    if "tables" not in (nesting.default, *nesting.paths.values()):
        return ()
    found = []
    for name in names():
        if name.startswith(f"{resource.name}__") and not name.endswith(QUARANTINE):
            there = state(name)
            properties: Mapping[str, str] = there.properties if there else {}
            if properties.get(PARENT_PROPERTY) == resource.name and PATH_PROPERTY in properties:
                found.append(name)
    return tuple(found)


def versions(table: Table) -> dict[str, int | None]:
    """The table's newest version, by format."""
    state = table.load()
    if state is None:
        return {}
    return {name: side.version for name, side in state.sides.items()} or {table.formats[0]: state.version}


def _target(resource: Resource, state: TableState | None) -> int:
    if resource.spec.target_file_size is not None:
        return resource.spec.target_file_size
    properties = state.properties if state else {}
    found = properties.get("delta.targetFileSize") or properties.get(TARGET_SIZE_PROPERTY)
    return parse_size(found) if found else DEFAULT_TARGET
