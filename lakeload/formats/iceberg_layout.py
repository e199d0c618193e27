"""Partition specs and sort orders between lakeload's `Layout` and Iceberg. Part of commit.

Rules: Iceberg specification v2, sections "Partitioning" and "Sorting".
"""

from __future__ import annotations

from lakeload.errors import TableError
from lakeload.formats import iceberg_types as iceberg
from lakeload.formats.iceberg_document import FIRST_PARTITION_ID
from lakeload.formats.iceberg_types import (
    PartitionSpec,
    Schema,
    SortOrder,
    can_transform,
    is_primitive,
    type_text,
)
from lakeload.model.layout import Layout, PartitionField, SortField


def to_layout(spec: PartitionSpec, order: SortOrder, schema: Schema, table: str) -> Layout:
    """The layout new files must follow.

    A sort order lakeload cannot produce (transforms, unusual null order) is left out: files are then
    registered as unsorted, which the specification allows.

    Raises:
        TableError: The partitioning uses something lakeload cannot compute.
    """
    fields = tuple(_partition_field(field, schema, table) for field in spec.fields)
    return Layout(fields, _sort_fields(order, schema))


def _partition_field(field: iceberg.PartitionField, schema: Schema, table: str) -> PartitionField:
    name, _, parameter = field.transform.partition("[")
    source = next((column.name for column in schema.fields if column.field_id == field.source_id), None)
    known = ("identity", "year", "month", "day", "hour", "bucket", "truncate")
    if source is None or name not in known:
        what = f"the transform {field.transform}" if source else "a column inside a struct or dropped since"
        raise TableError(
            f"the table is partitioned by {what} (field {field.name!r}), which is not supported",
            table=table,
            hint="Change the table's partitioning with another engine, or load into another table.",
        )
    plain = PartitionField(source, name, int(parameter[:-1]) if parameter else None)  # type: ignore[arg-type]  # checked above
    if plain.name == field.name:
        return plain
    return PartitionField(source, plain.transform, plain.param, alias=field.name)


def _sort_fields(order: SortOrder, schema: Schema) -> tuple[SortField, ...]:
    names = {column.field_id: column.name for column in schema.fields}
    found = []
    for field in order.fields:
        descending = field.direction == "desc"
        expected = "nulls-last" if descending else "nulls-first"
        plain = field.transform == "identity" and field.null_order == expected
        if not plain or field.source_id not in names:
            return ()
        found.append(SortField(names[field.source_id], descending))
    return tuple(found)


def to_spec(layout: Layout, schema: Schema, table: str) -> PartitionSpec:
    """The partition spec of a new table.

    Raises:
        TableError: A column is missing, its type does not suit the transform, or names collide.
    """
    columns = {column.name: column for column in schema.fields}
    fields = []
    for number, field in enumerate(layout.partition_by, FIRST_PARTITION_ID):
        source = columns.get(field.source)
        if source is None:
            raise TableError(
                "the partition column is not in the table",
                table=table,
                column=field.source,
                hint=f"Columns here: {', '.join(columns)}.",
            )
        text = field.transform if field.param is None else f"{field.transform}[{field.param}]"
        kind = source.field_type if isinstance(source.field_type, str) else "struct"
        if not is_primitive(source.field_type) or not can_transform(text, kind):
            raise TableError(
                f"{field} does not work on a column of type {type_text(source.field_type)}",
                table=table,
                column=field.source,
                hint="Hint the column with another type, or partition by another one.",
            )
        if field.name in columns and field.transform != "identity":
            raise TableError(
                f"the partition field {field.name!r} is named like a column",
                table=table,
                column=field.name,
                hint="Rename the column.",
            )
        fields.append(iceberg.PartitionField(source.field_id, number, text, field.name))
    if len({field.name for field in fields}) < len(fields):
        raise TableError(
            "two partition fields have one name", table=table, hint="Leave out the one that is given twice."
        )
    return PartitionSpec(tuple(fields))


def to_sort_order(layout: Layout, schema: Schema, table: str) -> SortOrder:
    """The sort order of a new table: nulls first when ascending, last when descending.

    Raises:
        TableError: A column is missing or nested.
    """
    columns = {column.name: column for column in schema.fields}
    fields = []
    for field in layout.sort_by:
        source = columns.get(field.column)
        if source is None or not is_primitive(source.field_type):
            problem = "is not in the table" if source is None else "is nested"
            raise TableError(
                f"the sort column {problem}",
                table=table,
                column=field.column,
                hint="Sort by a column of numbers, text or time that the table has.",
            )
        direction, nulls = ("desc", "nulls-last") if field.descending else ("asc", "nulls-first")
        fields.append(iceberg.SortField(source.field_id, "identity", direction, nulls))
    return SortOrder(tuple(fields), order_id=1) if fields else SortOrder()
