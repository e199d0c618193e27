"""Column identity: field ids in Arrow schemas, and applying schema changes to them.

`pyarrow.Schema` is the only schema type. Every field of a table's schema, nested ones included, carries
an integer in its metadata under `PARQUET:field_id`, the key Parquet writers copy into the file. Ids are
assigned here, once, in the order columns appear; Iceberg tables are created with them and Delta ignores
them. An id is never reused (Iceberg specification, section "Column Projection").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pyarrow as pa

from lakeload.errors import SchemaError, TableError
from lakeload.given import texts
from lakeload.model.changes import SchemaChange
from lakeload.model.naming import SOURCE

FIELD_ID = b"PARQUET:field_id"


def field_id(field: pa.Field) -> int | None:
    """The field's id, or `None` when it carries none."""
    raw = (field.metadata or {}).get(FIELD_ID)
    return int(raw) if raw is not None else None


def children(kind: pa.DataType) -> list[pa.Field]:
    """Child fields of a nested type under their logical names; none for a leaf.

    List elements are called `element`, map keys and values `key` and `value`, as in the Parquet and
    Iceberg specifications.
    """
    if pa.types.is_struct(kind):
        return [kind.field(i) for i in range(kind.num_fields)]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [kind.value_field.with_name("element")]
    if pa.types.is_map(kind):
        return [kind.key_field.with_name("key"), kind.item_field.with_name("value")]
    return []


def with_children(kind: pa.DataType, fields: Sequence[pa.Field]) -> pa.DataType:
    """The same kind of nested type over other child fields, in the order `children` gives them."""
    if pa.types.is_struct(kind):
        return pa.struct(fields)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(fields[0])
    if pa.types.is_map(kind):
        return pa.map_(fields[0].with_nullable(False), fields[1])
    return kind


def assign_ids(schema: pa.Schema, last_id: int = 0) -> tuple[pa.Schema, int]:
    """Give every field without an id the next free one; parents before children, in column order.

    Returns:
        The schema with ids, and the largest id now in use.

    Example:
        >>> schema, last = assign_ids(pa.schema([("a", pa.int64()), ("b", pa.list_(pa.string()))]))
        >>> field_id(schema.field("b").type.value_field), last
        (3, 3)
    """
    counter = [last_id]

    def stamp(field: pa.Field) -> pa.Field:
        found = field_id(field)
        if found is None:
            counter[0] += 1
            found = counter[0]
        fields = [stamp(child) for child in children(field.type)]
        metadata = {**(field.metadata or {}), FIELD_ID: str(found).encode()}
        kind = with_children(field.type, fields) if fields else field.type
        return pa.field(field.name, kind, field.nullable, metadata)

    return pa.schema([stamp(field) for field in schema]), counter[0]


def without_ids(schema: pa.Schema) -> pa.Schema:
    """The schema as a user sees it: no field ids, and of source names those that are known."""
    return pa.schema([_strip(field, _shown) for field in schema])


def without_sources(schema: pa.Schema) -> pa.Schema:
    """The schema with field ids and without source names, as a data file tells it."""
    return pa.schema([_strip(field, lambda key, _value: key != SOURCE) for field in schema])


def bare(schema: pa.Schema) -> pa.Schema:
    """The schema of rows that are handed out: neither field ids nor source names."""
    return pa.schema([_strip(field, lambda key, _value: key not in (FIELD_ID, SOURCE)) for field in schema])


def _shown(key: bytes, value: bytes) -> bool:
    return key != FIELD_ID and bool(value or key != SOURCE)


def _strip(field: pa.Field, keep: Callable[[bytes, bytes], bool]) -> pa.Field:
    metadata = {key: value for key, value in (field.metadata or {}).items() if keep(key, value)}
    fields = [_strip(child, keep) for child in children(field.type)]
    kind = with_children(field.type, fields) if fields else field.type
    return pa.field(field.name, kind, field.nullable, metadata or None)


def chosen(schema: pa.Schema, columns: Sequence[str] | None, *, table: str) -> pa.Schema:
    """The schema of some columns, in the order asked for; of all when `columns` is `None`.

    Raises:
        TableError: There is no such column.

    Example:
        >>> chosen(pa.schema([("a", pa.int32()), ("b", pa.string())]), ["b"], table="t").names
        ['b']
    """
    if columns is None:
        return schema
    columns = texts(columns, "columns")
    missing = [name for name in columns if name not in schema.names]
    if missing:
        raise TableError(
            "there is no such column",
            table=table,
            column=missing[0],
            hint=f"Columns here: {', '.join(schema.names)}.",
        )
    return pa.schema([schema.field(name) for name in columns])


def apply_changes(schema: pa.Schema, last_id: int, changes: Iterable[SchemaChange]) -> tuple[pa.Schema, int]:
    """The schema after the changes; added columns come last in their struct and get the next ids.

    Raises:
        SchemaError: A change names a column that is not there, or adds one that is.

    Example:
        >>> base, last = assign_ids(pa.schema([("a", pa.int32())]))
        >>> wide = SchemaChange("widen", ("a",), pa.int32(), pa.int64())
        >>> apply_changes(base, last, [wide])[0].field("a").type
        DataType(int64)
    """
    schema, last_id = assign_ids(schema, last_id)
    fields = list(schema)
    for change in changes:
        # Only what the change touches gets ids: a large schema may change in hundreds of places.
        fields, last_id = _apply(fields, change.path, change, last_id)
    return pa.schema(fields), last_id


def added_field(change: SchemaChange) -> pa.Field:
    """The field an `add` adds, without an id, under its source name."""
    metadata = None if change.source is None else {SOURCE: change.source.encode()}
    return pa.field(change.path[-1], change.new, metadata=metadata)


def _apply(
    fields: list[pa.Field], path: tuple[str, ...], change: SchemaChange, last_id: int
) -> tuple[list[pa.Field], int]:
    position = next((i for i, field in enumerate(fields) if field.name == path[0]), None)
    if len(path) == 1 and change.kind == "add":
        if position is not None:
            raise SchemaError("a column to add is already there", column=".".join(change.path))
        added, last_id = assign_ids(pa.schema([added_field(change)]), last_id)
        return [*fields, added.field(0)], last_id
    if position is None:
        raise SchemaError("a column to change is not there", column=".".join(change.path))
    field = fields[position]
    if len(path) == 1:
        field = field.with_nullable(True) if change.kind == "relax" else field.with_type(change.new)
        stamped, last_id = assign_ids(pa.schema([field]), last_id)
        field = stamped.field(0)
    else:
        inner, last_id = _apply(children(field.type), path[1:], change, last_id)
        field = field.with_type(with_children(field.type, inner))
    return [*fields[:position], field, *fields[position + 1 :]], last_id


def walk(schema: pa.Schema, visit: Callable[[tuple[str, ...], pa.Field], None]) -> None:
    """Call `visit(path, field)` for every field, parents first."""

    def descend(prefix: tuple[str, ...], field: pa.Field) -> None:
        path = (*prefix, field.name)
        visit(path, field)
        for child in children(field.type):
            descend(path, child)

    for field in schema:
        descend((), field)
