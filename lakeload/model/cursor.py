"""What orders the rows of a resource, and where the last load stopped."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias, get_args

from lakeload.errors import ConfigError

CursorValue: TypeAlias = "int | float | str | object"
"""An integer, float, string, `datetime.date`, `datetime.datetime` or `decimal.Decimal`."""
CursorType: TypeAlias = Literal["number", "timestamp", "text"]
"""What a cursor's text is compared as."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LAG = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw]?)\s*")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The column that orders the rows of a resource, so that a load takes only what is new.

    Args:
        path: Column name in the source's own spelling; a dotted path reaches into structs.
        lag: How far to step back behind the stored position, as `"90s"`, `"15m"`, `"1h"`, `"2d"` for
            timestamps and dates, or a number for numeric cursors. Rows seen before are not loaded twice.
        initial: Position of the first run, inclusive. `None` takes everything.
        type: What text is compared as: `"number"`, `"timestamp"` or `"text"`. `None` finds out: ISO 8601
            dates and timestamps are compared as moments, other text as text.

    Raises:
        ConfigError: One of them cannot be used.

    Example:
        >>> Cursor("updated_at", lag="1h").path
        'updated_at'
    """

    path: str
    lag: str | float | None = None
    initial: CursorValue | None = None
    type: CursorType | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.path:
            raise ConfigError(f"a cursor cannot be {self.path!r}", hint="Give the name of a column.")
        if self.type is not None and self.type not in get_args(CursorType):
            raise ConfigError(
                f"a cursor's text cannot be compared as {self.type!r}",
                column=self.path,
                hint='Use "number", "timestamp" or "text", or leave it out.',
            )
        parse_lag(self.lag)
        if self.initial is not None and not _orders(self.initial):
            raise ConfigError(
                f"a cursor cannot start at {self.initial!r}",
                column=self.path,
                hint="Give a number, a date, a timestamp or text.",
            )


def parse_lag(lag: object) -> dt.timedelta | float | Decimal | None:
    """A lag as the distance it is.

    Raises:
        ConfigError: It is none, or negative.

    Example:
        >>> parse_lag("90s"), parse_lag(5)
        (datetime.timedelta(seconds=90), 5)
    """
    found = lag
    if isinstance(lag, str) and (parts := _LAG.fullmatch(lag)):
        amount, unit = parts[1], parts[2]
        number = float(amount) if "." in amount else int(amount)
        try:
            found = dt.timedelta(**{_UNITS[unit]: number}) if unit else number
        except OverflowError:
            found = None if lag is None else lag
    if found is None:
        return None
    if isinstance(found, dt.timedelta) and found >= dt.timedelta():
        return found
    numeric = isinstance(found, int | float | Decimal) and not isinstance(found, bool)
    if numeric and math.isfinite(found) and found >= 0:  # type: ignore[arg-type,operator]  # a number, as just seen
        return found  # type: ignore[return-value]  # a number, as just seen
    raise ConfigError(
        f"cannot read the lag {lag!r}", hint="Write 90s, 15m, 1h, 2d, or a number; none is negative."
    )


def _orders(value: object) -> bool:
    if isinstance(value, float | Decimal):
        return not math.isnan(value)
    return isinstance(value, int | str | dt.date) and not isinstance(value, bool)


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
