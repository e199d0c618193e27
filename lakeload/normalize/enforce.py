"""Contracts applied: what becomes of the values a sieve found, row by row and value by value.

A batch that asks for a change the contract does not permit is either refused, with the row and an excerpt
of the value, or comes out without the rows or values concerned and with a record of them, so that each one
can be counted or put aside. `lakeload.model.contract` has the table of outcomes.

A row two findings concern is rejected once: put aside if any of them says so, else dropped. A value that
does not fit a required column cannot become null, so its row is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SchemaError
from lakeload.model.contract import Contract, Outcome
from lakeload.model.rejection import Rejection
from lakeload.normalize.incoming import Path
from lakeload.normalize.payload import plain
from lakeload.normalize.plan import NormalizePlan
from lakeload.normalize.shake import Finding, shake

_EXCERPT = 60
_NO_VALUE = "a required column has no value"


@dataclass(frozen=True, slots=True)
class Shaped:
    """A batch in the table's columns, and what was kept out of it.

    Args:
        batch: The rows that get in.
        rejections: Rows and values that do not; indices are those of the batch that came.
    """

    batch: pa.RecordBatch
    rejections: tuple[Rejection, ...] = ()


def shaken(
    batch: pa.RecordBatch, plan: NormalizePlan, *, converts: bool = False
) -> tuple[pa.RecordBatch, list[Finding]]:
    """The batch without the values that do not pass, all rows still in it, and what was taken out.

    Args:
        batch: As it came.
        plan: Compiled for its schema.
        converts: All values that may pass are known to convert, so that they need no second look.
    """
    found: list[Finding] = []
    columns, fields = list(batch.columns), list(batch.schema)
    for step in (*plan.steps, *plan.strays):
        sieve = step.barred if converts else step.sieve
        if step.index is None or sieve is None:
            continue
        before = len(found)
        array = shake(columns[step.index], sieve, found)
        if len(found) > before:
            columns[step.index] = array
            fields[step.index] = fields[step.index].with_type(array.type)
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, batch.schema.metadata)), found


class Verdict:
    """What a contract makes of one batch.

    Args:
        contract: Applies to the table.
        number: The row's number in the load, from 1, by its index in the batch.
        rows: Rows of the batch.

    Example:
        >>> bad = pa.array([1])
        >>> finding = Finding("types", ("n",), pa.string(), pa.int64(), bad, pa.array(["x"]))
        >>> verdict = Verdict(Contract(types="discard_row"), lambda index: index + 1, 3)
        >>> verdict.judge([finding])
        >>> verdict.keep(pa.record_batch({"n": pa.array([1, None, 3])})).to_pydict()
        {'n': [1, 3]}
    """

    def __init__(self, contract: Contract, number: Callable[[int], int], rows: int) -> None:
        self._contract, self._numbering = contract, number
        self._rejections: list[Rejection] = []
        self._kept: pa.Array | None = None
        self._rows = rows

    def judge(self, findings: Iterable[Finding]) -> None:
        """Reject what was found in the rows kept so far.

        Raises:
            SchemaError: The contract freezes what was found, or nothing else is left to do.
        """
        found = list(findings)
        fatal = [one for one in found if self._contract.outcome(one.rule) in ("freeze", "evolve")]
        if fatal:
            raise self._refusal(min(fatal, key=lambda one: one.rows[0].as_py()))
        for one in found:
            reason = (
                "the table has no such column"
                if one.target is None
                else f"a {one.source} value cannot be stored exactly as {one.target}"
            )
            self._reject(self._contract.outcome(one.rule), one.rule, one.path, reason, one.rows)

    def judge_null(self, path: Path, rows: pa.Array) -> None:
        """Reject rows that have no value in a required column.

        Raises:
            SchemaError: The contract freezes types or lets them evolve, which here is of no help.
        """
        outcome = self._contract.outcome("types")
        if outcome in ("freeze", "evolve"):
            raise SchemaError(
                _NO_VALUE,
                column=".".join(path),
                row=self.number(rows),
                hint="Give it a value in the source, or make the column optional in the table.",
            )
        self._reject(
            "quarantine" if outcome == "quarantine" else "discard_row", "types", path, _NO_VALUE, rows
        )

    def keep(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a batch that are still in after the last judgement.

        Args:
            batch: Has the rows `keep` returned last, or all of them.
        """
        leaving = self._leaving("quarantine", "discard_row")
        here = _indices(self._rows) if self._kept is None else self._kept
        stays = pc.invert(pc.is_in(here, value_set=leaving))
        self._kept = here.filter(stays)
        return batch if len(self._kept) == len(here) else plain(batch).filter(stays)

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """What was rejected; each row and value by one outcome."""
        aside, dropped = self._leaving("quarantine"), self._leaving("discard_row")
        gone = {
            "quarantine": None,
            "discard_row": aside,
            "discard_value": pa.concat_arrays([aside, dropped]),
        }
        found = []
        for one in self._rejections:
            less = gone[one.outcome]
            rows = (
                one.rows if less is None else one.rows.filter(pc.invert(pc.is_in(one.rows, value_set=less)))
            )
            if len(rows):
                found.append(Rejection(one.outcome, one.rule, one.path, one.reason, rows))
        return tuple(found)

    def _reject(self, outcome: Outcome, rule: str, path: Path, reason: str, rows: pa.Array) -> None:
        known = rows if self._kept is None else self._kept.take(rows)
        self._rejections.append(Rejection(outcome, rule, path, reason, known))

    def _leaving(self, *outcomes: Outcome) -> pa.Array:
        parts = [one.rows for one in self._rejections if one.outcome in outcomes]
        return pc.unique(pa.concat_arrays(parts)) if parts else pa.array([], pa.int64())

    def number(self, rows: pa.Array) -> int:
        """Number in the load of the first of some rows kept so far."""
        index = rows[0].as_py()
        return self._numbering(index if self._kept is None else self._kept[index].as_py())

    def _refusal(self, found: Finding) -> SchemaError:
        frozen = self._contract.outcome(found.rule) == "freeze"
        text = _excerpt(found.first)
        if found.target is None:
            what = f"the table has no such column for the value {text}"
        else:
            what = f"the {found.source} value {text} cannot be stored exactly as {found.target}"
        if frozen:
            what += f", and the contract freezes {found.rule}"
        return SchemaError(
            what, column=".".join(found.path), row=self.number(found.rows), hint=_remedy(found, frozen=frozen)
        )


def _excerpt(array: pa.Array) -> str:
    """The first value of an array, at most 60 characters of it."""
    text = str(first_value(array))
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…"


def first_value(array: pa.Array) -> object:
    """The first value of an array as Python has it, or as it is stored if Python has none such."""
    value = array[0]
    try:
        return value.as_py()
    except (ValueError, OverflowError):  # Python's own dates are narrower than Arrow's
        return value.value


def _indices(length: int) -> pa.Array:
    return pa.arange(0, length)


def _remedy(found: Finding, *, frozen: bool) -> str:
    kind = found.target
    if kind is None:
        return "Drop it in the source, or let the contract evolve, discard or quarantine columns."
    if frozen:
        return "Correct it in the source, or let the contract evolve, discard or quarantine types."
    if pa.types.is_temporal(kind) and pa.types.is_temporal(found.source):
        return "Bring it to whole microseconds within the years 1 to 9999, or hint the column as string."
    if pa.types.is_floating(kind):
        return f"Hint the column as a decimal or as string, {_ASIDE}."
    return f"Correct it in the source, hint the column with a type that holds it, {_ASIDE}."


_ASIDE = 'or put such rows aside with contract={"types": "quarantine"}'
