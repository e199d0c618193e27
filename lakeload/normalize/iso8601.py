"""ISO 8601 dates and timestamps that come as text: telling them, and reading them exactly.

JSON has no dates, so sources write them as text. Normalize looks at the values of a column of text when it
is first met, and later reads what comes for a column that became one of dates. All or nothing: one value of
another kind, and it is a column of text.

| kind | form |
|---|---|
| date | `2024-05-01` |
| timestamp[us] | date, `T` or a space, `10:30:00`, up to six digits of a fraction |
| timestamp[us, UTC] | the same with `Z`, `+02:00` or `+0200`, which is taken into account |
| time64[us] | `10:30:00`, up to six digits of a fraction; only read, never told |

A real day of the calendar, in the years 1 to 9999, at an hour before 24 and a second before 60. Shorter
forms (`2024-05`, `10:30`, `+02`), the basic form (`20240501`) and whatever RFC 3339 or ISO 8601 allow
besides are text.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.types import is_text

_LOOKED_AT = 4
"""Values that are looked at one by one, so that a column of other text costs next to nothing."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_CLOCK = r"\d\d:\d\d:\d\d(\.\d{1,6})?"
_NAIVE = re.compile(rf"{_DATE.pattern}[T ]{_CLOCK}")
_ZONED = re.compile(rf"{_NAIVE.pattern}(Z|[+-]\d\d:?\d\d)")
_KINDS = (
    (_DATE, pa.date32()),
    (_NAIVE, pa.timestamp("us")),
    (_ZONED, pa.timestamp("us", "UTC")),
)

_YEAR_1, _YEAR_10000 = -62_135_596_800_000_000, 253_402_300_800_000_000
"""The moments the years from 1 to 9999 begin and end, in microseconds since 1970."""


def detected(array: pa.Array) -> pa.DataType | None:
    """What the texts are, if every one of them is a date or every one a timestamp of the same sort.

    Args:
        array: Of text in any layout, or of anything else.

    Returns:
        `date32`, `timestamp[us]` or `timestamp[us, UTC]`; `None` for other texts and when there are none.

    Example:
        >>> detected(pa.array(["2024-05-01T10:30:00+02:00", None]))
        TimestampType(timestamp[us, tz=UTC])
        >>> detected(pa.array(["2024-05-01", "soon"])) is None
        True
    """
    own = array.type
    if not is_text(own.value_type if pa.types.is_dictionary(own) else own):
        return None
    found = _first_texts(array)
    for pattern, kind in _KINDS:
        if found and all(pattern.fullmatch(text) for text in found):
            try:
                parse(array, kind)
            except pa.ArrowInvalid:
                return None
            return kind
    return None


def parse(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Texts of exactly the form `kind` has as values; null stays null.

    Args:
        array: Of text in any layout.
        kind: `date32`, `timestamp[us]` with UTC or without, or `time64[us]`. For any other type Arrow's
            own reading is taken.

    Raises:
        pa.ArrowInvalid: Some text is no such value.

    Example:
        >>> parse(pa.array(["2024-05-01T10:30:00+02:00"]), pa.timestamp("us", "UTC"))[0].as_py().hour
        8
    """
    array = array.cast(pa.string())
    if pa.types.is_date(kind):
        return _within_years(array.cast(pa.date32()), pa.timestamp("us")).cast(kind)
    if pa.types.is_timestamp(kind):
        _check_clock(array, zoned=kind.tz is not None)
        return _within_years(array.cast(kind), kind)
    if pa.types.is_time(kind):
        moments = pc.binary_join_element_wise("1970-01-01T", array, "")
        return parse(moments, pa.timestamp("us")).cast(pa.time64("us")).cast(kind)
    return array.cast(kind)


_COLON, _PLUS, _MINUS = (pa.scalar(sign, pa.binary()) for sign in (b":", b"+", b"-"))
"""Typed, as finding a type of a Python value imports more than all of this takes."""


def _first_texts(array: pa.Array) -> list[str]:
    if not array.null_count:
        return list(map(str, array.slice(0, _LOOKED_AT).to_pylist()))
    where = pc.indices_nonzero(array.is_valid()).slice(0, _LOOKED_AT)
    return [str(array[i.as_py()].as_py()) for i in where]


def _check_clock(array: pa.Array, *, zoned: bool) -> None:
    """Refuse the shorter times and offsets that Arrow reads, too: `10`, `10:30`, `+02`."""
    texts = array.cast(pa.binary())
    clock = pc.binary_slice(texts, 13, 17)
    # A byte each, at its place: what is between them Arrow's own reading looks at.
    whole = pc.and_(
        pc.equal(pc.binary_slice(clock, 0, 1), _COLON), pc.equal(pc.binary_slice(clock, 3, 4), _COLON)
    )
    if pc.all(whole).as_py() is False:
        raise pa.ArrowInvalid("no time to the second")
    if zoned:
        sign = pc.binary_slice(texts, -3, -2)
        if pc.any(pc.or_(pc.equal(sign, _PLUS), pc.equal(sign, _MINUS))).as_py():
            raise pa.ArrowInvalid("an offset without minutes")


def _within_years(array: pa.Array, kind: pa.DataType) -> pa.Array:
    counts = array.cast(kind).cast(pa.int64())
    found = pc.min_max(counts)
    low, high = found["min"].as_py(), found["max"].as_py()
    if low is not None and (low < _YEAR_1 or high >= _YEAR_10000):
        raise pa.ArrowInvalid("outside the years 1 to 9999")
    return array
