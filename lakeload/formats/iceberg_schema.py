"""Schemas between Arrow and Iceberg, with the field ids lakeload assigned. Part of commit.

pyiceberg's own conversions assign ids anew or return large Arrow types; a data file must carry exactly
the ids the table knows, so the two directions are written out here. Rules: Iceberg specification v2,
sections "Schemas and Data Types" and "Schema Evolution".

What the source calls a column or member, where that is not its name, is kept in the field's `doc`, which is
the only place a field has: `lakeload.source: userId`. Other text there is somebody's own and stays; what it
took the place of is not known any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakeload.errors import SchemaError, TableError
from lakeload.model.naming import SOURCE, source_of
from lakeload.model.schema import FIELD_ID, children, field_id

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.types import IcebergType, NestedField

_ARROW = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "string": pa.string(),
    "binary": pa.binary(),
}


_DOC = f"{SOURCE.decode()}: "


def to_arrow(schema: Schema, table: str) -> pa.Schema:
    """The Iceberg schema as Arrow, a field id in the metadata of every field.

    Args:
        schema: Current schema of the table.
        table: Table name, for messages.

    Returns:
        Strings as `string`, binary as `binary`, `timestamptz` as `timestamp[us, UTC]`.

    Raises:
        TableError: A column has a type lakeload cannot write.

    Example:
        >>> from pyiceberg.schema import Schema
        >>> from pyiceberg.types import LongType, NestedField
        >>> to_arrow(Schema(NestedField(7, "id", LongType(), required=True)), "t").field("id").metadata
        {b'PARQUET:field_id': b'7'}
    """
    return pa.schema([_arrow_field(field, table, (field.name,)) for field in schema.fields])


def _arrow_field(field: NestedField, table: str, path: tuple[str, ...]) -> pa.Field:
    kind = _arrow_type(field.field_type, table, path)
    found = _stamped(field.name, kind, required=field.required, number=field.field_id)
    if not field.doc:
        return found
    source = field.doc.removeprefix(_DOC) if field.doc.startswith(_DOC) else ""
    return found.with_metadata({**found.metadata, SOURCE: source.encode()})


def _stamped(name: str, kind: pa.DataType, *, required: bool, number: int) -> pa.Field:
    return pa.field(name, kind, not required, {FIELD_ID: str(number).encode()})


def _arrow_type(kind: IcebergType, table: str, path: tuple[str, ...]) -> pa.DataType:
    from pyiceberg.types import DecimalType, FixedType, ListType, MapType, StructType

    if isinstance(kind, StructType):
        return pa.struct([_arrow_field(field, table, (*path, field.name)) for field in kind.fields])
    if isinstance(kind, ListType):
        element = _arrow_type(kind.element_type, table, (*path, "element"))
        return pa.list_(_stamped("element", element, required=kind.element_required, number=kind.element_id))
    if isinstance(kind, MapType):
        key = _arrow_type(kind.key_type, table, (*path, "key"))
        value = _arrow_type(kind.value_type, table, (*path, "value"))
        return pa.map_(
            _stamped("key", key, required=True, number=kind.key_id),
            _stamped("value", value, required=kind.value_required, number=kind.value_id),
        )
    if isinstance(kind, DecimalType):
        return pa.decimal128(kind.precision, kind.scale)
    if isinstance(kind, FixedType):
        return pa.binary(len(kind))
    found = _ARROW.get(str(kind))
    if found is None:
        raise TableError(
            f"the Iceberg type {kind} cannot be written",
            table=table,
            column=".".join(path),
            hint="Load into another table, or change the column's type with another engine.",
        )
    return found


def to_iceberg(schema: pa.Schema, table: str, schema_id: int = 0, previous: Schema | None = None) -> Schema:
    """The Arrow schema as Iceberg, with its own field ids.

    Args:
        schema: Columns; every field carries an id.
        table: Table name, for messages.
        schema_id: Id of the new schema.
        previous: The schema it follows: documentation, defaults and identifier fields are kept.

    Raises:
        SchemaError: A type cannot be stored, an id is missing, or two names differ by case only.
        TableError: The step from `previous` is not one the specification allows.
    """
    from pyiceberg.schema import Schema

    _refuse_case_twins(schema, table)
    known = dict(_iceberg_fields(previous)) if previous is not None else {}
    fields = [_iceberg_field(field, table, (field.name,), known) for field in schema]
    identifiers = list(previous.identifier_field_ids) if previous is not None else []
    result = Schema(*fields, schema_id=schema_id, identifier_field_ids=identifiers)
    if previous is not None:
        _check_evolution(previous, result, table)
    return result


def _iceberg_field(
    field: pa.Field, table: str, path: tuple[str, ...], known: dict[int, NestedField]
) -> NestedField:
    from pyiceberg.types import NestedField

    number = _number(field, table, path)
    old = known.get(number)
    return NestedField(
        field_id=number,
        name=field.name,
        field_type=_iceberg_type(field.type, table, path, known),
        required=not field.nullable,
        doc=old.doc if old else _doc(field),
        initial_default=old.initial_default if old else None,
        write_default=old.write_default if old else None,
    )


def _doc(field: pa.Field) -> str | None:
    source = source_of(field)
    return f"{_DOC}{source}" if source else None


def _iceberg_type(
    kind: pa.DataType, table: str, path: tuple[str, ...], known: dict[int, NestedField]
) -> IcebergType:
    from pyiceberg.types import DecimalType, FixedType, ListType, MapType, StructType

    inner = children(kind)
    if pa.types.is_struct(kind):
        return StructType(*(_iceberg_field(child, table, (*path, child.name), known) for child in inner))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        element = _iceberg_field(inner[0], table, (*path, "element"), known)
        return ListType(element.field_id, element.field_type, element_required=element.required)
    if pa.types.is_map(kind):
        key = _iceberg_field(inner[0], table, (*path, "key"), known)
        value = _iceberg_field(inner[1], table, (*path, "value"), known)
        return MapType(
            key.field_id, key.field_type, value.field_id, value.field_type, value_required=value.required
        )
    if pa.types.is_decimal128(kind):
        return DecimalType(kind.precision, kind.scale)
    if pa.types.is_fixed_size_binary(kind):
        return FixedType(kind.byte_width)
    name = next((name for name, arrow in _ARROW.items() if arrow == kind), None)
    if name is None:
        raise SchemaError(
            f"the type {kind} cannot be stored in Iceberg",
            table=table,
            column=".".join(path),
            hint="Give the column another type in the schema hints.",
        )
    return _primitive(name)


def _primitive(name: str) -> IcebergType:
    from pyiceberg import types

    kinds = (
        types.BooleanType(),
        types.IntegerType(),
        types.LongType(),
        types.FloatType(),
        types.DoubleType(),
        types.DateType(),
        types.TimeType(),
        types.TimestampType(),
        types.TimestamptzType(),
        types.StringType(),
        types.BinaryType(),
    )
    return next(kind for kind in kinds if str(kind) == name)


def _number(field: pa.Field, table: str, path: tuple[str, ...]) -> int:
    number = field_id(field)
    if number is None:
        raise SchemaError("a column carries no field id", table=table, column=".".join(path))
    return number


def _refuse_case_twins(schema: pa.Schema, table: str) -> None:
    # Iceberg itself tells them apart; Spark, Trino and Delta do not.
    def check(fields: list[pa.Field], prefix: tuple[str, ...]) -> None:
        seen: dict[str, str] = {}
        for field in fields:
            twin = seen.setdefault(field.name.casefold(), field.name)
            if twin != field.name or len([f for f in fields if f.name == field.name]) > 1:
                raise SchemaError(
                    f"column names differ by case only: {twin!r} and {field.name!r}",
                    table=table,
                    column=".".join((*prefix, field.name)),
                    hint="Rename one of them.",
                )
            check(children(field.type), (*prefix, field.name))

    check(list(schema), ())


def _iceberg_fields(schema: Schema) -> Iterator[tuple[int, NestedField]]:
    yield from schema._lazy_id_to_field.items()  # noqa: SLF001 - the index pyiceberg itself uses throughout


def _check_evolution(old: Schema, new: Schema, table: str) -> None:
    """Refuse what readers of older files could not follow; pyiceberg lets some of it pass."""
    after = dict(_iceberg_fields(new))
    before = dict(_iceberg_fields(old))
    parents = new._lazy_id_to_parent  # noqa: SLF001 - as above
    for number, field in before.items():
        name = old.find_column_name(number)
        if number not in after:
            raise TableError("a load does not drop columns", table=table, column=name)
        if after[number].name != field.name:
            raise TableError("a load does not rename columns", table=table, column=name)
        if after[number].required and not field.required:
            raise TableError("an optional column cannot become required", table=table, column=name)
        if not _promotes(field.field_type, after[number].field_type):
            raise TableError(
                f"Iceberg does not allow {field.field_type} to become {after[number].field_type}",
                table=table,
                column=name,
                hint="Load into a new table, or cast the column.",
            )
    for number, field in after.items():
        added_below = parents.get(number) in before or parents.get(number) is None
        if number not in before and field.required and added_below:
            raise TableError(
                "a column added later cannot be required",
                table=table,
                column=new.find_column_name(number),
                hint="Hint it as nullable: older rows have no value for it.",
            )


def _promotes(old: IcebergType, new: IcebergType) -> bool:
    from pyiceberg.types import DecimalType

    if not old.is_primitive or not new.is_primitive:
        return type(old) is type(new)
    if isinstance(old, DecimalType) and isinstance(new, DecimalType):
        return new.scale == old.scale and new.precision >= old.precision
    return old == new or (str(old), str(new)) in {("int", "long"), ("float", "double")}


def leaves(schema: Schema) -> dict[tuple[str, ...], Any]:
    """Leaf fields outside lists and maps, by path: the columns that have bounds."""
    from pyiceberg.types import StructType

    found: dict[tuple[str, ...], Any] = {}

    def descend(fields: tuple[NestedField, ...], prefix: tuple[str, ...]) -> None:
        for field in fields:
            if isinstance(field.field_type, StructType):
                descend(field.field_type.fields, (*prefix, field.name))
            elif field.field_type.is_primitive:
                found[(*prefix, field.name)] = field

    descend(schema.fields, ())
    return found


def same_columns(one: pa.Schema, other: pa.Schema) -> bool:
    """Whether names, types, nullability and field ids agree, at every depth."""
    return _facts(list(one)) == _facts(list(other))


def _facts(fields: list[pa.Field]) -> list[object]:
    return [
        (
            field.name,
            field_id(field),
            field.nullable,
            _facts(children(field.type)) if children(field.type) else str(field.type),
        )
        for field in fields
    ]
