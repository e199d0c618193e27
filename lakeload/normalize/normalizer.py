"""`Normalizer`: batches of any source in, batches of one table out.

The second stage of extract → normalize → write → commit, for one table. When a new incoming schema shows up
it settles names, lets the table's schema grow as far as it may and compiles a plan; it applies the plan to
every batch, and lets the contract decide on what the table has no place for. One normalizer serves one load
of one table, from one thread; the plans it compiles may run in several.
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from lakeload.errors import SchemaError, SourceError
from lakeload.model.changes import SchemaChange
from lakeload.model.naming import nearest
from lakeload.model.schema import children
from lakeload.model.table import LOAD_ID, LOADED_AT, TableSpec, TableState
from lakeload.normalize.coerce import Misfit
from lakeload.normalize.enforce import Shaped, Verdict, shaken
from lakeload.normalize.growing_schema import GrowingSchema
from lakeload.normalize.hints import read_hints
from lakeload.normalize.incoming import Path
from lakeload.normalize.names import Names
from lakeload.normalize.plan import Constant, NormalizePlan, Refused, fingerprint
from lakeload.normalize.text_types import Learned, Target

_PLANS_KEPT = 32


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
        learned: What is known of the source's texts; `None`: nothing, and it cannot be read again.

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
        learned: Learned | None = None,
    ) -> None:
        self._spec, self._state = spec, state
        self._names = Names(spec.naming, max_length=spec.max_name_length, owned=state is None or state.owned)
        known = state.schema if state else pa.schema([])
        with self._located():
            self._hints = read_hints(spec.schema, self._names, known, formats)
        self._hint_types = {name: hint.field.type for name, hint in self._hints.items()}
        self._asked = {name: hint.asked for name, hint in self._hints.items()}
        self._table = GrowingSchema(
            spec, formats=formats, state=state, hints=self._hints, learned=learned or Learned()
        )
        self._plans: OrderedDict[str, NormalizePlan] = OrderedDict()
        self._last_plan: NormalizePlan | None = None
        self._planned_for = self._table.fields
        self._rows = 0
        self._fillers = {
            LOAD_ID: Constant(pa.array([load_id], pa.string()), coded=True),
            LOADED_AT: Constant(pa.array([loaded_at], pa.timestamp("us", "UTC"))),
        }

    @property
    def schema(self) -> pa.Schema:
        """The table's schema with field ids, as far as it is known.

        For a new table it is empty until a batch came, unless there are hints. Ids are final from the
        first batch on: the load columns come after the columns of the first batch.
        """
        return self._table.finished[0]

    @property
    def last_column_id(self) -> int:
        """Largest field id in use."""
        return self._table.finished[1]

    @property
    def changes(self) -> tuple[SchemaChange, ...]:
        """How `schema` differs from the table's; empty for a new table.

        In the order they happened: `apply_changes` on the table's schema gives `schema` with its ids.
        """
        return self._table.changes

    def hint(self, raw: str) -> pa.DataType | None:
        """The type a source should decode this column to, if it is known.

        The user's hint wins. Otherwise the table's type, where text cannot express it: timestamp, date,
        time and decimal. Does not change during a load.
        """
        name = self._find(raw)
        if name in self._hints:
            return self._hints[name].given
        place = -1 if self._state is None or name is None else self._state.schema.get_field_index(name)
        if self._state is None or place < 0:
            return None
        kind = self._state.schema.field(place).type
        inferred = (
            pa.types.is_integer(kind)
            or pa.types.is_floating(kind)
            or pa.types.is_boolean(kind)
            or pa.types.is_binary(kind)
            or pa.types.is_string(kind)
        )
        return None if inferred or children(kind) else kind

    def target(self, raw: str) -> Target:
        """What a column of a source that knows only text may become."""
        name = self._find(raw)
        if name in self._hints:
            return Target(hinted=True)
        place = -1 if self._state is None or name is None else self._state.schema.get_field_index(name)
        stored = None if self._state is None or place < 0 else self._state.schema.field(place).type
        return Target(stored, grows=self._table.may_become_text((name or raw,)))

    def found(self, raw: str) -> str | None:
        """The table's name of a column of the source; `None` where it has none yet."""
        return self._find(raw)

    def resolve(self, name: str) -> str:
        """The column a user means, in the source's spelling or the table's.

        Raises:
            SchemaError: There is no such column; the message lists those there are.
        """
        found = self.meant(name)
        if found is None:
            names = self.schema.names
            raise SchemaError(
                f"there is no column {name!r}",
                table=self._spec.name,
                hint=f"{nearest(name, names)} Columns are: {', '.join(names) or 'none yet'}.".strip(),
            )
        return found

    def meant(self, name: str) -> str | None:
        """The column a user means, in the source's spelling or the table's; `None` when there is none yet."""
        return self._names.meant(name, self.schema)

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
        verdict = Verdict(self._spec.contract, number or (lambda i: before + i + 1), batch.num_rows)
        with self._located():
            result = self._convert(batch, verdict)
        self._table.observe(result)
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
                widenings = self._table.widenings(found, verdict.number)
                self._table.record(widenings)
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

    def _relax(self, missing: Sequence[tuple[Path, pa.Array]], verdict: Verdict) -> bool:
        """Make required fields optional where the data has nulls and they may; else its rows are judged."""
        changes = []
        for path, rows in missing:
            change = self._table.relaxation(path, len(rows))
            if change is None:
                verdict.judge_null(path, rows)
            else:
                changes.append(change)
        self._table.record(changes)
        return bool(changes)

    def _plan(self, batch: pa.RecordBatch, verdict: Verdict | None = None) -> NormalizePlan:
        source = batch.schema
        self._forget_outdated_plans()
        if self._last_plan is not None and self._last_plan.source.equals(source, check_metadata=True):
            return self._last_plan
        key = fingerprint(source)
        plan = self._plans.pop(key, None)
        if plan is None:
            renamed = self._rename(source)
            self._table.credit(renamed)
            decided = self._table.follow(batch, renamed, None if verdict is None else verdict.number)
            self._forget_outdated_plans()
            fields = self._table.fields
            fillers = {name: fill for name, fill in self._fillers.items() if name in fields.names}
            plan = NormalizePlan.compile(source, renamed, fields, fillers, self._asked)
            if not decided:  # the next batch of this schema may say more
                return plan
        self._plans[key] = self._last_plan = plan
        if len(self._plans) > _PLANS_KEPT:
            self._plans.popitem(last=False)
        return plan

    def _forget_outdated_plans(self) -> None:
        if self._planned_for is not self._table.fields:
            self._planned_for = self._table.fields
            self._plans.clear()
            self._last_plan = None

    def _rename(self, source: pa.Schema) -> pa.Schema:
        return self._names.rename(source, self._table.fields, self._hint_types)

    def _find(self, raw: str) -> str | None:
        return self._names.find(raw, self._table.fields, self._hint_types)

    @contextmanager
    def _located(self) -> Iterator[None]:
        try:
            yield
        except SchemaError as error:
            error.table = error.table or self._spec.name
            raise
