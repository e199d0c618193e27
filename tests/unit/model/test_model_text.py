"""The canonical text of values: the rules one by one, and that arrays and Python values agree on them."""

import datetime as dt
import decimal
import json
import math
import uuid

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.model.text import text_of, to_json, to_text

EAST = dt.timezone(dt.timedelta(hours=2))

RULES = [
    ("a b", pa.string(), "a b"),
    ("", pa.large_string(), ""),
    (True, pa.bool_(), "true"),
    (-5, pa.int8(), "-5"),
    (2**64 - 1, pa.uint64(), "18446744073709551615"),
    (1.0, pa.float64(), "1"),
    (-0.0, pa.float64(), "0"),
    (1.5, pa.float32(), "1.5"),
    (2.0**53, pa.float64(), "9007199254740992"),
    (2.0**54, pa.float64(), "1.8014398509481984e+16"),
    (1e20, pa.float64(), "1e+20"),
    (1e-7, pa.float64(), "1e-07"),
    (math.nan, pa.float64(), "NaN"),
    (math.inf, pa.float64(), "Infinity"),
    (-math.inf, pa.float32(), "-Infinity"),
    (decimal.Decimal("1.50"), pa.decimal128(5, 2), "1.5"),
    (decimal.Decimal("-0.05"), pa.decimal128(5, 2), "-0.05"),
    (decimal.Decimal("100.00"), pa.decimal256(50, 2), "100"),
    (decimal.Decimal("0.00"), pa.decimal64(5, 2), "0"),
    (decimal.Decimal("0.0000000001"), pa.decimal128(38, 10), "0.0000000001"),
    (decimal.Decimal(500), pa.decimal128(3, -2), "500"),
    (dt.date(2024, 5, 1), pa.date32(), "2024-05-01"),
    (dt.date(1, 1, 1), pa.date64(), "0001-01-01"),
    (dt.time(12, 30), pa.time32("s"), "12:30:00"),
    (dt.time(12, 30, 0, 250_000), pa.time64("us"), "12:30:00.25"),
    (dt.datetime(2024, 5, 1, 12, 30), pa.timestamp("s"), "2024-05-01T12:30:00"),
    (dt.datetime(2024, 5, 1, 0, 0, 0, 120), pa.timestamp("us"), "2024-05-01T00:00:00.00012"),
    (dt.datetime(2024, 5, 1), pa.timestamp("us"), "2024-05-01"),
    (dt.datetime(2024, 5, 1, tzinfo=dt.UTC), pa.timestamp("us", "UTC"), "2024-05-01T00:00:00Z"),
    (dt.datetime(2024, 5, 1, tzinfo=EAST), pa.timestamp("ms", "+02:00"), "2024-04-30T22:00:00Z"),
    (dt.timedelta(days=1, seconds=3), pa.duration("s"), "P1DT3S"),
    (dt.timedelta(0), pa.duration("us"), "P0D"),
    (-dt.timedelta(microseconds=1_500_000), pa.duration("us"), "-PT1.5S"),
    (b"ab\xff", pa.binary(), "YWL/"),
    (b"ab\xff", pa.binary(3), "YWL/"),
    ([1, None, 2.5], pa.list_(pa.float64()), "[1,null,2.5]"),
    ([], pa.list_view(pa.int8()), "[]"),
    ({"b": "é", "a": None, "c": True}, pa.struct([("b", pa.string()), ("a", pa.int8()), ("c", pa.bool_())]), '{"b":"é","c":true}'),
    ({"b": 1, "a": {"y": math.nan, "x": b"x"}}, None, '{"a":{"x":"eA==","y":"NaN"},"b":1}'),
    ([{}, {"a": dt.date(2024, 5, 1)}], None, '[{},{"a":"2024-05-01"}]'),
    (['"\\\n\x00/'], pa.list_(pa.large_string()), r'["\"\\\n\u0000/"]'),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kind", "text"), RULES)
def test_each_kind_has_its_text_in_arrays_and_as_python_value(value, kind, text):
    array = pa.array([None, value, value, None], kind)
    for window in (array, array.slice(1, 2), array.slice(2), array.slice(4)):
        result = to_text(window)
        result.validate(full=True)
        assert result.type == pa.string()
        assert result.to_pylist() == [None if v is None else text for v in window.to_pylist()]
    assert text_of(value) == text


def test_encodings_do_not_show():
    texts = pa.array(["a", None, "b", "a"])
    views = texts.cast(pa.string_view())
    ends = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["a", "b"]))
    assert to_text(texts.dictionary_encode()).equals(texts)
    assert to_text(views).equals(texts)
    assert to_text(pa.DictionaryArray.from_arrays([0, 1], views)).to_pylist() == ["a", None]
    assert to_text(ends.slice(1)).to_pylist() == ["a", "b"]
    ids = [uuid.UUID(int=7), None]
    assert to_text(pa.array([i and i.bytes for i in ids], pa.uuid())).to_pylist() == [str(ids[0]), None]
    assert to_text(pa.nulls(2)).to_pylist() == [None, None]


def test_entries_of_maps_are_sorted_by_key_and_null_ones_left_out():
    kind = pa.map_(pa.int64(), pa.string())
    array = pa.array([[(10, "x"), (9, "y"), (8, None)], None, [], [(1, "z")]], kind)
    assert to_text(array).to_pylist() == ['{"10":"x","9":"y"}', None, "{}", '{"1":"z"}']
    assert to_text(array.slice(1)).to_pylist() == [None, "{}", '{"1":"z"}']


def test_json_can_keep_the_order_of_members():
    struct = pa.array([{"b": 1, "a": None, "c": "x"}])
    assert to_json(struct, canonical=False).to_pylist() == ['{"b":1,"c":"x"}']
    entries = pa.array([[("b", 1), ("a", None)]], pa.map_(pa.string(), pa.int64()))
    assert to_json(entries, canonical=False).to_pylist() == ['{"b":1,"a":null}']


def test_members_go_by_their_names_in_the_source():
    member = pa.field("user_id", pa.int64(), metadata={"lakeload.source": "userId"})
    array = pa.StructArray.from_arrays([pa.array([1])], fields=[member])
    assert to_text(array).to_pylist() == ['{"userId":1}']


def test_values_beneath_a_null_parent_are_not_looked_at():
    nowhere = pa.array([0, 2**62], pa.timestamp("us"))
    struct = pa.StructArray.from_arrays([nowhere], ["a"], mask=pa.array([False, True]))
    assert to_text(struct).to_pylist() == ['{"a":"1970-01-01"}', None]
    lists = pa.ListArray.from_arrays([0, 1, 2], nowhere, mask=pa.array([False, True]))
    assert to_text(lists).to_pylist() == ['["1970-01-01"]', None]


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us"), pa.timestamp("s", "UTC")])
def test_moments_outside_the_calendar_have_no_text(kind):
    width = pa.int32() if pa.types.is_date(kind) else pa.int64()
    far = pa.array([2**31 - 1], width) if pa.types.is_date(kind) else pa.array([2**62], width)
    for array in (far.cast(kind), pa.array([-far[0].as_py()], width).cast(kind)):
        with pytest.raises(pa.ArrowInvalid, match="9999"):
            to_text(array)


def test_numbers_of_any_length_have_a_text_of_bounded_length():
    assert text_of(10**5000) == "1" + "0" * 5000
    assert len(text_of(decimal.Decimal("1E+999999"))) < 20
    with pytest.raises(TypeError, match="object"):
        text_of(object())


whole = st.integers(-(2**63), 2**63 - 1)
PLAIN = {
    pa.int64(): whole,
    pa.float64(): st.floats() | whole.map(float),
    pa.float32(): st.floats(width=32),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(),
    pa.binary(): st.binary(),
    pa.decimal128(38, 9): st.decimals(-(10**28), 10**28, places=9),
    pa.date32(): st.dates(),
    pa.time64("us"): st.times(),
    pa.timestamp("us"): st.datetimes(),
    pa.timestamp("us", "UTC"): st.datetimes(dt.datetime(2, 1, 1), timezones=st.just(dt.UTC)),
}
NESTED = pa.struct([*((f"m{i}", kind) for i, kind in enumerate(PLAIN)), ("l", pa.list_(pa.float64()))])
nested = st.fixed_dictionaries(
    {f"m{i}": st.none() | values for i, values in enumerate(PLAIN.values())}
    | {"l": st.none() | st.lists(st.none() | st.floats(), max_size=3)}
)


@given(st.sampled_from(list(PLAIN)).flatmap(lambda kind: st.tuples(st.just(kind), st.lists(PLAIN[kind]))))
def test_arrays_and_python_values_have_the_same_text(case):
    kind, values = case
    array = pa.array(values, kind)
    assert to_text(array).to_pylist() == [text_of(value) for value in array.to_pylist()]


@given(st.lists(st.none() | nested, max_size=4))
def test_nested_arrays_and_python_values_have_the_same_text_which_is_json(rows):
    array = pa.array(rows, NESTED)
    found = to_text(array).to_pylist()
    assert found == [None if row is None else text_of(row) for row in array.to_pylist()]
    for text, row in zip(found, rows, strict=True):
        if row is not None:
            parsed = json.loads(text, parse_constant=pytest.fail)
            assert list(parsed) == sorted(name for name, value in row.items() if value is not None)
