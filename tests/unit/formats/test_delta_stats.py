"""Statistics that readers skip files by: a bound may be loose, never wrong."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import readers
from delta_files import append, created, facts
from hypothesis import example, given
from hypothesis import strategies as st

from lakeload.formats.delta_stats import indexed_columns, stats_json
from lakeload.model.files import ColumnStats, DataFile

LAST = "\U0010ffff"
EDGE = st.text(st.sampled_from(["a", "é", "￿", "\U00010000", LAST, "\x00", "\x7f"]), min_size=28, max_size=40)
TEXT = st.one_of(st.text(st.characters(exclude_categories=["Cs"])), EDGE)
FLOATS = st.floats(width=64) | st.sampled_from(
    [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308]
)
MOMENTS = st.datetimes() | st.sampled_from(
    [dt.datetime.min, dt.datetime.max, dt.datetime(1969, 12, 31, 23, 59, 59, 999999)]
)
DECIMALS = st.decimals(-(10**20), 10**20, places=9, allow_nan=False)


def stats_of(values: list, *, floating: bool = False) -> dict:
    """What the log would say of one column with these values."""
    file = DataFile("a.parquet", 1, len(values), stats={("c",): facts(values, floating=floating)})
    return json.loads(stats_json(file, [("c",)]), parse_float=Decimal)


def bounds(stats: dict) -> tuple:
    return stats["minValues"].get("c"), stats["maxValues"].get("c")


def some(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(st.none() | values, min_size=1, max_size=8)


@given(some(TEXT))
def test_text_bounds_hold_every_value_in_byte_order(values):
    low, high = bounds(stats_of(values))
    for value in filter(None, values):
        assert low.encode() <= value.encode()
        assert high is None or value.encode() <= high.encode()
        assert len(low) <= 32
        assert high is None or len(high) <= 33


@example([0.0, -0.0])
@example([-0.0, 0.0])
@given(some(FLOATS))
def test_float_bounds_are_finite_hold_every_number_and_admit_nan(values):
    low, high = bounds(stats_of(values, floating=True))
    present = [value for value in values if value is not None]
    for value in present:
        if math.isnan(value):
            assert high is None, "NaN is larger than every number"
        elif low is not None:
            assert (
                math.copysign(1, low) <= math.copysign(1, value) if value == 0 == low else float(low) <= value
            )
    for value in present:
        if high is not None:
            assert (
                math.copysign(1, high) >= math.copysign(1, value)
                if value == 0 == high
                else float(high) >= value
            )


@given(some(MOMENTS), st.booleans())
def test_timestamp_bounds_are_milliseconds_around_every_value(values, zoned):
    moments = [value and value.replace(tzinfo=dt.UTC if zoned else None) for value in values]
    low, high = bounds(stats_of(moments))
    for value in filter(None, moments):
        assert dt.datetime.fromisoformat(low) <= value
        assert high is None or value <= dt.datetime.fromisoformat(high)
        assert low.endswith("Z") == zoned
        assert value - dt.datetime.fromisoformat(low) < dt.timedelta(milliseconds=1) or value != min(
            filter(None, moments)
        )


@given(some(DECIMALS))
def test_decimal_bounds_hold_for_readers_of_every_digit_and_for_readers_of_doubles(values):
    low, high = bounds(stats_of(values))
    present = [value for value in values if value is not None]
    if present:
        for read in (Decimal, lambda number: Decimal(repr(float(number)))):
            assert read(low) <= min(present)
            assert max(present) <= read(high)
        assert float(min(present)) - float(low) <= 2 * math.ulp(float(low))
        assert float(high) - float(max(present)) <= 2 * math.ulp(float(high))


def test_decimal_bound_that_would_need_one_more_digit_is_left_out():
    value = Decimal(999999999999999910)
    stats = stats_json(DataFile("a", 1, 1, stats={("c",): facts([value], floating=False)}), [("c",)])
    assert 'maxValues":{}' in stats
    assert 'minValues":{"c":9' in stats


@pytest.mark.parametrize("text", ["1.50", "-9999999.99", "123456789012.345", "0.1", "0"])
def test_decimal_bounds_a_double_can_hold_are_exact(text):
    value = Decimal(text)
    stats = stats_json(DataFile("a", 1, 1, stats={("c",): facts([value], floating=False)}), [("c",)])
    assert f'"minValues":{{"c":{text}}},"maxValues":{{"c":{text}}}' in stats


@pytest.mark.parametrize(
    "text",
    ["999999999999999999999999999.0000000000", "1234567890123456.78", "-1234567890123456.78", "-" + "9" * 38],
)
def test_decimal_bounds_of_many_digits_have_the_scale_of_the_column(text):
    value = Decimal(text)
    low, high = bounds(
        json.loads(
            stats_json(DataFile("a", 1, 1, stats={("c",): facts([value], floating=False)}), [("c",)]),
            parse_float=Decimal,
        )
    )
    assert Decimal(repr(float(low))) <= value <= Decimal(repr(float(high)))
    assert Decimal(low).as_tuple().exponent >= value.as_tuple().exponent
    assert Decimal(high).as_tuple().exponent >= value.as_tuple().exponent


@given(some(st.integers(-(2**63), 2**63 - 1)))
def test_counts_and_integer_bounds_are_exact(values):
    stats = stats_of(values)
    present = [value for value in values if value is not None]
    assert stats["numRecords"] == len(values)
    assert stats["nullCount"] == {"c": len(values) - len(present)}
    assert bounds(stats) == (min(present, default=None), max(present, default=None))


def test_small_decimal_is_spelled_without_exponent():
    text = stats_json(
        DataFile("a", 1, 1, stats={("c",): facts([Decimal("0.0000000001")], floating=False)}), [("c",)]
    )
    assert '"minValues":{"c":0.0000000001}' in text


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("x" * 32, "x" * 32, "x" * 32),
        ("x" * 33, "x" * 32, "x" * 32 + LAST),
        ("é" * 40, "é" * 32, "é" * 32 + LAST),
        ("x" * 32 + LAST, "x" * 32, None),
        (LAST * 32 + "a", LAST * 32, LAST * 33),
        (-0.0, -0.0, 0.0),
        (0.0, -0.0, 0.0),
        (math.inf, None, None),
        (dt.date(1, 1, 1), "0001-01-01", "0001-01-01"),
        (
            dt.datetime(1969, 12, 31, 23, 59, 59, 999001, dt.UTC),
            "1969-12-31T23:59:59.999Z",
            "1970-01-01T00:00:00.000Z",
        ),
        (dt.datetime.max, "9999-12-31T23:59:59.999", None),
        (True, True, True),
        (False, False, False),
        (b"\x00", None, None),
    ],
)
def test_bounds_of_single_values(value, low, high):
    found = json.loads(
        stats_json(
            DataFile("a", 1, 1, stats={("c",): facts([value], floating=isinstance(value, float))}), [("c",)]
        )
    )
    assert (found["minValues"].get("c"), found["maxValues"].get("c")) == (low, high)
    if isinstance(low, float):
        assert math.copysign(1, found["minValues"]["c"]) == -1


def test_maximum_is_left_out_when_it_is_unknown_whether_there_are_nans():
    column = ColumnStats(2, 0, nans=None, min=1.0, max=2.0)
    found = json.loads(stats_json(DataFile("a", 1, 2, stats={("c",): column}), [("c",)]))
    assert (found["minValues"], found["maxValues"]) == ({"c": 1.0}, {})


def test_statistics_of_structs_are_nested():
    file = DataFile(
        "a", 1, 2, stats={("s", "x"): ColumnStats(2, 1, min=1, max=1), ("s", "t", "y"): ColumnStats(2, 2)}
    )
    found = json.loads(stats_json(file, [("s", "x"), ("s", "t", "y")]))
    assert found["minValues"] == {"s": {"x": 1}}
    assert found["nullCount"] == {"s": {"x": 1, "t": {"y": 2}}}


WIDE = pa.schema([("s", pa.struct([("a", pa.int64()), ("l", pa.list_(pa.int64())), ("b", pa.int64())])), ("p", pa.string()), ("a.b", pa.int64()), *((f"c{i}", pa.int64()) for i in range(40))])  # fmt: skip


def test_first_32_leaves_get_statistics_lists_and_structs_counted():
    found = indexed_columns(WIDE, ["p"], {})
    assert found[:3] == (("s", "a"), ("s", "b"), ("a.b",))
    assert found[-1] == ("c27",)
    assert len(found) == 31, "the list takes a place and gets none"


@pytest.mark.parametrize(
    ("properties", "count"),
    [
        ({"delta.dataSkippingNumIndexedCols": "2"}, 1),
        ({"delta.dataSkippingNumIndexedCols": "-1"}, 43),
        ({"delta.dataSkippingNumIndexedCols": "0"}, 0),
        ({"delta.dataSkippingNumIndexedCols": "many"}, 31),
    ],
)
def test_number_of_columns_with_statistics_is_the_tables(properties, count):
    assert len(indexed_columns(WIDE, ["p"], properties)) == count


def test_columns_named_by_the_table_get_statistics():
    properties = {"delta.dataSkippingStatsColumns": "c39, s.b,`a.b`, gone"}
    assert indexed_columns(WIDE, ["p"], properties) == (("s", "b"), ("a.b",), ("c39",))
    assert indexed_columns(WIDE, ["p"], {"delta.dataSkippingStatsColumns": "s"}) == (("s", "a"), ("s", "b"))


PROBES = [
    (pa.string(), ["x" * 32 + "é", "x" * 40, "", LAST * 33, None]),
    (pa.float64(), [math.nan, -0.0, 1.5, None]),
    (pa.float32(), [math.inf, -math.inf, 0.1]),
    (pa.timestamp("us", "UTC"), [dt.datetime(2024, 1, 1, 0, 0, 0, 1, dt.UTC), dt.datetime(1969, 12, 31, 23, 59, 59, 999999, dt.UTC)]),
    (pa.timestamp("us"), [dt.datetime(2024, 1, 1, 0, 0, 0, 999), dt.datetime(1, 1, 1)]),
    (pa.decimal128(38, 10), [Decimal("0.0000000001"), Decimal("-9999999999999999999999999999.9999999999")]),
    (pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    (pa.int64(), [2**63 - 1, -(2**63)]),
    (pa.bool_(), [True, False]),
    (pa.binary(), [b"\xff", b""]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "values"), PROBES, ids=[str(kind) for kind, _ in PROBES])
def test_readers_that_skip_files_find_every_value(tmp_path, kind, values):
    import polars as pl

    tables = [pa.table({"c": pa.array([value], kind), "n": [i]}) for i, value in enumerate(values)]
    table = created(tmp_path, tables[0])
    for rows in tables[1:]:
        append(table, rows)
    with readers.connect() as duck:
        duck.register("probe", pa.concat_tables(tables))
        found = duck.sql(
            f"SELECT t.n FROM delta_scan('{tmp_path}') t JOIN probe p ON t.n = p.n AND t.c IS NOT DISTINCT FROM p.c"
        ).fetchall()
        assert len(found) == len(values)
        for i in range(len(values)):
            alone = duck.sql(
                f"SELECT n FROM delta_scan('{tmp_path}') WHERE c IS NOT DISTINCT FROM (SELECT c FROM probe WHERE n = {i})"
            ).fetchall()
            assert (i,) in alone
            if values[i] is not None:
                above = duck.sql(
                    f"SELECT n FROM delta_scan('{tmp_path}') WHERE c >= (SELECT c FROM probe WHERE n = {i})"
                ).fetchall()
                assert (i,) in above
    for i, value in enumerate(values):
        literal = pl.Series([value], dtype=pl.from_arrow(tables[0]["c"]).dtype)
        frame = pl.scan_delta(str(tmp_path)).filter(pl.col("c").eq_missing(pl.lit(literal).first())).collect()
        assert i in frame["n"].to_list()


def test_library_reads_our_statistics(tmp_path):
    from deltalake import DeltaTable

    rows = pa.table({
        "s": ["x" * 40], "n": pa.array([Decimal("1.50")], pa.decimal128(10, 2)), "at": pa.array([dt.datetime(2024, 1, 1, 0, 0, 0, 1, dt.UTC)], pa.timestamp("us", "UTC")),
        "st": [{"x": 7}],
    })  # fmt: skip
    created(tmp_path, rows)
    (found,) = pa.table(DeltaTable(tmp_path).get_add_actions(flatten=True)).to_pylist()
    assert (found["min.n"], found["max.n"], found["min.st.x"], found["num_records"]) == (
        Decimal("1.50"),
        Decimal("1.50"),
        7,
        1,
    )
    assert found["min.at"] <= rows["at"][0].as_py() <= found["max.at"]
    assert found["min.s"] <= "x" * 40 <= found["max.s"]


@pytest.mark.parametrize(
    "values",
    [
        [True, False, None],
        [True, True],
        [False],
        [None, None],
        [None, True],
        [False, None, None],
        [True, False],
    ],
)
@pytest.mark.parametrize("wanted", [True, False])
def test_library_finds_rows_by_booleans(tmp_path, values, wanted):
    from deltalake import DeltaTable

    kind = pa.struct([("flag", pa.bool_())])
    nested = pa.array([None if v is None else {"flag": v} for v in values], kind)
    created(tmp_path, pa.table({"ok": pa.array(values, pa.bool_()), "s": nested}))
    rows = DeltaTable(tmp_path).to_pyarrow_dataset()
    for column in (("ok",), ("s", "flag")):
        assert rows.to_table(filter=pc.field(*column) == wanted).num_rows == values.count(wanted)


def test_partition_columns_get_no_statistics(tmp_path):
    from lakeload.model.layout import Layout

    created(tmp_path, pa.table({"p": [1], "q": [2]}), layout=Layout.parse("p"), partition=(1,))
    entry = (tmp_path / "_delta_log" / f"{0:020d}.json").read_text().splitlines()[-1]
    assert json.loads(json.loads(entry)["add"]["stats"])["minValues"] == {"q": 2}
