"""Locks of the Hive Metastore: how one writer at a time gets to swap a table's pointer.

Before version 4 a metastore cannot compare and swap; Iceberg's writers therefore agreed to hold an exclusive
lock of the table while they read and replace its entry. lakeload, Spark, Trino and pyiceberg all take it.
It is the last moment of extract → normalize → write → commit and lasts milliseconds.

The lock of a writer that died stays. By Hive's rule it is void when nobody has kept it alive for
`metastore.txn.timeout` (five minutes by default), but a metastore only acts on that rule when its
housekeeping runs, which many leave off. So a void lock is released by the writer it stops; for any other lock
waiting ends with an error that names the holder.
"""

from __future__ import annotations

import re
import socket
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from lakeload.catalogs.hive_server import Metastore, user
from lakeload.errors import CatalogError

if TYPE_CHECKING:
    from hive_metastore.ThriftHiveMetastore import Client

PATIENCE = 60.0
"""Seconds to wait for other writers."""
_LONGEST_WAIT = 1.0
_TIMEOUT = "metastore.txn.timeout"
_DURATION = re.compile(r"^(\d+)\s*([a-z]*)$")
_MILLISECONDS = {
    "ms": 1,
    "msec": 1,
    "": 1000,
    "s": 1000,
    "sec": 1000,
    "m": 60_000,
    "min": 60_000,
    "h": 3_600_000,
}


class TableLock:
    """The exclusive lock of one table, as a context: other writers wait as long as it lasts.

    Args:
        metastore: Who keeps it.
        hive: An open connection, which the caller uses under the lock too.
        namespace: Namespace of the table.
        name: Name of the table.

    Raises:
        CatalogError: On entering, when another writer did not give the lock back in time.
    """

    def __init__(self, metastore: Metastore, hive: Client, namespace: str, name: str) -> None:
        self._metastore, self._hive = metastore, hive
        self._namespace, self._name = namespace, name
        self._agent = f"lakeload {uuid.uuid4()}"
        self._number: int | None = None

    # No generator makes this context: those write to the exceptions that pass, and Thrift's refuse that.
    def __enter__(self) -> Self:
        self._release_abandoned(self._hive)
        try:
            self._acquire()
        except BaseException as error:
            self._leave(error)
            raise
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        from thrift.transport.TTransport import TTransportException

        # A metastore too busy to answer may still do what it was told, and must not do it unguarded.
        silent = isinstance(error, TTransportException) and error.type == TTransportException.TIMED_OUT
        if not silent:
            self._release()

    def _acquire(self) -> None:
        from hive_metastore.ttypes import LockComponent, LockLevel, LockRequest, LockState, LockType

        part = LockComponent(
            type=LockType.EXCLUSIVE,
            level=LockLevel.TABLE,
            dbname=self._namespace,
            tablename=self._name,
            isTransactional=True,
        )
        answer = self._hive.lock(
            LockRequest(component=[part], user=user(), hostname=socket.gethostname(), agentInfo=self._agent)
        )
        self._number = answer.lockid
        state = self._waited() if answer.state == LockState.WAITING else answer.state
        if state != LockState.ACQUIRED:
            raise CatalogError(
                f"the table is locked by {self._holder()}",
                table=f"{self._namespace}.{self._name}",
                place=self._metastore.place,
                hint="Run the load again. The lock of a dead writer is void after the metastore's setting "
                f"{_TIMEOUT}, five minutes by default; then the next load releases it.",
            )

    def _waited(self) -> int:
        from hive_metastore.ttypes import CheckLockRequest, LockState
        from tenacity import Retrying, retry_if_result, stop_after_delay, wait_random_exponential

        self._release_void()
        asking = Retrying(
            retry=retry_if_result(lambda found: found == LockState.WAITING),
            wait=wait_random_exponential(multiplier=0.05, max=_LONGEST_WAIT),
            stop=stop_after_delay(PATIENCE),
            retry_error_callback=lambda _: LockState.WAITING,
        )
        state: int = asking(lambda: self._hive.check_lock(CheckLockRequest(lockid=self._number)).state)
        return state

    def _release_void(self) -> None:
        """Release locks nobody has kept alive for as long as Hive asks for, by the metastore's clock."""
        from hive_metastore.ttypes import NoSuchLockException, UnlockRequest

        found = self._locks(self._hive)
        now = next((lock.lastheartbeat for lock in found if lock.lockid == self._number), 0)
        match = _DURATION.match(str(self._hive.get_config_value(_TIMEOUT, "300s")).strip().lower())
        if match is None or match[2] not in _MILLISECONDS:
            return
        limit = int(match[1]) * _MILLISECONDS[match[2]]
        for lock in found:
            # Locks of a transaction live and die with it, and are kept alive by it.
            if not lock.txnid and lock.lastheartbeat and now - lock.lastheartbeat > limit:
                with suppress(NoSuchLockException):
                    self._hive.unlock(UnlockRequest(lockid=lock.lockid))

    def _holder(self) -> str:
        from hive_metastore.ttypes import LockState

        for lock in self._locks(self._hive):
            if lock.lockid != self._number and lock.state == LockState.ACQUIRED:
                return f"{lock.user}@{lock.hostname} (lock {lock.lockid}, {lock.agentInfo})"
        return "another writer"

    def _release(self) -> None:
        """Give the lock back, over a new connection if need be: one left behind stops others for minutes."""
        from hive_metastore.ttypes import NoSuchLockException, UnlockRequest
        from thrift.Thrift import TException

        if self._number is not None:
            with suppress(TException, OSError):
                with suppress(NoSuchLockException):
                    self._hive.unlock(UnlockRequest(lockid=self._number))
                return
        self._metastore.abandoned.add(self._agent)
        with suppress(CatalogError), self._metastore.connected() as again:
            self._release_abandoned(again)

    def _release_abandoned(self, hive: Client) -> None:
        from hive_metastore.ttypes import NoSuchLockException, UnlockRequest

        if not self._metastore.abandoned:
            return
        for lock in self._locks(hive):
            if lock.agentInfo in self._metastore.abandoned:
                with suppress(NoSuchLockException):
                    hive.unlock(UnlockRequest(lockid=lock.lockid))
                self._metastore.abandoned.discard(lock.agentInfo)

    def _locks(self, hive: Client) -> list[Any]:
        from hive_metastore.ttypes import ShowLocksRequest

        return hive.show_locks(ShowLocksRequest(dbname=self._namespace, tablename=self._name)).locks or []
