"""`GrowingSchema`: the schema of one table during one load, and what the data may make of it.

Part of the normalize stage, for one `Normalizer`. It is what the table has, or what hints ask of a new one,
and every batch may ask for more: `Evolution` knows the change that is needed, the contract says whether it
is made. Nothing is changed in a table here; the load commits the changes noted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SchemaError
from lakeload.model.changes import SchemaChange
from lakeload.model.events import cause_text
from lakeload.model.evolution import find
from lakeload.model.naming import SYSTEM, UNTYPED
from lakeload.model.schema import added_field, apply_changes, assign_ids, children, without_ids
from lakeload.model.table import LOAD_COLUMNS, LOAD_ID, LOADED_AT, TableSpec, TableState
from lakeload.normalize.enforce import first_value
from lakeload.normalize.evolve import Evolution
from lakeload.normalize.hints import Hint
from lakeload.normalize.incoming import Path, Permission, incoming_type
from lakeload.normalize.names import credited
from lakeload.normalize.shake import Finding
from lakeload.normalize.text_types import Learned, ReadAgain
from lakeload.normalize.untyped import has_values, seen_type

Number: TypeAlias = Callable[[pa.Array], int]
"""Number in the load of the first of some rows, given by their indices in the batch."""

_LOAD_TYPES = {LOAD_ID: pa.string(), LOADED_AT: pa.timestamp("us", "UTC")}


class GrowingSchema:
    """A table's schema, as far as this load knows it by now.

    Args:
        spec: What the resource wants its table to be.
        formats: Formats the table is published in.
        state: The table as it is; `None` when it does not exist.
        hints: What the user asks of columns, by their names in the table.
        learned: What is known of the source's texts.
    """

    def __init__(
        self,
        spec: TableSpec,
        *,
        formats: Sequence[str],
        state: TableState | None,
        hints: Mapping[str, Hint],
        learned: Learned,
    ) -> None:
        self._learned = learned
        self._texts = {path for table, path in learned.texts if table == spec.name}
        self._untyped = False
        self._spec, self._contract, self._formats, self._state = spec, spec.contract, tuple(formats), state
        self._hints = dict(hints)
        self._hint_types = {name: hint.field.type for name, hint in hints.items()}
        self._evolution = Evolution(
            state.schema if state else None,
            self._formats,
            owned=state is None or state.owned,
            partition_by=state.layout.partition_by if state else (),
        )
        if state is None:
            self._fields, self._last_id = assign_ids(pa.schema([hint.field for hint in hints.values()]))
        else:
            self._fields, self._last_id = state.schema, state.last_column_id
        self._founded = len(self._fields) > 0
        self._started = False

    @property
    def fields(self) -> pa.Schema:
        """The columns with their ids, those of the load once a batch came; a new object when they change."""
        return self._fields

    @property
    def finished(self) -> tuple[pa.Schema, int]:
        """The schema as the table gets it if nothing more comes, and the largest field id in it."""
        if self._state is None and not self._started and len(self._fields):
            return self._with_load_columns()
        return self._fields, self._last_id

    @property
    def changes(self) -> tuple[SchemaChange, ...]:
        """How the schema differs from the table's; empty for a new table."""
        return self._evolution.changes if self._state else ()

    def observe(self, rows: pa.RecordBatch) -> None:
        """Note what finished rows say of later changes."""
        self._evolution.observe(rows)

    def credit(self, renamed: pa.Schema) -> None:
        """Note which source names came to be those of a new table's hinted columns."""
        if self._state is not None:
            return
        fields = credited(self._fields, renamed, self._hint_types)
        if not fields.equals(self._fields, check_metadata=True):
            self._fields = fields

    def follow(self, batch: pa.RecordBatch, renamed: pa.Schema, number: Number | None) -> bool:
        """Let the schema follow the data as far as it may.

        Args:
            batch: As it came.
            renamed: Its schema under the names of the lake.
            number: Numbers its rows, for what is said of the changes.

        Returns:
            Whether every column's type is decided now.

        Raises:
            SchemaError: A type cannot be stored, or the contract freezes what the load needs.
        """
        self._untyped |= UNTYPED in (batch.schema.metadata or {})
        ours = [SYSTEM in (field.metadata or {}) for field in batch.schema]
        own = [field for field, system in zip(renamed, ours, strict=True) if system]
        given = [i for i, system in enumerate(ours) if not system]
        fields, waits = self._wanted(batch, renamed, given)
        self._check_own(own)
        needed = list(self._evolution.needed(self._fields, [*fields, *own]))
        # What holds no value asks for no other type; a later batch of this schema may.
        changes = [one for one in needed if one.kind == "add" or has_values(batch, renamed, one.path)]
        self.record([self._caused(change, batch, renamed, number) for change in changes])
        if self._state is None and not self._started:
            names = renamed.names  # made anew by every look
            self._order([names[i] for i in given], own)
            self._fields, self._last_id = self._with_load_columns()
        self._started = True
        self._founded = self._founded or bool(fields)
        return not waits and len(changes) == len(needed)

    def widenings(self, found: Sequence[Finding], number: Number) -> list[SchemaChange]:
        """Those that let in what did not fit, where types may evolve and the formats can."""
        if self._contract.outcome("types") != "evolve":
            return []
        changes = []
        for one in found:
            if one.target is None or self._is_hinted(one.path):
                continue
            try:
                change = self._evolution.rescue(self._fields, one.path, one.source)
            except SchemaError:  # no column holds such values
                continue
            if change is not None:
                cause = cause_text("rows of the data", row=number(one.rows), value=first_value(one.first))
                changes.append(replace(change, cause=cause, rows=len(one.rows)))
        return changes

    def may_become_text(self, path: Path) -> bool:
        """Whether a column becomes text when its values have nothing else in common."""
        return self._contract.outcome("types") == "evolve" and self._evolution.takes_text(path)

    def relaxation(self, path: Path, rows: int) -> SchemaChange | None:
        """A required field made optional, where the table is ours, types may evolve and no hint forbids it.

        Args:
            path: The field.
            rows: How many rows have no value in it.
        """
        if self._state is None or not self._state.owned or self._contract.outcome("types") != "evolve":
            return None
        hint, field = self._hints.get(path[0]), find(self._fields, path)
        if field is None or (hint is not None and hint.requires(path)):
            return None
        return SchemaChange("relax", path, field.type, field.type, rows=rows)

    def record(self, changes: Sequence[SchemaChange]) -> None:
        """Make the changes.

        Raises:
            ReadAgain: Moments would become text, and the source can still say as which text they came.
            SchemaError: It cannot any more.
        """
        if not changes:
            return
        if self._untyped:
            self._keep_texts(changes)
        inner = [change for change in changes if change.kind != "add" or len(change.path) > 1]
        outer = [change for change in changes if change.kind == "add" and len(change.path) == 1]
        for change in (*inner, *outer):  # ids follow this order, here and when the log is replayed
            self._evolution.record(change)
        fields, last = apply_changes(self._fields, self._last_id, inner)
        # Top-level columns at once: a table may get a thousand of them from its first batch.
        added = [added_field(change) for change in outer]
        self._fields, self._last_id = assign_ids(pa.schema([*fields, *added]), last)

    def _keep_texts(self, changes: Sequence[SchemaChange]) -> None:
        """See to it that what came as text and was read as moments becomes the text it came as."""
        for change in changes:
            again = (self._spec.name, change.path)
            if (
                change.kind != "widen"
                or not _forgets_moments(change.old, change.new)
                or again in self._learned.texts
            ):
                continue
            if self._learned.learning:
                self._learned.texts.add(again)
            elif self._learned.able:
                raise ReadAgain(".".join(change.path))
            else:
                raise SchemaError(
                    f"moments came as text, which other values now make of the column{_cause(change)}",
                    column=".".join(change.path),
                    hint="Hint the column as string to keep the texts as they come, or as timestamp "
                    'with contract={"types": "quarantine"} to put such rows aside.',
                )

    def _wanted(
        self, batch: pa.RecordBatch, renamed: pa.Schema, given: Sequence[int]
    ) -> tuple[list[pa.Field], bool]:
        """The data's columns without what the contract does not permit; whether one awaits a value."""
        untyped = self._spec.detect_dates and UNTYPED in (batch.schema.metadata or {})
        data = [self._incoming(renamed.field(i), batch.column(i), untyped=untyped) for i in given]
        permission = Permission(
            columns=not self._founded or self._contract.outcome("columns") == "evolve",
            types=self._contract.outcome("types") == "evolve",
        )
        fields = permission.fields(self._fields, [field for field, _ in data if field is not None])
        return fields, permission.columns and any(waits for _, waits in data)

    def _incoming(self, field: pa.Field, column: pa.Array, *, untyped: bool) -> tuple[pa.Field | None, bool]:
        """The column as the table would have it, `None` if not at all, and whether it awaits a value."""
        hint = self._hint_types.get(field.name)
        known = self._fields.field(field.name).type if field.name in self._fields.names else None
        kind, waits = field.type, False
        if hint is None and untyped:
            kind, waits = seen_type(column, kind, known, (field.name,), self._texts)
        try:
            stored = incoming_type(kind, hint, self._formats, (field.name,))
        except SchemaError:
            rule: Literal["columns", "types"] = "columns" if known is None else "types"
            if not self._founded or self._contract.outcome(rule) == "evolve":
                raise
            stored = known  # its values are judged one by one
        return (None if stored is None else field.with_type(stored)), waits

    def _check_own(self, own: Sequence[pa.Field]) -> None:
        """Columns lakeload needs are no choice of the data, but freezing a table leaves it as it is."""
        frozen = self._state is not None and self._contract.outcome("columns") == "freeze"
        missing = [field.name for field in own if field.name not in self._fields.names]
        if frozen and missing:
            raise SchemaError(
                "the table lacks a column for its child tables, and the contract freezes columns",
                column=missing[0],
                hint="Let the contract evolve columns for one load, or keep lists in their rows.",
            )

    def _caused(
        self, change: SchemaChange, batch: pa.RecordBatch, renamed: pa.Schema, number: Number | None
    ) -> SchemaChange:
        """The change of a table's own column, with the first value that asks for it."""
        i = renamed.get_field_index(change.path[0])
        if self._state is None or number is None or len(change.path) > 1 or i < 0:
            return change
        first = pc.index(batch.column(i).is_valid(), True).as_py()
        if first < 0:
            return change
        value, row = first_value(batch.column(i).slice(first, 1)), number(pa.array([first]))
        return replace(change, cause=cause_text("rows of the data", row=row, value=value))

    def _order(self, given: Sequence[str], own: Sequence[pa.Field]) -> None:
        """Put the columns of a new table in the source's order, unless hints name all of them."""
        rank = {} if all(name in self._hints for name in given) else {name: i for i, name in enumerate(given)}
        last = {field.name for field in own}
        fields = sorted(
            without_ids(self._fields),
            key=lambda field: (field.name in last, rank.get(field.name, len(given))),
        )
        self._fields, self._last_id = assign_ids(pa.schema(fields))

    def _with_load_columns(self) -> tuple[pa.Schema, int]:
        wanted = LOAD_COLUMNS if self._spec.load_columns else ()
        fields = [pa.field(name, _LOAD_TYPES[name]) for name in wanted if name not in self._fields.names]
        return assign_ids(pa.schema([*self._fields, *fields]), self._last_id)

    def _is_hinted(self, path: Path) -> bool:
        """Whether the user asked for the type of the values at a path: then it stays."""
        hint = self._hints.get(path[0])
        field = None if hint is None else find(pa.schema([hint.field]), path)
        return field is not None and not children(field.type)


def _cause(change: SchemaChange) -> str:
    return f": {change.cause}" if change.cause else ""


def _forgets_moments(old: pa.DataType | None, new: pa.DataType | None) -> bool:
    """Whether timestamps become text, at any depth."""
    if old is None or new is None:
        return False
    if pa.types.is_timestamp(old):
        return pa.types.is_string(new)
    if pa.types.is_struct(old) and pa.types.is_map(new):
        return any(_forgets_moments(member.type, new.item_type) for member in children(old))
    if pa.types.is_string(new):
        return any(_forgets_moments(inner.type, new) for inner in children(old))
    after = {inner.name: inner.type for inner in children(new)}
    return any(_forgets_moments(inner.type, after.get(inner.name)) for inner in children(old))
