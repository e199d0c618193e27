"""Data files as Iceberg manifests describe them, and back. Part of commit.

Rules: Iceberg specification v2, section "Manifests", and its metrics modes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakeload.errors import TableError
from lakeload.formats.iceberg_schema import leaves
from lakeload.formats.iceberg_values import from_internal, lower_bound, to_internal, upper_bound
from lakeload.model.files import LiveFile

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile as IcebergFile
    from pyiceberg.manifest import ManifestEntry
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema

    from lakeload.model.files import ColumnStats, DataFile

_METRICS = "write.metadata.metrics."
_TRUNCATE = re.compile(r"truncate\((\d+)\)")
_FILE_PATH_ID = 2147483546  # column file_path of position delete files


@dataclass(frozen=True, slots=True)
class FileWriter:
    """Turns a `DataFile` into the entry of a manifest.

    Args:
        table: Table name, for messages.
        location: Root of the table.
        schema: The schema the files were written with.
        spec: The partition spec they were written for.
        sort_order: Id of the order `DataFile.sorted` promises; `None` when the table has none.
        properties: Table properties (metrics modes).
    """

    table: str
    location: str
    schema: Schema
    spec: PartitionSpec
    sort_order: int | None
    properties: Mapping[str, str]

    def convert(self, files: Iterable[DataFile]) -> list[IcebergFile]:
        """The files as pyiceberg wants them.

        Raises:
            TableError: A file contradicts the table: partition values missing, nulls in a required column.
        """
        columns = leaves(self.schema)
        modes = {path: _mode(self.properties, path) for path in columns}
        kinds = self.spec.partition_type(self.schema).fields
        return [self._convert(file, columns, modes, kinds) for file in files]

    def _convert(
        self, file: DataFile, columns: Mapping[Any, Any], modes: Mapping[Any, Any], kinds: Sequence[Any]
    ) -> IcebergFile:
        from pyiceberg.manifest import DataFile as IcebergFile
        from pyiceberg.manifest import DataFileContent, FileFormat
        from pyiceberg.typedef import Record

        if len(file.partition) != len(kinds):
            raise TableError(
                f"a file has {len(file.partition)} partition values, the table {len(kinds)} partition fields",
                table=self.table,
                place=file.path,
            )
        partition = [
            to_internal(value, kind.field_type) for value, kind in zip(file.partition, kinds, strict=True)
        ]
        metrics = _Metrics()
        for path, stats in file.stats.items():
            column = columns.get(path)
            if column is None:
                raise TableError(
                    "a file has a column the table lacks",
                    table=self.table,
                    column=".".join(path),
                    place=file.path,
                )
            if column.required and stats.nulls and len(path) == 1:
                raise TableError(
                    "a required column holds nulls",
                    table=self.table,
                    column=path[0],
                    place=file.path,
                    hint="Another writer made the column required; fill the nulls in the source.",
                )
            metrics.add(column, stats, modes[path])
        result = IcebergFile.from_args(
            content=DataFileContent.DATA,
            file_path=f"{self.location}/{file.path}",
            file_format=FileFormat.PARQUET,
            partition=Record(*partition),
            record_count=file.rows,
            file_size_in_bytes=file.size,
            column_sizes=metrics.sizes,
            value_counts=metrics.values,
            null_value_counts=metrics.nulls,
            nan_value_counts=metrics.nans,
            lower_bounds=metrics.lower,
            upper_bounds=metrics.upper,
            key_metadata=None,
            split_offsets=sorted(file.offsets) or None,
            equality_ids=None,
            sort_order_id=self.sort_order if file.sorted else None,
        )
        result.spec_id = self.spec.spec_id
        return result


@dataclass(slots=True)
class _Metrics:
    sizes: dict[int, int] = field(default_factory=dict)
    values: dict[int, int] = field(default_factory=dict)
    nulls: dict[int, int] = field(default_factory=dict)
    nans: dict[int, int] = field(default_factory=dict)
    lower: dict[int, bytes] = field(default_factory=dict)
    upper: dict[int, bytes] = field(default_factory=dict)

    def add(self, column: Any, stats: ColumnStats, mode: str) -> None:
        number, kind = column.field_id, column.field_type
        if stats.size:
            self.sizes[number] = stats.size
        if mode == "none":
            return
        self.values[number] = stats.values
        self.nulls[number] = stats.nulls
        if stats.nans is not None:
            self.nans[number] = stats.nans
        if mode == "counts":
            return
        cut = _TRUNCATE.fullmatch(mode)
        width = int(cut[1]) if cut else None
        lower = None if stats.min is None else lower_bound(stats.min, kind, width)
        # Engines that sort NaN last would skip a file by its maximum although a NaN in it is above. Unknown
        # counts as present.
        hidden = isinstance(stats.max, float) and stats.nans != 0
        upper = None if stats.max is None or hidden else upper_bound(stats.max, kind, width)
        if lower is not None:
            self.lower[number] = lower
        if upper is not None:
            self.upper[number] = upper


def _mode(properties: Mapping[str, str], path: tuple[str, ...]) -> str:
    default = properties.get(f"{_METRICS}default", "truncate(16)")
    found = properties.get(f"{_METRICS}column.{'.'.join(path)}", default).strip().lower()
    return found if found in ("none", "counts", "full") or _TRUNCATE.fullmatch(found) else "truncate(16)"


def live_file(
    entry: ManifestEntry, location: str, kinds: Sequence[Any], *, current: bool, deletes: bool
) -> LiveFile:
    """The entry as the rest of lakeload sees it.

    Args:
        entry: A live entry of a data manifest.
        location: Root of the table.
        kinds: Partition fields of the entry's spec.
        current: Whether that spec is the table's present one.
        deletes: Whether rows of the file are marked deleted.
    """
    from pyiceberg.manifest import FileFormat

    file = entry.data_file
    current = current and file.file_format == FileFormat.PARQUET  # others cannot be rewritten here
    values = tuple(from_internal(file.partition[i], kind.field_type) for i, kind in enumerate(kinds))
    path = relative(file.file_path, location)
    return LiveFile(path, file.file_size_in_bytes, file.record_count, values, deletes, current)


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
        from pyiceberg.manifest import DataFileContent

        file, sequence = entry.data_file, entry.sequence_number or 0
        lower = (file.lower_bounds or {}).get(_FILE_PATH_ID)
        upper = (file.upper_bounds or {}).get(_FILE_PATH_ID)
        if file.content == DataFileContent.EQUALITY_DELETES:
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


def _partition_of(file: IcebergFile) -> tuple[Any, ...]:
    return (file.spec_id, *file.partition._data)  # noqa: SLF001 - Record offers no iteration
