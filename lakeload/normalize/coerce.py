"""Conversions of Arrow arrays that change no value: exact, or refused.

Which types become which, and by which of the exact casts of `casts`. A conversion that has nothing to do is
`None`, so that the array passes through untouched. Conversions are plain data, so that a plan made of them
can be sent to another process and printed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SchemaError
from lakeload.model.nested_arrays import nulls
from lakeload.model.text import to_text
from lakeload.model.types import MAX_PRECISION, is_text
from lakeload.normalize.casts import cast, cast_and_compare, int_to_decimal, number_of_text
from lakeload.normalize.incoming import Path
from lakeload.normalize.iso8601 import parse

_Step = Callable[[pa.Array], pa.Array]

_DAYS = (-719_162, 2_932_896)
"""0001-01-01 and 9999-12-31, in days since 1970."""
_MICROSECONDS = (_DAYS[0] * 86_400_000_000, (_DAYS[1] + 1) * 86_400_000_000 - 1)
_POWERS = {"s": 6, "ms": 3, "us": 0, "ns": -3}
"""Microseconds in each unit, as a power of ten."""
_SCALE = 30
"""Digits after the point with which fractions of such units are read; doubles of today have 17 in all."""


class Convert(Protocol):
    """A compiled conversion."""

    @property
    def how(self) -> str:
        """What it does, in a few words for people."""
        ...

    def __call__(self, array: pa.Array) -> pa.Array:
        """The converted array.

        Raises:
            Misfit: A value cannot be converted.
        """
        ...


@dataclass(frozen=True, slots=True)
class Leaf:
    """Converts single values.

    Args:
        how: What it does, in a few words.
        steps: Done one after the other; each raises Arrow's exceptions where a value cannot be converted.
        path: Column path, for messages.
    """

    how: str
    steps: tuple[_Step, ...]
    path: Path

    def __call__(self, array: pa.Array) -> pa.Array:
        """The converted array.

        Raises:
            Misfit: A value cannot be converted.
        """
        try:
            for step in self.steps:
                array = step(array)
        except (pa.ArrowException, OverflowError) as error:
            raise Misfit(self.path) from error
        return array


class Misfit(Exception):  # noqa: N818 - a signal within this package, turned into a SchemaError with the row
    """Some value of an array cannot be converted.

    Args:
        path: Column path.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(".".join(path))


def leaf_conversion(
    source: pa.DataType, target: pa.DataType, path: Path, *, top: bool, given: pa.DataType | None = None
) -> Convert | None:
    """The exact conversion between two leaf types; `None` when the bytes are already right.

    Dates and timestamps are always looked at: outside the years 1 to 9999 most readers, Python's
    `datetime` among them, show another moment or none. So are decimals: Arrow does not keep producers
    from exceeding the declared precision, and Parquet would cut such a number to a different one.

    Args:
        source: Type of the data; anything, where it is to become text.
        target: Storage type.
        path: Column path, for messages.
        top: Whether this is a top-level column, where any physical kind of text or bytes may stay.
        given: Type the user asked for, whose unit tells what numbers mean that shall be moments.

    Raises:
        SchemaError: There is no such conversion.
    """
    if pa.types.is_null(source):
        return Leaf("null", (partial(_nulls, kind=target),), path)
    if same_bytes(source, target, top=top):
        check = _check(target)
        return None if check is None else Leaf("check", (check,), path)
    found = _by_hint(source, target, given) or _find(source, target)
    if found is None:
        raise SchemaError(
            f"{source} cannot be converted to {target}",
            column=".".join(path),
            hint="Cast it in the source, or hint another type.",
        )
    how, steps = found
    check = _check(target)
    return Leaf(how, steps if check is None else (*steps, check), path)


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


def _category(kind: pa.DataType) -> str:
    return next((name for name, test in _CATEGORIES if test(kind)), "other")


_CATEGORIES: tuple[tuple[str, Callable[[pa.DataType], bool]], ...] = (
    ("bool", pa.types.is_boolean),
    ("int", pa.types.is_integer),
    ("float", pa.types.is_floating),
    ("decimal", pa.types.is_decimal),
    ("text", is_text),
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
    *(("bool", other) for other in ("bool", "int")),
    *(("int", other) for other in ("int", "float")),
    *(("float", other) for other in ("int", "float")),
    *(("decimal", other) for other in ("int", "decimal")),
    *(("text", other) for other in ("text", "binary", "bool")),
    ("binary", "binary"),
    ("date", "date"),
    ("timestamp", "timestamp"),
    ("time", "time"),
    ("duration", "int"),
}
# Pairs whose Arrow cast may round.
_ROUNDING = {("decimal", "float"), ("timestamp", "date")}
_MOMENTS = ("date", "timestamp", "time")
_NUMBERS = ("int", "float", "decimal")

_Found = tuple[str, tuple[_Step, ...]]


def _find(source: pa.DataType, target: pa.DataType) -> _Found | None:
    pair = (_category(source), _category(target))
    shorter = pair == ("float", "float") and target.bit_width < source.bit_width
    found: _Found | None = None
    if pair[1] == "text" and pair[0] != "text":
        found = "to text", (to_text,)
    elif pair[0] == "text" and pair[1] in _MOMENTS:
        found = f"parse {pair[1]}", (partial(parse, kind=target),)
    elif pair[0] == "text" and pair[1] in _NUMBERS:
        found = "parse", (partial(number_of_text, kind=target),)
    elif pair == ("int", "decimal"):
        direct = target.precision - target.scale >= 20  # noqa: PLR2004 - digits of the largest uint64
        found = "cast", (partial(cast if direct else int_to_decimal, kind=target),)
    elif pair == ("float", "decimal"):
        # A double means the number it is written as, not the binary fraction that is nearest to it.
        found = "cast, compare", (to_text, partial(number_of_text, kind=target))
    elif pair == ("date", "timestamp"):
        found = "cast", (partial(cast, kind=pa.date32()), partial(cast, kind=target))
    elif pair in _ROUNDING or shorter:
        found = "cast, compare", (partial(cast_and_compare, kind=target),)
    elif pair in _CHECKED:
        # Only plain strings can be parsed.
        plain = (partial(cast, kind=pa.string()),) if pair[0] == "text" else ()
        how = "parse" if pair[0] == "text" and pair[1] != "text" else "cast"
        found = how, (*plain, partial(cast, kind=target))
    return found


def _by_hint(source: pa.DataType, target: pa.DataType, given: pa.DataType | None) -> _Found | None:
    """What is done only because the user asked for a type."""
    if given is None:
        return None
    pair = (_category(source), _category(target))
    if pair == ("binary", "text"):
        return "decode", (partial(cast, kind=target),)
    if pair[0] == "text" and pair[1] in ("date", "timestamp"):
        return "parse", (partial(cast, kind=pa.string()), partial(cast, kind=target))
    if pair[0] in _NUMBERS and pa.types.is_date(given) and pair[1] == "date":
        return "count of days", (partial(cast, kind=pa.int32()), partial(cast, kind=target))
    if pair[0] in _NUMBERS and pa.types.is_timestamp(given) and pair[1] == "timestamp":
        return f"count of {given.unit}", (partial(_moments, unit=given.unit, kind=target),)
    return None


def _moments(array: pa.Array, unit: str, kind: pa.DataType) -> pa.Array:
    """Numbers that count `unit`s since 1970 as timestamps; parts of a microsecond are refused."""
    if pa.types.is_integer(array.type):
        return array.cast(pa.int64()).cast(pa.timestamp(unit, kind.tz)).cast(kind)
    # A fraction means the decimal it is written as: 1.1 seconds are 1,100,000 microseconds. Moving the
    # point by the unit's power of ten is to read the same digits as of another scale.
    wide = 2 * MAX_PRECISION
    exact = array if pa.types.is_decimal(array.type) else to_text(array)
    exact = exact.cast(pa.decimal256(wide, _SCALE))
    moved = pa.decimal256(wide, _SCALE - _POWERS[unit])
    counts = pa.Array.from_buffers(moved, len(exact), exact.buffers(), exact.null_count, exact.offset)
    return counts.cast(pa.int64()).cast(kind)


def _check(target: pa.DataType) -> _Step | None:
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


def _nulls(array: pa.Array, kind: pa.DataType) -> pa.Array:
    return nulls(len(array), kind)
