"""`Shape`: batches as their source nests them in, batches of one root table and its child tables out.

The first step of normalize: what policies ask of nested values is compiled once per incoming schema, then
applied to every batch. Names are still the source's, and types are the data's; the tables' own normalizers
come after it. A batch that needs nothing is passed on untouched.

Under the policy `tables`, root rows and rows of child tables are tied by columns of lakeload's own:

| column | in | holds |
|---|---|---|
| `_lakeload_row_id` | roots with child tables, child tables | root: primary key as text, or load and number |
| | | child: the parent's id, the way to the list, the position: `7/payload/commits/0` |
| `_lakeload_parent_id` | child tables | id of the row whose list this is an element of |
| `_lakeload_root_id` | child tables | id of the root row |
| `_lakeload_index` | child tables | position in the list, from 0 |

Ids depend on the primary key, names and positions alone, so loading a row again gives its child rows the
same ids; as long as primary keys are unique, so are ids within a table. A null element of a list is a row
of nulls. Null and empty lists both have no rows, and a null struct is columns of nulls: what told them
apart is not kept. A list of lists is a child table without columns of its own, and one below it named
`value`; so is the column of elements that are no structs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.naming import SYSTEM
from lakeload.model.nested_arrays import Elements, bare, elements, members
from lakeload.model.nesting import Nesting
from lakeload.model.table import INDEX, PARENT_ID, ROOT_ID, ROW_ID
from lakeload.normalize.outline import Column, Node, Outline, SourcePath, Spread, Unnest, outline
from lakeload.normalize.rebuild import Rebuild, first_refused, refused_as
from lakeload.normalize.row_ids import child_ids, root_ids

_MARK = {SYSTEM: b"1"}
_ROW_ID = pa.field(ROW_ID, pa.string(), nullable=False, metadata=_MARK)
_TIES = (
    _ROW_ID,
    pa.field(PARENT_ID, pa.string(), nullable=False, metadata=_MARK),
    pa.field(ROOT_ID, pa.string(), nullable=False, metadata=_MARK),
    pa.field(INDEX, pa.int64(), nullable=False, metadata=_MARK),
)


@dataclass(frozen=True, slots=True)
class RowIds:
    """What root rows without a primary key are called: `prefix-number`.

    Args:
        prefix: Different for every load, the same when a load is repeated.
        start: Number of the batch's first row in the load.
    """

    prefix: str
    start: int


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one batch that belong to one table.

    Args:
        path: The table: source names from the root's rows to the list whose elements are its rows; empty for
            the root.
        batch: Its rows, in order of the root rows.
        origin: Index of the root row each row comes from, int64; `None` for the root itself.
    """

    path: SourcePath
    batch: pa.RecordBatch
    origin: pa.Array | None


@dataclass(frozen=True, slots=True)
class Shape:
    """How batches of one incoming schema fall into tables.

    Args:
        schema: Incoming schema.
        table: Name of the root table, for `explain`.
        keys: Columns of the primary key, by source name; flattened ones as `parent__member`.
        root: What becomes of a row.
        identity: Whether batches pass through untouched.

    Example:
        >>> batch = pa.RecordBatch.from_pylist([{"id": 7, "at": {"x": 1}, "tags": ["a", None]}])
        >>> shape = Shape.compile(batch.schema, Nesting("tables"), ("id",), "events")
        >>> root, tags = shape.apply(batch, RowIds("load", 0))
        >>> root.batch.to_pylist()
        [{'id': 7, 'at__x': 1, '_lakeload_row_id': '7'}]
        >>> tags.path, tags.batch.column("value").to_pylist()
        (('tags',), ['a', None])
        >>> tags.batch.column("_lakeload_row_id").to_pylist()
        ['7/tags/0', '7/tags/1']
    """

    schema: pa.Schema
    table: str
    keys: tuple[str, ...]
    root: Outline
    identity: bool

    @classmethod
    def compile(cls, schema: pa.Schema, nesting: Nesting, keys: tuple[str, ...], table: str) -> Shape:
        """Decide what becomes of every nested value of a schema.

        Args:
            schema: Incoming schema, in the source's names.
            nesting: Policies.
            keys: Columns of the primary key, by source name; flattened ones as `parent__member`. Empty when
                there is none.
            table: Name of the root table.

        Raises:
            SchemaError: The types are nested too deeply to be looked at.
        """
        try:
            root = outline(schema, nesting)
        except RecursionError:
            raise SchemaError(
                "the columns are nested too deeply",
                table=table,
                hint=f"Set max_depth lower than {nesting.max_depth}: what lies deeper becomes JSON text.",
            ) from None
        same = all(
            len(nodes) == 1 and isinstance(nodes[0], Column) and nodes[0].step is None
            for node in root.nodes
            if isinstance(node, Spread)
            for _, nodes in node.members
        )
        return cls(schema, table, tuple(keys), root, same and len(root.fields) == len(schema))

    def apply(self, batch: pa.RecordBatch, ids: RowIds) -> list[Part]:
        """The batch as rows of each table, parents first, tables without rows included.

        Args:
            batch: Rows of the compiled schema.
            ids: What rows are called that have no primary key.

        Raises:
            SchemaError: A value cannot become what its policy asks for; with its column and row.
        """
        if self.identity:
            return [Part((), batch, None)]
        try:
            return list(self._parts(batch, ids))
        except SchemaError as error:
            error.table = error.table or self.table
            error.row = None if error.row is None else ids.start + error.row + 1
            raise

    def _parts(self, batch: pa.RecordBatch, ids: RowIds) -> Iterator[Part]:
        found = _Found((), None)
        for node in self.root.nodes:
            if isinstance(node, Spread):
                found.spread(node, batch.columns)
        if not self.root.children:
            yield Part((), self._batch(self.root, found, [], batch.num_rows), None)
            return
        columns = dict(zip((field.name for field in self.root.fields), found.columns, strict=True))
        columns.update(zip(batch.schema.names, batch.columns, strict=True))
        keys = [columns.get(key) for key in self.keys]
        remedy = "take other columns for the primary key"
        with refused_as(", ".join(self.keys), "the key cannot become an id", remedy):
            rows = root_ids(keys, ids.prefix, ids.start, batch.num_rows)
        yield Part((), self._batch(self.root, found, [(_ROW_ID, rows)], batch.num_rows), None)
        yield from self._children(found, rows, None)

    def _children(self, found: _Found, rows: pa.Array, root: _Root | None) -> Iterator[Part]:
        for table, lists in found.lists:
            those = elements(bare(lists))
            parents = rows.take(those.parents)
            if root is None:
                above = _Root(those.parents, parents)
            else:
                above = _Root(root.rows.take(those.parents), root.ids.take(those.parents))
            yield from self._child(table, those, parents, above)

    def _child(self, table: Outline, those: Elements, parents: pa.Array, root: _Root) -> Iterator[Part]:
        found = _Found(table.path, root.rows)
        found.take(table.nodes, those.values)
        ids = child_ids(parents, table.way, those.positions)
        system = list(zip(_TIES, (ids, parents, root.ids, those.positions), strict=True))
        yield Part(table.path, self._batch(table, found, system, len(ids)), root.rows)
        yield from self._children(found, ids, root)

    def _batch(
        self, table: Outline, found: _Found, system: list[tuple[pa.Field, pa.Array]], rows: int
    ) -> pa.RecordBatch:
        fields = [
            field if field.type == array.type else field.with_type(array.type)
            for field, array in zip(table.fields, found.columns, strict=True)
        ]
        arrays = [*found.columns, *(array for _, array in system)]
        schema = pa.schema([*fields, *(field for field, _ in system)], metadata=self.schema.metadata)
        if not arrays:  # a batch without columns would forget how many rows it has
            empty = pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
            return empty.replace_schema_metadata(self.schema.metadata)
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def explain(self) -> str:
        """The tables and their columns, with where they come from, as text.

        Example:
            >>> schema = pa.schema([("id", pa.int64()), ("a", pa.struct([("b", pa.list_(pa.int8()))]))])
            >>> print(Shape.compile(schema, Nesting("tables"), ("id",), "t").explain())
            t: id from id
              id: as it is
              _lakeload_row_id
            t__a__b: a row per element of a.b
              value: as it is
              _lakeload_row_id, _lakeload_parent_id, _lakeload_root_id, _lakeload_index
        """
        return "\n".join(line for table in self.root.below() for line in self._explained(table))

    def _explained(self, table: Outline) -> Iterator[str]:
        name = "__".join((self.table, *table.path))
        if table.path:
            yield f"{name}: a row per element of {'.'.join(table.path)}"
        else:
            ids = f"id from {', '.join(self.keys)}" if self.keys else "id from load and row number"
            yield f"{name}: {ids}" if table.children else f"{name}: a row per row"
        yield from (f"  {line}" for line in table.explained())
        ties = _TIES if table.path else _TIES[:1] if table.children else ()
        if ties:
            yield "  " + ", ".join(field.name for field in ties)


@dataclass(frozen=True, slots=True)
class _Root:
    """The root rows of the rows of a child table: their index in the batch, and their ids."""

    rows: pa.Array
    ids: pa.Array


class _Found:
    """Columns and lists of one table, collected in the order of its outline.

    Args:
        path: The table.
        origin: Index of the root row of each row; `None` for the root.
    """

    def __init__(self, path: SourcePath, origin: pa.Array | None) -> None:
        self._path, self._origin = path, origin
        self.columns: list[pa.Array] = []
        self.lists: list[tuple[Outline, pa.Array]] = []

    def take(self, nodes: tuple[Node, ...], array: pa.Array) -> None:
        for node in nodes:
            if isinstance(node, Column):
                self.columns.append(array if node.step is None else self._remade(node, node.step, array))
            elif isinstance(node, Unnest):
                self.lists.append((node.table, array))
            else:
                self.spread(node, members(bare(array)))

    def spread(self, node: Spread, parts: list[pa.Array]) -> None:
        for i, nodes in node.members:
            self.take(nodes, parts[i])

    def _remade(self, column: Column, step: Rebuild, array: pa.Array) -> pa.Array:
        try:
            path = ".".join((*self._path, *column.path))
            with refused_as(path, f"a value cannot become {step}", "choose the policy native for it"):
                return step(array)
        except SchemaError as error:
            row = first_refused(step, array)
            error.row = row if row is None or self._origin is None else self._origin[row].as_py()
            raise
