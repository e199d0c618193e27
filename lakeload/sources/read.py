"""The one way in: anything that holds rows, as Arrow batches.

First stage of the line extract → normalize → write → commit. Looks at what the data is and hands it to
the reader for it; everything streams, in the order of the input, in bounded memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, TypeGuard

from lakeload.errors import SourceError
from lakeload.sources.files import FORMATS, File, Format, find, open_text, public
from lakeload.storage_options import StorageOptions

if TYPE_CHECKING:
    import pyarrow as pa

    from lakeload.sources.decode.coerce import Hint

# The readers are imported where they are needed: this module is part of `import lakeload`.


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read data that does not say so itself.

    Args:
        format: `None`: by file name, else by content.
        record_path: Dotted path to the array of records inside a JSON object.
        storage: Credentials and endpoint for `s3://` inputs.
        batch_bytes: Bytes of input decoded at a time, per worker.
    """

    format: Format | None = None
    record_path: str | None = None
    storage: StorageOptions = field(default_factory=StorageOptions)
    batch_bytes: int = 16 << 20


def read(
    data: object,
    *,
    hint: Hint,
    options: ReadOptions,
    workers: int,
    is_text: Callable[[str], bool] = lambda _raw: False,
) -> Generator[pa.RecordBatch, None, None]:
    """Rows as record batches with the source's own names and types.

    Args:
        data: A path, glob or URL or a list of them; an iterable of dicts, lists of dicts, batches or JSON
            bytes; anything with `__arrow_c_stream__`; a Polars lazy frame; bytes of JSON.
        hint: Type a top-level column must have, by its raw name, if known.
        options: Format, record path, credentials.
        workers: Threads that decode.
        is_text: Whether a column, by its raw name, is known to hold text. CSV has no types, so that
            digits are read as text there; other sources keep what they say.

    Returns:
        Batches in the order of the input. Their schema may change from one to the next. Closing the
        iterator stops the threads and closes the files.

    Raises:
        SourceError: The data cannot be found, opened or decoded.
        SchemaError: Values of one column have no common type.
        StorageError: The place refused.

    Example:
        >>> batches = read([{"a": 1}], hint=lambda name: None, options=ReadOptions(), workers=1)
        >>> next(batches).to_pylist()
        [{'a': 1}]
    """
    from lakeload.sources.columnar import arrow_batches, speaks_arrow

    size = options.batch_bytes
    if isinstance(data, bytes | bytearray | memoryview):
        from lakeload.sources.decode.documents import decode_bytes

        yield from decode_bytes(
            bytes(data), hint=hint, batch_bytes=size, record_path=options.record_path, workers=workers
        )
    elif _is_location(data):
        files = find(data, options.storage)
        yield from _read_files(files, hint, options, workers, is_text)
    elif speaks_arrow(data):
        yield from arrow_batches(data)
    elif isinstance(data, list | tuple) and data and all(map(_is_location, data)):
        files = [file for location in data for file in find(location, options.storage)]
        yield from _read_files(files, hint, options, workers, is_text)
    elif isinstance(data, Iterable):
        from lakeload.sources.decode.rows import read_rows

        rows = [data] if isinstance(data, Mapping) else data
        yield from read_rows(rows, hint=hint, batch_bytes=size)
    else:
        raise SourceError(
            f"cannot read a {type(data).__name__}",
            hint="Give a path, a URL, an iterable of rows, JSON bytes, or anything that speaks Arrow.",
        )


def describe(data: object) -> str:
    """Short name of a source for messages: its path or URL without secrets, else what it is."""
    if isinstance(data, list | tuple) and data and all(map(_is_location, data)):
        rest = f" and {len(data) - 1} more" if len(data) > 1 else ""
        return f"{describe(data[0])}{rest}"
    if _is_location(data):
        return public(os.fspath(data))
    name = getattr(data, "__name__", None)
    return str(name) if isinstance(name, str) else type(data).__name__


def _is_location(data: object) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(data, str | os.PathLike)


def _read_files(
    files: list[File], hint: Hint, options: ReadOptions, workers: int, is_text: Callable[[str], bool]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    from lakeload.sources.columnar import read_ipc, read_parquet
    from lakeload.sources.delimited import read_delimited
    from lakeload.sources.decode.documents import decode_blocks, document_blocks, line_blocks

    def text_hint(raw: str) -> pa.DataType | None:
        return hint(raw) or (pa.string() if is_text(raw) else None)

    size = options.batch_bytes
    for kind, group in groupby(files, lambda file: _format(file, options)):
        if kind == "jsonl":
            yield from decode_blocks(line_blocks(group, size), hint=hint, workers=workers)
            continue
        for file in group:
            if kind == "json":
                with open_text(file) as stream:
                    document = stream.read()
                parts = document_blocks(document, options.record_path, size, file.path)
                yield from decode_blocks(parts, hint=hint, workers=workers)
            elif kind == "parquet":
                yield from read_parquet(file, batch_bytes=size, workers=workers)
            elif kind == "arrow":
                yield from read_ipc(file)
            elif kind is not None:
                separator = "\t" if kind == "tsv" else ","
                yield from read_delimited(
                    file, separator=separator, hint=text_hint, batch_bytes=size, workers=workers
                )


def _format(file: File, options: ReadOptions) -> Format | None:
    """The file's format; `None` for a file without content."""
    from lakeload.sources.decode.documents import is_document

    if options.format is not None and options.format != "json":
        return options.format
    known = FORMATS.get(file.endings()[0])
    if known not in (None, "json"):
        return known
    with open_text(file) as stream:
        start = stream.read(1 << 16)
    if not start.strip():
        return None
    if options.record_path or (options.format == "json" and is_document(start)):
        return "json"
    for magic, kind in ((b"PAR1", "parquet"), (b"ARROW1", "arrow"), (b"\xff\xff\xff\xff", "arrow")):
        if start.startswith(magic):
            return kind  # type: ignore[return-value]  # literal strings above
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if known == "json" or text[:1] in (b"{", b"["):
        return "json" if is_document(start) else "jsonl"
    raise SourceError(
        "cannot tell the format of the file",
        place=file.path,
        hint=f"Name it {', '.join(FORMATS)}.",
    )
