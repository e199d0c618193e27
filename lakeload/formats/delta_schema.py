"""Delta's schema JSON to Arrow and back.

Part of commit: a Delta table keeps its columns as JSON in the log (`metaData.schemaString`, Delta
protocol, section "Schema Serialization Format"). Field ids, which Delta itself does not need, travel in
the metadata of each struct field: `lakeload.field-id` for the field, `lakeload.nested-ids` for the list
elements, map keys and map values below it, which have no metadata of their own. So does what the source
calls a column or member, `lakeload.source`, where that is not its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from lakeload.errors import SchemaError, TableError
from lakeload.model.naming import SOURCE, source_of
from lakeload.model.schema import FIELD_ID, children, field_id

FIELD_ID_KEY = "lakeload.field-id"
NESTED_IDS_KEY = "lakeload.nested-ids"
SOURCE_KEY = SOURCE.decode()

_TO_ARROW: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "long": pa.int64(),
    "integer": pa.int32(),
    "short": pa.int16(),
    "byte": pa.int8(),
    "float": pa.float32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
}
_TO_DELTA = {
    **{kind: name for name, kind in _TO_ARROW.items()},
    pa.large_string(): "string",
    pa.string_view(): "string",
    pa.large_binary(): "binary",
    pa.binary_view(): "binary",
}
_DECIMAL = re.compile(r"^decimal\(\s*(\d+)\s*,\s*(-?\d+)\s*\)$")
_FORBIDDEN = frozenset(" ,;{}()\n\t=")

Json = dict[str, Any]


def to_arrow(fields: Iterable[Json], *, table: str) -> pa.Schema:
    """Arrow schema of Delta struct fields, with the field ids that are recorded in them.

    Raises:
        TableError: A column has a type that cannot be honoured (variant, void, intervals, …).
    """
    return pa.schema([_arrow_field(field, (), table) for field in fields])


def _arrow_field(field: Json, above: tuple[str, ...], table: str) -> pa.Field:
    path = (*above, field["name"])
    metadata = field.get("metadata") or {}
    nested = metadata.get(NESTED_IDS_KEY)
    ids: Mapping[str, int] = json.loads(nested) if nested else {}
    kind = _arrow_type(field["type"], path, "", ids, table)
    kept = {**(_id(metadata.get(FIELD_ID_KEY)) or {})}
    if isinstance(source := metadata.get(SOURCE_KEY), str):
        kept[SOURCE] = source.encode()
    return pa.field(field["name"], kind, field.get("nullable", True), kept or None)


def _arrow_type(
    kind: str | Json, path: tuple[str, ...], below: str, ids: Mapping[str, int], table: str
) -> pa.DataType:
    if isinstance(kind, str):
        return _arrow_leaf(kind, path, table)

    def child(name: str, key: str, *, nullable: bool) -> pa.Field:
        inner = f"{below}.{name}" if below else name
        found = _arrow_type(kind[key], (*path, name), inner, ids, table)
        return pa.field(name, found, nullable, _id(ids.get(inner)))

    match kind["type"]:
        case "struct":
            return pa.struct([_arrow_field(field, path, table) for field in kind["fields"]])
        case "array":
            return pa.list_(child("element", "elementType", nullable=kind.get("containsNull", True)))
        case "map":
            value = child("value", "valueType", nullable=kind.get("valueContainsNull", True))
            return pa.map_(child("key", "keyType", nullable=False), value)
        case other:
            raise _unknown(str(other), path, table)


def _arrow_leaf(kind: str, path: tuple[str, ...], table: str) -> pa.DataType:
    decimal = _DECIMAL.match(kind)
    if decimal:
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    if kind not in _TO_ARROW:
        raise _unknown(kind, path, table)
    return _TO_ARROW[kind]


def _unknown(kind: str, path: tuple[str, ...], table: str) -> TableError:
    return TableError(
        f"the column's Delta type {kind!r} cannot be loaded",
        table=table,
        column=".".join(path),
        hint="Load into another table, or drop the column with the engine that made it.",
    )


def _id(found: int | str | None) -> dict[bytes, bytes] | None:
    return None if found is None else {FIELD_ID: str(int(found)).encode()}


def merge_fields(old: Sequence[Json], new: Iterable[pa.Field], *, table: str) -> list[Json]:
    """Delta struct fields of an Arrow schema, laid over those the table has.

    Old fields keep their place and their metadata (comments and other engines' notes); new ones follow
    in order. No field disappears.

    Args:
        old: Fields in the log; empty for a new table.
        new: Fields as they shall be, with field ids.
        table: Table name for messages.

    Raises:
        SchemaError: A new name or a type cannot be stored in Delta.
    """
    return _merge(old, new, (), table)


def _merge(old: Sequence[Json], new: Iterable[pa.Field], above: tuple[str, ...], table: str) -> list[Json]:
    wanted = {field.name: field for field in new}
    known = {field["name"] for field in old}
    taken = {name.lower() for name in known}
    kept = [
        _field_json(field, wanted[field["name"]], above, table) if field["name"] in wanted else field
        for field in old
    ]
    fresh = [field for name, field in wanted.items() if name not in known]
    for field in fresh:
        check_name(field.name, taken, above=above, table=table)
        taken.add(field.name.lower())
    return [*kept, *(_field_json(None, field, above, table) for field in fresh)]


def check_name(name: str, taken: Iterable[str], *, above: tuple[str, ...] = (), table: str) -> None:
    """Refuse a name Delta readers reject: forbidden characters, or equal but for case to one `taken`.

    Raises:
        SchemaError: The name cannot be used.
    """
    column = ".".join((*above, name))
    if not name or _FORBIDDEN & set(name):
        raise SchemaError(
            "Delta does not allow this column name",
            table=table,
            column=column,
            hint="Rename it: a name has at least one character and none of space , ; { } ( ) = tab newline.",
        )
    if name.lower() in taken:
        raise SchemaError(
            "two columns differ only in upper and lower case, which Delta does not allow",
            table=table,
            column=column,
            hint="Rename one of them.",
        )


def _field_json(old: Json | None, field: pa.Field, above: tuple[str, ...], table: str) -> Json:
    path = (*above, field.name)
    nested: dict[str, int] = {}

    def type_json(before: Any, kind: pa.DataType, below: str) -> str | Json:
        known = before if isinstance(before, dict) else {}
        if pa.types.is_struct(kind):
            inside = (*path, *below.split(".")) if below else path
            return {
                "type": "struct",
                "fields": _merge(known.get("fields", ()), children(kind), inside, table),
            }
        found: Json = {}
        for child in children(kind):
            inner = f"{below}.{child.name}" if below else child.name
            if (number := field_id(child)) is not None:
                nested[inner] = number
            key, nullable = _CHILD_KEYS[child.name]
            found[key] = type_json(known.get(key), child.type, inner)
            if nullable:
                found[nullable] = child.nullable
        if found:
            return {"type": "map" if pa.types.is_map(kind) else "array", **found}
        return leaf_name(kind, path, table=table)

    kind = type_json(old["type"] if old else None, field.type, "")
    metadata = dict((old or {}).get("metadata") or {})
    if (number := field_id(field)) is not None:
        metadata[FIELD_ID_KEY] = number
    if old is None and (source := source_of(field)):
        metadata[SOURCE_KEY] = source
    if nested:
        metadata[NESTED_IDS_KEY] = json.dumps(nested)
    return {"name": field.name, "type": kind, "nullable": field.nullable, "metadata": metadata}


_CHILD_KEYS: Mapping[str, tuple[str, str | None]] = {
    "element": ("elementType", "containsNull"),
    "key": ("keyType", None),
    "value": ("valueType", "valueContainsNull"),
}


def leaf_name(kind: pa.DataType, path: tuple[str, ...], *, table: str) -> str:
    """Delta's name of a leaf type.

    Raises:
        SchemaError: Delta has no such type.
    """
    if pa.types.is_decimal128(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if kind not in _TO_DELTA:
        raise SchemaError(
            f"Delta cannot store the type {kind}",
            table=table,
            column=".".join(path),
            hint="Give the column another type in the resource's schema.",
        )
    return _TO_DELTA[kind]


def unstamped(fields: Iterable[Json]) -> bool:
    """True when a field, at any depth, has no field id on record."""
    return any(_lacks_id(field) for field in fields)


def _lacks_id(field: Json) -> bool:
    metadata = field.get("metadata") or {}
    nested = metadata.get(NESTED_IDS_KEY)
    known = set(json.loads(nested)) if nested else set()
    return FIELD_ID_KEY not in metadata or _type_lacks_id(field["type"], "", known)


def _type_lacks_id(kind: str | Json, below: str, known: set[str]) -> bool:
    if isinstance(kind, str):
        return False
    if kind["type"] == "struct":
        return unstamped(kind["fields"])
    for name, (key, _) in _CHILD_KEYS.items():
        if key in kind:
            inner = f"{below}.{name}" if below else name
            if inner not in known or _type_lacks_id(kind[key], inner, known):
                return True
    return False


def same_types(a: pa.DataType, b: pa.DataType) -> bool:
    """True when the types agree in names and leaf types, whatever may be null and whatever ids they carry."""
    ours, theirs = children(a), children(b)
    if not ours and not theirs:
        return a == b or (a in _TO_DELTA and b in _TO_DELTA and _TO_DELTA[a] == _TO_DELTA[b])
    names = [field.name for field in ours] == [field.name for field in theirs]
    return names and all(same_types(x.type, y.type) for x, y in zip(ours, theirs, strict=True))


def contains(schema: pa.Schema, kind: pa.DataType) -> bool:
    """True when a leaf of the schema has this type."""
    return any(_has(field.type, kind) for field in schema)


def _has(inside: pa.DataType, kind: pa.DataType) -> bool:
    below = children(inside)
    return any(_has(field.type, kind) for field in below) if below else inside == kind
