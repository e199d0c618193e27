"""CSV and TSV to Arrow: types learned from the text, exactly.

Part of extract. CSV has no types, so a column becomes something better than text only when every value of
the sample is written the one way that type is written; then nothing is lost by the conversion. Blocks are
parsed by pyarrow into those types. Blocks it refuses, and those with digits it would misread (`007`, `0x1f`),
are parsed as text and looked at value by value. A later value that does not fit widens the column where
that is exact (integer → double or decimal, date → timestamp) and is an error otherwise.

How text becomes a type: empty and unquoted is null; `true`/`false` boolean; integers without leading zeros
int64, longer ones decimal128(38, 0); numbers of up to 17 significant digits double; `YYYY-MM-DD` date;
ISO 8601 date and time a timestamp in µs, in UTC when a zone is given. All else stays text.
"""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Generator, Iterator
from contextlib import closing

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from lakeload.errors import LakeloadError, SchemaError, SourceError
from lakeload.sources.decode.coerce import Hint, coerce, from_text, is_text
from lakeload.sources.decode.conflict import excerpt, first_failure
from lakeload.sources.decode.infer import EXACT_IN_DOUBLE
from lakeload.sources.files import File, open_text
from lakeload.sources.parallel import ordered_map, prefetch

_SAMPLE_BYTES = 1 << 20
_TRUE = ["true", "True", "TRUE"]
_FALSE = ["false", "False", "FALSE"]
_INTEGER = r"^(0|-?[1-9][0-9]*)$"
_NUMBER = r"^(-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?|NaN|nan|-?inf|-?Infinity)$"
_CLOCK = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_PATTERNS = (
    (pa.bool_(), r"^(true|True|TRUE|false|False|FALSE)$"),
    (pa.date32(), f"^{_DATE}$"),
    (pa.timestamp("us"), f"^{_DATE}({_CLOCK})?$"),
    (pa.timestamp("us", "UTC"), f"^{_DATE}{_CLOCK}(Z|[-+][0-9]{{2}}:?[0-9]{{2}})$"),
)
_DOUBLE_DIGITS = 17
_DECIMAL_DIGITS = 38
_ROW = re.compile(r"Row #(\d+): ?")


def read_delimited(
    file: File, *, separator: str, hint: Hint, batch_bytes: int, workers: int
) -> Iterator[pa.RecordBatch]:
    """Batches of a CSV file with a header line; rows are counted from 1 below the header.

    Raises:
        SourceError: The file is not well-formed.
        SchemaError: Names repeat, or a value fits no type its column can have.
    """
    before = 0
    with closing(_blocks(file, batch_bytes)) as pieces:
        first = next(pieces, b"").removeprefix(b"\xef\xbb\xbf")
        if not first.strip():
            return
        names, body = _header(first, separator, file.path)
        decoder = CsvDecoder(names, separator, hint, body)

        def decode(block: bytes) -> pa.Table | LakeloadError:
            try:
                return decoder.decode(block)
            except LakeloadError as error:
                return error

        rest = prefetch(_chain(body, pieces))
        with closing(ordered_map(decode, rest, workers=workers)) as results:
            for result in results:
                if isinstance(result, LakeloadError):
                    result.place = file.path
                    result.row = result.row and result.row + before
                    raise result
                before += result.num_rows
                yield from result.to_batches()


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _blocks(file: File, size: int) -> Generator[bytes, None, None]:
    """The content in pieces that end with a row: at a newline with an even number of quotes before it."""
    with open_text(file) as stream:
        rest = b""
        while chunk := stream.read(size):
            rest += chunk
            cut = _row_end(rest)
            if cut:
                yield rest[:cut]
                rest = rest[cut:]
        if rest:
            yield rest


def _row_end(text: bytes) -> int:
    cut = text.rfind(b"\n") + 1
    if b'"' not in text:
        return cut
    inside = text.count(b'"', 0, cut) % 2
    while cut and inside:
        earlier = text.rfind(b"\n", 0, cut - 1) + 1
        inside = (inside + text.count(b'"', earlier, cut)) % 2
        cut = earlier
    return cut


def _header(block: bytes, separator: str, place: str) -> tuple[list[str], bytes]:
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SourceError("the file is UTF-16", place=place, hint="Convert it to UTF-8.")
    block = block.lstrip(b"\r\n")
    if b"\n" not in block and b"\r" in block.rstrip(b"\r"):
        raise SourceError(
            "the lines end with bare carriage returns",
            place=place,
            hint="Convert the line ends to LF or CRLF.",
        )
    end = block.find(b"\n") + 1 or len(block)
    while block.count(b'"', 0, end) % 2 and end < len(block):
        end = block.find(b"\n", end) + 1 or len(block)
    try:
        text = block[:end].decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SourceError("the header is not UTF-8", place=place, hint="Convert the file to UTF-8.") from None
    names = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SchemaError("two columns have one name", column=twice, place=place, hint="Rename one of them.")
    return names, block[end:]


class CsvDecoder:
    """Decodes blocks of rows; safe to call from several threads.

    Args:
        names: Column names.
        separator: Between values.
        hint: Type a column must have, if known.
        sample: First rows, from which types are learned.
    """

    def __init__(self, names: list[str], separator: str, hint: Hint, sample: bytes) -> None:
        self._names = names
        self._separator = separator
        self._hint = hint
        self._lock = threading.Lock()
        self._misreadable = _misreadable(separator)
        self._types = [self._declared(name) for name in names]
        cut = len(sample) if len(sample) <= _SAMPLE_BYTES else _row_end(sample[:_SAMPLE_BYTES])
        try:
            text = self._parse_text(sample[: cut or len(sample)])
        except SourceError:
            # The block itself will say what is wrong, with its row.
            return
        self._types = [
            known if known is not None else text_type(column)
            for known, column in zip(self._types, text.columns, strict=True)
        ]

    def _declared(self, name: str) -> pa.DataType | None:
        wanted = self._hint(name)
        if wanted is None:
            return None
        if is_text(wanted) or from_text(wanted):
            return pa.string()
        if pa.types.is_boolean(wanted) or pa.types.is_integer(wanted):
            return wanted
        return pa.float64() if pa.types.is_floating(wanted) else pa.string()

    def decode(self, block: bytes) -> pa.Table:
        """The rows of one block; errors count rows from 1 within it."""
        if block.count(b'"') % 2:
            self._refuse_open_quote(block)
        types = list(self._types)
        table = None
        if None not in types:
            odd = any(map(_is_number, types)) and any(p.search(block) for p in self._misreadable)
            table = self._parse_numbers(block, types) if odd else self._parse_or_none(block, types)
        if table is None or not _trustworthy(table):
            table = self._exact(block)
        return coerce(table, self._hint)

    def _parse(self, block: bytes, types: list[pa.DataType | None]) -> pa.Table:
        names = [str(i) for i in range(len(self._names))]
        if not block.strip(b"\r\n"):
            kinds = [kind or pa.null() for kind in types]
            return pa.Table.from_arrays([pa.array([], kind) for kind in kinds], names=self._names)
        table = pyarrow.csv.read_csv(
            pa.BufferReader(block),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=len(block) + 16, column_names=names
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self._separator,
                newlines_in_values=b'"' in block,
                ignore_empty_lines=len(names) > 1,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict(zip(names, types, strict=True)),
                null_values=[""],
                true_values=_TRUE,
                false_values=_FALSE,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        return table.rename_columns(self._names)

    def _parse_or_none(self, block: bytes, types: list[pa.DataType | None]) -> pa.Table | None:
        try:
            return self._parse(block, types)
        except pa.ArrowInvalid:
            return None

    def _parse_numbers(self, block: bytes, types: list[pa.DataType | None]) -> pa.Table | None:
        """The block in these types, with the texts of its numbers looked at; `None` when they do not fit."""
        number = [kind is not None and _is_number(kind) for kind in types]
        texts = [pa.string() if odd else kind for odd, kind in zip(number, types, strict=True)]
        table = self._parse_or_none(block, texts)
        if table is None:
            return None
        for index in [i for i, odd in enumerate(number) if odd]:
            column = table.column(index)
            padded = pc.match_substring_regex(column, r"^\s*-?0[0-9xX]")
            if pc.any(padded).as_py() or not _casts(column, types[index]):
                return None
            table = table.set_column(index, self._names[index], _convert(column, types[index]))
        return table

    def _parse_text(self, block: bytes) -> pa.Table:
        try:
            return self._parse(block, [pa.string()] * len(self._names))
        except pa.ArrowInvalid as error:
            raise _malformed(error) from None

    def _refuse_open_quote(self, block: bytes) -> None:
        """Refuse a value whose closing quote is missing, which the parser takes up to the end of the file."""
        rows = self._parse_text(block).num_rows
        probe = self._separator * (len(self._names) - 1)
        more = block.rstrip(b"\r\n") + b"\n" + probe.encode() + b"\n"
        try:
            # A quote in the middle of a value is text, and a row put after it is one row more.
            closed = probe and self._parse_text(more).num_rows > rows
        except SourceError:
            closed = False
        if not closed:
            hint = "The file seems incomplete: fetch or write it again."
            raise SourceError("malformed CSV: a quoted value is not closed", row=rows, hint=hint)

    def _exact(self, block: bytes) -> pa.Table:
        text = self._parse_text(block)
        columns = []
        for index, (name, column) in enumerate(zip(self._names, text.columns, strict=True)):
            with self._lock:
                known = self._types[index]
                kind = text_type(column) if known is None else _fit(column, known)
                if kind is not None:
                    self._types[index] = kind
            if kind is None:
                raise _misfit(column, known, name)
            columns.append(_convert(column, kind))
        return pa.Table.from_arrays(columns, names=self._names)


def _misreadable(separator: str) -> list[re.Pattern[bytes]]:
    """Patterns of digits the parser reads as another number: `007`, `-00`, `0x1f`, after a separator.

    Each begins with a fixed byte, which the regex engine looks for ten times faster than for a class.
    """
    before = b'(?<=[\\n" ' + re.escape(separator).encode()
    return [
        re.compile(rb"0" + before + rb"]0)[0-9xX]"),
        re.compile(rb"-0" + before + rb"]-0)[0-9xX]"),
        re.compile(rb"\A-?0[0-9xX]"),
    ]


def text_type(column: pa.ChunkedArray) -> pa.DataType:
    """The type all texts of a column are written in; `string` when there is none, `null` without texts.

    Example:
        >>> str(text_type(pa.chunked_array([["1", "20"]]))), str(text_type(pa.chunked_array([["007"]])))
        ('int64', 'string')
    """
    texts = pc.unique(column.drop_null())
    if not len(texts):
        return pa.null()
    if _all(texts, _INTEGER):
        digits = pc.max(pc.utf8_length(pc.utf8_ltrim(texts, "-"))).as_py()
        for kind in (pa.int64(), pa.decimal128(_DECIMAL_DIGITS, 0)):
            if digits <= _DECIMAL_DIGITS and _casts(texts, kind):
                return kind
        return pa.string()
    if _all(texts, _NUMBER):
        return pa.float64() if _exact_doubles(texts) else pa.string()
    for kind, pattern in _PATTERNS:
        if _all(texts, pattern) and _casts(texts, kind):
            return kind
    return pa.string()


def _all(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _casts(texts: pa.Array, kind: pa.DataType) -> bool:
    try:
        _convert(texts, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _exact_doubles(texts: pa.Array) -> bool:
    mantissa = pc.replace_substring_regex(texts, r"[eE].*$", "")
    digits = pc.utf8_ltrim(pc.replace_substring_regex(mantissa, "[^0-9]", ""), "0")
    if pc.max(pc.utf8_length(digits)).as_py() > _DOUBLE_DIGITS:
        return False
    if pc.any(pc.is_inf(pc.cast(texts, pa.float64()))).as_py():
        return False  # beyond the range of doubles
    whole = texts.filter(pc.match_substring_regex(texts, _INTEGER))
    if not len(whole) or not _casts(whole, pa.int64()):
        return not len(whole)
    extent = pc.min_max(pc.cast(whole, pa.int64())).as_py()
    return max(-extent["min"], extent["max"]) <= EXACT_IN_DOUBLE


def _fit(column: pa.ChunkedArray, known: pa.DataType) -> pa.DataType | None:
    """The type for a block of a column known as `known`; `None` when its texts do not fit."""
    own = text_type(column)
    if pa.types.is_string(known) or pa.types.is_null(own) or own == known:
        return known
    if pa.types.is_null(known) or (pa.types.is_integer(known) and _is_number(own)):
        return own
    if pa.types.is_integer(own) and (pa.types.is_float64(known) or pa.types.is_decimal(known)):
        exact = pa.types.is_decimal(known) or _exact_doubles(pc.unique(column.drop_null()))
        return known if exact else own
    if {known, own} == {pa.date32(), pa.timestamp("us")}:
        return pa.timestamp("us")
    return None


def _convert(texts: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if pa.types.is_null(kind):
        return pa.nulls(len(texts))
    if pa.types.is_boolean(kind):
        return pc.if_else(pc.is_null(texts), None, pc.is_in(texts, pa.array(_TRUE)))
    if pa.types.is_floating(kind):
        texts = pc.replace_substring_regex(texts, "Infinity", "inf")
    return pc.cast(texts, kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _trustworthy(table: pa.Table) -> bool:
    """Whether no large integer can have been rounded into a double."""
    for column in table.columns:
        if pa.types.is_floating(column.type):
            large = pc.less(pc.abs(column), float(EXACT_IN_DOUBLE))
            if pc.all(large).as_py() is False:
                return False
    return True


def _misfit(column: pa.ChunkedArray, known: pa.DataType | None, name: str) -> SchemaError:
    kind = known or pa.null()
    row = first_failure(len(column), lambda length: _fit(column.slice(0, length), kind) is not None)
    value = column[row - 1].as_py()
    return SchemaError(
        f"{excerpt(value)} is no {kind}, as the column was until here",
        column=name,
        row=row,
        hint="Declare the column as string in the schema, or fix the value.",
    )


def _malformed(error: pa.ArrowInvalid) -> SourceError:
    text = str(error).splitlines()[0].removeprefix("CSV parse error: ")
    found = _ROW.search(text)
    text = re.sub(r"^In CSV column #\d+: ", "", _ROW.sub("", text))
    hint = "Quote values that hold separators or newlines; every row needs the header's columns."
    if "UTF8" in text:
        text, hint = "invalid UTF-8", "Convert the file to UTF-8."
    return SourceError(
        f"malformed CSV: {excerpt(text, 160)}", row=int(found[1]) if found else None, hint=hint
    )
