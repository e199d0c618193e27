"""What becomes of every nested value of one incoming schema: the tables, their columns, and the way to them.

The first half of compiling a `Shape`: decides on types and policies without looking at a value. A policy
holds at its path and below until a longer path says otherwise. Elements of lists and values of maps have
the path of the list or map. What lies inside a list or map that stays one cannot become columns or tables,
because there is no row for it to belong to; policies asking for that have no effect there.

Levels are counted along the values: columns are level 1, and each member, element or map value is one
further. A nested value on level `max_depth` or beyond becomes JSON text.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import pyarrow as pa

from lakeload.model.naming import PATH
from lakeload.model.nesting import Nesting, Policy
from lakeload.model.types import is_list
from lakeload.normalize.rebuild import AsMap, AsText, Each, Members, Rebuild, Values
from lakeload.normalize.type_parts import unwrap

SourcePath: TypeAlias = tuple[str, ...]

VALUE = "value"
"""Column of a child table whose elements are no structs."""


@dataclass(frozen=True, slots=True)
class Column:
    """A value that is a column of its table.

    Args:
        path: Names from the table's rows down.
        field: Incoming field, for its metadata.
        step: What is done to it; `None` when it stays as it is.
    """

    path: SourcePath
    field: pa.Field
    step: Rebuild | None


@dataclass(frozen=True, slots=True)
class Spread:
    """A struct whose members go different ways.

    Args:
        members: Position of a member, and what becomes of it; members not named are left out.
    """

    members: tuple[tuple[int, tuple[Node, ...]], ...]


@dataclass(frozen=True, slots=True)
class Unnest:
    """A list whose elements are the rows of a child table."""

    table: Outline


Node: TypeAlias = Column | Spread | Unnest


@dataclass(frozen=True, slots=True)
class Outline:
    """One table: how its columns and children come out of its rows.

    Args:
        path: Names from the root down; a list in a list counts as `value`.
        way: The last of these names: those from the parent table's rows to the list.
        nodes: What becomes of a row.
        fields: The columns, in order; types are those of the data.
        children: Child tables, in order.
    """

    path: SourcePath
    way: SourcePath
    nodes: tuple[Node, ...]
    fields: tuple[pa.Field, ...]
    children: tuple[Outline, ...]

    @classmethod
    def of(cls, path: SourcePath, way: SourcePath, nodes: tuple[Node, ...]) -> Outline:
        """The table of these nodes, its columns named."""
        found = list(_walk(nodes))
        columns = [node for node in found if isinstance(node, Column)]
        children = tuple(node.table for node in found if isinstance(node, Unnest))
        return cls(path, way, nodes, _named(columns), children)

    def below(self) -> Iterator[Outline]:
        """This table and all tables below it, parents first."""
        yield self
        for child in self.children:
            yield from child.below()

    def explained(self) -> Iterator[str]:
        """A line per column: its name, where it comes from if not from there, what is done to it."""
        columns = (node for node in _walk(self.nodes) if isinstance(node, Column))
        for column, field in zip(columns, self.fields, strict=True):
            source = "" if len(column.path) == 1 else f"from {'.'.join(column.path)}, "
            yield f"{field.name}: {source}{column.step or 'as it is'}"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value is.

    Args:
        path: Names from the root down, as policies have them.
        table: Path of the table it is in.
        column: Names from the table's rows down; empty for an element that is the row.
        field: Incoming field.
        level: Level of nesting, columns being 1.
    """

    path: SourcePath
    table: SourcePath
    column: SourcePath
    field: pa.Field
    level: int

    def member(self, field: pa.Field) -> _Place:
        path, column = (*self.path, field.name), (*self.column, field.name)
        return _Place(path, self.table, column, field, self.level + 1)

    def inner(self, field: pa.Field) -> _Place:
        return replace(self, field=field, level=self.level + 1)


def outline(schema: pa.Schema, nesting: Nesting) -> Outline:
    """The root table of a schema, with everything below it.

    Args:
        schema: Incoming schema, in the source's names.
        nesting: Policies.
    """
    root = _Place((), (), (), pa.field("", pa.struct([])), 0)
    return Outline.of((), (), (_Compiler(nesting).spread(list(schema), root),))


@dataclass(frozen=True, slots=True)
class _Compiler:
    nesting: Nesting

    def spread(self, fields: list[pa.Field], place: _Place) -> Spread:
        found = ((i, self.nodes(place.member(field))) for i, field in enumerate(fields))
        return Spread(tuple((i, nodes) for i, nodes in found if nodes))

    def nodes(self, place: _Place) -> tuple[Node, ...]:
        """What becomes of a value whose parents are all rows and structs."""
        stays, step, apart = self._split(place)
        if not stays:
            return apart
        return (Column(place.column or (VALUE,), place.field, step), *apart)

    def _split(self, place: _Place) -> tuple[bool, Rebuild | None, tuple[Node, ...]]:
        """Whether a value stays one, the step it needs for that, and what else comes out of it."""
        kind = unwrap(place.field.type)
        policy = self._policy(kind, place)
        if pa.types.is_struct(kind) and policy in {"tables", "flatten"}:
            return False, None, (self.spread(_fields(kind), place),)
        if is_list(kind) and policy == "tables":
            return False, None, (self._unnest(kind, place),)
        if pa.types.is_struct(kind) and policy == "native":
            return self._native(kind, place)
        return True, self._inside(place), ()

    def _native(self, kind: pa.DataType, place: _Place) -> tuple[bool, Rebuild | None, tuple[Node, ...]]:
        """A struct that stays, but for what its members' policies take out of it."""
        fields = _fields(kind)
        found = [self._split(place.member(field)) for field in fields]
        kept = tuple((i, fields[i].name, step) for i, (stays, step, _) in enumerate(found) if stays)
        taken = tuple((i, apart) for i, (_, _, apart) in enumerate(found) if apart)
        apart = (Spread(taken),) if taken else ()
        if not kept and taken:
            return False, None, apart
        same = len(kept) == len(fields) and all(step is None for _, _, step in kept)
        return True, None if same else Members(kept), apart

    def _unnest(self, kind: pa.DataType, place: _Place) -> Unnest:
        way = place.column or (VALUE,)
        table = (*place.table, *way)
        element = replace(place.inner(kind.value_field), table=table, column=())
        return Unnest(Outline.of(table, way, self.nodes(element)))

    def _inside(self, place: _Place) -> Rebuild | None:
        """The step of a value that stays one, whatever it holds."""
        kind = unwrap(place.field.type)
        policy = self._policy(kind, place)
        if policy == "json":
            return AsText()
        if pa.types.is_struct(kind):
            fields = _fields(kind)
            steps = tuple(self._inside(place.member(field)) for field in fields)
            if policy == "map" and fields:
                return AsMap(steps)
            if all(step is None for step in steps):
                return None
            return Members(tuple((i, field.name, steps[i]) for i, field in enumerate(fields)))
        if is_list(kind):
            step = self._inside(place.inner(kind.value_field))
            return None if step is None else Each(step)
        if pa.types.is_map(kind):
            step = self._inside(place.inner(kind.item_field))
            return None if step is None else Values(step)
        return None

    def _policy(self, kind: pa.DataType, place: _Place) -> Policy:
        """The policy that applies in the end; `native` for values that are not nested."""
        if not (pa.types.is_struct(kind) or is_list(kind) or pa.types.is_map(kind)):
            return "native"
        policy = self.nesting.policy(place.path)
        if policy == "json" or place.level >= self.nesting.max_depth:
            return "json"
        many = pa.types.is_struct(kind) and kind.num_fields > self.nesting.map_keys
        return "map" if many else policy


def _fields(kind: pa.DataType) -> list[pa.Field]:
    return [kind.field(i) for i in range(kind.num_fields)]


def _walk(nodes: tuple[Node, ...]) -> Iterator[Column | Unnest]:
    for node in nodes:
        if isinstance(node, Spread):
            for _, inner in node.members:
                yield from _walk(inner)
        else:
            yield node


def _named(columns: list[Column]) -> tuple[pa.Field, ...]:
    """Fields of a table's columns, the names of flattened ones joined by `__`.

    Where that is another column's name too, a flattened one has its path as JSON for a name, so that the
    names of a batch stay different from each other.
    """
    joined = Counter("__".join(column.path) for column in columns)
    fields = []
    for column in columns:
        name, field = "__".join(column.path), column.field
        if len(column.path) > 1:
            path = json.dumps(column.path, ensure_ascii=False)
            name = path if joined[name] > 1 else name
            metadata = {**(field.metadata or {}), PATH: path.encode()}
            field = field.with_metadata(metadata).with_nullable(True)
        fields.append(field.with_name(name))
    return tuple(fields)
