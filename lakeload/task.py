"""One table's load up to its data files: extract → normalize → write, in one place.

A task says what to load and how, and is run by `run_task`; what comes back holds data files, never rows.
Only the pipeline commits.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

import pyarrow as pa

from lakeload.errors import ConfigError, TableError
from lakeload.model.changes import SchemaChange
from lakeload.model.cursor import Checkpoint
from lakeload.model.files import DataFile
from lakeload.model.layout import Layout
from lakeload.model.mode import Overwrite
from lakeload.model.progress import Progress, Silent
from lakeload.model.table import TableState
from lakeload.normalize.normalizer import Normalizer
from lakeload.sources.incremental import Incremental
from lakeload.sources.read import read
from lakeload.sources.resource import Resource
from lakeload.write.fingerprint import Fingerprint
from lakeload.write.store import Store
from lakeload.write.writer import TableWriter, WriteOptions


@dataclass(frozen=True, slots=True)
class LoadTask:
    """What to load into one table, and where its files go.

    Args:
        resource: The data and the table it is for.
        formats: Formats the table is published in.
        state: The table as it is; `None` when it does not exist.
        checkpoint: Where the last load stopped.
        store: Rooted at the table.
        options: How to write; its layout is replaced by the table's.
        loaded_at: Time of the load, UTC.
    """

    resource: Resource
    formats: tuple[str, ...]
    state: TableState | None
    checkpoint: Checkpoint | None
    store: Store
    options: WriteOptions
    loaded_at: dt.datetime


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a task made of its data.

    Args:
        files: Data files, written and closed.
        schema: Columns of the table after this load, with field ids.
        changes: How they differ from the table's.
        layout: Partitioning and sort order, in final column names.
        checkpoint: Where this load stopped; `None` without a cursor.
        rows: Rows written.
        fingerprint: Tells a repetition of this load from new rows.
        seconds: Time the stages took in the thread that joins them, by stage.
    """

    files: tuple[DataFile, ...]
    schema: pa.Schema
    changes: tuple[SchemaChange, ...]
    layout: Layout
    checkpoint: Checkpoint | None
    rows: int
    fingerprint: str
    seconds: dict[str, float] = field(default_factory=dict)


def run_task(task: LoadTask, progress: Progress | None = None) -> TaskResult:
    """Read, shape and write; nothing is visible in the table yet.

    Raises:
        LakeloadError: The data cannot be read, does not fit, or cannot be written. Files written so far
            are deleted, on any other exception too.
    """
    return _Run(task, progress or Silent()).finish()


class _Run:
    """The moving parts of one task."""

    def __init__(self, task: LoadTask, progress: Progress) -> None:
        spec = task.resource.spec
        self._task = task
        self._progress = progress
        self._normalizer = Normalizer(
            spec,
            formats=task.formats,
            state=task.state,
            load_id=task.options.load_id,
            loaded_at=task.loaded_at,
        )
        self._incremental = Incremental(spec.cursor, task.checkpoint) if spec.cursor else None
        self._fingerprint = Fingerprint()
        self._writer: TableWriter | None = None
        self._written_schema: pa.Schema | None = None
        self._rows = 0
        self._seconds = {"extract": 0.0, "normalize": 0.0, "write": 0.0}

    def finish(self) -> TaskResult:
        try:
            for batch in self._extracted():
                self._take(batch)
            with _Clock(self._seconds, "write"):
                files = self._writer.close() if self._writer else ()
            return self._result(files)
        except BaseException:
            if self._writer:
                self._writer.abort()
            raise

    def _result(self, files: tuple[DataFile, ...]) -> TaskResult:
        self._progress.advance(
            "write",
            self._task.resource.name,
            rows=self._rows,
            bytes=sum(file.size for file in files),
            files=len(files),
        )
        layout = self._layout()
        state = self._task.state
        if state is not None and layout.sort_by != state.layout.sort_by:
            files = tuple(replace(file, sorted=False) for file in files)
        return TaskResult(
            files=files,
            schema=self._normalizer.schema,
            changes=self._normalizer.changes,
            layout=layout,
            checkpoint=self._incremental.checkpoint() if self._incremental else None,
            rows=self._rows,
            fingerprint=self._fingerprint.digest(self._normalizer.schema, files),
            seconds=self._seconds,
        )

    def _extracted(self) -> Iterator[pa.RecordBatch]:
        resource = self._task.resource
        data = resource.open(self._incremental.start if self._incremental else None)
        stream = read(
            data,
            hint=self._normalizer.hint,
            options=resource.read,
            workers=self._task.options.workers,
            is_text=self._normalizer.is_text,
        )
        with closing(stream) as batches:
            while True:
                with _Clock(self._seconds, "extract"):
                    batch = next(batches, None)
                    if batch is not None and self._incremental:
                        batch = self._incremental.filter(batch)
                if batch is None:
                    return
                yield batch

    def _take(self, batch: pa.RecordBatch) -> None:
        table = self._task.resource.name
        with _Clock(self._seconds, "normalize"):
            shaped = self._normalizer.apply(batch)
        if not shaped.num_rows:
            return
        self._rows += shaped.num_rows
        self._progress.advance("extract", table, rows=batch.num_rows, bytes=batch.nbytes)
        with _Clock(self._seconds, "write"):
            self._fingerprint.add(shaped)
            self._ready_writer().write(shaped)

    def _ready_writer(self) -> TableWriter:
        schema = self._normalizer.schema
        if self._writer is None:
            options = replace(self._task.options, layout=self._layout())
            self._writer = TableWriter(self._task.store, schema, options)
        elif schema is not self._written_schema:
            self._writer.evolve(schema)
        self._written_schema = schema
        return self._writer

    def _layout(self) -> Layout:
        """The layout files follow: the table's own, or the declared one in final column names."""
        spec, state = self._task.resource.spec, self._task.state
        resolve = self._normalizer.resolve
        if not len(self._normalizer.schema):
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
        mode = self._task.resource.spec.mode
        if isinstance(mode, Overwrite) and mode.partitions and not layout.partition_by:
            raise ConfigError(
                "only a partitioned table can have its partitions overwritten",
                table=self._task.resource.name,
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
