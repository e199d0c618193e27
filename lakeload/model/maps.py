"""Objects as maps: what becomes of an object whose keys are data.

Normalize turns a column of objects into one of maps where a policy asks for it or where the keys are too
many for columns. A member that is null is one that is missing; the map has no entry for it.
"""

from __future__ import annotations

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.carry import as_map, carry, without_ids
from lakeload.model.nested_arrays import members
from lakeload.model.text import source_name, to_text
from lakeload.model.types import storage_type, widen


def struct_to_map(array: pa.Array) -> pa.Array:
    """Structs as maps from the names of their members, in the source, to the values.

    The values keep the type of the members if they have one, else get the least type that holds all of
    them, and become text where there is none or a value does not survive it.

    Args:
        array: Structs, not encoded.

    Returns:
        Maps from text, entries sorted by name; null where the struct was.

    Raises:
        SchemaError: A member has a type that cannot be stored.

    Example:
        >>> struct_to_map(pa.array([{"a": 1, "b": None}, {"b": 2.5}])).to_pylist()
        [[('a', 1.0)], [('b', 2.5)]]
    """
    source = array.type
    names = [source_name(source.field(i)) for i in range(source.num_fields)]
    typed = [
        (name, without_ids(part))
        for name, part in zip(names, members(array), strict=True)
        if not pa.types.is_null(part.type)
    ]
    value, items = _alike([part for _, part in typed])
    kind = pa.map_(pa.field("key", pa.string(), nullable=False), pa.field("value", value))
    return as_map(pa.array([name for name, _ in typed], pa.string()), items, array, kind)


def _alike(parts: list[pa.Array]) -> tuple[pa.DataType, list[pa.Array]]:
    """The members in one type."""
    kinds = [part.type for part in parts]
    if not parts:
        return pa.null(), []
    if all(kind.equals(kinds[0]) for kind in kinds):
        return kinds[0], parts
    value = None
    for kind in kinds:
        stored = storage_type(kind, ("iceberg",))
        if stored is not None:
            value = stored if value is None else widen(value, stored, text=True)
    value = value or pa.string()
    try:
        return value, [carry(part, value, "value") for part in parts]
    except SchemaError:  # whole numbers beyond doubles among fractions, say
        return pa.string(), [to_text(part) for part in parts]
