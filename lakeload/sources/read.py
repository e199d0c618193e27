"""The one way in: anything that holds rows, as Arrow batches.

First stage of the line extract → normalize → write → commit. Looks at what the data is and hands it to
the reader for it; everything streams, in the order of the input, in bounded memory.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, TypeGuard

from lakeload.errors import SourceError
from lakeload.model.csv_options import CsvOptions
from lakeload.model.format import Format
from lakeload.model.rejection import OnError
from lakeload.sources.files import FORMATS, File, find, open_text, public
from lakeload.sources.notes import Notes
from lakeload.storage_options import StorageOptions

if TYPE_CHECKING:
    import pyarrow as pa

    from lakeload.sources.decode.expectation import Expectation

_LINES = 2
_LONGEST_START = 1 << 28
_MARKS = 512
"""Bytes of the start of a file that tell what it is."""
_OURS: tuple[tuple[bytes, Format], ...] = (
    (b"PAR1", "parquet"),
    (b"PARE", "parquet"),
    (b"ARROW1", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),
)
_OTHERS = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a", "a rar archive"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    (b"Obj\x01", "an Avro file"),
    (b"ORC\n", "an ORC file"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"%PDF-", "a PDF document"),
)
"""Marks of what is often found under other names."""

# The readers are imported where they are needed: this module is part of `import lakeload`.


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read data that does not say so itself.

    Args:
        input_format: `None`: by file name, else by content.
        record_path: Dotted path to the array of records inside a JSON object, such as one page of an API.
        storage: Credentials and endpoint for `s3://` inputs.
        batch_bytes: Bytes of input decoded at a time, per worker.
        csv: How CSV is written, as far as it is known.
        on_error: `"stop"` at what cannot be read, or put it aside in the `"quarantine"`; see `ErrorPolicy`.
        max_errors: How much may be put aside before the load fails.
    """

    input_format: Format | None = None
    record_path: str | None = None
    storage: StorageOptions = field(default_factory=StorageOptions)
    batch_bytes: int = 16 << 20
    csv: CsvOptions = field(default_factory=CsvOptions)
    on_error: OnError | None = None
    max_errors: float | None = None


def read(
    data: object,
    *,
    expectation: Expectation | None = None,
    options: ReadOptions | None = None,
    workers: int = 1,
    notes: Notes | None = None,
) -> Generator[pa.RecordBatch, None, None]:
    """Rows as record batches with the source's own names and types.

    Args:
        data: A path, glob or URL or a list of them; an iterable of dicts, lists of dicts, batches or JSON
            bytes; anything with `__arrow_c_stream__`; a Polars lazy frame; bytes of JSON.
        expectation: What is known about the columns; `None`: nothing.
        options: Format, record path, credentials; `None`: what the data says itself.
        workers: Threads that decode.
        notes: Takes what the report shall say of the source.

    Returns:
        Batches in the order of the input. Their schema may change from one to the next. Those of JSON and
        of Python rows say in their metadata that their text may be dates. Closing the iterator stops the
        threads and closes the files.

    Raises:
        SourceError: The data cannot be found, opened or decoded.
        SchemaError: Values of one column have no common type.
        StorageError: The place refused.

    Example:
        >>> next(read([{"a": 1}])).to_pylist()
        [{'a': 1}]
    """
    from lakeload.sources.columnar import arrow_batches, speaks_arrow
    from lakeload.sources.decode.expectation import Expectation
    from lakeload.sources.intake import Intake

    expectation = expectation or Expectation()
    options = options or ReadOptions()
    notes = notes or Notes()
    if isinstance(data, bytes | bytearray | memoryview):
        from lakeload.sources.decode.documents import JsonReader

        yield from JsonReader(expectation, options, workers).read(bytes(data))
    elif _is_location(data):
        yield from _read_files(find(data, options.storage), expectation, options, workers, notes)
    elif speaks_arrow(data):
        yield from Intake(expectation.misfits).checked(arrow_batches(data))
    elif isinstance(data, list | tuple) and data and all(map(_is_location, data)):
        files = [file for location in data for file in find(location, options.storage)]
        yield from _read_files(files, expectation, options, workers, notes)
    elif isinstance(data, Iterable):
        from lakeload.sources.decode.items import read_rows

        rows = [data] if isinstance(data, Mapping) else data
        yield from read_rows(rows, expectation=expectation, options=options)
    else:
        raise SourceError(
            f"cannot read a {type(data).__name__}",
            hint="Give a path, a URL, an iterable of rows, JSON bytes, or anything that speaks Arrow.",
        )


def describe(data: object) -> str:
    """Short name of a source for messages: its path or URL without secrets, else what it is."""
    if isinstance(data, list | tuple) and locates(data):
        rest = f" and {len(data) - 1} more" if len(data) > 1 else ""
        return f"{describe(data[0])}{rest}"
    if _is_location(data):
        return public(os.fspath(data))
    name = getattr(data, "__name__", None)
    return str(name) if isinstance(name, str) else type(data).__name__


def locates(data: object) -> bool:
    """Whether the data is a path or URL, or several, rather than rows at hand."""
    several = isinstance(data, list | tuple) and bool(data) and all(map(_is_location, data))
    return several or _is_location(data)


def _is_location(data: object) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(data, str | os.PathLike)


def _read_files(
    files: list[File], expectation: Expectation, options: ReadOptions, workers: int, notes: Notes
) -> Iterator[pa.RecordBatch]:
    from lakeload.model.rejection import ErrorPolicy
    from lakeload.sources.columnar import read_ipc, read_parquet
    from lakeload.sources.csv.read import CsvReader
    from lakeload.sources.decode.documents import JsonReader
    from lakeload.sources.folders import with_folders
    from lakeload.sources.intake import Intake
    from lakeload.sources.rejects import Rejecting

    size = options.batch_bytes
    intake = Intake(expectation.misfits)
    policy = ErrorPolicy(options.on_error, options.max_errors)
    rejecting = Rejecting(policy, gentle=True)
    json = JsonReader(expectation, options, workers, rejecting)
    csv = CsvReader(options.csv, rejecting, notes, size, workers)
    for (kind, folders), group in groupby(files, lambda file: (_format(file, options), file.folders)):
        if kind == "jsonl":
            yield from with_folders(json.read_lines(group), folders)
            continue
        if kind == "json":
            yield from with_folders(json.read_documents(group), folders)
            continue
        for file in group:
            if kind == "parquet":
                found = read_parquet(file, batch_bytes=size, workers=workers)
                yield from with_folders(intake.checked(found, file.path), folders)
            elif kind == "arrow":
                yield from with_folders(intake.checked(read_ipc(file), file.path), folders)
            elif kind is not None:
                yield from with_folders(csv.read(file, "\t" if kind == "tsv" else ","), folders)
    rejecting.close()


def _format(file: File, options: ReadOptions) -> Format | None:
    """The file's format; `None` for a file without content."""
    from lakeload.sources.decode.records import is_document

    if options.input_format is not None and options.input_format != "json":
        return options.input_format
    known = FORMATS.get(file.endings()[0])
    if known not in (None, "json"):
        return _not_by_name(file) or known
    with open_text(file) as stream:
        start = stream.read(1 << 16)
        while start and not start.removeprefix(b"\xef\xbb\xbf").strip():
            start = stream.read(1 << 16)
        while (
            start.count(b"\n") < _LINES and len(start) < _LONGEST_START and (more := stream.read(len(start)))
        ):
            start += more
    if not start:
        return None
    if options.record_path or (options.input_format == "json" and is_document(start)):
        return "json"
    told = _told(file, start)
    if told is not None:
        return told
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if known == "json" or text[:1] in (b"{", b"["):
        return "json" if is_document(start) else "jsonl"
    raise SourceError(
        "cannot tell the format of the file",
        place=file.path,
        hint=f"Name it {', '.join(FORMATS)}, or say input_format (--input-format).",
    )


def _not_by_name(file: File) -> Format | None:
    """The format whose mark the content begins with, whatever the name says; `None` without one."""
    with open_text(file) as stream:
        return _told(file, stream.read(_MARKS))


def _told(file: File, start: bytes) -> Format | None:
    for mark, kind in _OURS:
        if start.startswith(mark):
            return kind
    other = next((name for mark, name in _OTHERS if start.startswith(mark)), None)
    if start[257:262] == b"ustar":
        other = "a tar archive"
    if other is not None:
        raise SourceError(
            f"it is {other}, which is not read here",
            place=file.path,
            hint="Unpack or convert it to one of the formats lakeload reads.",
        )
    return None
