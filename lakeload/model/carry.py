"""Data of an older type carried into the wider one its column has got.

`types.widen` says what a column becomes; this is what becomes of its values: in rows a load has not
written yet, in its files, in the files of the table, and wherever objects turn into maps. Exact or refused,
null stays null, and the way a value takes, at once or through types between, does not show.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SchemaError
from lakeload.model.relabel import relabel
from lakeload.model.schema import FIELD_ID, children, field_id, with_children
from lakeload.model.text import source_name, to_text
from lakeload.model.types import is_text

_UINT64_DIGITS = 20


def carry(array: pa.Array, kind: pa.DataType, path: str) -> pa.Array:
    """The array as `kind`, exactly; members of structs are matched by field id, else by name.

    Args:
        array: Of a storage type, text and bytes in any of Arrow's layouts.
        kind: The same type or one it widens to, with `text` or without.
        path: Column path, for messages.

    Raises:
        SchemaError: A value does not survive.

    Example:
        >>> wide = pa.map_(pa.string(), pa.string())
        >>> carry(pa.array([{"a": 1, "b": "x"}, {"b": "y"}]), wide, "tags").to_pylist()
        [[('a', '1'), ('b', 'x')], [('b', 'y')]]
    """
    if array.type.equals(kind, check_metadata=True):
        return array
    try:
        return _carried(array, kind, path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        text = str(error).splitlines()[0]
        raise SchemaError(f"cannot turn {array.type} into {kind}: {text}", column=path) from error


def _carried(array: pa.Array, kind: pa.DataType, path: str) -> pa.Array:
    source = array.type
    if pa.types.is_nested(kind) and type(source) is type(kind):
        return _nested(array, kind, path)
    if pa.types.is_struct(source) and pa.types.is_map(kind):
        parts = array.flatten()
        names = [source_name(source.field(i)) for i in range(source.num_fields)]
        keys = carry(pa.array(names, pa.string()), kind.key_type, f"{path}.key")
        items = [carry(without_ids(part), kind.item_type, f"{path}.value") for part in parts]
        return as_map(keys, items, array, kind)
    if pa.types.is_string(kind) and not _holds_text(source):
        return to_text(array)
    if pa.types.is_dictionary(source):
        array = array.dictionary_decode()
    if pa.types.is_integer(array.type) and pa.types.is_decimal(kind):
        # Arrow asks the target for room for every integer, not for those that are there.
        array = array.cast(pa.decimal128(_UINT64_DIGITS, 0))
    return array.cast(kind, safe=True)


def _holds_text(kind: pa.DataType) -> bool:
    return is_text(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _nested(array: pa.Array, kind: pa.DataType, path: str) -> pa.Array:
    if array.offset:  # children of a slice are not aligned with it
        array = pa.concat_arrays([array, array.slice(0, 0)])
    mask = array.is_null() if array.null_count else None
    if pa.types.is_struct(kind):
        # flatten() puts the parent's nulls into the children, so that what lies under them is not judged.
        ours, parts, inner = children(array.type), array.flatten(), []
        for field in children(kind):
            position = position_of(field, ours)
            inner.append(
                pa.nulls(len(array), field.type)
                if position is None
                else carry(parts[position], field.type, f"{path}.{field.name}")
            )
        return pa.StructArray.from_arrays(inner, fields=children(kind), mask=mask)
    if pa.types.is_map(kind):
        keys = carry(array.keys, kind.key_type, f"{path}.key")
        items = carry(array.items, kind.item_type, f"{path}.value")
        return pa.MapArray.from_arrays(array.offsets, keys, items, type=kind, mask=mask)
    values = carry(array.values, kind.value_type, f"{path}.element")
    offsets = array.offsets.cast(pa.int64() if pa.types.is_large_list(kind) else pa.int32())
    maker = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
    return maker.from_arrays(offsets, values, type=kind, mask=mask)


def position_of(field: pa.Field, among: Sequence[pa.Field]) -> int | None:
    """Which of some fields is the same column: by field id, else by name where one has no id."""
    wanted = field_id(field)
    if wanted is not None:
        for position, other in enumerate(among):
            if field_id(other) == wanted:
                return position
    for position, other in enumerate(among):
        if other.name == field.name and (wanted is None or field_id(other) is None):
            return position
    return None


def as_map(keys: pa.Array, items: Sequence[pa.Array], array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Structs as maps: members that are null are left out, the others sorted by name.

    Args:
        keys: Name of each member, as the map's keys.
        items: Values of each member, null where the struct is; all of the map's value type.
        array: The structs.
        kind: The map type.
    """
    rows, members, values = [], [], []
    counts = pa.repeat(pa.scalar(0, pa.int32()), len(array))
    for i in pc.sort_indices(keys).to_pylist():
        present = items[i].is_valid()
        counts = pc.add(counts, present.cast(pa.int32()))
        rows.append(pc.indices_nonzero(present))
        members.append(pa.repeat(pa.scalar(i, pa.int64()), len(rows[-1])))
        values.append(items[i].drop_null())
    mask = array.is_null() if array.null_count else None
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(counts)])
    if not rows:
        nothing = pa.nulls(0, kind.item_type)
        return pa.MapArray.from_arrays(offsets, keys.slice(0, 0), nothing, type=kind, mask=mask)
    # Members one after the other, brought into the order of rows; a stable sort keeps members in theirs.
    turned = pc.sort_indices(pa.concat_arrays(rows))
    found = keys.take(pa.concat_arrays(members).take(turned))
    return pa.MapArray.from_arrays(
        offsets, found, pa.concat_arrays(values).take(turned), type=kind, mask=mask
    )


def without_ids(array: pa.Array) -> pa.Array:
    """The array without field ids inside: below a map, members are matched by name alone."""
    kind = _without_ids(array.type)
    return array if kind.equals(array.type, check_metadata=True) else relabel(array, kind)


def _without_ids(kind: pa.DataType) -> pa.DataType:
    fields = [_stripped(field) for field in children(kind)]
    if pa.types.is_large_list(kind):
        return pa.large_list(fields[0])
    return with_children(kind, fields) if fields else kind


def _stripped(field: pa.Field) -> pa.Field:
    metadata = {key: value for key, value in (field.metadata or {}).items() if key != FIELD_ID}
    return pa.field(field.name, _without_ids(field.type), field.nullable, metadata or None)
