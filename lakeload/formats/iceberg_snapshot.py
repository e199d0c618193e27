"""One snapshot: its manifests, its manifest list, its summary. Part of commit.

Rules: Iceberg specification v2, section "Snapshots", and its appendix on summary fields.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from lakeload.formats.iceberg_files import FileWriter
from lakeload.formats.iceberg_manifests import ManifestReader, ManifestWriter
from lakeload.formats.iceberg_position import summary_entry

if TYPE_CHECKING:
    from lakeload.formats.iceberg_avro import DataFile, ManifestEntry, ManifestFile
    from lakeload.formats.iceberg_document import Document
    from lakeload.formats.iceberg_types import PartitionSpec, Schema
    from lakeload.model.changes import Changeset
    from lakeload.write.store import Store

LOAD_ID_KEY = "lakeload.load-id"

Removed: TypeAlias = "Sequence[tuple[ManifestFile, list[ManifestEntry]]]"
"""Entries to remove, with the manifest that holds them."""

_TOTALS = {
    "total-records": ("added-records", "deleted-records"),
    "total-files-size": ("added-files-size", "removed-files-size"),
    "total-data-files": ("added-data-files", "deleted-data-files"),
    "total-delete-files": ("", ""),
    "total-position-deletes": ("", ""),
    "total-equality-deletes": ("", ""),
}


@dataclass(slots=True)
class SnapshotBuilder:
    """Writes the snapshot of one changeset.

    Args:
        table: Table name, for messages.
        location: Root of the table.
        base: The version the snapshot follows; `None` for a table's first.
        schema: Schema of the added files.
        spec: Partition spec of the added files.
        specs: All partition specs by id.
        order: Id of the sort order that `DataFile.sorted` promises; `None` when there is none.
        properties: Table properties after the commit.
        reader: Manifests as read so far.
        store: Where metadata goes.
        now_ms: Milliseconds since the epoch.
        written: Filled with the files written, to be deleted when the commit fails.
    """

    table: str
    location: str
    base: Document | None
    schema: Schema
    spec: PartitionSpec
    specs: Mapping[int, PartitionSpec]
    order: int | None
    properties: Mapping[str, str]
    reader: ManifestReader
    store: Store
    now_ms: int
    written: list[str] = field(default_factory=list)

    def build(self, changeset: Changeset, known: Mapping[str, int], removed: Removed) -> dict[str, Any]:
        """Write manifests and manifest list.

        Args:
            changeset: What changes.
            known: Positions before the commit.
            removed: What the changeset's removal means for this version.

        Returns:
            The snapshot as the specification's JSON object.
        """
        number = uuid.uuid4().int >> 65  # 63 random bits: positive, as other writers have it
        base, parent = self.base, self.base.head if self.base is not None else None
        sequence = (base.get("last-sequence-number", 0) if base is not None else 0) + 1
        writer = ManifestWriter(
            schema=self.schema,
            specs=self.specs,
            schemas=[self.schema, *(base.schemas if base is not None else ())],
            snapshot=number,
            sequence=sequence,
            parent=parent,
            codec=self.properties.get("write.avro.compression-codec", "gzip"),
            store=self.store,
            reader=self.reader,
        )
        files = FileWriter(self.table, self.location, self.schema, self.spec, self.order, self.properties)
        added = files.convert(changeset.add)
        self.written = writer.written
        manifests = self._manifests(writer, added, removed)
        gone = [entry.data_file for _, entries in removed for entry in entries]
        snapshot = {
            "snapshot-id": number,
            "sequence-number": sequence,
            "timestamp-ms": self.now_ms if base is None else max(self.now_ms, base.get("last-updated-ms", 0)),
            "manifest-list": writer.write_list(manifests),
            "summary": {
                **_summary(changeset, added, gone, base),
                **summary_entry(known, changeset.token),
            },
            "schema-id": self.schema.schema_id,
        }
        return snapshot if parent is None else {**snapshot, "parent-snapshot-id": parent}

    def _manifests(
        self, writer: ManifestWriter, added: list[DataFile], removed: Removed
    ) -> list[ManifestFile]:
        result = [writer.added(self.spec.spec_id, added)] if added else []
        touched: dict[int, tuple[list[ManifestEntry], list[ManifestEntry]]] = defaultdict(lambda: ([], []))
        for manifest, entries in removed:
            kept, gone = touched[manifest.partition_spec_id]
            paths = {entry.data_file.file_path for entry in entries}
            kept += [
                entry for entry in self.reader.entries(manifest) if entry.data_file.file_path not in paths
            ]
            gone += entries
        # The manifests a removal touches become one, which is how folding keeps their number down.
        result += [writer.rewritten(spec_id, kept, gone) for spec_id, (kept, gone) in touched.items()]
        seen = {manifest.manifest_path for manifest, _ in removed}
        others = self.reader.manifests(self.base) if self.base is not None else []
        others = [manifest for manifest in others if manifest.manifest_path not in seen]
        if self.properties.get("commit.manifest-merge.enabled", "true") == "true":
            others = writer.merged(others)
        return result + others


def _summary(
    changeset: Changeset, added: list[DataFile], gone: list[DataFile], base: Document | None
) -> dict[str, str]:
    """What readers and people see of the snapshot; counts as other engines write them."""
    places = {(file.spec_id, file.partition) for file in [*added, *gone]}
    counts = {
        "added-data-files": len(added),
        "deleted-data-files": len(gone),
        "added-records": sum(file.record_count for file in added),
        "deleted-records": sum(file.record_count for file in gone),
        "added-files-size": sum(file.file_size_in_bytes for file in added),
        "removed-files-size": sum(file.file_size_in_bytes for file in gone),
        "changed-partition-count": len(places),
    }
    head = base.snapshot(base.head) if base is not None else None
    previous = head.get("summary", {}) if head is not None else dict.fromkeys(_TOTALS, "0")
    totals = {
        name: int(previous[name]) + counts.get(plus, 0) - counts.get(minus, 0)
        for name, (plus, minus) in _TOTALS.items()
        if name in previous  # an engine that did not count before us leaves nothing to add to
    }
    return {
        "operation": _operation(changeset, added, gone),
        LOAD_ID_KEY: changeset.load_id,
        **{name: str(value) for name, value in counts.items() if value},
        **{name: str(value) for name, value in totals.items()},
    }


def _operation(changeset: Changeset, added: list[DataFile], gone: list[DataFile]) -> str:
    """The specification's word for what happened, which incremental readers go by."""
    if changeset.operation == "replace":
        return "replace"
    if not gone:
        return "append"
    return "overwrite" if added else "delete"
