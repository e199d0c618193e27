"""Typed values between lakeload and Iceberg: partition tuples, and column bounds. Part of commit.

Rules: Iceberg specification v2, appendix D "Single-value serialization", and the metrics modes of its
table properties `write.metadata.metrics.*`.
"""

from __future__ import annotations

import datetime as dt
import math
import struct
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

from lakeload.formats.iceberg_types import decimal_of

if TYPE_CHECKING:
    from lakeload.model.files import Value

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - Iceberg's local timestamps have no zone
_EPOCH_UTC = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EPOCH_DAY = dt.date(1970, 1, 1)
_MICROSECOND = dt.timedelta(microseconds=1)
_LAST_CHARACTER = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)
_EXACT = Context(prec=76)


def to_internal(value: Value | None, kind: str) -> Any:
    """The value as manifests hold it: dates as days, times and timestamps as microseconds.

    Example:
        >>> import datetime
        >>> to_internal(datetime.date(1970, 1, 3), "date")
        2
    """
    if isinstance(value, Decimal):
        # Only the unscaled digits are stored, so the scale has to be the column's.
        return value.quantize(Decimal((0, (1,), -_scale(kind))), context=_EXACT)
    if isinstance(value, dt.datetime):
        return (value - (_EPOCH_UTC if value.tzinfo else _EPOCH)) // _MICROSECOND
    if isinstance(value, dt.date):
        return (value - _EPOCH_DAY).days
    if isinstance(value, dt.time):
        whole = dt.timedelta(
            hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond
        )
        return whole // _MICROSECOND
    return value


def from_internal(value: Any, kind: str) -> Value | None:
    """The opposite of `to_internal`, by Iceberg type.

    Example:
        >>> from_internal(2, "date")
        datetime.date(1970, 1, 3)
    """
    if value is None or not isinstance(value, int):
        return value
    match kind:
        case "date":
            return _EPOCH_DAY + dt.timedelta(days=value)
        case "timestamp":
            return _EPOCH + dt.timedelta(microseconds=value)
        case "timestamptz":
            return _EPOCH_UTC + dt.timedelta(microseconds=value)
        case "time":
            return (_EPOCH + dt.timedelta(microseconds=value)).time()
        case _:
            return value


def lower_bound(value: Value, kind: str, width: int | None) -> bytes | None:
    """Bytes that no value of the column is below.

    Args:
        value: Smallest value, neither null nor NaN.
        kind: Iceberg type of the column.
        width: Characters (string) or bytes (binary) to keep; `None` keeps all.
    """
    if isinstance(value, float) and value == 0.0:
        return _encode(-0.0, kind)  # -0.0 sorts before 0.0, and a footer may not tell them apart
    if width is not None and isinstance(value, str | bytes) and kind in ("string", "binary"):
        return _encode(value[:width], kind)
    return _encode(value, kind)


def upper_bound(value: Value, kind: str, width: int | None) -> bytes | None:
    """Bytes that no value of the column is above; `None` when no such short text exists.

    Args:
        value: Largest value, neither null nor NaN.
        kind: Iceberg type of the column.
        width: As in `lower_bound`.

    Example:
        >>> upper_bound("abcdef", "string", 3)
        b'abd'
    """
    if isinstance(value, float) and value == 0.0:
        return _encode(0.0, kind)
    if width is None or kind not in ("string", "binary"):
        return _encode(value, kind)
    if isinstance(value, str) and len(value) > width:
        text = _next_text(value[:width])
        return None if text is None else _encode(text, kind)
    if isinstance(value, bytes) and len(value) > width:
        return _next_bytes(value[:width])
    return _encode(value, kind)


def _encode(value: Value, kind: str) -> bytes | None:
    if isinstance(value, float) and math.isnan(value):
        return None
    return single_value(to_internal(value, kind), kind)


_PACKED = {
    "int": "<i", "date": "<i", "long": "<q", "time": "<q", "timestamp": "<q", "timestamptz": "<q",
    "float": "<f", "double": "<d",
}  # fmt: skip


def single_value(value: Any, kind: str) -> bytes:
    r"""The bytes of one value as manifests hold it.

    Example:
        >>> single_value(34, "int"), single_value(Decimal("-1.28"), "decimal(9, 2)")
        (b'"\x00\x00\x00', b'\x80')
    """
    if isinstance(value, Decimal):
        whole = int(value.scaleb(_scale(kind), context=_EXACT))
        return whole.to_bytes((whole if whole >= 0 else ~whole).bit_length() // 8 + 1, "big", signed=True)
    if kind == "boolean":
        return b"\x01" if value else b"\x00"
    if kind in _PACKED:
        return struct.pack(_PACKED[kind], value)
    return value.encode() if isinstance(value, str) else bytes(value)


def _scale(kind: str) -> int:
    exact = decimal_of(kind)
    return 0 if exact is None else exact[1]


def _next_text(text: str) -> str | None:
    """The smallest text of at most this length above every text with this beginning."""
    for position in range(len(text) - 1, -1, -1):
        point = ord(text[position]) + 1
        if point in _SURROGATES:
            point = _SURROGATES.stop
        if point <= _LAST_CHARACTER:
            return text[:position] + chr(point)
    return None


def _next_bytes(data: bytes) -> bytes | None:
    for position in range(len(data) - 1, -1, -1):
        if data[position] < 0xFF:  # noqa: PLR2004 - the largest byte
            return data[:position] + bytes([data[position] + 1])
    return None
