"""Hypothesis strategies: Arrow tables of every type a lake stores, and what they must come back as.

Values are drawn as Arrow arrays of the drawn type, so that every table is one a user could hold. Types whose
values are stored in another type (`storage`) are drawn too: small and unsigned integers, views, dictionaries,
other units of time.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

DEPTH = 3
"""How deep lists, structs and maps nest."""
_FIRST, _LAST = dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999)
_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
_BYTES = st.binary(max_size=12)


@dataclass(frozen=True)
class Kind:
    """A type as the user has it, the type it is stored as, and values of it."""

    given: pa.DataType
    stored: pa.DataType
    values: st.SearchStrategy[Any]


def _integers(kind: pa.DataType, stored: pa.DataType) -> Kind:
    bits, signed = kind.bit_width, pa.types.is_signed_integer(kind)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return Kind(kind, stored, st.sampled_from([low, high, 0]) | st.integers(low, high))


def _decimals(precision: int, scale: int) -> Kind:
    kind = pa.decimal128(precision, scale)
    largest = 10**precision - 1
    whole = st.sampled_from([largest, -largest, 0]) | st.integers(-largest, largest)
    # Built from digits, because arithmetic would round to the context's 28.
    return Kind(
        kind, kind, whole.map(lambda n: Decimal((int(n < 0), tuple(int(d) for d in str(abs(n))), -scale)))
    )


def _timestamps(unit: str, zone: str | None) -> Kind:
    stored = pa.timestamp("us", "UTC" if zone else None)
    first, last = (dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)) if unit == "ns" else (_FIRST, _LAST)
    moments = st.sampled_from(
        [first, last, dt.datetime(1970, 1, 1), dt.datetime(1969, 12, 31, 23, 59, 59, 999999)]
    )
    moments |= st.datetimes(first, last)
    if unit == "ms":
        moments = moments.map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000))
    if unit == "s":
        moments = moments.map(lambda at: at.replace(microsecond=0))
    aware = moments.map(lambda at: at.replace(tzinfo=dt.UTC)) if zone else moments
    return Kind(pa.timestamp(unit, zone), stored, aware)


def _same(kind: pa.DataType, values: st.SearchStrategy[Any]) -> Kind:
    return Kind(kind, kind, values)


LEAVES: list[Kind] = [
    _same(pa.bool_(), st.booleans()),
    *(_integers(kind, pa.int32()) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16())),
    *(_integers(kind, pa.int64()) for kind in (pa.int64(), pa.uint32())),
    Kind(pa.uint64(), pa.decimal128(20, 0), st.integers(0, 2**64 - 1)),
    _same(pa.float32(), st.floats(width=32)),
    _same(pa.float64(), st.floats()),
    *(_decimals(p, s) for p, s in ((1, 0), (9, 2), (18, 18), (20, 0), (38, 0), (38, 10), (38, 38))),
    Kind(pa.string(), pa.string(), _TEXT),
    Kind(pa.large_string(), pa.string(), _TEXT),
    Kind(pa.string_view(), pa.string(), _TEXT),
    Kind(pa.binary(), pa.binary(), _BYTES),
    Kind(pa.large_binary(), pa.binary(), _BYTES),
    _same(pa.date32(), st.dates()),
    _timestamps("us", None),
    _timestamps("us", "UTC"),
    _timestamps("us", "Europe/Berlin"),
    _timestamps("ms", None),
    _timestamps("s", "UTC"),
    _timestamps("ns", "UTC"),
]
_STEMS = st.sampled_from(
    ["", "p" * 15, "p" * 16, "p" * 31, "p" * 32, "\U0010ffff" * 16, "\ud7ff" * 32, "🦆" * 33]
)
_TAILS = st.text(st.sampled_from(["a", "é", "\ud7ff", "\ue000", "\uffff", "🦆", "\U0010ffff"]), max_size=3)
_BYTE_STEMS = st.sampled_from([b"", b"\xff" * 15, b"\xff" * 16, b"\xff" * 32, b"ab" * 8, b"\x7f\x80"])
_MICROS = st.sampled_from([-(2**63), 2**63 - 1, -(2**63) + 1]) | st.integers(-(2**63), 2**63 - 1)
_DAYS = st.sampled_from([-(2**31), 2**31 - 1]) | st.integers(-(2**31), 2**31 - 1)
_MOMENTS = st.sampled_from([_FIRST, _LAST]).flatmap(
    lambda at: st.integers(0, 3000).map(lambda n: at + dt.timedelta(microseconds=n if at == _FIRST else -n))
)
_ZEROS = st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324])
HARD: list[Kind] = [
    _same(pa.string(), st.builds(str.__add__, _STEMS, _TAILS)),
    _same(pa.binary(), st.builds(bytes.__add__, _BYTE_STEMS, st.binary(max_size=2))),
    _same(pa.float64(), _ZEROS),
    _same(pa.float32(), _ZEROS.map(lambda value: 0.1 if value == 5e-324 else value)),
    _same(pa.timestamp("us"), _MOMENTS),
    _same(pa.timestamp("us", "UTC"), _MOMENTS.map(lambda at: at.replace(tzinfo=dt.UTC))),
]
"""Values at the edges of what bounds can say."""
FAR: list[Kind] = [
    _same(pa.timestamp("us"), _MICROS),
    _same(pa.timestamp("us", "UTC"), _MICROS),
    _same(pa.date32(), _DAYS),
]
"""Moments that Parquet stores and no table takes."""
TIME = _same(pa.time64("us"), st.times())
"""Only Iceberg stores it."""
_KEYS = [kind for kind in LEAVES if kind.given in (pa.string(), pa.int32(), pa.int64(), pa.date32())]


def kinds(leaves: list[Kind], depth: int = DEPTH) -> st.SearchStrategy[Kind]:
    """Types nested at most `depth` deep."""
    leaf = st.sampled_from(leaves)
    if depth == 0:
        return leaf
    inner = kinds(leaves, depth - 1)
    return (
        leaf
        | inner.map(_list)
        | st.lists(inner, min_size=1, max_size=3).map(_struct)
        | st.tuples(st.sampled_from(_KEYS), inner).map(_map)
    )


def _optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def _list(inner: Kind) -> Kind:
    return Kind(
        pa.list_(inner.given),
        pa.list_(pa.field("element", inner.stored)),
        st.lists(_optional(inner.values), max_size=3),
    )


def _struct(inner: list[Kind]) -> Kind:
    names = [f"m{i}" for i in range(len(inner))]
    return Kind(
        pa.struct([(name, kind.given) for name, kind in zip(names, inner, strict=True)]),
        pa.struct([(name, kind.stored) for name, kind in zip(names, inner, strict=True)]),
        st.fixed_dictionaries(
            {name: _optional(kind.values) for name, kind in zip(names, inner, strict=True)}
        ),
    )


def _map(pair: tuple[Kind, Kind]) -> Kind:
    key, value = pair
    entries = st.dictionaries(key.values, _optional(value.values), max_size=3)
    return Kind(
        pa.map_(key.given, value.given),
        pa.map_(pa.field("key", key.stored, nullable=False), pa.field("value", value.stored)),
        entries.map(lambda found: list(found.items())),
    )


@dataclass(frozen=True)
class Sample:
    """A table to load, and the table it must come back as."""

    given: pa.Table
    stored: pa.Table


@st.composite
def samples(
    draw: Callable[[st.SearchStrategy[Any]], Any],
    *,
    time: bool = False,
    most_rows: int = 8,
    more: Sequence[Kind] = (),
) -> Sample:
    """Tables of one to four columns, with nulls; `time` allows the time of day, `more` are further leaves."""
    leaves = [*LEAVES, *([TIME] if time else []), *more]
    columns = draw(st.lists(kinds(leaves), min_size=1, max_size=4))
    size = draw(st.integers(1, most_rows))
    rows = [draw(st.lists(_optional(kind.values), min_size=size, max_size=size)) for kind in columns]
    given = pa.table(
        {f"c{i}": pa.array(v, kind.given) for i, (v, kind) in enumerate(zip(rows, columns, strict=True))}
    )
    stored = pa.table(
        {f"c{i}": pa.array(v, kind.stored) for i, (v, kind) in enumerate(zip(rows, columns, strict=True))}
    )
    return Sample(given, stored)
