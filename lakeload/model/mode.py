"""How a load changes its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Append:
    """Add the rows; touch nothing that is there.

    Example:
        >>> Append()
        Append()
    """


@dataclass(frozen=True, slots=True)
class Overwrite:
    """Replace rows by the new ones, in one atomic change.

    Args:
        partitions: `None` replaces the whole table. `"dynamic"` replaces the partitions that receive
            at least one row and leaves the others as they are.

    Example:
        >>> Overwrite(partitions="dynamic")
        Overwrite(partitions='dynamic')
    """

    partitions: Literal["dynamic"] | None = None


WriteMode: TypeAlias = Append | Overwrite
