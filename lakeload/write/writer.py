"""`TableWriter`: Arrow batches in, right-sized Parquet files out, within a memory budget.

The write stage of extract → normalize → write → commit. Rows are split by partition into buffers; a buffer
that is large enough, or the largest one when memory runs short, becomes a row group, encoded by a thread
and appended to its partition's file. Files are what commits are made of; until then nothing refers to them.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa

from lakeload.model.files import DataFile, Value
from lakeload.model.layout import Layout
from lakeload.write import conform, location
from lakeload.write.encode import Encoding, RowGroup, encode_row_group
from lakeload.write.partition import split
from lakeload.write.rolling import MIB, Rolling, Sizes
from lakeload.write.sink import Sinks
from lakeload.write.store import Store

_HOLD = 0.4
"""Share of the budget for rows we hold; the rest is for encoded bytes, allocator and interpreter."""
_SAMPLE_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How data files are written.

    Args:
        layout: Partitioning and sort order.
        load_id: Goes into file names.
        target_file_size: Bytes of a file, measured.
        memory_budget: Bytes the whole process may take; about 40 % of it holds rows.
        workers: Encoding threads.
        encoding: `compat` is read vectorised by every engine; `modern` is smaller.
    """

    layout: Layout
    load_id: str
    target_file_size: int = 128 * MIB
    memory_budget: int = 1024 * MIB
    workers: int = 2
    encoding: Encoding = "compat"


@dataclass(slots=True)
class _Buffer:
    """Rows of one partition that wait to become a row group."""

    rolling: Rolling
    batches: list[pa.RecordBatch] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0

    def add(self, batch: pa.RecordBatch) -> None:
        self.batches.append(batch)
        self.rows += batch.num_rows
        self.bytes += batch.nbytes

    def take(self, rows: int) -> list[pa.RecordBatch]:
        """Remove the first `rows` rows."""
        taken: list[pa.RecordBatch] = []
        while self.batches and rows:
            batch = self.batches.pop(0)
            if batch.num_rows > rows:
                self.batches.insert(0, batch.slice(rows))
                batch = batch.slice(0, rows)
            taken.append(batch)
            rows -= batch.num_rows
        self.rows = sum(batch.num_rows for batch in self.batches)
        self.bytes = sum(batch.nbytes for batch in self.batches)
        return taken


@dataclass(slots=True)
class _Job:
    """A row group being encoded."""

    buffer: _Buffer
    table: pa.Table
    expected: float
    bytes: int
    future: Future[RowGroup]


class TableWriter:
    """Writes the files of one load into one table's place. For one thread; encodes in several.

    Args:
        store: Rooted at the table; files go to `data/`.
        schema: Columns with field ids.
        options: How to write.

    Example:
        >>> import tempfile
        >>> writer = TableWriter(Store(tempfile.mkdtemp()), pa.schema([("a", pa.int64())]),
        ...                      WriteOptions(Layout(), "load"))
        >>> writer.write(pa.record_batch({"a": [1, 2]}))
        >>> [file.rows for file in writer.close()]
        [2]
    """

    def __init__(self, store: Store, schema: pa.Schema, options: WriteOptions) -> None:
        self.schema = schema
        self._store = store
        self._options = options
        self._names = location.file_names(options.load_id)
        self._hold = int(_HOLD * options.memory_budget)
        self._sizes = Sizes.of(options.target_file_size, self._hold, options.workers)
        self._sinks = Sinks(store)
        self._pool = ThreadPoolExecutor(options.workers, "lakeload-encode")
        self._buffers: dict[tuple[Value | None, ...], _Buffer] = {}
        self._staged: list[pa.RecordBatch] = []
        self._staged_bytes = 0
        self._jobs: deque[_Job] = deque()
        self._ratio: float | None = None
        self._older: list[tuple[DataFile, pa.Schema]] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Take in rows. Blocks while the memory budget is used up.

        Args:
            batch: The table's columns, in order; text columns may be dictionary-encoded, large or views.

        Raises:
            SchemaError: The rows are not of the table's schema.
            StorageError: The place cannot be written.
        """
        if not batch.num_rows:
            return
        self._take_in(conform.admit(batch, self.schema))
        self._advance()

    def evolve(self, schema: pa.Schema) -> None:
        """Go on with another schema: columns added, widened or relaxed.

        Rows not yet encoded are converted. Files already begun are closed; those with a column that was
        widened are rewritten by `close`.

        Raises:
            SchemaError: A value held back does not survive the widening.
            StorageError: The place cannot be written.
        """
        self._drain()
        waiting = [*self._staged, *(batch for buffer in self._buffers.values() for batch in buffer.batches)]
        self._staged, self._staged_bytes = [], 0
        for buffer in self._buffers.values():
            buffer.rolling.close()
            self._older += [(file, self.schema) for file in buffer.rolling.files]
        self._buffers = {}
        self.schema = schema
        for batch in waiting:
            self._take_in(conform.convert(batch, schema))
        self._advance()

    def close(self) -> tuple[DataFile, ...]:
        """Write what is held and complete all files.

        Returns:
            The files, in the order they were begun; empty when there were no rows.

        Raises:
            SchemaError: A value in a file of an older schema does not survive the widening.
            StorageError: The place cannot be written.
        """
        self._distribute()
        for buffer in self._buffers.values():
            while buffer.rows:
                self._submit(buffer, self._planned_rows(buffer, last=True))
            self._settle()
        self._drain()
        for buffer in self._buffers.values():
            buffer.rolling.close()
        self._pool.shutdown()
        files = [file for buffer in self._buffers.values() for file in buffer.rolling.files]
        files += self._older_files()
        self._sinks.close()
        return tuple(sorted(files, key=lambda file: file.path.rpartition("/")[2]))

    def abort(self) -> None:
        """Stop the threads and delete everything that was written."""
        for job in self._jobs:
            job.future.cancel()
        self._pool.shutdown(cancel_futures=True)
        self._jobs.clear()
        self._buffers.clear()
        self._staged.clear()
        self._sinks.abort()

    def _older_files(self) -> list[DataFile]:
        from lakeload.write.rewrite import rewrite

        narrow = [file.path for file, schema in self._older if conform.narrower(schema, self.schema)]
        kept = [file for file, _ in self._older if file.path not in set(narrow)]
        if not narrow:
            return kept
        self._sinks.wait()
        wide = rewrite(self._store, narrow, self.schema, self._options)
        for path in narrow:
            self._sinks.forget(path)
        return [*kept, *wide]

    # Rows → buffers.

    def _take_in(self, batch: pa.RecordBatch) -> None:
        if not self._options.layout.partition_by:
            self._buffer(()).add(batch)
            return
        if self._staged and not self._staged[0].schema.equals(batch.schema):
            self._distribute()
        self._staged.append(batch)
        self._staged_bytes += batch.nbytes
        if self._staged_bytes >= self._hold // 8:
            self._distribute()

    def _distribute(self) -> None:
        """Split staged rows by partition: many rows at once, so that the pieces are not tiny."""
        if not self._staged:
            return
        staged = self._staged
        self._staged, self._staged_bytes = [], 0
        whole = staged[0] if len(staged) == 1 else pa.concat_batches(staged)
        del staged
        for key, rows in split(whole, self._options.layout.partition_by):
            self._buffer(key).add(rows)

    def _buffer(self, key: tuple[Value | None, ...]) -> _Buffer:
        found = self._buffers.get(key)
        if found is None:
            folder = location.folder(self._options.layout.partition_by, key)
            rolling = Rolling(
                key, self._sizes, self._sinks, lambda: folder + next(self._names), self._encode
            )
            found = self._buffers[key] = _Buffer(rolling)
        return found

    # Buffers → row groups.

    def _advance(self) -> None:
        for buffer in self._buffers.values():
            while buffer.rows and (rows := self._planned_rows(buffer)):
                self._submit(buffer, rows)
        while self._held() > self._hold:
            if not self._spill():
                if not self._jobs:
                    break
                self._land(self._jobs.popleft())
        self._settle()

    def _planned_rows(self, buffer: _Buffer, *, last: bool = False) -> int:
        """Rows of the next row group; 0 when more must come first."""
        sizes = self._sizes
        if not last and buffer.bytes < sizes.arrow and buffer.bytes < sizes.group:
            return 0
        if buffer.rolling.ratio is None and self._ratio is None:
            if last and buffer.bytes < sizes.group:
                return min(buffer.rows, sizes.rows)
            self._ratio = self._measure(buffer)
        ratio = buffer.rolling.ratio or self._ratio or 1.0
        wanted = buffer.rolling.next_group() / ratio
        per_row = buffer.bytes / buffer.rows or 1
        rows = max(1, int(min(wanted, sizes.arrow) / per_row))
        rows = min(rows, sizes.rows)
        if rows <= buffer.rows:
            return rows
        return buffer.rows if last else 0

    def _measure(self, buffer: _Buffer) -> float:
        """Compressed bytes per Arrow byte, from a row group that is thrown away."""
        sample, rows = [], 0
        for batch in buffer.batches:
            sample.append(batch.slice(0, _SAMPLE_ROWS - rows))
            rows += sample[-1].num_rows
            if rows >= _SAMPLE_ROWS:
                break
        table = conform.unify(sample, self.schema)
        return self._encode(table).size / max(table.nbytes, 1)

    def _submit(self, buffer: _Buffer, rows: int) -> None:
        while len(self._jobs) > self._options.workers + 1:
            self._land(self._jobs.popleft())
        table = conform.unify(buffer.take(rows), self.schema)
        size = table.nbytes
        expected = size * (buffer.rolling.ratio or self._ratio or 1.0)
        buffer.rolling.coming += expected
        self._jobs.append(_Job(buffer, table, expected, size, self._pool.submit(self._encode, table)))

    def _encode(self, table: pa.Table) -> RowGroup:
        return encode_row_group(table, self._options.encoding)

    def _held(self) -> int:
        waiting = sum(buffer.bytes for buffer in self._buffers.values())
        return self._staged_bytes + waiting + sum(job.bytes for job in self._jobs)

    def _spill(self) -> bool:
        """Encode the largest buffer early; false when nothing is worth it or enough is on its way."""
        if len(self._jobs) > self._options.workers:
            return False
        largest = max(self._buffers.values(), key=lambda buffer: buffer.bytes, default=None)
        if largest is None or not largest.rows:
            return False
        self._submit(largest, min(largest.rows, self._sizes.rows))
        return True

    # Row groups → files.

    def _settle(self) -> None:
        """Append row groups that are ready, in order."""
        while self._jobs and self._jobs[0].future.done():
            self._land(self._jobs.popleft())

    def _drain(self) -> None:
        while self._jobs:
            self._land(self._jobs.popleft())

    def _land(self, job: _Job) -> None:
        group = job.future.result()
        job.buffer.rolling.coming -= job.expected
        job.buffer.rolling.land(group, job.table)
        self._ratio = job.buffer.rolling.ratio
