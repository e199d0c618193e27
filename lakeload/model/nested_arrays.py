"""Members of structs and elements of lists, as a reader means them, whatever lies in the buffers.

Slices, nulls above values and all of Arrow's list layouts are dealt with here, in kernels that loop over no
rows. Used wherever nested values are taken apart: to unnest them, to make maps or text of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.relabel import relabel
from lakeload.model.schema import children
from lakeload.model.types import is_uuid


@dataclass(frozen=True, slots=True)
class Elements:
    """The elements of a list column, as the rows of a table.

    Args:
        parents: Row of the list column each element comes from; int64, ascending.
        positions: Place of the element within its list, from 0; int64.
        values: The elements. Those of null lists are not among them.
    """

    parents: pa.Array
    positions: pa.Array
    values: pa.Array


def bare(array: pa.Array) -> pa.Array:
    """The values in a type Arrow's kernels know: no encodings, views, or extension types but UUIDs."""
    while True:
        kind = array.type
        if pa.types.is_run_end_encoded(kind):
            array = pc.run_end_decode(array)
        elif pa.types.is_dictionary(kind):
            array = bare(array.dictionary).take(array.indices)
        elif isinstance(kind, pa.BaseExtensionType) and not is_uuid(kind):
            array = array.storage
        elif pa.types.is_string_view(kind):
            return array.cast(pa.large_string())
        elif pa.types.is_binary_view(kind):
            return array.cast(pa.large_binary())
        else:
            return array


def nulls(length: int, kind: pa.DataType) -> pa.Array:
    """Nothing but nulls.

    Arrow's own puts nulls into the members of structs, too, where Parquet refuses them in required ones.

    Example:
        >>> nulls(2, pa.struct([pa.field("zip", pa.string(), nullable=False)])).field(0).null_count
        0
    """
    return pa.array([None] * length, kind) if pa.types.is_struct(kind) else pa.nulls(length, kind)


def as_list(array: pa.MapArray) -> pa.ListArray:
    """A map as the list of structs of `key` and `value` that it is in memory.

    Arrow's own cast loses elements of structs of nothing but nulls.
    """
    fields = [array.type.key_field.with_name("key"), array.type.item_field.with_name("value")]
    return relabel(array, pa.list_(pa.field("element", pa.struct(fields), nullable=False)))


def members(array: pa.Array) -> list[pa.Array]:
    """The members of a struct column as columns of their own; null where the struct is.

    Example:
        >>> [column.to_pylist() for column in members(pa.array([{"a": 1, "b": 2}, None]))]
        [[1, None], [2, None]]
    """
    parts = [array.field(i) for i in range(array.type.num_fields)]
    if not array.null_count:
        return parts
    # Arrow aborts or refuses where a parent's nulls would go into arrays that have no place for them.
    parts = [pc.run_end_decode(part) if pa.types.is_run_end_encoded(part.type) else part for part in parts]
    able = [i for i, part in enumerate(parts) if not pa.types.is_union(part.type)]
    masked = pa.StructArray.from_arrays(
        [parts[i] for i in able], names=[str(i) for i in able], mask=array.is_null()
    )
    for i, part in zip(able, masked.flatten(), strict=True):
        parts[i] = part
    return parts


def elements(array: pa.Array) -> Elements:
    """The elements of a column of lists of any of the five kinds.

    Example:
        >>> found = elements(pa.array([["a", "b"], None, ["c"]]))
        >>> found.parents.to_pylist(), found.positions.to_pylist(), found.values.to_pylist()
        ([0, 0, 2], [0, 1, 0], ['a', 'b', 'c'])
    """
    offsets, values = dense(array)
    # Of the lists themselves Arrow would also count elements under null lists, which are not in `values`.
    parents = pc.list_parent_indices(pa.LargeListArray.from_arrays(offsets, pa.nulls(len(values))))
    positions = pc.subtract(pa.arange(0, len(values)), offsets.take(parents))
    return Elements(parents, positions, values)


def dense(array: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Offsets (int64, from 0) and exactly the elements they refer to, of a column of lists of any kind."""
    lengths = pc.list_value_length(array).cast(pa.int64())
    if array.null_count:
        lengths = pc.fill_null(lengths, 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths)])
    if array.null_count and (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)):
        first, size = array.offsets[0].as_py(), offsets[-1].as_py()
        if array.offsets[-1].as_py() - first == size:  # nothing under null lists: no need for a copy
            return offsets, array.values.slice(first, size)
    return offsets, array.flatten()


def has_required(kind: pa.DataType) -> bool:
    """Whether members of objects somewhere in the type must have a value."""
    if pa.types.is_struct(kind):
        return any(not field.nullable or has_required(field.type) for field in kind)
    return any(has_required(field.type) for field in children(kind))


def settled(array: pa.Array, live: pa.Array | None = None) -> pa.Array:
    """The same values, with nothing null in required members where the object itself is.

    What lies there is nobody's value, but Parquet refuses nulls in required members wherever they lie. A null
    in an object that is there stays, to be refused.

    Args:
        array: A column.
        live: Where there are values at all, as booleans; `None` for everywhere.

    Example:
        >>> kind = pa.struct([pa.field("zip", pa.string(), nullable=False)])
        >>> settled(pa.nulls(2, kind)).field(0).null_count
        0
    """
    kind = array.type
    if not has_required(kind):
        return array
    mask = array.is_null() if array.null_count else None
    if pa.types.is_struct(kind):
        there = array.is_valid() if live is None else pc.and_(live, array.is_valid())
        parts = [_required(array.field(i), kind.field(i), there) for i in range(kind.num_fields)]
        made = pa.StructArray.from_arrays(parts, names=[field.name for field in kind], mask=mask)
        return relabel(made, kind)  # Arrow takes no nulls where the type has none
    offsets, values = dense(as_list(array) if pa.types.is_map(kind) else array)
    values = settled(values)
    if pa.types.is_map(kind):
        parts = [values.field(0), values.field(1)]
        return pa.MapArray.from_arrays(offsets.cast(pa.int32()), *parts, kind, mask=mask)
    if pa.types.is_large_list(kind):
        return pa.LargeListArray.from_arrays(offsets, values, kind, mask=mask)
    return pa.ListArray.from_arrays(offsets.cast(pa.int32()), values, kind, mask=mask)


def recast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch under a schema of the same columns, where Arrow's cast minds what `settled` takes out."""
    for position, field in enumerate(batch.schema):
        if has_required(field.type):
            batch = batch.set_column(position, field, settled(batch.column(position)))
    return batch.cast(schema)


def _required(array: pa.Array, field: pa.Field, there: pa.Array) -> pa.Array:
    """A member of an object; if it is required, without nulls where the object is null."""
    array = settled(array, there)
    if field.nullable or not array.null_count or pc.any(pc.and_(there, array.is_null())).as_py():
        return array
    kind = array.type
    if pa.types.is_struct(kind):
        parts = [array.field(i) for i in range(kind.num_fields)]
        return relabel(pa.StructArray.from_arrays(parts, names=[field.name for field in kind]), kind)
    if pa.types.is_map(kind):
        offsets, entries = dense(as_list(array))
        return pa.MapArray.from_arrays(offsets.cast(pa.int32()), entries.field(0), entries.field(1), kind)
    if pa.types.is_nested(kind):
        offsets, values = dense(array)
        if pa.types.is_large_list(kind):
            return pa.LargeListArray.from_arrays(offsets, values, kind)
        return pa.ListArray.from_arrays(offsets.cast(pa.int32()), values, kind)
    # The bytes that lie under nulls become values: which ones they are, nobody sees.
    return pa.Array.from_buffers(kind, len(array), [None, *array.buffers()[1:]], 0, array.offset)
