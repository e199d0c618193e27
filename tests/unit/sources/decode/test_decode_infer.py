import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.sources.decode.infer import MAX_DEPTH, Conflict, Observed, excerpt, locate


def learn(values: list[object]) -> pa.DataType:
    seen = Observed()
    seen.observe(values)
    return seen.type()


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
        [2**53 + 1, 0.5],
        [10**38],
        [Decimal("1.5"), 1.5],
        [Decimal("NaN")],
        [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
        [dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
        [{1: 2}],
        [object()],
    ],
)
def test_values_without_a_common_exact_type_conflict(values):
    with pytest.raises(Conflict):
        learn(values)


def test_nesting_beyond_the_limit_conflicts_instead_of_exhausting_the_stack():
    value: object = 1
    for _ in range(MAX_DEPTH + 1):
        value = [value]

    with pytest.raises(Conflict, match="nested deeper"):
        learn([{"a": value}])


def test_a_conflict_is_located_by_row_path_and_value():
    found = locate([{"a": {"b": 1}}, {"a": {"b": 2}}, {"a": {"b": "x"}}])

    assert found is not None
    row, value, conflict = found
    assert (row, value, conflict.path) == (3, "x", "a.b")


def test_rows_of_one_type_have_nothing_to_locate():
    assert locate([{"a": 1}, {"a": None}]) is None


def test_long_values_are_cut_short_in_messages():
    assert len(excerpt("x" * 1000)) == 60


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.dates(),
    st.datetimes(),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-99, max_value=99),
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
records = st.lists(st.dictionaries(st.sampled_from("abc"), values, max_size=3), min_size=1, max_size=6)


def outcome(seen: Observed) -> object:
    """The type with fields sorted, or `None` for a conflict."""
    try:
        return canonical(seen.type())
    except Conflict:
        return None


def canonical(kind: pa.DataType) -> object:
    if pa.types.is_struct(kind):
        return {field.name: canonical(field.type) for field in kind}
    if pa.types.is_list(kind):
        return [canonical(kind.value_type)]
    return str(kind)


@given(records, st.randoms())
def test_the_order_of_rows_does_not_change_the_type(rows, random):
    one, other = Observed(), Observed()
    one.observe(rows)
    shuffled = random.sample(rows, len(rows))
    other.observe(shuffled)

    assert outcome(one) == outcome(other)


@given(records, st.integers(0, 6))
def test_merging_parts_gives_the_type_of_the_whole_either_way_round(rows, cut):
    whole, left, right = Observed(), Observed(), Observed()
    whole.observe(rows)
    left.observe(rows[:cut])
    right.observe(rows[cut:])

    assert outcome(whole) == outcome(left.merge(right)) == outcome(right.merge(left))


@given(st.lists(st.one_of(st.none(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False)), max_size=8))
def test_numbers_survive_the_type_they_are_given(numbers):
    try:
        kind = learn(numbers)
    except Conflict:
        return

    assert pa.array(numbers, kind).to_pylist() == numbers
