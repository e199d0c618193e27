"""How a CSV file is written, found out from its beginning.

What the user says holds. The rest is measured: the usual separator is taken if the first rows all have as
many values; if not, each separator, quote and escape that may be meant splits these rows, and the one under
which most of them agree is taken. Nothing depends on the rest of the file: neither its size nor where it is
cut changes the answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lakeload.model.csv_options import CsvOptions
from lakeload.sources.csv.grammar import Grammar, Marks
from lakeload.sources.csv.header import Head, Top, head_of
from lakeload.sources.encoding import UTF8

SAMPLE = 1 << 16
"""Bytes that are looked at, if there are some lines in them."""
_ROWS = 200
_LEAST_LINES = 3
_USUAL = (",", ";", "\t", "|")
_RARE = ("^", "~", "\x1f", "\x01")
_ENOUGH = 0.5
_SEP = re.compile(rb'"?sep=([^\r\n"])"?[ \t,;]*(?:\r\n|\n|\r)', re.IGNORECASE)
_LINE = re.compile(rb"[^\r\n]*+(?:\r\n|\n|\r)")
_QUOTES = re.compile(rb'(?:^|[,;\t|])"[^"\r\n]*+"(?=[,;\t|\r\n])', re.MULTILINE)
_APOSTROPHES = re.compile(rb"(?:^|[,;\t|])'[^'\r\n]*+'(?=[,;\t|\r\n])", re.MULTILINE)

Row = list[bytes | None]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file is written.

    Args:
        marks: Separator, quote, escape.
        encoding: Of the bytes.
        head: Where the rows begin, and the names.
    """

    marks: Marks
    encoding: str
    head: Head

    def __str__(self) -> str:
        words = []
        if self.marks.separator != ",":
            words.append(f"separator {self.marks.separator!r}")
        if self.marks.blanks:
            words.append("blanks behind separators skipped")
        if self.marks.quote != '"':
            words.append(f"quote {self.marks.quote!r}" if self.marks.quote else "no quotes")
        if self.marks.escape:
            words.append(f"escape {self.marks.escape!r}")
        if self.encoding != UTF8:
            words.append(f"encoding {self.encoding}")
        words += self.head.notes
        return ", ".join(words)


def find_dialect(start: bytes, encoding: str, options: CsvOptions, usual: str, place: str) -> Dialect:
    r"""The dialect of a file.

    Args:
        start: Whole lines it begins with, in UTF-8 without a byte order mark.
        encoding: What it was written in.
        options: What is known of it.
        usual: The separator its name speaks of.
        place: Of the file, for messages.

    Raises:
        SourceError: The header cannot be read.

    Example:
        >>> found = find_dialect(b"id;name\n1;Ada\n", "utf-8", CsvOptions(), ",", "x.csv")
        >>> found.marks.separator, found.head.names
        (';', ('id', 'name'))
    """
    told, offset, skipped = _above(start, options)
    if told and options.separator is None:
        options = replace(options, separator=told)
    text = _enough(start, offset)
    marks = _marks(text, options, usual)
    start = start[: offset + len(text)]
    top = Top(start, offset, skipped, place)
    return Dialect(marks, encoding, head_of(top, Grammar(marks), options))


def _above(start: bytes, options: CsvOptions) -> tuple[str | None, int, int]:
    """The separator a first line speaks of, where the rest begins, and how many lines that skips."""
    separator, offset, lines = None, 0, 0
    said = _SEP.match(start)
    if said is not None:
        separator, offset, lines = said[1].decode(errors="replace"), said.end(), 1
    for _ in range((options.skip_rows or 0) - lines):
        line = _LINE.match(start, offset)
        if line is None:
            return separator, len(start), lines
        offset, lines = line.end(), lines + 1
    return separator, offset, lines


def _enough(start: bytes, offset: int) -> bytes:
    """Some whole lines: at least three, if there are as many."""
    end = offset
    for _ in range(_LEAST_LINES):
        end = start.find(b"\n", end) + 1 or len(start)
    if end - offset < SAMPLE:
        end = start.rfind(b"\n", 0, offset + SAMPLE) + 1 if len(start) > offset + SAMPLE else len(start)
    return start[offset : max(end, offset)] or start[offset:]


def _rows(text: bytes, grammar: Grammar) -> Iterator[Row | None]:
    """The first rows, without empty ones; `None` for those that are broken."""
    place = count = 0
    while place < len(text) and count < _ROWS:
        found = grammar.row.match(text, place)
        values = None if found is None else grammar.values(found[0])
        if found is None:
            found = grammar.lenient.match(text, place)
            if found is None:
                # Cut by the end of the sample, or never closed.
                if place == 0:
                    yield None
                return
        if values != [None]:
            yield values
            count += 1
        place = found.end()


@dataclass(frozen=True, slots=True)
class _Measure:
    """How well a dialect splits rows.

    Args:
        share: Of the rows that have the usual number of values.
        width: That number.
        whole: Whether all have it.
    """

    share: float
    width: int
    whole: bool

    @property
    def score(self) -> tuple[float, bool, int]:
        """More is better."""
        return round(self.share, 2), self.whole, self.width


def _measure(text: bytes, marks: Marks) -> _Measure:
    rows = list(_rows(text, Grammar(marks)))
    widths = [0 if row is None else len(row) for row in rows]
    several = [width for width in widths if width > 1]
    if not several:
        return _Measure(0.0, 1, whole=False)
    # Lines above a table are as a rule of one value, and no sign against the dialect.
    while widths[0] == 1 and len(widths) > _LEAST_LINES:
        widths = widths[1:]
    width, often = Counter(several).most_common(1)[0]
    return _Measure(often / len(widths), width, whole=often == len(rows))


def _marks(text: bytes, options: CsvOptions, usual: str) -> Marks:
    """The marks under which the rows agree most."""
    first = Marks(
        options.separator or usual,
        '"' if options.quote is None else options.quote,
        _escape(options.escape or "", options.quote),
    )
    found = _measure(text, first)
    best = first
    if not found.whole:
        best = _best(text, options, first, found)
    whole = _measure(text, best).whole if best != first else found.whole
    if whole and options.separator is None and not best.blanks and _always_blank(text, best):
        best = replace(best, blanks=True)
    return best


def _escape(escape: str, quote: str | None) -> str:
    """Nothing where the escape is the quote: that is doubling it."""
    return "" if escape == ('"' if quote is None else quote) else escape


def _best(text: bytes, options: CsvOptions, first: Marks, found: _Measure) -> Marks:
    """The marks most rows agree under, those that come first among equals."""
    best, most = first, found.score if found.share >= _ENOUGH else (0.0, False, 0)
    for marks in _candidates(text, options, first):
        measure = _measure(text, marks)
        rare = marks.separator in _RARE or marks.separator == " "
        if rare and not (measure.whole and _is_evident(text, marks, measure)):
            continue
        if measure.share >= _ENOUGH and measure.score > most:
            best, most = marks, measure.score
    return best


def _candidates(text: bytes, options: CsvOptions, first: Marks) -> Iterator[Marks]:
    """Marks that may be meant, the likely ones first."""
    separators = [options.separator] if options.separator else [first.separator, *_USUAL, *_RARE, " "]
    quotes = [first.quote]
    if options.quote is None and _APOSTROPHES.search(text) and not _QUOTES.search(text):
        quotes.append("'")
    for quote in quotes:
        escapes = [first.escape]
        if options.escape is None and quote and b"\\" + quote.encode() in text:
            escapes.append("\\")
        for separator in dict.fromkeys(separators):
            if separator.encode() not in text:
                continue
            for escape in escapes:
                yield Marks(separator, quote, escape)
                if quote and f"{separator} {quote}".encode() in text and separator != " ":
                    yield Marks(separator, quote, escape, blanks=True)


def _is_evident(text: bytes, marks: Marks, measure: _Measure) -> bool:
    """Whether a rare separator is meant: blanks separate words, too."""
    if marks.separator != " ":
        return True
    quote = marks.quote.encode()
    return measure.width > 2 and bool(quote) and (b" " + quote in text or quote + b" " in text)  # noqa: PLR2004 - words


def _always_blank(text: bytes, marks: Marks) -> bool:
    """Whether a blank follows every separator of several rows, as people write lists."""
    if marks.separator == " " or f"{marks.separator} ".encode() not in text:
        return False
    rows = [row for row in _rows(text, Grammar(marks)) if row is not None and len(row) > 1]
    behind = [value for row in rows for value in row[1:]]
    return len(rows) > 1 and all(value is not None and value.startswith(b" ") for value in behind)
