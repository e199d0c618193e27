from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeload.write import stats
from lakeload.write.encode import Encoder


def facts(table, encoding="compat"):
    return Encoder(encoding)(table).stats


KINDS = {
    "bool": (pa.bool_(), st.booleans()),
    "int32": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "decimal9": (pa.decimal128(9, 2), st.decimals(-(10**6), 10**6, places=2)),
    "decimal18": (pa.decimal128(18, 3), st.decimals(-(10**14), 10**14, places=3)),
    "decimal38": (pa.decimal128(38, 5), st.decimals(-(10**30), 10**30, places=5)),
    "date": (pa.date32(), st.dates()),
    "time": (pa.time64("us"), st.times()),
    "timestamp": (pa.timestamp("us"), st.datetimes()),
    "timestamptz": (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(dt.UTC))),
    "string": (pa.string(), st.text(st.characters(exclude_categories=["Cs"]))),
    "binary": (pa.binary(), st.binary()),
    "fixed": (pa.binary(4), st.binary(min_size=4, max_size=4)),
}


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=50)
@given(data=st.data())
def test_bounds_are_the_exact_extremes(name, data):
    kind, values = KINDS[name]
    drawn = data.draw(st.lists(st.one_of(st.none(), values), min_size=1, max_size=20))
    found = facts(pa.table({"c": pa.array(drawn, kind)}))[("c",)]
    filled = [value for value in pa.array(drawn, kind).to_pylist() if value is not None]
    assert (found.values, found.nulls, found.nans) == (len(drawn), len(drawn) - len(filled), None)
    assert found.min == min(filled, default=None)
    assert found.max == max(filled, default=None)
    assert type(found.min) is (type(filled[0]) if filled else type(None))


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
@given(st.lists(st.one_of(st.none(), st.floats(width=32)), min_size=1, max_size=20))
def test_float_bounds_leave_out_nan_and_count_it(kind, drawn):
    found = facts(pa.table({"c": pa.array(drawn, kind, from_pandas=False)}))[("c",)]
    filled = [value for value in drawn if value is not None and not math.isnan(value)]
    assert found.nulls == drawn.count(None)
    assert found.nans == len(drawn) - len(filled) - found.nulls
    assert found.min == min(filled, default=None)
    assert found.max == max(filled, default=None)


def test_footer_gives_no_bounds_of_a_column_with_nan():
    """DuckDB sorts NaN last and would skip it by a maximum that, as Parquet asks, leaves it out."""
    rows = pa.table({"x": [1.0, math.nan], "y": [1.0, 2.0], "s": [{"z": math.nan}, {"z": 3.0}]})
    group = Encoder()(rows)
    assert (group.stats["x",].min, group.stats["x",].max, group.stats["x",].nans) == (1.0, 1.0, 1)
    kept = {chunk[3][1][3][1][1][-1]: set(chunk[3][1][12][1]) for chunk in group.footer[1][1][1]}
    bounds, nulls = {5, 6}, 3
    assert bounds <= kept[b"y"]
    for name in (b"x", b"z"):
        assert not bounds & kept[name]
        assert nulls in kept[name]
    assert [bool(index) for index in group.column_indexes] == [False, True, False]


def test_zero_bounds_cover_both_zeros():
    found = facts(pa.table({"c": [0.0, -0.0]}))[("c",)]
    assert math.copysign(1, found.min) == -1
    assert math.copysign(1, found.max) == 1


def test_decimal_bounds_keep_the_scale():
    found = facts(pa.table({"c": pa.array([Decimal("1.5"), Decimal(-2)], pa.decimal128(10, 3))}))[("c",)]
    assert (str(found.min), str(found.max)) == ("-2.000", "1.500")


def test_text_longer_than_the_encoder_keeps_has_bounds_all_the_same():
    low, high = "a" * 6000, "z" * 6000
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        found = facts(pa.table({"c": pa.array([low, None, high]).cast(kind)}))[("c",)]
        assert (found.min, found.max, found.nulls) == (low, high, 1)
    found = facts(pa.table({"c": pa.array([low.encode(), high.encode()])}))[("c",)]
    assert (found.min, found.max) == (low.encode(), high.encode())


def test_enormous_text_has_no_bounds():
    found = facts(pa.table({"c": ["a" * (1 << 17)]}))[("c",)]
    assert (found.min, found.max) == (None, None)


def test_moment_python_cannot_hold_leaves_bounds_unknown():
    far = pa.array([2**62], pa.int64()).cast(pa.timestamp("us"))
    found = facts(pa.table({"c": far}))[("c",)]
    assert (found.values, found.min, found.max) == (1, None, None)


def test_struct_leaves_have_statistics_and_list_leaves_have_none():
    rows = pa.table(
        {
            "s": pa.array([{"a": 1, "t": {"x": math.nan}}, None, {"a": None, "t": None}]),
            "l": pa.array([[1], [], None]),
            "m": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        }
    )
    found = facts(rows)
    assert set(found) == {("s", "a"), ("s", "t", "x")}
    assert (found["s", "a"].nulls, found["s", "a"].min) == (2, 1)
    assert (found["s", "t", "x"].nulls, found["s", "t", "x"].nans) == (2, 1)
    assert found["s", "t", "x"].min is None


def test_dictionary_column_has_the_statistics_of_its_values():
    found = facts(pa.table({"c": pa.array(["b", "a", None]).dictionary_encode()}))[("c",)]
    assert (found.min, found.max, found.nulls) == ("a", "b", 1)


@given(st.lists(st.lists(st.one_of(st.none(), st.floats()), min_size=1), min_size=1, max_size=5))
def test_merged_statistics_are_those_of_all_rows(parts):
    tables = [pa.table({"c": pa.array(part, pa.float64())}) for part in parts]
    whole, merged = facts(pa.concat_tables(tables))[("c",)], stats.merge([facts(t) for t in tables])[("c",)]
    assert (merged.values, merged.nulls, merged.nans) == (whole.values, whole.nulls, whole.nans)
    assert (merged.min, merged.max) == (whole.min, whole.max)


def test_unknown_bound_of_one_part_makes_the_whole_unknown():
    known, unknown = facts(pa.table({"c": ["a"]})), facts(pa.table({"c": ["b" * (1 << 17)]}))
    merged = stats.merge([known, unknown])[("c",)]
    assert (merged.min, merged.max, merged.values) == (None, None, 2)


def test_part_of_nulls_only_does_not_hide_the_bounds_of_others():
    parts = [facts(pa.table({"c": pa.array(part, pa.int64())})) for part in ([None], [3, 1])]
    merged = stats.merge(parts)[("c",)]
    assert (merged.min, merged.max, merged.nulls) == (1, 3, 1)


def test_column_size_is_its_share_of_the_row_group():
    group = Encoder()(pa.table({"a": range(1000), "b": [str(i) for i in range(1000)]}))
    assert sum(part.size for part in group.stats.values()) == len(group.data)
    assert pc.sum(pa.array([part.size for part in group.stats.values()])).as_py() > 0
