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


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where one resource stopped. Travels with the commit of its rows.

    Args:
        value: Largest cursor value loaded so far; `None` before the first row.
        boundary: Hashes (hex) of the rows already loaded that the next run can meet again: those at
            `value`, or within the cursor's lag behind it.
        positions: Positions the source defines itself, such as file names or offsets, as text.
    """

    value: CursorValue | None = None
    boundary: frozenset[str] = frozenset()
    positions: Mapping[str, str] = field(default_factory=dict)
