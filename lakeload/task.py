"""One resource's load up to its data files: extract → normalize → write, in one place.

A task says what to load and how, and is run by `run_task`; what comes back holds data files, never rows.
Only the pipeline commits.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

import pyarrow as pa

from lakeload.errors import ConfigError, LakeloadError, SourceError, TableError
from lakeload.model.changes import SchemaChange
from lakeload.model.cursor import Checkpoint, Cursor
from lakeload.model.files import DataFile
from lakeload.model.layout import Layout
from lakeload.model.mode import Overwrite
from lakeload.model.progress import Progress, Silent
from lakeload.model.rejection import REJECTED
from lakeload.model.table import TableSpec, TableState
from lakeload.normalize.family import Family
from lakeload.normalize.rules import RuleCount
from lakeload.normalize.tables import Member
from lakeload.normalize.tally import Tally
from lakeload.normalize.text_types import Learned, ReadAgain, TextTypes
from lakeload.sources.again import Source
from lakeload.sources.decode.expectation import Expectation
from lakeload.sources.incremental import Incremental
from lakeload.sources.notes import Notes
from lakeload.sources.parallel import in_turn
from lakeload.sources.read import read
from lakeload.sources.resource import Resource
from lakeload.write.store import Store
from lakeload.write.writer import TableWriter, WriteOptions

Result = TypeVar("Result")

_LEAST_BUDGET = 64 << 20
"""Bytes every table of a family may take, however many there are."""

_READINGS = 3
"""How often a source is read for the rows: once, and again with what was learned of its texts."""

_AHEAD = 4
"""Batches drawn while the first, which takes long because plans are made for it, is shaped."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table of a task is.

    Args:
        state: The table as it is; `None` when it does not exist.
        store: Rooted at the table.
        options: How to write there; its layout is replaced by the table's.
    """

    state: TableState | None
    store: Store
    options: WriteOptions


@dataclass(frozen=True, slots=True)
class LoadTask:
    """What to load, and where its files go.

    Args:
        resource: The data and the table it is for.
        formats: Formats the tables are published in.
        places: Finds a table by name: the resource's own, child tables, the quarantine.
        children: Names of the child tables that exist.
        checkpoint: Where the last load stopped.
        load_id: Load id.
        loaded_at: Time of the load, UTC.
    """

    resource: Resource
    formats: tuple[str, ...]
    places: Callable[[str], Place]
    checkpoint: Checkpoint | None
    load_id: str
    loaded_at: dt.datetime
    children: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableResult:
    """What a task made for one table.

    Args:
        spec: What the table shall be.
        state: The table as it was; `None` when it did not exist.
        files: Data files, written and closed.
        schema: Columns of the table after this load, with field ids.
        changes: How they differ from the table's.
        layout: Partitioning and sort order, in final column names.
        rows: Rows written.
        properties: Set on the table when this load creates it.
    """

    spec: TableSpec
    state: TableState | None
    files: tuple[DataFile, ...]
    schema: pa.Schema
    changes: tuple[SchemaChange, ...]
    layout: Layout
    rows: int
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a task made of its data.

    Args:
        tables: One per table, in the order to publish them; the resource's own comes last.
        checkpoint: Where this load stopped; `None` without a position.
        tally: What did not get in.
        rules: Rows checked and failed, by row rule.
        read: Rows the source gave.
        seen: Those among them that an earlier load had, by the cursor.
        seconds: Time the stages took in the thread that joins them, by stage.
        notes: What the report shall say of how the source was read.
    """

    tables: tuple[TableResult, ...]
    checkpoint: Checkpoint | None
    tally: Tally = field(default_factory=Tally)
    rules: Mapping[str, RuleCount] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    read: int = 0
    seen: int = 0

    @property
    def root(self) -> TableResult:
        """The resource's own table."""
        return self.tables[-1]


def run_task(task: LoadTask, progress: Progress | None = None) -> TaskResult:
    """Read, shape and write; nothing is visible in the tables yet.

    Raises:
        LakeloadError: The data cannot be read, does not fit, or cannot be written. Files written so far
            are deleted, on any other exception too.
    """
    with closing(Source(ahead=_AHEAD + 1)) as source:
        return reading_again(
            lambda learned: _Run(task, progress or Silent(), learned).finish(source),
            lambda learned: _Run(task, Silent(), learned).learn(source),
            table=task.resource.name,
        )


def reading_again(
    load: Callable[[Learned], Result], learn: Callable[[Learned], object], *, table: str
) -> Result:
    """What `load` makes, called again with what `learn` found out where texts did not stay what they were.

    Raises:
        SourceError: The source gives something else each time it is read.
    """
    learned = Learned()
    for _ in range(_READINGS):
        try:
            return load(learned)
        except ReadAgain:
            learned = replace(learned, learning=True)
            learn(learned)
            learned = replace(learned, learning=False)
    raise SourceError(
        "the source gives other values each time it is read",
        table=table,
        hint="Load a copy that does not change, or hint its columns as string.",
    )


def expected(family: Family, spec: TableSpec) -> Expectation:
    """What a decoder is told of the tables its rows go to."""
    root = family.root
    return Expectation(
        hint=root.normalizer.hint,
        known=family.known(),
        apart=root.state is not None or spec.contract.outcome("types") != "evolve",
        judges=spec.contract.outcome("types") != "evolve",
        misfits=spec.contract.outcome("types"),
        nesting=spec.nesting,
    )


class _Run:
    """The moving parts of one task."""

    def __init__(self, task: LoadTask, progress: Progress, learned: Learned) -> None:
        spec = task.resource.spec
        self._learned = learned
        self._task = task
        self._progress = progress
        self._family = Family(
            spec,
            formats=task.formats,
            state=lambda name: task.places(name).state,
            load_id=task.load_id,
            loaded_at=task.loaded_at,
            children=task.children,
            learned=learned,
        )
        self._incremental = _incremental(task, self._family) if spec.cursor else None
        self._rows_read = 0
        self._outputs: dict[str, _Output] = {}
        self._notes = Notes()
        self._seconds = {"extract": 0.0, "normalize": 0.0, "write": 0.0}

    def learn(self, source: Source) -> None:
        """Read everything for what can be learned of its texts; nothing is written."""
        with closing(self._extracted(source)) as batches:
            for batch, _ in batches:
                for _ in self._family.take(batch):
                    pass

    def finish(self, source: Source) -> TaskResult:
        try:
            with closing(self._extracted(source)) as batches:
                in_turn(self._take, batches, ahead=_AHEAD)
            self._family.check_names()
            with _Clock(self._seconds, "write"):
                tables = tuple(self._output(member).finish() for member in self._family.members)
            for table in tables:
                self._progress.advance(
                    "write",
                    table.spec.name,
                    rows=table.rows,
                    bytes=sum(file.size for file in table.files),
                    files=len(table.files),
                )
            return TaskResult(
                tables,
                self._checkpoint(tables[-1].rows),
                self._family.tally,
                self._family.rule_counts,
                self._seconds,
                self._notes.lines(),
                self._rows_read,
                self._incremental.seen if self._incremental else 0,
            )
        except BaseException as error:
            for output in self._outputs.values():
                output.abort()
            if isinstance(error, Exception) and not isinstance(error, LakeloadError):
                name = self._task.resource.name
                error.add_note(f"lakeload: while loading the resource {name!r}; nothing was published")
            raise

    def _checkpoint(self, rows: int) -> Checkpoint | None:
        mode = self._task.resource.spec.mode
        if isinstance(mode, Overwrite) and mode.empty == "keep" and not rows:
            return self._task.checkpoint  # the table stays as it is, and so does the position
        if self._incremental:
            return self._incremental.checkpoint()
        positions = self._task.resource.positions
        return Checkpoint(positions=dict(positions())) if positions else None

    def _open(self) -> object:
        task = self._task
        if self._incremental:
            return task.resource.open(self._incremental.start)
        positions = (task.checkpoint or Checkpoint()).positions
        return task.resource.open(positions if task.resource.positions else None)

    def _extracted(self, source: Source) -> Generator[tuple[pa.RecordBatch, bool], None, None]:
        """Batches with types, each with whether the source can be read again after it."""
        spec = self._task.resource.spec
        target = self._family.root.normalizer.target
        types = TextTypes(target, dates=spec.detect_dates, learned=self._learned)
        with closing(source.batches(self._open, self._read)) as texts, closing(types.typed(texts)) as batches:
            while True:
                with _Clock(self._seconds, "extract"):
                    batch = next(batches, None)
                    self._rows_read += batch.num_rows if batch is not None else 0
                    if batch is not None and self._incremental and not _is_rejected(batch):
                        batch = self._incremental.filter(batch)
                if batch is None:
                    return
                yield batch, source.able

    def _read(self, data: object) -> Generator[pa.RecordBatch, None, None]:
        task, resource = self._task, self._task.resource
        return read(
            data,
            expectation=expected(self._family, resource.spec),
            options=resource.read,
            workers=task.places(resource.name).options.workers,
            notes=self._notes,
        )

    def _take(self, drawn: tuple[pa.RecordBatch, bool]) -> None:
        batch, self._learned.able = drawn
        self._progress.advance("extract", self._task.resource.name, rows=batch.num_rows, bytes=batch.nbytes)
        with _Clock(self._seconds, "normalize"):
            shaped = list(self._family.take(batch))
        with _Clock(self._seconds, "write"):
            for member, rows in shaped:
                if rows.num_rows:
                    self._output(member).write(rows)

    def _output(self, member: Member) -> _Output:
        found = self._outputs.get(member.spec.name)
        if found is None:
            place = self._task.places(member.spec.name)
            share = max(_LEAST_BUDGET, place.options.memory_budget // len(self._family.members))
            options = replace(place.options, memory_budget=share)
            found = self._outputs[member.spec.name] = _Output(member, place.store, options)
        return found


def _incremental(task: LoadTask, family: Family) -> Incremental:
    """The filter of a resource with a cursor, which knows what the column is in the table."""
    spec = task.resource.spec
    cursor = cast("Cursor", spec.cursor)
    kind = family.root.normalizer.hint(cursor.path)
    replaced = isinstance(spec.mode, Overwrite) and spec.mode.whole
    known = None if replaced else family.known()
    if kind is None and known is not None and known.get_field_index(cursor.path) >= 0:
        kind = known.field(cursor.path).type
    return Incremental(
        cursor,
        _start(task),
        kind,
        lenient=spec.contract.outcome("types") in ("discard_value", "discard_row", "quarantine"),
        refresh=isinstance(spec.mode, Overwrite),
    )


def _start(task: LoadTask) -> Checkpoint | None:
    """Where the cursor goes on: replacing the whole table takes back what was loaded into it."""
    mode, found = task.resource.spec.mode, task.checkpoint
    if found is not None and isinstance(mode, Overwrite) and mode.whole:
        return Checkpoint(positions=found.positions)
    return found


def _is_rejected(batch: pa.RecordBatch) -> bool:
    """Whether the reader sends what it could not read: that has no cursor."""
    return REJECTED in (batch.schema.metadata or {})


class _Output:
    """One table's share of a task: its writer, and what has to be known of its rows."""

    def __init__(self, member: Member, store: Store, options: WriteOptions) -> None:
        self._member = member
        self._store = store
        self._options = options
        self._writer: TableWriter | None = None
        self._written_schema: pa.Schema | None = None
        self._rows = 0

    def write(self, rows: pa.RecordBatch) -> None:
        self._rows += rows.num_rows
        self._ready_writer().write(rows)

    def finish(self) -> TableResult:
        member = self._member
        files = self._writer.close() if self._writer else ()
        layout = self._layout()
        if member.state is not None and layout.sort_by != member.state.layout.sort_by:
            files = tuple(replace(file, sorted=False) for file in files)
        return TableResult(
            spec=member.spec,
            state=member.state,
            files=files,
            schema=member.normalizer.schema,
            changes=member.normalizer.changes,
            layout=layout,
            rows=self._rows,
            properties=member.properties,
        )

    def abort(self) -> None:
        if self._writer:
            self._writer.abort()

    def _ready_writer(self) -> TableWriter:
        schema = self._member.normalizer.schema
        if self._writer is None:
            options = replace(self._options, layout=self._layout())
            self._writer = TableWriter(self._store, schema, options)
        elif schema is not self._written_schema:
            self._writer.evolve(schema)
        self._written_schema = schema
        return self._writer

    def _layout(self) -> Layout:
        """The layout files follow: the table's own, or the declared one in final column names."""
        spec, state = self._member.spec, self._member.state
        resolve = self._member.normalizer.resolve
        if not len(self._member.normalizer.schema):
            return spec.layout
        declared = Layout(
            tuple(replace(f, source=resolve(f.source)) for f in spec.layout.partition_by),
            tuple(replace(f, column=resolve(f.column)) for f in spec.layout.sort_by),
        )
        if state is None:
            self._check_partitions(declared)
            return declared
        if declared.partition_by and _texts(declared) != _texts(state.layout):
            raise TableError(
                f"the table is partitioned by {', '.join(_texts(state.layout)) or 'nothing'}, "
                f"not by {', '.join(_texts(declared))}",
                table=spec.name,
                hint="Leave partition_by out, or load into a new table.",
            )
        self._check_partitions(state.layout)
        return Layout(state.layout.partition_by, declared.sort_by or state.layout.sort_by)

    def _check_partitions(self, layout: Layout) -> None:
        mode = self._member.spec.mode
        if not isinstance(mode, Overwrite) or not mode.partitions:
            return
        if self._member.path:
            raise ConfigError(
                "partitions cannot be overwritten while lists become tables of their own",
                table=self._member.spec.name,
                hint="Keep the lists in their rows with nesting, or overwrite the whole table.",
            )
        if not layout.partition_by:
            raise ConfigError(
                "only a partitioned table can have its partitions overwritten",
                table=self._member.spec.name,
                hint="Give partition_by, or use Overwrite() for the whole table.",
            )


def _texts(layout: Layout) -> list[str]:
    return [str(field) for field in layout.partition_by]


class _Clock:
    """Adds the time spent in a block to a stage."""

    def __init__(self, seconds: dict[str, float], stage: str) -> None:
        self._seconds = seconds
        self._stage = stage
        self._start = 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._stage] += time.perf_counter() - self._start
