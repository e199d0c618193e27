"""The reader of CSV: files in, batches of text out.

Part of extract. The beginning of a file tells its encoding and dialect; then blocks of whole rows are cut in
one thread and parsed in others. What the text means, normalize finds out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import LakeloadError, SourceError
from lakeload.model.csv_options import CsvOptions
from lakeload.model.rejection import NUMBERED, SOURCE_ROW
from lakeload.sources.csv.blocks import LONGEST_ROW, blocks_of
from lakeload.sources.csv.dialect import Dialect, find_dialect
from lakeload.sources.csv.grammar import Grammar
from lakeload.sources.csv.parse import Parsed, RowParser
from lakeload.sources.encoding import as_utf8, encoding_of
from lakeload.sources.files import File, compression, head, open_text
from lakeload.sources.notes import Notes
from lakeload.sources.parallel import ordered_map, prefetch
from lakeload.sources.rejects import Rejecting

START = 1 << 20
"""Bytes that tell the encoding."""
_LINES = 3
_NUMBER = pa.field(SOURCE_ROW, pa.int64(), metadata=NUMBERED)


@dataclass(slots=True)
class CsvReader:
    """Reads the CSV files of one source, one after another.

    Args:
        options: How they are written, as far as the user says.
        rejecting: What becomes of rows that cannot be read.
        notes: Takes what was found out.
        batch_bytes: Bytes parsed at a time, per worker.
        workers: Threads that parse.
    """

    options: CsvOptions
    rejecting: Rejecting
    notes: Notes
    batch_bytes: int
    workers: int = 1
    _rows: int = 0

    def read(self, file: File, usual: str) -> Iterator[pa.RecordBatch]:
        """Batches of text, and of what could not be read.

        Args:
            file: The file.
            usual: Separator its name speaks of.

        Raises:
            SourceError: It cannot be read, or not well enough.
        """
        rows = rejected = 0
        with open_text(file) as stream:
            text = _Text(file, stream, self.options.encoding, self.batch_bytes)
            start = text.start()
            if not start.strip():
                return
            dialect = find_dialect(start, text.encoding, self.options, usual, file.path)
            if str(dialect):
                self.notes.say(str(dialect), file.path)
            if not dialect.head.names:
                return
            for parsed in self._parsed(file, dialect, text.after(dialect.head.offset)):
                yield from self._batches(parsed, file.path)
                rows += parsed.rows.num_rows
                rejected += len(parsed.rejects)
        self.rejecting.finish(file.path, rows, rejected)

    def _parsed(self, file: File, dialect: Dialect, pieces: Iterator[bytes]) -> Iterator[Parsed]:
        grammar = Grammar(dialect.marks)
        parser = RowParser(dialect.head.names, grammar, self.options.ragged)
        blocks = blocks_of(pieces, grammar, width=len(dialect.head.names), line=dialect.head.line)
        try:
            with closing(ordered_map(parser.parse, prefetch(blocks), workers=self.workers)) as results:
                yield from results
        except LakeloadError as error:
            error.place = error.place or file.path
            raise

    def _batches(self, parsed: Parsed, place: str) -> Iterator[pa.RecordBatch]:
        batch = parsed.rows
        if parsed.numbers is not None:
            batch = batch.append_column(_NUMBER, pc.add(parsed.numbers, self._rows))
        self.rejecting.rows += batch.num_rows
        self.notes.count("rows with fewer values than columns, padded", parsed.padded)
        self.notes.count("rows with more values than columns, all empty, trimmed", parsed.trimmed)
        if batch.num_rows:
            yield batch
        yield from self.rejecting.aside(parsed.rejects, place, self._rows)
        self._rows += parsed.count


class _Text:
    """The text of a file in UTF-8: its beginning first, and then the rest in pieces."""

    def __init__(self, file: File, stream: BinaryIO, told: str | None, size: int) -> None:
        self._file = file
        self._size = size
        raw = _full(stream, START)
        self.encoding = told or encoding_of(raw)
        self._pieces = as_utf8(chain([raw], self._raw(stream, len(raw))), self.encoding, file.path)
        self._begun = b""
        self._whole = False

    def _raw(self, stream: BinaryIO, read: int) -> Iterator[bytes]:
        while piece := stream.read(max(self._size, 1 << 16)):
            read += len(piece)
            yield piece
        file = self._file
        if file.local and file.size and read < file.size and compression(file, head(file)) is None:
            raise SourceError("the file shrank while it was read", place=file.path, hint="Run again.")

    def start(self) -> bytes:
        """Whole lines the text begins with, at least a few if there are as many."""
        found: list[bytes] = []
        size = lines = 0
        while lines < _LINES and size < LONGEST_ROW:
            piece = next(self._pieces, None)
            if piece is None:
                self._whole = True
                break
            found.append(piece)
            size += len(piece)
            lines += piece.count(b"\n") or piece.count(b"\r")
        self._begun = b"".join(found)
        if self._whole:
            self._begun += b"" if self._begun.endswith(b"\n") else b"\n"
            return self._begun
        end = self._begun.rfind(b"\n") + 1 or self._begun.rfind(b"\r", 0, len(self._begun) - 1) + 1
        return self._begun[:end] if end else self._begun + b"\n"

    def after(self, offset: int) -> Iterator[bytes]:
        """The text behind an offset, in pieces."""
        for place in range(offset, len(self._begun), self._size):
            yield self._begun[place : place + self._size]
        yield from self._pieces


def _full(stream: BinaryIO, size: int) -> bytes:
    """So many bytes, or all there are."""
    found: list[bytes] = []
    while size and (piece := stream.read(size)):
        found.append(piece)
        size -= len(piece)
    return b"".join(found)
