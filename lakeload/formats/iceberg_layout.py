"""Partition specs and sort orders between lakeload's `Layout` and Iceberg. Part of commit.

Rules: Iceberg specification v2, sections "Partitioning" and "Sorting".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakeload.errors import TableError
from lakeload.model.layout import Layout, PartitionField, SortField

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table.sorting import SortOrder


def to_layout(spec: PartitionSpec, order: SortOrder, schema: Schema, table: str) -> Layout:
    """The layout new files must follow.

    A sort order lakeload cannot produce (transforms, unusual null order) is left out: files are then
    registered as unsorted, which the specification allows.

    Raises:
        TableError: The partitioning uses something lakeload cannot compute.
    """
    fields = tuple(_partition_field(field, schema, table) for field in spec.fields)
    return Layout(fields, _sort_fields(order, schema))


def _partition_field(field: Any, schema: Schema, table: str) -> PartitionField:
    name, _, parameter = str(field.transform).partition("[")
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
        descending = field.direction.value == "desc"
        expected = "nulls-last" if descending else "nulls-first"
        plain = str(field.transform) == "identity" and field.null_order.value == expected
        if not plain or field.source_id not in names:
            return ()
        found.append(SortField(names[field.source_id], descending))
    return tuple(found)


def to_spec(layout: Layout, schema: Schema, table: str) -> PartitionSpec:
    """The partition spec of a new table.

    Raises:
        TableError: A column is missing, its type does not suit the transform, or names collide.
    """
    from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionSpec
    from pyiceberg.partitioning import PartitionField as IcebergField
    from pyiceberg.transforms import parse_transform

    columns = {column.name: column for column in schema.fields}
    fields = []
    for number, field in enumerate(layout.partition_by, PARTITION_FIELD_ID_START):
        source = columns.get(field.source)
        if source is None:
            raise TableError(
                "the partition column is not in the table",
                table=table,
                column=field.source,
                hint=f"Columns here: {', '.join(columns)}.",
            )
        text = field.transform if field.param is None else f"{field.transform}[{field.param}]"
        transform = parse_transform(text)
        if not source.field_type.is_primitive or not transform.can_transform(source.field_type):
            raise TableError(
                f"{field} does not work on a column of type {source.field_type}",
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
        fields.append(IcebergField(source.field_id, number, transform, field.name))
    if len({field.name for field in fields}) < len(fields):
        raise TableError(
            "two partition fields have one name", table=table, hint="Leave out the one that is given twice."
        )
    return PartitionSpec(*fields, spec_id=0)


def to_sort_order(layout: Layout, schema: Schema, table: str) -> SortOrder:
    """The sort order of a new table: nulls first when ascending, last when descending.

    Raises:
        TableError: A column is missing or nested.
    """
    from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, NullOrder, SortDirection, SortOrder
    from pyiceberg.table.sorting import SortField as IcebergField
    from pyiceberg.transforms import IdentityTransform

    columns = {column.name: column for column in schema.fields}
    fields = []
    for field in layout.sort_by:
        source = columns.get(field.column)
        if source is None or not source.field_type.is_primitive:
            problem = "is not in the table" if source is None else "is nested"
            raise TableError(
                f"the sort column {problem}",
                table=table,
                column=field.column,
                hint="Sort by a column of numbers, text or time that the table has.",
            )
        direction = SortDirection.DESC if field.descending else SortDirection.ASC
        nulls = NullOrder.NULLS_LAST if field.descending else NullOrder.NULLS_FIRST
        fields.append(IcebergField(source.field_id, IdentityTransform(), direction, nulls))
    return SortOrder(*fields, order_id=1) if fields else UNSORTED_SORT_ORDER
