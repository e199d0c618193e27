"""What orders the rows of a resource, and where the last load stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

CursorValue: TypeAlias = "int | float | str | object"
"""An integer, float, string, `datetime.date`, `datetime.datetime` or `decimal.Decimal`."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The column that orders the rows of a resource, so that a load takes only what is new.

    Args:
        path: Column name in the source's own spelling; a dotted path reaches into structs.
        lag: How far to step back behind the stored position, as `"90s"`, `"15m"`, `"1h"`, `"2d"` for
            timestamps and dates, or a number for numeric cursors. Rows seen before are not loaded twice.
        initial: Position of the first run, inclusive. `None` takes everything.

    Example:
        >>> Cursor("updated_at", lag="1h").path
        'updated_at'
    """

    path: str
    lag: str | float | None = None
    initial: CursorValue | None = None


HASH_DIGITS = 14
"""Hexadecimal digits of a row's hash that are kept: of 200,000 rows and as many new ones, two meet by chance
once in two million loads."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where one resource stopped in one table. Travels with the commit of its rows.

    Args:
        value: Largest cursor value loaded so far; `None` before the first row.
        boundary: Hashes (the first `HASH_DIGITS` of them) of the rows already loaded that the next run can
            meet again: those at `value`, or within the cursor's lag behind it.
        positions: Positions the source defines itself, such as file names or offsets, as text.
        cursor: Path of the column `value` is of; `None` where an earlier release wrote it.
        since: What `boundary` reaches back to, inclusive; `None` where an earlier release wrote it.
        unplaced: Hashes of rows that were taken although their cursor tells no place.
    """

    value: CursorValue | None = None
    boundary: frozenset[str] = frozenset()
    positions: Mapping[str, str] = field(default_factory=dict)
    cursor: str | None = None
    since: CursorValue | None = None
    unplaced: frozenset[str] = frozenset()
