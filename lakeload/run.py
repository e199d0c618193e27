"""One run of a pipeline, step by step.

Recover → write every table's files → widen Delta columns → record the load → publish and register → fold.
Until the load is recorded its files are ours to delete; from then on they belong to the journal, and whoever
comes next completes it.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from lakeload.commit.descriptor import Descriptor
from lakeload.commit.journal import Journal, taken
from lakeload.commit.lake import Recovered, publish_load, recover
from lakeload.commit.plan import plan
from lakeload.commit.position import Position, Standing
from lakeload.commit.widen import widen_files
from lakeload.errors import LakeloadError
from lakeload.hooks import Hook, reason, run_hooks
from lakeload.lakehouse import Lakehouse
from lakeload.maintain.fold import fold
from lakeload.model.changes import Token
from lakeload.model.progress import Progress, Stage
from lakeload.part import Loading, Part, versions
from lakeload.report import RunReport, TableReport
from lakeload.sources.resource import Resource

_LOGGER = logging.getLogger("lakeload")
Result = TypeVar("Result")

_NUMBERS_TRIED = 20
"""How many sequence numbers a run that may share its pipeline tries before it gives up."""


class Run:
    """One run of a pipeline.

    Args:
        lake: Where to.
        pipeline: Pipeline name.
        resources: What to load.
        progress: Listens.
        share: Take the next sequence number when another run took ours. Only for loads without a
            position, which do not depend on one another.
        hooks: Hear of schema changes.
    """

    def __init__(
        self,
        lake: Lakehouse,
        pipeline: str,
        resources: Sequence[Resource],
        progress: Progress,
        *,
        share: bool = False,
        hooks: Sequence[Hook] = (),
    ) -> None:
        self._lake = lake
        self._pipeline = pipeline
        self._resources = resources
        self._progress = progress
        self._share = share
        self._hooks = hooks
        self._at = lake.now()
        self._load_id = f"{self._at:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(4)}"
        self._recording = False
        self._recovered: list[Recovered] = []
        self._warnings: list[str] = []

    def finish(self) -> RunReport:
        """Do it all.

        Raises:
            LakeloadError: With what happened, where, and the way out.
        """
        start = time.perf_counter()
        _LOGGER.info("pipeline %s begins load %s into %r", self._pipeline, self._load_id, self._lake)
        journal = self._lake.journal(self._pipeline)
        recovered = self._recover(journal)
        parts: list[Part] = []
        try:
            loading = Loading(self._lake, self._load_id, self._at, self._progress)
            for resource in self._resources:
                parts += loading.write(resource, journal, recovered)
            self._plan(parts)
            changes = tuple(
                event for part in parts for event in part.events(self._load_id, self._at, self._pipeline)
            )
            run_hooks(self._hooks, changes, before=True)
            for part in parts:
                self._widen(part)
            journal, descriptor = self._record(journal, parts)
        except BaseException:
            if not self._recording:
                self._discard(parts)
            raise
        if descriptor is not None:
            self._publish(journal, descriptor, parts)
            for part in parts:
                self._safely(f"folding {part.name} failed", partial(self._fold, part))
        else:
            self._note(parts, self._lake.sync([*(part.name for part in parts), *journal.unregistered()]))
        report = RunReport(
            pipeline=self._pipeline,
            load_id=self._load_id,
            sequence=descriptor.sequence if descriptor else None,
            tables=self._reports(parts),
            seconds=time.perf_counter() - start,
            recovered=self._recovered[-1].load_id if self._recovered else None,
            recovered_rows=_added(self._recovered),
            schema_changes=(*(event for one in self._recovered for event in one.changes), *changes),
            warnings=(*self._warnings, *run_hooks(self._hooks, changes, before=False)),
        )
        for line in str(report).splitlines():
            _LOGGER.info("%s", line.strip())
        return report

    def _recover(self, journal: Journal) -> Recovered | None:
        """Complete an unfinished load; its writer did not live to tell of its changes."""
        found = recover(journal, self._lake)
        if found is not None:
            self._recovered.append(found)
            self._warnings += run_hooks(self._hooks, found.changes, before=False)
        return found

    def _safely(self, failed: str, step: Callable[[], Result]) -> Result | None:
        """What may fail the load no more: its rows are published, and would come twice if it ran again."""
        try:
            return step()
        except Exception as error:  # noqa: BLE001 - whatever it is, the rows are published
            self._warnings.append(f"{failed}: {reason(error)}")
            _LOGGER.warning("%s", self._warnings[-1])
            return None

    def _reports(self, parts: Sequence[Part]) -> dict[str, TableReport]:
        found = {}
        for part in sorted(parts, key=lambda part: not part.is_root):
            at = self._safely(f"reading {part.name} again failed", partial(versions, part.table))
            found[part.name] = part.report(at or {})
        return found

    def _plan(self, parts: Sequence[Part]) -> None:
        """Decide what happens to every table.

        The number of the load is only known when it is recorded; whether anything changes is known now.
        """
        self._discard([part for part in parts if part.repeated])
        for part in parts:
            if not part.repeated:
                part.changeset = plan(part.load(self._load_id), part.state, Token(self._pipeline, 0))

    def _widen(self, part: Part) -> None:
        changes = part.changeset.schema_changes if part.changeset else ()
        if part.state is None or "delta" not in part.table.formats:
            return
        if any(change.kind == "widen" for change in changes):
            delta = self._lake.open(part.name, ("delta",))
            store, written = self._lake.store(part.name), part.result.schema
            widen_files(part.table, delta, store, changes, part.options, written=written)

    def _record(self, journal: Journal, parts: Sequence[Part]) -> tuple[Journal, Descriptor | None]:
        """Write the descriptor that makes this run the owner of its load; `None` when nothing changes.

        Raises:
            ConflictError: Another run of the pipeline took the number.
        """
        for _ in range(_NUMBERS_TRIED if self._share else 1):
            descriptor = self._describe(journal, parts)
            if descriptor is None:
                return journal, None
            for name in descriptor.changes:
                self._progress.advance("commit", name)
            # An interrupt from here on may leave the descriptor written: the files must stay.
            self._recording = True
            if journal.begin(descriptor):
                return journal, descriptor
            self._recording = False
            if self._share:
                journal = self._lake.journal(self._pipeline)
                self._recover(journal)
        raise taken(self._pipeline)

    def _describe(self, journal: Journal, parts: Sequence[Part]) -> Descriptor | None:
        changing = {part.name: part for part in parts if part.changeset is not None}
        if not changing:
            return None
        tokens = [part.state.sequences.get(self._pipeline, 0) for part in parts if part.state]
        sequence = max([journal.last, *tokens]) + 1
        token = Token(self._pipeline, sequence)
        before = journal.positions()
        after = dict(before)
        for part in parts:
            if part.is_root:
                _move(after, part, journal, sequence)
        planned = {name: plan(part.load(self._load_id), part.state, token) for name, part in changing.items()}
        return Descriptor(
            pipeline=self._pipeline,
            sequence=sequence,
            load_id=self._load_id,
            at=self._at,
            changes={name: change for name, change in planned.items() if change is not None},
            positions=after,
            before={name: before[name] for name in changing if name in before},
        )

    def _publish(self, journal: Journal, descriptor: Descriptor, parts: Sequence[Part]) -> None:
        start = time.perf_counter()
        self._note(parts, publish_load(journal, descriptor, self._lake))
        for part in parts:
            part.seconds["commit"] = time.perf_counter() - start
            self._tell("commit", part, files=len(part.result.files))

    def _tell(self, stage: Stage, part: Part, **amounts: int) -> None:
        what = f"telling of the progress of {part.name} failed"
        self._safely(what, lambda: self._progress.advance(stage, part.name, **amounts))

    def _note(self, parts: Sequence[Part], behind: Mapping[str, LakeloadError]) -> None:
        for part in parts:
            part.unregistered = behind.get(part.name)

    def _fold(self, part: Part) -> None:
        if part.changeset is None or not part.result.spec.fold:
            return
        start = time.perf_counter()
        try:
            state = part.table.load()
            folded = fold(part.table, self._lake.store(part.name), state, part.options) if state else None
        except LakeloadError:
            folded = None  # the rows are published; a later load folds what this one could not
        if folded:
            part.folded = folded.removed
            self._tell("fold", part, files=folded.removed, bytes=folded.bytes)
        part.seconds["fold"] = time.perf_counter() - start

    def _discard(self, parts: Sequence[Part]) -> None:
        for part in parts:
            store = self._lake.store(part.name)
            for file in part.result.files:
                store.delete(file.path)


def _added(loads: Sequence[Recovered]) -> dict[str, int]:
    """Rows of several loads, by table."""
    found = Counter[str]()
    for load in loads:
        found.update(load.rows)
    return dict(found)


def _move(positions: dict[str, Position], part: Part, journal: Journal, sequence: int) -> None:
    """Note where the pipeline stands in a resource's own table once its load is published.

    Loads without a position, and other resources, leave what they find.
    """
    if part.changeset is None and part.state is not None:
        return  # the table keeps its token, and the position goes by that
    standings = journal.standings(part.name, part.state, part.aside)
    checkpoint = part.task.checkpoint
    if standings is None and checkpoint is None:
        positions.pop(part.name, None)  # as unknown as before
        return
    found = dict(standings or {})
    if part.moved and checkpoint is not None:
        found[part.label] = Standing(sequence, checkpoint.value, checkpoint)
    positions[part.name] = Position(sequence, found)
