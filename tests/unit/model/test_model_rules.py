"""Rules as data: names, text, equality, pickling, and what cannot be a rule."""

from __future__ import annotations

import pickle
import subprocess
import sys
from decimal import Decimal
from typing import Any

import polars as pl
import pydantic
import pytest

from lakeload import rules
from lakeload.errors import ConfigError
from lakeload.model.rules import Rule, parse_rules


class Order(pydantic.BaseModel):
    """A row of orders."""

    id: int


def every_kind() -> list[Rule]:
    return [
        rules.not_null("id"),
        rules.unique("id", "day"),
        rules.between("age", 0, 150),
        rules.matches("email", "^.+@.+$"),
        rules.one_of("status", ["a", "b"]),
        rules.where("in order", pl.col("a") < pl.col("b")),
        rules.conforms(Order),
    ]


def test_names_are_derived_and_say_kind_and_columns() -> None:
    assert [rule.name for rule in every_kind()] == [
        "not_null(id)",
        "unique(id, day)",
        "between(age)",
        "matches(email)",
        "one_of(status)",
        "in order",
        "conforms(Order)",
    ]


@pytest.mark.parametrize("index", range(7))
def test_rule_survives_pickling_and_equals_one_made_anew(index: int) -> None:
    rule = every_kind()[index]
    assert pickle.loads(pickle.dumps(rule)) == rule == every_kind()[index]
    assert hash(pickle.loads(pickle.dumps(rule))) == hash(rule)
    assert str(rule)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (rules.between("a", 0, 1), rules.between("a", 0, 2)),
        (rules.between("a", 0, 1), rules.between("a", 0, 1, outcome="discard_row")),
        (rules.between("a", 0), rules.between("a", None, 0)),
        (rules.one_of("a", [1]), rules.one_of("a", ["1"])),
        (rules.where("w", pl.col("a") > 1), rules.where("w", pl.col("a") > 2)),
        (rules.not_null("a"), rules.not_null("a", name="other")),
    ],
)
def test_rules_that_say_different_things_differ(one: Rule, other: Rule) -> None:
    assert one != other


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("id not null", rules.not_null("id")),
        ("ID  NOT NULL", rules.not_null("ID")),
        ("unique id, day", rules.unique("id", "day")),
        ("age between 0 and 150", rules.between("age", Decimal(0), Decimal(150))),
        ("day between 2024-01-01 and 2024-12-31", rules.between("day", "2024-01-01", "2024-12-31")),
        ("status in a, b c", rules.one_of("status", ["a", "b c"])),
        ("email matches ^.+ between 1 and 2$", rules.matches("email", "^.+ between 1 and 2$")),
    ],
)
def test_text_is_read_as_the_rule_it_says(text: str, rule: Rule) -> None:
    assert rules.parse(text) == rule


@pytest.mark.parametrize(
    "text", ["", "id", "id is null", "between 1 and 2", "unique", "status in", "age > 3"]
)
def test_text_that_is_no_rule_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        rules.parse(text)


@pytest.mark.parametrize(
    "rule", [r for r in every_kind() if r.kind in ("not_null", "unique", "one_of", "matches")]
)
def test_text_of_a_rule_reads_as_the_same_rule(rule: Rule) -> None:
    assert rules.parse(str(rule)) == rule


WRONG: list[tuple[str, Any]] = [
    ("no column", rules.unique),
    ("no bound", lambda: rules.between("a")),
    ("NaN", lambda: rules.between("a", float("nan"), 1)),
    ("text for values", lambda: rules.one_of("a", "abc")),
    ("no values", lambda: rules.one_of("a", [])),
    ("no expression", lambda: rules.where("w", True)),
    ("a constant", lambda: rules.where("w", pl.lit(True))),
    ("one value for all rows", lambda: rules.where("w", pl.col("a").sum() > 3)),
    ("no model", lambda: rules.conforms(dict)),
    ("no outcome", lambda: rules.not_null("a", outcome="drop")),  # type: ignore[arg-type]  # that is the point
    ("evolve", lambda: rules.not_null("a", outcome="evolve")),
    ("no value to discard", lambda: rules.not_null("a", outcome="discard_value")),
    ("which value to discard", lambda: rules.unique("a", outcome="discard_value")),
    ("two of one name", lambda: parse_rules([rules.between("a", 0), rules.between("a", 1)])),
    ("no rule", lambda: parse_rules([1])),  # type: ignore[list-item]  # that is the point
    ("bounds the wrong way round", lambda: rules.between("a", 5, 1)),
    ("unknown outcome in a mapping", lambda: parse_rules({"a not null": "drop"})),
]


@pytest.mark.parametrize("make", [make for _, make in WRONG], ids=[what for what, _ in WRONG])
def test_what_cannot_be_a_rule_is_refused_with_a_remedy(make: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.hint


def test_bounds_of_text_are_not_compared_before_the_type_of_the_column_is_known() -> None:
    assert rules.between("n", "9", "10").given == ("9", "10")


def test_rules_are_taken_alone_in_lists_as_text_and_with_outcomes() -> None:
    one = rules.not_null("id")
    assert parse_rules(one) == parse_rules("id not null") == parse_rules([one]) == (one,)
    assert parse_rules(["id not null", rules.unique("id")])[1].kind == "unique"
    assert parse_rules({"id not null": "freeze"})[0].outcome == "freeze"
    assert parse_rules(None) == parse_rules(()) == ()


def test_the_vocabulary_loads_no_heavy_library() -> None:
    code = "import lakeload.rules, sys; sys.exit('polars' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
