"""Which files a path, glob or URL means, and how to open them.

First step of extract for everything that lies in files: local paths, and any protocol fsspec knows. Finds
the files (sorted), tells format and compression from names or first bytes, and opens decompressed streams.
"""

from __future__ import annotations

import bz2
import gzip
import os
import re
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote

from lakeload.errors import SourceError, StorageError
from lakeload.model.format import Format
from lakeload.places import SCHEMES
from lakeload.storage_options import StorageOptions
from lakeload.write.store import open_filesystem

_CLIENTS = ("aiohttp", "azure", "botocore", "fsspec", "gcsfs", "google", "s3fs")
"""Libraries whose own errors mean that the place did not answer as it should."""

FORMATS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
}
"""File name endings lakeload reads."""
COMPRESSIONS = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2"}
"""Endings that say a text file is compressed."""

_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bz2"))
_DAMAGED = re.compile(r"compressed|decompress|zlib|zstd|bz2|invalid data|able to read", re.IGNORECASE)
_READAHEAD = 8 << 20


@dataclass(frozen=True, slots=True)
class File:
    """One file to read.

    Args:
        path: Local path, or URL without secrets.
        size: Bytes, if known.
        filesystem: fsspec filesystem of a remote file; `None` for a local one.
        inner: The path as the filesystem spells it.
        folders: Names and values of the folders `name=value` it lies in, below what was asked for.
    """

    path: str
    size: int | None
    filesystem: Any = None
    inner: str = ""
    folders: tuple[tuple[str, str | None], ...] = ()

    @property
    def local(self) -> bool:
        """Whether the operating system can open it."""
        return self.filesystem is None

    def open(self) -> BinaryIO:
        """The raw bytes."""
        with reading(self.path):
            if self.local:
                return Path(self.path).open("rb")
            return self.filesystem.open(self.inner, "rb", block_size=_READAHEAD)

    def endings(self) -> tuple[str, str]:
        """Format and compression endings of the name, lower case, empty when absent."""
        name = self.path.rstrip("/").rsplit("/", 1)[-1].split("?")[0].lower()
        endings = ["", "", *PurePosixPath(name).suffixes]
        if endings[-1] in COMPRESSIONS:
            return endings[-2], endings[-1]
        return endings[-1], ""


def find(location: str | os.PathLike[str], storage: StorageOptions) -> list[File]:
    """The files a path, directory, glob or URL means, sorted by name.

    Raises:
        SourceError: There are none.
        StorageError: The place refused to be listed.
    """
    text = os.fspath(location)
    if not text:
        raise SourceError("the path is empty", hint="Give a path, a glob or a URL.")
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    if "://" in text:
        return _in_folders(_find_remote(text, storage), public(text))
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - Path's own fails for unknown users
    with reading(text):
        if path.is_dir():
            return _in_folders(_local_directory(path), str(path))
        if path.exists():
            return [File(str(path), path.stat().st_size if path.is_file() else None)]
        if _is_glob(text):
            return _in_folders(_local_glob(path), str(path))
    hint = f"Check the path; the working directory is {Path.cwd()}."
    raise SourceError("no such file", place=text, hint=hint)


def _in_folders(files: list[File], asked: str) -> list[File]:
    """The files with the values their folders have, as Hive names them.

    Args:
        files: What was found.
        asked: The directory or glob; folders of its fixed part say nothing of single files.
    """
    start = re.split(r"[*?[]", asked, maxsplit=1)[0] if _is_glob(asked) else asked.rstrip("/") + "/"
    fixed = start.rfind("/") + 1
    return [replace(file, folders=_folders(file.path[fixed:])) for file in files]


def _folders(path: str) -> tuple[tuple[str, str | None], ...]:
    found: dict[str, str | None] = {}
    for part in path.replace("\\", "/").split("/")[:-1]:
        name, equals, value = part.partition("=")
        if name and equals:
            value = unquote(value)
            found[unquote(name)] = None if value in ("__HIVE_DEFAULT_PARTITION__", "") else value
    return tuple(found.items())


def _local_directory(path: Path) -> list[File]:
    names = [p for p in sorted(path.rglob("*")) if p.is_file() and not _hidden(p.relative_to(path))]
    files = [File(str(p), p.stat().st_size) for p in names]
    return _supported(files, str(path))


def _local_glob(path: Path) -> list[File]:
    import glob

    found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - Path.glob takes no absolute patterns
    files = [File(p, Path(p).stat().st_size) for p in found if Path(p).is_file()]
    if not files:
        raise SourceError("no file matches", place=str(path), hint="Check the pattern.")
    return files


def _supported(files: list[File], place: str) -> list[File]:
    known = [file for file in files if file.endings()[0] in FORMATS]
    if not known:
        raise SourceError(
            "no readable file in the directory",
            place=place,
            hint=f"Names must end in one of {', '.join(FORMATS)}, optionally compressed.",
        )
    return known


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _is_glob(text: str) -> bool:
    return any(mark in text for mark in "*?[")


def _find_remote(url: str, storage: StorageOptions) -> list[File]:
    from fsspec.core import url_to_fs

    place = public(url)
    protocol = url.split("://", 1)[0]
    with reading(place):
        try:
            if protocol in SCHEMES:
                known = StorageOptions.read(storage.values, remote=True, scheme=protocol)
                filesystem = open_filesystem(url, known)
                inner = filesystem._strip_protocol(url)  # noqa: SLF001 - fsspec's only way
            else:
                filesystem, inner = url_to_fs(url)
        except (ValueError, ImportError) as error:
            hint = "Local paths, s3://, http(s):// and every protocol with an fsspec package are known."
            raise SourceError(f"cannot open {protocol}:// ({_line(error)})", place=place, hint=hint) from None
        prefix = url.split("://", 1)[0] + "://"
        try:
            return _list_remote(filesystem, inner, place, prefix)
        except ValueError as error:  # what fsspec says of a URL without a bucket
            raise SourceError(
                f"cannot list it ({_line(error)})", place=place, hint="Check the URL."
            ) from None


def _list_remote(filesystem: Any, inner: str, place: str, prefix: str) -> list[File]:
    web = prefix in ("http://", "https://")

    def file(path: str, info: dict[str, Any]) -> File:
        shown = public(path if "://" in path else prefix + path.lstrip("/"))
        return File(shown, info.get("size"), filesystem, path)

    if _is_glob(inner) and not web:
        found = filesystem.glob(inner, detail=True)
        files = [file(path, info) for path, info in sorted(found.items()) if info.get("type") != "directory"]
        if not files:
            raise SourceError("no object matches", place=place, hint="Check the pattern.")
        return files
    info = filesystem.info(inner)
    if info.get("type") != "directory" or web:
        return [file(inner, info)]
    found = filesystem.find(inner, detail=True)
    return _supported([file(path, entry) for path, entry in sorted(found.items())], place)


def public(url: str) -> str:
    """A URL without user, password and query, which may hold secrets."""
    if "://" not in url:
        return url
    protocol, rest = url.split("://", 1)
    host, slash, path = rest.split("?", 1)[0].partition("/")
    return f"{protocol}://{host.rsplit('@', 1)[-1]}{slash}{path}"


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turn failures of the place into one-line errors that name it and the way out."""
    try:
        yield
    except FileNotFoundError:
        web = place.startswith("http")
        what = "cannot be found, or the server does not answer" if web else "no such file"
        raise SourceError(what, place=place, hint="Check the path.") from None
    except PermissionError:
        hint = "Check permissions or credentials."
        raise SourceError("may not be read", place=place, hint=hint) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        hint = "The file is incomplete or damaged: fetch or write it again."
        raise SourceError(f"cannot decompress: {_line(error)}", place=place, hint=hint) from None
    except OSError as error:
        what = _line(error)
        if _DAMAGED.search(what):
            hint = "The file is incomplete or damaged: fetch or write it again."
            raise SourceError(f"cannot read: {what}", place=place, hint=hint) from None
        raise StorageError(
            f"cannot read: {what}", place=place, hint="Check address and credentials."
        ) from None
    except Exception as error:
        if type(error).__module__.split(".")[0] not in _CLIENTS:
            raise
        raise StorageError(
            f"cannot read: {type(error).__name__}",
            place=place,
            hint="Check address, network and credentials.",
        ) from None


def _line(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    # Messages of HTTP clients carry the URL with its query, where signatures live.
    return public_words(text.splitlines()[0].rstrip("."))


def public_words(text: str) -> str:
    """A message with the queries of its URLs removed."""
    return " ".join(public(word) if "://" in word else word for word in text.split())


def compression(file: File, head: bytes) -> str | None:
    """`gzip`, `zstd`, `bz2` or `None`, by first bytes, else by name."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    ending = file.endings()[1]
    if ending and head:
        raise SourceError(
            f"the name says {COMPRESSIONS[ending]}, the content is something else",
            place=file.path,
            hint="Rename the file, or fetch it again.",
        )
    return None


def head(file: File, size: int = 64) -> bytes:
    """The first bytes of the file as stored."""
    with reading(file.path), file.open() as stream:
        return stream.read(size)


@contextmanager
def open_text(file: File) -> Iterator[BinaryIO]:
    """The decompressed bytes; failures of the place become one-line errors."""
    with reading(file.path):
        codec = compression(file, head(file))
        with file.open() as raw:
            match codec:
                case None:
                    yield raw
                case "zstd":
                    import pyarrow as pa

                    yield pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), codec)
                case _:
                    # Python's readers notice a missing end; Arrow's gzip reader does not.
                    opened: Any = gzip.GzipFile(fileobj=raw) if codec == "gzip" else bz2.BZ2File(raw)
                    with opened as stream:
                        yield stream


def blocks(file: File, size: int) -> Generator[bytes, None, None]:
    """The decompressed content in pieces of about `size` bytes, each ending after a newline or at the end."""
    with open_text(file) as stream:
        rest = b""
        while chunk := stream.read(size):
            cut = chunk.rfind(b"\n") + 1
            if not cut:
                rest += chunk
                continue
            yield rest + chunk[:cut]
            rest = chunk[cut:]
        if rest:
            yield rest


def line_ranges(file: File, length: int) -> Iterator[tuple[int, int]]:
    """Byte ranges of about `length` bytes of a local file, each ending after a newline or at the end."""
    with reading(file.path), Path(file.path).open("rb", buffering=0) as stream:
        size = stream.seek(0, os.SEEK_END)
        start = 0
        while start < size:
            end = _line_end(stream, min(start + length, size) - 1)
            yield start, end
            start = end


def _line_end(stream: Any, position: int) -> int:
    """Offset after the first newline at or after the position, or the end of the file."""
    stream.seek(position)
    while piece := stream.read(1 << 14):
        cut = piece.find(b"\n") + 1
        if cut:
            return position + cut
        position += len(piece)
    return position


def read_range(path: str, start: int, end: int) -> bytes:
    """The bytes `[start, end)` of a local file.

    Raises:
        SourceError: The file has become shorter since it was listed.
    """
    with reading(path), Path(path).open("rb", buffering=0) as stream:
        stream.seek(start)
        data = stream.read(end - start)
        while len(data) < end - start:
            more = stream.read(end - start - len(data))
            if not more:
                raise SourceError("the file shrank while it was read", place=path, hint="Run again.")
            data += more
        return data
