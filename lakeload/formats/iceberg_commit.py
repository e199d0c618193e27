"""From a `Changeset` to one metadata change: creation, schema, files, position. Part of commit.

Everything is decided against one version of the table, `base`; the catalog then swaps that version for
the next or says that somebody was faster. Nothing is visible before that swap.

Rules: Iceberg specification v2, section "Commit Conflict Resolution and Retry".
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakeload.errors import TableError
from lakeload.formats.iceberg_document import (
    DELETE_OLD,
    KEEP_VERSIONS,
    Change,
    Document,
    NewTable,
    metadata_folder,
)
from lakeload.formats.iceberg_layout import to_layout, to_sort_order, to_spec
from lakeload.formats.iceberg_live import deletes_of, older_partitioning, relative
from lakeload.formats.iceberg_manifests import ManifestReader, is_data
from lakeload.formats.iceberg_position import properties_entry, sequences
from lakeload.formats.iceberg_schema import same_columns, to_arrow, to_iceberg
from lakeload.formats.iceberg_snapshot import Removed, SnapshotBuilder
from lakeload.formats.iceberg_values import from_internal
from lakeload.model.changes import RemoveAll, RemoveFiles
from lakeload.model.table import OWNER_PROPERTY
from lakeload.write.store import Store

if TYPE_CHECKING:
    from lakeload.formats.iceberg_avro import ManifestEntry
    from lakeload.formats.iceberg_types import Schema
    from lakeload.model.changes import Changeset


class Moved(Exception):  # noqa: N818 - an outcome, not an error; it becomes a Conflict
    """The table is not what the changeset was made for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The change to publish, and the files to delete when it is not published."""

    change: Change
    written: tuple[str, ...] = ()


class Planner:
    """Plans changes of one table.

    Args:
        table: Table name, for messages.
        location: Root of a table to create.
        reader: Manifests as read so far.
        store: Opens a directory for writing.
        now_ms: Milliseconds since the epoch.
    """

    def __init__(
        self, table: str, location: str, reader: ManifestReader, store: Callable[[str], Store], now_ms: int
    ) -> None:
        self._table, self._location = table, location
        self._reader, self._store, self._now_ms = reader, store, now_ms

    def create_empty(self, changeset: Changeset) -> Plan:
        """The change that creates the table without file and position.

        Raises:
            TableError: Such a table is not possible.
        """
        return self._create(replace(changeset, add=(), token=None))

    def plan(self, changeset: Changeset, base: Document | None) -> Plan | None:
        """The change; `None` when there is nothing to publish.

        Raises:
            Moved: A file to remove is gone.
            TableError: The change is not possible.
        """
        return self._create(changeset) if base is None else self._follow(changeset, base)

    def _create(self, changeset: Changeset) -> Plan:
        creation = changeset.create
        if creation is None:
            raise Moved("the table does not exist")
        schema = to_iceberg(changeset.schema, self._table)
        spec = to_spec(creation.layout, schema, self._table)
        order = to_sort_order(creation.layout, schema, self._table)
        new = NewTable(str(uuid.uuid4()), self._location, spec, order)
        properties = {
            **new_properties(self._location),
            **creation.properties,
            **changeset.properties,
            OWNER_PROPERTY: "true",
        }
        if not changeset.add:
            position = properties_entry({}, changeset.token, None) if changeset.token else {}
            return Plan(Change(self._now_ms, schema, {**properties, **position}, None, new))
        builder = SnapshotBuilder(
            table=self._table,
            location=self._location,
            base=None,
            schema=schema,
            spec=spec,
            specs={spec.spec_id: spec},
            order=order.order_id or None,
            properties=properties,
            reader=self._reader,
            store=self._store(metadata_folder(properties, self._location)),
            now_ms=self._now_ms,
        )
        snapshot = builder.build(changeset, {}, [])
        position = properties_entry({}, changeset.token, snapshot["snapshot-id"])
        change = Change(self._now_ms, schema, {**properties, **position}, snapshot, new)
        return Plan(change, tuple(builder.written))

    def _follow(self, changeset: Changeset, base: Document) -> Plan | None:
        evolved = self._evolved(changeset, base)
        removed = self._removed(changeset, base)
        known = sequences(base)
        if not changeset.add and not removed:
            position = properties_entry(known, changeset.token, base.head) if changeset.token else {}
            properties = {**changeset.properties, **position}
            return Plan(Change(self._now_ms, evolved, properties)) if properties or evolved else None
        builder = SnapshotBuilder(
            table=self._table,
            location=base.get("location").rstrip("/"),
            base=base,
            schema=evolved or base.schema,
            spec=base.spec,
            specs=base.specs,
            order=self._order(base),
            properties={**base.properties, **changeset.properties},
            reader=self._reader,
            store=self._store(base.metadata_root),
            now_ms=self._now_ms,
        )
        snapshot = builder.build(changeset, known, removed)
        position = properties_entry(known, changeset.token, snapshot["snapshot-id"])
        change = Change(self._now_ms, evolved, {**changeset.properties, **position}, snapshot)
        return Plan(change, tuple(builder.written))

    def _evolved(self, changeset: Changeset, base: Document) -> Schema | None:
        """The new current schema; `None` when the table's columns stay as they are."""
        if same_columns(changeset.schema, to_arrow(base.schema, self._table)):
            return None
        number = max(known.schema_id for known in base.schemas) + 1
        return to_iceberg(changeset.schema, self._table, number, base.schema)

    def _order(self, base: Document) -> int | None:
        # An order lakeload cannot produce is not part of the layout: no file is claimed to follow it.
        layout = to_layout(base.spec, base.order, base.schema, self._table)
        return base.order.order_id if layout.sort_by else None

    def _removed(self, changeset: Changeset, base: Document) -> Removed:
        """What the removal means for this version."""
        removal = changeset.remove
        if removal is None:
            return []
        chosen = self._chooser(changeset, base)
        searched = [
            (manifest, [entry for entry in self._reader.entries(manifest) if chosen(entry)])
            for manifest in self._reader.manifests(base)
            if is_data(manifest)
        ]
        found = [(manifest, entries) for manifest, entries in searched if entries]
        gone = [entry for _, entries in found for entry in entries]
        if isinstance(removal, RemoveFiles):
            there = {relative(entry.data_file.file_path, base.get("location")) for entry in gone}
            missing = sorted(removal.paths - there)
            if missing:
                raise Moved(f"{missing[0]} is not a live file any more")
        if changeset.operation == "replace":
            self._check_neutral(changeset, base, gone)
        return found

    def _chooser(self, changeset: Changeset, base: Document) -> Callable[[ManifestEntry], bool]:
        removal, location = changeset.remove, base.get("location")
        if removal is None or isinstance(removal, RemoveAll):
            return lambda _: True
        if isinstance(removal, RemoveFiles):
            paths = removal.paths
            return lambda entry: relative(entry.data_file.file_path, location) in paths
        partitions, spec = removal.partitions, base.spec
        kinds = spec.kinds(base.schemas)

        def inside(entry: ManifestEntry) -> bool:
            file = entry.data_file
            if file.spec_id != spec.spec_id:
                raise older_partitioning(self._table, relative(file.file_path, location))
            return tuple(map(from_internal, file.partition, kinds)) in partitions

        return inside

    def _check_neutral(self, changeset: Changeset, base: Document, gone: list[ManifestEntry]) -> None:
        before = sum(entry.data_file.record_count for entry in gone)
        after = sum(file.rows for file in changeset.add)
        if before != after:
            raise TableError(
                f"a rewrite must keep every row: {before} before, {after} after", table=self._table
            )
        deletes = deletes_of(self._reader, base)
        if deletes is not None and any(deletes.touch(entry) for entry in gone):
            raise Moved("a file to rewrite has rows marked deleted")


def new_properties(location: str) -> dict[str, str]:
    """Properties of a table lakeload creates.

    Old metadata files are deleted, since each lists all snapshots.
    """
    return {
        "write.data.path": f"{location}/data",
        KEEP_VERSIONS: "20",
        DELETE_OLD: "true",
    }
