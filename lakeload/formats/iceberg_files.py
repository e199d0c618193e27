"""Data files as Iceberg manifests describe them. Part of commit; the way back is `iceberg_live`.

Rules: Iceberg specification v2, section "Manifests", and its metrics modes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakeload.errors import TableError
from lakeload.formats import iceberg_avro as avro
from lakeload.formats.iceberg_schema import leaves
from lakeload.formats.iceberg_types import NestedField, PartitionSpec, Schema
from lakeload.formats.iceberg_values import lower_bound, to_internal, upper_bound

if TYPE_CHECKING:
    from lakeload.model.files import ColumnStats, DataFile

_METRICS = "write.metadata.metrics."
_TRUNCATE = re.compile(r"truncate\((\d+)\)")


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

    def convert(self, files: Iterable[DataFile]) -> list[avro.DataFile]:
        """The files as manifests hold them.

        Raises:
            TableError: A file contradicts the table: partition values missing, nulls in a required column.
        """
        columns = leaves(self.schema)
        modes = {path: _mode(self.properties, path) for path in columns}
        kinds = self.spec.kinds([self.schema])
        return [self._convert(file, columns, modes, kinds) for file in files]

    def _convert(
        self, file: DataFile, columns: Mapping[Any, Any], modes: Mapping[Any, Any], kinds: Sequence[str]
    ) -> avro.DataFile:
        if len(file.partition) != len(kinds):
            raise TableError(
                f"a file has {len(file.partition)} partition values, the table {len(kinds)} partition fields",
                table=self.table,
                place=file.path,
            )
        partition = tuple(to_internal(value, kind) for value, kind in zip(file.partition, kinds, strict=True))
        metrics = self._metrics(file, columns, modes)
        return avro.DataFile(
            content=avro.DATA,
            file_path=f"{self.location}/{file.path}",
            file_format="PARQUET",
            partition=partition,
            record_count=file.rows,
            file_size_in_bytes=file.size,
            column_sizes=metrics.sizes,
            value_counts=metrics.values,
            null_value_counts=metrics.nulls,
            nan_value_counts=metrics.nans,
            lower_bounds=metrics.lower,
            upper_bounds=metrics.upper,
            split_offsets=sorted(file.offsets) or None,
            sort_order_id=self.sort_order if file.sorted else None,
            spec_id=self.spec.spec_id,
        )

    def _metrics(self, file: DataFile, columns: Mapping[Any, Any], modes: Mapping[Any, Any]) -> _Metrics:
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
        return metrics


@dataclass(slots=True)
class _Metrics:
    sizes: dict[int, int] = field(default_factory=dict)
    values: dict[int, int] = field(default_factory=dict)
    nulls: dict[int, int] = field(default_factory=dict)
    nans: dict[int, int] = field(default_factory=dict)
    lower: dict[int, bytes] = field(default_factory=dict)
    upper: dict[int, bytes] = field(default_factory=dict)

    def add(self, column: NestedField, stats: ColumnStats, mode: str) -> None:
        number, kind = column.field_id, str(column.field_type)
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
