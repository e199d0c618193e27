"""JSON records to Arrow: fast where the data is as expected, exact where it is not.

Part of extract. A block of records is parsed by pyarrow straight into the schema learned so far, without
Python objects. That parser alone would accept some things silently — integers rounded into doubles, broken
UTF-8, `null` in place of a record, NaN — so cheap checks on the result send such blocks, and those the
parser refuses, to the exact path: decode each record with msgspec, learn its types, widen the schema, parse
again. What is learned serves later blocks; blocks may therefore differ in schema.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from lakeload.errors import LakeloadError, SourceError
from lakeload.sources.decode.coerce import Hint, carrier, coerce, is_text
from lakeload.sources.decode.infer import EXACT_IN_DOUBLE, Conflict, Observed, excerpt, locate

_SAMPLE_ROWS = 2000
_PIECE_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"
_OBJECT = re.compile(rb"\s*\{")
_NULL_RECORD = re.compile(rb"\}\s*null")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class JsonDecoder:
    """Decodes blocks of JSON records; safe to call from several threads.

    Args:
        hint: Type a top-level column must have, if known.
    """

    def __init__(self, hint: Hint) -> None:
        self._hint = hint
        self._lock = threading.Lock()
        self._learned: Observed | None = None
        self._schema = pa.schema([])

    def decode(self, block: bytes, records: Sequence[msgspec.Raw] | None = None) -> list[pa.RecordBatch]:
        """The records of one block as batches: one, unless their types differ.

        Args:
            block: Records separated by newlines.
            records: Records one by one instead, where they may contain newlines.

        Raises:
            SourceError: A record is malformed; `row` counts from 1 within the block.
            SchemaError: Values of one column have no common type; `row` likewise.
        """
        tables: list[pa.Table] = []
        rows = 0
        for piece, parts in _pieces(block.removeprefix(_BOM), records):
            try:
                table = self._decode_piece(piece, parts)
            except LakeloadError as error:
                if error.row is not None:
                    error.row += rows
                raise
            rows += table.num_rows
            tables.append(table)
        groups = groupby(tables, lambda table: table.schema)
        return [batch for _, group in groups for batch in one_batch(list(group))]

    def _decode_piece(self, piece: bytes, records: Sequence[msgspec.Raw] | None) -> pa.Table:
        schema = self._first_schema(piece, records)
        table = _parse(piece, schema) if schema is not None else None
        if table is None or not self._trustworthy(table, piece):
            table = self._exact(piece, records)
        return coerce(table, self._hint, None)

    def _trustworthy(self, table: pa.Table, piece: bytes) -> bool:
        """Whether the parser can have changed or invented nothing."""
        if not (piece.isascii() or _is_utf8(piece)):
            return False
        # The parser reads a bare `null` as a record of nulls. After the first record, an object, the first
        # of them follows a brace.
        if all(column.null_count for column in table.columns) and _NULL_RECORD.search(piece):
            return False
        for field, column in zip(table.schema, table.columns, strict=True):
            if pa.types.is_decimal(field.type) and self._hint(field.name) is not None:
                continue
            if not all(map(_exact_leaves, column.chunks)):
                return False
        return True

    def _first_schema(self, piece: bytes, records: Sequence[msgspec.Raw] | None) -> pa.Schema | None:
        with self._lock:
            if self._learned is None:
                sample = _records(piece, records)[:_SAMPLE_ROWS]
                try:
                    rows = [msgspec.json.decode(record) for record in sample]
                    seen = Observed()
                    seen.observe(rows)
                    self._learn(seen)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Conflict):
                    return None
            return self._schema

    def _learn(self, seen: Observed) -> None:
        schema = self._parse_schema(seen)
        self._learned, self._schema = seen, schema

    def _parse_schema(self, seen: Observed) -> pa.Schema:
        if not seen.kinds <= {"struct"}:
            raise Conflict("", "not a JSON object", "Every record must be a JSON object.")
        fields = []
        for name, column in seen.fields.items():
            wanted = self._hint(name)
            kind = carrier(column, name, wanted)
            fields.append(pa.field(name, kind))
        return pa.schema(fields)

    def _exact(self, block: bytes, records: Sequence[msgspec.Raw] | None) -> pa.Table:
        """Decode record by record, learn, and parse with what was learned."""
        rows = self._decode_rows(_records(block, records))
        block, rows = self._as_text(block, records, rows)
        seen = Observed()
        try:
            seen.observe(rows)
            alone = self._parse_schema(seen)
        except Conflict as conflict:
            raise self._conflict(rows, conflict) from None
        with self._lock:
            try:
                merged = (self._learned or Observed()).merge(seen)
                schema = self._parse_schema(merged)
                self._learned, self._schema = merged, schema
            except Conflict:
                # Earlier blocks disagree with this one: it gets its own types, and the next stage
                # widens the table or refuses.
                schema = alone
        for attempt in (schema, alone):
            table = _parse(block, attempt)
            if table is not None and table.num_rows == len(rows):
                return table
        self._refuse_unparsable(block, records, alone)
        # Every record is sound by itself: the parser went wrong on the whole (nulls before the first
        # value of some lists do that), so the decoded rows are converted instead.
        try:
            return pa.Table.from_struct_array(pa.array(rows, pa.struct(list(alone))))
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            hint = "Write one object per line."
            raise SourceError(f"cannot read the records: {str(error).splitlines()[0]}", hint=hint) from None

    def _decode_rows(self, records: Sequence[bytes | msgspec.Raw]) -> list[Any]:
        rows = []
        for number, record in enumerate(records, 1):
            try:
                row = msgspec.json.decode(record)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise self._malformed(bytes(record), error, number, last=number == len(records)) from None
            if not isinstance(row, dict):
                raise SourceError(
                    f"expected a JSON object, found {excerpt(row)}",
                    row=number,
                    hint="Each record must be an object; for records inside a document give record_path.",
                )
            rows.append(row)
        return rows

    def _as_text(
        self, block: bytes, records: Sequence[msgspec.Raw] | None, rows: list[Any]
    ) -> tuple[bytes, list[Any]]:
        """Write values of columns declared as text as text, exactly as they stand in the JSON."""
        names = {name for row in rows for name in row}
        text = [name for name in names if is_text(self._hint(name))]
        odd = [n for n in text if any(not isinstance(row.get(n), str | None) for row in rows)]
        if not odd:
            return block, rows
        self._refuse_unparsable(block, records)
        verbatim = msgspec.json.Decoder(dict[str, msgspec.Raw])
        lines = [verbatim.decode(line) for line in _records(block, records)]
        for row, raw in zip(rows, lines, strict=True):
            for name in odd:
                if not isinstance(row.get(name), str | None):
                    row[name] = bytes(raw[name]).decode()
                    raw[name] = msgspec.Raw(msgspec.json.encode(row[name]))
        return msgspec.json.Encoder().encode_lines(lines), rows

    def _malformed(self, record: bytes, error: Exception, row: int, *, last: bool) -> SourceError:
        hint = "Fix or remove the record."
        what = str(error)
        if isinstance(error, RecursionError):
            what = "nested too deeply"
        elif isinstance(error, UnicodeDecodeError):
            what, hint = "invalid UTF-8", "Convert the file to UTF-8."
        elif _SURROGATE.search(record) and _valid_json(record):
            what = "a \\u escape is half of a surrogate pair, which is no character"
        elif re.search(rb"\bNaN\b|\bInfinity\b", record):
            what, hint = "NaN and Infinity are not JSON", "Write null instead."
        elif "truncated" in what:
            what, hint = "the line ends within the object", "Give format='json' if objects span lines."
            if last:
                what, hint = "the record is cut off", "The file seems incomplete: fetch or write it again."
        return SourceError(
            f"malformed JSON: {what}: {excerpt(record.decode('utf-8', 'replace'))}",
            row=row,
            hint=hint,
        )

    def _conflict(self, rows: list[Any], conflict: Conflict) -> LakeloadError:
        found = locate(rows)
        if found is None:
            return conflict.error()
        row, value, first = found
        return first.error(row=row, value=value)

    def _refuse_unparsable(
        self, block: bytes, records: Sequence[msgspec.Raw] | None, schema: pa.Schema | None = None
    ) -> None:
        """What msgspec accepts and the parser does not: duplicate keys, and values out of range."""
        for number, record in enumerate(_records(block, records), 1):
            try:
                json.loads(bytes(record), object_pairs_hook=_no_duplicates)
                if schema is not None:
                    _parse_or_raise(bytes(record), schema)
            except (pa.ArrowInvalid, ValueError) as error:
                what = str(error).removeprefix("JSON parse error: ").split(" in row ")[0]
                raise SourceError(
                    f"cannot read the record: {what}",
                    row=number,
                    hint="Fix or remove the record.",
                ) from None


def one_batch(tables: Sequence[pa.Table]) -> list[pa.RecordBatch]:
    """The rows of tables of one schema in one batch; none when there are none."""
    rows = sum(table.num_rows for table in tables)
    if not rows:
        return []
    if not tables[0].num_columns:
        # Concatenation forgets rows that have no columns.
        return [pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))]
    return pa.concat_tables(tables).combine_chunks().to_batches()


def _pieces(
    block: bytes, records: Sequence[msgspec.Raw] | None
) -> Iterator[tuple[bytes, Sequence[msgspec.Raw] | None]]:
    """The block in pieces that fit the processor's cache, which the parser is fastest on."""
    if records is not None:
        size, start = 0, 0
        for index, record in enumerate(records, 1):
            size += len(memoryview(record))
            if size >= _PIECE_BYTES or index == len(records):
                yield b"\n".join(records[start:index]), records[start:index]
                size, start = 0, index
        return
    position = 0
    while position < len(block):
        end = block.find(b"\n", position + _PIECE_BYTES) + 1 or len(block)
        piece = block[position:end]
        position = end
        if not piece.isspace():
            yield piece, None


def _records(block: bytes, records: Sequence[msgspec.Raw] | None) -> Sequence[bytes | msgspec.Raw]:
    if records is not None:
        return records
    return [line for line in block.split(b"\n") if line and not line.isspace()]


def _valid_json(record: bytes) -> bool:
    try:
        json.loads(record)
    except ValueError:
        return False
    return True


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    seen = dict(pairs)
    if len(seen) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} occurs twice in one object")
    return seen


def _parse_or_raise(block: bytes, schema: pa.Schema) -> pa.Table:
    return pyarrow.json.read_json(
        pa.BufferReader(block),
        read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=max(len(block) + 16, 1 << 10)),
        parse_options=pyarrow.json.ParseOptions(
            explicit_schema=schema, unexpected_field_behavior="error", newlines_in_values=False
        ),
    )


def _parse(block: bytes, schema: pa.Schema) -> pa.Table | None:
    """The block in this schema; `None` when the parser refuses."""
    if not _OBJECT.match(block):
        # The parser crashes the process on a block that begins with `null`.
        return None
    try:
        table = _parse_or_raise(block, schema)
        # Cheap, and finds the wrong offsets the parser leaves after leading nulls in some lists.
        table.validate()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return table


def _is_utf8(block: bytes) -> bool:
    text = pa.Array.from_buffers(
        pa.large_utf8(),
        1,
        [None, pa.py_buffer(b"\0" * 8 + len(block).to_bytes(8, "little")), pa.py_buffer(block)],
    )
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _exact_leaves(array: pa.Array) -> bool:
    kind = array.type
    if pa.types.is_floating(kind):
        # False for large magnitudes, NaN and infinities; nulls do not count.
        small = pc.less(pc.abs(array), float(EXACT_IN_DOUBLE))
        return pc.all(small).as_py() is not False
    if pa.types.is_struct(kind):
        return all(_exact_leaves(array.field(i)) for i in range(kind.num_fields))
    if pa.types.is_list(kind):
        return _exact_leaves(array.values)
    # Decimals nobody asked for: the parser takes text for them too, which would change its type.
    return not pa.types.is_decimal(kind)
