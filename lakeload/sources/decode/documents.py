"""Files and bytes of JSON: cut into blocks, decoded in threads, numbered in order.

Part of extract. Lines are cut at newlines: uncompressed local files by byte ranges read in the workers,
all others as they stream in. Whole documents — an array of records, an object that holds one at a record
path, objects one after another, a dictionary of records — are held in memory and cut without being decoded
(`records`), so that their records too are parsed in blocks; small documents share a block, because every
batch costs as much as the schema has columns, however few its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from lakeload.errors import LakeloadError, SourceError
from lakeload.model.rejection import SOURCE_ROW, ErrorPolicy
from lakeload.sources.decode.broken_lines import Mended, without_broken
from lakeload.sources.decode.expectation import Expectation
from lakeload.sources.decode.jsonl import JsonDecoder
from lakeload.sources.decode.records import BOM, is_document, records_of
from lakeload.sources.files import File, blocks, compression, head, line_ranges, open_text, read_range
from lakeload.sources.parallel import ordered_map, prefetch
from lakeload.sources.rejects import Rejecting

if TYPE_CHECKING:
    from lakeload.sources.read import ReadOptions


@dataclass(frozen=True, slots=True)
class Block:
    """Records to decode: where they are from, and how to get at them in the worker.

    Args:
        place: File of the first record.
        load: Gives lines.
        records: Records instead of lines.
        later: Further files: how many records of the block come before theirs, and the file.
    """

    place: str | None
    load: Callable[[], bytes]
    records: Sequence[msgspec.Raw] | None = None
    later: tuple[tuple[int, str | None], ...] = ()

    def located(self, error: LakeloadError, before: int) -> LakeloadError:
        """The error with its file, and its row counted within the file.

        Args:
            error: What the decoder said; its row counts from 1 within the block.
            before: Records of the first file in earlier blocks.
        """
        place = self.place
        start = -before
        for index, file in self.later:
            if error.row is not None and error.row > index:
                place, start = file, index
        error.place = error.place or place
        if error.row is not None:
            error.row -= start
        return error


class JsonReader:
    """Everything JSON of one source: all its files or pages teach one decoder.

    Args:
        expectation: What is known about the columns.
        options: Record path and size of blocks.
        workers: Threads that decode.
        rejecting: What becomes of lines that cannot be read, counted with those of other files.

    Example:
        >>> from lakeload.sources.read import ReadOptions
        >>> pages = JsonReader(Expectation(), ReadOptions(record_path="items"))
        >>> next(pages.read(b'{"items": [{"id": 1}], "next": 2}')).to_pylist()
        [{'id': 1}]
    """

    def __init__(
        self,
        expectation: Expectation,
        options: ReadOptions,
        workers: int = 1,
        rejecting: Rejecting | None = None,
    ) -> None:
        self._decoder = JsonDecoder(expectation)
        self._first_decides = expectation.judges and expectation.known is None
        self._map_keys = expectation.nesting.map_keys
        self._options = options
        self._rejecting = rejecting or Rejecting(ErrorPolicy(options.on_error, options.max_errors))
        self._workers = workers
        self._rows = 0

    def read(self, data: bytes) -> Iterator[pa.RecordBatch]:
        """Batches from JSON text in memory, such as the body of an HTTP response.

        Raises:
            SourceError: The text is malformed, or holds no records at the record path.
        """
        text = data.removeprefix(BOM)
        if not text or text.isspace():
            return
        if self._options.record_path or self._options.input_format == "json" or is_document(data):
            yield from self._decode(self._documents([(data, None)]))
        else:
            yield from self._decode(_cut(data, self._options.batch_bytes))

    def read_documents(self, files: Iterable[File]) -> Iterator[pa.RecordBatch]:
        """Batches from files that hold one document each; one of them in memory as a whole at a time.

        Raises:
            SourceError: A document is malformed, or holds no records at the record path.
        """
        yield from self._decode(self._documents((_text(file), file.path) for file in files))

    def read_lines(self, files: Iterable[File]) -> Iterator[pa.RecordBatch]:
        """Batches from files with a record per line."""
        yield from self._decode(line_blocks(files, self._options.batch_bytes))

    def _documents(self, documents: Iterable[tuple[bytes, str | None]]) -> Iterator[Block]:
        """Blocks of the records of documents, with their files."""
        pending: list[msgspec.Raw] = []
        later: list[tuple[int, str | None]] = []
        first: str | None = None
        size = 0
        for document, place in documents:
            try:
                records = records_of(document, self._options.record_path, self._map_keys)
            except SourceError as error:
                error.place = error.place or place
                raise
            if pending:
                later.append((len(pending), place))
            else:
                first = place
            for record in records:
                pending.append(record)
                size += len(memoryview(record))
                if size >= self._options.batch_bytes:
                    yield Block(first, bytes, pending, tuple(later))
                    pending, later, first, size = [], [], place, 0
        if pending:
            yield Block(first, bytes, pending, tuple(later))

    def _decode(self, parts: Iterable[Block]) -> Iterator[pa.RecordBatch]:
        """Decode blocks in threads; batches come in the order of the blocks, errors name file and row."""
        place: str | None = None
        before = lines = 0
        parts = iter(parts)
        # Which types are learned first must not depend on which thread is first.
        first = list(islice(parts, 1)) if self._first_decides else []
        with closing(ordered_map(self._decoded, parts, workers=self._workers)) as results:
            for block, result, ends in chain(map(self._decoded, first), results):
                if block.place != place:
                    place, before, lines = block.place, 0, 0
                if isinstance(result, LakeloadError):
                    raise block.located(result, before)
                rows = sum(batch.num_rows for batch in result.batches)
                yield from (_numbered(batch, self._rows) for batch in result.batches)
                rejects = [replace(found, line=found.line + lines) for found in result.rejects]
                self._rejecting.rows += rows
                yield from self._rejecting.aside(rejects, place, self._rows)
                rows += len(rejects)
                lines += ends
                self._rows += rows
                before += rows
                if block.later:
                    index, place = block.later[-1]
                    before = rows - index

    def _decoded(self, block: Block) -> tuple[Block, Mended | LakeloadError, int]:
        """What a block holds, and its line ends where lines that are no records are put aside."""
        try:
            data = block.load()
            if self._options.on_error == "quarantine" and block.records is None:
                return block, without_broken(self._decoder, data), data.count(b"\n")
            return block, Mended(self._decoder.decode(data, block.records), []), 0
        except LakeloadError as error:
            return block, error, 0


def _text(file: File) -> bytes:
    with open_text(file) as stream:
        return stream.read()


def line_blocks(files: Iterable[File], batch_bytes: int) -> Iterator[Block]:
    """Blocks of whole lines of JSON files, in order."""
    for file in files:
        if file.local and file.size and compression(file, head(file)) is None:
            for start, end in line_ranges(file, batch_bytes):
                yield Block(file.path, partial(read_range, file.path, start, end))
        else:
            with closing(prefetch(blocks(file, batch_bytes))) as pieces:
                for piece in pieces:
                    yield Block(file.path, partial(bytes, piece))


def _cut(data: bytes, size: int) -> Iterator[Block]:
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + size - 1) + 1 or len(data)
        yield Block(None, partial(bytes, memoryview(data)[start:end]))
        start = end


def _numbered(batch: pa.RecordBatch, before: int) -> pa.RecordBatch:
    """The batch with the numbers of its rows, where it has any, counted over the whole source."""
    index = batch.schema.get_field_index(SOURCE_ROW)
    if index < 0 or not before:
        return batch
    import pyarrow.compute as pc

    return batch.set_column(index, batch.schema.field(index), pc.add(batch.column(index), before))
