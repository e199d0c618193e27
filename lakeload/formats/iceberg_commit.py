"""From a `Changeset` to one metadata change: manifests, snapshot, schema, position. Part of commit.

Everything is decided against one version of the table, `base`; the catalog then swaps that version for
the next or says that somebody was faster. Nothing is visible before that swap.

Rules: Iceberg specification v2, sections "Snapshots" and "Commit Conflict Resolution".
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakeload.errors import TableError
from lakeload.formats.iceberg_document import (
    DELETE_OLD,
    KEEP_VERSIONS,
    METADATA_PATH,
    Change,
    Document,
    NewTable,
)
from lakeload.formats.iceberg_files import Deletes, FileWriter, relative
from lakeload.formats.iceberg_layout import to_layout, to_sort_order, to_spec
from lakeload.formats.iceberg_manifests import ManifestReader, ManifestWriter, is_data
from lakeload.formats.iceberg_schema import to_arrow, to_iceberg
from lakeload.formats.iceberg_values import from_internal
from lakeload.model.changes import RemoveAll, RemoveFiles
from lakeload.model.table import OWNER_PROPERTY
from lakeload.write.store import Store

if TYPE_CHECKING:
    from pyiceberg.manifest import ManifestEntry, ManifestFile

    from lakeload.model.changes import Changeset, Token

LOAD_ID_KEY = "lakeload.load-id"
SEQUENCES_KEY = "lakeload.sequences"
"""Snapshot summary, mirrored in a table property: last sequence number of every pipeline, as JSON."""
SEQUENCES_AT_KEY = "lakeload.sequences-at"
"""Table property: the snapshot the mirrored map belongs to, empty when there was none yet."""

_TOTALS = {
    "total-records": ("added-records", "deleted-records"),
    "total-files-size": ("added-files-size", "removed-files-size"),
    "total-data-files": ("added-data-files", "deleted-data-files"),
    "total-delete-files": (None, None),
    "total-position-deletes": (None, None),
    "total-equality-deletes": (None, None),
}


class Moved(Exception):  # noqa: N818 - an outcome, not an error; it becomes a Conflict
    """The table is not what the changeset was made for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The change to publish, and the files to delete when it is not published."""

    change: Change
    written: tuple[str, ...] = ()


def sequences(document: Document) -> dict[str, int]:
    """Last committed sequence number of every pipeline, as of the current snapshot.

    The newest ancestor that carries the map tells; the table property speaks for a commit that made no
    snapshot, and when other engines expired every snapshot of ours. After a rollback of the table the
    positions are rolled back too.
    """
    mirrored = document.properties.get(SEQUENCES_KEY)
    at = document.properties.get(SEQUENCES_AT_KEY, "")
    for snapshot in document.ancestors():
        if mirrored is not None and str(snapshot["snapshot-id"]) == at:
            return _numbers(mirrored)
        carried = snapshot.get("summary", {}).get(SEQUENCES_KEY)
        if carried is not None:
            return _numbers(carried)
    return _numbers(mirrored or "{}")


def _numbers(text: str) -> dict[str, int]:
    return {str(name): int(number) for name, number in json.loads(text).items()}


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

    def plan(self, changeset: Changeset, base: Document | None) -> Plan | None:
        """The change; `None` when there is nothing to publish.

        Raises:
            Moved: A file to remove is gone.
            TableError: The change is not possible.
        """
        return self._creation(changeset) if base is None else self._follow(changeset, base)

    def _creation(self, changeset: Changeset) -> Plan:
        creation = changeset.create
        assert creation is not None  # noqa: S101 - the caller checks; narrows the type
        schema = to_iceberg(changeset.schema, self._table)
        spec = to_spec(creation.layout, schema, self._table)
        new = NewTable(str(uuid.uuid4()), self._location, spec, to_sort_order(creation.layout, schema, self._table))
        properties = {
            **new_properties(self._location), **creation.properties, **changeset.properties, OWNER_PROPERTY: "true"
        }
        if not changeset.add:
            position = _position({}, changeset.token, "") if changeset.token else {}
            return Plan(Change(self._now_ms, schema, {**properties, **position}, None, new))
        builder = _Builder(self, changeset, schema, {spec.spec_id: spec}, properties)
        snapshot = builder.snapshot(None, spec, new.order.order_id or None, self._location, {}, [])
        position = _position({}, changeset.token, snapshot["snapshot-id"])
        change = Change(self._now_ms, schema, {**properties, **position}, snapshot, new)
        return Plan(change, tuple(builder.writer.written))

    def _follow(self, changeset: Changeset, base: Document) -> Plan | None:
        model = base.model
        current = model.schema()
        schema = current
        if changeset.schema_changes or not _same_columns(changeset.schema, to_arrow(current, self._table)):
            number = max(known.schema_id for known in model.schemas) + 1
            schema = to_iceberg(changeset.schema, self._table, number, current)
        removed = self._removed(changeset, base)
        new_schema = None if schema is current else schema
        known = sequences(base)
        if not changeset.add and not removed:
            head = "" if base.head is None else base.head
            position = _position(known, changeset.token, head) if changeset.token else {}
            properties = {**changeset.properties, **position}
            return Plan(Change(self._now_ms, new_schema, properties)) if properties or new_schema else None
        builder = _Builder(self, changeset, schema, model.specs(), {**base.properties, **changeset.properties})
        order = model.default_sort_order_id or None
        if order is not None and not to_layout(model.spec(), model.sort_order(), current, self._table).sort_by:
            order = None  # an order lakeload cannot produce: its files are not claimed to follow it
        snapshot = builder.snapshot(base, model.spec(), order, model.location, known, removed)
        properties = {**changeset.properties, **_position(known, changeset.token, snapshot["snapshot-id"])}
        return Plan(Change(self._now_ms, new_schema, properties, snapshot), tuple(builder.writer.written))

    def _removed(self, changeset: Changeset, base: Document) -> list[tuple[ManifestFile, list[ManifestEntry]]]:
        """Entries to remove, by the manifest that holds them."""
        removal = changeset.remove
        if removal is None:
            return []
        manifests = [manifest for manifest in self._reader.manifests(base) if is_data(manifest)]
        chosen = self._chooser(changeset, base)
        found = [
            (manifest, [entry for entry in self._reader.entries(manifest) if chosen(entry)])
            for manifest in manifests
        ]
        found = [(manifest, entries) for manifest, entries in found if entries]
        gone = [entry for _, entries in found for entry in entries]
        if isinstance(removal, RemoveFiles):
            root = base.model.location
            there = {relative(entry.data_file.file_path, root) for entry in gone}
            missing = sorted(removal.paths - there)
            if missing:
                raise Moved(f"{missing[0]} is not a live file any more")
        if changeset.operation == "replace":
            self._check_neutral(changeset, base, gone)
        return found

    def _chooser(self, changeset: Changeset, base: Document) -> Callable[[ManifestEntry], bool]:
        removal, model = changeset.remove, base.model
        if isinstance(removal, RemoveAll):
            return lambda _: True
        if isinstance(removal, RemoveFiles):
            paths = removal.paths
            return lambda entry: relative(entry.data_file.file_path, model.location) in paths
        assert removal is not None  # noqa: S101 - the caller checks; narrows the type
        partitions = removal.partitions
        spec = model.spec()
        kinds = [field.field_type for field in spec.partition_type(model.schema()).fields]

        def inside(entry: ManifestEntry) -> bool:
            file = entry.data_file
            if file.spec_id != spec.spec_id:
                raise TableError(
                    "single partitions cannot be overwritten: a live file follows an older partitioning",
                    table=self._table, place=relative(file.file_path, model.location),
                    hint="Rewrite the table's files with another engine, or overwrite the whole table.",
                )
            values = tuple(from_internal(file.partition[i], kind) for i, kind in enumerate(kinds))
            return values in partitions

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


class _Builder:
    """Builds the snapshot of one changeset."""

    def __init__(
        self, planner: Planner, changeset: Changeset, schema: Any, specs: Mapping[int, Any], properties: Mapping[str, str]
    ) -> None:
        self._planner, self._changeset = planner, changeset
        self._schema, self._specs, self._properties = schema, dict(specs), properties
        self.writer: Any = None

    def snapshot(
        self, base: Document | None, spec: Any, order: int | None, location: str, known: Mapping[str, int],
        removed: list[tuple[ManifestFile, list[ManifestEntry]]],
    ) -> dict[str, Any]:
        """Write manifests and manifest list; the snapshot that refers to them."""
        changeset, planner = self._changeset, self._planner
        number = _snapshot_id()
        parent = base.head if base is not None else None
        sequence = (base.get("last-sequence-number", 0) if base is not None else 0) + 1
        root = self._properties.get(METADATA_PATH) or f"{location}/metadata"
        self.writer = ManifestWriter(
            schema=self._schema, specs=self._specs, snapshot=number, sequence=sequence, parent=parent,
            codec=self._properties.get("write.avro.compression-codec", "gzip"),
            store=planner._store(root.rstrip("/")), reader=planner._reader,  # noqa: SLF001 - one class in two parts
        )
        files = FileWriter(planner._table, location, self._schema, spec, order, self._properties)  # noqa: SLF001 - as above
        added = files.convert(changeset.add)
        manifests = self._manifests(base, spec.spec_id, added, removed)
        gone = [entry.data_file for _, entries in removed for entry in entries]
        summary = _summary(changeset, added, gone, base)
        summary[SEQUENCES_KEY] = _text(_advanced(known, changeset.token))
        at_ms = planner._now_ms if base is None else max(planner._now_ms, base.get("last-updated-ms", 0))  # noqa: SLF001 - as above
        snapshot = {
            "snapshot-id": number, "sequence-number": sequence, "timestamp-ms": at_ms,
            "manifest-list": self.writer.list(manifests), "summary": summary, "schema-id": self._schema.schema_id,
        }
        return snapshot if parent is None else {**snapshot, "parent-snapshot-id": parent}

    def _manifests(
        self, base: Document | None, spec_id: int, added: list[Any],
        removed: list[tuple[ManifestFile, list[ManifestEntry]]],
    ) -> list[ManifestFile]:
        reader = self._planner._reader  # noqa: SLF001 - as above
        result = [self.writer.added(spec_id, added)] if added else []
        touched: dict[int, tuple[list[Any], list[Any]]] = defaultdict(lambda: ([], []))
        for manifest, entries in removed:
            kept, gone = touched[manifest.partition_spec_id]
            names = {entry.data_file.file_path for entry in entries}
            kept += [entry for entry in reader.entries(manifest) if entry.data_file.file_path not in names]
            gone += entries
        result += [self.writer.rewritten(number, kept, gone) for number, (kept, gone) in touched.items()]
        paths = {manifest.manifest_path for manifest, _ in removed}
        others = reader.manifests(base) if base is not None else []
        others = [manifest for manifest in others if manifest.manifest_path not in paths]
        if self._properties.get("commit.manifest-merge.enabled", "true") == "true":
            others = self.writer.merged(others)
        return result + others


def new_properties(location: str) -> dict[str, str]:
    """Properties of a table lakeload creates.

    Metadata goes to a directory whose name begins with an underscore, so that Delta's vacuum leaves it
    alone when both formats share the place; old metadata files are deleted, since each lists all snapshots.
    """
    return {
        METADATA_PATH: f"{location}/_iceberg",
        "write.data.path": f"{location}/data",
        KEEP_VERSIONS: "20",
        DELETE_OLD: "true",
    }


def deletes_of(reader: ManifestReader, document: Document) -> Deletes | None:
    """What the table's delete files mark; `None` when it has none."""
    manifests = [manifest for manifest in reader.manifests(document) if not is_data(manifest)]
    if not manifests:
        return None
    return Deletes(entry for manifest in manifests for entry in reader.entries(manifest))


def _snapshot_id() -> int:
    return uuid.uuid4().int >> 65  # 63 random bits: positive, as other writers have it


def _advanced(known: Mapping[str, int], token: Token | None) -> dict[str, int]:
    return {**known, token.pipeline: token.sequence} if token is not None else dict(known)


def _position(known: Mapping[str, int], token: Token | None, at: object) -> dict[str, str]:
    return {SEQUENCES_KEY: _text(_advanced(known, token)), SEQUENCES_AT_KEY: str(at)}


def _text(numbers: Mapping[str, int]) -> str:
    return json.dumps(numbers, separators=(",", ":"), sort_keys=True)


def _same_columns(one: pa.Schema, other: pa.Schema) -> bool:
    return one.equals(other, check_metadata=True) or _fingerprint(one) == _fingerprint(other)


def _fingerprint(schema: pa.Schema) -> list[Any]:
    from lakeload.model.schema import children, field_id

    def facts(field: pa.Field) -> tuple[Any, ...]:
        inner = [facts(child) for child in children(field.type)]
        return (field.name, field_id(field), field.nullable, inner or str(field.type))

    return [facts(field) for field in schema]


def _summary(changeset: Changeset, added: list[Any], gone: list[Any], base: Document | None) -> dict[str, str]:
    """What readers and people see of the snapshot; counts as other engines write them."""
    places = {(file.spec_id, tuple(file.partition._data)) for file in [*added, *gone]}  # noqa: SLF001 - Record offers no iteration
    counts = {
        "added-data-files": len(added),
        "deleted-data-files": len(gone),
        "added-records": sum(file.record_count for file in added),
        "deleted-records": sum(file.record_count for file in gone),
        "added-files-size": sum(file.file_size_in_bytes for file in added),
        "removed-files-size": sum(file.file_size_in_bytes for file in gone),
        "changed-partition-count": len(places),
    }
    previous = (base.snapshot(base.head) or {}).get("summary", {}) if base is not None else {}
    totals = {}
    for name, (plus, minus) in _TOTALS.items():
        before = previous.get(name, "0" if not previous else None)
        if before is None:
            continue  # the engine before us did not count; do not invent a number
        totals[name] = int(before) + counts.get(plus or "", 0) - counts.get(minus or "", 0)
    return {
        "operation": _operation(changeset, added, gone),
        LOAD_ID_KEY: changeset.load_id,
        **{name: str(value) for name, value in counts.items() if value},
        **{name: str(value) for name, value in totals.items()},
    }


def _operation(changeset: Changeset, added: list[Any], gone: list[Any]) -> str:
    """The specification's word for what happened, which incremental readers go by."""
    if changeset.operation == "replace":
        return "replace"
    if not gone:
        return "append"
    return "overwrite" if added else "delete"
