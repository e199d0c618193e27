"""`Family`: everything one resource loads into: its own table, its child tables, its quarantine.

The normalize stage of extract → normalize → write → commit, as the task sees it: raw batches in, batches of
finished tables out. A batch is taken apart by the nesting policy (`shape`), each part gets the names and
types of its table (`normalizer`), and rows a contract or a rule does not let in leave all tables together: a
row of the source is in the lake as a whole or not at all.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SchemaError
from lakeload.model.contract import Contract
from lakeload.model.layout import Layout
from lakeload.model.mode import Append
from lakeload.model.nesting import Nesting
from lakeload.model.rejection import SOURCE_ROW, Rejection
from lakeload.model.table import PARENT_PROPERTY, PATH_PROPERTY, QUARANTINE, TableSpec, TableState
from lakeload.normalize.known import known_columns
from lakeload.normalize.naming import child_table_name
from lakeload.normalize.normalizer import Normalizer
from lakeload.normalize.payload import plain
from lakeload.normalize.quarantine import QUARANTINE_SCHEMA, quarantine_rows
from lakeload.normalize.rules import RuleCount, Rules, without_values
from lakeload.normalize.shape import Part, RowIds, Shape
from lakeload.normalize.tally import Tally

Path: TypeAlias = tuple[str, ...]

_SHAPES_KEPT = 32
_ASIDE: Path = (QUARANTINE,)
"""Key of the quarantine among the members; no path of a child begins so, because names are not empty."""


@dataclass(frozen=True, slots=True)
class Member:
    """One table of a family.

    Args:
        path: Where its rows are in the source's rows, as source names; `()` is the resource's own table.
        spec: What the table shall be.
        state: The table as it is; `None` when it does not exist.
        normalizer: Gives batches the table's names and types.
        properties: Set on the table when this load creates it.
    """

    path: Path
    spec: TableSpec
    state: TableState | None
    normalizer: Normalizer
    properties: Mapping[str, str]


class Family:
    """The tables one resource loads into, for one load. For one thread.

    Args:
        spec: What the resource wants its table to be; its name is the table's.
        formats: Formats the tables are published in.
        state: Finds a table by its name; `None` when there is none.
        children: Names of the child tables that exist.
        load_id: Load id.
        loaded_at: Time of the load, UTC.

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
    ) -> None:
        self.tally = Tally()
        self._spec, self._formats, self._state = spec, tuple(formats), state
        self._load_id, self._loaded_at = load_id, loaded_at
        self._rules = Rules(spec.rules, spec.name, may_come=spec.contract.outcome("columns") == "evolve")
        self._shapes: dict[bytes, Shape] = {}
        self._members: dict[Path, Member] = {}
        self._rows = 0
        self._ids = sha256(load_id.encode()).hexdigest()[:12]
        self.root = self._join((), spec, state(spec.name), {})
        for name in children:
            there = state(name)
            if there is not None:
                self._join_child(tuple(json.loads(there.properties[PATH_PROPERTY])), name, there)

    @property
    def members(self) -> tuple[Member, ...]:
        """The tables this load knows, in the order to publish them: what is put aside, children, the root."""
        return tuple(sorted(self._members.values(), key=lambda m: (m.path != _ASIDE, -len(m.path))))

    @property
    def rule_counts(self) -> dict[str, RuleCount]:
        """Rows checked and failed, by rule."""
        return dict(self._rules.counts)

    def known(self) -> pa.Schema | None:
        """The columns of the tables put back together, in the source's names; `None` without tables.

        Tables made elsewhere do not tell what their columns are called in the source.
        """
        ours = (m for m in self.members if m.state and m.state.owned and m.path != _ASIDE)
        there = {m.path: m.state.schema for m in ours if m.state}
        return known_columns(there) if there else None

    def take(self, batch: pa.RecordBatch) -> Iterator[tuple[Member, pa.RecordBatch]]:
        """The rows that get in, by table; the others are counted and put aside.

        Raises:
            SchemaError: The data asks for a change that the contract or the formats refuse.
            SourceError: The batch is malformed.
        """
        source = _Source.of(batch, self._rows)
        ids = RowIds(self._ids, self._rows)
        self._rows += batch.num_rows
        if self.root.state is None and self._spec.contract.outcome("tables") != "evolve":
            yield from self._put_aside(source, [self._no_table((), source.all_rows(), source)])
            return
        while True:
            parts = self._shape(source.batch.schema).apply(source.batch, ids)
            made, rejections = self._apply(parts, source)
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

    def _shape(self, schema: pa.Schema) -> Shape:
        key = schema.serialize().to_pybytes()  # equality of schemas leaves metadata out
        found = self._shapes.get(key)
        if found is None:
            if len(self._shapes) >= _SHAPES_KEPT:
                self._shapes.pop(next(iter(self._shapes)))
            found = Shape.compile(schema, self._spec.nesting, self._spec.primary_key, self._spec.name)
            if found.root.children and self._spec.primary_key:
                found = replace(found, keys=self._keys(found))
            self._shapes[key] = found
        return found

    def _keys(self, shape: Shape) -> Path:
        """The primary key in the source's names, where the user spells it as the table does."""
        nothing = pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in shape.schema], schema=shape.schema)
        (root, *_) = shape.apply(nothing, RowIds("", 0))
        names = self.root.normalizer.names_of(root.batch.schema)
        sources = {name: source for source, name in names.items()}
        return tuple(key if key in names else sources.get(key, key) for key in shape.keys)

    def _apply(
        self, parts: Sequence[Part], source: _Source
    ) -> tuple[list[tuple[Part, Member, pa.RecordBatch]], list[Rejection]]:
        """Each part in its table's columns, and what does not fit, by rows of the source."""
        made, rejections, lost = [], list[Rejection](), list[Path]()
        for part in parts:
            if part.path not in self._members and not part.batch.num_rows:
                continue  # no table until an element shows
            if any(part.path[: len(path)] == path for path in lost):
                continue  # what is below a table that does not come to be goes with it
            refusal = None if part.path in self._members else self._new_child(part, source)
            if refusal is not None:
                rejections.append(refusal)
                lost.append(part.path)
                continue
            member = self._members[part.path]
            shaped = member.normalizer.apply(part.batch, source.numbering(part.origin))
            rejections += [_of_source(found, part) for found in shaped.rejections]
            made.append((part, member, shaped.batch))
        return made, rejections

    def _failing(
        self, made: Sequence[tuple[Part, Member, pa.RecordBatch]], source: _Source
    ) -> list[Rejection]:
        """Rows of the root that break a row rule."""
        root = next((rows for part, _, rows in made if not part.path), None)
        if root is None or not self._spec.rules:
            return []
        return self._rules.check(root, source.numbering(None))

    def _new_child(self, part: Part, source: _Source) -> Rejection | None:
        """Let a child table into the family, or say which rows asked for it in vain."""
        name, state = self._child_name(part.path)
        if state is not None and state.properties.get(PARENT_PROPERTY) != self._spec.name:
            raise SchemaError(
                f"the list would become the table {name}, which is something else",
                table=self._spec.name,
                column=".".join(part.path),
                hint="Rename the resource's table, or keep the list in its row with nesting.",
            )
        if state is None and self._spec.contract.outcome("tables") != "evolve":
            return self._no_table(part.path, pc.unique(part.origin), source)
        self._join_child(part.path, name, state)
        return None

    def _child_name(self, path: Path) -> tuple[str, TableState | None]:
        """Name of the child table at a path, and the table; two paths that fall into one get a tail."""
        name = child_table_name(self._spec.name, path)
        state = self._state(name)
        told = state.properties.get(PATH_PROPERTY) if state else None
        if any(m.spec.name == name for m in self.members) or (told and json.loads(told) != list(path)):
            name = f"{name}_{sha256(json.dumps(path).encode()).hexdigest()[:8]}"
            state = self._state(name)
        return name, state

    def _no_table(self, path: Path, rows: pa.Array, source: _Source) -> Rejection:
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

    def _join_child(self, path: Path, name: str, state: TableState | None) -> None:
        spec = replace(
            self._spec, name=name, schema=None, primary_key=(), layout=Layout(), cursor=None, rules=()
        )
        self._join(
            path, spec, state, {PARENT_PROPERTY: self._spec.name, PATH_PROPERTY: json.dumps(list(path))}
        )

    def _join(
        self, path: Path, spec: TableSpec, state: TableState | None, properties: Mapping[str, str]
    ) -> Member:
        normalizer = Normalizer(
            spec,
            formats=self._formats,
            state=state,
            load_id=self._load_id,
            loaded_at=self._loaded_at,
            contract=spec.contract,
            detect=spec.detect_dates,
        )
        member = Member(path, spec, state, normalizer, {**spec.properties, **properties})
        self._members[path] = member
        return member

    def _put_aside(
        self, source: _Source, rejections: Sequence[Rejection]
    ) -> Iterator[tuple[Member, pa.RecordBatch]]:
        """Count rejected rows, and give those that are kept as rows of the quarantine."""
        self.tally.add(rejections)
        kept = [found for found in rejections if found.outcome == "quarantine"]
        if not kept:
            return
        if _ASIDE not in self._members:
            name = f"{self._spec.name}{QUARANTINE}"
            plain = TableSpec(
                name,
                schema=QUARANTINE_SCHEMA,
                mode=Append(),
                nesting=Nesting(),
                contract=Contract(),
                detect_dates=False,
                fold=self._spec.fold,
                encoding=self._spec.encoding,
            )
            self._join(_ASIDE, plain, self._state(name), {PARENT_PROPERTY: self._spec.name})
        aside = self._members[_ASIDE]
        names = self.root.normalizer.names_of(source.batch.schema)
        rows = quarantine_rows(source.batch, kept, source.numbering(None), names)
        yield aside, aside.normalizer.apply(rows).batch


@dataclass(frozen=True, slots=True)
class _Source:
    """A batch as the source delivered it, with the number of each row in the load.

    Args:
        batch: The rows.
        before: Rows of the load before it.
        numbers: Number of each row, from 1, where they do not follow one another.
    """

    batch: pa.RecordBatch
    before: int
    numbers: pa.Array | None

    @classmethod
    def of(cls, batch: pa.RecordBatch, before: int) -> _Source:
        if SOURCE_ROW not in batch.schema.names:
            return cls(batch, before, None)
        return cls(batch.drop_columns([SOURCE_ROW]), before, batch.column(SOURCE_ROW))

    def number(self, index: int) -> int:
        return self.before + index + 1 if self.numbers is None else int(self.numbers[index].as_py())

    def numbering(self, origin: pa.Array | None) -> Callable[[int], int]:
        """From the index of a row in a part to the number of the row of the source it came from."""
        if origin is None:
            return self.number
        return lambda index: self.number(int(origin[index].as_py()))

    def all_rows(self) -> pa.Array:
        return pa.array(range(self.batch.num_rows), pa.int64())

    def without(self, rows: pa.Array) -> _Source:
        everything = self.all_rows()
        kept = everything.filter(pc.invert(pc.is_in(everything, rows)))
        numbers = pc.add(everything, self.before + 1) if self.numbers is None else self.numbers
        return _Source(plain(self.batch).take(kept), self.before, numbers.take(kept))


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
    origin = pa.array(range(rows.num_rows), pa.int64()) if part.origin is None else part.origin
    return plain(rows).filter(pc.invert(pc.is_in(origin, gone)))
