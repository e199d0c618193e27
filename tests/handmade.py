"""Parquet files written by hand with pyarrow, and the `DataFile` that describes them.

Tests of formats and catalogs need files without the writer: small, one row group, with exact statistics.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakeload.model.files import ColumnPath, ColumnStats, DataFile
from lakeload.model.schema import assign_ids
from lakeload.write.store import Store


def columns(**types: pa.DataType) -> pa.Schema:
    """A schema with field ids, as a new table has it."""
    return assign_ids(pa.schema(list(types.items())))[0]


def data_file(
    store: Store,
    schema: pa.Schema,
    rows: pa.Table | Sequence[dict[str, Any]],
    partition: tuple[Any, ...] = (),
    *,
    is_sorted: bool = False,
) -> DataFile:
    """Write the rows below the table's root and describe the file."""
    table = (
        rows.cast(schema) if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows), schema=schema)
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, store_schema=False, row_group_size=max(len(table), 1))
    path = f"data/{uuid.uuid4().hex}.parquet"
    assert store.create(path, sink.getvalue())
    stats = dict(statistics(table.to_struct_array().combine_chunks()))
    return DataFile(
        path, len(sink.getvalue()), len(table), partition, stats, (4,) if len(table) else (), is_sorted
    )


def statistics(array: pa.Array, path: ColumnPath = ()) -> Iterator[tuple[ColumnPath, ColumnStats]]:
    """Exact statistics of every leaf outside lists and maps."""
    if pa.types.is_struct(array.type):
        for position, child in enumerate(array.type):
            yield from statistics(pc.struct_field(array, [position]), (*path, child.name))
    elif not pa.types.is_nested(array.type):
        yield path, _leaf(array)


def _leaf(array: pa.Array) -> ColumnStats:
    floating = pa.types.is_floating(array.type)
    nans = pc.sum(pc.is_nan(array)).as_py() or 0 if floating else None
    values = [value for value in array.to_pylist() if value is not None and value == value]  # noqa: PLR0124 - NaN differs from itself
    low, high = (min(values), max(values)) if values else (None, None)
    return ColumnStats(len(array), array.null_count, nans, low, high, 40)
