"""JSON records to Arrow: fast where the data is as expected, exact where it is not.

Part of extract. A block of records is parsed by pyarrow straight into the schema learned so far, without
Python objects. That parser alone would accept some things silently — integers and long fractions rounded
into doubles, broken UTF-8, `null` in place of a record, NaN — so `literals` and cheap checks on the result
send such pieces, and those the parser refuses, the exact way: each record is decoded with msgspec, its types
are learned, and `RowDecoder` builds the columns. Only the piece with the surprise goes that way; what it
taught serves the pieces after it. Pieces may therefore differ in schema.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import msgspec
import pyarrow as pa

from lakeload.errors import LakeloadError, SourceError
from lakeload.model.memory import pool
from lakeload.sources.decode.conflict import excerpt
from lakeload.sources.decode.expectation import Expectation
from lakeload.sources.decode.infer import Observed
from lakeload.sources.decode.literals import exact_number
from lakeload.sources.decode.parsing import Parsing
from lakeload.sources.decode.records import (
    BOM,
    malformed,
    may_have_duplicates,
    refuse_duplicates,
    several,
)
from lakeload.sources.decode.rows import UNTYPED_METADATA, RowDecoder
from lakeload.sources.decode.seed import seeded
from lakeload.sources.decode.verbatim import Verbatim

_PIECE_BYTES = 1 << 20
_PART_BYTES = 1 << 16
_IN_VAIN = 24
_TRIES = 16
_SEVERAL = re.compile(rb"\}[ \t\r]*\{")

Records = Sequence[bytes | msgspec.Raw]


class JsonDecoder:
    """Decodes blocks of JSON records; safe to call from several threads.

    Args:
        expectation: What is known about the columns.

    Example:
        >>> decoder = JsonDecoder(Expectation())
        >>> [batch.to_pylist() for batch in decoder.decode(b'{"a": 1}')]
        [[{'a': 1}]]
    """

    def __init__(self, expectation: Expectation) -> None:
        self._hint = expectation.hint
        self._lock = threading.Lock()
        learned = seeded(expectation.known, expectation.nesting, text_only=True)
        self._rows = RowDecoder(expectation, learned)
        self._texts = Verbatim(expectation.nesting, self._hint)
        self._verbatim = self._texts.by_policy
        self._in_vain = 0
        self._parsing: Parsing | None = None
        if expectation.known is not None:
            self._parsing = self._compiled()

    def decode(self, block: bytes, records: Sequence[msgspec.Raw] | None = None) -> list[pa.RecordBatch]:
        """The records of one block as batches: one, unless their types differ.

        Args:
            block: Records separated by newlines, or by nothing.
            records: Records one by one instead, where they may contain newlines.

        Raises:
            SourceError: A record is malformed; `row` counts from 1 within the block.
            SchemaError: A value does not fit a declared type; `row` likewise.
        """
        batches: list[pa.RecordBatch] = []
        rows = 0
        for piece, parts in _pieces(block.removeprefix(BOM), records, _PIECE_BYTES):
            found = self._decode_piece(piece, parts, rows)
            rows += sum(batch.num_rows for batch in found)
            batches += found
        groups = groupby(batches, lambda batch: batch.schema)
        return [_together(list(group)) for _, group in groups]

    def _decode_piece(
        self, piece: bytes, records: Sequence[msgspec.Raw] | None, before: int
    ) -> list[pa.RecordBatch]:
        if self._verbatim:
            rewritten = self._texts.rewrite(_records(piece, records))
            if rewritten is not None:
                piece, records = b"\n".join(rewritten), rewritten
        if self._in_vain > _IN_VAIN and self._in_vain % _TRIES:
            # One surprise after the other: trying costs more than it saves.
            self._in_vain += 1
            with self._lock:
                return self._exact(piece, records, before)
        whole = self._fast(piece)
        if whole is not None:
            return [whole]
        # The surprise is somewhere in it: the rest is as expected, or is once that part was learned from.
        batches: list[pa.RecordBatch] = []
        for part, given in _pieces(piece, records, _PART_BYTES):
            found = self._decode_part(part, given, before)
            before += sum(batch.num_rows for batch in found)
            batches += found
        return batches

    def _decode_part(
        self, part: bytes, records: Sequence[msgspec.Raw] | None, before: int
    ) -> list[pa.RecordBatch]:
        found = self._fast(part)
        if found is not None:
            return [found]
        with self._lock:
            return self._exact(part, records, before)

    def _fast(self, piece: bytes) -> pa.RecordBatch | None:
        """The piece in the schema learned so far; `None` where that would not be exact."""
        parsing = self._parsing
        table = parsing.parse(piece) if parsing is not None else None
        self._in_vain = 0 if table is not None else self._in_vain + 1
        if table is None:
            return None
        return _only_batch(table.replace_schema_metadata(UNTYPED_METADATA))

    def _exact(self, piece: bytes, given: Sequence[msgspec.Raw] | None, before: int) -> list[pa.RecordBatch]:
        """Decode record by record, learn, and build the columns from the values."""
        records = _records(piece, given)
        rows = _decode_rows(records, before)
        if not self._verbatim and self._texts.odd(rows):
            self._verbatim = True
            rewritten = self._texts.rewrite(records)
            if rewritten is not None:
                rows = _decode_rows(rewritten, before)
        batches = self._rows.decode(rows, before)
        parsing = self._compiled(rows[-1:])
        if parsing != self._parsing:
            self._parsing, self._in_vain = parsing, 0
        return batches

    def _compiled(self, sample: Sequence[dict[str, Any]] = ()) -> Parsing:
        usual = Observed(self._rows.learned.nesting)
        usual.observe(sample)
        return Parsing.of(self._rows, self._hint, self._parsing, usual.type() if sample else None)


def _decode_rows(records: Records, before: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number, record in enumerate(records, before + 1):
        try:
            row = _DECODER.decode(record)
        except msgspec.DecodeError as error:
            if "trailing" in str(error):
                separated = _separated(records, before)
                if len(separated) > len(records):
                    return _decode_rows(separated, before)
            last = number == before + len(records)
            raise malformed(bytes(record), error, row=number, last=last) from None
        except (UnicodeDecodeError, RecursionError, ArithmeticError) as error:
            raise malformed(bytes(record), error, row=number) from None
        if not isinstance(row, dict):
            raise SourceError(
                f"expected a JSON object, found {excerpt(row)}",
                row=number,
                hint="Each record must be an object; for records inside a document give record_path.",
            )
        rows.append(row)
    if may_have_duplicates(b"[" + b",".join(records) + b"]", rows):
        for number, record in enumerate(records, before + 1):
            with numbered(number):
                refuse_duplicates(record)
    return rows


def unreadable(line: bytes) -> str | None:
    """Why a line is no record; `None` where it is one."""
    try:
        _decode_rows([line], 0)
    except LakeloadError as error:
        return error.what
    return None


def _separated(records: Records, before: int) -> list[bytes | msgspec.Raw]:
    """The records, with those apart that stand in one line."""
    found: list[bytes | msgspec.Raw] = []
    for record in records:
        if not _SEVERAL.search(record):
            found.append(record)
            continue
        with numbered(before + len(found)):
            found.extend(several(bytes(record)))
    return found


@contextmanager
def numbered(row: int) -> Iterator[None]:
    """Errors in the block name the row, or count on from it."""
    try:
        yield
    except LakeloadError as error:
        error.row = row + (error.row or 0)
        raise


def _together(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """The rows of batches of one schema in one batch."""
    if len(batches) == 1:
        return batches[0]
    if not batches[0].num_columns:
        # Concatenation forgets rows that have no columns.
        rows = sum(batch.num_rows for batch in batches)
        empty = pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
        return empty.replace_schema_metadata(batches[0].schema.metadata)
    return pa.concat_batches(batches, memory_pool=pool())


def _pieces(
    block: bytes, records: Sequence[msgspec.Raw] | None, length: int
) -> Iterator[tuple[bytes, Sequence[msgspec.Raw] | None]]:
    """The block in pieces, such as fit the processor's cache, which the parser is fastest on."""
    if records is not None:
        size, start = 0, 0
        for index, record in enumerate(records, 1):
            size += len(memoryview(record))
            if size >= length or index == len(records):
                yield b"\n".join(records[start:index]), records[start:index]
                size, start = 0, index
        return
    position = 0
    while position < len(block):
        end = block.find(b"\n", position + length) + 1 or len(block)
        piece = block[position:end]
        position = end
        if not piece.isspace():
            yield piece, None


def _records(piece: bytes, given: Sequence[msgspec.Raw] | None) -> Records:
    if given is not None:
        return given
    return [line.strip() for line in piece.split(b"\n") if line and not line.isspace()]


def _only_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks(memory_pool=pool()).to_batches()
    if len(batches) == 1:
        return batches[0]
    return pa.RecordBatch.from_struct_array(pa.array([{}] * table.num_rows, pa.struct([])))


_DECODER = msgspec.json.Decoder(float_hook=exact_number)
