"""How a load changes its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from lakeload.errors import ConfigError


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

    def __post_init__(self) -> None:
        if self.partitions not in (None, "dynamic"):
            raise ConfigError(
                f"cannot overwrite partitions {self.partitions!r}",
                hint='Use Overwrite() for the whole table or Overwrite(partitions="dynamic").',
            )


WriteMode: TypeAlias = Append | Overwrite


def checked_mode(mode: object) -> WriteMode:
    """The mode itself, if it is one.

    Raises:
        ConfigError: It is something else, such as the text "overwrite".
    """
    if isinstance(mode, Append | Overwrite):
        return mode
    raise ConfigError(f"{mode!r} is no write mode", hint="Use ll.Append() or ll.Overwrite().")
