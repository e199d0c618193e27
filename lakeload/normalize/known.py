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
from lakeload.normalize.outline import VALUE, SourcePath


def known_columns(tables: Mapping[SourcePath, pa.Schema]) -> pa.Schema:
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
        if scalar and (kind := _source_type(fields[0].type)) is not None:
            node[""] = kind
        for field in fields if not scalar else ():
            kind, text = _source_type(field.type), source_of(field)
            if text == "" or kind is None:
                continue  # nobody knows what it is called in the source, so the data has to say
            parts = source_parts(text) if text else (field.name,)
            _descend(node, parts[:-1])[parts[-1]] = kind
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


def _fields(tree: _Tree, path: SourcePath, lists: set[SourcePath]) -> Iterable[pa.Field]:
    for name, below in tree.items():
        if not isinstance(below, dict):
            yield pa.field(name, below)
            continue
        here = (*path, name)
        scalar = below.get("")
        inner = scalar if isinstance(scalar, pa.DataType) else pa.struct(list(_fields(below, here, lists)))
        yield pa.field(name, pa.list_(pa.field("element", inner)) if here in lists else inner)


def _source_type(kind: pa.DataType) -> pa.DataType | None:
    """The type with members under their names in the source, without ids; `None` if none is known."""
    inner = children(kind)
    if not inner:
        return kind
    fields = []
    for field in inner:
        below, text = _source_type(field.type), source_of(field)
        if below is not None and text != "":
            fields.append(pa.field(source_parts(text)[-1] if text else field.name, below))
    whole = len(fields) == len(inner) or (pa.types.is_struct(kind) and fields)
    return with_children(kind, fields) if whole else None
