"""The columns of a source, put back together from the tables its rows went to.

The other way round of shaping: tables remember the names their columns had in the source, and child tables
where in the rows their list was. A decoder that begins with this infers nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from lakeload.model.naming import source_of, source_parts
from lakeload.model.schema import children, with_children
from lakeload.model.table import SYSTEM_COLUMNS

Path = tuple[str, ...]

VALUE = "value"
"""Column of a child table that holds the elements of a list of scalars."""


def known_columns(tables: Mapping[Path, pa.Schema]) -> pa.Schema:
    """The rows of the source, as far as their tables tell.

    Args:
        tables: Schemas with source names in the metadata, by where in the rows they belong; `()` is the
            resource's own table.

    Example:
        >>> child = pa.schema([("_lakeload_row_id", pa.string()), ("sha", pa.string())])
        >>> root = pa.schema([("id", pa.int64())])
        >>> print(known_columns({(): root, ("commits",): child}).field("commits").type)
        list<element: struct<sha: string>>
    """
    tree: _Tree = {}
    for path in sorted(tables, key=len):
        fields = [field for field in tables[path] if field.name not in SYSTEM_COLUMNS]
        scalar = [field.name for field in fields] == [VALUE] and path
        node = _descend(tree, path)
        if scalar:
            node[""] = _source_type(fields[0].type)
        for field in fields if not scalar else ():
            parts = source_parts(text) if (text := source_of(field)) else (field.name,)
            _descend(node, parts[:-1])[parts[-1]] = _source_type(field.type)
    lists = {path for path in tables if path}
    return pa.schema(list(_fields(tree, (), lists)))


_Tree = dict[str, "pa.DataType | _Tree"]


def _descend(tree: _Tree, path: Iterable[str]) -> _Tree:
    for name in path:
        below = tree.setdefault(name, {})
        if not isinstance(below, dict):  # a scalar in some rows, an object in others: the object is told
            below = tree[name] = {}
        tree = below
    return tree


def _fields(tree: _Tree, path: Path, lists: set[Path]) -> Iterable[pa.Field]:
    for name, below in tree.items():
        if not isinstance(below, dict):
            yield pa.field(name, below)
            continue
        here = (*path, name)
        scalar = below.get("")
        inner = scalar if isinstance(scalar, pa.DataType) else pa.struct(list(_fields(below, here, lists)))
        yield pa.field(name, pa.list_(pa.field("element", inner)) if here in lists else inner)


def _source_type(kind: pa.DataType) -> pa.DataType:
    """The type with members under their names in the source, without ids."""
    inner = children(kind)
    if not inner:
        return kind
    fields = []
    for field in inner:
        parts = source_parts(text) if (text := source_of(field)) else (field.name,)
        fields.append(pa.field(parts[-1], _source_type(field.type)))
    return with_children(kind, fields)
