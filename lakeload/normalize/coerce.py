"""Conversions of Arrow arrays that change no value: exact, or refused.

Arrow's own casts do the work because most of them check exactness (`safe=True`) at the speed of a copy;
those known not to check (to decimals and shorter floats, from timestamps to dates) are cast back and
compared. A conversion that has nothing to do is `None`, so that the array passes through untouched.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SchemaError
from lakeload.model.types import MAX_PRECISION, is_uuid
from lakeload.normalize.incoming import Path

Convert = Callable[[pa.Array], pa.Array]

_DAYS = (-719_162, 2_932_896)
"""0001-01-01 and 9999-12-31, in days since 1970."""
_MICROSECONDS = (_DAYS[0] * 86_400_000_000, (_DAYS[1] + 1) * 86_400_000_000 - 1)


class Misfit(Exception):  # noqa: N818 - a signal within this package, turned into a SchemaError with the row
    """Some value of `array` cannot be converted.

    Args:
        path: Column path.
        array: The leaf array that holds the value.
        convert: The conversion that fails.
        target: Type it had to fit.
    """

    def __init__(self, path: Path, array: pa.Array, convert: Convert, target: pa.DataType) -> None:
        super().__init__(".".join(path))
        self.path, self.array, self.convert, self.target = path, array, convert, target


def leaf_conversion(source: pa.DataType, target: pa.DataType, path: Path, *, top: bool) -> Convert | None:
    """The exact conversion between two leaf types; `None` when the bytes are already right.

    Dates and timestamps are always looked at: outside the years 1 to 9999 most readers, Python's
    `datetime` among them, show another moment or none. So are decimals: Arrow does not keep producers
    from exceeding the declared precision, and Parquet would cut such a number to a different one.

    Args:
        source: Type of the data.
        target: Storage type.
        path: Column path, for messages.
        top: Whether this is a top-level column, where any physical kind of text or bytes may stay.

    Raises:
        SchemaError: There is no such conversion.
    """
    if pa.types.is_null(source):
        return lambda array: pa.nulls(len(array), target)
    if same_bytes(source, target, top=top):
        check = _check(target)
        return None if check is None else _guarded(check, path, target)
    found = _uuid_text if is_uuid(source) and target == pa.string() else _find(source, target)
    if found is None:
        raise SchemaError(
            f"{source} cannot be converted to {target}",
            column=".".join(path),
            hint="Cast it in the source, or hint another type.",
        )
    return _guarded(_then(found, _check(target)), path, target)


def same_bytes(source: pa.DataType, target: pa.DataType, *, top: bool) -> bool:
    """Whether data of the one type can be taken for the other as it lies in memory."""
    if source.equals(target):
        return True
    if pa.types.is_timestamp(source) and pa.types.is_timestamp(target):
        return bool(source.unit == target.unit)
    if not top:
        return False
    if pa.types.is_dictionary(source):
        source = source.value_type
        if pa.types.is_string_view(source) or pa.types.is_binary_view(source):
            return False  # Arrow cannot look views up
    return (_category(source), target) in (("text", pa.string()), ("binary", pa.binary())) and not (
        pa.types.is_fixed_size_binary(source)
    )


def _guarded(convert: Convert, path: Path, target: pa.DataType) -> Convert:
    def run(array: pa.Array) -> pa.Array:
        try:
            return convert(array)
        except (pa.ArrowException, OverflowError) as error:
            raise Misfit(path, array, convert, target) from error

    return run


def _category(kind: pa.DataType) -> str:
    return next((name for name, test in _CATEGORIES if test(kind)), "other")


_CATEGORIES: tuple[tuple[str, Callable[[pa.DataType], bool]], ...] = (
    ("bool", pa.types.is_boolean),
    ("int", pa.types.is_integer),
    ("float", pa.types.is_floating),
    ("decimal", pa.types.is_decimal),
    ("text", lambda k: pa.types.is_string(k) or pa.types.is_large_string(k) or pa.types.is_string_view(k)),
    (
        "binary",
        lambda k: (
            pa.types.is_binary(k)
            or pa.types.is_large_binary(k)
            or pa.types.is_binary_view(k)
            or pa.types.is_fixed_size_binary(k)
        ),
    ),
    ("date", pa.types.is_date),
    ("timestamp", pa.types.is_timestamp),
    ("time", pa.types.is_time),
    ("duration", pa.types.is_duration),
)

# Pairs whose Arrow cast is exact or fails. Those from text parse strictly; they happen only by a hint.
_CHECKED = {
    *(("bool", other) for other in ("bool", "int", "text")),
    *(("int", other) for other in ("int", "float", "text")),
    *(("float", other) for other in ("int", "float", "text")),
    *(("decimal", other) for other in ("int", "decimal", "text")),
    *(
        ("text", other)
        for other in ("text", "binary", "bool", "int", "float", "decimal", "date", "timestamp")
    ),
    *(("binary", other) for other in ("binary", "text")),
    *(("date", other) for other in ("date", "text")),
    *(("timestamp", other) for other in ("timestamp", "text")),
    *(("time", other) for other in ("time", "text")),
    ("duration", "int"),
}
# Pairs whose Arrow cast may round.
_ROUNDING = {("float", "decimal"), ("decimal", "float"), ("timestamp", "date")}


def _find(source: pa.DataType, target: pa.DataType) -> Convert | None:
    pair = (_category(source), _category(target))
    shorter = pair == ("float", "float") and target.bit_width < source.bit_width
    found: Convert | None = None
    if pair == ("int", "decimal"):
        found = _int_to_decimal(target)
    elif pair == ("date", "timestamp"):
        found = _through(pa.date32(), target)
    elif pair in _ROUNDING or shorter:
        found = _cast_and_compare(source, target)
    elif pair in _CHECKED:
        # Only plain strings can be parsed.
        found = _through(pa.string(), target) if pair[0] == "text" else _cast(target)
    return found


def _check(target: pa.DataType) -> Convert | None:
    """The look every value of the type gets even if its bytes need no change; returns the array."""
    if pa.types.is_date(target) or pa.types.is_timestamp(target):
        return _within_calendar
    return _within_precision if pa.types.is_decimal(target) else None


def _within_calendar(array: pa.Array) -> pa.Array:
    found = pc.min_max(array)
    low, high = found["min"].value, found["max"].value
    first, last = _DAYS if pa.types.is_date(array.type) else _MICROSECONDS
    if low is not None and (low < first or high > last):
        raise pa.ArrowInvalid("outside the years 1 to 9999")
    return array


def _within_precision(array: pa.Array) -> pa.Array:
    array.validate(full=True)
    return array


def _then(convert: Convert, check: Convert | None) -> Convert:
    return convert if check is None else lambda array: check(convert(array))


def _cast(target: pa.DataType) -> Convert:
    return lambda array: array.cast(target)


def _through(middle: pa.DataType, target: pa.DataType) -> Convert:
    return lambda array: array.cast(middle).cast(target)


def _int_to_decimal(target: pa.DataType) -> Convert:
    # Arrow wants room for every int64 even if the values are small: take a detour through a wider type.
    roomy = pa.decimal256(2 * MAX_PRECISION, target.scale)
    direct = target.precision - target.scale >= 20  # noqa: PLR2004 - digits of the largest uint64
    return _cast(target) if direct else _through(roomy, target)


def _cast_and_compare(source: pa.DataType, target: pa.DataType) -> Convert:
    def convert(array: pa.Array) -> pa.Array:
        result = array.cast(target)
        same = pc.equal(result.cast(source, safe=False), array)
        if pa.types.is_floating(source):
            same = pc.or_(same, pc.is_nan(array))
        if pc.all(same).as_py() is False:
            raise pa.ArrowInvalid("values would be rounded")
        return result

    return convert


def _uuid_text(array: pa.Array) -> pa.Array:
    """UUIDs as text in the form 8-4-4-4-12, without Python objects per row."""
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
