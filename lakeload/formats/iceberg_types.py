"""Schemas, partition specs and sort orders as the metadata of an Iceberg table writes them. Part of commit.

They are read from and written to the specification's JSON objects. A primitive type is its name, such as
`long` or `decimal(9, 2)`: nothing here decides which of them lakeload can write.

Rules: Iceberg specification v2, appendix C "JSON serialization", and section "Partition Transforms".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

_DECIMAL = re.compile(r"decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)")
_FIXED = re.compile(r"fixed\[\s*(\d+)\s*\]")


@dataclass(frozen=True, slots=True)
class NestedField:
    """A column, or a member of a struct."""

    field_id: int
    name: str
    field_type: IcebergType
    required: bool = False
    doc: str | None = None
    initial_default: Any = None
    write_default: Any = None


@dataclass(frozen=True, slots=True)
class StructType:
    """Named members."""

    fields: tuple[NestedField, ...]


@dataclass(frozen=True, slots=True)
class ListType:
    """Values of one type."""

    element: NestedField


@dataclass(frozen=True, slots=True)
class MapType:
    """Keys and values."""

    key: NestedField
    value: NestedField


IcebergType: TypeAlias = str | StructType | ListType | MapType


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a table."""

    fields: tuple[NestedField, ...]
    schema_id: int = 0
    identifier_field_ids: tuple[int, ...] = ()

    @property
    def highest_field_id(self) -> int:
        """The largest field id at any depth."""
        return max((field.field_id for _, field in self.walk()), default=0)

    def walk(self) -> Iterator[tuple[tuple[str, ...], NestedField]]:
        """Every field at any depth with its path."""
        return _walk(self.fields, ())

    def same_columns(self, other: Schema) -> bool:
        """Whether both say the same of their columns; a server may have given another schema id."""
        return self.fields == other.fields and self.identifier_field_ids == other.identifier_field_ids


@dataclass(frozen=True, slots=True)
class PartitionField:
    """One field of a partition spec."""

    source_id: int
    field_id: int
    transform: str
    name: str


@dataclass(frozen=True, slots=True)
class PartitionSpec:
    """How a table, or part of it, is partitioned."""

    fields: tuple[PartitionField, ...]
    spec_id: int = 0

    def kinds(self, schemas: Iterable[Schema]) -> tuple[str, ...]:
        """The types of the partition values.

        Args:
            schemas: Of the table, the current one first: a column may have been dropped since.
        """
        found: dict[int, IcebergType] = {}
        for schema in schemas:
            for _, field in schema.walk():
                found.setdefault(field.field_id, field.field_type)
        return tuple(_result(field.transform, found.get(field.source_id, "unknown")) for field in self.fields)


@dataclass(frozen=True, slots=True)
class SortField:
    """One field of a sort order."""

    source_id: int
    transform: str
    direction: str
    null_order: str


@dataclass(frozen=True, slots=True)
class SortOrder:
    """How rows within a file are sorted; order 0 is none."""

    fields: tuple[SortField, ...] = ()
    order_id: int = 0


def is_primitive(kind: IcebergType) -> bool:
    """Whether values of the type have no parts."""
    return isinstance(kind, str)


def decimal_of(kind: str) -> tuple[int, int] | None:
    """Precision and scale of a decimal type.

    Example:
        >>> decimal_of("decimal(9,2)"), decimal_of("long")
        ((9, 2), None)
    """
    match = _DECIMAL.fullmatch(kind)
    return None if match is None else (int(match[1]), int(match[2]))


def width_of(kind: str) -> int | None:
    """Bytes of a fixed type."""
    match = _FIXED.fullmatch(kind)
    return None if match is None else int(match[1])


def read_schema(raw: Mapping[str, Any]) -> Schema:
    """A schema from its JSON object."""
    identifiers = tuple(raw.get("identifier-field-ids") or ())
    return Schema(tuple(map(_read_field, raw["fields"])), raw.get("schema-id", 0), identifiers)


def _read_field(raw: Mapping[str, Any]) -> NestedField:
    return NestedField(
        raw["id"], raw["name"], _read_type(raw["type"]), raw["required"],
        raw.get("doc"), raw.get("initial-default"), raw.get("write-default"),
    )  # fmt: skip


def _read_type(raw: Any) -> IcebergType:
    if isinstance(raw, str):
        exact, width = decimal_of(raw), width_of(raw)
        if exact is not None:
            return f"decimal({exact[0]}, {exact[1]})"
        return raw if width is None else f"fixed[{width}]"
    match raw["type"]:
        case "struct":
            return StructType(tuple(map(_read_field, raw["fields"])))
        case "list":
            element = _read_type(raw["element"])
            return ListType(NestedField(raw["element-id"], "element", element, raw["element-required"]))
        case "map":
            key = NestedField(raw["key-id"], "key", _read_type(raw["key"]), required=True)
            value = _read_type(raw["value"])
            return MapType(key, NestedField(raw["value-id"], "value", value, raw["value-required"]))
        case other:
            return str(other)


def schema_json(schema: Schema) -> dict[str, Any]:
    """A schema as the specification's JSON object."""
    return {
        "type": "struct",
        "fields": [_field_json(field) for field in schema.fields],
        "schema-id": schema.schema_id,
        "identifier-field-ids": list(schema.identifier_field_ids),
    }


def _field_json(field: NestedField) -> dict[str, Any]:
    found = {
        "id": field.field_id,
        "name": field.name,
        "type": _type_json(field.field_type),
        "required": field.required,
    }
    rest = {"doc": field.doc, "initial-default": field.initial_default, "write-default": field.write_default}
    return {**found, **{key: value for key, value in rest.items() if value is not None}}


def _type_json(kind: IcebergType) -> Any:
    match kind:
        case StructType(fields):
            return {"type": "struct", "fields": [_field_json(field) for field in fields]}
        case ListType(element):
            return {
                "type": "list",
                "element-id": element.field_id,
                "element": _type_json(element.field_type),
                "element-required": element.required,
            }
        case MapType(key, value):
            return {
                "type": "map",
                "key-id": key.field_id,
                "key": _type_json(key.field_type),
                "value-id": value.field_id,
                "value": _type_json(value.field_type),
                "value-required": value.required,
            }
    return kind


def read_spec(raw: Mapping[str, Any]) -> PartitionSpec:
    """A partition spec from its JSON object."""
    fields = [
        PartitionField(field["source-id"], field["field-id"], field["transform"], field["name"])
        for field in raw["fields"]
    ]
    return PartitionSpec(tuple(fields), raw["spec-id"])


def spec_json(spec: PartitionSpec) -> dict[str, Any]:
    """A partition spec as the specification's JSON object."""
    return {"spec-id": spec.spec_id, "fields": spec_fields_json(spec)}


def spec_fields_json(spec: PartitionSpec) -> list[dict[str, Any]]:
    """The fields alone, as the header of a manifest tells them."""
    return [
        {"source-id": f.source_id, "field-id": f.field_id, "transform": f.transform, "name": f.name}
        for f in spec.fields
    ]


def read_order(raw: Mapping[str, Any]) -> SortOrder:
    """A sort order from its JSON object."""
    fields = [
        SortField(field["source-id"], field["transform"], field["direction"], field["null-order"])
        for field in raw["fields"]
    ]
    return SortOrder(tuple(fields), raw["order-id"])


def order_json(order: SortOrder) -> dict[str, Any]:
    """A sort order as the specification's JSON object."""
    fields = [
        {
            "source-id": field.source_id,
            "transform": field.transform,
            "direction": field.direction,
            "null-order": field.null_order,
        }
        for field in order.fields
    ]
    return {"order-id": order.order_id, "fields": fields}


def can_transform(transform: str, kind: str) -> bool:
    """Whether values of the type can be partitioned so."""
    whole = ("int", "long")
    text = ("string", "binary")
    dates = ("date", "timestamp", "timestamptz")
    exact = decimal_of(kind) is not None
    match transform.partition("[")[0]:
        case "identity":
            return True
        case "year" | "month" | "day":
            return kind in dates
        case "hour":
            return kind in dates[1:]
        case "truncate":
            return kind in whole + text or exact
        case "bucket":
            return kind in (*whole, *text, *dates, "time", "uuid") or exact or width_of(kind) is not None
    return False


def _result(transform: str, source: IcebergType) -> str:
    """The type a transform gives; that of a day is a date, as every writer has it."""
    kind = source if isinstance(source, str) else "unknown"
    match transform.partition("[")[0]:
        case "bucket" | "year" | "month" | "hour":
            return "int"
        case "day":
            return "date"
    return kind


def _walk(
    fields: Sequence[NestedField], prefix: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], NestedField]]:
    for field in fields:
        path = (*prefix, field.name)
        yield path, field
        yield from _walk(parts(field.field_type), path)


def parts(kind: IcebergType) -> tuple[NestedField, ...]:
    """Fields directly below a type."""
    match kind:
        case StructType(fields):
            return fields
        case ListType(element):
            return (element,)
        case MapType(key, value):
            return (key, value)
    return ()


def type_text(kind: IcebergType) -> str:
    """A type for messages, as engines write it.

    Example:
        >>> type_text(ListType(NestedField(2, "element", "long")))
        'list<long>'
    """
    match kind:
        case StructType(fields):
            inner = ", ".join(f"{f.field_id}: {f.name}: {type_text(f.field_type)}" for f in fields)
            return f"struct<{inner}>"
        case ListType(element):
            return f"list<{type_text(element.field_type)}>"
        case MapType(key, value):
            return f"map<{type_text(key.field_type)}, {type_text(value.field_type)}>"
    return kind
