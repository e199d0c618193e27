"""Python rows to Arrow: exact, and fast once the shape is known.

Part of extract. Each batch of rows first passes a guard compiled from the types learned so far, and then
`pa.array` with these types, both in C. Columns the guard cannot judge are lifted by themselves. Rows that
are a surprise, and only those batches, are walked: the types widen, or, where the table's contract wants to
judge such rows, they come apart from the others with types of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import LakeloadError, SourceError
from lakeload.model.naming import UNTYPED
from lakeload.model.rejection import GIVEN, MISFITS, NUMBERED, SOURCE_ROW, TRIMMED
from lakeload.sources.decode.apart import Group, sort_out
from lakeload.sources.decode.coerce import is_text
from lakeload.sources.decode.conflict import Conflict, excerpt, first_failure, reach
from lakeload.sources.decode.expectation import Expectation
from lakeload.sources.decode.infer import Observed
from lakeload.sources.decode.lift import TooLargeError, json_of, lift
from lakeload.sources.decode.plan import Plan, struct_of
from lakeload.sources.decode.seed import seeded
from lakeload.sources.decode.trim import Trimmed
from lakeload.sources.decode.values import known, plain

UNTYPED_METADATA = {UNTYPED: b"1"}
"""Schema metadata of batches whose text may be dates, because the source has no types for them."""


class RowDecoder:
    """Turns lists of rows into batches, remembering what it learned. Not for several threads at once.

    Args:
        expectation: What is known about the columns.
        learned: What was seen before; `None` for what the expectation knows.

    Example:
        >>> decoder = RowDecoder(Expectation())
        >>> [batch.to_pylist() for batch in decoder.decode([{"a": 1}, {"a": "x"}])]
        [[{'a': '1'}, {'a': 'x'}]]
        >>> apart = RowDecoder(Expectation(apart=True))
        >>> [batch.to_pylist() for batch in apart.decode([{"a": 1}, {"a": "x"}])]
        [[{'a': 1, '_lakeload_row': 1}], [{'a': 'x', '_lakeload_row': 2}]]
    """

    def __init__(self, expectation: Expectation, learned: Observed | None = None) -> None:
        self._expectation = expectation
        self.learned = learned or seeded(expectation.known, expectation.nesting)
        self._plan = Plan.of(self.learned.fields, self._wanted)

    @property
    def plan_type(self) -> pa.DataType:
        """The struct of the types learned so far."""
        return self._plan.kind

    def decode(self, rows: Sequence[object], before: int = 0) -> list[pa.RecordBatch]:
        """The rows as batches: one, unless some must come apart or all are too large for one.

        Args:
            rows: Mappings, dataclasses, msgspec structs or pydantic models.
            before: Rows that came earlier, for messages and for `SOURCE_ROW`.

        Returns:
            Batches marked as untyped. If rows come apart, each batch has their numbers in `SOURCE_ROW`.

        Raises:
            SourceError: An item is no row.
            SchemaError: A value cannot be stored.
        """
        try:
            dicts = _dicts(rows)
            array = self._plan.decode(dicts)
            if array is not None:
                return [self._batch(array)]
            if self._expectation.apart:
                return self._apart(dicts, before)
            return [self._batch(self._exact(dicts))]
        except TooLargeError:
            half = len(rows) // 2
            if not half:
                raise SourceError(
                    "a row is larger than 2 GiB", row=before + 1, hint="Cut it into several rows."
                ) from None
            return [*self.decode(rows[:half], before), *self.decode(rows[half:], before + half)]
        except LakeloadError as error:
            if error.row is not None:
                error.row += before
            raise

    def plan(self, names: Collection[str]) -> Plan:
        """How some columns by themselves become Arrow, by what was learned so far."""
        columns = {name: column for name, column in self.learned.fields.items() if name in names}
        return Plan.of(columns, self._wanted)

    def _exact(self, rows: Sequence[dict[str, Any]]) -> pa.Array:
        """Learn from the rows, and decode them with what was learned."""
        before = self.learned
        try:
            merged = before.merge(self._observe(rows))
        except Conflict as conflict:
            raise self._located(rows, before, conflict, lifting=False) from None
        self._learn(merged)
        array = self._plan.decode(rows)
        try:
            return lift(rows, self.learned, self._plan.kind) if array is None else array
        except Conflict as conflict:
            raise self._located(rows, before, conflict) from None

    def _apart(self, rows: Sequence[dict[str, Any]], before: int) -> list[pa.RecordBatch]:
        learned = self.learned
        try:
            groups = sort_out(
                rows, learned, self._observe, self._is_text, self._plan.decode, trims=self._expectation.judges
            )
        except Conflict as conflict:
            raise self._located(rows, learned, conflict, lifting=False) from None
        self._learn(groups[0].seen)
        if len(groups) == 1 and not groups[0].trimmed:
            return [self._batch(self._group(rows, groups[0], first=True))]
        batches = []
        for group in groups:
            if not group.rows:
                continue
            own = [group.trimmed[i].row if i in group.trimmed else rows[i] for i in group.rows]
            array = self._group(own, group, first=group is groups[0])
            numbers = pc.add(pa.array(group.rows, pa.int64()), before + 1)
            batch = self._batch(array)
            if group.trimmed:
                batch = _with_trimmed(
                    batch, [rows[i] for i in group.rows], [group.trimmed[i] for i in group.rows]
                )
            batches.append(batch.append_column(pa.field(SOURCE_ROW, pa.int64(), metadata=NUMBERED), numbers))
        return batches

    def _group(self, rows: Sequence[dict[str, Any]], group: Group, *, first: bool) -> pa.Array:
        array = self._plan.decode(rows) if first and group.array is None else group.array
        if array is not None:
            return array
        try:
            return lift(rows, group.seen, self._struct(group.seen))
        except Conflict as conflict:
            try:
                # What was declared may be what does not fit: then the rows come as they are.
                return lift(rows, group.seen, group.seen.type())
            except Conflict:
                raise self._located(rows, Observed(group.seen.nesting), conflict) from None

    def _observe(self, rows: Sequence[dict[str, Any]]) -> Observed:
        seen = Observed(self._expectation.nesting)
        seen.observe(rows)
        for name, column in seen.fields.items():
            wanted = self._expectation.hint(name)
            if wanted is not None and pa.types.is_map(wanted) and column.kinds & {"struct", "map"}:
                column.to_map()
                column.policy = "map"
        return seen

    def _learn(self, seen: Observed) -> None:
        plan = Plan.of(seen.fields, self._wanted)
        self.learned, self._plan = seen, plan

    def _struct(self, seen: Observed) -> pa.DataType:
        return struct_of(seen.fields, self._wanted)

    def _wanted(self, name: str, seen: Observed) -> pa.DataType | None:
        """The declared type, unless the values say enough: a contract judges those that do not fit."""
        wanted = self._expectation.hint(name)
        if wanted is None or not self._expectation.apart or is_text(wanted) or "number" in seen.kinds:
            return wanted
        return None

    def _is_text(self, name: str) -> bool:
        return is_text(self._expectation.hint(name))

    def _batch(self, array: pa.Array) -> pa.RecordBatch:
        batch = pa.RecordBatch.from_struct_array(array)
        return batch.replace_schema_metadata(UNTYPED_METADATA)

    def _located(
        self, rows: Sequence[dict[str, Any]], before: Observed, conflict: Conflict, *, lifting: bool = True
    ) -> LakeloadError:
        """The error for the first row that cannot be stored; `lifting` if it could be observed."""
        found = conflict

        def fits(length: int) -> bool:
            nonlocal found
            try:
                seen = before.merge(self._observe(rows[:length]))
                if lifting:
                    lift(rows[:length], seen, self._struct(seen))
            except Conflict as again:
                found = again
                return False
            return True

        row = first_failure(len(rows), fits)
        return found.error(row=row, value=reach(rows[row - 1], found.path))


def _with_trimmed(
    batch: pa.RecordBatch, rows: Sequence[dict[str, Any]], trimmed: Sequence[Trimmed]
) -> pa.RecordBatch:
    """The batch with the rows as they came, and what was taken out of them."""
    given = [json_of(plain(row, "")) for row in rows]
    misfits = [
        json_of([[list(one.path), one.kind, plain(one.value, "")] for one in row.misfits]) for row in trimmed
    ]
    for name, texts in ((GIVEN, given), (MISFITS, misfits)):
        batch = batch.append_column(
            pa.field(name, pa.string(), metadata=TRIMMED), pa.array(texts, pa.string())
        )
    return batch


def _dicts(rows: Sequence[Any]) -> Sequence[dict[str, Any]]:
    if set(map(type, rows)) <= {dict}:
        return rows
    return [row if type(row) is dict else _row(row, number) for number, row in enumerate(rows, 1)]


def _row(row: object, number: int) -> dict[str, Any]:
    try:
        values = known(row, "")
    except Conflict as conflict:
        raise conflict.error(row=number, value=row) from None
    if not isinstance(values, dict):
        raise SourceError(
            f"expected a row, found {excerpt(row)}",
            row=number,
            hint='Yield dicts, such as {"id": 1}, or lists of dicts.',
        )
    return values
