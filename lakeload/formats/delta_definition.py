"""What a Delta commit says about the table itself: `protocol` and `metaData` actions.

Part of commit: creation, schema changes and properties of `delta_changes.plan`. Nothing is written here.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from lakeload.errors import TableError
from lakeload.formats import delta_features as features
from lakeload.formats.delta_log import Action
from lakeload.formats.delta_partition import PartitionColumn, partition_columns
from lakeload.formats.delta_schema import (
    check_name,
    contains,
    leaf_name,
    merge_fields,
    same_types,
    unstamped,
)
from lakeload.formats.delta_state import DELTA_TARGET_SIZE, LAST_ID_PROPERTY, View, largest_id
from lakeload.model.changes import Changeset
from lakeload.model.layout import Layout
from lakeload.model.table import PARTITION_PROPERTY, SORT_PROPERTY, TARGET_SIZE_PROPERTY

_NTZ = pa.timestamp("us")


def created(changeset: Changeset, *, table: str, at: int) -> list[Action]:
    """The actions that make a table.

    Raises:
        TableError: The layout or a property is not possible.
        SchemaError: A column cannot be stored.
    """
    layout = changeset.create.layout if changeset.create else Layout()
    given = changeset.create.properties if changeset.create else {}
    features.check_properties(given, table=table)
    columns = partition_columns(layout.partition_by, changeset.schema, table=table)
    fields = merge_fields([], changeset.schema, table=table)
    fields += _generated_fields(columns, fields, table)
    metadata = {
        "id": str(uuid.uuid4()),
        "name": table,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": _schema_string(fields),
        "partitionColumns": [column.name for column in columns],
        "configuration": {**_delta_spelling(given), **_recorded(layout, largest_id(changeset.schema))},
        "createdTime": at,
    }
    protocol = features.new_protocol(ntz=contains(changeset.schema, _NTZ))
    return [{"protocol": protocol}, {"metaData": metadata}]


def _recorded(layout: Layout, last_id: int) -> dict[str, str]:
    """What Delta has no place for, kept as table properties."""
    found = {LAST_ID_PROPERTY: str(last_id)}
    for key, fields in ((PARTITION_PROPERTY, layout.partition_by), (SORT_PROPERTY, layout.sort_by)):
        if fields:
            found[key] = json.dumps([str(field) for field in fields])
    return found


def _generated_fields(
    columns: Iterable[PartitionColumn], fields: Sequence[Action], table: str
) -> list[Action]:
    taken = {field["name"].lower() for field in fields}
    found: list[Action] = []
    for column in columns:
        if column.generated:
            check_name(column.name, taken, table=table)
            taken.add(column.name.lower())
            kind = leaf_name(column.kind, (column.name,), table=table)
            metadata = {"comment": f"{column.field}: partition column kept by lakeload"}
            found.append({"name": column.name, "type": kind, "nullable": True, "metadata": metadata})
    return found


def changed(changeset: Changeset, base: View, *, table: str) -> list[Action]:
    """The actions that bring an existing table's schema and properties up to date; often none.

    Raises:
        TableError: A property is not possible, or the files do not have the table's columns.
        SchemaError: A column cannot be stored.
    """
    features.check_properties(changeset.properties, table=table)
    metadata = base.snapshot.metadata
    before = metadata.get("configuration") or {}
    properties = {**before, **_delta_spelling(changeset.properties)}
    fields = base.fields
    if changeset.schema_changes or _must_stamp(changeset, base):
        wanted = changeset.schema if changeset.schema_changes else base.schema
        _check_generated(wanted, base, table)
        fields = merge_fields(fields, wanted, table=table)
        properties[LAST_ID_PROPERTY] = str(max(base.last_column_id, largest_id(wanted)))
    if changeset.add and not changeset.schema_changes:
        _check_columns(changeset.schema, base.schema, table)
    if fields == base.fields and properties == before:
        return []
    found = {**metadata, "schemaString": _schema_string(fields), "configuration": properties}
    ntz = contains(changeset.schema, _NTZ) and not features.knows_ntz(base.snapshot.protocol)
    upgrade = [{"protocol": features.with_ntz(base.snapshot.protocol)}] if ntz else []
    return [*upgrade, {"metaData": found}]


def _check_generated(schema: pa.Schema, base: View, table: str) -> None:
    """Readers take a column of a partition column's name from the log, whatever the files hold."""
    generated = {name.lower() for name in base.generated}
    for name in schema.names:
        if name.lower() in generated:
            raise TableError(
                "the column has the name of a partition column that lakeload keeps",
                table=table,
                column=name,
                hint="Rename it in the source.",
            )


def _must_stamp(changeset: Changeset, base: View) -> bool:
    """Files carry field ids, so from the first one on the log must remember which column had which."""
    return bool(changeset.add) and unstamped(
        field for field in base.fields if field["name"] not in base.generated
    )


def _check_columns(files: pa.Schema, table_schema: pa.Schema, table: str) -> None:
    """Without a schema change on record, the files must have the columns of the table."""
    for field in files:
        position = table_schema.get_field_index(field.name)
        if position < 0 or not same_types(table_schema.field(position).type, field.type):
            raise TableError(
                f"the files have a column of type {field.type} that the table has not",
                table=table,
                column=field.name,
                hint="The table changed after the files were written; run the load again.",
            )


def _schema_string(fields: Sequence[Action]) -> str:
    return json.dumps({"type": "struct", "fields": list(fields)}, ensure_ascii=False)


def _delta_spelling(properties: Mapping[str, str]) -> dict[str, str]:
    names = {TARGET_SIZE_PROPERTY: DELTA_TARGET_SIZE}
    return {names.get(key, key): value for key, value in properties.items()}
