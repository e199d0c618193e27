"""Columns of a data file in the shape of the table, matched by field id at every depth.

The way back from extract → … → commit: what `iceberg_scan` and `delta_scan` do with every batch. Members
a file does not have become null; nulls of lists, maps and structs stay nulls, which libraries do not
promise.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from lakeload.errors import TableError
from lakeload.model.relabel import relabel
from lakeload.model.schema import children, field_id, without_ids


def members(have: list[pa.Field], arrays: Any, want: list[pa.Field], rows: int, table: str) -> list[pa.Array]:
    """One array per wanted field: the one of the same id, or nulls.

    Args:
        have: Fields of the file, with field ids.
        arrays: Their values.
        want: Fields of the table, with field ids.
        rows: Rows of every array.
        table: Table name, for messages.

    Raises:
        TableError: A file holds a type that does not fit the table's.
    """
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
        return relabel(array, _plain(want.type)) if children(want.type) else array
    kind = _plain(want.type)
    inner, wanted = children(have.type), children(want.type)
    if not wanted:
        return _cast(array, kind, want.name, table)
    if array.offset:  # children of a slice are not aligned with it
        array = pa.concat_arrays([array, array.slice(0, 0)])
    mask = array.is_null() if array.null_count else None
    if pa.types.is_struct(kind):
        arrays = [array.field(position) for position in range(len(inner))]
        inside = members(inner, arrays, wanted, len(array), table)
        return pa.StructArray.from_arrays(inside, fields=list(kind), mask=mask)
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
