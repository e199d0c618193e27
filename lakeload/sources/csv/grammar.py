r"""The rows of a dialect as regular expressions, which find where rows end at the speed of C.

A row is values between separators up to a line end. A value that begins with a quote ends with the next one
that is not doubled (or escaped), and a separator or line end must follow; any other value goes up to the next
separator or line end, and quotes within it are text. All quantifiers are possessive: nothing is looked at
twice, so that time grows with the bytes only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LINE_END = rb"(?:\r\n|\n|\r(?=[^\n]))"


@dataclass(frozen=True, slots=True)
class Marks:
    """What separates and surrounds values.

    Args:
        separator: Between values.
        quote: Around values; empty for none.
        escape: Before a quote within quotes, besides doubling it; empty for none.
        blanks: Blanks behind a separator belong to no value.
    """

    separator: str = ","
    quote: str = '"'
    escape: str = ""
    blanks: bool = False

    @property
    def plain(self) -> bool:
        """Whether these are marks an ordinary parser knows."""
        one = len(self.separator.encode()) == 1 and len(self.quote.encode()) <= 1
        return one and not self.escape and not self.blanks


class Grammar:
    r"""Expressions for the rows of a dialect; every row needs a line end.

    Args:
        marks: Of the dialect.

    Attributes:
        run: Whole rows, as many as follow one another.
        row: One row.
        lenient: One row in which text may follow a closing quote.

    Example:
        >>> grammar = Grammar(Marks())
        >>> grammar.run.match(b'1,"a\nb"\n2,"x"y\n').end()
        8
        >>> grammar.values(b'1,"a ""b"" c",\n')
        [b'1', b'a "b" c', None]
    """

    def __init__(self, marks: Marks) -> None:
        self.marks = marks
        self._quote = marks.quote.encode()
        mark, quote, escape = (
            re.escape(part.encode()) for part in (marks.separator, marks.quote, marks.escape)
        )
        self._between = mark + rb" *+" if marks.blanks else mark
        text = _text(mark, escape)
        quoted = _quoted(quote, escape) if quote else rb"(?!)"
        open_value = rb"(?!" + quote + rb")" + text if quote else text
        value = rb"(?:" + quoted + rb"|" + open_value + rb")"
        loose = rb"(?:" + quoted + text + rb"|" + open_value + rb")"
        self._strict = rb"(?:" + quoted + rb"|" + _text(mark, escape, quote) + rb")"
        self.run = _compiled(rb"(?:" + self._row(value) + rb")*+")
        self.row = _compiled(self._row(value))
        self.lenient = _compiled(self._row(loose))
        self._value = _compiled(rb"(" + quoted + rb")(?=" + mark + rb"|[\r\n]|\Z)|(" + loose + rb")")
        self._separator = _compiled(self._between)
        self._escapes = _compiled(escape + rb"(" + quote + rb"|" + mark + rb"|" + escape + rb"|[\r\n])")

    def _row(self, value: bytes) -> bytes:
        return rb"(?:" + value + self._between + rb")*+" + value + LINE_END

    def sound(self, width: int) -> re.Pattern[bytes]:
        """Whole rows of so many values, as many as follow one another, in which no quote is text."""
        rest = rb"(?:%b%b){%d}" % (self._strict, self._between, width - 1)
        return _compiled(rb"(?:" + rest + self._strict + LINE_END + rb")*+")

    def values(self, row: bytes) -> list[bytes | None]:
        """The values of one row, `None` for those that are empty and not quoted."""
        found: list[bytes | None] = []
        place = 0
        while (value := self._value.match(row, place)) is not None:
            if value.lastindex == 1:
                inside = value[1][1:-1].replace(self._quote * 2, self._quote)
                found.append(self._escapes.sub(rb"\1", inside) if self.marks.escape else inside)
            elif self.marks.escape and value[2]:
                found.append(self._escapes.sub(rb"\1", value[2]))
            else:
                found.append(value[2] or None)
            place = value.end()
            following = self._separator.match(row, place)
            if following is None:
                break
            place = following.end()
        return found


def _text(mark: bytes, escape: bytes, banned: bytes = b"") -> bytes:
    """Characters of a value without quotes around it."""
    if len(mark.removeprefix(b"\\")) == 1:
        one = rb"[^" + mark + escape + banned + rb"\r\n]"
        many = one + rb"*+"
    else:
        many = rb"(?:(?!" + mark + rb")[^" + escape + banned + rb"\r\n])*+"
    return many + rb"(?:" + escape + rb"[^\r\n]" + many + rb")*+" if escape else many


def _quoted(quote: bytes, escape: bytes) -> bytes:
    """A value with its quotes."""
    pair = rb"(?:" + quote * 2 + rb"|" + escape + rb".)" if escape else quote * 2
    body = rb"[^" + quote + escape + rb"]*+"
    return quote + body + rb"(?:" + pair + body + rb")*+" + quote


def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)
