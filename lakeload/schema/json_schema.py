"""A table's schema as JSON Schema, draft 2020-12 (https://json-schema.org/draft/2020-12).

It describes a row as JSON objects spell it: instants as RFC 3339 text, bytes as base64, decimals as numbers
or, where a double would lose digits, as text of their digits.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.schema import children
from lakeload.model.type_text import type_text
from lakeload.schema.described import description

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_DATE = r"\d{4}-\d{2}-\d{2}"
_TIME = r"\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?"
_WIDTHS = {pa.int8(): 8, pa.int16(): 16, pa.int32(): 32, pa.int64(): 64}

_LEAVES: dict[pa.DataType, dict[str, Any]] = {
    pa.bool_(): {"type": "boolean"},
    pa.float32(): {"type": "number"},
    pa.float64(): {"type": "number"},
    pa.string(): {"type": "string"},
    pa.binary(): {"type": "string", "contentEncoding": "base64"},
    pa.date32(): {"type": "string", "format": "date"},
    pa.time64("us"): {"type": "string", "pattern": f"^{_TIME}$"},
    pa.timestamp("us", "UTC"): {"type": "string", "format": "date-time"},
    # `date-time` needs a zone (RFC 3339), which these have not.
    pa.timestamp("us"): {"type": "string", "pattern": f"^{_DATE}[T ]{_TIME}$"},
}


def to_json_schema(schema: pa.Schema, *, title: str | None = None) -> dict[str, Any]:
    """The schema of one row.

    Args:
        schema: Columns of the table.
        title: Such as the table's name.

    Returns:
        A JSON Schema. Optional columns may be missing or null. Columns it does not name are allowed, as a
        load would add them.

    Raises:
        SchemaError: A type has no form in JSON.

    Example:
        >>> found = to_json_schema(pa.schema([pa.field("id", pa.string(), nullable=False)]))
        >>> found["properties"], found["required"]
        ({'id': {'type': 'string'}}, ['id'])
    """
    head = {"$schema": DRAFT} | ({} if title is None else {"title": title})
    return head | _object(list(schema), ())


def _object(fields: list[pa.Field], path: tuple[str, ...]) -> dict[str, Any]:
    required = [field.name for field in fields if not field.nullable]
    found = {
        "type": "object",
        "properties": {field.name: _field(field, (*path, field.name)) for field in fields},
    }
    return found | ({"required": required} if required else {})


def _field(field: pa.Field, path: tuple[str, ...]) -> dict[str, Any]:
    found = _type(field.type, path)
    if field.nullable:
        kinds = found["type"]
        found = found | {"type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}
    text = description(field)
    return found | ({} if text is None else {"description": text})


def _type(kind: pa.DataType, path: tuple[str, ...]) -> dict[str, Any]:
    inner = children(kind)
    if pa.types.is_struct(kind):
        return _object(inner, path)
    if pa.types.is_map(kind):
        return _map(inner, path)
    if inner:
        return {"type": "array", "items": _field(inner[0], (*path, "element"))}
    if kind in _WIDTHS:
        half = 2 ** (_WIDTHS[kind] - 1)
        return {"type": "integer", "minimum": -half, "maximum": half - 1}
    if pa.types.is_decimal(kind):
        return _decimal(kind)
    if pa.types.is_fixed_size_binary(kind):
        return dict(_LEAVES[pa.binary()])
    if kind not in _LEAVES:
        raise SchemaError(
            f"the type {kind} has no form in JSON Schema",
            column=".".join(path),
            hint="Export another form, or another table.",
        )
    return dict(_LEAVES[kind])


def _map(inner: list[pa.Field], path: tuple[str, ...]) -> dict[str, Any]:
    """An object, whose names are always text: of what kind is said where it is no free text."""
    found = {"type": "object", "additionalProperties": _field(inner[1], (*path, "value"))}
    if pa.types.is_string(inner[0].type):
        return found
    return found | {"description": f"keys are the text of {type_text(inner[0].type)}"}


def _decimal(kind: pa.DataType) -> dict[str, Any]:
    whole, scale = kind.precision - kind.scale, kind.scale
    # More zeros in front are no other number; `pattern` is about the form as text only.
    fraction = rf"(\.\d{{0,{scale}}}0*)?" if scale else r"(\.0*)?"
    bound = 10**whole
    return {
        "type": ["number", "string"],
        "pattern": rf"^-?0*\d{{0,{whole}}}{fraction}$",
        "exclusiveMinimum": -bound,
        "exclusiveMaximum": bound,
    }
