"""Row rules on batches: against plain Python row by row, and case by case."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pydantic
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lakeload import rules
from lakeload.errors import ConfigError, SchemaError
from lakeload.model.rules import Rule
from lakeload.normalize.rules import RuleCount, Rules, without_values


def number(index: int) -> int:
    return index + 1


def failed(rule: Rule, column: pa.Array | list[Any], **others: Any) -> list[int]:
    """Indices of the rows that break one rule about the column `a`."""
    batch = pa.record_batch({"a": column, **others})
    found = Rules([rule], "t").check(batch, number)
    return sorted({row for rejection in found for row in rejection.rows.to_pylist()})


INTS = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-5, 5))
DOUBLES = st.one_of(st.none(), st.floats(), st.integers(-5, 5).map(float))
DECIMALS = st.one_of(st.none(), st.decimals(-1000, 1000, places=2))
DATES = st.one_of(st.none(), st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 30)))
MOMENTS = st.one_of(st.none(), st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 1, 1)))
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-5, 5),
    st.floats(allow_nan=False),
    st.decimals(-1000, 1000, places=3),
)
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any], st.SearchStrategy[Any]]] = {
    "int64": (pa.int64(), INTS, NUMBERS),
    "int32": (pa.int32(), st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)), NUMBERS),
    "double": (pa.float64(), DOUBLES, NUMBERS),
    "float": (pa.float32(), st.one_of(st.none(), st.floats(width=32)), NUMBERS),
    "decimal": (pa.decimal128(12, 2), DECIMALS, NUMBERS),
    "date": (pa.date32(), DATES, st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 30))),
    "timestamp": (pa.timestamp("us"), MOMENTS, st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 1, 1))),
    "text": (pa.string(), st.one_of(st.none(), st.text()), st.text()),
}


def inside(value: Any, low: Any, high: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, float) and math.isnan(value):
        return False
    return (low is None or low <= value) and (high is None or value <= high)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_between_decides_as_python_does(kind: str, data: st.DataObject) -> None:
    arrow, values, bounds = KINDS[kind]
    column = pa.array(data.draw(st.lists(values, max_size=8)), arrow)
    low, high = data.draw(st.tuples(st.one_of(st.none(), bounds), bounds))
    assume(type(low) is not type(high) or isinstance(low, str) or low <= high)  # else it is no rule
    expected = [i for i, v in enumerate(column.to_pylist()) if not inside(v, low, high)]
    assert failed(rules.between("a", low, high), column) == expected


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "text"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_one_of_decides_as_python_does(kind: str, data: st.DataObject) -> None:
    arrow, values, others = KINDS[kind]
    column = pa.array(data.draw(st.lists(values, max_size=8)), arrow)
    own = [value for value in column.to_pylist() if value is not None and value == value]  # noqa: PLR0124 - no NaN
    allowed = data.draw(st.lists(st.one_of(others, st.sampled_from(own)) if own else others, min_size=1))
    expected = [
        i
        for i, v in enumerate(column.to_pylist())
        if v is not None and not (isinstance(v, float) and math.isnan(v)) and v not in allowed
    ]
    found = failed(rules.one_of("a", allowed), column)
    nan = [i for i, v in enumerate(column.to_pylist()) if isinstance(v, float) and math.isnan(v)]
    assert [row for row in found if row not in nan] == expected


def key(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53 else value


@settings(max_examples=150, deadline=None)
@given(
    batches=st.lists(
        st.lists(
            st.tuples(st.one_of(st.none(), st.integers(0, 4)), st.sampled_from(["x", "y", "x,y", '"', None]))
        )
    )
)
def test_unique_keeps_the_first_row_of_each_key_over_all_batches(batches: list[list[Any]]) -> None:
    checked, seen = Rules([rules.unique("a", "b")], "t"), set[Any]()
    for rows in batches:
        batch = pa.record_batch(
            {
                "a": pa.array([a for a, _ in rows], pa.int64()),
                "b": pa.array([b for _, b in rows], pa.string()),
            }
        )
        expected = []
        for i, row in enumerate(rows):
            if None not in row:
                expected += [i] if row in seen else []
                seen.add(row)
        found = checked.check(batch, number)
        assert [row for rejection in found for row in rejection.rows.to_pylist()] == expected


def test_unique_remembers_values_across_a_widening_of_their_column() -> None:
    checked = Rules([rules.unique("a")], "t")
    kinds: list[pa.Array] = [
        pa.array([1, 2], pa.int32()),
        pa.array([2, 3], pa.int64()),
        pa.array([3.0, 4.0]),
        pa.array([Decimal("4.00"), Decimal("5.50")], pa.decimal128(10, 2)),
        pa.array(["5.5", "1", "6"]),
    ]
    found = [checked.check(pa.record_batch({"a": column}), number) for column in kinds]
    assert [[row for f in one for row in f.rows.to_pylist()] for one in found] == [[], [0], [0], [0], [0, 1]]


def test_unique_over_many_batches_finds_repeats_near_and_far() -> None:
    checked = Rules([rules.unique("a")], "t")
    for start in range(0, 20_000, 500):
        batch = pa.record_batch({"a": [*range(start, start + 500), 0 if start else -1, start]})
        found = [row for f in checked.check(batch, number) for row in f.rows.to_pylist()]
        assert found == ([500, 501] if start else [501])
    assert checked.counts["unique(a)"] == RuleCount(rows=40 * 502, failed=79)


def test_row_kept_out_by_another_rule_does_not_use_up_its_key() -> None:
    checked = Rules([rules.unique("id"), rules.between("age", 0)], "t")
    batch = pa.record_batch({"id": [1, 1, 1], "age": [-1, 5, 6]})
    assert [(f.rule, f.rows.to_pylist()) for f in checked.check(batch, number)] == [
        ("unique(id)", [2]),
        ("between(age)", [0]),
    ]


def test_value_dropped_by_a_rule_leaves_the_row_and_its_key() -> None:
    drop = rules.between("age", 0, outcome="discard_value")
    checked = Rules([rules.unique("id"), drop], "t")
    batch = pa.record_batch({"id": [1, 1], "age": [-1, 5]})
    found = checked.check(batch, number)
    assert [(f.rule, f.rows.to_pylist()) for f in found] == [("unique(id)", [1]), ("between(age)", [0])]
    assert without_values(batch, found).to_pylist() == [{"id": 1, "age": None}, {"id": 1, "age": 5}]


def test_null_breaks_no_rule_but_not_null() -> None:
    batch = pa.record_batch({"a": pa.array([None], pa.string()), "b": pa.array([None], pa.int64())})
    given_rules = [
        rules.not_null("a"),
        rules.unique("a"),
        rules.between("b", 1, 2),
        rules.matches("a", "x"),
        rules.one_of("a", ["x"]),
        rules.where("w", pl.col("b") > 1),
    ]
    found = Rules(given_rules, "t").check(batch, number)
    assert [f.rule for f in found] == ["not_null(a)"]


def test_pattern_is_searched_unless_anchored() -> None:
    words = ["xay", "a", "b", None, "a\n"]
    assert failed(rules.matches("a", "a"), words) == [2]
    assert failed(rules.matches("a", "^a$"), words) == [0, 2, 4]


def test_text_bounds_are_values_of_the_columns_type() -> None:
    days = pa.array([dt.date(2023, 12, 31), dt.date(2024, 1, 1)])
    assert failed(rules.between("a", "2024-01-01", "2024-12-31"), days) == [0]
    assert failed(rules.one_of("a", ["2024-01-01"]), days) == [0]
    moments = pa.array([dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)], pa.timestamp("us", "UTC"))
    assert failed(rules.between("a", "2024-01-01T13:00:00+01:00", "2024-01-01T12:00:00Z"), moments) == []
    assert failed(rules.between("a", "0", "9.5"), pa.array([9, 10])) == [1]
    assert failed(rules.one_of("a", ["true"]), pa.array([True, False])) == [1]


def test_numbers_read_a_text_column_as_numbers_and_text_that_is_none_fails() -> None:
    assert failed(rules.between("a", 0, 150), ["9", "1e2", "151", "x", None]) == [2, 3]
    assert failed(rules.one_of("a", [1, 2.5]), ["1", "2.5", "2"]) == [2]
    days = ["2024-01-01", "2023-01-01", "2024-01-01T10:00:00Z", "soon", None]
    assert failed(rules.between("a", dt.date(2024, 1, 1), None), days) == [1, 3]


@pytest.mark.parametrize(
    ("rule", "column"),
    [
        (rules.between("a", 0, 1), pa.array([dt.date(2024, 1, 1)])),
        (rules.between("a", "x", "y"), pa.array([1])),
        (rules.between("a", 0, 1), pa.array([[1]])),
        (rules.between("a", False, True), pa.array([True])),
        (rules.one_of("a", ["x"]), pa.array([1])),
        (rules.matches("a", "x"), pa.array([1])),
        (rules.between("a", dt.datetime(2024, 1, 1, tzinfo=dt.UTC)), pa.array([dt.datetime(2024, 1, 1)])),
    ],
)
def test_rule_that_does_not_suit_the_columns_type_says_so(rule: Rule, column: pa.Array) -> None:
    with pytest.raises(ConfigError, match="does not suit") as caught:
        failed(rule, column)
    assert (caught.value.table, caught.value.column) == ("t", "a")


def test_pattern_that_rust_cannot_read_is_refused_before_any_row() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Rules([rules.matches("a", "(?=x)")], "t")


def test_rule_about_a_column_that_is_not_there_is_an_error_naming_those_that_are() -> None:
    for rule in (rules.not_null("agee"), rules.unique("agee"), rules.where("w", pl.col("agee") > 1)):
        with pytest.raises(ConfigError, match="does not have") as caught:
            Rules([rule], "t").check(pa.record_batch({"age": [1]}), number)
        assert "age" in (caught.value.hint or "")


def test_column_that_may_still_come_counts_as_null_until_then() -> None:
    given_rules = [
        rules.not_null("a", outcome="discard_row"),
        rules.between("a", 0, 1),
        rules.unique("a"),
        rules.where("either", pl.col("a").is_not_null() | (pl.col("b") > 1)),
        rules.where("needs a type", pl.col("a").str.len_chars() > 1),
    ]
    checked = Rules(given_rules, "t", may_come=True)
    found = checked.check(pa.record_batch({"b": [1, 2]}), number)
    assert [(f.rule, f.rows.to_pylist()) for f in found] == [("not_null(a)", [0, 1]), ("either", [0])]
    assert checked.counts["between(a)"].rows == 0


@pytest.mark.parametrize("expression", [pl.col("a") + 1, pl.col("a").str.len_chars() > 1])
def test_expression_that_is_no_test_of_a_row_names_the_rule(expression: pl.Expr) -> None:
    with pytest.raises(ConfigError, match="cannot be evaluated") as caught:
        failed(rules.where("odd one", expression), [1, 2])
    assert "odd one" in str(caught.value)


def test_expression_that_fails_on_values_names_the_rule() -> None:
    checked = Rules([rules.not_null("a"), rules.where("odd one", pl.col("a").str.to_integer() > 1)], "t")
    with pytest.raises(ConfigError, match="odd one"):
        checked.check(pa.record_batch({"a": ["x"]}), number)


def test_dictionary_encoded_text_is_checked_as_text() -> None:
    assert failed(rules.matches("a", "^x"), pa.array(["x", "y", None]).dictionary_encode()) == [1]


def test_frozen_rule_refuses_with_table_column_row_and_value() -> None:
    checked = Rules([rules.between("age", 0, 150, outcome="freeze")], "people")
    with pytest.raises(SchemaError) as caught:
        checked.check(pa.record_batch({"age": [1, 200]}), lambda index: index + 41)
    error = caught.value
    assert (error.table, error.column, error.row) == ("people", "age", 42)
    assert "200" in error.what
    assert "between(age)" in str(error)


def test_refusal_shows_an_excerpt_of_a_long_value() -> None:
    with pytest.raises(SchemaError) as caught:
        failed(rules.matches("a", "^y", outcome="freeze"), ["x" * 100_000])
    assert len(str(caught.value)) < 500


class Line(pydantic.BaseModel):
    """A line of an order."""

    sku: str
    count: int

    @pydantic.field_validator("count")
    @classmethod
    def positive(cls, count: int) -> int:
        """Refuses what is not positive."""
        if count <= 0:
            raise ValueError("must be positive")
        return count


class Delivery(pydantic.BaseModel):
    """A row with rows inside."""

    model_config = pydantic.ConfigDict(extra="forbid")
    id: int
    lines: list[Line]


def test_model_refuses_rows_and_says_where_and_why() -> None:
    rows: list[dict[str, Any]] = [
        {"id": 1, "lines": [{"sku": "a", "count": 1}]},
        {"id": 2, "lines": [{"sku": "a", "count": 0}]},
        {"id": None, "lines": []},
        {"id": 4, "lines": [{"sku": "b", "count": -1}]},
    ]
    batch = pa.RecordBatch.from_pylist([row | {"_lakeload_id": "x"} for row in rows])
    checked = Rules([rules.conforms(Delivery)], "t")
    found = checked.check(batch, number)
    assert [(f.path, f.rows.to_pylist()) for f in found] == [(("lines", "count"), [1, 3]), (("id",), [2])]
    assert "must be positive" in found[0].reason
    assert checked.counts["conforms(Delivery)"] == RuleCount(rows=4, failed=3)


def test_counts_add_up_over_batches() -> None:
    checked = Rules([rules.not_null("a"), rules.unique("a")], "t")
    for _ in range(3):
        checked.check(pa.record_batch({"a": pa.array([1, None], pa.int64())}), number)
    assert checked.counts == {"not_null(a)": RuleCount(6, 3), "unique(a)": RuleCount(6, 2)}


def test_value_of_a_required_column_cannot_be_dropped() -> None:
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    batch = pa.record_batch([pa.array([1, 2])], schema=schema)
    found = Rules([rules.between("a", 2, outcome="discard_value")], "t").check(batch, number)
    with pytest.raises(SchemaError, match="must have one"):
        without_values(batch, found)


def test_no_rules_and_no_rows_cost_nothing_and_find_nothing() -> None:
    assert Rules([], "t").check(pa.record_batch({"a": [1]}), number) == []
    assert (
        Rules([rules.not_null("b")], "t").check(pa.record_batch({"a": pa.array([], pa.int64())}), number)
        == []
    )
