"""`Rejection`: rows or values a contract or a rule keeps out of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from lakeload.model.contract import Outcome

SOURCE_ROW = "_lakeload_row"
"""Hidden column of batches whose rows a decoder regrouped: the row's number in its source, from 1."""

NUMBERED = {b"lakeload.numbered": b"1"}
"""Metadata of that column's field: a column of a source that happens to be called so does not have it."""

TRIMMED = {b"lakeload.trimmed": b"1"}
"""Metadata of the fields of the two hidden columns below."""
GIVEN = "_lakeload_given"
"""Hidden column of batches of which a decoder took values out: the row as the source gave it, as JSON."""
MISFITS = "_lakeload_misfits"
"""Hidden column beside it: what was taken out, each value with its path and kind."""


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
