"""Storage types: the types a table column can have, and how two of them widen into one.

Every stage after normalize sees only these types. `storage_type` maps what a source delivers to what is
stored; `widen` is the lattice by which columns grow, with text on top of it if that is wanted. Both decide
on types alone: whether each *value* fits is checked where it is converted.

| Arrow type | stored as |
|---|---|
| bool | bool |
| int8, int16, int32, uint8, uint16 | int32 |
| int64, uint32 | int64 |
| uint64 | decimal128(20, 0) |
| float16, float32 | float32 |
| float64 | float64 |
| decimal32/64/128/256 of at most 38 digits | decimal128(p, s) with 0 ≤ s ≤ p |
| string, large_string, string_view | string |
| binary, large_binary, binary_view, fixed_size_binary | binary |
| date32, date64 | date32 |
| timestamp without zone, any unit | timestamp[us] |
| timestamp of any zone, any unit | timestamp[us, UTC]: the instant is kept, the zone's name is not |
| time32, time64 | time64[us]; refused where Delta is written, which has no such type |
| list, large_list, list_view, fixed_size_list | list |
| struct, map | struct, map |
| dictionary, run_end_encoded | as their values |
| extension `arrow.uuid` | string, in the form 8-4-4-4-12 |
| other extension types | as their storage |
| null, struct without storable members, lists and maps of these | nothing, until a type shows |
| duration, interval, union | refused |

The types are those the Delta protocol ("Primitive Types") and the Iceberg specification ("Primitive
Types") have in common, plus Iceberg's time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, overload

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.naming import SOURCE

MAX_PRECISION = 38
"""Digits of the widest decimal either format stores."""

_INT_DIGITS = {pa.int32(): 10, pa.int64(): 19}
_FLOATS = (pa.float32(), pa.float64())

_LEAVES: dict[pa.DataType, pa.DataType] = {
    pa.bool_(): pa.bool_(),
    **dict.fromkeys((pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16()), pa.int32()),
    **dict.fromkeys((pa.int64(), pa.uint32()), pa.int64()),
    pa.uint64(): pa.decimal128(20, 0),
    **dict.fromkeys((pa.float16(), pa.float32()), pa.float32()),
    pa.float64(): pa.float64(),
    **dict.fromkeys((pa.string(), pa.large_string(), pa.string_view()), pa.string()),
    **dict.fromkeys((pa.binary(), pa.large_binary(), pa.binary_view()), pa.binary()),
    **dict.fromkeys((pa.date32(), pa.date64()), pa.date32()),
}


def storage_type(kind: pa.DataType, formats: Sequence[str]) -> pa.DataType | None:
    """The type a column of this Arrow type is stored as; see the table above.

    Members of the result are optional and carry no metadata; names of struct members stay as they are.

    Args:
        kind: Type the source delivers.
        formats: Formats the table is published in, of `("delta", "iceberg")`.

    Returns:
        The storage type, or `None` when there is nothing to store yet.

    Raises:
        SchemaError: The type cannot be stored; the hint says what to do.

    Example:
        >>> storage_type(pa.timestamp("ns", "Europe/Berlin"), ("delta",))
        TimestampType(timestamp[us, tz=UTC])
    """
    found = _LEAVES.get(kind)
    if found is not None:
        return found
    for test, convert in _FAMILIES:
        if test(kind):
            return convert(kind, formats)
    raise SchemaError(f"the type {kind} cannot be stored", hint=_remedy(kind))


def _decimal(kind: pa.DataType, _formats: Sequence[str]) -> pa.DataType:
    # Arrow also allows negative scales (trailing zeros left out) and scales beyond the precision.
    scale = max(kind.scale, 0)
    precision = max(kind.precision + (scale - kind.scale), scale)
    if precision > MAX_PRECISION:
        raise SchemaError(
            f"the type {kind} needs more than {MAX_PRECISION} digits",
            hint=f"Cast it to a decimal of at most {MAX_PRECISION} digits, or hint the column as string.",
        )
    return pa.decimal128(precision, scale)


def _timestamp(kind: pa.DataType, _formats: Sequence[str]) -> pa.DataType:
    return pa.timestamp("us", "UTC" if kind.tz else None)


def _time(kind: pa.DataType, formats: Sequence[str]) -> pa.DataType:
    if "delta" in formats:
        raise SchemaError(
            f"the type {kind} cannot be stored in Delta, which has no time of day",
            hint="Hint the column as string to keep it as ISO text, or load into Iceberg only.",
        )
    return pa.time64("us")


def _struct(kind: pa.DataType, formats: Sequence[str]) -> pa.DataType | None:
    members = [
        (kind.field(i).name, storage_type(kind.field(i).type, formats)) for i in range(kind.num_fields)
    ]
    stored = [pa.field(name, member) for name, member in members if member is not None]
    return pa.struct(stored) if stored else None


def _list(kind: pa.DataType, formats: Sequence[str]) -> pa.DataType | None:
    element = storage_type(kind.value_type, formats)
    return None if element is None else pa.list_(pa.field("element", element))


def _map(kind: pa.DataType, formats: Sequence[str]) -> pa.DataType | None:
    key, value = storage_type(kind.key_type, formats), storage_type(kind.item_type, formats)
    if key is None or value is None:
        return None
    return pa.map_(pa.field("key", key, nullable=False), pa.field("value", value))


def _extension(kind: pa.DataType, formats: Sequence[str]) -> pa.DataType | None:
    return pa.string() if is_uuid(kind) else storage_type(kind.storage_type, formats)


def is_uuid(kind: pa.DataType) -> bool:
    """Whether this is Arrow's canonical extension type for UUIDs."""
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.uuid"


def is_text(kind: pa.DataType) -> bool:
    """Whether this is text in any of Arrow's layouts, not encoded."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether this is any of Arrow's five list types."""
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


_Family = tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType, Sequence[str]], "pa.DataType | None"]]
_FAMILIES: tuple[_Family, ...] = (
    (pa.types.is_null, lambda _kind, _formats: None),
    (pa.types.is_decimal, _decimal),
    (pa.types.is_timestamp, _timestamp),
    (pa.types.is_time, _time),
    (pa.types.is_fixed_size_binary, lambda _kind, _formats: pa.binary()),
    (pa.types.is_struct, _struct),
    (is_list, _list),
    (pa.types.is_map, _map),
    (pa.types.is_dictionary, lambda kind, formats: storage_type(kind.value_type, formats)),
    (pa.types.is_run_end_encoded, lambda kind, formats: storage_type(kind.value_type, formats)),
    (lambda kind: isinstance(kind, pa.BaseExtensionType), _extension),
)


def _remedy(kind: pa.DataType) -> str:
    if pa.types.is_duration(kind):
        return f"Hint the column as int64 to store the count of {kind.unit}."
    if pa.types.is_union(kind):
        return "Split it into one column per type before loading."
    return "Cast it to text or to a struct of numbers before loading."


@overload
def widen(a: pa.DataType, b: pa.DataType, *, text: Literal[True]) -> pa.DataType: ...
@overload
def widen(a: pa.DataType, b: pa.DataType, *, text: bool = False) -> pa.DataType | None: ...
def widen(a: pa.DataType, b: pa.DataType, *, text: bool = False) -> pa.DataType | None:
    """The least storage type that holds every value of both, or `None` when there is none.

    | of | and | holds both |
    |---|---|---|
    | int32 | int64 | int64 |
    | int32, int64, decimal | decimal | decimal128 with the digits of both before and after the point |
    | int32, int64, float32 | float32, float64 | float64; each integer must then be exact, up to 2⁵³ |
    | date32 | timestamp[us] | timestamp[us] |
    | struct | struct | struct with the members of both, those of `a` first |
    | list, map | the same | the same, widened inside |
    | struct | map | with `text`: map from text to what holds all members and values |
    | anything else, at any depth, or more than 38 digits | | with `text`: string |

    With `text` this is a lattice with string on top: neither the order of types nor that of arguments
    changes what they widen to. Values then become text by the rules of `lakeload.model.text`. Without it,
    the numbers and moments of the result mean what they meant.

    Metadata and order of struct members come from `a`, metadata of what changes its kind from nowhere.

    Args:
        a: Storage type.
        b: Storage type.
        text: Widen what has nothing else in common to text, and objects to maps.

    Example:
        >>> widen(pa.int64(), pa.decimal128(10, 2))
        Decimal128Type(decimal128(21, 2))
        >>> widen(pa.struct([("a", pa.bool_())]), pa.struct([("a", pa.date32())]), text=True)
        StructType(struct<a: string>)
    """
    if pa.types.is_struct(a) and pa.types.is_struct(b):
        found = _widen_struct(a, b, text)
    elif pa.types.is_list(a) and pa.types.is_list(b):
        element = _widen_field(a.value_field, b.value_field, text)
        found = None if element is None else pa.list_(element.with_name("element"))
    elif text and _is_object(a) and _is_object(b) and pa.types.is_struct(a) != pa.types.is_struct(b):
        found = widen(map_type(a), map_type(b), text=True)
    elif pa.types.is_map(a) and pa.types.is_map(b):
        key = _widen_field(a.key_field, b.key_field, text)
        value = _widen_field(a.item_field, b.item_field, text)
        found = None if key is None or value is None else pa.map_(key.with_nullable(False), value)
    else:
        found = a if a.equals(b) else _widen_leaf(a, b)
    return pa.string() if found is None and text else found


def map_type(kind: pa.DataType) -> pa.DataType:
    """What a struct is as a map: from text to the least type that holds all its members.

    Args:
        kind: Storage type: a struct, or a map, which stays as it is.

    Example:
        >>> str(map_type(pa.struct([("a", pa.int32()), ("b", pa.float32())])))
        'map<string, double>'
    """
    if pa.types.is_map(kind):
        return kind
    value = None
    for member in (_bare(kind.field(i).type) for i in range(kind.num_fields)):
        value = member if value is None else widen(value, member, text=True)
    return pa.map_(pa.field("key", pa.string(), nullable=False), pa.field("value", value or pa.string()))


def _is_object(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind) or pa.types.is_map(kind))


def _bare(kind: pa.DataType) -> pa.DataType:
    """The type with source names, by which the values of the map are known later, and no other metadata.

    Field ids belong to one place, and many become one.
    """
    if pa.types.is_struct(kind):
        members = [kind.field(i) for i in range(kind.num_fields)]
        return pa.struct(
            [pa.field(member.name, _bare(member.type), metadata=_source(member)) for member in members]
        )
    if pa.types.is_list(kind):
        return pa.list_(pa.field("element", _bare(kind.value_type)))
    if pa.types.is_map(kind):
        key = pa.field("key", _bare(kind.key_type), nullable=False)
        return pa.map_(key, pa.field("value", _bare(kind.item_type)))
    return kind


def _source(field: pa.Field) -> dict[bytes, bytes] | None:
    source = (field.metadata or {}).get(SOURCE)
    return None if source is None else {SOURCE: source}


def _widen_field(a: pa.Field, b: pa.Field, text: bool) -> pa.Field | None:  # noqa: FBT001 - passed on as it came
    kind = widen(a.type, b.type, text=text)
    return None if kind is None else a.with_type(kind).with_nullable(a.nullable or b.nullable)


def _widen_struct(a: pa.DataType, b: pa.DataType, text: bool) -> pa.DataType | None:  # noqa: FBT001 - as above
    others = {b.field(i).name: b.field(i) for i in range(b.num_fields)}
    members: list[pa.Field] = []
    for member in (a.field(i) for i in range(a.num_fields)):
        other = others.pop(member.name, None)
        merged = member.with_nullable(True) if other is None else _widen_field(member, other, text)
        if merged is None:
            return None
        members.append(merged)
    return pa.struct([*members, *(other.with_nullable(True) for other in others.values())])


def _widen_leaf(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    kinds = {a, b}
    if kinds == {pa.int32(), pa.int64()}:
        return pa.int64()
    if kinds == {pa.date32(), pa.timestamp("us")}:
        return pa.timestamp("us")
    if all(kind in _FLOATS or kind in _INT_DIGITS for kind in kinds):
        return pa.float64()
    digits = [_digits(kind) for kind in kinds]
    if None in digits:
        return None
    whole = max(found[0] for found in digits if found)
    scale = max(found[1] for found in digits if found)
    return pa.decimal128(whole + scale, scale) if whole + scale <= MAX_PRECISION else None


def _digits(kind: pa.DataType) -> tuple[int, int] | None:
    """Digits before and after the point; `None` for what is no exact number."""
    if kind in _INT_DIGITS:
        return _INT_DIGITS[kind], 0
    return (kind.precision - kind.scale, kind.scale) if pa.types.is_decimal(kind) else None
