"""Where the rows of a CSV file begin, and what their columns are called.

Above the header there may be empty lines, comments, and titles of one value. A first row that is written as
the rows below it are, with dates or numbers where they have them, is no header. Names that repeat get a
number, as DuckDB gives them; columns without one are called by their place.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from lakeload.errors import SourceError
from lakeload.model.csv_options import CsvOptions
from lakeload.sources.csv.blocks import lines_in
from lakeload.sources.csv.grammar import Grammar
from lakeload.sources.encoding import ENCODING_HINT, is_utf8

_ROWS = 200
_COMPARED = 20
_YEARS = range(1900, 2101)
_LINE = re.compile(rb"[^\r\n]*+(?:\r\n|\n|\r)")
_KINDS = (
    ("integer", re.compile(rb"[0-9]{1,18}")),
    ("number", re.compile(rb"[-+]?[0-9][0-9,.]*(?:[eE][-+]?[0-9]+)?")),
    (
        "date",
        re.compile(rb"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4})(?:[ T].*)?"),
    ),
    ("time", re.compile(rb"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?")),
)


@dataclass(frozen=True, slots=True)
class Head:
    """The top of a file.

    Args:
        names: Of the columns, each once.
        offset: Where the rows begin, in bytes of UTF-8 without a byte order mark.
        line: Line they begin with, from 1.
        notes: What is out of the ordinary, for the report.
    """

    names: tuple[str, ...]
    offset: int
    line: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Top:
    """The beginning of a file.

    Args:
        text: Whole lines.
        offset: Where those begin that are not to be skipped.
        lines: Lines before that.
        place: The file, for messages.
    """

    text: bytes
    offset: int
    lines: int
    place: str


@dataclass(frozen=True, slots=True)
class _Row:
    begin: int
    end: int
    values: list[bytes | None]

    @property
    def filled(self) -> int:
        return sum(value is not None for value in self.values)


def head_of(top: Top, grammar: Grammar, options: CsvOptions) -> Head:
    """Where the rows begin, and the names.

    Args:
        top: The beginning of the file.
        grammar: Of its dialect.
        options: Header and lines to skip, where they are known.

    Raises:
        SourceError: There are quotes in the header that cannot be read.
    """
    start, told = top.text, options.header
    given = None if told is None or isinstance(told, bool) else tuple(told)
    rows = list(_rows(start, top.offset, grammar))
    if not rows:
        return Head(given or (), len(start), 1 + top.lines)
    width = _usual_width(rows)
    notes = []
    if options.skip_rows is None:
        rows = rows[_above(rows, width, start, named=given is None) :]
    first = rows[0]
    line = top.lines + lines_in(start[top.offset : first.begin])
    if line:
        notes.append(f"{line} {'line' if line == 1 else 'lines'} above the header skipped")
    if given is not None:
        return Head(given, first.begin, line + 1, tuple(notes))
    if grammar.row.match(start, first.begin) is None:
        first = _unquoted(start, first, grammar, width, top.place)
    if told is False or (told is None and not _is_header(first, rows[1:])):
        names = tuple(f"column_{n + 1}" for n in range(max(width, len(first.values))))
        return Head(names, first.begin, line + 1, (*notes, "no header"))
    if not is_utf8(start[first.begin : first.end]):
        raise SourceError("the header is not UTF-8", place=top.place, hint=ENCODING_HINT)
    below = line + 1 + lines_in(start[first.begin : first.end])
    return Head(_names(first.values, rows[1:]), first.end, below, tuple(notes))


def _rows(start: bytes, offset: int, grammar: Grammar) -> Iterator[_Row]:
    """The first rows, and where they lie; broken ones as one value."""
    for _ in range(_ROWS):
        if offset >= len(start):
            return
        found = grammar.row.match(start, offset)
        if found is None:
            line = _LINE.match(start, offset)
            end = line.end() if line else len(start)
            row = _Row(offset, end, [start[offset:end]])
        else:
            row = _Row(offset, found.end(), grammar.values(found[0]))
        if row.filled or len(row.values) > 1:
            yield row
        offset = row.end


def _usual_width(rows: Sequence[_Row]) -> int:
    below = [len(row.values) for row in rows[1:]] or [len(rows[0].values)]
    several = [width for width in below if width > 1]
    return Counter(several or below).most_common(1)[0][0]


def _above(rows: Sequence[_Row], width: int, start: bytes, *, named: bool) -> int:
    """Rows above the header: comments, and titles of one value above a row of names."""
    comments = 0
    while comments < len(rows) - 1 and start.startswith(b"#", rows[comments].begin):
        if len(rows[comments].values) == width > 1:
            break  # names behind a sign
        comments += 1
    if not named or width == 1:
        return comments
    for index in range(comments, len(rows)):
        row = rows[index]
        if row.filled > 1:
            sound = len(row.values) >= width and all(_kind(value) == "text" for value in row.values if value)
            return index if sound else comments
    return comments


def _unquoted(start: bytes, first: _Row, grammar: Grammar, width: int, place: str) -> _Row:
    """A header with a quote too many, read as if quotes were nothing, if that gives the columns names."""
    values = Grammar(replace(grammar.marks, quote="")).values(start[first.begin : first.end])
    if not 1 < len(values) <= width:
        raise SourceError(
            "malformed CSV: text behind a closing quote in the header",
            place=place,
            hint="Mend the line, or give names and skip it: header=[…] with skip_rows=1.",
        )
    mark = grammar.marks.quote.encode()
    return replace(first, values=[value and value.replace(mark, b"") for value in values])


def _kind(value: bytes | None) -> str:
    if value is None:
        return "none"
    return next((name for name, pattern in _KINDS if pattern.fullmatch(value.strip())), "text")


def _is_header(first: _Row, below: Sequence[_Row]) -> bool:
    """Whether the first row holds names: no value of it looks like those of its column that are no text."""
    compared = [row.values for row in below[:_COMPARED] if len(row.values) == len(first.values)]
    alike: list[bytes] = []
    strong = False
    for index, value in enumerate(first.values):
        kinds = {_kind(row[index]) for row in compared} - {"none"}
        if len(kinds) != 1 or kinds == {"text"}:
            continue
        if _kind(value) == "text":
            return True
        if kinds == {_kind(value)} and value is not None:
            alike.append(value)
            strong = strong or kinds != {"integer"}
    if strong or not alike:
        return not strong
    # Years, and columns that are counted, are names too; so are numbers beside a column without a name.
    numbers = [int(value) for value in alike]
    counted = len(numbers) > 1 and all(after == before + 1 for before, after in pairwise(numbers))
    return counted or all(number in _YEARS for number in numbers) or None in first.values


def _names(values: Sequence[bytes | None], below: Sequence[_Row]) -> tuple[str, ...]:
    """Each column's own name; columns most rows have, and the header has not, among them."""
    wide, rows = Counter(len(row.values) for row in below).most_common(1)[0] if below else (0, 0)
    wide = wide if 2 * rows > len(below) else 0
    found = list(values)
    filled = [
        index
        for index in range(len(values), wide)
        if any(len(row.values) > index and row.values[index] is not None for row in below)
    ]
    found += [None] * (max(filled) + 1 - len(values) if filled else 0)
    given = [None if value is None else value.decode() for value in found]
    taken = {name for name in given if name is not None}
    names: list[str] = []
    for number, name in enumerate(given, 1):
        wanted = name if name is not None and name.strip() else f"column_{number}"
        if wanted in names or (name is None and wanted in taken):
            wanted = _free(wanted, taken | set(names))
        names.append(wanted)
    return tuple(names)


def _free(name: str, taken: set[str]) -> str:
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"
