"""Manifests and manifest lists: reading, writing, and keeping their number small. Part of commit.

Every append adds one manifest. Left alone, a thousand loads would leave a thousand of them in every
manifest list; merging all of them each time would rewrite everything for ever. So manifests are merged in
tiers: sixteen of about one size become one of the next size, each entry being rewritten once per tier.

Rules: Iceberg specification v2, sections "Manifests" and "Manifest Lists".
"""

from __future__ import annotations

import json
import math
import uuid
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lakeload.formats.iceberg_avro import (
    ADDED,
    DATA,
    DELETED,
    EXISTING,
    DataFile,
    ManifestEntry,
    ManifestFile,
    Summary,
    read_entries,
    read_list,
    write_entries,
    write_list,
)
from lakeload.formats.iceberg_types import PartitionSpec, Schema, schema_json, spec_fields_json
from lakeload.formats.iceberg_values import lower_bound, upper_bound
from lakeload.write.store import Store

if TYPE_CHECKING:
    from lakeload.formats.iceberg_document import Document

FAN_IN = 16
"""Manifests of one tier that are merged into one of the next."""
MERGE_BELOW_BYTES = 4 << 20
"""Larger manifests are left alone; half of Iceberg's default target of 8 MiB."""
_CACHED_ENTRIES = 100_000
_UNASSIGNED = -1


class ManifestReader:
    """Reads manifests of one table; remembers them, because they never change.

    Args:
        read: The bytes of a file of the table.
    """

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self._lists: tuple[str, list[ManifestFile]] | None = None
        self._entries: OrderedDict[str, tuple[ManifestEntry, ...]] = OrderedDict()
        self._held = 0

    def manifests(self, document: Document) -> list[ManifestFile]:
        """Manifests of the current snapshot that still hold live files."""
        snapshot = document.snapshot(document.head)
        if snapshot is None:
            return []
        path = snapshot["manifest-list"]
        if self._lists is None or self._lists[0] != path:
            self._lists = (path, read_list(self._read(path), path))
        return [manifest for manifest in self._lists[1] if _live(manifest)]

    def entries(self, manifest: ManifestFile) -> tuple[ManifestEntry, ...]:
        """Live entries, sequence numbers filled in."""
        found = self._entries.get(manifest.manifest_path)
        if found is None:
            entries = read_entries(self._read(manifest.manifest_path), manifest)
            found = tuple(entry for entry in entries if entry.status != DELETED)
            self.remember(manifest.manifest_path, found)
        else:
            self._entries.move_to_end(manifest.manifest_path)
        return found

    def remember(self, path: str, entries: tuple[ManifestEntry, ...]) -> None:
        """Keep the live entries of a manifest; the least recently used give way."""
        self._entries[path] = entries
        self._held += len(entries)
        while self._held > _CACHED_ENTRIES and len(self._entries) > 1:
            _, dropped = self._entries.popitem(last=False)
            self._held -= len(dropped)

    def remember_list(self, path: str, manifests: list[ManifestFile]) -> None:
        """Keep a manifest list just written."""
        self._lists = (path, manifests)


def _live(manifest: ManifestFile) -> bool:
    # A count that is missing may be any.
    return manifest.added_files_count != 0 or manifest.existing_files_count != 0


def is_data(manifest: ManifestFile) -> bool:
    """True for manifests of data files, false for those of delete files."""
    return manifest.content == DATA


class ManifestWriter:
    """Writes the manifests and the manifest list of one snapshot.

    Args:
        schema: Schema to record in the manifests.
        specs: Partition specs by id.
        schemas: All schemas of the table, the newest first, for partition specs of columns dropped since.
        codec: Avro compression, as the table property names it.
        snapshot: Id of the new snapshot.
        sequence: Sequence number of the new snapshot.
        parent: Id of the snapshot it follows.
        store: Where metadata goes.
        reader: Learns what was written, so that the next commit need not read it.
    """

    def __init__(
        self,
        *,
        schema: Schema,
        specs: Mapping[int, PartitionSpec],
        schemas: Sequence[Schema],
        codec: str,
        snapshot: int,
        sequence: int,
        parent: int | None,
        store: Store,
        reader: ManifestReader,
    ) -> None:
        self._schema, self._specs, self._schemas, self._codec = schema, specs, schemas, codec
        self._snapshot, self._sequence, self._parent = snapshot, sequence, parent
        self._store, self._reader = store, reader
        self.written: list[str] = []

    def added(self, spec_id: int, files: Sequence[DataFile]) -> ManifestFile:
        """One manifest of new files."""
        return self._manifest(
            spec_id, [ManifestEntry(ADDED, self._snapshot, None, None, file) for file in files]
        )

    def rewritten(
        self, spec_id: int, kept: Iterable[ManifestEntry], removed: Iterable[ManifestEntry] = ()
    ) -> ManifestFile:
        """One manifest of files the table already has: those that stay, and those that go now."""
        stay = [entry._replace(status=EXISTING) for entry in kept]
        gone = [entry._replace(status=DELETED, snapshot_id=self._snapshot) for entry in removed]
        return self._manifest(spec_id, stay + gone)

    def merged(self, manifests: Sequence[ManifestFile]) -> list[ManifestFile]:
        """The manifests, those of one tier merged where there are `FAN_IN` of them."""
        tiers: dict[tuple[int, int], list[ManifestFile]] = defaultdict(list)
        result = []
        for manifest in manifests:
            if is_data(manifest) and manifest.manifest_length < MERGE_BELOW_BYTES:
                tiers[manifest.partition_spec_id, _tier(manifest)].append(manifest)
            else:
                result.append(manifest)
        for (spec_id, _), group in sorted(tiers.items(), key=lambda item: item[0]):
            if len(group) < FAN_IN:
                result.extend(group)
                continue
            entries = [entry for manifest in group for entry in self._reader.entries(manifest)]
            result.append(self.rewritten(spec_id, entries))
        return result

    def write_list(self, manifests: list[ManifestFile]) -> str:
        """Write the manifest list; its location."""
        # What this snapshot writes gets its sequence number here.
        numbered = [
            manifest._replace(
                sequence_number=self._sequence if manifest.sequence_number < 0 else manifest.sequence_number,
                min_sequence_number=(
                    self._sequence if manifest.min_sequence_number < 0 else manifest.min_sequence_number
                ),
            )
            for manifest in map(self._counted, manifests)
        ]
        facts = {
            "snapshot-id": str(self._snapshot),
            "parent-snapshot-id": "null" if self._parent is None else str(self._parent),
            "sequence-number": str(self._sequence),
            "format-version": "2",
        }
        path = self._put("snap", write_list(numbered, facts, self._codec))[0]
        self._reader.remember_list(path, numbered)
        return path

    def _manifest(self, spec_id: int, entries: list[ManifestEntry]) -> ManifestFile:
        spec = self._specs[spec_id]
        kinds = spec.kinds(self._schemas)
        facts = {
            "schema": json.dumps(schema_json(self._schema)),
            "partition-spec": json.dumps(spec_fields_json(spec)),
            "partition-spec-id": str(spec_id),
            "format-version": "2",
            "content": "data",
        }
        path, size = self._put("m", write_entries(entries, spec, kinds, facts, self._codec))
        live = [entry for entry in entries if entry.status != DELETED]
        known = [entry.sequence_number for entry in live if entry.sequence_number is not None]
        self._reader.remember(path, tuple(map(self._numbered, live)))
        by = {status: [e.data_file for e in entries if e.status == status] for status in range(3)}
        return ManifestFile(
            manifest_path=path,
            manifest_length=size,
            partition_spec_id=spec_id,
            content=DATA,
            sequence_number=_UNASSIGNED,
            min_sequence_number=min(known, default=_UNASSIGNED),
            added_snapshot_id=self._snapshot,
            added_files_count=len(by[ADDED]),
            existing_files_count=len(by[EXISTING]),
            deleted_files_count=len(by[DELETED]),
            added_rows_count=sum(file.record_count for file in by[ADDED]),
            existing_rows_count=sum(file.record_count for file in by[EXISTING]),
            deleted_rows_count=sum(file.record_count for file in by[DELETED]),
            partitions=_summaries([entry.data_file for entry in entries], kinds),
        )

    def _counted(self, manifest: ManifestFile) -> ManifestFile:
        """The manifest with its counts, which writers of format version 1 could leave out."""
        if None not in manifest[7:13]:
            return manifest
        files = {
            status: [e.data_file for e in self._reader.entries(manifest) if e.status == status]
            for status in (ADDED, EXISTING)
        }
        return manifest._replace(
            added_files_count=len(files[ADDED]),
            existing_files_count=len(files[EXISTING]),
            deleted_files_count=manifest.deleted_files_count or 0,
            added_rows_count=sum(file.record_count for file in files[ADDED]),
            existing_rows_count=sum(file.record_count for file in files[EXISTING]),
            deleted_rows_count=manifest.deleted_rows_count or 0,
        )

    def _numbered(self, entry: ManifestEntry) -> ManifestEntry:
        """The entry as it will be read."""
        own, file = entry.sequence_number, entry.file_sequence_number
        return entry._replace(
            sequence_number=self._sequence if own is None else own,
            file_sequence_number=self._sequence if file is None else file,
        )

    def _put(self, prefix: str, data: bytes) -> tuple[str, int]:
        """Write a file; its address and size."""
        name = f"{prefix}-{self._snapshot}-{uuid.uuid4()}.avro"
        self._store.create(name, data)
        path = self._store.uri(name)
        self.written.append(path)
        return path, len(data)


def _summaries(files: Sequence[DataFile], kinds: Sequence[str]) -> tuple[Summary, ...]:
    """What the partition values of some files have in common, for planners to skip the manifest by."""
    found = []
    for place, kind in enumerate(kinds):
        values = [file.partition[place] for file in files]
        odd = [isinstance(value, float) and math.isnan(value) for value in values]
        plain = [value for value, nan in zip(values, odd, strict=True) if value is not None and not nan]
        lower = lower_bound(min(plain), kind, None) if plain else None
        upper = upper_bound(max(plain), kind, None) if plain else None
        found.append(Summary(None in values, any(odd), lower, upper))
    return tuple(found)


def _tier(manifest: ManifestFile) -> int:
    live = (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)
    return int(math.log(max(live, 1) + 0.5, FAN_IN))
