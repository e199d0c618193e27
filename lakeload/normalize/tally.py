"""`Tally`: what a load did not let into its tables, counted for the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lakeload.model.rejection import Rejection


@dataclass(slots=True)
class Tally:
    """Rows of the source that did not get in, and values that were dropped from rows that did.

    Args:
        discarded: Rows dropped.
        quarantined: Rows put aside.
        values: Values dropped.
        reasons: Rows and values by rule and column, as `types amount`; a row with two faults counts twice.

    Example:
        >>> import pyarrow as pa
        >>> tally = Tally()
        >>> tally.add([Rejection("discard_row", "types", ("amount",), "no number", pa.array([0, 4]))])
        >>> tally.discarded, dict(tally.reasons)
        (2, {'types amount': 2})
    """

    discarded: int = 0
    quarantined: int = 0
    values: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, rejections: Iterable[Rejection]) -> None:
        """Count the rejections of one batch."""
        rows: dict[str, set[int]] = {"discard_row": set(), "quarantine": set()}
        for found in rejections:
            self.reasons[" ".join((found.rule, ".".join(found.path))).strip()] += len(found.rows)
            if found.outcome == "discard_value":
                self.values += len(found.rows)
            else:
                rows[found.outcome].update(found.rows.to_pylist())
        self.quarantined += len(rows["quarantine"])
        self.discarded += len(rows["discard_row"] - rows["quarantine"])
