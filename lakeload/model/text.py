"""The canonical text of a value: what remains of it when its column becomes text.

Columns whose values have no common type hold text (`types.widen`). The stages that turn values to text all
do it here, be it normalize for rows that come, write for files of this load, or commit for files of the
table, so that a value has one text whichever way it took, and the order of rows never shows.

| value | text |
|---|---|
| text | as it is |
| boolean | `true`, `false` |
| integer | its digits |
| float | whole up to 2⁵³ as an integer, `1.0` → `1`; else as Python writes it: `1.5`, `1e+20` |
| float, no number | `NaN`, `Infinity`, `-Infinity` |
| decimal | plain digits without trailing zeros after the point: `1.50` → `1.5`, `1.00` → `1` |
| date, time | ISO 8601: `2024-05-01`, `12:30:00.25`; no zeros at the end of a fraction |
| timestamp with zone | ISO 8601 in UTC: `2024-05-01T12:30:00Z` |
| timestamp without zone | `2024-05-01T12:30:00`; at midnight as the date it equals: `2024-05-01` |
| duration | ISO 8601: `P1DT3S` |
| bytes | Base64 (RFC 4648, section 4) |
| UUID | `8-4-4-4-12` |
| object: struct or map | compact JSON, members sorted by name, those that are null left out |
| list | compact JSON, with its nulls |

Members of objects go by their names in the source (`lakeload.model.naming`), as the keys of maps do.
Inside JSON, booleans and finite numbers stand as above, everything else as quoted text; characters outside
ASCII stay as they are. Values equal across types have equal texts, because the types widen into each other
on the way: `1`, `1.0` and the decimal `1.00` are all `1`. The one trace of the way is inside objects and
lists: a member that had become text before its parent did is quoted.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.leaf_text import duration_text, float_text, leaf_text, uuid_text
from lakeload.model.naming import source_of, source_parts
from lakeload.model.nested_arrays import as_list, dense, members
from lakeload.model.types import is_list, is_uuid

_SPELLED = 10_000
"""Powers of ten up to which a decimal is spelled without an exponent; no stored decimal has one beyond."""
_ESCAPED = r'["\\\x00-\x1f]'
"""What JSON text must escape (RFC 8259, section 7)."""


def to_text(array: pa.Array) -> pa.Array:
    """The values as canonical text; null stays null.

    Args:
        array: Of any type a column can have, in any of Arrow's layouts.

    Returns:
        An array of `string`.

    Raises:
        pa.ArrowInvalid: A date is outside the years 1 to 9999, or bytes called text are no UTF-8.

    Example:
        >>> to_text(pa.array([1.0, 0.5, None])).to_pylist()
        ['1', '0.5', None]
        >>> to_text(pa.array([{"b": None, "a": [1, None]}])).to_pylist()
        ['{"a":[1,null]}']
    """
    array = _plain(array)
    if pa.types.is_nested(array.type):
        return to_json(array)
    return leaf_text(array)


def to_json(array: pa.Array, *, canonical: bool = True) -> pa.Array:
    """The values as compact JSON text; null stays null.

    Args:
        array: Of any type a column can have.
        canonical: Sort the members of objects by name. Otherwise they keep their order. Members that are
            null are left out in any case, entries of maps that are null only if `canonical`.

    Returns:
        An array of `string`.

    Example:
        >>> to_json(pa.array([{"b": 1, "a": "x"}]), canonical=False).to_pylist()
        ['{"b":1,"a":"x"}']
    """
    array = _plain(array)
    kind = array.type
    if pa.types.is_struct(kind):
        return _struct_json(array, canonical)
    if pa.types.is_map(kind):
        return _map_json(array, canonical)
    if is_list(kind):
        return _list_json(array, canonical)
    text = leaf_text(array)
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_finite(array), text, _quoted(text))
    bare = pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    return text if bare or pa.types.is_null(kind) else _quoted(text)


def text_of(value: object) -> str:
    """The canonical text of one Python value; the same as `to_text` gives for it in an array.

    Raises:
        TypeError: The value is of no known kind.

    Example:
        >>> text_of({"b": dt.date(2024, 5, 1), "a": Decimal("1.50")})
        '{"a":1.5,"b":"2024-05-01"}'
    """
    if isinstance(value, str):
        return str(value)
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return write(value)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _json_of(value)
    raise TypeError(f"a {type(value).__name__} has no canonical text")


def _json_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        present = {text_of(key): item for key, item in value.items() if item is not None}
        return "{" + ",".join(f"{_quote(key)}:{_json_of(present[key])}" for key in sorted(present)) + "}"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ",".join(map(_json_of, value)) + "]"
    if isinstance(value, Decimal):
        bare = value.is_finite()
    else:
        bare = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return text_of(value) if bare else _quote(text_of(value))


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _int_of(value: int) -> str:
    # Python itself refuses to spell integers of more than some thousand digits.
    return str(value) if value.bit_length() < _SPELLED else format(Decimal(value), "f")


def _decimal_of(value: Decimal) -> str:
    if abs(value.adjusted()) > _SPELLED:
        return str(value)
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _datetime_of(value: dt.datetime) -> str:
    if value.tzinfo is not None:
        value = value.astimezone(dt.UTC).replace(tzinfo=None)
        return f"{value.date().isoformat()}T{_time_of(value.time())}Z"
    midnight = value.time() == dt.time()
    return value.date().isoformat() if midnight else f"{value.date().isoformat()}T{_time_of(value.time())}"


def _time_of(value: dt.time) -> str:
    text = value.isoformat()
    return text.rstrip("0") if value.microsecond and value.tzinfo is None else text


def _bytes_of(value: bytes) -> str:
    return base64.b64encode(value).decode()


# Kinds before those they derive from.
_WRITERS: tuple[tuple[type | tuple[type, ...], Callable[..., str]], ...] = (
    (bool, lambda value: "true" if value else "false"),
    (int, lambda value: _int_of(int(value))),
    (float, float_text),
    (Decimal, _decimal_of),
    (dt.datetime, _datetime_of),
    (dt.date, dt.date.isoformat),
    (dt.time, _time_of),
    (dt.timedelta, duration_text),
    ((bytes, bytearray, memoryview), _bytes_of),
    (UUID, str),
)


def _plain(array: pa.Array) -> pa.Array:
    """The array without encodings around its values."""
    while True:
        kind = array.type
        if pa.types.is_dictionary(kind):
            plain = _plain(array.dictionary)  # Arrow cannot look views up
            if pa.types.is_string_view(plain.type) or pa.types.is_binary_view(plain.type):
                plain = plain.cast(pa.string() if pa.types.is_string_view(plain.type) else pa.binary())
            array = plain.take(array.indices)
        elif pa.types.is_run_end_encoded(kind):
            array = pc.run_end_decode(array)
        elif isinstance(kind, pa.BaseExtensionType):
            array = uuid_text(array) if is_uuid(kind) else array.storage
        else:
            return array


def _quoted(text: pa.Array) -> pa.Array:
    """Texts as JSON strings."""
    quoted = pc.binary_join_element_wise('"', text, '"', "")
    special = pc.match_substring_regex(text, _ESCAPED)
    if not pc.any(special).as_py():
        return quoted
    # Arrow cannot escape: a call for each text with a quote, backslash or control character.
    escaped = [_quote(value) for value in text.filter(special).to_pylist()]
    return pc.replace_with_mask(quoted, pc.fill_null(special, False), pa.array(escaped, pa.string()))


def _struct_json(array: pa.Array, canonical: bool) -> pa.Array:  # noqa: FBT001 - passed on as it came
    parts = members(array)
    names = [source_name(array.type.field(i)) for i in range(array.type.num_fields)]
    order = sorted(range(len(names)), key=names.__getitem__) if canonical else range(len(names))
    pieces = []
    for i in order:
        text = to_json(parts[i], canonical=canonical)
        pieces.append(pc.binary_join_element_wise(f",{_quote(names[i])}:", text, ""))
    # The empty text stands first because Arrow leaves out rows in which it skips everything.
    start = pa.array([""] * len(array), pa.string())
    joined = pc.binary_join_element_wise(start, *pieces, "", null_handling="skip")
    return _wrapped("", pc.binary_replace_slice(joined, 0, 1, "{"), "}", array)


def source_name(field: pa.Field) -> str:
    """What the source calls a member: the name it has as data, when its struct becomes text or a map."""
    text = source_of(field)
    return source_parts(text)[-1] if text else str(field.name)


def _list_json(array: pa.Array, canonical: bool) -> pa.Array:  # noqa: FBT001 - passed on as it came
    offsets, values = dense(array)
    texts = pc.fill_null(to_json(values, canonical=canonical), "null")
    return _wrapped("[", _joined(texts, offsets), "]", array)


def _map_json(array: pa.Array, canonical: bool) -> pa.Array:  # noqa: FBT001 - passed on as it came
    offsets, entries = dense(as_list(array))
    keys, values = to_text(entries.field(0)), to_json(entries.field(1), canonical=canonical)
    if canonical:
        rows = pc.list_parent_indices(pa.LargeListArray.from_arrays(offsets, entries))
        keys, values, rows = (part.filter(values.is_valid()) for part in (keys, values, rows))
        order = _in_order(rows, keys)
        if order is not None:
            keys, values = keys.take(order), values.take(order)
        counts = pc.cumulative_sum(entries.field(1).is_valid().cast(pa.int64()))
        offsets = pa.concat_arrays([pa.array([0], pa.int64()), counts]).take(offsets)
    pieces = pc.binary_join_element_wise(_quoted(keys), pc.fill_null(values, "null"), ":")
    return _wrapped("{", _joined(pieces, offsets), "}", array)


def _in_order(rows: pa.Array, keys: pa.Array) -> pa.Array | None:
    """How to sort entries by row and key; `None` when they are."""
    if len(rows) == 0:
        return None
    same_row = pc.equal(rows[1:], rows[:-1])
    if not pc.any(pc.and_(same_row, pc.less(keys[1:], keys[:-1]))).as_py():
        return None
    table = pa.table({"row": rows, "key": keys})
    return pc.sort_indices(table, [("row", "ascending"), ("key", "ascending")])


def _joined(texts: pa.Array, offsets: pa.Array) -> pa.Array:
    """The texts between each offset and the next, joined by commas."""
    return pc.binary_join(pa.ListArray.from_arrays(offsets.cast(pa.int32()), texts), ",")


def _wrapped(opening: str, inner: pa.Array, closing: str, array: pa.Array) -> pa.Array:
    whole = pc.binary_join_element_wise(opening, inner, closing, "")
    return pc.if_else(array.is_valid(), whole, None) if array.null_count else whole
