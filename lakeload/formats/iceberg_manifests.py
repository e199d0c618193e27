"""Manifests and manifest lists: reading, writing, and keeping their number small. Part of commit.

Every append adds one manifest. Left alone, a thousand loads would leave a thousand of them in every
manifest list; merging all of them each time would rewrite everything for ever. So manifests are merged in
tiers: sixteen of about one size become one of the next size, each entry being rewritten once per tier.

Rules: Iceberg specification v2, sections "Manifests" and "Manifest Lists".
"""

from __future__ import annotations

import io
import math
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyiceberg.io import OutputFile

from lakeload.write.store import Store

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import ManifestEntry, ManifestFile

    from lakeload.formats.iceberg_document import Document

FAN_IN = 16
"""Manifests of one tier that are merged into one of the next."""
MERGE_BELOW_BYTES = 4 << 20
"""Larger manifests are left alone; half of Iceberg's default target of 8 MiB."""
_CACHED_ENTRIES = 100_000


class ManifestReader:
    """Reads manifests of one table; remembers them, because they never change.

    Args:
        files: pyiceberg's access to the place.
    """

    def __init__(self, files: FileIO) -> None:
        self._files = files
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
            from pyiceberg.manifest import read_manifest_list

            self._lists = (path, list(read_manifest_list(self._files.new_input(path))))
        return [manifest for manifest in self._lists[1] if _live(manifest)]

    def entries(self, manifest: ManifestFile) -> tuple[ManifestEntry, ...]:
        """Live entries, sequence numbers filled in."""
        found = self._entries.get(manifest.manifest_path)
        if found is None:
            found = tuple(manifest.fetch_manifest_entry(self._files, discard_deleted=True))
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
    return manifest.has_added_files() or manifest.has_existing_files()


def is_data(manifest: ManifestFile) -> bool:
    """True for manifests of data files, false for those of delete files."""
    from pyiceberg.manifest import ManifestContent

    return manifest.content == ManifestContent.DATA


class ManifestWriter:
    """Writes the manifests and the manifest list of one snapshot.

    Args:
        schema: Schema to record in the manifests.
        specs: Partition specs by id.
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
        schema: Any,
        specs: Mapping[int, Any],
        codec: Any,
        snapshot: int,
        sequence: int,
        parent: int | None,
        store: Store,
        reader: ManifestReader,
    ) -> None:
        self._schema, self._specs, self._codec = schema, specs, codec
        self._snapshot, self._sequence, self._parent = snapshot, sequence, parent
        self._store, self._reader = store, reader
        self.written: list[str] = []

    def added(self, spec_id: int, files: Sequence[Any]) -> ManifestFile:
        """One manifest of new files."""
        from pyiceberg.manifest import ManifestEntry, ManifestEntryStatus

        entries = [
            ManifestEntry.from_args(
                status=ManifestEntryStatus.ADDED,
                snapshot_id=self._snapshot,
                sequence_number=None,
                file_sequence_number=None,
                data_file=file,
            )
            for file in files
        ]
        return self._manifest(spec_id, entries)

    def rewritten(
        self, spec_id: int, kept: Iterable[ManifestEntry], removed: Iterable[ManifestEntry] = ()
    ) -> ManifestFile:
        """One manifest of files the table already has: those that stay, and those that go now."""
        from pyiceberg.manifest import ManifestEntry, ManifestEntryStatus

        def entry(old: ManifestEntry, *, gone: bool) -> ManifestEntry:
            return ManifestEntry.from_args(
                status=ManifestEntryStatus.DELETED if gone else ManifestEntryStatus.EXISTING,
                snapshot_id=self._snapshot if gone else old.snapshot_id,
                sequence_number=old.sequence_number,
                file_sequence_number=old.file_sequence_number,
                data_file=old.data_file,
            )

        entries = [entry(old, gone=False) for old in kept] + [entry(old, gone=True) for old in removed]
        return self._manifest(spec_id, entries)

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
        from pyiceberg.manifest import write_manifest_list

        output = _Memory(self._path("snap", ".avro"))
        with write_manifest_list(
            2, output, self._snapshot, self._parent, self._sequence, self._codec
        ) as writer:
            writer.add_manifests(manifests)
        self._put(output)
        for manifest in manifests:
            if manifest.sequence_number == -1:
                manifest.sequence_number = self._sequence
            if manifest.min_sequence_number == -1:
                manifest.min_sequence_number = self._sequence
        self._reader.remember_list(output.location, list(manifests))
        return output.location

    def _manifest(self, spec_id: int, entries: list[ManifestEntry]) -> ManifestFile:
        from pyiceberg.manifest import ManifestEntry, ManifestEntryStatus, write_manifest

        output = _Memory(self._path("m", ".avro"))
        with write_manifest(
            2, self._specs[spec_id], self._schema, output, self._snapshot, self._codec
        ) as writer:
            for entry in entries:
                writer.add_entry(entry)
        self._put(output)
        live = [entry for entry in entries if entry.status != ManifestEntryStatus.DELETED]
        known = tuple(
            ManifestEntry.from_args(
                status=entry.status,
                snapshot_id=entry.snapshot_id,
                sequence_number=self._sequence if entry.sequence_number is None else entry.sequence_number,
                file_sequence_number=(
                    self._sequence if entry.file_sequence_number is None else entry.file_sequence_number
                ),
                data_file=entry.data_file,
            )
            for entry in live
        )
        self._reader.remember(output.location, known)
        return writer.to_manifest_file()

    def _path(self, prefix: str, suffix: str) -> str:
        import uuid

        return f"{self._store.root}/{prefix}-{self._snapshot}-{uuid.uuid4()}{suffix}"

    def _put(self, output: _Memory) -> None:
        self._store.create(output.location[len(self._store.root) + 1 :], output.data)
        self.written.append(output.location)


def _tier(manifest: ManifestFile) -> int:
    live = (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)
    return int(math.log(max(live, 1) + 0.5, FAN_IN))


class _Memory(OutputFile):
    """Collects a file's bytes, so that it is put whole by `Store.create`."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.data = b""

    def __len__(self) -> int:
        return len(self.data)

    def exists(self) -> bool:
        return False

    def to_input_file(self) -> Any:
        raise NotImplementedError  # never read back

    def create(self, overwrite: bool = False) -> Any:  # noqa: FBT001, FBT002 - pyiceberg's signature
        del overwrite
        return _Sink(self)


class _Sink(io.BytesIO):
    def __init__(self, owner: _Memory) -> None:
        super().__init__()
        self._owner = owner

    def close(self) -> None:
        if not self.closed:
            self._owner.data = self.getvalue()
        super().close()
