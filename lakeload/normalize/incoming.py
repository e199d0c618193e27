"""What an incoming column would be as a table column: its names, hints and storage type, at every depth.

The first half of compiling a plan: decides types without looking at a single value.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.schema import children
from lakeload.model.types import is_list, is_uuid, storage_type
from lakeload.normalize.naming import match_names

Path = tuple[str, ...]


def incoming_type(
    raw: pa.DataType, known: pa.DataType | None, hint: pa.DataType | None, formats: Sequence[str], path: Path
) -> pa.DataType | None:
    """The storage type of incoming data, its struct members named as in the table.

    Args:
        raw: Type the source delivers.
        known: Type of the table's column, if there is one; its member names win.
        hint: Storage type the user asks for; wins where it says something.
        formats: Formats the table is published in.
        path: Where this is in the table, for messages.

    Returns:
        `None` when there is nothing to store yet.

    Raises:
        SchemaError: A type cannot be stored, or member names collide.

    Example:
        >>> incoming_type(pa.struct([("userId", pa.uint8())]), None, None, ("delta",), ("a",))
        StructType(struct<user_id: int32>)
    """
    raw = unwrap(raw)
    if pa.types.is_null(raw) or (hint is not None and not children(hint)):
        return hint
    try:
        if pa.types.is_struct(raw):
            return _struct(raw, known, hint, formats, path)
        if is_list(raw) or pa.types.is_map(raw):
            return _container(raw, known, hint, formats, path)
        return hint if hint is not None else storage_type(raw, formats)
    except SchemaError as error:
        error.column = error.column or ".".join(path)
        raise


def unwrap(kind: pa.DataType) -> pa.DataType:
    """The type of the values behind dictionaries, run ends and extensions other than UUIDs."""
    while True:
        if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
            kind = kind.value_type
        elif isinstance(kind, pa.BaseExtensionType) and not is_uuid(kind):
            kind = kind.storage_type
        else:
            return kind


def members(kind: pa.DataType | None) -> dict[str, pa.Field]:
    """Members of a struct by name; none for any other type."""
    if kind is None or not pa.types.is_struct(kind):
        return {}
    return {kind.field(i).name: kind.field(i) for i in range(kind.num_fields)}


def _struct(
    raw: pa.DataType, known: pa.DataType | None, hint: pa.DataType | None, formats: Sequence[str], path: Path
) -> pa.DataType | None:
    there, hinted = members(known), members(hint)
    if hint is not None and not hinted:
        return hint
    fields = [raw.field(i) for i in range(raw.num_fields)]
    names = match_names([field.name for field in fields], [*there, *hinted.keys() - there.keys()], top=False)
    found: list[pa.Field] = []
    for field in fields:
        name = names[field.name]
        kind = incoming_type(
            field.type, _type(there.get(name)), _type(hinted.pop(name, None)), formats, (*path, name)
        )
        if kind is not None:
            found.append(pa.field(name, kind))
    found.extend(hinted.values())
    return pa.struct(found) if found else None


def _container(
    raw: pa.DataType, known: pa.DataType | None, hint: pa.DataType | None, formats: Sequence[str], path: Path
) -> pa.DataType | None:
    if hint is not None and pa.types.is_map(hint) != pa.types.is_map(raw):
        return hint
    inner: list[pa.DataType] = []
    raws = [raw.key_type, raw.item_type] if pa.types.is_map(raw) else [raw.value_type]
    same = known is not None and pa.types.is_map(known) == pa.types.is_map(raw)
    knowns = children(known) if known is not None and same else []
    hints = children(hint) if hint is not None else []
    for i, name in enumerate(("key", "value") if pa.types.is_map(raw) else ("element",)):
        there = knowns[i].type if i < len(knowns) else None
        hinted = hints[i].type if i < len(hints) else None
        kind = incoming_type(raws[i], there, hinted, formats, (*path, name))
        if kind is None:
            return None
        inner.append(kind)
    if pa.types.is_map(raw):
        return pa.map_(pa.field("key", inner[0], nullable=False), pa.field("value", inner[1]))
    return pa.list_(pa.field("element", inner[0]))


def _type(field: pa.Field | None) -> pa.DataType | None:
    return None if field is None else field.type
