"""The versions and schemas an Iceberg table has had, as its metadata tells. Reading side of commit.

The metadata file lists every schema, with its id; engines drop those no snapshot refers to only when asked
to. When a schema came, and by which load, is told by the first snapshot written with it, which snapshot
expiry takes away (Iceberg specification v2, "Table Metadata Fields", "Snapshots").
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from lakeload.formats.iceberg_document import Document
from lakeload.formats.iceberg_schema import to_arrow
from lakeload.formats.iceberg_snapshot import LOAD_ID_KEY
from lakeload.formats.iceberg_types import read_schema
from lakeload.model.schema_history import SchemaRecord
from lakeload.model.table import Version


def versions(document: Document) -> list[Version]:
    """The snapshots that led to the current one, newest first."""
    return [_version(snapshot) for snapshot in document.ancestors()]


def _version(snapshot: dict[str, Any]) -> Version:
    summary = dict(snapshot.get("summary", {}))
    operation = summary.pop("operation", "overwrite")
    load_id = summary.pop(LOAD_ID_KEY, None)
    at = dt.datetime.fromtimestamp(snapshot["timestamp-ms"] / 1000, dt.UTC)
    return Version(snapshot["snapshot-id"], at, operation, load_id, summary)


def schemas(document: Document, *, table: str) -> list[SchemaRecord]:
    """The schemas the metadata lists, by their id.

    Args:
        document: The table's metadata.
        table: Table name, for messages.

    Raises:
        TableError: A schema has a type that cannot be honoured.
    """
    listed = sorted(document.get("schemas", []), key=lambda schema: schema["schema-id"])
    first = _first_snapshots(document)
    found = []
    for position, raw in enumerate(listed):
        number, snapshot = raw["schema-id"], first.get(raw["schema-id"])
        at = None
        if snapshot is not None:
            at = dt.datetime.fromtimestamp(snapshot["timestamp-ms"] / 1000, dt.UTC)
        load_id = None if snapshot is None else (snapshot.get("summary") or {}).get(LOAD_ID_KEY)
        schema = to_arrow(read_schema(raw), table)
        # Ids count from 0, so a list that begins there is whole.
        found.append(SchemaRecord(number, schema, at, load_id, first=position == 0 and number == 0))
    return found


def _first_snapshots(document: Document) -> dict[int, dict[str, Any]]:
    """The oldest snapshot there is of each schema.

    It is the schema's first only while nothing expired: the table's oldest snapshot may follow others of its
    schema, and is left out unless it has no parent.
    """
    found: dict[int, dict[str, Any]] = {}
    snapshots = sorted(document.get("snapshots") or [], key=lambda snapshot: snapshot["timestamp-ms"])
    for snapshot in snapshots:
        number = snapshot.get("schema-id")
        if number is not None:
            found.setdefault(number, snapshot)
    there = {snapshot["snapshot-id"] for snapshot in snapshots}
    return {
        number: snapshot
        for number, snapshot in found.items()
        if snapshot.get("parent-snapshot-id") is None or snapshot["parent-snapshot-id"] in there
    }
