"""Publish one recorded load: several tables, one or two formats, one descriptor.

Write all files → write the descriptor → commit each table → register it → mark done. A run that dies in
between is completed by the next one, which starts here. Between the commits a reader can see the first tables
of a load before the last ones; each table by itself is always whole. Tables whose catalog can publish several
in one request (`commit.together`) appear at one moment, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lakeload.commit.descriptor import Descriptor
from lakeload.commit.journal import Journal
from lakeload.commit.together import groups, publish_together
from lakeload.commit.transaction import publish
from lakeload.errors import ConfigError, ConflictError, LakeloadError, SchemaError, StorageError, TableError
from lakeload.model.changes import CommitResult, Committed, Conflict
from lakeload.model.events import SchemaEvent, events
from lakeload.model.files import DataFile
from lakeload.model.protocols import Table
from lakeload.model.schema_history import SchemaRecord
from lakeload.write.schema_notes import write_note
from lakeload.write.store import Store


class Tables(Protocol):
    """Where tables are found by name. Implemented by the lakehouse."""

    def open(self, name: str) -> Table:
        """The table, existing or not."""
        ...

    def store(self, name: str) -> Store:
        """The store rooted at the table."""
        ...

    def sync(self, names: Iterable[str]) -> Mapping[str, LakeloadError]:
        """Bring the catalog entries of Delta tables up to date; by table why that was not possible."""
        ...


_HOPELESS = (ConfigError, ConflictError, SchemaError, TableError)
_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
)
"""Raised by code that cannot do what it is asked for, and would be again; nothing was sent anywhere."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """An unfinished load this run completed first.

    Args:
        sequence: Its number.
        load_id: Its load id.
        files: What it added, by table.
        changes: What it changed in schemas.
    """

    sequence: int
    load_id: str
    files: Mapping[str, tuple[DataFile, ...]]
    changes: tuple[SchemaEvent, ...]

    @property
    def rows(self) -> dict[str, int]:
        """Rows it added, by table."""
        return {name: sum(file.rows for file in files) for name, files in self.files.items()}


def recover(journal: Journal, tables: Tables) -> Recovered | None:
    """Complete the pipeline's unfinished load, if there is one.

    Raises:
        ConflictError: A table contradicts the unfinished load. It is given up for that table, whose
            position stays where it was.
        StorageError: Files of the unfinished load are gone.
    """
    descriptor = journal.unfinished()
    if descriptor is None:
        return None
    for name in descriptor.changes:
        _check_files(descriptor, name, tables)
    publish_load(journal, descriptor, tables)
    added = {name: change.add for name, change in descriptor.changes.items()}
    changes = tuple(event for name in descriptor.changes for event in _events(descriptor, name))
    return Recovered(descriptor.sequence, descriptor.load_id, added, changes)


def _events(descriptor: Descriptor, name: str) -> tuple[SchemaEvent, ...]:
    change = descriptor.changes[name]
    return events(
        name,
        change.schema_changes,
        created=change.schema if change.create else None,
        files=change.add,
        load_id=descriptor.load_id,
        at=descriptor.at,
        pipeline=descriptor.pipeline,
    )


def _check_files(descriptor: Descriptor, name: str, tables: Tables) -> None:
    """Neither format checks that an added file exists, so a lost one would break the table for good."""
    state = tables.open(name).load()
    if state and state.sequences.get(descriptor.pipeline, 0) >= descriptor.sequence:
        return
    store = tables.store(name)
    for file in descriptor.changes[name].add:
        if store.size(file.path) != file.size:
            raise StorageError(
                f"a data file of the unfinished load {descriptor.load_id} is gone or cut short",
                table=name,
                place=store.uri(file.path),
                hint="Restore it, or delete the load's descriptor from the journal to give it up.",
            )


def publish_load(journal: Journal, descriptor: Descriptor, tables: Tables) -> Mapping[str, LakeloadError]:
    """Publish every table of a recorded load; tables that have it already are skipped.

    Catalog entries of the tables follow, and those an earlier load had to leave behind. An entry that cannot
    be brought up to date is noted for the next load and holds nothing up.

    Returns:
        By table why its catalog entry is not up to date.

    Raises:
        ConflictError: A table contradicts the load, which is then given up for that table; or other
            writers won every attempt, and the next run completes the load.
        LakeloadError: A table cannot take the change, and never could; the load is given up for it.
    """
    late: list[str] = []
    refused: dict[str, LakeloadError] = {}
    for names in groups(tuple(descriptor.changes), tables.open):
        try:
            if isinstance(_publish(descriptor, names, tables), Conflict):
                late.append(names[0])
        except (*_HOPELESS, *_BROKEN) as error:
            unsure = isinstance(error, OSError)  # some libraries' answers are of both kinds
            if unsure or any(_half_published(descriptor, name, tables) for name in names):
                raise  # one format has it: the load cannot be given up, only completed
            refused.update(dict.fromkeys(names, _told(error, names[0])))
    if late:
        raise ConflictError(
            "other writers got in first at every attempt",
            table=late[0],
            hint="The load is recorded; the next run of this pipeline completes it.",
        )
    if refused:
        journal.fail(descriptor.sequence, list(refused))
        for name in refused:
            for file in descriptor.changes[name].add:
                tables.store(name).delete(file.path)
        raise next(iter(refused.values()))
    behind = tables.sync([*descriptor.changes, *journal.unregistered()])
    journal.finish(descriptor, behind)
    return behind


def _told(error: Exception, table: str) -> LakeloadError:
    if isinstance(error, LakeloadError):
        error.table = error.table or table
        return error
    found = TableError(
        f"the load cannot be published ({type(error).__name__}: {error})",
        table=table,
        hint="It was given up, and the table is as it was. Please report this as a bug.",
    )
    found.__cause__ = error
    return found


def _publish(descriptor: Descriptor, names: Sequence[str], tables: Tables) -> CommitResult:
    if len(names) == 1:
        found = publish(tables.open(names[0]), descriptor.changes[names[0]])
    else:
        found = publish_together({name: descriptor.changes[name] for name in names}, tables.open)
    if not isinstance(found, Conflict):
        for name in names:
            # What was there already may be of an earlier version than the newest.
            version = found.version if len(names) == 1 and isinstance(found, Committed) else None
            _note_schema(descriptor, name, tables, version)
    return found


def _note_schema(descriptor: Descriptor, name: str, tables: Tables, version: int | None) -> None:
    """Keep the schema beside the table when the load changed it: logs forget."""
    change = descriptor.changes[name]
    if change.create is None and not change.schema_changes:
        return
    counted = "delta" in tables.open(name).formats  # Iceberg's versions are snapshots, no schemas
    record = SchemaRecord(
        version=version if counted else None,
        schema=change.schema,
        at=descriptor.at,
        load_id=descriptor.load_id,
        first=change.create is not None,
    )
    write_note(tables.store(name), record)


def _half_published(descriptor: Descriptor, name: str, tables: Tables) -> bool:
    state = tables.open(name).load()
    # The table itself too: another run may have completed the load while this one was refused.
    sides = [state, *state.sides.values()] if state else []
    return any(side.sequences.get(descriptor.pipeline, 0) >= descriptor.sequence for side in sides)
