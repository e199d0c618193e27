"""Files and bytes of JSON: cut into blocks, decoded in threads, numbered in order.

Part of extract. Lines are cut at newlines: uncompressed local files by byte ranges read in the workers,
all others as they stream in. A whole document (an array of records, or an object that holds one at a
record path) is held in memory and cut with `msgspec.Raw`, so that its records too are parsed in blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import msgspec
import pyarrow as pa

from lakeload.errors import LakeloadError, SourceError
from lakeload.sources.decode.coerce import Hint
from lakeload.sources.files import File, blocks, compression, head, line_ranges, read_range
from lakeload.sources.decode.infer import excerpt
from lakeload.sources.decode.jsonl import JsonDecoder
from lakeload.sources.parallel import ordered_map, prefetch

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Block:
    """Records to decode: where they are from, and how to get at them in the worker."""

    place: str | None
    load: Callable[[], bytes]
    records: Sequence[msgspec.Raw] | None = None


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


def document_blocks(
    document: bytes, record_path: str | None, batch_bytes: int, place: str | None
) -> Iterator[Block]:
    """Blocks of the records of one JSON document."""
    records = _records(document.removeprefix(_BOM), record_path, place)
    start, size = 0, 0
    for index, record in enumerate(records, 1):
        size += len(memoryview(record))
        if size >= batch_bytes or index == len(records):
            part = records[start:index]
            yield Block(place, bytes, part)
            start, size = index, 0


def _records(document: bytes, record_path: str | None, place: str | None) -> list[msgspec.Raw]:
    try:
        value = msgspec.json.decode(document, type=msgspec.Raw)
        for name in record_path.split(".") if record_path else ():
            fields = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
            if name not in fields:
                hint = f"The object has {', '.join(list(fields)[:10])}."
                raise SourceError(f"no {name!r} on the record path {record_path}", place=place, hint=hint)
            value = fields[name]
        if bytes(value).lstrip()[:1] == b"[":
            return msgspec.json.decode(value, type=list[msgspec.Raw])
    except msgspec.ValidationError:
        what = f"the record path {record_path} leads through something that is no object"
        raise SourceError(what, place=place, hint="Give record_path as dotted names.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        hint = "Fix the file; if it holds one object per line, say format='jsonl'."
        raise SourceError(f"malformed JSON document: {what}", place=place, hint=hint) from None
    if bytes(value).lstrip()[:1] == b"{":
        return [value]
    found = excerpt(bytes(value)[:80].decode("utf-8", "replace"))
    raise SourceError(
        f"expected JSON records, found {found}",
        place=place,
        hint="A document must be an array of objects, or an object with record_path.",
    )


def is_document(start: bytes) -> bool:
    """Whether JSON text that begins so is one document rather than one record per line."""
    text = start.removeprefix(_BOM).lstrip()
    if not text.startswith(b"{"):
        return text.startswith(b"[")
    line = text.split(b"\n", 1)[0]
    if line is text or len(line) == len(text):
        return False
    try:
        msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        # An object that goes on after the first line is laid out for people: a document.
        return "truncated" in str(error)
    except (UnicodeDecodeError, RecursionError):
        return False
    return False


def decode_bytes(
    data: bytes, *, hint: Hint, batch_bytes: int, record_path: str | None = None, workers: int = 1
) -> Iterator[pa.RecordBatch]:
    """Batches from JSON text in memory."""
    if record_path or is_document(data):
        parts = document_blocks(data, record_path, batch_bytes, None)
    else:
        parts = _cut(data, batch_bytes)
    yield from decode_blocks(parts, hint=hint, workers=workers)


def _cut(data: bytes, size: int) -> Iterator[Block]:
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + size - 1) + 1 or len(data)
        yield Block(None, partial(bytes, memoryview(data)[start:end]))
        start = end


def decode_blocks(parts: Iterable[Block], *, hint: Hint, workers: int) -> Iterator[pa.RecordBatch]:
    """Decode blocks in threads; batches come in the order of the blocks, errors name file and row."""
    decoder = JsonDecoder(hint)

    def decode(block: Block) -> tuple[str | None, list[pa.RecordBatch] | LakeloadError]:
        try:
            return block.place, decoder.decode(block.load(), block.records)
        except LakeloadError as error:
            return block.place, error

    place: str | None = None
    before = 0
    with closing(ordered_map(decode, parts, workers=workers)) as results:
        for origin, result in results:
            if origin != place:
                place, before = origin, 0
            if isinstance(result, LakeloadError):
                raise located(result, place, before)
            before += sum(batch.num_rows for batch in result)
            yield from result


def located(error: LakeloadError, place: str | None, before: int) -> LakeloadError:
    """The error of a block, with its file, and its row counted within the file."""
    error.place = error.place or place
    if error.row is not None:
        error.row += before
    return error
