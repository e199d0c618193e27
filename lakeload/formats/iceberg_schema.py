"""Schemas between Arrow and Iceberg, with the field ids lakeload assigned. Part of commit.

pyiceberg's own conversions assign ids anew or return large Arrow types; a data file must carry exactly
the ids the table knows, so the two directions are written out here. Rules: Iceberg specification v2,
sections "Schemas and Data Types" and "Schema Evolution".

What the source calls a column or member, where that is not its name, is kept in the field's `doc`, which is
the only place a field has: `lakeload.source: userId`. Other text there is somebody's own and stays; what it
took the place of is not known any more.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from lakeload.errors import SchemaError, TableError
from lakeload.formats.iceberg_types import (
    IcebergType,
    ListType,
    MapType,
    NestedField,
    Schema,
    StructType,
    decimal_of,
    is_primitive,
    parts,
    type_text,
    width_of,
)
from lakeload.model.naming import SOURCE, source_of
from lakeload.model.schema import FIELD_ID, children, field_id

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
        >>> to_arrow(Schema((NestedField(7, "id", "long", required=True),)), "t").field("id").metadata
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
    match kind:
        case StructType(fields):
            return pa.struct([_arrow_field(field, table, (*path, field.name)) for field in fields])
        case ListType(element):
            return pa.list_(_part(element, table, path))
        case MapType(key, value):
            return pa.map_(_part(key, table, path), _part(value, table, path))
    exact, width = decimal_of(kind), width_of(kind)
    if exact is not None:
        return pa.decimal128(*exact)
    if width is not None:
        return pa.binary(width)
    found = _ARROW.get(kind)
    if found is None:
        raise TableError(
            f"the Iceberg type {kind} cannot be written",
            table=table,
            column=".".join(path),
            hint="Load into another table, or change the column's type with another engine.",
        )
    return found


def _part(field: NestedField, table: str, path: tuple[str, ...]) -> pa.Field:
    """The element of a list, the key or value of a map."""
    kind = _arrow_type(field.field_type, table, (*path, field.name))
    return _stamped(field.name, kind, required=field.required, number=field.field_id)


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
    _refuse_case_twins(schema, table)
    known = {field.field_id: field for _, field in previous.walk()} if previous is not None else {}
    fields = tuple(_iceberg_field(field, table, (field.name,), known) for field in schema)
    result = Schema(fields, schema_id, previous.identifier_field_ids if previous is not None else ())
    if previous is not None:
        _check_evolution(previous, result, table)
    return result


def _iceberg_field(
    field: pa.Field, table: str, path: tuple[str, ...], known: dict[int, NestedField]
) -> NestedField:
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
    inner = children(kind)
    if pa.types.is_struct(kind):
        return StructType(tuple(_iceberg_field(child, table, (*path, child.name), known) for child in inner))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return ListType(_iceberg_part(inner[0], table, (*path, "element"), known))
    if pa.types.is_map(kind):
        key = _iceberg_part(inner[0], table, (*path, "key"), known)
        return MapType(key, _iceberg_part(inner[1], table, (*path, "value"), known))
    if pa.types.is_decimal128(kind):
        return f"decimal({kind.precision}, {kind.scale})"
    if pa.types.is_fixed_size_binary(kind):
        return f"fixed[{kind.byte_width}]"
    name = next((name for name, arrow in _ARROW.items() if arrow == kind), None)
    if name is None:
        raise SchemaError(
            f"the type {kind} cannot be stored in Iceberg",
            table=table,
            column=".".join(path),
            hint="Give the column another type in the schema hints.",
        )
    return name


def _iceberg_part(
    field: pa.Field, table: str, path: tuple[str, ...], known: dict[int, NestedField]
) -> NestedField:
    """The element of a list, the key or value of a map: nothing is told of it but type and id."""
    number = _number(field, table, path)
    kind = _iceberg_type(field.type, table, path, known)
    return NestedField(number, path[-1], kind, required=path[-1] == "key" or not field.nullable)


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


def _check_evolution(old: Schema, new: Schema, table: str) -> None:
    """Refuse what readers of older files could not follow; pyiceberg lets some of it pass."""
    after, parents = dict[int, NestedField](), dict[int, int | None]()
    names = {number: ".".join(path) for path, field in new.walk() for number in [field.field_id]}
    _index(new.fields, None, after, parents)
    for path, field in old.walk():
        number, name = field.field_id, ".".join(path)
        if number not in after:
            raise TableError("a load does not drop columns", table=table, column=name)
        if after[number].name != field.name:
            raise TableError("a load does not rename columns", table=table, column=name)
        if after[number].required and not field.required:
            raise TableError("an optional column cannot become required", table=table, column=name)
        if not _promotes(field.field_type, after[number].field_type):
            before, now = type_text(field.field_type), type_text(after[number].field_type)
            raise TableError(
                f"Iceberg does not allow {before} to become {now}",
                table=table,
                column=name,
                hint="Load into a new table, or cast the column.",
            )
    before_ids = {field.field_id for _, field in old.walk()}
    for number, field in after.items():
        added_below = parents[number] in before_ids or parents[number] is None
        if number not in before_ids and field.required and added_below:
            raise TableError(
                "a column added later cannot be required",
                table=table,
                column=names[number],
                hint="Hint it as nullable: older rows have no value for it.",
            )


def _index(
    fields: Sequence[NestedField],
    parent: int | None,
    found: dict[int, NestedField],
    parents: dict[int, int | None],
) -> None:
    """Every field by its id, and the id of what it is part of."""
    for field in fields:
        found[field.field_id], parents[field.field_id] = field, parent
        _index(parts(field.field_type), field.field_id, found, parents)


def _promotes(old: IcebergType, new: IcebergType) -> bool:
    if not isinstance(old, str) or not isinstance(new, str):
        return type(old) is type(new)
    narrow, wide = decimal_of(old), decimal_of(new)
    if narrow is not None and wide is not None:
        return narrow[1] == wide[1] and wide[0] >= narrow[0]
    return old == new or (old, new) in {("int", "long"), ("float", "double")}


def leaves(schema: Schema) -> dict[tuple[str, ...], NestedField]:
    """Leaf fields outside lists and maps, by path: the columns that have bounds."""
    found: dict[tuple[str, ...], NestedField] = {}

    def descend(fields: tuple[NestedField, ...], prefix: tuple[str, ...]) -> None:
        for field in fields:
            if isinstance(field.field_type, StructType):
                descend(field.field_type.fields, (*prefix, field.name))
            elif is_primitive(field.field_type):
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
