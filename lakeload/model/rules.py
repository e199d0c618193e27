"""`Rule`: what every row of a table must satisfy, as data; `normalize/rules.py` checks it.

Rules speak of the table: of its columns, which may be called as in the source, and of values as they will be
stored. As in SQL's CHECK
constraints a comparison with null is neither true nor false and lets the row pass; `not_null` is the rule
for columns that must have a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, TypeAlias, get_args

from lakeload.errors import ConfigError
from lakeload.given import text, texts, unsuitable
from lakeload.model.contract import Outcome

RuleKind: TypeAlias = Literal["not_null", "unique", "between", "matches", "one_of", "where", "conforms"]

OUTCOMES = tuple(outcome for outcome in get_args(Outcome) if outcome != "evolve")
"""What can become of a row that breaks a rule."""

_FOR_VALUES = ("between", "matches", "one_of")
"""Kinds that find fault with one value, which can be dropped while its row stays."""

_TEXT_HINT = (
    "Write id not null, or: unique id, day; age between 0 and 150; status in a, b; email matches ^.+@.+$."
)


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule for the rows of a table; made by `not_null`, `unique`, `between` and the others.

    Rules are equal when they say the same; they can be pickled, and `str(rule)` says what they demand.

    Args:
        name: Names the rule in reports and in quarantine, unique among the rules of a table.
        kind: What is demanded.
        columns: Columns it is about, as the table or the source calls them; empty for `where` and `conforms`.
        given: What the kind needs: bounds, a pattern, allowed values, a Polars expression, a model.
        outcome: What becomes of rows that break it: `quarantine`, `discard_row`, `freeze` (the load fails
            and nothing of it is published), or `discard_value` (the value becomes null).

    Example:
        >>> rule = between("age", 0, 150, outcome="discard_value")
        >>> rule.name, str(rule)
        ('between(age)', 'age between 0 and 150')
    """

    name: str
    kind: RuleKind
    columns: tuple[str, ...]
    given: Any
    outcome: Outcome = "quarantine"

    def __post_init__(self) -> None:
        text(self.name, "the name of a rule")
        if self.kind not in get_args(RuleKind):
            raise ConfigError(
                f"{self.kind!r} is no kind of rule", hint=f"Use {', '.join(get_args(RuleKind))}."
            )
        if self.outcome not in OUTCOMES:
            raise ConfigError(
                f"{self.outcome!r} is no outcome of a rule", hint=f"Use one of {', '.join(OUTCOMES)}."
            )
        if self.outcome == "discard_value" and self.kind not in _FOR_VALUES:
            raise ConfigError(
                f"the rule {self.name} cannot discard a value: it is not about one",
                hint=f"Only {', '.join(_FOR_VALUES)} can; use discard_row or quarantine.",
            )

    def __eq__(self, other: object) -> bool:
        return self._identity() == other._identity() if isinstance(other, Rule) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.name, self.kind, self.columns, self.outcome))

    def __str__(self) -> str:
        column = self.columns[0] if self.columns else ""
        match self.kind:
            case "not_null":
                return f"{column} not null"
            case "unique":
                return f"unique {', '.join(self.columns)}"
            case "between":
                low, high = self.given
                if low is not None and high is not None:
                    return f"{column} between {low} and {high}"
                return f"{column} at least {low}" if high is None else f"{column} at most {high}"
            case "matches":
                return f"{column} matches {self.given}"
            case "one_of":
                return f"{column} in {', '.join(map(str, self.given))}"
            case "where":
                return f"{self.name}: {self.given}"
            case "conforms":
                return f"conforms to {self.given.__name__}"

    __repr__ = __str__

    def _identity(self) -> tuple[object, ...]:
        # Polars overloads ==, so expressions are compared as they are stored.
        given = self.given.meta.serialize() if self.kind == "where" else self.given
        types = [type(value) for value in given] if isinstance(given, tuple) else type(given)
        return (self.name, self.kind, self.columns, given, types, self.outcome)


def not_null(column: str, *, outcome: Outcome = "quarantine", name: str | None = None) -> Rule:
    """The column has a value in every row; rows that lack it altogether break the rule too.

    Args:
        column: Name of a column of the table.
        outcome: What becomes of rows that break it.
        name: In reports and in quarantine; by default derived, as `not_null(id)`.
    """
    return _rule("not_null", (column,), None, outcome, name)


def unique(*columns: str, outcome: Outcome = "quarantine", name: str | None = None) -> Rule:
    """No two rows of one load have the same values in these columns; the first row stays.

    Rows kept out by other rules do not count, and neither do rows with a null in one of the columns. Values
    that are equal across types are equal (`1`, `1.0`). Rows loaded earlier are not looked at. Values are
    told apart by 128-bit hashes, 16 bytes of memory for each row of the load; that two of a billion
    different ones share a hash has a probability of about 10⁻²¹.

    Args:
        columns: Names of columns of the table, one or several.
        outcome: What becomes of rows that break it.
        name: In reports and in quarantine; by default derived, as `unique(id, day)`.

    Raises:
        ConfigError: No column was given.
    """
    if not columns:
        raise ConfigError("unique needs a column", hint='Write unique("id") or unique("id", "day").')
    return _rule("unique", columns, None, outcome, name)


def between(
    column: str,
    low: Any = None,
    high: Any = None,
    *,
    outcome: Outcome = "quarantine",
    name: str | None = None,
) -> Rule:
    """The value is not below `low` and not above `high`; a bound of `None` is none. NaN is never between.

    Bounds are compared exactly, whatever their type and the column's. Bounds that are text count as values
    of the column's type, so `"2024-01-01"` suits dates. Numbers for a text column read the text as numbers.

    Args:
        column: Name of a column of the table.
        low: Smallest value allowed.
        high: Largest value allowed.
        outcome: What becomes of rows that break it.
        name: In reports and in quarantine; by default derived, as `between(age)`.

    Raises:
        ConfigError: Both bounds are missing, one is NaN, or they are the wrong way round.
    """
    if (low is None and high is None) or low != low or high != high:  # noqa: PLR0124 - NaN alone differs from itself
        raise ConfigError("between needs a bound", column=column, hint="Give low, high, or both.")
    if type(low) is type(high) is not str and low > high:  # text is of the column's type, whichever that is
        raise ConfigError(f"nothing is between {low} and {high}", column=column, hint="Swap the bounds.")
    return _rule("between", (column,), (low, high), outcome, name)


def matches(column: str, pattern: str, *, outcome: Outcome = "quarantine", name: str | None = None) -> Rule:
    """The pattern is found in the text; anchor it with `^` and `$` to demand that it is the whole text.

    Args:
        column: Name of a text column of the table.
        pattern: Regular expression as Rust's regex crate reads it, which is what Polars uses: like Python's,
            but without look-around and references to groups.
        outcome: What becomes of rows that break it.
        name: In reports and in quarantine; by default derived, as `matches(email)`.
    """
    return _rule("matches", (column,), pattern, outcome, name)


def one_of(
    column: str, values: Iterable[Any], *, outcome: Outcome = "quarantine", name: str | None = None
) -> Rule:
    """The value is one of these.

    Args:
        column: Name of a column of the table.
        values: What is allowed; text counts as a value of the column's type.
        outcome: What becomes of rows that break it.
        name: In reports and in quarantine; by default derived, as `one_of(status)`.

    Raises:
        ConfigError: A text was given in place of a list of values, or nothing.
    """
    several = isinstance(values, Iterable) and not isinstance(values, str | bytes | type)
    allowed = tuple(values) if several else ()
    if not allowed:
        raise ConfigError("one_of needs a list of values", column=column, hint='Write ["a", "b"].')
    return _rule("one_of", (column,), allowed, outcome, name)


def where(name: str, expression: Any, *, outcome: Outcome = "quarantine") -> Rule:
    """A Polars expression over the table's columns is true, or null.

    Args:
        name: In reports and in quarantine.
        expression: A `polars.Expr` that gives a boolean for each row from that row alone: rows come in
            batches, so sums, ranks and shifts over rows would mean nothing.
        outcome: What becomes of rows that break it.

    Raises:
        ConfigError: It is no expression, or gives one value for all rows.

    Example:
        >>> import polars as pl
        >>> where("ends after it starts", pl.col("start") <= pl.col("end")).outcome
        'quarantine'
    """
    facts: Any = getattr(expression, "meta", None)
    if not hasattr(facts, "is_scalar") or facts.is_scalar() or not facts.root_names():
        raise ConfigError(
            f"the rule {name!r} is no expression over the columns of a row",
            hint='Give a Polars expression, such as pl.col("start") <= pl.col("end").',
        )
    return _rule("where", (), expression, outcome, name)


def conforms(model: Any, *, outcome: Outcome = "quarantine", name: str | None = None) -> Rule:
    """A pydantic model accepts the row.

    Slow: every row becomes a dictionary and is validated in Python. Prefer the other rules for large loads.

    Args:
        model: A subclass of `pydantic.BaseModel`. It sees the table's columns by their names, null as
            `None`, without those lakeload adds; what it makes of the values is not stored.
        outcome: What becomes of rows that break it.
        name: In reports and in quarantine; by default derived, as `conforms(Order)`.

    Raises:
        ConfigError: It is no pydantic model.
    """
    if name is not None:
        text(name, "the name of a rule")
    if not (isinstance(model, type) and hasattr(model, "model_validate")):
        raise ConfigError(f"{model!r} is no pydantic model", hint="Give a subclass of pydantic.BaseModel.")
    return _rule("conforms", (), model, outcome, name or f"conforms({model.__name__})")


_FORMS: tuple[tuple[RuleKind, re.Pattern[str]], ...] = (
    ("not_null", re.compile(r"(\S+)\s+not\s+null", re.IGNORECASE)),
    ("unique", re.compile(r"unique\s+(.+)", re.IGNORECASE)),
    ("between", re.compile(r"(\S+)\s+between\s+(.+?)\s+and\s+(.+)", re.IGNORECASE)),
    ("matches", re.compile(r"(\S+)\s+matches\s+(.+)", re.IGNORECASE)),
    ("one_of", re.compile(r"(\S+)\s+in\s+(.+)", re.IGNORECASE)),
)


def parse(line: str, *, outcome: Outcome = "quarantine") -> Rule:
    """A rule from a line of text, as pipeline files and the command line have it.

    Values of a list are separated by commas. They, and bounds that are no numbers, are read as the column's
    type when the rule is checked.

    Raises:
        ConfigError: It cannot be read.

    Example:
        >>> parse("status in new, paid"), parse("unique id, day").columns
        (status in new, paid, ('id', 'day'))
    """
    text(line or " ", "a rule", like='a line such as "id not null"')
    for kind, form in _FORMS:
        found = form.fullmatch(line.strip())
        if found is None:
            continue
        first, *rest = found.groups()
        match kind:
            case "not_null":
                return not_null(first, outcome=outcome)
            case "unique":
                return unique(*_listed(first), outcome=outcome)
            case "between":
                return between(first, *map(_bound, rest), outcome=outcome)
            case "matches":
                return matches(first, rest[0], outcome=outcome)
            case _:
                return one_of(first, _listed(rest[0]), outcome=outcome)
    raise ConfigError(f"the rule {line!r} cannot be read", hint=_TEXT_HINT)


def parse_rules(given: Rule | str | Mapping[str, Outcome] | Iterable[Rule | str] | None) -> tuple[Rule, ...]:
    """Rules from the forms users write: one or several, as rules or text, or text with its outcome.

    Raises:
        ConfigError: One cannot be read, or two have one name.

    Example:
        >>> [rule.outcome for rule in parse_rules({"id not null": "freeze", "unique id": "discard_row"})]
        ['freeze', 'discard_row']
    """
    if isinstance(given, Mapping):
        rules = tuple(parse(line, outcome=outcome) for line, outcome in given.items())
    else:
        listed = [given] if isinstance(given, Rule | str) else _several(given)
        rules = tuple(parse(rule) if isinstance(rule, str) else _checked(rule) for rule in listed)
    names = [rule.name for rule in rules]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two rules are called {twice[0]}", hint="Give one of them another name=.")
    return rules


def _several(given: object) -> list[Rule | str]:
    if given is None:
        return []
    if not isinstance(given, Iterable) or isinstance(given, bytes | type):
        raise unsuitable(given, "rules", "a rule, or a list of rules")
    return list(given)


def _checked(rule: object) -> Rule:
    if not isinstance(rule, Rule):
        raise ConfigError(f"{rule!r} is no rule", hint=_TEXT_HINT)
    return rule


def _bound(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _listed(text: str) -> list[str]:
    return [word for word in (part.strip() for part in text.split(",")) if word]


def _rule(
    kind: RuleKind, columns: tuple[str, ...], given: object, outcome: Outcome, name: str | None
) -> Rule:
    names = texts(columns, f"the column of {kind}", like="a column's name") if columns else ()
    return Rule(name or f"{kind}({', '.join(names)})", kind, columns, given, outcome)
