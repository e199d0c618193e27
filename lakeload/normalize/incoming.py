"""What an incoming column would be as a table column, and how much of that a contract permits.

The first half of compiling a plan: decides types without looking at a single value. Names are final
before this, so that members are matched by name alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.naming import only_source
from lakeload.model.schema import children, with_children
from lakeload.model.types import is_list, storage_type
from lakeload.normalize.type_parts import fields_by_name, inner_types, kind_of, unwrap

Path = tuple[str, ...]


def incoming_type(
    raw: pa.DataType, hint: pa.DataType | None, formats: Sequence[str], path: Path
) -> pa.DataType | None:
    """The storage type of incoming data.

    Args:
        raw: Type the source delivers, its members named as in the table.
        hint: Storage type the user asks for; wins where it says something.
        formats: Formats the table is published in.
        path: Where this is in the table, for messages.

    Returns:
        `None` when there is nothing to store yet.

    Raises:
        SchemaError: A type cannot be stored.

    Example:
        >>> incoming_type(pa.struct([("id", pa.uint8())]), None, ("delta",), ("a",))
        StructType(struct<id: int32>)
    """
    raw = unwrap(raw)
    if pa.types.is_null(raw) or (hint is not None and not children(hint)):
        return hint
    try:
        if pa.types.is_struct(raw):
            return _struct(raw, hint, formats, path)
        if is_list(raw) or pa.types.is_map(raw):
            return _container(raw, hint, formats, path)
        return hint if hint is not None else storage_type(raw, formats)
    except SchemaError as error:
        error.column = error.column or ".".join(path)
        raise


def _struct(
    raw: pa.DataType, hint: pa.DataType | None, formats: Sequence[str], path: Path
) -> pa.DataType | None:
    hinted = fields_by_name(hint)
    if hint is not None and not hinted:
        return hint
    found: list[pa.Field] = []
    for field in (raw.field(i) for i in range(raw.num_fields)):
        asked = hinted.pop(field.name, None)
        kind = incoming_type(field.type, None if asked is None else asked.type, formats, (*path, field.name))
        if kind is not None:
            found.append(pa.field(field.name, kind, metadata=only_source(field)))
    found.extend(hinted.values())
    return pa.struct(found) if found else None


def _container(
    raw: pa.DataType, hint: pa.DataType | None, formats: Sequence[str], path: Path
) -> pa.DataType | None:
    if hint is not None and pa.types.is_map(hint) != pa.types.is_map(raw):
        return hint
    hints = children(hint) if hint is not None else []
    inner: list[pa.DataType] = []
    for i, (name, kind) in enumerate(inner_types(raw)):
        stored = incoming_type(kind, hints[i].type if i < len(hints) else None, formats, (*path, name))
        if stored is None:
            return None
        inner.append(stored)
    if pa.types.is_map(raw):
        return pa.map_(pa.field("key", inner[0], nullable=False), pa.field("value", inner[1]))
    return pa.list_(pa.field("element", inner[0]))


@dataclass(frozen=True, slots=True)
class Permission:
    """Which changes a contract leaves to the data.

    Args:
        columns: Columns and members may be added.
        types: Types may change.
    """

    columns: bool
    types: bool

    def fields(self, known: Iterable[pa.Field], incoming: Iterable[pa.Field]) -> list[pa.Field]:
        """The incoming fields without what would need a change that is not permitted.

        Example:
            >>> frozen = Permission(columns=False, types=False)
            >>> incoming = [pa.field("a", pa.string()), pa.field("b", pa.int8())]
            >>> frozen.fields([pa.field("a", pa.int32())], incoming)
            [pyarrow.Field<a: int32>]
        """
        there = {field.name: field.type for field in known}
        found = []
        for field in incoming:
            if field.name in there:
                found.append(field.with_type(self._type(there[field.name], field.type)))
            elif self.columns:
                found.append(field)
        return found

    def _type(self, known: pa.DataType, incoming: pa.DataType) -> pa.DataType:
        inner, others = children(known), children(incoming)
        if inner and others and kind_of(known) == kind_of(incoming):
            return with_children(incoming, self.fields(inner, others) or inner)
        return incoming if self.types else known
