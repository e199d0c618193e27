"""Blocks of rows into columns of text.

pyarrow's parser does it, after marks it does not know were rewritten. It hands over rows with another number
of values than there are columns: these are padded, and put back where they were, or rejected.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from lakeload.model.csv_options import Ragged
from lakeload.model.memory import pool
from lakeload.model.naming import TEXT_ONLY
from lakeload.sources.csv.blocks import BEHIND_QUOTE, NOT_CLOSED, Block, Broken, lines_in
from lakeload.sources.csv.grammar import Grammar, Marks
from lakeload.sources.encoding import ENCODING_HINT, is_utf8
from lakeload.sources.rejects import MALFORMED, RAGGED, Reject

TEXT = {TEXT_ONLY: b"csv"}
NOT_UTF8 = "bytes that are not UTF-8"
_RAGGED_HINT = (
    "Quote values that hold separators or line ends, or say what separates them, "
    'as CsvOptions(separator=";") or --csv-separator ";".'
)
_HINTS = {
    NOT_UTF8: ENCODING_HINT,
    NOT_CLOSED: "The file seems incomplete: fetch or write it again.",
    BEHIND_QUOTE: "Quotes within quoted values must be doubled, or say how they are escaped.",
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a block held.

    Args:
        rows: The rows that were read, all of text.
        numbers: Number of each within the block, from 1, where some are missing.
        count: Rows of the block, rejected ones among them.
        rejects: Those.
        padded: Rows that lacked values.
        trimmed: Rows with empty values more than there are columns.
    """

    rows: pa.RecordBatch
    numbers: pa.Array | None
    count: int
    rejects: list[Reject] = field(default_factory=list)
    padded: int = 0
    trimmed: int = 0


class RowParser:
    r"""Parses blocks of one file; safe to call from several threads.

    Args:
        names: Of the columns.
        grammar: Of the dialect.
        ragged: What is done with rows that have fewer or more values.

    Example:
        >>> parsed = RowParser(("a", "b"), Grammar(Marks()), "pad").parse(Block(b"1,x\n2\n3,y,z\n", 1))
        >>> parsed.rows.to_pylist(), [reject.line for reject in parsed.rejects]
        ([{'a': '1', 'b': 'x'}, {'a': '2', 'b': None}], [3])
    """

    def __init__(self, names: tuple[str, ...], grammar: Grammar, ragged: Ragged) -> None:
        self._names = names
        self._grammar = grammar
        self._ragged = ragged
        self._schema = pa.schema([(name, pa.string()) for name in names], metadata=TEXT)
        marks = grammar.marks
        one = len(marks.separator.encode()) == 1
        self._marks = Marks(marks.separator if one else ",", marks.quote or ("" if one else '"'))
        self._plain = Grammar(self._marks)

    def parse(self, block: Block) -> Parsed:
        """The rows of a block."""
        if not is_utf8(block.data):
            block = self._readable(block)
        ragged: list[tuple[int, str]] = []
        rows = self._arrow(self._rewritten(block.data), ragged)
        if not ragged and not block.broken:
            return Parsed(rows, None, rows.num_rows)
        return self._mended(block, rows, ragged)

    def _readable(self, block: Block) -> Block:
        """The block with rows taken out whose bytes are no text."""
        kept: list[bytes] = []
        broken: list[Broken] = []
        waiting = deque(block.broken)
        size, line = 0, block.line
        for found in self._grammar.row.finditer(block.data):
            while waiting and waiting[0].at <= found.start():
                line += lines_in(waiting[0].text)
                broken.append(replace(waiting.popleft(), at=size))
            row = found[0]
            if is_utf8(row):
                kept.append(row)
                size += len(row)
            else:
                broken.append(Broken(size, line, NOT_UTF8, row, grave=True))
            line += lines_in(row)
        broken += [replace(found, at=size) for found in waiting]
        return Block(b"".join(kept), block.line, broken)

    def _mended(self, block: Block, rows: pa.RecordBatch, ragged: list[tuple[int, str]]) -> Parsed:
        """The rows with those of another number of values among them, or rejected."""
        count = rows.num_rows + len(ragged)
        places = _Places(block, self._grammar, alone=len(self._names) == 1)
        padded, rejects = [], [places.broken(index) for index in range(len(block.broken))]
        lacking = trimmed = 0
        width = len(self._names)
        for number, text in ragged:
            values = self._plain.values(text.encode())
            surplus = values[width:]
            if self._ragged != "pad" or any(value is not None for value in surplus):
                reason = f"{len(values)} {'value' if len(values) == 1 else 'values'} in place of {width}"
                rejects.append(places.ragged(number, reason, stops=self._ragged == "stop"))
                continue
            padded.append((number, values))
            lacking += not surplus
            trimmed += bool(surplus)
        numbers = pa.arange(1, count + 1)
        odd = pa.array([number for number, _ in ragged], pa.int64())
        numbers = numbers.filter(pc.invert(pc.is_in(numbers, odd)))
        if padded:
            rows, numbers = self._merged(rows, numbers, padded)
        rejects.sort(key=lambda found: found.number)
        if block.broken:
            numbers = pa.array([places.number(n) for n in numbers.to_pylist()], pa.int64())
        everything = count + len(block.broken)
        return Parsed(rows, numbers if rejects else None, everything, rejects, lacking, trimmed)

    def _merged(
        self, rows: pa.RecordBatch, numbers: pa.Array, padded: list[tuple[int, list[bytes | None]]]
    ) -> tuple[pa.RecordBatch, pa.Array]:
        more = [
            pa.array([values[i] if i < len(values) else None for _, values in padded], pa.binary()).cast(
                pa.string()
            )
            for i in range(len(self._names))
        ]
        numbers = pa.concat_arrays([numbers, pa.array([number for number, _ in padded], pa.int64())])
        order = pc.sort_indices(numbers)
        columns = [pa.concat_arrays(pair).take(order) for pair in zip(rows.columns, more, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema), numbers.take(order)

    def _arrow(self, data: bytes, ragged: list[tuple[int, str]]) -> pa.RecordBatch:
        def aside(row: pyarrow.csv.InvalidRow) -> str:
            ragged.append((row.number, row.text))
            return "skip"

        alone = len(self._names) == 1
        if not data or not (alone or data.strip(b"\r\n")):
            return pa.RecordBatch.from_pylist([], schema=self._schema)
        places = [str(i) for i in range(len(self._names))]
        table = pyarrow.csv.read_csv(
            pa.BufferReader(data),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=len(data) + 16, column_names=places
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self._marks.separator,
                quote_char=self._marks.quote or False,
                newlines_in_values=bool(self._marks.quote) and self._marks.quote.encode() in data,
                ignore_empty_lines=not alone,
                invalid_row_handler=aside,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(places, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
            memory_pool=pool(),
        )
        columns = [column.combine_chunks() for column in table.columns]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _rewritten(self, data: bytes) -> bytes:
        """The rows with marks the parser knows."""
        marks = self._grammar.marks
        if marks.plain:
            return data
        tidy = marks.separator == self._marks.separator and not marks.blanks
        escape = marks.escape.encode()
        if tidy and escape not in data:
            return data
        rows = []
        for found in self._grammar.row.finditer(data):
            row = found[0]
            rows.append(row if tidy and escape not in row else self._written(self._grammar.values(row)))
        return b"".join(rows)

    def _written(self, values: list[bytes | None]) -> bytes:
        quote = self._marks.quote.encode()
        texts = [b"" if v is None else quote + v.replace(quote, quote * 2) + quote for v in values]
        return self._marks.separator.encode().join(texts) + b"\n"


class _Places:
    """Where the rows of a block stand in their file."""

    def __init__(self, block: Block, grammar: Grammar, *, alone: bool) -> None:
        self._block = block
        found = grammar.row.finditer(block.data)
        starts = [row.start() for row in found if alone or row[0].strip(b"\r\n")]
        self._starts = [*starts, len(block.data)]
        self._at = [broken.at for broken in block.broken]
        self._counted = (0, block.line, 0)

    def number(self, row: int) -> int:
        """Number of a row among all, from its number among those that are whole."""
        return row + bisect_right(self._at, self._starts[row - 1])

    def broken(self, index: int) -> Reject:
        """What was taken out of the block."""
        found = self._block.broken[index]
        number = bisect_left(self._starts, found.at, hi=len(self._starts) - 1) + index + 1
        hint = _HINTS.get(found.reason, "Mend the file.")
        return Reject(number, found.line, MALFORMED, found.reason, found.text, found.grave, hint)

    def ragged(self, row: int, reason: str, *, stops: bool) -> Reject:
        """A row that has another number of values; asked for in the order of the rows."""
        start, end = self._starts[row - 1], self._starts[row]
        text = self._block.data[start:end]
        return Reject(self.number(row), self._line(start), RAGGED, reason, text, stops, _RAGGED_HINT)

    def _line(self, offset: int) -> int:
        place, line, taken = self._counted
        line += lines_in(self._block.data[place:offset])
        while taken < len(self._at) and self._at[taken] <= offset:
            line += lines_in(self._block.broken[taken].text)
            taken += 1
        self._counted = (offset, line, taken)
        return line
