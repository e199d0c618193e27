"""The live data files of an Iceberg table's version, and which of them have rows marked deleted.

What a changeset is planned on, in commit, and what folding and overwriting are decided by.

Rules: Iceberg specification v2, sections "Manifests" and "Scan Planning".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lakeload.errors import TableError
from lakeload.formats.iceberg_avro import EQUALITY_DELETES, DataFile, ManifestEntry
from lakeload.formats.iceberg_manifests import ManifestReader, is_data
from lakeload.formats.iceberg_values import from_internal
from lakeload.model.files import LiveFile
from lakeload.model.table import OWNER_PROPERTY

if TYPE_CHECKING:
    from lakeload.formats.iceberg_document import Document

_NAME_MAPPING = "schema.name-mapping.default"
_FILE_PATH_ID = 2147483546  # column file_path of position delete files


def live_files(reader: ManifestReader, document: Document) -> list[LiveFile]:
    """The live data files of a version as the rest of lakeload sees them.

    Args:
        reader: Reads the table's manifests.
        document: The version.
    """
    properties, location = document.properties, document.get("location")
    # Migrated files carry no field ids; only readers know how to name their columns. Some servers
    # give every table a mapping, also those whose files are all ours.
    whole = _NAME_MAPPING not in properties or properties.get(OWNER_PROPERTY) == "true"
    deletes, current = deletes_of(reader, document), document.spec.spec_id
    kinds = {number: spec.kinds(document.schemas) for number, spec in document.specs.items()}
    return [
        _live_file(
            entry,
            location,
            kinds[manifest.partition_spec_id],
            current=whole and manifest.partition_spec_id == current,
            deletes=deletes is not None and deletes.touch(entry),
        )
        for manifest in reader.manifests(document)
        if is_data(manifest)
        for entry in reader.entries(manifest)
    ]


def _live_file(
    entry: ManifestEntry, location: str, kinds: Sequence[str], *, current: bool, deletes: bool
) -> LiveFile:
    file = entry.data_file
    current = current and file.file_format.upper() == "PARQUET"  # others cannot be rewritten here
    values = tuple(map(from_internal, file.partition, kinds))
    path = relative(file.file_path, location)
    return LiveFile(path, file.file_size_in_bytes, file.record_count, values, deletes, current)


def refuse_older_partitioning(reader: ManifestReader, document: Document, table: str) -> None:
    """Refuse a table some of whose live files follow another partitioning than its present one.

    Raises:
        TableError: There are such files.
    """
    for manifest in reader.manifests(document):
        if is_data(manifest) and manifest.partition_spec_id != document.spec.spec_id:
            raise older_partitioning(table, manifest.manifest_path)


def older_partitioning(table: str, place: str) -> TableError:
    """Single partitions cannot be told in a file that follows another partitioning."""
    return TableError(
        "single partitions cannot be overwritten: a live file follows an older partitioning",
        table=table,
        place=place,
        hint="Rewrite the table's files with another engine, or overwrite the whole table.",
    )


def relative(path: str, location: str) -> str:
    """The path below the table's root, or the path itself when it lies elsewhere.

    Example:
        >>> relative("file:///lake/t/data/a.parquet", "/lake/t")
        'data/a.parquet'
    """
    plain, root = _plain(path), _plain(location).rstrip("/") + "/"
    return plain[len(root) :] if plain.startswith(root) else path


def _plain(path: str) -> str:
    # Engines spell one place in several ways: s3a:// and s3://, file:/ and file:/// and a bare path.
    if path.startswith("file:"):
        return "/" + path[5:].lstrip("/")
    return re.sub(r"^s3[an]://", "s3://", path)


def deletes_of(reader: ManifestReader, document: Document) -> Deletes | None:
    """What the table's delete files mark; `None` when it has none."""
    manifests = [manifest for manifest in reader.manifests(document) if not is_data(manifest)]
    if not manifests:
        return None
    return Deletes(entry for manifest in manifests for entry in reader.entries(manifest))


class Deletes:
    """Which data files have rows marked deleted; says so rather too often than too rarely.

    Args:
        entries: Live entries of the delete manifests.
    """

    def __init__(self, entries: Iterable[ManifestEntry]) -> None:
        self._paths: dict[str, int] = {}
        self._positions: dict[tuple[Any, ...], int] = {}
        self._equalities: dict[tuple[Any, ...], int] = {}
        for entry in entries:
            self._add(entry)

    def _add(self, entry: ManifestEntry) -> None:
        """Note the largest sequence number of the deletes of one file, or of one partition."""
        file, sequence = entry.data_file, entry.sequence_number or 0
        lower = (file.lower_bounds or {}).get(_FILE_PATH_ID)
        upper = (file.upper_bounds or {}).get(_FILE_PATH_ID)
        if file.content == EQUALITY_DELETES:
            place = _partition_of(file)
            self._equalities[place] = max(sequence, self._equalities.get(place, 0))
        elif lower is not None and lower == upper:
            path = lower.decode()
            self._paths[path] = max(sequence, self._paths.get(path, 0))
        else:
            place = _partition_of(file)
            self._positions[place] = max(sequence, self._positions.get(place, 0))

    def touch(self, entry: ManifestEntry) -> bool:
        """Whether a delete may apply to the file (specification, section "Scan Planning")."""
        file, sequence = entry.data_file, entry.sequence_number or 0
        place = _partition_of(file)
        positions = max(self._paths.get(file.file_path, -1), self._positions.get(place, -1))
        everywhere = max((at for (_, *values), at in self._equalities.items() if not values), default=-1)
        equalities = max(self._equalities.get(place, -1), everywhere)
        return sequence <= positions or sequence < equalities


def _partition_of(file: DataFile) -> tuple[Any, ...]:
    return (file.spec_id, *file.partition)
