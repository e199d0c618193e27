"""The schemas a Delta table has had, as far as its log tells. Reading side of commit, for Delta.

Every change of a schema is a `metaData` action in a log entry. Entries are cleaned up by engines once they
are older than `delta.logRetentionDuration` (30 days unless set otherwise) and a checkpoint follows them; what
is left of them then is the `metaData` the checkpoint holds (Delta protocol, "Metadata Cleanup").
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from lakeload.formats import delta_log as log
from lakeload.formats.delta_changes import LOAD_ID_KEY
from lakeload.formats.delta_state import view
from lakeload.model.schema_history import SchemaRecord
from lakeload.write.store import Store

_READERS = 8
_MARK = b'"metaData"'


def schemas(store: Store, *, table: str) -> list[SchemaRecord]:
    """The schemas the log remembers, oldest first; reads every log entry there is, once.

    Args:
        store: Rooted at the table.
        table: Table name, for messages.

    Raises:
        TableError: The log is damaged, or an older version needs a feature that cannot be honoured.
        StorageError: The place cannot be read.
    """
    names = store.names(log.LOG)
    versions = sorted(int(match[1]) for match in map(log.ENTRY.match, names) if match)
    found: list[SchemaRecord] = []
    protocol: log.Action | None = None
    if not versions or versions[0] > 0:
        start = log.oldest_checkpoint(store, names, table=table)
        if start is not None:
            protocol = start[1]
            found.append(SchemaRecord(start[0], _schema(start[1], start[2], start[0], table)))
    with ThreadPoolExecutor(_READERS) as pool:
        for version, actions in _entries(store, versions, pool.map, table):
            for action in actions:
                protocol = action.get("protocol") or protocol
            metadata = next((a["metaData"] for a in actions if a.get("metaData")), None)
            if metadata is None or protocol is None or (found and version <= (found[0].version or 0)):
                continue
            at, load_id = _told(actions)
            schema = _schema(protocol, metadata, version, table)
            found.append(SchemaRecord(version, schema, at, load_id, first=version == 0))
    return found


def _entries(
    store: Store, versions: list[int], spread: Callable[..., Iterator[bytes | None]], table: str
) -> Iterator[tuple[int, list[log.Action]]]:
    paths = [log.entry_path(version) for version in versions]
    for version, path, data in zip(versions, paths, spread(store.read, paths), strict=True):
        # Most entries only add files, often thousands: they are not decoded.
        if data is not None and (_MARK in data or b'"protocol"' in data):
            yield version, log.decode(data, table=table, place=path)


def _schema(protocol: log.Action, metadata: log.Action, version: int, table: str) -> pa.Schema:
    snapshot = log.Snapshot(version, protocol, metadata, {}, {})
    return view(snapshot, table=table).schema


def _told(actions: list[log.Action]) -> tuple[dt.datetime | None, str | None]:
    info: log.Action = next((a["commitInfo"] for a in actions if a.get("commitInfo")), {})
    moment = info.get("inCommitTimestamp") or info.get("timestamp")
    at = None if moment is None else dt.datetime.fromtimestamp(moment / 1000, dt.UTC)
    return at, info.get(LOAD_ID_KEY)
