"""`Rules`: which rows of a batch break a rule. Part of the normalize stage, after names, types and contract.

The rules of a table become one Polars selection per schema, applied per batch. Only rules that need the rows
before them (`unique`) or Python (`conforms`) are looked at by themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import ConfigError, SchemaError
from lakeload.model.naming import nearest
from lakeload.model.rejection import Rejection
from lakeload.model.table import SYSTEM_COLUMNS
from lakeload.model.text import to_json
from lakeload.normalize.row_tests import passes
from lakeload.normalize.seen import Seen

if TYPE_CHECKING:
    import polars as pl

    from lakeload.model.rules import Rule

_EXCERPT = 80
"""Characters of a value shown in messages."""


@dataclass(slots=True)
class RuleCount:
    """What came of one rule in a load.

    Args:
        rows: Rows it was checked on.
        failed: Rows that broke it.
    """

    rows: int = 0
    failed: int = 0


class Rules:
    """The rules of one table, for one load. For one thread: `unique` remembers the rows before.

    Args:
        rules: The rules, in the order they are reported.
        table: Table name, for messages.
        may_come: Columns that are not there yet may still be added by later rows. Until then their values
            are null; otherwise a rule about a column the table lacks is an error.
        column: Finds the table's name of a column, which rules may spell as the source does; `None` where
            there is no such column yet.

    Raises:
        ConfigError: A pattern cannot be read.

    Example:
        >>> from lakeload.model.rules import between, not_null
        >>> rules = Rules([not_null("id"), between("age", 0, 150)], "people")
        >>> batch = pa.record_batch({"id": [1, None, 3], "age": [20, 30, 200]})
        >>> [(found.rule, found.rows.to_pylist()) for found in rules.check(batch, lambda index: index + 1)]
        [('not_null(id)', [1]), ('between(age)', [2])]
        >>> rules.counts["between(age)"]
        RuleCount(rows=3, failed=1)
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        table: str,
        *,
        may_come: bool = False,
        column: Callable[[str], str | None] = lambda _name: None,
    ) -> None:
        self._given = self._rules = tuple(rules)
        self._table, self._may_come, self._column = table, may_come, column
        self._aliases: dict[str, str] = {}
        self.counts: dict[str, RuleCount] = {rule.name: RuleCount() for rule in self._rules}
        self._seen: dict[str, Seen] = defaultdict(Seen)
        self._tests: tuple[pa.Schema | None, dict[str, pl.Expr]] = (None, {})
        self._lacking: set[str] = set()
        for rule in self._rules:
            if rule.kind == "matches":
                _check_pattern(rule, table)

    def check(self, batch: pa.RecordBatch, number: Callable[[int], int]) -> list[Rejection]:
        """What breaks a rule in the batch, in the order of the rules; counts go into `counts`.

        Args:
            batch: Rows in the table's names and types.
            number: Gives the number of a row in its source, from its index in the batch.

        Raises:
            SchemaError: A row breaks a rule whose outcome is `freeze`.
            ConfigError: A rule names a column the table lacks, or does not suit the column's type.
        """
        if not self._rules or not batch.num_rows:
            return []
        tests = self._compiled(batch)
        found: dict[str, list[Rejection]] = defaultdict(list)
        for rule, rows in self._broken(batch, tests):
            found[rule.name].append(_rejection(rule, rows))
        for rule in self._rules:
            if rule.kind == "conforms":
                found[rule.name] = list(_nonconforming(rule, batch, self._aliases))
                self.counts[rule.name].rows += batch.num_rows
        out = [r.rows for every in found.values() for r in every if r.outcome != "discard_value"]
        for rule in self._rules:
            if rule.kind == "unique":
                again = self._repeated(rule, batch, out)
                if len(again):
                    found[rule.name] = [_rejection(rule, again)]
                    out.append(again)
        for rule in self._rules:
            for rejection in found[rule.name]:
                self.counts[rule.name].failed += len(rejection.rows)
                if rejection.outcome == "freeze":
                    raise self._refusal(rule, rejection, batch, number)
        return [rejection for rule in self._rules for rejection in found[rule.name]]

    def check_names(self, columns: Sequence[str], came: Callable[[str], bool]) -> None:
        """Refuse rules about columns that did not come, once all rows were checked.

        Args:
            columns: The table's columns after the load.
            came: Tells whether the data has a column, with values or without.

        Raises:
            ConfigError: A rule names a column that neither the data nor the table has.
        """
        for rule in self._given:
            for name in _wanted(rule):
                if name not in columns and self._column(name) is None and not came(name):
                    raise self._about_nothing(rule, name, columns)

    def _broken(self, batch: pa.RecordBatch, tests: dict[str, pl.Expr]) -> Iterator[tuple[Rule, pa.Array]]:
        """Rules that speak of single rows, with the rows that break them, if there are any."""
        results = self._select(batch, tests) if tests else None
        for rule in self._rules:
            if rule.kind in ("unique", "conforms"):
                continue
            if results is not None and rule.name in tests:
                self.counts[rule.name].rows += batch.num_rows
                broken = results[rule.name].arg_true().to_arrow().cast(pa.int64())
            elif rule.kind == "not_null":  # the column is not there yet
                self.counts[rule.name].rows += batch.num_rows
                broken = pa.array(range(batch.num_rows), pa.int64())
            else:
                continue
            if len(broken):
                yield rule, broken

    def _compiled(self, batch: pa.RecordBatch) -> dict[str, pl.Expr]:
        """By rule the expression that is true for rows that break it; rules without columns are left out."""
        if self._tests[0] is None or not self._tests[0].equals(batch.schema):
            self._spell(batch.schema.names)
            frame = self._framed(batch.slice(0, 0))
            tests: dict[str, pl.Expr | None] = {}
            self._lacking.clear()
            for rule in self._rules:
                self._check_columns(rule, frame.columns)
                if rule.kind == "where":
                    tests[rule.name] = self._where(rule, frame)
                elif rule.kind not in ("unique", "conforms") and rule.columns[0] in frame.columns:
                    tests[rule.name] = self._located(rule, frame.schema[rule.columns[0]])
            broken = {
                name: (~test).fill_null(value=False).alias(name)
                for name, test in tests.items()
                if test is not None
            }
            self._tests = (batch.schema, broken)
        return self._tests[1]

    def _located(self, rule: Rule, kind: pl.DataType) -> pl.Expr:
        try:
            return passes(rule, kind)
        except ConfigError as error:
            error.table = self._table
            raise

    def _where(self, rule: Rule, frame: pl.DataFrame) -> pl.Expr | None:
        """The user's expression; columns that may still come are nulls, if it takes them."""
        import polars as pl

        lacking = [name for name in rule.given.meta.root_names() if name not in frame.columns]
        try:
            found = _with_nulls(frame, lacking).select(rule.given.alias("result"))
        except pl.exceptions.PolarsError as error:
            if lacking:
                return None
            raise self._misused(rule, error) from error
        if found.schema["result"] != pl.Boolean:
            if lacking:
                return None
            raise self._misused(rule, f"it gives {found.schema['result']}")
        self._lacking.update(lacking)
        return rule.given

    def _select(self, batch: pa.RecordBatch, tests: dict[str, pl.Expr]) -> pl.DataFrame:
        import polars as pl

        frame = _with_nulls(self._framed(batch), self._lacking)
        try:
            return frame.select(tests.values())
        except pl.exceptions.PolarsError:
            for rule in self._rules:  # again one by one, to name the culprit
                if rule.name in tests:
                    try:
                        frame.select(tests[rule.name])
                    except pl.exceptions.PolarsError as error:
                        raise self._misused(rule, error) from error
            raise

    def _repeated(self, rule: Rule, batch: pa.RecordBatch, out: Sequence[pa.Array]) -> pa.Array:
        """Rows that repeat a key of a row that gets in."""
        if any(name not in batch.schema.names for name in rule.columns):
            return pa.array([], pa.int64())
        self.counts[rule.name].rows += batch.num_rows
        among = None
        if out:
            everything = pa.array(range(batch.num_rows), pa.int64())
            among = everything.filter(pc.invert(pc.is_in(everything, pa.concat_arrays(out))))
        return self._seen[rule.name].repeated([batch.column(name) for name in rule.columns], among)

    def _spell(self, names: Sequence[str]) -> None:
        """Give the columns of rules the names they have in the table."""
        asked = {name for rule in self._given for name in _wanted(rule) if name not in names}
        found = {name: self._column(name) for name in asked}
        self._aliases = {
            name: column for name, column in found.items() if column is not None and column in names
        }
        self._rules = tuple(
            replace(rule, columns=tuple(self._aliases.get(name, name) for name in rule.columns))
            for rule in self._given
        )

    def _framed(self, batch: pa.RecordBatch) -> pl.DataFrame:
        """The batch, with columns under the names too that expressions call them by."""
        import polars as pl

        frame = _frame(batch)
        return frame.with_columns(pl.col(column).alias(name) for name, column in self._aliases.items())

    def _check_columns(self, rule: Rule, names: Sequence[str]) -> None:
        lacking = [name for name in _wanted(rule) if name not in names]
        if lacking and not self._may_come:
            raise self._about_nothing(rule, lacking[0], names)

    def _about_nothing(self, rule: Rule, name: str, names: Sequence[str]) -> ConfigError:
        own = [other for other in names if other not in SYSTEM_COLUMNS]
        return ConfigError(
            f"the rule {rule.name} is about a column the table does not have",
            table=self._table,
            column=name,
            hint=nearest(name, own) or f"The table has {', '.join(own[:20])}.",
        )

    def _misused(self, rule: Rule, why: object) -> ConfigError:
        return ConfigError(
            f"the rule {rule.name!r} cannot be evaluated: {str(why).splitlines()[0]}",
            table=self._table,
            hint="It must be a Polars expression that is true or false for each row.",
        )

    def _refusal(
        self, rule: Rule, found: Rejection, batch: pa.RecordBatch, number: Callable[[int], int]
    ) -> SchemaError:
        row = found.rows[0].as_py()
        shown = [name for name in (found.path or rule.columns) if name in batch.schema.names]
        values = "; ".join(f"{name} is {_excerpt(batch, name, row)}" for name in shown)
        return SchemaError(
            found.reason + (f": {values}" if values else ""),
            table=self._table,
            column=".".join(found.path) or None,
            row=number(row),
            hint=f"The rule {rule.name} freezes the load; nothing of it was published. Mend the row, or give "
            "the rule another outcome.",
        )


def without_values(batch: pa.RecordBatch, rejections: Sequence[Rejection]) -> pa.RecordBatch:
    """The batch with null in place of the values that rules with the outcome `discard_value` reject.

    Args:
        batch: The rows that were checked.
        rejections: What `Rules.check` found in them; other outcomes are passed over.

    Raises:
        SchemaError: The table does not let the column be null.
    """
    for found in rejections:
        if found.outcome != "discard_value" or not len(found.rows):
            continue
        index = batch.schema.get_field_index(found.path[0])
        field = batch.schema.field(index)
        if not field.nullable:
            raise SchemaError(
                f"the rule {found.rule} drops values of a column that must have one",
                column=field.name,
                hint="Give the rule the outcome discard_row or quarantine.",
            )
        rows = pa.array(range(batch.num_rows), pa.int64())
        kept = pc.if_else(pc.is_in(rows, found.rows), None, rows)
        batch = batch.set_column(index, field, batch.column(index).take(kept))
    return batch


def _wanted(rule: Rule) -> Sequence[str]:
    """Columns without which a rule says nothing, or refuses every row."""
    match rule.kind:
        case "where":
            return tuple(rule.given.meta.root_names())
        case "conforms":
            fields = rule.given.model_fields.items()
            return tuple(
                field.validation_alias if isinstance(field.validation_alias, str) else name
                for name, field in fields
                if field.is_required()
            )
        case _:
            return rule.columns


def _frame(batch: pa.RecordBatch) -> pl.DataFrame:
    import polars as pl

    columns = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    found = pl.from_arrow(pa.table(columns, names=batch.schema.names), rechunk=False)
    return found if isinstance(found, pl.DataFrame) else found.to_frame()


def _with_nulls(frame: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    import polars as pl

    return frame.with_columns(pl.lit(None).alias(name) for name in names)


def _rejection(rule: Rule, rows: pa.Array) -> Rejection:
    path = rule.columns if len(rule.columns) == 1 else ()
    return Rejection(rule.outcome, rule.name, path, _reason(rule), rows)


def _reason(rule: Rule) -> str:
    match rule.kind:
        case "not_null":
            return f"{rule.columns[0]} has no value"
        case "unique":
            return f"an earlier row of the load has the same {', '.join(rule.columns)}"
        case "between":
            return f"not {rule}"
        case "matches":
            return f"{rule.columns[0]} does not match {rule.given}"
        case "one_of":
            return f"{rule.columns[0]} is none of the allowed values"
        case _:
            return f"not {rule.name}"


def _nonconforming(rule: Rule, batch: pa.RecordBatch, aliases: Mapping[str, str]) -> Iterator[Rejection]:
    """Rows the model refuses, by what it says; a call for each row."""
    own = [name for name in batch.schema.names if name not in SYSTEM_COLUMNS]
    refused: dict[tuple[tuple[str, ...], str], list[int]] = defaultdict(list)
    for index, row in enumerate(batch.select(own).to_pylist()):
        row.update((name, row[column]) for name, column in aliases.items())
        try:
            rule.given.model_validate(row)
        except ValueError as error:
            refused[_told(error)].append(index)
    for (path, reason), rows in refused.items():
        yield replace(_rejection(rule, pa.array(rows, pa.int64())), path=path, reason=reason)


def _told(error: ValueError) -> tuple[tuple[str, ...], str]:
    """Where and what, of pydantic's first complaint, without the value."""
    told = error.errors(include_url=False, include_context=False, include_input=False)[0]  # type: ignore[attr-defined]  # pydantic's
    return tuple(str(part) for part in told["loc"] if isinstance(part, str)), str(told["msg"])


def _excerpt(batch: pa.RecordBatch, name: str, row: int) -> str:
    text = to_json(batch.column(name).slice(row, 1), canonical=False)[0].as_py() or "null"
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…"


def _check_pattern(rule: Rule, table: str) -> None:
    import polars as pl

    try:
        pl.select(pl.lit("").str.contains(rule.given))
    except pl.exceptions.PolarsError as error:
        raise ConfigError(
            f"the pattern of the rule {rule.name} cannot be read: {str(error).splitlines()[0]}",
            table=table,
            hint="It is read by Rust's regex crate, which has no look-around.",
        ) from error
