"""What a reader has to say of its source, for the report."""

from __future__ import annotations

from collections import Counter


class Notes:
    """Findings about a source, by what they say; the same of many files is said once.

    Example:
        >>> notes = Notes()
        >>> for file in ("a.csv", "b.csv"):
        ...     notes.say("separator ';'", file)
        >>> notes.count("rows padded", 3)
        >>> notes.lines()
        ("a.csv and 1 more: separator ';'", '3 rows padded')
    """

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._files: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()

    def say(self, what: str, file: str) -> None:
        """Something that holds for a file."""
        self._first.setdefault(what, file)
        self._files[what] += 1

    def count(self, what: str, rows: int) -> None:
        """Something that holds for so many rows."""
        if rows:
            self._rows[what] += rows

    def lines(self) -> tuple[str, ...]:
        """All of it, in the order it was found."""
        more = {what: f" and {n - 1:,} more" if n > 1 else "" for what, n in self._files.items()}
        said = [f"{file}{more[what]}: {what}" for what, file in self._first.items()]
        return (*said, *(f"{rows:,} {what}" for what, rows in self._rows.items()))
