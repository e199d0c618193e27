"""Typed values and schemas as text that comes back exactly: what descriptors and positions are made of.

| type | JSON |
|---|---|
| bool, int32, int64, string | as they are (JSON integers of any size are exact in Python) |
| float32, float64 | number; `"NaN"`, `"Infinity"`, `"-Infinity"` as text |
| decimal128 | text, with the digits of its scale |
| date32, time64, timestamp | ISO 8601 text; timestamps with zone end in `+00:00` |
| binary | base64 text |
| list | array |
| struct | object |
| map | array of `[key, value]` |

Schemas travel as Arrow IPC messages, which keep metadata, nullability and every type.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from lakeload.model.files import Value
from lakeload.model.types import is_list, is_text

_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_json(value: Value | None, kind: pa.DataType) -> Any:
    """The value as something `json.dumps` writes and `from_json` brings back exactly.

    Args:
        value: As `pyarrow.Scalar.as_py` gives it, or `None`.
        kind: Its storage type.

    Raises:
        TypeError: There is no JSON form for the type.

    Example:
        >>> import decimal
        >>> to_json(decimal.Decimal("1.10"), pa.decimal128(10, 2))
        '1.10'
    """
    if value is None:
        return None
    nested = _nested(value, kind, to_json)
    return _leaf(kind)[0](value) if nested is None else nested


def from_json(obj: Any, kind: pa.DataType) -> Value | None:
    """The value that `to_json` wrote.

    Raises:
        TypeError: There is no JSON form for the type.
        ValueError: The text is none that `to_json` writes.

    Example:
        >>> from_json("2024-05-01", pa.date32())
        datetime.date(2024, 5, 1)
    """
    if obj is None:
        return None
    nested = _nested(obj, kind, from_json)
    if nested is None:
        return _leaf(kind)[1](obj)
    return [tuple(pair) for pair in nested] if pa.types.is_map(kind) else nested


def schema_to_text(schema: pa.Schema) -> str:
    """The schema as ASCII text: types, names, nullability and metadata.

    Example:
        >>> schema_from_text(schema_to_text(pa.schema([("a", pa.int32())])))
        a: int32
    """
    return base64.b64encode(schema.serialize()).decode()


def schema_from_text(text: str) -> pa.Schema:
    """The schema that `schema_to_text` wrote.

    Raises:
        ValueError: The text is no schema.
    """
    try:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text, validate=True)))
    except (pa.ArrowException, OSError, EOFError) as error:
        raise ValueError("the text is no schema") from error


def _nested(value: Any, kind: pa.DataType, convert: Callable[[Any, pa.DataType], Any]) -> Any:
    """The value with `convert` applied inside; `None` for a leaf."""
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return {field.name: convert(value.get(field.name), field.type) for field in fields}
    if is_list(kind):
        return [convert(item, kind.value_type) for item in value]
    if pa.types.is_map(kind):
        return [[convert(key, kind.key_type), convert(item, kind.item_type)] for key, item in value]
    return None


_Codec = tuple[Callable[[Any], Any], Callable[[Any], Any]]


def _same(value: Any) -> Any:
    return value


def _float_to_json(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _float_from_json(obj: float | str) -> float:
    return _SPECIAL[obj] if isinstance(obj, str) else float(obj)


def _moment_to_json(value: dt.datetime) -> str:
    aware = value if value.tzinfo is None else value.astimezone(dt.UTC)
    return aware.isoformat(timespec="microseconds")


def _bytes_to_json(value: bytes) -> str:
    return base64.b64encode(value).decode()


_CODECS: tuple[tuple[Callable[[pa.DataType], bool], _Codec], ...] = (
    (pa.types.is_boolean, (_same, _same)),
    (pa.types.is_integer, (_same, _same)),
    (pa.types.is_floating, (_float_to_json, _float_from_json)),
    (pa.types.is_decimal, (lambda value: format(value, "f"), decimal.Decimal)),
    (pa.types.is_timestamp, (_moment_to_json, dt.datetime.fromisoformat)),
    (pa.types.is_date, (dt.date.isoformat, dt.date.fromisoformat)),
    (pa.types.is_time, (dt.time.isoformat, dt.time.fromisoformat)),
    (is_text, (_same, _same)),
    (
        lambda k: pa.types.is_binary(k) or pa.types.is_large_binary(k) or pa.types.is_binary_view(k),
        (_bytes_to_json, base64.b64decode),
    ),
)


def _leaf(kind: pa.DataType) -> _Codec:
    for test, codec in _CODECS:
        if test(kind):
            return codec
    raise TypeError(f"no JSON form for {kind}")
