from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.conversions import from_bytes
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    IntegerType,
    LongType,
    TimestampType,
    TimestamptzType,
    TimeType,
)

from lakeload.formats.iceberg_values import from_internal, lower_bound, to_internal, upper_bound

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=24)


@given(TEXT, st.integers(1, 20))
def test_text_lies_between_its_truncated_bounds(text: str, width: int) -> None:
    lower, upper = lower_bound(text, "string", width), upper_bound(text, "string", width)
    data = text.encode()
    assert lower is not None
    assert lower <= data
    assert len(lower.decode()) <= width
    if upper is None:
        assert text[:width] == "\U0010ffff" * width
    else:
        assert data <= upper
        assert len(upper.decode()) <= width


@given(st.binary(max_size=24), st.integers(1, 20))
def test_bytes_lie_between_their_truncated_bounds(data: bytes, width: int) -> None:
    lower, upper = lower_bound(data, "binary", width), upper_bound(data, "binary", width)
    assert lower is not None
    assert lower <= data
    assert data <= upper if upper is not None else data[:width] == b"\xff" * width


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abcdef", "abd"),
        ("ab\U0010ffffx", "ac"),
        ("ab\ud7ffx", "ab\ue000"),
        ("\U0010ffff" * 4, None),
        ("abc", "abc"),
    ],
)
def test_an_upper_bound_is_the_next_text_of_that_width(text: str, expected: str | None) -> None:
    found = upper_bound(text, "string", 3)
    assert (found.decode() if found is not None else None) == expected


@given(st.floats(allow_nan=False))
def test_floats_lie_between_their_bounds_and_zero_has_both_signs(value: float) -> None:
    lower, upper = (bound(value, "double", 16) for bound in (lower_bound, upper_bound))
    assert lower is not None
    assert upper is not None
    low, high = from_bytes(DoubleType(), lower), from_bytes(DoubleType(), upper)
    assert low <= value <= high
    if value == 0:
        assert (math.copysign(1, low), math.copysign(1, high)) == (-1, 1)


def test_nan_is_never_a_bound() -> None:
    assert lower_bound(math.nan, "float", 16) is None
    assert upper_bound(math.nan, "float", 16) is None


MICROSECOND = dt.timedelta(microseconds=1)
VALUES: list[tuple[Any, Any]] = [
    (BooleanType(), st.booleans()),
    (IntegerType(), st.integers(-(2**31), 2**31 - 1)),
    (LongType(), st.integers(-(2**63), 2**63 - 1)),
    (DateType(), st.dates()),
    (TimeType(), st.times()),
    (TimestampType(), st.datetimes()),
    (TimestamptzType(), st.datetimes(timezones=st.just(dt.UTC))),
    (DecimalType(38, 3), st.decimals(Decimal(-(10**34)), Decimal(10**34), places=3)),
    (FixedType(4), st.binary(min_size=4, max_size=4)),
]


@given(st.sampled_from(VALUES).flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1])))
def test_a_value_survives_the_way_into_a_manifest_and_back(pair: tuple[Any, Any]) -> None:
    kind, value = pair
    assert from_internal(to_internal(value, str(kind)), str(kind)) == value
    low, high = (bound(value, str(kind), 16) for bound in (lower_bound, upper_bound))
    assert low is not None
    assert low == high
    assert from_internal(from_bytes(kind, low), str(kind)) == value


def test_a_decimal_is_written_with_the_scale_of_its_column() -> None:
    assert lower_bound(Decimal("1.5"), "decimal(10, 3)", None) == (1500).to_bytes(2, "big")
