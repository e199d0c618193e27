import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from lakeload.model.nesting import Nesting
from lakeload.sources.decode.conflict import Conflict, excerpt
from lakeload.sources.decode.infer import MAX_COLUMNS, Observed
from lakeload.sources.decode.seed import seeded


def learn(values: list[object], nesting: Nesting | None = None) -> pa.DataType:
    """The type of a column with these values."""
    seen = Observed(nesting)
    seen.observe([{"v": value} for value in values])
    return seen.type().field("v").type


def nested(levels: int, leaf: object = 1) -> object:
    for _ in range(levels):
        leaf = {"a": leaf}
    return leaf


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([None], pa.null()),
        ([None, True], pa.bool_()),
        ([1, None], pa.int64()),
        ([2**63 - 1, -(2**63)], pa.int64()),
        ([2**63], pa.decimal128(38, 0)),
        ([-(2**63) - 1, 1], pa.decimal128(38, 0)),
        ([10**38 - 1], pa.decimal128(38, 0)),
        ([1, 1.5], pa.float64()),
        ([2**53, 0.5], pa.float64()),
        ([Decimal("1.50"), 1], pa.decimal128(18, 2)),
        ([Decimal("12345678901234567890.1")], pa.decimal128(38, 1)),
        ([dt.date(2024, 1, 1), dt.datetime(2024, 1, 1)], pa.timestamp("us")),
        ([dt.datetime(2024, 1, 1, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
        ([[1], [], [None]], pa.list_(pa.int64())),
        ([[], []], pa.list_(pa.null())),
        ([{}], pa.struct([])),
        ([{"a": 1}, {"b": "x"}], pa.struct([("a", pa.int64()), ("b", pa.string())])),
        ([{"a": None}, {"a": {"b": 1}}], pa.struct([("a", pa.struct([("b", pa.int64())]))])),
    ],
)
def test_the_least_type_that_holds_all_values_is_found(values, expected):
    assert learn(values) == expected


@pytest.mark.parametrize(
    "values",
    [
        [1, "1"],
        [True, 1],
        [{"a": 1}, "x"],
        [[1], 1],
        [[1], {"a": 1}],
        [2**53 + 1, 0.5],
        [10**38],
        [10**5000, 1],
        [Decimal("1.5"), 1.5],
        [Decimal("NaN")],
        [Decimal("1E+40"), 1],
        [Decimal("1E-40")],
        [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
        [dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
        [dt.date(2024, 1, 1), "2024-01-01"],
        [dt.time(1, tzinfo=dt.UTC)],
        [b"x", "x"],
    ],
)
def test_values_without_a_common_exact_type_are_text(values):
    assert learn(values) == pa.string()


@pytest.mark.parametrize("value", [{1: 2}, object(), 1j, {"a": {"\ud800": 1}}])
def test_what_no_column_can_hold_conflicts(value):
    with pytest.raises(Conflict):
        learn([value])


def test_an_object_with_more_keys_than_the_limit_is_a_map_of_their_common_type():
    keys = [{f"k{i}": i} for i in range(4)]

    assert learn(keys, Nesting(map_keys=4)) == pa.struct([(f"k{i}", pa.int64()) for i in range(4)])
    assert learn(keys, Nesting(map_keys=3)) == pa.map_(pa.string(), pa.int64())
    assert learn([*keys, {"k0": "x"}], Nesting(map_keys=3)) == pa.map_(pa.string(), pa.string())
    assert learn([*keys, 1], Nesting(map_keys=3)) == pa.string()


def test_the_values_of_a_map_have_their_members_together():
    values = [{f"k{i}": {"a": i}} for i in range(3)] + [{"k0": {"b": "x"}}]

    value = pa.struct([("a", pa.int64()), ("b", pa.string())])
    assert learn(values, Nesting(map_keys=2)) == pa.map_(pa.string(), value)


def test_a_map_of_structs_counts_their_keys_together():
    values = [{f"k{i}": {f"m{i}": i}} for i in range(5)]

    assert learn(values, Nesting(map_keys=4)) == pa.map_(pa.string(), pa.map_(pa.string(), pa.int64()))


@pytest.mark.parametrize(
    ("nesting", "value", "expected"),
    [
        (Nesting("json"), {"a": 1}, pa.string()),
        (Nesting("json"), [1], pa.string()),
        (Nesting("json"), 1, pa.int64()),
        (Nesting("map"), {"a": 1}, pa.map_(pa.string(), pa.int64())),
        (Nesting("map"), [{"a": 1}], pa.list_(pa.map_(pa.string(), pa.int64()))),
        (Nesting(paths={"v.x": "json"}), {"x": {"y": 1}}, pa.struct([("x", pa.string())])),
        (
            Nesting(paths={"v.x": "map"}),
            [{"x": {}}],
            pa.list_(pa.struct([("x", pa.map_(pa.string(), pa.null()))])),
        ),
        (Nesting("json", {"v": "native"}), {"x": [1]}, pa.struct([("x", pa.list_(pa.int64()))])),
        (Nesting("tables"), {"x": 1}, pa.struct([("x", pa.int64())])),
    ],
)
def test_policies_say_what_is_kept_as_text_or_as_a_map(nesting, value, expected):
    assert learn([value], nesting) == expected


def test_nested_values_below_the_deepest_level_are_text():
    assert learn([{"a": 1}], Nesting(max_depth=1)) == pa.string()
    assert learn([1], Nesting(max_depth=1)) == pa.int64()
    assert learn([nested(3)], Nesting(max_depth=3)) == pa.struct([("a", pa.struct([("a", pa.string())]))])
    assert learn([[[1]]], Nesting(max_depth=2)) == pa.list_(pa.string())


def test_types_end_at_the_deepest_level_however_deep_the_value():
    depth, kind = 0, learn([nested(10_000)])
    while pa.types.is_struct(kind):
        depth, kind = depth + 1, kind.field(0).type

    assert (depth, kind) == (Nesting().max_depth - 1, pa.string())


def test_rows_of_too_many_keys_conflict_and_say_what_to_do():
    seen = Observed()
    seen.observe([{f"k{i}": i for i in range(MAX_COLUMNS)}])
    more = Observed()
    more.observe([{"one more": 1}])

    with pytest.raises(Conflict, match="more than 10000 different keys") as caught:
        seen.merge(more)

    assert "as a map" in caught.value.hint


def test_an_object_that_a_policy_leads_through_is_no_map():
    nesting = Nesting(paths={"v.k1": "json"}, map_keys=1)

    assert pa.types.is_struct(learn([{"k1": [1], "k2": 2, "k3": 3}], nesting))


def test_observations_stay_as_they_are_when_merged():
    one, other = Observed(), Observed()
    one.observe([{"a": 1}])
    other.observe([{"a": "x", "b": [1]}])

    one.merge(other).observe([{"a": 1.5, "b": ["x"]}])

    assert str(one.type()) == "struct<a: int64>"
    assert str(other.type()) == "struct<a: string, b: list<item: int64>>"


KNOWN = pa.schema(
    [
        ("i", pa.int32()),
        ("f", pa.float32()),
        ("d", pa.decimal128(10, 2)),
        ("b", pa.bool_()),
        ("t", pa.large_string()),
        ("l", pa.list_(pa.int64())),
        ("s", pa.struct([("x", pa.int64())])),
        ("m", pa.map_(pa.string(), pa.int64())),
        ("at", pa.timestamp("us", "UTC")),
        ("raw", pa.binary()),
    ]
)


def test_a_schema_is_learned_again_from_a_table():
    kinds = {field.name: str(field.type) for field in seeded(KNOWN, Nesting()).type()}

    assert kinds == {
        "i": "int64",
        "f": "double",
        "d": "decimal128(18, 2)",
        "b": "bool",
        "t": "string",
        "l": "list<item: int64>",
        "s": "struct<x: int64>",
        "m": "map<string, int64>",
        "at": "null",
        "raw": "null",
    }


def test_dates_and_bytes_of_a_table_are_text_in_sources_that_have_none():
    seen = seeded(KNOWN, Nesting(), text_only=True).type()

    assert (seen.field("at").type, seen.field("raw").type) == (pa.string(), pa.string())


def test_what_is_kept_as_text_now_is_learned_as_text():
    assert seeded(KNOWN, Nesting("json")).type().field("s").type == pa.string()


def test_long_values_are_cut_short_in_messages():
    assert len(excerpt("x" * 1000)) == 60
