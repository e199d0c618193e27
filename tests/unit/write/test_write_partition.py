from __future__ import annotations

import datetime as dt
import math
import uuid
from decimal import Context, Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    MonthTransform,
    TruncateTransform,
    YearTransform,
)
from pyiceberg.types import (
    BinaryType,
    DateType,
    DecimalType,
    IntegerType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from lakeload.errors import SchemaError
from lakeload.model.layout import PartitionField
from lakeload.write.murmur import murmur3
from lakeload.write.partition import apply, split

EPOCH = dt.datetime(1970, 1, 1)
moments = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))
longs = st.integers(-(2**63), 2**63 - 1)
decimals = st.decimals(-(10**20), 10**20, places=4, allow_nan=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def columns(values):
    return st.lists(st.one_of(st.none(), values), min_size=1, max_size=20)


def micros(moment):
    return (moment - EPOCH) // dt.timedelta(microseconds=1)


def days(day):
    return (day - EPOCH.date()).days


BUCKETS = {
    "int": (st.integers(-(2**31), 2**31 - 1), pa.int32(), IntegerType(), lambda v: v),
    "long": (longs, pa.int64(), LongType(), lambda v: v),
    "date": (st.dates(), pa.date32(), DateType(), days),
    "time": (st.times(), pa.time64("us"), TimeType(), lambda v: micros(dt.datetime.combine(EPOCH, v))),
    "timestamp": (moments, pa.timestamp("us"), TimestampType(), micros),
    "timestamptz": (moments, pa.timestamp("us", "UTC"), TimestamptzType(), micros),
    "decimal": (decimals, pa.decimal128(28, 4), DecimalType(28, 4), lambda v: v.quantize(Decimal("0.0001"))),
    "string": (texts, pa.string(), StringType(), lambda v: v),
    "binary": (st.binary(max_size=40), pa.binary(), BinaryType(), lambda v: v),
    "uuid": (st.uuids().map(lambda u: u.bytes), pa.binary(16), UUIDType(), lambda v: uuid.UUID(bytes=v)),
}


@pytest.mark.parametrize("name", BUCKETS)
@given(data=st.data(), width=st.integers(1, 5000))
def test_bucket_agrees_with_pyiceberg(name, data, width):
    values, kind, iceberg, plain = BUCKETS[name]
    drawn = data.draw(columns(values))
    ours = apply(PartitionField("c", "bucket", width), pa.array(drawn, kind)).to_pylist()
    theirs = BucketTransform(width).transform(iceberg)
    assert ours == [None if v is None else theirs(plain(v)) for v in drawn]


@pytest.mark.parametrize(
    ("name", "theirs", "kinds"),
    [
        ("year", YearTransform(), ("date", "timestamp", "timestamptz")),
        ("month", MonthTransform(), ("date", "timestamp", "timestamptz")),
        ("day", DayTransform(), ("date", "timestamp", "timestamptz")),
        ("hour", HourTransform(), ("timestamp", "timestamptz")),
    ],
)
@given(data=st.data())
def test_calendar_transforms_agree_with_pyiceberg(name, theirs, kinds, data):
    for chosen in kinds:
        values, kind, iceberg, plain = BUCKETS[chosen]
        drawn = data.draw(columns(values))
        ours = apply(PartitionField("c", name), pa.array(drawn, kind)).to_pylist()
        expected = [None if v is None else theirs.transform(iceberg)(plain(v)) for v in drawn]
        if name == "day":
            ours = [None if v is None else days(v) for v in ours]
        assert ours == expected


@pytest.mark.parametrize("scale", [0, 10, 38])
def test_every_digit_of_a_decimal_counts(scale):
    """The default precision of Python's decimals is 28 digits; columns have up to 38."""
    digits = [10790231985221751176500871168, 10790231985221751176500871169, 10**38 - 1, 1 - 10**38, 7]
    values = [Decimal((int(n < 0), tuple(map(int, str(abs(n)))), -scale)) for n in digits]
    column, iceberg = pa.array(values, pa.decimal128(38, scale)), DecimalType(38, scale)
    buckets = apply(PartitionField("c", "bucket", 5000), column).to_pylist()
    assert buckets == [BucketTransform(5000).transform(iceberg)(value) for value in values]
    assert buckets[0] != buckets[1]
    parts = apply(PartitionField("c", "truncate", 3), column).to_pylist()
    assert [int(part.scaleb(scale, Context(prec=76))) for part in parts] == [n - n % 3 for n in digits]


@pytest.mark.parametrize("name", ["int", "long", "decimal", "string", "binary"])
@given(data=st.data(), width=st.integers(1, 1000))
def test_truncate_agrees_with_pyiceberg(name, data, width):
    values, kind, iceberg, plain = BUCKETS[name]
    if name == "int":
        values = st.integers(-(2**31) + 1000, 2**31 - 1)
    if name == "long":
        values = st.integers(-(2**63) + 1000, 2**63 - 1)
    drawn = data.draw(columns(values))
    ours = apply(PartitionField("c", "truncate", width), pa.array(drawn, kind)).to_pylist()
    theirs = TruncateTransform(width).transform(iceberg)
    assert ours == [None if v is None else theirs(plain(v)) for v in drawn]


@given(st.lists(st.binary(max_size=30), min_size=2, max_size=20), st.integers(0, 5))
def test_hash_of_a_slice_is_the_slice_of_the_hashes(values, start):
    column = pa.array(values)
    assert murmur3(column.slice(start)).equals(murmur3(column).slice(start))
    numbers = pa.array(range(len(values)), pa.int64())
    assert murmur3(numbers.slice(start)).equals(murmur3(numbers).slice(start))


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(0, 3)),
            st.one_of(st.none(), st.sampled_from("ab")),
            st.booleans(),
        ),
        max_size=50,
    )
)
def test_split_keeps_every_row_once_in_order_under_its_key(rows):
    batch = pa.record_batch(
        {
            "i": pa.array([row[0] for row in rows], pa.int64()),
            "s": pa.array([row[1] for row in rows], pa.string()),
            "b": pa.array([row[2] for row in rows], pa.bool_()),
            "n": pa.array(range(len(rows)), pa.int64()),
        }
    )
    found = dict(split(batch, [PartitionField("i"), PartitionField("s"), PartitionField("b")]))
    expected: dict[tuple[object, ...], list[int]] = {}
    for number, row in enumerate(rows):
        expected.setdefault(row, []).append(number)
    assert {key: part.column("n").to_pylist() for key, part in found.items()} == expected


def test_split_of_text_in_any_arrow_layout_gives_plain_values():
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())):
        batch = pa.record_batch({"s": pa.array(["b", None, "b"]).cast(kind)})
        assert [key for key, _ in split(batch, [PartitionField("s")])] == [("b",), (None,)]


def test_negative_zero_is_the_partition_of_zero():
    batch = pa.record_batch({"x": pa.array([0.0, -0.0, None])})
    keys = [key for key, _ in split(batch, [PartitionField("x")])]
    assert keys == [(0.0,), (None,)]
    assert math.copysign(1, keys[0][0]) == 1


def test_nan_as_partition_value_is_refused():
    batch = pa.record_batch({"x": pa.array([1.0, math.nan])})
    with pytest.raises(SchemaError, match="NaN cannot be a partition value"):
        split(batch, [PartitionField("x")])


@pytest.mark.parametrize(
    ("field", "column"),
    [
        (PartitionField("c", "day"), pa.array([1])),
        (PartitionField("c", "hour"), pa.array([dt.date(2024, 1, 1)])),
        (PartitionField("c", "bucket", 4), pa.array([1.5])),
        (PartitionField("c", "bucket", 4), pa.array([True])),
        (PartitionField("c", "truncate", 4), pa.array([1.5])),
        (PartitionField("c"), pa.array([{"a": 1}])),
        (PartitionField("c", "bucket"), pa.array([1])),
    ],
)
def test_transform_that_does_not_suit_the_type_is_refused(field, column):
    with pytest.raises(SchemaError, match="column c"):
        split(pa.record_batch({"c": column}), [field])


@pytest.mark.parametrize(
    ("field", "column"),
    [
        (PartitionField("c", "hour"), pa.array([2**63 - 1]).cast(pa.timestamp("us"))),
        (PartitionField("c", "day"), pa.array([2**62]).cast(pa.timestamp("us"))),
        (PartitionField("c"), pa.array([2**62]).cast(pa.timestamp("us"))),
        (PartitionField("c", "truncate", 1000), pa.array([-(2**31)], pa.int32())),
    ],
)
def test_value_out_of_range_is_refused(field, column):
    with pytest.raises(SchemaError, match=r"too large .*column c"):
        split(pa.record_batch({"c": column}), [field])
