"""What of a file cannot be read as rows: refused, or put aside with file, line and bytes.

Part of extract, for CSV and JSON lines alike. A reader sends what it rejects along as batches of their own,
which normalize puts into the quarantine as they are; here is decided whether it may, and how often.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakeload.errors import SourceError
from lakeload.model.rejection import (
    NUMBERED,
    REJECTED,
    SOURCE_ROW,
    UNREAD,
    UNREAD_REASON,
    UNREAD_RULE,
    ErrorPolicy,
)

if TYPE_CHECKING:
    import pyarrow as pa

MALFORMED = "malformed"
"""Rule of what is no row at all."""
RAGGED = "ragged"
"""Rule of rows with another number of values than there are columns."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Bytes of a file that could not be read as a row.

    Args:
        number: Number of the row within what was read together, from 1.
        line: Line of the file, from 1.
        rule: `malformed` or `ragged`.
        reason: What is wrong, as a sentence without a full stop.
        text: The bytes.
        grave: Whether it says something of the file rather than of a row: it is incomplete, or not in its
            encoding. Such is put aside only on request.
        hint: What to do about it, if that is not to mend the file.
    """

    number: int
    line: int
    rule: str
    reason: str
    text: bytes
    grave: bool = False
    hint: str = "Mend the file."


@dataclass(slots=True)
class Rejecting:
    """Counts what a source rejects, and says when it is too much. For one thread.

    Args:
        policy: What the user says.
        gentle: Whether broken rows are put aside when the user says nothing.
    """

    policy: ErrorPolicy
    gentle: bool = False
    rows: int = field(default=0, init=False)
    """Rows that were read."""
    rejected: int = field(default=0, init=False)
    """Rows that were not."""

    def aside(self, rejects: Sequence[Reject], place: str | None, before: int) -> Iterator[pa.RecordBatch]:
        """The rejects as a batch for the quarantine.

        Args:
            rejects: In order.
            place: File they are from.
            before: Rows of the source before those the rejects are numbered with.

        Raises:
            SourceError: One stops the load, or there are too many.
        """
        if not rejects:
            return
        for found in rejects:
            if self.policy.on_error == "stop" or (
                self.policy.on_error is None and (found.grave or not self.gentle)
            ):
                raise _stopped(found, place, before)
            self.rejected += 1
            most = self.policy.max_errors
            if most is not None and (most >= 1 or not most) and self.rejected > most:
                raise self._too_many(place)
        yield _batch(rejects, place, before)

    def finish(self, place: str | None, rows: int, rejected: int) -> None:
        """Look at one file, which is at its end.

        Raises:
            SourceError: Too many of the rows, or most of them, could not be read.
        """
        if self.policy.on_error is None and rejected > rows:
            raise SourceError(
                f"{rejected:,} of {rows + rejected:,} rows cannot be read",
                place=place,
                hint="Say how the file is written, such as separator, quote and escape of CsvOptions "
                '(--csv-separator …), or allow it with on_error="quarantine" (--on-error quarantine).',
            )

    def close(self) -> None:
        """Look at the whole source, which is at its end.

        Raises:
            SourceError: More of its rows than the share that was given could not be read.
        """
        most = self.policy.max_errors
        if most is not None and 0 < most < 1 and self.rejected > most * (self.rows + self.rejected):
            raise self._too_many(None)

    def _too_many(self, place: str | None) -> SourceError:
        return SourceError(
            f"{self.rejected:,} rows cannot be read, more than max_errors={self.policy.max_errors:g}",
            place=place,
            hint="Mend the file, or allow more.",
        )


def _batch(rejects: Sequence[Reject], place: str | None, before: int) -> pa.RecordBatch:
    import pyarrow as pa

    texts = [found.text.decode(errors="backslashreplace").rstrip("\r\n") for found in rejects]
    columns = {
        UNREAD: pa.array(texts, pa.string()),
        UNREAD_RULE: pa.array([found.rule for found in rejects], pa.string()),
        UNREAD_REASON: pa.array([_where(found, place) for found in rejects], pa.string()),
    }
    numbers = pa.array([before + found.number for found in rejects], pa.int64())
    field = pa.field(SOURCE_ROW, pa.int64(), metadata=NUMBERED)
    batch = pa.record_batch(columns).append_column(field, numbers)
    return batch.replace_schema_metadata({REJECTED: b"1"})


def _where(found: Reject, place: str | None) -> str:
    return f"{found.reason} (line {found.line:,}{f' of {place}' if place else ''})"


def _stopped(found: Reject, place: str | None, before: int) -> SourceError:
    seen = found.text[:80].decode(errors="replace").rstrip("\r\n")
    return SourceError(
        f"{found.reason} in line {found.line:,}: {seen!r}",
        place=place,
        row=before + found.number,
        hint=f'{found.hint} Or put such rows aside with on_error="quarantine" (--on-error quarantine).',
    )
