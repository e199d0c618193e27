"""`Family`: everything one resource loads into: its own table, its child tables, its quarantine.

The normalize stage of extract → normalize → write → commit, as the task sees it: raw batches in, batches of
finished tables out. A batch is taken apart by the nesting policy (`shape`), each part gets the names and
types of its table (`tables`), and rows a contract or a rule does not let in leave all tables together: a
row of the source is in the lake as a whole or not at all.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SchemaError
from lakeload.model.rejection import REJECTED, UNREAD, Rejection
from lakeload.model.table import TableSpec, TableState
from lakeload.normalize.asked import Asked
from lakeload.normalize.known import known_columns
from lakeload.normalize.naming import child_table_name
from lakeload.normalize.numbered import NumberedBatch
from lakeload.normalize.outline import SourcePath
from lakeload.normalize.payload import plain
from lakeload.normalize.quarantine import quarantine_rows, unread
from lakeload.normalize.rules import RuleCount, Rules, without_values
from lakeload.normalize.shape import Part, RowIds, Shape
from lakeload.normalize.tables import Member, Tables
from lakeload.normalize.tally import Tally
from lakeload.normalize.text_types import Learned

_SHAPES_KEPT = 32


class Family:
    """The tables one resource loads into, for one load. For one thread.

    Args:
        spec: What the resource wants its table to be; its name is the table's.
        formats: Formats the tables are published in.
        state: Finds a table by its name; `None` when there is none.
        children: Names of the child tables that exist.
        load_id: Load id.
        loaded_at: Time of the load, UTC.
        learned: What is known of the source's texts; `None`: nothing, and it cannot be read again.

    Raises:
        SchemaError: The hints contradict themselves or cannot be stored.
    """

    def __init__(
        self,
        spec: TableSpec,
        *,
        formats: Sequence[str],
        state: Callable[[str], TableState | None],
        load_id: str,
        loaded_at: dt.datetime,
        children: Sequence[str] = (),
        learned: Learned | None = None,
    ) -> None:
        self.tally = Tally()
        self._spec = spec
        self._shapes: dict[bytes, Shape] = {}
        self._rows = 0
        self._ids = sha256(load_id.encode()).hexdigest()[:12]
        self._tables = Tables(
            spec,
            formats=formats,
            state=state,
            children=children,
            load_id=load_id,
            loaded_at=loaded_at,
            learned=learned,
        )
        self._rules = Rules(
            spec.rules,
            spec.name,
            may_come=spec.contract.outcome("columns") == "evolve",
            column=self.root.normalizer.meant,
        )
        self._asked = Asked(spec, self.known())

    @property
    def root(self) -> Member:
        """The resource's own table."""
        return self._tables.root

    @property
    def members(self) -> tuple[Member, ...]:
        """The tables this load knows, in the order to publish them: what is put aside, children, the root."""
        return tuple(self._tables)

    @property
    def rule_counts(self) -> dict[str, RuleCount]:
        """Rows checked and failed, by rule."""
        return dict(self._rules.counts)

    def known(self) -> pa.Schema | None:
        """The columns of the tables put back together, in the source's names; `None` without tables.

        Tables made elsewhere do not tell what their columns are called in the source.
        """
        there = {m.path: m.state.schema for m in self._tables.loaded if m.state and m.state.owned}
        return known_columns(there) if there else None

    def take(self, batch: pa.RecordBatch) -> Iterator[tuple[Member, pa.RecordBatch]]:
        """The rows that get in, by table; the others are counted and put aside.

        Raises:
            SchemaError: The data asks for a change that the contract or the formats refuse.
            SourceError: The batch is malformed.
        """
        source = NumberedBatch.of(batch, self._rows)
        if REJECTED in (batch.schema.metadata or {}):
            self._rows += batch.num_rows
            yield from self._unread(source)
            return
        ids = RowIds(self._ids, self._rows)
        self._rows += batch.num_rows
        if self.root.state is None and self._spec.contract.outcome("tables") != "evolve":
            yield from self._put_aside(source, [self._no_table((), source.indices, source)])
            return
        flaws = self._flaws(source)
        if flaws:
            self.tally.add(one for one in flaws if one.outcome == "discard_value")
            yield from self._put_aside(source, [one for one in flaws if one.outcome != "discard_value"])
            gone = _rows(flaws)
            source = source.without(gone) if len(gone) else source
            if not source.batch.num_rows:
                return
        while True:
            parts = self._shape(source.batch.schema).apply(source.batch, ids)
            made, rejections = self._apply(parts, source)
            rejections += self._taken_out(source)
            gone = _rows(rejections)
            if not len(gone):
                break
            yield from self._put_aside(source, [r for r in rejections if r.outcome != "discard_value"])
            source = source.without(gone)
        self.tally.add(rejections)
        failed = self._failing(made, source)
        gone = _rows(failed)
        for part, member, rows in made:
            kept = rows if part.path else without_values(rows, failed)
            yield member, _rows_not_of(kept, part, gone) if len(gone) else kept
        yield from self._put_aside(source, failed)

    def check_names(self) -> None:
        """Refuse names in the options that nothing answered to, once all rows were taken.

        Raises:
            ConfigError: There is one; the message has the nearest names there are.
        """
        if not self._shapes or not self._rows:
            return
        normalizer, state = self.root.normalizer, self.root.state
        for error in self._asked.unanswered(state.schema.names if state else ()):
            raise error
        self._rules.check_names(normalizer.schema.names, self._asked.is_column)

    def _flaws(self, source: NumberedBatch) -> list[Rejection]:
        """What the intake found in rows of the source, as the contract says."""
        if source.flaws is None:
            return []
        outcome = self._spec.contract.outcome("types")
        names = self.root.normalizer.names_of(source.batch.schema)
        found: dict[tuple[tuple[str, ...], str], list[int]] = {}
        for row, flaws in enumerate(source.flaws.to_pylist()):
            for flaw in flaws or ():
                found.setdefault((tuple(flaw["path"]), flaw["what"]), []).append(row)
        return [
            Rejection(
                outcome, "types", (names.get(path[0], path[0]), *path[1:]), what, pa.array(rows, pa.int64())
            )
            for (path, what), rows in found.items()
        ]

    def _shape(self, schema: pa.Schema) -> Shape:
        key = schema.serialize().to_pybytes()  # equality of schemas leaves metadata out
        found = self._shapes.get(key)
        if found is None:
            if len(self._shapes) >= _SHAPES_KEPT:
                self._shapes.pop(next(iter(self._shapes)))
            self._asked.see(schema)
            found = Shape.compile(schema, self._asked.nesting(), self._spec.primary_key, self._spec.name)
            self._asked.see_columns(found.root.fields)
            if found.root.children and self._spec.primary_key:
                found = replace(found, keys=self._keys(found))
            self._shapes[key] = found
        return found

    def _keys(self, shape: Shape) -> tuple[str, ...]:
        """The primary key in the source's names, where the user spells it as the table does."""
        nothing = pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in shape.schema], schema=shape.schema)
        (root, *_) = shape.apply(nothing, RowIds("", 0))
        names = self.root.normalizer.names_of(root.batch.schema)
        sources = {name: source for source, name in names.items()}
        return tuple(key if key in names else sources.get(key, key) for key in shape.keys)

    def _apply(
        self, parts: Sequence[Part], source: NumberedBatch
    ) -> tuple[list[tuple[Part, Member, pa.RecordBatch]], list[Rejection]]:
        """Each part in its table's columns, and what does not fit, by rows of the source."""
        made, rejections, lost = [], list[Rejection](), list[SourcePath]()
        for part in parts:
            if part.path not in self._tables and not part.batch.num_rows:
                continue  # no table until an element shows
            if any(part.path[: len(path)] == path for path in lost):
                continue  # what is below a table that does not come to be goes with it
            member = self._tables.at(part.path)
            if member is None:
                rejections.append(self._no_table(part.path, pc.unique(part.origin), source))
                lost.append(part.path)
                continue
            shaped = member.normalizer.apply(part.batch, source.numbering(part.origin))
            rejections += [_of_source(found, part) for found in shaped.rejections]
            made.append((part, member, shaped.batch))
        return made, rejections

    def _taken_out(self, source: NumberedBatch) -> list[Rejection]:
        """Values the decoder took out of rows, as what the contract makes of them."""
        found: dict[tuple[tuple[str, ...], str], list[int]] = {}
        outcome = self._spec.contract.outcome("types")
        for row, path, kind, value in source.taken_out():
            name = self.root.normalizer.found(path[0])
            here = (name or path[0], *path[1:])
            if outcome == "freeze":
                raise SchemaError(
                    f"the {kind} value {value} is none of the column's type, and the contract freezes types",
                    table=self._spec.name,
                    column=".".join(here),
                    row=source.number(row),
                    hint="Correct it in the source, or let the contract evolve, discard or quarantine types.",
                )
            found.setdefault((here, kind), []).append(row)
        reason = "a {} value is none of the column's type"
        return [
            Rejection(outcome, "types", path, reason.format(kind), pa.array(sorted(set(rows)), pa.int64()))
            for (path, kind), rows in found.items()
        ]

    def _failing(
        self, made: Sequence[tuple[Part, Member, pa.RecordBatch]], source: NumberedBatch
    ) -> list[Rejection]:
        """Rows of the root that break a row rule."""
        root = next((rows for part, _, rows in made if not part.path), None)
        if root is None or not self._spec.rules:
            return []
        return self._rules.check(root, source.numbering(None))

    def _no_table(self, path: SourcePath, rows: pa.Array, source: NumberedBatch) -> Rejection:
        """Rows that need a table the contract does not let come to be."""
        outcome = self._spec.contract.outcome("tables")
        name = child_table_name(self._spec.name, path) if path else self._spec.name
        reason = f"there is no table {name}"
        if outcome == "freeze":
            raise SchemaError(
                f"{reason}, and the contract lets none be created",
                table=self._spec.name,
                column=".".join(path) or None,
                row=source.number(0),
                hint="Create it first, or set tables to evolve in the contract.",
            )
        return Rejection(outcome, "tables", path, reason, rows)

    def _unread(self, source: NumberedBatch) -> Iterator[tuple[Member, pa.RecordBatch]]:
        """Rows of the quarantine of what the reader could not read."""
        found = unread(source.batch)
        self.tally.add(found)
        aside = self._tables.quarantine()
        lines = source.batch.select([UNREAD])
        yield aside, aside.normalizer.apply(quarantine_rows(lines, found, source.numbering(None))).batch

    def _put_aside(
        self, source: NumberedBatch, rejections: Sequence[Rejection]
    ) -> Iterator[tuple[Member, pa.RecordBatch]]:
        """Count rejected rows, and give those that are kept as rows of the quarantine."""
        self.tally.add(rejections)
        kept = [found for found in rejections if found.outcome == "quarantine"]
        if not kept:
            return
        aside = self._tables.quarantine()
        names = self.root.normalizer.names_of(source.batch.schema)
        rows = quarantine_rows(
            source.batch, kept, source.numbering(None), names, given=source.given, values=source.excerpts
        )
        yield aside, aside.normalizer.apply(rows).batch


def _rows(rejections: Sequence[Rejection]) -> pa.Array:
    """Rows that leave, once each."""
    found = [found.rows for found in rejections if found.outcome != "discard_value"]
    return pc.unique(pa.concat_arrays(found)) if found else pa.array([], pa.int64())


def _of_source(found: Rejection, part: Part) -> Rejection:
    """The rejection by rows of the source instead of rows of the part."""
    if part.origin is None:
        return found
    return replace(found, path=(*part.path, *found.path), rows=pc.unique(part.origin.take(found.rows)))


def _rows_not_of(rows: pa.RecordBatch, part: Part, gone: pa.Array) -> pa.RecordBatch:
    origin = pa.arange(0, rows.num_rows) if part.origin is None else part.origin
    return plain(rows).filter(pc.invert(pc.is_in(origin, gone)))
