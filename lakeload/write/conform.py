"""Rows in the shape of the table: the check at the writer's door, and the cast to a wider schema.

`admit` keeps columns as they are where Parquet stores the same bytes either way (dictionary-encoded or
large strings), so nothing is copied. `convert` really changes types, by `lakeload.model.carry`, and fills
columns the rows do not have with nulls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.carry import carry, position_of
from lakeload.model.evolution import same_type
from lakeload.model.naming import SOURCE
from lakeload.model.nested_arrays import has_required, nulls, settled
from lakeload.model.relabel import relabel
from lakeload.model.schema import children, field_id, with_children

T = TypeVar("T", pa.RecordBatch, pa.Table)

_VIEW_SLICES = 32
_VIEW_ROWS = 64


def admit(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch under the table's names, field ids and nullability.

    Raises:
        SchemaError: A column is missing, unknown, or of another type.
    """
    if batch.schema.names != schema.names:
        odd = sorted(set(batch.schema.names) ^ set(schema.names)) or ["order"]
        raise SchemaError("the rows do not have the table's columns", column=odd[0])
    columns, fields = [], []
    for field, column in zip(schema, batch.columns, strict=True):
        if pa.types.is_dictionary(column.type) and column.dictionary.null_count:
            column = column.dictionary_decode()  # noqa: PLW2901 - Parquet has no null in a dictionary
        kept = column if _stores_as(column.type, field.type) else _same(column, field)
        columns.append(kept)
        fields.append(field.with_type(kept.type) if _is_text(field.type) else field)
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _stores_as(kind: pa.DataType, target: pa.DataType) -> bool:
    if kind == target:
        # Equality ignores the metadata of nested fields, where the field ids are.
        return not pa.types.is_nested(kind) or kind.equals(target, check_metadata=True)
    if pa.types.is_dictionary(kind):
        return _is_text(target) and kind.value_type == target
    if pa.types.is_string(target):
        return pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if pa.types.is_binary(target):
        return pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    return False


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_binary(kind)


def _same(column: pa.Array, field: pa.Field) -> pa.Array:
    """The column relabelled with the nested field ids; texts inside may be of another Arrow layout."""
    if not _alike(column.type, field.type):
        raise SchemaError(f"the rows have {column.type} where the table has {field.type}", column=field.name)
    return carry(column, field.type, field.name)


def _alike(kind: pa.DataType, target: pa.DataType) -> bool:
    if _stores_as(kind, target) or kind == target:
        return True
    if pa.types.is_dictionary(kind):
        return _alike(kind.value_type, target)
    ours, theirs = children(kind), children(target)
    return (
        bool(ours)
        and [field.name for field in ours] == [field.name for field in theirs]
        and all(_alike(one.type, other.type) for one, other in zip(ours, theirs, strict=True))
    )


def convert(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The rows under another schema: columns matched by field id, else by name; missing ones are null.

    Raises:
        SchemaError: A value does not survive the cast, or a required column is missing.

    Example:
        >>> rows = pa.record_batch({"a": pa.array([1], pa.int32())})
        >>> convert(rows, pa.schema([("a", pa.int64()), ("b", pa.string())])).to_pylist()
        [{'a': 1, 'b': None}]
    """
    columns = []
    have = list(batch.schema)
    for place, field in enumerate(schema):
        position = counterpart(field, have, place)
        if position is None:
            if not field.nullable and batch.num_rows:
                raise SchemaError("a required column has no values", column=field.name)
            columns.append(nulls(batch.num_rows, field.type))
        else:
            columns.append(carry(batch.column(position), field.type, field.name))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def counterpart(field: pa.Field, among: Sequence[pa.Field], place: int) -> int | None:
    """Which of the fields is the same column, most likely that at `place`: a search takes its time."""
    there = among[place] if place < len(among) else None
    same = there is not None and None is not field_id(there) == field_id(field)
    return place if same else position_of(field, among)


def sourced(batch: pa.RecordBatch, before: pa.Schema, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with source names inside the objects that stay no objects.

    Args:
        batch: Rows as files hold them, which do not tell the names.
        before: The schema they were written with, names included.
        schema: The schema they are for.
    """
    for i, field in enumerate(batch.schema):
        known, wanted = position_of(field, list(before)), position_of(field, list(schema))
        if known is None or wanted is None or same_type(before.field(known).type, schema.field(wanted).type):
            continue
        kind = _with_sources(field.type, before.field(known).type)
        if not kind.equals(field.type, check_metadata=True):
            batch = batch.set_column(i, field.with_type(kind), relabel(batch.column(i), kind))
    return batch


def _with_sources(kind: pa.DataType, known: pa.DataType) -> pa.DataType:
    ours, theirs = children(kind), children(known)
    if not ours or kind.id != known.id:
        return kind
    fields: list[pa.Field] = []
    for field in ours:
        # The names of a list's element and of a map's parts are the file's own affair.
        i = position_of(field, theirs) if pa.types.is_struct(kind) else len(fields)
        if i is not None:
            found = (theirs[i].metadata or {}).get(SOURCE)
            metadata = dict(field.metadata or {}) | ({} if found is None else {SOURCE: found})
            inner = _with_sources(field.type, theirs[i].type)
            field = pa.field(field.name, inner, field.nullable, metadata or None)  # noqa: PLW2901 - the same field, completed
        fields.append(field)
    return with_children(kind, fields)


def narrower(old: pa.DataType, new: pa.DataType) -> bool:
    """True when a type both have differs, at any depth; members that only one struct has do not count."""
    theirs = children(new)
    if not theirs or type(old) is not type(new):
        return bool(old != new)
    ours = children(old)
    return any(
        narrower(ours[position].type, field.type)
        for field in theirs
        if (position := position_of(field, ours)) is not None
    )


def unify(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """One table of batches whose text columns may come in different Arrow layouts."""
    first = batches[0].schema
    if all(batch.schema.equals(first, check_metadata=True) for batch in batches):
        return pa.Table.from_batches(batches)
    return pa.Table.from_batches([convert(batch, schema) for batch in batches])


def without_views(rows: T) -> T:
    """String views as large strings: Arrow cannot pick rows out of views."""
    for position, field in enumerate(rows.schema):
        if _is_view(field.type):
            kind = pa.large_string() if pa.types.is_string_view(field.type) else pa.large_binary()
            rows = rows.set_column(position, field.with_type(kind), rows.column(position).cast(kind))
    return rows


def with_settled_members(rows: pa.Table) -> pa.Table:
    """The rows with nothing null in required members of objects that are null, as Parquet wants them."""
    for position, field in enumerate(rows.schema):
        if has_required(field.type):
            chunks = [settled(chunk) for chunk in rows.column(position).chunks]
            rows = rows.set_column(position, field, pa.chunked_array(chunks, field.type))
    return rows


def with_own_dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with copies of its dictionaries.

    Rows picked from a batch share its dictionaries, and with them the memory of all that came along.
    """
    for position, field in enumerate(batch.schema):
        if pa.types.is_dictionary(field.type):
            column = batch.column(position)
            copied = column.dictionary.take(pa.array(range(len(column.dictionary)), pa.int64()))
            column = pa.DictionaryArray.from_arrays(column.indices, copied)
            batch = batch.set_column(position, field, column)
    return batch


def _is_view(kind: pa.DataType) -> bool:
    return pa.types.is_string_view(kind) or pa.types.is_binary_view(kind)


def row_bytes(rows: pa.RecordBatch | pa.Table) -> int:
    """Arrow bytes of the rows. Views are estimated: a slice of one counts its parent's texts otherwise."""
    return sum(_column_bytes(column) for column in rows.columns)


def _column_bytes(column: pa.Array | pa.ChunkedArray) -> int:
    if not _is_view(column.type):
        return int(column.nbytes)
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return sum(_view_bytes(chunk) for chunk in chunks)


def _view_bytes(column: pa.Array) -> int:
    step = max(1, len(column) // _VIEW_SLICES)
    picked = [column.slice(at, _VIEW_ROWS) for at in range(0, len(column), max(step, _VIEW_ROWS))]
    seen = sum(map(len, picked))
    content = sum(part.cast(pa.large_binary()).nbytes for part in picked)
    return content * len(column) // max(seen, 1)
