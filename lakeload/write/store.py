"""Bytes in and out of one place: a directory or an object-store prefix.

The one primitive the commit protocol rests on is `create`: put a whole object if and only if nothing is
there, atomically and durably.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from lakeload.errors import ConfigError, StorageError
from lakeload.places import SCHEMES
from lakeload.storage_options import StorageOptions
from lakeload.write.store_lent import lent_filesystem

if TYPE_CHECKING:
    import fsspec


class Store:
    """Objects under one root, addressed by relative paths with forward slashes.

    Args:
        root: Absolute local path, or the URL of a bucket with a prefix; see `lake_root`.
        options: Credentials and endpoint for remote roots.

    Example:
        >>> import tempfile
        >>> store = Store(tempfile.mkdtemp())
        >>> store.create("a/b.json", b"{}"), store.create("a/b.json", b"[]")
        (True, False)
    """

    def __init__(self, root: str, options: StorageOptions | None = None) -> None:
        self.root = root.rstrip("/")
        self.options = options or StorageOptions()
        self.local = "://" not in root
        self._filesystem: Any = None

    def __repr__(self) -> str:
        return f"Store({self.root!r})"

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild in the other process; connections do not travel."""
        return (Store, (self.root, self.options))

    def child(self, path: str) -> Store:
        """The store rooted at `path` below this one, sharing its connection."""
        store = Store(self.uri(path), self.options)
        store._filesystem = self._filesystem if not self.local else None
        return store

    def at(self, root: str) -> Store:
        """The store rooted at another place of the same kind, sharing this one's connection."""
        store = Store(root, self.options)
        store._filesystem = self._filesystem if not self.local else None
        return store

    def uri(self, path: str) -> str:
        """Full local path or URI of an object."""
        return f"{self.root}/{path}" if path else self.root

    @property
    def filesystem(self) -> fsspec.AbstractFileSystem:
        """The fsspec filesystem behind a remote root."""
        if self._filesystem is None:
            self._filesystem = open_filesystem(self.root, self.options)
        return self._filesystem

    def make_root(self) -> None:
        """Make the directory of a local root.

        Raises:
            StorageError: It cannot be made, or a file is in its place.
        """
        with self.guarded():
            try:
                Path(self.root).mkdir(parents=True, exist_ok=True)
            except FileExistsError as error:
                raise StorageError(
                    "a file lies where the folder should be", place=self.root, hint="Choose another place."
                ) from error

    def create(self, path: str, data: bytes) -> bool:
        """Put the object if nothing is there; `False` when something is. Atomic and durable.

        Raises:
            StorageError: The place cannot be written, or its server overwrites what is there.
        """
        with self.guarded(path):
            return self._create_local(path, data) if self.local else self._create_remote(path, data)

    def read(self, path: str) -> bytes | None:
        """The whole object, or `None` when there is none."""
        with self.guarded(path):
            try:
                if self.local:
                    return Path(self.uri(path)).read_bytes()
                return bytes(self.filesystem.cat_file(self.uri(path)))
            except FileNotFoundError:
                return None

    def size(self, path: str) -> int | None:
        """Bytes of the object, or `None` when there is none."""
        with self.guarded(path):
            try:
                if self.local:
                    return Path(self.uri(path)).stat().st_size
                return int(self.filesystem.info(self.uri(path))["size"])
            except FileNotFoundError:
                return None

    def names(self, path: str) -> list[str]:
        """Names directly below `path`, sorted; empty when there is nothing."""
        with self.guarded(path):
            try:
                if self.local:
                    return sorted(entry.name for entry in os.scandir(self.uri(path)))
                found = self.filesystem.ls(self.uri(path), detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
            here = self.filesystem._strip_protocol(self.uri(path))  # noqa: SLF001 - fsspec's only way
            return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in found if name.rstrip("/") != here)

    def delete(self, path: str) -> None:
        """Remove the object if it is there."""
        with self.guarded(path), suppress(FileNotFoundError):
            if self.local:
                Path(self.uri(path)).unlink()
            else:
                self.filesystem.rm_file(self.uri(path))

    def delete_all(self) -> None:
        """Remove everything below the root, and a local root itself."""
        with self.guarded(), suppress(FileNotFoundError):
            if self.local:
                shutil.rmtree(self.root)
            else:
                self.filesystem.rm(self.root, recursive=True)

    def open_output(self, path: str) -> BinaryIO:
        """A writable stream to a new object, visible at the latest when closed. Parents are made.

        Local bytes appear in the file as they are written; remote ones when the stream is closed.
        """
        with self.guarded(path):
            if not self.local:
                return self.filesystem.open(self.uri(path), "wb", block_size=8 << 20)
            target = Path(self.uri(path))
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                return target.open("xb")
            except FileExistsError as error:
                raise StorageError("something is in the way", place=str(error.filename)) from error

    def _create_local(self, path: str, data: bytes) -> bool:
        # A half-written object must never be seen: write aside, sync, then link, which fails
        # when the name is taken.
        target = Path(self.uri(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        try:
            with aside.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.link(aside, target)
        except FileExistsError:
            return False
        finally:
            aside.unlink(missing_ok=True)
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return True

    def _create_remote(self, path: str, data: bytes) -> bool:
        server = (self.options.get("aws_endpoint_url") or "", urlsplit(self.root).netloc)
        created = self._put_if_absent(path, data)
        if created and server[0] and self._cloud == "aws" and server not in _PROVEN:
            # Amazon, Google and Azure promise conditional puts. Of any other server it is seen, once in a
            # process: the same bytes again do no harm where they are taken, and must not be.
            if self._put_if_absent(path, data):
                self.filesystem.rm_file(self.uri(path))
                raise StorageError(
                    "the server ignores conditional puts (If-None-Match): commits would be lost",
                    place=server[0],
                    hint="Use a server that honours them; see docs/guides/object-stores.md.",
                )
            _PROVEN.add(server)
        return created

    def _put_if_absent(self, path: str, data: bytes) -> bool:
        try:
            self.filesystem.pipe_file(self.uri(path), data, mode="create")
        except OSError as error:
            if isinstance(error, FileExistsError) or _error_code(error) in _TAKEN:
                return False
            raise
        return True

    @contextmanager
    def guarded(self, path: str = "") -> Iterator[None]:
        """Turn failures of the place into `StorageError` with the way out."""
        try:
            yield
        except FileExistsError:
            raise
        except FileNotFoundError as error:
            raise StorageError("no such place", place=self.uri(path), hint=_NO_BUCKET) from error
        except (PermissionError, OSError) as error:
            raise StorageError(
                _first_line(error), place=self.uri(path), hint=_remedy(error, self._cloud)
            ) from error
        except Exception as error:
            told = _by_client(error)
            if told is None:
                raise
            if getattr(told, "status_code", None) == _NOT_FOUND:  # Azure, of a container that is not there
                raise StorageError("no such place", place=self.uri(path), hint=_NO_BUCKET) from error
            # The clients' own errors are no OSErrors, and their texts repeat whole URLs.
            raise StorageError(
                f"the object store did not answer as expected: {type(told).__name__}",
                place=self.uri(path),
                hint=f"Check {_IDENTITY[self._cloud]}.",
            ) from error

    @property
    def _cloud(self) -> str:
        return SCHEMES.get(self.root.partition("://")[0], "aws")


def open_filesystem(location: str, options: StorageOptions) -> fsspec.AbstractFileSystem:
    """The fsspec filesystem behind the URL of an object store. It remembers no listings.

    Args:
        location: URL with a scheme of `lakeload.storage_options.SCHEMES`.
        options: Credentials and endpoint.

    Raises:
        ConfigError: The scheme is not known, its library is not installed, or credentials are missing.
    """
    scheme = location.partition("://")[0]
    if options.lender is not None and SCHEMES.get(scheme) == "aws":
        return lent_filesystem(options, options.lender)
    arguments = {**options.for_fsspec(location), "use_listings_cache": False}
    try:
        match SCHEMES.get(scheme):
            case "aws":
                from s3fs import S3FileSystem

                return S3FileSystem(**arguments)
            case "google":
                # The plain one: gcsfs' other asks every bucket for its kind first, by another protocol.
                from gcsfs.core import GCSFileSystem

                return GCSFileSystem(**arguments)
            case "azure":
                from adlfs import AzureBlobFileSystem

                return AzureBlobFileSystem(**arguments)
    except ImportError as error:
        extra = SCHEMES[scheme].replace("google", "gcs")
        raise ConfigError(
            f"{error.name} is not installed", place=location, hint=f"Install lakeload[{extra}]."
        ) from error
    except ValueError as error:  # how adlfs says it; the text may repeat what it was given
        raise ConfigError(
            "the object store cannot be reached with these options",
            place=location,
            hint=f"Check {_IDENTITY[SCHEMES[scheme]]}.",
        ) from error
    raise ConfigError(f"cannot write to {scheme}://", hint="Use a local path or s3://bucket/prefix.")


_CLIENTS = ("botocore.", "aiobotocore.", "aiohttp.", "gcsfs.", "google.", "azure.")

_IDENTITY = {
    "aws": "aws_endpoint_url, aws_region and credentials",
    "google": "google_service_account and what it may do",
    "azure": "azure_storage_account_name and its key or token",
}
"""Options to look at first, by cloud."""

_PROVEN: set[tuple[str, str]] = set()
"""Servers and buckets that were seen to honour a conditional put."""

_NOT_FOUND = 404
_NO_BUCKET = "Check the path, or create the bucket first."

_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
"""What S3 answers to a conditional put that lost: something is there, or is being put there right now."""


def _by_client(error: BaseException) -> BaseException | None:
    """The client's own error behind another, if it is one; adlfs wraps what happens while it uploads."""
    known = (error, error.__cause__)
    return next((one for one in known if type(one).__module__.startswith(_CLIENTS)), None)


def _error_code(error: BaseException) -> str | None:
    """The server's own code behind an s3fs error; s3fs gives these two no exception of their own."""
    response = getattr(error.__cause__, "response", None) or {}
    code: str | None = response.get("Error", {}).get("Code")
    return code


def _first_line(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.splitlines()[0].rstrip(".")


def _remedy(error: BaseException, cloud: str) -> str:
    import errno

    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "Free some space and run again; the table is as it was."
    if isinstance(error, PermissionError) or number in (errno.EROFS, errno.EACCES):
        if cloud != "aws":
            return f"Check permissions and {_IDENTITY[cloud]}."
        return "Check permissions or credentials (aws_access_key_id, aws_secret_access_key)."
    return "Check that the place exists and can be written; the table is as it was."
