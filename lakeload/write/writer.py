"""`TableWriter`: Arrow batches in, right-sized Parquet files out, within a memory budget.

The write stage of extract → normalize → write → commit. Rows are split by partition into lanes; a lane
with enough rows, or the largest one when memory runs short, gives a row group, which a thread encodes and
which is appended to its partition's file. Files are what commits are made of; until then nothing refers to
them.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from lakeload.model.files import DataFile, Value
from lakeload.model.layout import Layout
from lakeload.model.table import Encoding
from lakeload.write import conform, location
from lakeload.write.crew import Crew
from lakeload.write.encode import Encoder
from lakeload.write.graft import Graft, graft
from lakeload.write.lane import Lane, PlainLane, Press
from lakeload.write.partition import split
from lakeload.write.rolling import MIB, OVERFULL, Rolling, Sizes
from lakeload.write.sink import Sinks
from lakeload.write.sorted_lane import SortedLane
from lakeload.write.sorting import Runs, check_sortable
from lakeload.write.store import Store

_HOLD = 0.4
"""Share of the budget for rows; the rest is for encoded bytes, allocator, libraries and interpreter."""
_STAGE_ROWS = 1000
"""Rows per partition to collect before they are split: fewer make tiny pieces, more leave the caches."""


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


class TableWriter:
    """Writes the files of one load into one table's place. For one thread; encodes in several.

    Args:
        store: Rooted at the table; files go to `data/`.
        schema: Columns with field ids.
        options: How to write.

    Example:
        >>> import tempfile
        >>> options = WriteOptions(Layout(), "load")
        >>> writer = TableWriter(Store(tempfile.mkdtemp()), pa.schema([("a", pa.int64())]), options)
        >>> writer.write(pa.record_batch({"a": [1, 2]}))
        >>> [file.rows for file in writer.close()]
        [2]
    """

    def __init__(self, store: Store, schema: pa.Schema, options: WriteOptions) -> None:
        check_sortable(schema, options.layout.sort_by)
        self.schema = schema
        self._store = store
        self._options = options
        self._names = location.file_names(options.load_id)
        hold = int(_HOLD * options.memory_budget)
        self._hold = hold * 6 // 10
        self._crew = Crew(options.workers)
        self._sinks = Sinks(store)
        sizes = Sizes.of(options.target_file_size, hold // (2 * (options.workers + 1)))
        self._press = Press(self._crew, sizes, schema, Encoder(options.encoding))
        self._runs = Runs()
        self._lanes: dict[tuple[Value | None, ...], Lane] = {}
        self._staged: list[pa.RecordBatch] = []
        self._staged_rows = self._staged_bytes = self._waiting = 0
        self._older: list[tuple[DataFile, pa.Schema]] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Take in rows. Blocks while the memory budget is used up.

        Args:
            batch: The table's columns, in order; text columns may be dictionary-encoded, large or views.

        Raises:
            SchemaError: The rows are not of the table's schema.
            StorageError: The place cannot be written.
        """
        if batch.num_rows:
            self._take_in(conform.admit(batch, self.schema))
            self._crew.settle()

    def evolve(self, schema: pa.Schema) -> None:
        """Go on with another schema: columns added, widened or relaxed.

        Rows not yet encoded are converted. Files already begun are closed; those with a column that was
        widened are rewritten by `close`.

        Args:
            schema: Columns of later batches, with field ids.

        Raises:
            SchemaError: A value held back does not survive the widening.
            StorageError: The place cannot be written.
        """
        if schema.equals(self.schema, check_metadata=True):
            return
        self._crew.drain()
        held = self._staged
        for lane in self._lanes.values():
            held += lane.rows()
            lane.close()
            self._older += [(file, self.schema) for file in lane.rolling.files]
        self._lanes = {}
        self._staged = []
        self._staged_rows = self._staged_bytes = self._waiting = 0
        self.schema = self._press.schema = schema
        for batch in held:
            self._take_in(conform.convert(batch, schema))

    def close(self) -> tuple[DataFile, ...]:
        """Write what is held and complete all files.

        Returns:
            The files, in the order they were begun; empty when there were no rows.

        Raises:
            SchemaError: A value in a file of an older schema does not survive the widening.
            StorageError: The place cannot be written.
        """
        self._distribute()
        for lane in self._lanes.values():
            lane.finish()
            self._crew.settle()
        self._crew.drain()
        for lane in self._lanes.values():
            lane.close()
        self._crew.stop()
        self._runs.remove()
        files = [file for lane in self._lanes.values() for file in lane.rolling.files]
        files += self._older_files()
        self._sinks.close()
        return tuple(sorted(files, key=lambda file: file.path.rpartition("/")[2]))

    def abort(self) -> None:
        """Stop the threads and delete everything that was written."""
        self._crew.stop()
        self._runs.remove()
        self._lanes.clear()
        self._staged.clear()
        self._sinks.abort()

    def _older_files(self) -> list[DataFile]:
        """The files of older schemas, those with a column that was widened since written anew."""
        from lakeload.write.rewrite import rewrite

        changes = [(file, schema, Graft.of(schema, self.schema)) for file, schema in self._older]
        found = [file for file, _, change in changes if not change.changed]
        narrow = [(file, schema, change) for file, schema, change in changes if change.changed]
        if not narrow:
            return found
        self._sinks.wait()
        left: dict[str, pa.Schema] = {}
        for file, schema, change in narrow:
            new = self._grafted(file, change)
            if new is None:
                left[file.path] = schema
            else:
                found.append(new)
        if left:
            found += rewrite(self._store, list(left), self.schema, self._options, before=left)
        for file, _, _ in narrow:
            self._sinks.forget(file.path)
        return found

    def _grafted(self, file: DataFile, change: Graft) -> DataFile | None:
        """The file with its changed columns; `None` if its rows may belong elsewhere or it is too large."""
        layout = self._options.layout
        decisive = [field.source for field in layout.partition_by] + [sort.column for sort in layout.sort_by]
        if any(name == path or path.startswith(f"{name}.") for name in change.changed for path in decisive):
            return None
        path = f"{file.path.rpartition('/')[0]}/{next(self._names)}"
        new = graft(self._store, file, change, self._press.encode, sinks=self._sinks, path=path)
        if new.size > OVERFULL * max(file.size, self._options.target_file_size):
            self._sinks.wait()
            self._sinks.forget(path)
            return None
        return new

    def _take_in(self, batch: pa.RecordBatch) -> None:
        if self._options.layout != Layout():
            batch = conform.without_views(batch)
        if not self._options.layout.partition_by:
            self._give((), batch)
            self._relieve()
            return
        if self._staged and not self._staged[0].schema.equals(batch.schema):
            self._distribute()
        self._staged.append(batch)
        self._staged_rows += batch.num_rows
        self._staged_bytes += batch.nbytes
        enough = max(64, min(len(self._lanes), 1000)) * _STAGE_ROWS
        if self._staged_rows >= enough or self._staged_bytes >= self._hold // 4:
            self._distribute()

    def _distribute(self) -> None:
        """Split staged rows by partition."""
        if not self._staged:
            return
        staged = self._staged
        whole = staged[0] if len(staged) == 1 else pa.concat_batches(staged)
        self._staged, self._staged_rows, self._staged_bytes = [], 0, 0
        del staged
        whole = conform.with_own_dictionaries(whole)
        for key, rows in split(whole, self._options.layout.partition_by):
            self._give(key, rows)
        del whole
        self._relieve()

    def _give(self, key: tuple[Value | None, ...], rows: pa.RecordBatch) -> None:
        lane = self._lanes.get(key) or self._open_lane(key)
        before = lane.waiting.held
        lane.waiting.add(rows)
        lane.advance()
        self._waiting += lane.waiting.held - before

    def _relieve(self) -> None:
        """Encode the largest buffers early while all of them together hold too much."""
        if self._waiting <= self._hold:
            return
        for lane in sorted(self._lanes.values(), key=lambda lane: -lane.waiting.held):
            if self._waiting <= self._hold * 3 // 4:
                break
            self._waiting -= lane.waiting.held
            lane.spill()
            self._waiting += lane.waiting.held

    def _open_lane(self, key: tuple[Value | None, ...]) -> Lane:
        order = self._options.layout.sort_by
        folder = location.folder(self._options.layout.partition_by, key)
        rolling = Rolling(
            key,
            self._press.sizes,
            self._sinks,
            new_path=lambda: folder + next(self._names),
            encode=self._press.encode,
            in_order=bool(order),
        )
        lane: Lane = (
            SortedLane(self._press, rolling, order, self._runs) if order else PlainLane(self._press, rolling)
        )
        self._lanes[key] = lane
        return lane
