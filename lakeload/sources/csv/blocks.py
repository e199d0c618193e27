"""A file cut into blocks of whole rows, with the rows that are none taken out.

Blocks without a quote end at their last line end. All others are walked by the grammar of the dialect, so
that a block never ends inside a value. A row in which text follows a closing quote is broken, and where it
ends is not certain: if each of the lines up to the end of what the quotes hold is a sound row by itself, a
quote too many stands in its first line, and only that is taken out; otherwise all of it is, so that no row is
ever made of the inside of a text. The same is done where a quote is never closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lakeload.errors import SourceError
from lakeload.sources.csv.grammar import LINE_END, Grammar

LONGEST_ROW = 64 << 20
"""Bytes after which a quote that is not closed is taken for one that never will be."""

BEHIND_QUOTE = "text behind a closing quote"
NOT_CLOSED = "a quoted value is not closed"

_LINE = re.compile(rb"[^\r\n]*+" + LINE_END)
_NEWLINE = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Broken:
    """Bytes between rows that are no row.

    Args:
        at: Offset in the block's rows where they stood.
        line: Their line in the file, from 1.
        reason: What is wrong.
        text: The bytes.
        grave: Whether it says something of the file: it ends with them, and may be incomplete.
    """

    at: int
    line: int
    reason: str
    text: bytes
    grave: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Whole rows of a file.

    Args:
        data: The rows, each with its line end.
        line: Line of the file the block begins with, from 1.
        broken: What was taken out between them, in order.
    """

    data: bytes
    line: int
    broken: list[Broken] = field(default_factory=list)


def lines_in(text: bytes) -> int:
    """Line ends in a text."""
    return text.count(b"\n") if b"\r" not in text else len(_NEWLINE.findall(text))


def blocks_of(
    pieces: Iterable[bytes], grammar: Grammar, *, width: int, line: int, longest: int = LONGEST_ROW
) -> Iterator[Block]:
    r"""Blocks of about the size of the pieces.

    Args:
        pieces: The text, cut anywhere.
        grammar: Of its dialect.
        width: Values a row has.
        line: Line of the file the text begins with.
        longest: Bytes a row may have.

    Raises:
        SourceError: A row has more than those.

    Example:
        >>> from lakeload.sources.csv.grammar import Marks
        >>> pieces = [b'1,"a', b'\nb"\n2,c', b'\n']
        >>> [block.data for block in blocks_of(pieces, Grammar(Marks()), width=2, line=1)]
        [b'1,"a\nb"\n', b'2,c\n']
    """
    cutter = _Cutter(grammar, width, longest)
    waiting: list[bytes] = []
    size = due = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size < due:
            continue  # what waits is looked at again when there is twice as much
        data = b"".join(waiting)
        block, rest = cutter.cut(data, line)
        if block is not None:
            line += lines_in(data[: len(data) - len(rest)])
            yield block
        elif len(rest) > longest:
            raise SourceError(f"no row ends within {longest >> 20} MiB", hint="Is the file CSV?")
        waiting, size, due = [rest], len(rest), 2 * len(rest)
    data = b"".join(waiting)
    if data:
        block, _ = cutter.cut(data if data.endswith(b"\n") else data + b"\n", line, final=True)
        if block is not None:
            yield block


class _Cutter:
    def __init__(self, grammar: Grammar, width: int, longest: int) -> None:
        self._grammar = grammar
        self._special = [mark.encode() for mark in (grammar.marks.quote, grammar.marks.escape) if mark]
        self._sound = grammar.sound(width) if width > 1 else None
        self._longest = longest

    def cut(self, data: bytes, line: int, *, final: bool = False) -> tuple[Block | None, bytes]:
        """The whole rows at the beginning of the data, and the rest."""
        if not any(mark in data for mark in self._special):
            end = len(data) if final else _last_line_end(data)
            return (Block(data[:end], line) if end else None), data[end:]
        kept: list[bytes] = []
        broken: list[Broken] = []
        size = place = 0
        first = line
        while place < len(data):
            end = self._end_of_run(data, place)
            kept.append(data[place:end])
            size += end - place
            line += lines_in(data[place:end])
            place = end
            found = None if end == len(data) else self._broken(data, place, final=final)
            if found is None:
                break
            reason, end = found
            grave = reason == NOT_CLOSED and end == len(data)
            broken.append(Broken(size, line, reason, data[place:end], grave))
            line += lines_in(data[place:end])
            place = end
        return (Block(b"".join(kept), first, broken) if place else None), data[place:]

    def _end_of_run(self, data: bytes, place: int) -> int:
        found = self._grammar.run.match(data, place)
        return place if found is None else found.end()

    def _broken(self, data: bytes, place: int, *, final: bool) -> tuple[str, int] | None:
        """Why what begins here is no row, and where it ends; `None` where more of it may come."""
        found = self._grammar.lenient.match(data, place)
        if found is not None:
            return BEHIND_QUOTE, self._first_line(data, place, found.end())
        if final:
            return NOT_CLOSED, self._first_line(data, place, len(data))
        if len(data) - place > self._longest:
            end = _last_line_end(data)
            return NOT_CLOSED, self._first_line(data, place, end) if end > place else len(data)
        return None

    def _first_line(self, data: bytes, place: int, end: int) -> int:
        """The end of the first line, if each line behind it is a row; else the end that is given."""
        line = _LINE.match(data, place)
        if line is None or line.end() >= end or self._sound is None:
            return end
        rows = self._sound.match(data, line.end(), end)
        return line.end() if rows is not None and rows.end() == end else end


def _last_line_end(data: bytes) -> int:
    """Offset behind the last line end that is certain to be whole."""
    end = data.rfind(b"\n") + 1
    # A carriage return at the very end may be half of a line end.
    return end or data.rfind(b"\r", 0, len(data) - 1) + 1
