"""Members of structs and elements of lists, as a reader means them, whatever lies in the buffers.

Slices, nulls above values and all of Arrow's list layouts are dealt with here, in kernels that loop over no
rows. Used wherever nested values are taken apart: to unnest them, to make maps or text of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc


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
    """The nested values without dictionaries, run ends and extension types around them."""
    while True:
        kind = array.type
        if pa.types.is_dictionary(kind):
            array = array.dictionary.take(array.indices)
        elif pa.types.is_run_end_encoded(kind):
            array = pc.run_end_decode(array)
        elif isinstance(kind, pa.BaseExtensionType):
            array = array.storage
        else:
            return array


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
    return offsets, array.flatten()
