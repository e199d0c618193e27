"""`Normalizer`: batches of any source in, batches of one table out.

The second stage of extract → normalize → write → commit. It decides names, types and schema changes when a
new incoming schema shows up, and then applies the compiled plan. One normalizer serves one load of one
table, from one thread.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from lakeload.errors import SchemaError, SourceError
from lakeload.model.changes import SchemaChange
from lakeload.model.schema import apply_changes, assign_ids, children, without_ids
from lakeload.model.table import LOAD_COLUMNS, LOAD_ID, LOADED_AT, TableSpec, TableState
from lakeload.model.types import storage_type
from lakeload.normalize.coerce import Misfit
from lakeload.normalize.evolve import Evolution
from lakeload.normalize.incoming import Path, incoming_type
from lakeload.normalize.naming import match_names
from lakeload.normalize.plan import Filler, NormalizePlan, first_row, holds_null

_PLANS_KEPT = 32
_LOAD_TYPES = {LOAD_ID: pa.string(), LOADED_AT: pa.timestamp("us", "UTC")}


@dataclass(frozen=True, slots=True)
class _Hint:
    """What the user asks of one column: `given` in the user's names, `kind` in the table's."""

    given: pa.DataType
    kind: pa.DataType
    required: bool


class Normalizer:
    """Gives every batch of a load the table's names and types, and evolves the table's schema.

    Args:
        spec: What the resource wants its table to be.
        formats: Formats the table is published in.
        state: The table as it is; `None` when it does not exist.
        load_id: Goes into `_lakeload_id`.
        loaded_at: Goes into `_lakeload_at`; aware, UTC.

    Raises:
        SchemaError: The hints contradict themselves or cannot be stored.

    Example:
        >>> spec = TableSpec("users", load_columns=False)
        >>> now = dt.datetime(2024, 5, 1, tzinfo=dt.timezone.utc)
        >>> normalizer = Normalizer(spec, formats=("delta",), state=None, load_id="a", loaded_at=now)
        >>> normalizer.apply(pa.record_batch({"userId": pa.array([1], pa.uint16())})).to_pylist()
        [{'user_id': 1}]
    """

    def __init__(
        self,
        spec: TableSpec,
        *,
        formats: Sequence[str],
        state: TableState | None,
        load_id: str,
        loaded_at: dt.datetime,
    ) -> None:
        self._spec, self._formats, self._state = spec, tuple(formats), state
        self._evolution = Evolution(
            state.schema if state else None, self._formats, owned=state is None or state.owned
        )
        self._plans: list[NormalizePlan] = []
        self._raws: dict[str, str] = {}
        self._rows = 0
        self._started = False
        self._schema = state.schema if state else pa.schema([])
        self._last_id = state.last_column_id if state else 0
        with self._located():
            self._hints = self._read_hints()
        if state is None:
            fields = [pa.field(name, hint.kind, not hint.required) for name, hint in self._hints.items()]
            self._schema, self._last_id = assign_ids(pa.schema(fields))
        self._fillers = _load_columns(load_id, loaded_at)

    @property
    def schema(self) -> pa.Schema:
        """The table's schema with field ids, as far as it is known.

        For a new table it is empty until a batch came, unless there are hints. Ids are final from the
        first batch on: the load columns come after the columns of the first batch.
        """
        if self._state is None and not self._started and len(self._schema):
            return self._with_load_columns()[0]
        return self._schema

    @property
    def last_column_id(self) -> int:
        """Largest field id in use."""
        if self._state is None and not self._started and len(self._schema):
            return self._with_load_columns()[1]
        return self._last_id

    @property
    def changes(self) -> tuple[SchemaChange, ...]:
        """How `schema` differs from the table's; empty for a new table.

        In the order they happened: `apply_changes` on the table's schema gives `schema` with its ids.
        """
        return self._evolution.changes if self._state else ()

    def hint(self, raw: str) -> pa.DataType | None:
        """The type a source should decode this column to, if it is known.

        The user's hint wins. Otherwise the table's type, where text cannot express it: timestamp, date,
        time and decimal. Does not change during a load.
        """
        name = self._find(raw)
        if name in self._hints:
            return self._hints[name].given
        if self._state is None or name not in self._state.schema.names:
            return None
        kind = self._state.schema.field(name).type
        told_by_text = (
            pa.types.is_integer(kind)
            or pa.types.is_floating(kind)
            or pa.types.is_boolean(kind)
            or pa.types.is_binary(kind)
            or pa.types.is_string(kind)
        )
        return None if told_by_text or children(kind) else kind

    def is_text(self, raw: str) -> bool:
        """Whether the column holds text, as far as this load knows by now."""
        name = self._find(raw)
        return name in self._schema.names and pa.types.is_string(self._schema.field(name).type)

    def resolve(self, name: str) -> str:
        """The column a user means, in the source's spelling or the table's.

        Raises:
            SchemaError: There is no such column; the message lists those there are.
        """
        names = self.schema.names
        found = name if name in names else self._raws.get(name) or self._find(name)
        if found is None or found not in names:
            raise SchemaError(
                f"there is no column {name!r}",
                table=self._spec.name,
                hint=f"Columns are: {', '.join(names) or 'none yet'}.",
            )
        return found

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch in the table's columns; evolves `schema` where the data asks for it.

        Returns:
            A batch with the names, order, nullability and ids of `schema`. Text and bytes at top level
            may keep their physical kind (large, view, dictionary-encoded).

        Raises:
            SchemaError: Names collide, types conflict, or a value does not fit.
            SourceError: The batch is malformed.
        """
        try:
            batch.validate()
        except pa.ArrowInvalid as error:
            raise SourceError(
                "the source delivered a malformed Arrow batch",
                table=self._spec.name,
                hint=f"Arrow says: {error}",
            ) from error
        with self._located():
            plan, arrays = self._convert(batch)
            if not arrays and batch.num_rows:
                raise SchemaError(
                    "no column of the data has a type yet: all values are null",
                    hint="Give the types of the columns with schema=.",
                )
            result = plan.assemble(arrays)
            if plan.required and self._relax(plan, result):
                result = self._plan(batch.schema).assemble(arrays)
            self._rows += batch.num_rows
            return result

    def _convert(self, batch: pa.RecordBatch) -> tuple[NormalizePlan, list[pa.Array]]:
        while True:
            plan = self._plan(batch.schema)
            try:
                return plan, plan.convert(batch)
            except Misfit as error:
                change = self._evolution.rescue(self._schema, error.path, error.array.type)
                if change is None:
                    raise plan.misfit(batch, self._rows) from error
                self._change([change])

    def _plan(self, source: pa.Schema) -> NormalizePlan:
        for plan in self._plans:
            if plan.source.equals(source):
                return plan
        names = match_names(source.names, self._schema_names())
        self._raws.update(names)
        self._evolve(source, names)
        fillers = {name: fill for name, fill in self._fillers.items() if name in self._schema.names}
        plan = NormalizePlan.compile(source, names, self._schema, fillers)
        self._plans = [plan, *self._plans[: _PLANS_KEPT - 1]]
        return plan

    def _schema_names(self) -> list[str]:
        return [*self._schema.names, *(name for name in self._hints if name not in self._schema.names)]

    def _evolve(self, source: pa.Schema, names: dict[str, str]) -> None:
        known = {field.name: field.type for field in self._schema}
        incoming = []
        for field in source:
            name = names[field.name]
            hint = self._hints[name].kind if name in self._hints else None
            kind = incoming_type(field.type, known.get(name), hint, self._formats, (name,))
            if kind is not None:
                incoming.append(pa.field(name, kind))
        self._change(list(self._evolution.needed(self._schema, incoming)))
        if self._state is None and not self._started:
            self._order([names[field.name] for field in source])
            self._schema, self._last_id = self._with_load_columns()
        self._started = True

    def _order(self, given: list[str]) -> None:
        """Put the columns of a new table in the source's order, unless hints name all of them."""
        if not self._hints or all(name in self._hints for name in given):
            return
        plain = without_ids(self._schema)
        rank = {name: position for position, name in enumerate(given)}
        fields = sorted(plain, key=lambda field: rank.get(field.name, len(rank)))
        self._schema, self._last_id = assign_ids(pa.schema(fields))
        self._plans.clear()

    def _change(self, changes: list[SchemaChange]) -> None:
        if not changes:
            return
        self._plans.clear()
        inner = [change for change in changes if change.kind != "add" or len(change.path) > 1]
        outer = [change for change in changes if change.kind == "add" and len(change.path) == 1]
        for change in (*inner, *outer):  # ids follow this order, here and when the log is replayed
            self._evolution.record(change)
        self._schema, self._last_id = apply_changes(self._schema, self._last_id, inner)
        # Top-level columns at once: a table may get a thousand of them from its first batch.
        added = [pa.field(change.path[0], change.new) for change in outer]
        self._schema, self._last_id = assign_ids(pa.schema([*self._schema, *added]), self._last_id)

    def _with_load_columns(self) -> tuple[pa.Schema, int]:
        wanted = LOAD_COLUMNS if self._spec.load_columns else ()
        fields = [pa.field(name, _LOAD_TYPES[name]) for name in wanted if name not in self._schema.names]
        return assign_ids(pa.schema([*self._schema, *fields]), self._last_id)

    def _relax(self, plan: NormalizePlan, result: pa.RecordBatch) -> bool:
        """Make required fields optional where the data has nulls and the table is ours."""
        changes = []
        for path, column in plan.null_where_required(result):
            hint = self._hints.get(path[0])
            if (hint is not None and hint.required) or self._state is None or not self._state.owned:
                index = first_row(column, lambda part, path=path: holds_null(part, path[1:]))  # type: ignore[misc]  # binds the loop variable
                raise SchemaError(
                    "a required column has no value",
                    column=".".join(path),
                    row=self._rows + index + 1,
                    hint="Give it a value in the source, or make the column optional in the table.",
                )
            kind = _at(plan.schema, path).type
            changes.append(SchemaChange("relax", path, kind, kind))
        self._change(changes)
        return bool(changes)

    def _read_hints(self) -> dict[str, _Hint]:
        given = [field for field in self._spec.schema or () if field.name not in LOAD_COLUMNS]
        names = match_names([field.name for field in given], self._schema.names)
        hints: dict[str, _Hint] = {}
        for field in given:
            name = names[field.name]
            known = self._schema.field(name).type if name in self._schema.names else None
            kind = incoming_type(field.type, known, None, self._formats, (name,))
            stored = None if kind is None else storage_type(field.type, self._formats)
            if kind is not None and stored is not None:
                hints[name] = _Hint(stored, kind, not field.nullable)
        return hints

    def _find(self, raw: str) -> str | None:
        try:
            return match_names([raw], self._schema_names(), top=False)[raw]
        except SchemaError:
            return None

    @contextmanager
    def _located(self) -> Iterator[None]:
        try:
            yield
        except SchemaError as error:
            error.table = error.table or self._spec.name
            raise


def _at(schema: pa.Schema, path: Path) -> pa.Field:
    fields, found = list(schema), None
    for name in path:
        found = next(field for field in fields if field.name == name)
        fields = children(found.type)
    return found


def _load_columns(load_id: str, loaded_at: dt.datetime) -> dict[str, Filler]:
    """The constant columns of a load; slices of one array each, grown when a larger batch comes."""
    ids = _Constant(
        lambda rows: pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), rows), [load_id])
    )
    moment = pa.scalar(loaded_at, pa.timestamp("us", "UTC"))
    return {LOAD_ID: ids, LOADED_AT: _Constant(lambda rows: pa.repeat(moment, rows))}


class _Constant:
    def __init__(self, make: Filler) -> None:
        self._make = make
        self._array = make(0)

    def __call__(self, rows: int) -> pa.Array:
        if rows > len(self._array):
            self._array = self._make(rows)
        return self._array.slice(0, rows)
