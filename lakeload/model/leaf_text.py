"""Arrow columns of single values to their canonical text, without a call per value.

The half of `lakeload.model.text` that knows how each type is written; that module has the rules.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.types import MAX_PRECISION

EXACT_IN_DOUBLE = 1 << 53
"""Every integer up to this magnitude has a double of its own."""

_PLAIN = (1e-4, 1e12)
"""Magnitudes at which Arrow and Python write a double alike, without an exponent."""
_DAYS = (-719_162, 2_932_896)
"""0001-01-01 and 9999-12-31, in days since 1970."""
_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def leaf_text(array: pa.Array) -> pa.Array:
    """Single values, in no encoding, as an array of `string`; null stays null.

    Raises:
        pa.ArrowInvalid: A date is outside the years 1 to 9999, or bytes called text are no UTF-8.
    """
    return next((convert for test, convert in _LEAVES if test(array.type)), _cast)(array)


def float_text(value: float) -> str:
    """The canonical text of one double."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    whole = value.is_integer() and abs(value) <= EXACT_IN_DOUBLE
    return str(int(value)) if whole else repr(float(value))


def duration_text(value: dt.timedelta) -> str:
    """The canonical text of one duration: ISO 8601 in days and seconds."""
    size = abs(value)
    fraction = f".{size.microseconds:06}".rstrip("0").rstrip(".")
    days = f"{size.days}D" if size.days or not size else ""
    seconds = f"T{size.seconds}{fraction}S" if size.seconds or fraction else ""
    return f"{'-' if value < dt.timedelta() else ''}P{days}{seconds}"


def _cast(array: pa.Array) -> pa.Array:
    return array.cast(pa.string())


def _floats(array: pa.Array) -> pa.Array:
    array = array.cast(pa.float64())
    size = pc.abs(array)
    whole = pc.and_(pc.equal(pc.trunc(array), array), pc.less_equal(size, float(EXACT_IN_DOUBLE)))
    digits = pc.if_else(whole, array, None).cast(pa.int64()).cast(pa.string())
    if digits.null_count == array.null_count:
        return digits
    plain = pc.and_(pc.greater_equal(size, _PLAIN[0]), pc.less(size, _PLAIN[1]))
    text = pc.coalesce(digits, pc.if_else(plain, array, None).cast(pa.string()))
    odd = pc.and_(pc.is_null(text), array.is_valid())
    # The few numbers Python writes with an exponent, or that are none.
    written = [float_text(value) for value in array.filter(odd).to_pylist()]
    return pc.replace_with_mask(text, odd, pa.array(written, pa.string()))


def _decimals(array: pa.Array) -> pa.Array:
    scale = array.type.scale
    if scale < 0:
        array, scale = array.cast(pa.decimal256(2 * MAX_PRECISION, 0)), 0
    if not pa.types.is_decimal128(array.type) and not pa.types.is_decimal256(array.type):
        array = array.cast(pa.decimal128(array.type.precision, scale))
    # The digits without the point, which Arrow would give an exponent when they are few.
    whole = (pa.decimal256 if pa.types.is_decimal256(array.type) else pa.decimal128)(array.type.precision, 0)
    digits = pa.Array.from_buffers(whole, len(array), array.buffers(), array.null_count, array.offset)
    text = digits.cast(pa.string())
    if not scale:
        return text
    negative = pc.starts_with(text, "-")
    padded = pc.utf8_lpad(pc.utf8_ltrim(text, "-"), scale + 1, "0")
    pointed = pc.binary_replace_slice(padded, -scale, -scale, ".")
    short = pc.utf8_rtrim(pc.utf8_rtrim(pointed, "0"), ".")
    return pc.if_else(negative, pc.binary_join_element_wise("-", short, ""), short)


def _dates(array: pa.Array) -> pa.Array:
    array = array.cast(pa.date32())
    _check_years(array.cast(pa.int32()), 1)
    return array.cast(pa.string())


def _timestamps(array: pa.Array) -> pa.Array:
    kind = array.type
    counts = array.cast(pa.int64())
    _check_years(counts, 86_400 * _UNITS[kind.unit])
    naive = counts.cast(pa.timestamp(kind.unit))
    text = _short(pc.binary_replace_slice(naive.cast(pa.string()), 10, 11, "T"))
    if kind.tz is not None:
        return pc.binary_join_element_wise(text, "Z", "")
    midnight = pc.ends_with(text, "T00:00:00")  # with a fraction it is another moment
    return pc.if_else(midnight, pc.utf8_slice_codeunits(text, 0, 10), text)


def _times(array: pa.Array) -> pa.Array:
    return _short(array.cast(pa.string()))


def _short(text: pa.Array) -> pa.Array:
    """Times without the zeros at the end of their fraction, and without an empty one."""
    if not pc.any(pc.match_substring(text, ".")).as_py():
        return text
    return pc.utf8_rtrim(pc.utf8_rtrim(text, "0"), ".")


def _check_years(counts: pa.Array, per_day: int) -> None:
    found = pc.min_max(counts)
    low, high = found["min"].as_py(), found["max"].as_py()
    if low is not None and (low < _DAYS[0] * per_day or high >= (_DAYS[1] + 1) * per_day):
        raise pa.ArrowInvalid("outside the years 1 to 9999")


def _bytes(array: pa.Array) -> pa.Array:
    # Arrow has no Base64, so this is a call per value.
    return pa.array(
        [None if v is None else base64.b64encode(v).decode() for v in array.to_pylist()], pa.string()
    )


def _durations(array: pa.Array) -> pa.Array:
    # Not stored by itself, so only ever here by a hint: a call per value is good enough.
    values = array.cast(pa.duration("us")).to_pylist()
    return pa.array([None if value is None else duration_text(value) for value in values], pa.string())


def uuid_text(array: pa.Array) -> pa.Array:
    """UUIDs as text in the form 8-4-4-4-12, without Python objects per row.

    Args:
        array: Of the extension type `arrow.uuid`.
    """
    raw = array.storage
    data = raw.buffers()[1]
    if data is None or len(raw) == 0:
        return pa.nulls(len(raw), pa.string())
    digits = data.slice(raw.offset * 16, len(raw) * 16).hex()
    text = digits.decode() if isinstance(digits, bytes) else digits
    whole = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(32), len(raw), [None, pa.py_buffer(text.lower().encode())]
    ).cast(pa.string())
    cuts = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))
    parts = [pc.utf8_slice_codeunits(whole, start, stop) for start, stop in cuts]
    joined = pc.binary_join_element_wise(*parts, "-")
    return pc.if_else(raw.is_valid(), joined, None) if raw.null_count else joined


def _is_binary(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


_LEAVES: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]], ...] = (
    (pa.types.is_floating, _floats),
    (pa.types.is_decimal, _decimals),
    (pa.types.is_date, _dates),
    (pa.types.is_timestamp, _timestamps),
    (pa.types.is_time, _times),
    (pa.types.is_duration, _durations),
    (_is_binary, _bytes),
)
