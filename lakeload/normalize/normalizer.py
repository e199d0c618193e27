"""`Normalizer`: batches of any source in, batches of one table out.

The second stage of extract → normalize → write → commit. It decides names, types and schema changes when a
new incoming schema shows up, applies the compiled plan, and lets the contract decide on what the table has no
place for. One normalizer serves one load of one table, from one thread; the plans it compiles may run in
several.
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SchemaError, SourceError
from lakeload.model.changes import SchemaChange
from lakeload.model.contract import Contract
from lakeload.model.events import cause_text
from lakeload.model.evolution import find
from lakeload.model.naming import SYSTEM, UNTYPED
from lakeload.model.schema import added_field, apply_changes, assign_ids, children, without_ids
from lakeload.model.table import LOAD_COLUMNS, LOAD_ID, LOADED_AT, TableSpec, TableState
from lakeload.normalize.coerce import Misfit
from lakeload.normalize.enforce import Shaped, Verdict, first_value, shaken
from lakeload.normalize.evolve import Evolution
from lakeload.normalize.hints import read_hints
from lakeload.normalize.incoming import Path, Permission, incoming_type
from lakeload.normalize.names import Names, credited
from lakeload.normalize.plan import Constant, NormalizePlan, Refused, fingerprint
from lakeload.normalize.sieve import Finding
from lakeload.normalize.untyped import has_values, seen_type

_PLANS_KEPT = 32
_LOAD_TYPES = {LOAD_ID: pa.string(), LOADED_AT: pa.timestamp("us", "UTC")}


class Normalizer:
    """Gives every batch of a load the table's names and types, and evolves the table's schema.

    A column lakeload makes itself, such as the ids of child tables, comes with `lakeload.system` in its
    field's metadata: it keeps its name, and stands behind the columns of the data.

    Args:
        spec: What the resource wants its table to be.
        formats: Formats the table is published in.
        state: The table as it is; `None` when it does not exist.
        load_id: Goes into `_lakeload_id`.
        loaded_at: Goes into `_lakeload_at`; aware, UTC.
        contract: What the data may change in the table.
        detect: Whether new columns of text in batches of untyped sources become dates and timestamps when
            all their values are such.
        fillers: Columns the table has in any case, by name, with their types; null where a batch does not
            bring them.

    Raises:
        SchemaError: The hints contradict themselves or cannot be stored.

    Example:
        >>> spec = TableSpec("users", load_columns=False)
        >>> now = dt.datetime(2024, 5, 1, tzinfo=dt.timezone.utc)
        >>> normalizer = Normalizer(spec, formats=("delta",), state=None, load_id="a", loaded_at=now)
        >>> normalizer.apply(pa.record_batch({"userId": pa.array([1], pa.uint16())})).batch.to_pylist()
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
        contract: Contract = Contract(),  # noqa: B008 - immutable
        detect: bool = True,
        fillers: Mapping[str, pa.DataType] | None = None,
    ) -> None:
        self._spec, self._formats, self._state = spec, tuple(formats), state
        self._contract, self._detect, self._made_here = contract, detect, dict(fillers or {})
        owned = state is None or state.owned
        self._evolution = Evolution(
            state.schema if state else None,
            self._formats,
            owned=owned,
            partition_by=state.layout.partition_by if state else (),
        )
        self._plans: OrderedDict[str, NormalizePlan] = OrderedDict()
        self._last_plan: NormalizePlan | None = None
        self._rows = 0
        self._started = False
        self._schema = state.schema if state else pa.schema([])
        self._last_id = state.last_column_id if state else 0
        self._names = Names(spec.naming, max_length=spec.max_name_length, owned=owned)
        with self._located():
            self._hints = read_hints(spec.schema, self._names, self._schema, self._formats)
        self._asked = {name: hint.asked for name, hint in self._hints.items()}
        self._hint_types = {name: hint.field.type for name, hint in self._hints.items()}
        if state is None:
            fields = [hint.field for hint in self._hints.values()]
            self._schema, self._last_id = assign_ids(pa.schema(fields))
        self._founded = len(self._schema) > 0
        self._fillers = {
            LOAD_ID: Constant(pa.array([load_id]), coded=True),
            LOADED_AT: Constant(pa.array([loaded_at], pa.timestamp("us", "UTC"))),
        }

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
        found = self._names.meant(name, self.schema)
        if found is None:
            raise SchemaError(
                f"there is no column {name!r}",
                table=self._spec.name,
                hint=f"Columns are: {', '.join(self.schema.names) or 'none yet'}.",
            )
        return found

    def names_of(self, source: pa.Schema) -> dict[str, str]:
        """The table's names of incoming columns, by the source's.

        Raises:
            SchemaError: Two columns have the same name, or one is reserved or unclear.
        """
        with self._located():
            return dict(zip(source.names, self._rename(source).names, strict=True))

    def plan(self, batch: pa.RecordBatch) -> NormalizePlan:
        """What `apply` does to batches of this schema; evolves `schema` where the data may.

        Raises:
            SchemaError: Names are unclear, or a type cannot be stored.
        """
        with self._located():
            return self._plan(batch)

    def apply(self, batch: pa.RecordBatch, number: Callable[[int], int] | None = None) -> Shaped:
        """The batch in the table's columns; evolves `schema` where the data asks for it and may.

        Args:
            batch: Rows of the source; with `lakeload.untyped` in the metadata of its schema when the
                source has no types of its own for dates, times and bytes.
            number: The row's number in the load, from 1, by its index in the batch, for messages. Counted
                here by default.

        Returns:
            A batch with the names, order, nullability and ids of `schema`, without the rows the contract
            keeps out. Text and bytes at top level may keep their physical kind (large, view,
            dictionary-encoded).

        Raises:
            SchemaError: A value or a column does not fit, and the contract leaves nothing else.
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
        before = self._rows
        verdict = Verdict(self._contract, number or (lambda i: before + i + 1), batch.num_rows)
        with self._located():
            result = self._convert(batch, verdict)
        self._evolution.observe(result)
        self._rows += batch.num_rows
        return Shaped(result, verdict.rejections)

    def _convert(self, batch: pa.RecordBatch, verdict: Verdict) -> pa.RecordBatch:
        while True:
            plan = self._plan(batch, verdict)
            try:
                arrays = plan.convert(batch)
            except (Misfit, Refused) as error:
                clean, found = shaken(batch, plan, converts=isinstance(error, Refused))
                if not found:  # what misfits in a batch must be found in it
                    raise
                widenings = self._rescue(found, verdict)
                self._change(widenings)
                if not widenings:
                    verdict.judge(found)
                    batch = verdict.keep(clean)
                continue
            if not arrays and batch.num_rows:
                raise SchemaError(
                    "no column of the data has a type yet: all values are null",
                    hint="Give the types of the columns with schema=.",
                )
            result = plan.assemble(arrays)
            missing = list(plan.null_where_required(result)) if plan.required else []
            if self._relax(missing, verdict):
                return self._plan(batch).assemble(arrays)
            return verdict.keep(result) if missing else result

    def _rescue(self, found: Sequence[Finding], verdict: Verdict) -> list[SchemaChange]:
        """Widenings that let in what did not fit, where types may evolve and the formats can."""
        if self._contract.outcome("types") != "evolve":
            return []
        changes = []
        for one in found:
            if one.target is None or self._is_hinted(one.path):
                continue
            try:
                change = self._evolution.rescue(self._schema, one.path, one.source)
            except SchemaError:  # no column holds such values
                continue
            if change is not None:
                value = first_value(one.first)
                cause = cause_text("rows of the data", row=verdict.number(one.rows), value=value)
                changes.append(replace(change, cause=cause, rows=len(one.rows)))
        return changes

    def _relax(self, missing: Sequence[tuple[Path, pa.Array]], verdict: Verdict) -> bool:
        """Make required fields optional where the data has nulls, the table is ours and types may evolve."""
        ours = self._contract.outcome("types") == "evolve" and self._state is not None and self._state.owned
        changes = []
        for path, rows in missing:
            hint, field = self._hints.get(path[0]), find(self._schema, path)
            if ours and field is not None and not (hint is not None and hint.requires(path)):
                changes.append(SchemaChange("relax", path, field.type, field.type, rows=len(rows)))
            else:
                verdict.judge_null(path, rows)
        self._change(changes)
        return bool(changes)

    def _plan(self, batch: pa.RecordBatch, verdict: Verdict | None = None) -> NormalizePlan:
        source = batch.schema
        if self._last_plan is not None and self._last_plan.source.equals(source, check_metadata=True):
            return self._last_plan
        key = fingerprint(source)
        plan = self._plans.pop(key, None)
        if plan is None:
            renamed = self._rename(source)
            if self._state is None:
                self._credit(renamed)
            decided = self._evolve(batch, renamed, verdict)
            fillers = {name: fill for name, fill in self._fillers.items() if name in self._schema.names}
            plan = NormalizePlan.compile(source, renamed, self._schema, fillers, self._asked)
            if not decided:  # the next batch of this schema may say more
                return plan
        self._plans[key] = self._last_plan = plan
        if len(self._plans) > _PLANS_KEPT:
            self._plans.popitem(last=False)
        return plan

    def _credit(self, renamed: pa.Schema) -> None:
        """Note which source names came to be those of hinted columns."""
        schema = credited(self._schema, renamed, self._hint_types)
        if not schema.equals(self._schema, check_metadata=True):
            self._schema = schema
            self._forget_plans()

    def _rename(self, source: pa.Schema) -> pa.Schema:
        return self._names.rename(source, self._schema, self._hint_types)

    def _evolve(self, batch: pa.RecordBatch, renamed: pa.Schema, verdict: Verdict | None) -> bool:
        """Let the schema follow the data as far as it may; whether every column's type is decided now."""
        untyped = self._detect and UNTYPED in (batch.schema.metadata or {})
        ours = [SYSTEM in (field.metadata or {}) for field in batch.schema]
        data = [
            self._incoming(field, batch.column(i), untyped=untyped)
            for i, field in enumerate(renamed)
            if not ours[i]
        ]
        permission = Permission(
            columns=not self._founded or self._contract.outcome("columns") == "evolve",
            types=self._contract.outcome("types") == "evolve",
        )
        decided = not permission.columns or not any(waits for _, waits in data)
        fields = permission.fields(self._schema, [field for field, _ in data if field is not None])
        own = [field for field, system in zip(renamed, ours, strict=True) if system]
        own += [pa.field(name, kind) for name, kind in self._made_here.items() if name not in renamed.names]
        self._check_own(own)
        needed = list(self._evolution.needed(self._schema, [*fields, *own]))
        # What holds no value asks for no other type; a later batch of this schema may.
        changes = [one for one in needed if one.kind == "add" or has_values(batch, renamed, one.path)]
        self._change([self._caused(change, batch, renamed, verdict) for change in changes])
        if self._state is None and not self._started:
            self._order([field.name for field, system in zip(renamed, ours, strict=True) if not system], own)
            self._schema, self._last_id = self._with_load_columns()
        self._started = True
        self._founded = self._founded or bool(fields)
        return decided and len(changes) == len(needed)

    def _caused(
        self, change: SchemaChange, batch: pa.RecordBatch, renamed: pa.Schema, verdict: Verdict | None
    ) -> SchemaChange:
        """The change of a table's own column, with the first value that asks for it."""
        i = renamed.get_field_index(change.path[0])
        if self._state is None or verdict is None or len(change.path) > 1 or i < 0:
            return change
        first = pc.index(batch.column(i).is_valid(), True).as_py()
        if first < 0:
            return change
        value, row = first_value(batch.column(i).slice(first, 1)), verdict.number(pa.array([first]))
        return replace(change, cause=cause_text("rows of the data", row=row, value=value))

    def _incoming(self, field: pa.Field, column: pa.Array, *, untyped: bool) -> tuple[pa.Field | None, bool]:
        """The column as the table would have it, `None` if not at all, and whether it awaits a value."""
        hint = self._hint_types.get(field.name)
        known = self._schema.field(field.name).type if field.name in self._schema.names else None
        kind, waits = field.type, False
        if hint is None and untyped:
            kind, waits = seen_type(column, kind, known)
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
        missing = [field.name for field in own if field.name not in self._schema.names]
        if frozen and missing:
            raise SchemaError(
                "the table lacks a column for its child tables, and the contract freezes columns",
                column=missing[0],
                hint="Let the contract evolve columns for one load, or keep lists in their rows.",
            )

    def _order(self, given: Sequence[str], own: Sequence[pa.Field]) -> None:
        """Put the columns of a new table in the source's order, unless hints name all of them."""
        rank = {} if all(name in self._hints for name in given) else {name: i for i, name in enumerate(given)}
        last = {field.name for field in own}
        fields = sorted(
            without_ids(self._schema),
            key=lambda field: (field.name in last, rank.get(field.name, len(given))),
        )
        self._schema, self._last_id = assign_ids(pa.schema(fields))
        self._forget_plans()

    def _forget_plans(self) -> None:
        self._plans.clear()
        self._last_plan = None

    def _change(self, changes: Sequence[SchemaChange]) -> None:
        if not changes:
            return
        self._forget_plans()
        inner = [change for change in changes if change.kind != "add" or len(change.path) > 1]
        outer = [change for change in changes if change.kind == "add" and len(change.path) == 1]
        for change in (*inner, *outer):  # ids follow this order, here and when the log is replayed
            self._evolution.record(change)
        self._schema, self._last_id = apply_changes(self._schema, self._last_id, inner)
        # Top-level columns at once: a table may get a thousand of them from its first batch.
        added = [added_field(change) for change in outer]
        self._schema, self._last_id = assign_ids(pa.schema([*self._schema, *added]), self._last_id)

    def _with_load_columns(self) -> tuple[pa.Schema, int]:
        wanted = LOAD_COLUMNS if self._spec.load_columns else ()
        kinds = {**self._made_here, **{name: _LOAD_TYPES[name] for name in wanted}}
        fields = [pa.field(name, kind) for name, kind in kinds.items() if name not in self._schema.names]
        return assign_ids(pa.schema([*self._schema, *fields]), self._last_id)

    def _is_hinted(self, path: Path) -> bool:
        """Whether the user asked for the type of the values at a path: then it stays."""
        hint = self._hints.get(path[0])
        field = None if hint is None else find(pa.schema([hint.field]), path)
        return field is not None and not children(field.type)

    def _find(self, raw: str) -> str | None:
        return self._names.find(raw, self._schema, self._hint_types)

    @contextmanager
    def _located(self) -> Iterator[None]:
        try:
            yield
        except SchemaError as error:
            error.table = error.table or self._spec.name
            raise
