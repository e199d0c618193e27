"""One run of a pipeline, step by step.

Recover → write every table's files → widen Delta columns → record the load → publish and register → fold.
Until the load is recorded its files are ours to delete; from then on they belong to the journal, and whoever
comes next completes it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lakeload.commit.descriptor import Descriptor, Position
from lakeload.commit.journal import Journal, taken
from lakeload.commit.lake import Recovered, publish_load, recover
from lakeload.commit.plan import Load, plan
from lakeload.commit.widen import widen_files
from lakeload.config import machine_cores, memory_budget, parse_size
from lakeload.errors import LakeloadError
from lakeload.lakehouse import Lakehouse
from lakeload.maintain.fold import fold
from lakeload.model.changes import Changeset, Token
from lakeload.model.cursor import Checkpoint
from lakeload.model.layout import Layout
from lakeload.model.mode import Append, Overwrite
from lakeload.model.progress import Progress
from lakeload.model.protocols import Table
from lakeload.model.table import TARGET_SIZE_PROPERTY, TableState
from lakeload.normalize.naming import table_name
from lakeload.report import RunReport, TableReport
from lakeload.sources.resource import Resource
from lakeload.task import LoadTask, TaskResult, run_task
from lakeload.write.writer import WriteOptions

DEFAULT_TARGET = 128 << 20
"""Target size of data files in bytes."""

_NUMBERS_TRIED = 20
"""How many sequence numbers a run that may share its pipeline tries before it gives up."""


@dataclass(slots=True)
class _Part:
    """One table's share of a run."""

    name: str
    resource: Resource
    table: Table
    state: TableState | None
    options: WriteOptions
    result: TaskResult
    repeated: bool
    changeset: Changeset | None = None
    folded: int = 0
    unregistered: LakeloadError | None = None
    seconds: dict[str, float] = field(default_factory=dict)


class Run:
    """One run of a pipeline.

    Args:
        lake: Where to.
        pipeline: Pipeline name.
        resources: What to load, one table each.
        progress: Listens.
        share: Take the next sequence number when another run took ours. Only for loads without a
            position, which do not depend on one another.
    """

    def __init__(
        self,
        lake: Lakehouse,
        pipeline: str,
        resources: Sequence[Resource],
        progress: Progress,
        *,
        share: bool = False,
    ) -> None:
        self._lake = lake
        self._pipeline = pipeline
        self._resources = resources
        self._progress = progress
        self._share = share
        self._at = lake.now()
        self._load_id = f"{self._at:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(4)}"
        self._recording = False

    def finish(self) -> RunReport:
        """Do it all.

        Raises:
            LakeloadError: With what happened, where, and the way out.
        """
        start = time.perf_counter()
        journal = self._lake.journal(self._pipeline)
        recovered = recover(journal, self._lake)
        parts: list[_Part] = []
        try:
            for resource in self._resources:
                parts.append(self._write(resource, journal, recovered))  # noqa: PERF401 - kept on failure
            for part in parts:
                self._widen(part)
            journal, descriptor = self._record(journal, parts)
        except BaseException:
            if not self._recording:
                self._discard(parts)
            raise
        if descriptor is not None:
            self._publish(journal, descriptor, parts)
            self._fold(parts)
        else:
            self._note(parts, self._lake.sync([*(part.name for part in parts), *journal.unregistered()]))
        return RunReport(
            pipeline=self._pipeline,
            load_id=self._load_id,
            sequence=descriptor.sequence if descriptor else None,
            tables={part.name: _table_report(part) for part in parts},
            seconds=time.perf_counter() - start,
            recovered=recovered.load_id if recovered else None,
        )

    def _write(self, resource: Resource, journal: Journal, recovered: Recovered | None) -> _Part:
        name = table_name(resource.name)
        resource = resource.with_table(name).with_storage(self._lake.options)
        table = self._lake.open(name)
        state = table.load()
        self._lake.check_name(name)
        self._lake.check(name, state)
        mode = resource.spec.mode
        if state is not None and isinstance(mode, Overwrite):
            table.check_overwrite(state, partitions=mode.partitions is not None)
        options = WriteOptions(
            layout=Layout(),
            load_id=self._load_id,
            target_file_size=_target(resource, state),
            memory_budget=memory_budget(),
            workers=machine_cores(),
            encoding=resource.spec.encoding,
        )
        task = LoadTask(
            resource=resource,
            formats=table.formats,
            state=state,
            checkpoint=journal.checkpoint(name, state) if resource.spec.cursor else None,
            store=self._lake.store(name),
            options=options,
            loaded_at=self._at,
        )
        result = run_task(task, self._progress)
        known = recovered.fingerprints.get(name) if recovered else None
        repeated = isinstance(mode, Append) and result.fingerprint == known
        part = _Part(name, resource, table, state, options, result, repeated, seconds=dict(result.seconds))
        if repeated:
            self._discard([part])
        else:
            # The number is only known when the load is recorded; whether anything changes is known now.
            part.changeset = plan(_load(part, self._load_id), state, Token(self._pipeline, 0))
        return part

    def _widen(self, part: _Part) -> None:
        changes = part.changeset.schema_changes if part.changeset else ()
        if part.state is None or "delta" not in part.table.formats:
            return
        if any(change.kind == "widen" for change in changes):
            delta = self._lake.open(part.name, ("delta",))
            widen_files(part.table, delta, self._lake.store(part.name), changes, part.options)

    def _record(self, journal: Journal, parts: Sequence[_Part]) -> tuple[Journal, Descriptor | None]:
        """Write the descriptor that makes this run the owner of its load; `None` when nothing changes.

        Raises:
            ConflictError: Another run of the pipeline took the number.
        """
        for _ in range(_NUMBERS_TRIED if self._share else 1):
            descriptor = self._describe(journal, parts)
            if descriptor is None:
                return journal, None
            # An interrupt from here on may leave the descriptor written: the files must stay.
            self._recording = True
            for name in descriptor.changes:
                self._progress.advance("commit", name)
            if journal.begin(descriptor):
                return journal, descriptor
            self._recording = False
            if self._share:
                journal = self._lake.journal(self._pipeline)
                recover(journal, self._lake)
        raise taken(self._pipeline)

    def _describe(self, journal: Journal, parts: Sequence[_Part]) -> Descriptor | None:
        changing = {part.name: part for part in parts if part.changeset is not None}
        if not changing:
            return None
        tokens = [part.state.sequences.get(self._pipeline, 0) for part in parts if part.state]
        sequence = max([journal.last, *tokens]) + 1
        token = Token(self._pipeline, sequence)
        before = journal.positions()
        moved = {
            name: Position(sequence, part.result.checkpoint or Checkpoint())
            for name, part in changing.items()
        }
        planned = {
            name: plan(_load(part, self._load_id), part.state, token) for name, part in changing.items()
        }
        return Descriptor(
            pipeline=self._pipeline,
            sequence=sequence,
            load_id=self._load_id,
            at=self._at,
            changes={name: change for name, change in planned.items() if change is not None},
            positions={**before, **moved},
            before={name: before[name] for name in changing if name in before},
            fingerprints={name: part.result.fingerprint for name, part in changing.items()},
        )

    def _publish(self, journal: Journal, descriptor: Descriptor, parts: Sequence[_Part]) -> None:
        start = time.perf_counter()
        self._note(parts, publish_load(journal, descriptor, self._lake))
        for part in parts:
            part.seconds["commit"] = time.perf_counter() - start
            self._progress.advance("commit", part.name, files=len(part.result.files))

    def _note(self, parts: Sequence[_Part], behind: Mapping[str, LakeloadError]) -> None:
        for part in parts:
            part.unregistered = behind.get(part.name)

    def _fold(self, parts: Sequence[_Part]) -> None:
        for part in parts:
            if part.changeset is None or not part.resource.spec.fold:
                continue
            start = time.perf_counter()
            try:
                state = part.table.load()
                folded = fold(part.table, self._lake.store(part.name), state, part.options) if state else None
            except LakeloadError:
                folded = None  # the rows are published; a later load folds what this one could not
            if folded:
                part.folded = folded.removed
                self._progress.advance("fold", part.name, files=folded.removed, bytes=folded.bytes)
            part.seconds["fold"] = time.perf_counter() - start

    def _discard(self, parts: Sequence[_Part]) -> None:
        for part in parts:
            store = self._lake.store(part.name)
            for file in part.result.files:
                store.delete(file.path)


def _load(part: _Part, load_id: str) -> Load:
    spec, result = part.resource.spec, part.result
    properties = dict(spec.properties)
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
    )


def _table_report(part: _Part) -> TableReport:
    files = () if part.repeated else part.result.files
    return TableReport(
        rows=0 if part.repeated else part.result.rows,
        files=len(files),
        bytes=sum(file.size for file in files),
        schema_changes=part.result.changes,
        created=part.state is None and part.changeset is not None,
        version=_versions(part.table),
        repeated=part.repeated,
        folded=part.folded,
        unregistered=str(part.unregistered) if part.unregistered else None,
        seconds=part.seconds,
    )


def _versions(table: Table) -> dict[str, int | None]:
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
