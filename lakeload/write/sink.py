"""Where the bytes of growing files go: the table's directory, or a spool on local disk and then S3.

Hundreds of partitions grow at once, so open file handles are few and shared; object stores cannot append,
so files for them grow in a temporary directory and are uploaded when complete. Both happen behind `append`
and `finish`; a finished file is durable.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import OrderedDict, deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lakeload.errors import LakeloadError
from lakeload.write.store import Store

_MOST_HANDLES = 64
_FINISHERS = 4
_MOST_FINISHING = 8
_SYNC_BYTES = 16 << 20
"""Bytes of a local file after which the disk is set to work, so that the end need not wait for all."""


@dataclass(frozen=True, slots=True)
class _Finishing:
    future: Future[None]
    handle: BinaryIO | None


class Sinks:
    """The files one writer is writing. Not thread-safe; finishing runs in threads of its own.

    Args:
        store: The table's place.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._spool = None if store.local else Path(tempfile.mkdtemp(prefix="lakeload-"))
        self._handles: OrderedDict[str, BinaryIO] = OrderedDict()
        self._created: dict[str, None] = {}
        self._unsynced: dict[str, int] = {}
        self._finishing: deque[_Finishing] = deque()
        self._pool = ThreadPoolExecutor(_FINISHERS, "lakeload-finish")

    def append(self, path: str, parts: Iterable[bytes | memoryview]) -> None:
        """Append to the file, which is created the first time.

        Raises:
            StorageError: The place cannot be written.
        """
        handle = self._open(path)
        with self._store.guarded(path):
            written = sum(handle.write(part) for part in parts)
        if self._spool is None:
            self._sync_early(path, handle, written)

    def finish(self, path: str) -> None:
        """The file is complete: make it durable, in the background.

        Raises:
            StorageError: This or an earlier file could not be written.
        """
        handle = self._handles.pop(path, None)
        self._unsynced.pop(path, None)
        self._finishing.append(_Finishing(self._pool.submit(self._settle, path, handle), handle))
        self._take_finished()

    def _take_finished(self) -> None:
        while len(self._finishing) > _MOST_FINISHING or (
            self._finishing and self._finishing[0].future.done()
        ):
            self._finishing.popleft().future.result()

    def close(self) -> None:
        """Wait until every finished file is durable.

        Raises:
            StorageError: One could not be written.
        """
        self.wait()
        if self._store.local:
            for folder in {path.rpartition("/")[0] for path in self._created}:
                _sync_folder(self._store.uri(folder))
        self._pool.shutdown()
        self._remove_spool()

    def wait(self) -> None:
        """Wait for the files finished so far."""
        while self._finishing:
            self._finishing.popleft().future.result()

    def abort(self) -> None:
        """Delete every file, finished or not; errors are ignored, the files are unreferenced."""
        self._pool.shutdown(cancel_futures=True)
        for handle in (*self._handles.values(), *(finishing.handle for finishing in self._finishing)):
            if handle is not None:
                with suppress(OSError):
                    handle.close()
        self._handles.clear()
        self._finishing.clear()
        for path in self._created:
            with suppress(LakeloadError):
                self._store.delete(path)
        self._remove_spool()

    def forget(self, path: str) -> None:
        """Delete one file, finished or not.

        Raises:
            StorageError: It cannot be deleted.
        """
        handle = self._handles.pop(path, None)
        with self._store.guarded(path):
            if handle is not None:
                handle.close()
            if self._spool is not None:
                self._local(path).unlink(missing_ok=True)
        self._store.delete(path)
        del self._created[path]

    def _open(self, path: str) -> BinaryIO:
        handle = self._handles.get(path)
        if handle is not None:
            self._handles.move_to_end(path)
            return handle
        if len(self._handles) >= _MOST_HANDLES:
            oldest, idle = self._handles.popitem(last=False)
            with self._store.guarded(oldest):
                idle.close()
        handle = self._reopen(path) if path in self._created else self._create(path)
        self._handles[path] = handle
        return handle

    def _create(self, path: str) -> BinaryIO:
        self._created[path] = None
        if self._spool is None:
            return self._store.open_output(path)
        with self._store.guarded(path):
            return self._local(path).open("xb")

    def _sync_early(self, path: str, handle: BinaryIO, written: int) -> None:
        unsynced = self._unsynced.get(path, 0) + written
        if unsynced >= _SYNC_BYTES:
            unsynced = 0
            with self._store.guarded(path):
                handle.flush()
                descriptor = os.dup(handle.fileno())
            self._finishing.append(_Finishing(self._pool.submit(self._sync, path, descriptor), None))
            self._take_finished()
        self._unsynced[path] = unsynced

    def _sync(self, path: str, descriptor: int) -> None:
        # Its failure must be raised: the system reports a lost write once per open file.
        with self._store.guarded(path):
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

    def _settle(self, path: str, handle: BinaryIO | None) -> None:
        with self._store.guarded(path):
            with handle or self._local(path).open("ab") as stream:
                stream.flush()
                if self._spool is None:
                    os.fsync(stream.fileno())
            if self._spool is not None:
                self._upload(path)

    def _upload(self, path: str) -> None:
        spooled = self._local(path)
        with spooled.open("rb") as source, self._store.open_output(path) as target:
            shutil.copyfileobj(source, target, 8 << 20)
        spooled.unlink()

    def _reopen(self, path: str) -> BinaryIO:
        with self._store.guarded(path):
            return self._local(path).open("ab")

    def _local(self, path: str) -> Path:
        if self._spool is None:
            return Path(self._store.uri(path))
        return self._spool / path.rpartition("/")[2]

    def _remove_spool(self) -> None:
        if self._spool is not None:
            shutil.rmtree(self._spool, ignore_errors=True)


def _sync_folder(path: str) -> None:
    """Make the names of new files durable, not only their contents."""
    with suppress(OSError):  # not every file system can
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
