"""`DataFile`: the only currency between write and everything after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Value: TypeAlias = object
"""One typed value of a column: `bool`, `int`, `float`, `decimal.Decimal`, `str`, `bytes`,
`datetime.date`, `datetime.time`, or `datetime.datetime` (aware UTC for timestamps with zone)."""

ColumnPath: TypeAlias = tuple[str, ...]
"""Names from the top-level column down through structs to a leaf. Leaves in lists and maps have none."""


@dataclass(frozen=True, slots=True)
class ColumnStats:
    """Facts about one leaf column in one file.

    Args:
        values: Number of values, nulls included. Equals the row count outside lists and maps.
        nulls: Number of nulls (a null parent counts).
        nans: Number of NaNs for floats; `None` for other types.
        min: Smallest value that is neither null nor NaN, exact; `None` when there is none or it is unknown.
        max: Largest such value.
        size: Compressed bytes of the column in the file.
    """

    values: int
    nulls: int
    nans: int | None = None
    min: Value | None = None
    max: Value | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class DataFile:
    """One immutable Parquet file of a table.

    Args:
        path: Path relative to the table's root, forward slashes. Partition folders are percent-encoded; the
            path is taken literally, percent signs and all.
        size: Bytes of the file as written.
        rows: Number of rows.
        partition: One value per partition field, in Iceberg's result types: `year` = years since 1970,
            `month` = months since 1970-01, `day` = `datetime.date`, `hour` = hours since the epoch,
            `bucket` = int, `identity` and `truncate` = the source type. `None` for null.
        stats: Per leaf column outside lists and maps.
        offsets: Byte offset of each row group.
        sorted: True when the whole file follows the layout's sort order.
    """

    path: str
    size: int
    rows: int
    partition: tuple[Value | None, ...] = ()
    stats: Mapping[ColumnPath, ColumnStats] = field(default_factory=dict)
    offsets: tuple[int, ...] = ()
    sorted: bool = False


@dataclass(frozen=True, slots=True)
class LiveFile:
    """A data file a table refers to now, as the table's log tells it.

    Args:
        path: As in `DataFile.path` for files under the table's root; otherwise the full URI.
        size: Bytes.
        rows: Number of rows; `None` when the log does not say.
        partition: As in `DataFile.partition`.
        deletes: True when rows of the file are marked deleted (deletion vector, delete files).
        current: True when the file was written for the table's present partitioning.
    """

    path: str
    size: int
    rows: int | None
    partition: tuple[Value | None, ...] = ()
    deletes: bool = False
    current: bool = True
