"""Sorting within files: whole files in order, in little memory.

Rows of a partition wait in sorted runs on local disk. When the runs hold enough for a file they are merged:
the key columns of all runs are ranked, the ranking is cut into row groups, and each row group gathers its
slice of every run through a memory map. In memory are one row group and the keys.

Order (Apache Iceberg specification, "Sorting"): nulls first ascending, last descending; NaN above all
numbers; -0.0 and 0.0 are equal.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SchemaError
from lakeload.model.layout import SortField
from lakeload.write.store import Store

_CHUNK_ROWS = 1 << 16


def check_sortable(schema: pa.Schema, order: Sequence[SortField]) -> None:
    """Refuse sort columns that are missing or nested.

    Raises:
        SchemaError: There is one.
    """
    for key in order:
        if key.column not in schema.names:
            raise SchemaError("the sort column is not there", column=key.column)
        kind = schema.field(key.column).type
        if pa.types.is_nested(kind):
            raise SchemaError(f"cannot sort by a column of type {kind}", column=key.column)


def ranking(rows: pa.Table, order: Sequence[SortField]) -> pa.Array:
    """Positions of the rows in sorted order; equal rows keep their order.

    Example:
        >>> ranking(pa.table({"a": [2, None, 1]}), [SortField("a")]).to_pylist()
        [1, 2, 0]
    """
    columns: list[pa.ChunkedArray] = []
    directions: list[str] = []
    for key in order:
        column = rows.column(key.column)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_string_view(column.type):
            column = column.cast(pa.large_string())
        if pa.types.is_binary_view(column.type):
            column = column.cast(pa.large_binary())
        if column.null_count:  # false, for null, sorts before true
            columns.append(column.is_valid())
        if pa.types.is_floating(column.type):
            nan = pc.is_nan(column).fill_null(False)
            if pc.any(nan).as_py():
                columns.append(nan)
        columns.append(column)
        directions += ["descending" if key.descending else "ascending"] * (len(columns) - len(directions))
    names = [str(position) for position in range(len(columns))]
    keys = pa.table(columns, names)
    return pc.sort_indices(keys, sort_keys=list(zip(names, directions, strict=True)))


@dataclass(slots=True)
class Run:
    """Sorted rows, on disk or in memory.

    Args:
        rows: Number of rows left.
        bytes: Their Arrow bytes.
        path: Arrow IPC file; `None` when `table` holds the rows.
        table: The rows.
        start: Rows of the file already used.
    """

    rows: int
    bytes: int
    path: Path | None = None
    table: pa.Table | None = field(default=None, repr=False)
    start: int = 0

    def open(self) -> pa.Table:
        """The rows left; those of a file are mapped, not read."""
        if self.table is not None:
            return self.table.slice(self.start)
        with pa.memory_map(str(self.path)) as source, pa.ipc.open_file(source) as reader:
            return reader.read_all().slice(self.start)

    def used(self, rows: int) -> Run:
        """The run without its first `rows` rows."""
        left = self.rows - rows
        return Run(left, self.bytes * left // max(self.rows, 1), self.path, self.table, self.start + rows)


class Runs:
    """A directory for the runs of one writer, made when the first one is written."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._count = 0

    def new_path(self) -> Path:
        """Where to write the next run."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="lakeload-sort-")
        self._count += 1
        return Path(self._folder.name) / f"{self._count}.arrow"

    def remove(self) -> None:
        """Delete all runs."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def sorted_table(table: pa.Table, order: Sequence[SortField]) -> pa.Table:
    """The rows in order."""
    if table.num_rows <= 1:
        return table
    whole = pa.concat_batches(table.to_batches())
    return pa.Table.from_batches([whole.take(ranking(pa.Table.from_batches([whole]), order))])


def write_run(table: pa.Table, size: int, path: Path) -> Run:
    """Keep sorted rows on disk.

    Raises:
        StorageError: The temporary directory cannot be written.
    """
    with (
        Store(str(path.parent)).guarded(path.name),
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_file(
            sink, table.schema, options=pa.ipc.IpcWriteOptions(unify_dictionaries=True)
        ) as writer,
    ):
        writer.write_table(table, max_chunksize=_CHUNK_ROWS)
    return Run(table.num_rows, size, path)


def delete_run(run: Run) -> None:
    """Remove a run that is used up."""
    if run.path is not None:
        with suppress(OSError):
            run.path.unlink()


class Merge:
    """The rows of several runs in one order, taken piece by piece.

    Args:
        runs: Sorted by `order`, of one schema.
        order: The sort order.
    """

    def __init__(self, runs: Sequence[Run], order: Sequence[SortField]) -> None:
        self.rows = sum(run.rows for run in runs)
        self.bytes = sum(run.bytes for run in runs)
        self._order = order
        self._runs = runs
        self._tables = [run.open() for run in runs]
        self._used = [0] * len(runs)
        self._position = 0
        self._ranking: pa.Array | None = None
        if len(runs) > 1:
            keys = list(dict.fromkeys(key.column for key in order))
            self._ranking = ranking(pa.concat_tables([table.select(keys) for table in self._tables]), order)
            self._owner = pa.concat_arrays(
                [pa.repeat(pa.scalar(i, pa.int32()), run.rows) for i, run in enumerate(runs)]
            )

    def take(self, rows: int) -> pa.Table:
        """The next `rows` rows, or what is left."""
        rows = min(rows, self.rows)
        self.rows -= rows
        if self._ranking is None:
            self._used[0] += rows
            return self._tables[0].slice(self._used[0] - rows, rows)
        owners = self._owner.take(self._ranking.slice(self._position, rows))
        self._position += rows
        pieces = []
        for entry in sorted(pc.value_counts(owners).to_pylist(), key=lambda entry: entry["values"]):
            run, count = entry["values"], entry["counts"]
            pieces.append(self._tables[run].slice(self._used[run], count))
            self._used[run] += count
        return sorted_table(pa.concat_tables(pieces), self._order)

    def left(self) -> list[Run]:
        """The runs without the rows taken."""
        return [run.used(used) for run, used in zip(self._runs, self._used, strict=True) if used < run.rows]

    def finished(self) -> list[Run]:
        """The runs that are used up."""
        return [run for run, used in zip(self._runs, self._used, strict=True) if used >= run.rows]
