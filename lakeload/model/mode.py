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
        empty: What a load that brings no row does to the whole table: `"keep"` leaves it as it is, and the
            report says so; `"clear"` empties it.

    Example:
        >>> Overwrite(partitions="dynamic")
        Overwrite(partitions='dynamic', empty='keep')
    """

    partitions: Literal["dynamic"] | None = None
    empty: Literal["keep", "clear"] = "keep"

    def __post_init__(self) -> None:
        if self.partitions not in (None, "dynamic"):
            raise ConfigError(
                f"cannot overwrite partitions {self.partitions!r}",
                hint='Use Overwrite() for the whole table or Overwrite(partitions="dynamic").',
            )
        if self.empty not in ("keep", "clear"):
            raise ConfigError(
                f"an overwrite cannot {self.empty!r} the table when no row comes",
                hint='Use Overwrite(empty="keep"), the default, or Overwrite(empty="clear").',
            )
        if self.partitions is not None and self.empty == "clear":
            raise ConfigError(
                "without a row no partition is named that could be cleared",
                hint='Leave empty out, or use Overwrite(empty="clear") for the whole table.',
            )

    @property
    def whole(self) -> bool:
        """Whether all rows of the table are replaced."""
        return self.partitions is None


WriteMode: TypeAlias = Append | Overwrite


def checked_mode(mode: object) -> WriteMode:
    """The mode itself, if it is one.

    Raises:
        ConfigError: It is something else, such as the text "overwrite".
    """
    if isinstance(mode, Append | Overwrite):
        return mode
    raise ConfigError(f"{mode!r} is no write mode", hint="Use ll.Append() or ll.Overwrite().")
