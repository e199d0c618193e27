"""`Rejection`: rows or values a contract or a rule keeps out of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from lakeload.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from lakeload.model.contract import Outcome

OnError: TypeAlias = Literal["stop", "quarantine"]

SOURCE_ROW = "_lakeload_row"
"""Hidden column of batches whose rows a decoder regrouped: the row's number in its source, from 1."""

FLAWS = "_lakeload_flaws"
"""Hidden column of batches with values no table can hold: what is wrong with each row, as a list of `path`,
in the source's names, and `what`; null where nothing is."""

NUMBERED = {b"lakeload.numbered": b"1"}
"""Metadata of the fields of these columns; a source's own column of such a name does not have it."""

TRIMMED = {b"lakeload.trimmed": b"1"}
"""Metadata of the fields of the two hidden columns below."""
GIVEN = "_lakeload_given"
"""Hidden column of batches of which a decoder took values out: the row as the source gave it, as JSON."""
MISFITS = "_lakeload_misfits"
"""Hidden column beside it: what was taken out, each value with its path and kind."""
REJECTED = b"lakeload.rejected"
"""Metadata of an incoming schema whose rows a reader could not read: they go to the quarantine as such."""

UNREAD = "_line"
"""Column of such a batch: the bytes that are no row, as text. A row that still has it is not mended."""
UNREAD_RULE = "_lakeload_rule"
"""Hidden column of such a batch: the rule that keeps the row out."""
UNREAD_REASON = "_lakeload_reason"
"""Hidden column of such a batch: what is wrong, and where."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Some rows of one batch that do not get in, or not whole, and why.

    Args:
        outcome: `discard_value`, `discard_row` or `quarantine`.
        rule: `columns`, `types`, `tables`, or the name of a row rule.
        path: Column path in the table's names; empty for the row as a whole.
        reason: What is wrong, as a sentence without a full stop.
        rows: int64 indices of the rows in the batch the rejection is about, ascending.
    """

    outcome: Outcome
    rule: str
    path: tuple[str, ...]
    reason: str
    rows: pa.Array


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """Whether what cannot be read stops a load.

    Args:
        on_error: `"stop"` at the first, or put aside in the `"quarantine"`. `None`: rows of CSV that are
            broken or ragged are put aside while they are fewer than the others; all else stops.
        max_errors: Rows that may be put aside before the load fails: a number, or below 1 a share of all.

    Raises:
        ConfigError: A value cannot be what it says.

    Example:
        >>> ErrorPolicy("quarantine", 0.01).max_errors
        0.01
    """

    on_error: OnError | None = None
    max_errors: float | None = None

    def __post_init__(self) -> None:
        if self.on_error is not None and self.on_error not in get_args(OnError):
            raise ConfigError(
                f"{self.on_error!r} is no way to treat errors", hint='Use "stop" or "quarantine".'
            )
        most = self.max_errors
        if most is None:
            return
        if (
            isinstance(most, bool)
            or not isinstance(most, int | float)
            or most < 0
            or (most >= 1 and most % 1)
        ):
            raise ConfigError(
                f"{most!r} is no number of errors", hint="Use a whole number, or a share such as 0.01."
            )
