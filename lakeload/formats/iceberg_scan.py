"""Rows of data files in the shape of the table: how a scan reads. The way back from extract → … → commit.

Columns are matched by field id, at every depth. pyiceberg's reader does the same but turns a missing list
or map of structs into an empty one, so it is used only for what is rare: files with deleted rows, and
files without field ids or without a partition column, as migrations leave them.

Rules: Iceberg specification v2, section "Column Projection".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakeload.errors import TableError
from lakeload.model.schema import children, field_id, walk, without_ids

_BATCH_ROWS = 65_536


def read_rows(
    source: Any, schema: pa.Schema, constants: frozenset[int], table: str
) -> Iterator[pa.RecordBatch] | None:
    """The rows of one Parquet file, or `None` when it cannot be read by field id alone.

    Args:
        source: A seekable file.
        schema: Wanted columns, with field ids.
        constants: Field ids that the file's partition values stand for when the file has no such column.
        table: Table name, for messages.
    """
    file = pq.ParquetFile(source, coerce_int96_timestamp_unit="us", pre_buffer=True)
    found = file.schema_arrow
    numbers: list[int | None] = []
    walk(found, lambda _, field: numbers.append(field_id(field)))
    top = {field_id(field): field.name for field in found}
    absent = {field_id(field) for field in schema} - set(top)
    if None in numbers or absent & constants:
        return None
    names = [top[number] for number in (field_id(field) for field in schema) if number in top]
    return _batches(file, names, schema, table)


def _batches(file: Any, names: list[str], schema: pa.Schema, table: str) -> Iterator[pa.RecordBatch]:
    plain = without_ids(schema)
    with file:
        if not names:
            yield from _nulls(file.metadata.num_rows, plain)
            return
        for batch in file.iter_batches(_BATCH_ROWS, columns=names):
            columns = _members(list(batch.schema), batch.columns, list(schema), len(batch), table)
            yield pa.RecordBatch.from_arrays(columns, schema=plain)


def _nulls(rows: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for start in range(0, rows, _BATCH_ROWS):
        count = min(_BATCH_ROWS, rows - start)
        yield pa.RecordBatch.from_arrays([pa.nulls(count, field.type) for field in schema], schema=schema)


def _members(
    have: list[pa.Field], arrays: Any, want: list[pa.Field], rows: int, table: str
) -> list[pa.Array]:
    """One array per wanted field: the one of the same id, or nulls."""
    known = {field_id(field): position for position, field in enumerate(have)}
    result = []
    for field in want:
        position = known.get(field_id(field))
        if position is None:
            result.append(pa.nulls(rows, _plain(field.type)))
        else:
            result.append(_project(arrays[position], have[position], field, table))
    return result


def _project(array: pa.Array, have: pa.Field, want: pa.Field, table: str) -> pa.Array:
    """The array in the wanted type; nulls of lists, maps and structs stay nulls."""
    if have.type.equals(want.type, check_metadata=True):
        return array.cast(_plain(want.type))
    kind = _plain(want.type)
    inner, wanted = children(have.type), children(want.type)
    if not wanted:
        return _cast(array, kind, want.name, table)
    if array.offset:  # children of a slice are not aligned with it
        array = pa.concat_arrays([array, array.slice(0, 0)])
    mask = array.is_null() if array.null_count else None
    if pa.types.is_struct(kind):
        arrays = [array.field(position) for position in range(len(inner))]
        members = _members(inner, arrays, wanted, len(array), table)
        return pa.StructArray.from_arrays(members, fields=list(kind), mask=mask)
    if pa.types.is_map(kind):
        keys = _project(array.keys, inner[0], wanted[0], table)
        items = _project(array.items, inner[1], wanted[1], table)
        return pa.MapArray.from_arrays(array.offsets, keys, items, type=kind, mask=mask)
    if pa.types.is_large_list(array.type):
        array = array.cast(pa.list_(array.type.value_field))
    values = _project(array.values, inner[0], wanted[0], table)
    return pa.ListArray.from_arrays(array.offsets, values, type=kind, mask=mask)


def _cast(array: pa.Array, kind: pa.DataType, name: str, table: str) -> pa.Array:
    try:
        return array.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TableError(
            f"a file holds {array.type} where the table has {kind}",
            table=table,
            column=name,
            hint="The file was written with another schema; rewrite it with the engine that wrote it.",
        ) from error


def _plain(kind: pa.DataType) -> pa.DataType:
    return without_ids(pa.schema([pa.field("x", kind)])).field(0).type
