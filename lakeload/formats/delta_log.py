"""A Delta table's log, replayed: one immutable `Snapshot` per version.

Part of commit. The replay is ours because a load needs exact entries of the log that libraries do not
hand out — the position of every pipeline, raw paths, deletion vectors — and because following a table for
a thousand commits must cost the thousandth no more than the first: `follow` reads the new entries only.
Cold reads start at the newest checkpoint (Delta protocol, sections "Action Reconciliation", "Checkpoints").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import msgspec

from lakeload.errors import TableError
from lakeload.write.store import Store

LOG = "_delta_log"

ENTRY = re.compile(r"^(\d{20})\.json$")
_CHECKPOINT = re.compile(
    r"^(?P<version>\d{20})\.checkpoint(?:\.(?P<part>\d{10})\.(?P<parts>\d{10})|\.[0-9a-f-]{36})?\.(?:parquet|json)$"
)
_READERS = 8

Action = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LogFile:
    """A live file as the log tells it.

    Args:
        path: Path relative to the table's root, decoded; the full URI for files outside.
        raw: The path exactly as logged, which a `remove` must repeat.
        size: Bytes.
        rows: Rows in the file, deleted ones included; `None` when the log does not say.
        partition: Partition texts by column.
        vector: The deletion vector's descriptor, if there is one.
    """

    path: str
    raw: str
    size: int
    rows: int | None
    partition: Mapping[str, str | None]
    vector: Action | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of the table.

    Args:
        version: Its number.
        protocol: The `protocol` action in force.
        metadata: The `metaData` action in force.
        files: Live files by decoded path.
        transactions: Last version of every application that records one.
        entry: Bytes of the version's log entry, to notice a table that was dropped and made anew;
            `None` when the log was cleaned up to a checkpoint.
    """

    version: int
    protocol: Action
    metadata: Action
    files: Mapping[str, LogFile]
    transactions: Mapping[str, int]
    entry: bytes | None = field(default=None, repr=False)


def entry_path(version: int) -> str:
    """Path of a version's log entry.

    Example:
        >>> entry_path(7)
        '_delta_log/00000000000000000007.json'
    """
    return f"{LOG}/{version:020d}.json"


def encode(actions: Iterable[Action]) -> bytes:
    """A log entry: one action per line."""
    return b"\n".join(msgspec.json.encode(action) for action in actions) + b"\n"


def decode(data: bytes, *, table: str, place: str) -> list[Action]:
    """The actions of a log entry.

    Raises:
        TableError: The entry is damaged.
    """
    try:
        return [msgspec.json.decode(line) for line in data.splitlines() if line.strip()]
    except msgspec.DecodeError as error:
        raise _damaged("a log entry cannot be read", table, place) from error


def _damaged(what: str, table: str, place: str) -> TableError:
    return TableError(what, table=table, place=place, hint="Repair or restore the table's _delta_log.")


def read(store: Store, *, table: str) -> Snapshot | None:
    """The newest version, from the newest checkpoint and the entries after it; `None` without a log.

    Raises:
        TableError: The log is incomplete or damaged.
    """
    names = store.names(LOG)
    entries = {int(match[1]) for match in map(ENTRY.match, names) if match}
    checkpoint, parts = _newest_checkpoint(names)
    newest = max(entries, default=checkpoint)
    if newest < 0:
        return None
    versions = range(checkpoint + 1, newest + 1)
    missing = [version for version in versions if version not in entries]
    if missing:
        raise _damaged("the Delta log has a gap", table, entry_path(missing[0]))
    replay = _Replay(table, store.root)
    with ThreadPoolExecutor(_READERS) as pool:
        for actions in _checkpoint_actions(store, parts, pool, table):
            replay.apply(actions)
        last: bytes | None = None
        for version, data in zip(versions, pool.map(store.read, map(entry_path, versions)), strict=True):
            if data is None:
                raise _damaged("a log entry vanished while it was read", table, entry_path(version))
            last = data
            replay.apply(decode(data, table=table, place=entry_path(version)))
    return replay.snapshot(newest, last or store.read(entry_path(newest)))


def follow(store: Store, known: Snapshot, *, table: str) -> Snapshot | None:
    """The newest version, given an earlier one; `None` when `known` is not part of this log any more."""
    if known.entry is None or store.read(entry_path(known.version)) != known.entry:
        return None
    version, data = known.version, store.read(entry_path(known.version + 1))
    if data is None:
        return known
    replay = _Replay(table, store.root, known)
    last = known.entry
    while data is not None:
        version, last = version + 1, data
        replay.apply(decode(data, table=table, place=entry_path(version)))
        data = store.read(entry_path(version + 1))
    return replay.snapshot(version, last)


def advance(
    store: Store, known: Snapshot | None, actions: Sequence[Action], data: bytes, *, table: str
) -> Snapshot:
    """The version after `known`, whose entry was just written."""
    replay = _Replay(table, store.root, known)
    replay.apply(actions)
    return replay.snapshot(known.version + 1 if known else 0, data)


class _Replay:
    """Folds actions into a state; `remove` before `add` within one entry, as a deletion vector needs."""

    def __init__(self, table: str, root: str, start: Snapshot | None = None) -> None:
        self._table = table
        self._root = root
        self._files = dict(start.files) if start else {}
        self._transactions = dict(start.transactions) if start else {}
        self._protocol = start.protocol if start else None
        self._metadata = start.metadata if start else None

    def apply(self, actions: Sequence[Action]) -> None:
        for action in actions:
            removed = action.get("remove")
            if removed:
                self._files.pop(relative_path(removed["path"], self._root), None)
        for action in actions:
            self._set(action)

    def _set(self, action: Action) -> None:
        if found := action.get("add"):
            file = _log_file(found, self._root)
            self._files[file.path] = file
        elif found := action.get("txn"):
            self._transactions[found["appId"]] = found["version"]
        elif found := action.get("metaData"):
            self._metadata = found
        elif found := action.get("protocol"):
            self._protocol = found

    def snapshot(self, version: int, entry: bytes | None) -> Snapshot:
        if self._protocol is None or self._metadata is None:
            raise _damaged("the Delta log lacks its protocol or metadata", self._table, LOG)
        return Snapshot(version, self._protocol, self._metadata, self._files, self._transactions, entry)


def relative_path(raw: str, root: str) -> str:
    """A logged path, decoded; relative when it lies under the table's root.

    Example:
        >>> relative_path("p=a%20b/c.parquet", "/lake/t")
        'p=a b/c.parquet'
        >>> relative_path("file:///lake/t/d.parquet", "/lake/t")
        'd.parquet'
    """
    path = unquote(raw)
    for start in (root, f"file://{root}"):
        if path.startswith(f"{start}/"):
            return path[len(start) + 1 :]
    return path


class _Stats(msgspec.Struct, rename="camel"):
    """The one statistic a load needs; the others are skipped without being built."""

    num_records: int | None = None


_STATS = msgspec.json.Decoder(_Stats)
"""Made here, by one thread: msgspec prepares a type on its first use, without a lock."""


def _rows(add: Action) -> int | None:
    try:
        found = _STATS.decode(add.get("stats") or "{}").num_records
    except msgspec.MsgspecError:
        found = None
    return (add.get("stats_parsed") or {}).get("numRecords") if found is None else found


def _log_file(add: Action, root: str) -> LogFile:
    return LogFile(
        path=relative_path(add["path"], root),
        raw=add["path"],
        size=add["size"],
        rows=_rows(add),
        partition=add.get("partitionValues") or {},
        vector=add.get("deletionVector"),
    )


def _newest_checkpoint(names: Sequence[str]) -> tuple[int, list[str]]:
    """Version and files of the newest complete checkpoint; -1 when there is none."""
    complete = _checkpoints(names)
    if not complete:
        return -1, []
    newest = max(complete)
    return newest[0], complete[newest] if newest[1] else complete[newest][-1:]


def _checkpoints(names: Sequence[str]) -> dict[tuple[int, int], list[str]]:
    """Files of every complete checkpoint, by version and number of parts (0 for one without parts)."""
    found: dict[tuple[int, int], list[str]] = {}
    for name in names:
        match = _CHECKPOINT.match(name)
        if match:
            # A checkpoint without parts is complete by itself, and one of several may exist.
            parts = int(match["parts"] or 0)
            found.setdefault((int(match["version"]), parts), []).append(name)
    return {key: files for key, files in found.items() if key[1] in (0, len(files))}


def oldest_checkpoint(store: Store, names: Sequence[str], *, table: str) -> tuple[int, Action, Action] | None:
    """Version, `protocol` and `metaData` of the oldest complete checkpoint; `None` when there is none.

    Args:
        store: Rooted at the table.
        names: Names in the log's folder.
        table: Table name, for messages.

    Raises:
        TableError: The checkpoint is damaged.
    """
    complete = _checkpoints(names)
    if not complete:
        return None
    oldest = min(complete)
    parts = complete[oldest] if oldest[1] else complete[oldest][-1:]
    with ThreadPoolExecutor(_READERS) as pool:
        actions = [action for part in _checkpoint_actions(store, parts, pool, table) for action in part]
    protocol = next((action["protocol"] for action in actions if action.get("protocol")), None)
    metadata = next((action["metaData"] for action in actions if action.get("metaData")), None)
    return None if protocol is None or metadata is None else (oldest[0], protocol, metadata)


def _checkpoint_actions(
    store: Store, parts: Sequence[str], pool: ThreadPoolExecutor, table: str
) -> Iterator[list[Action]]:
    for actions in pool.map(lambda part: _read_part(store, f"{LOG}/{part}", table), parts):
        yield actions
        sidecars = [action["sidecar"]["path"] for action in actions if action.get("sidecar")]
        places = [name if "/" in name else f"{LOG}/_sidecars/{name}" for name in sidecars]
        yield from pool.map(lambda place: _read_part(store, place, table), places)


def _read_part(store: Store, path: str, table: str) -> list[Action]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = store.read(path)
    if data is None:
        raise _damaged("a part of the checkpoint is missing", table, path)
    if path.endswith(".json"):
        return decode(data, table=table, place=path)
    try:
        content = pq.ParquetFile(pa.BufferReader(data)).read(columns=_CHECKPOINT_COLUMNS)
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged("the checkpoint cannot be read", table, path) from error
    return [_plain(row) for batch in content.to_batches(max_chunksize=4096) for row in batch.to_pylist()]


_CHECKPOINT_COLUMNS = [
    "protocol",
    "metaData",
    "txn",
    "sidecar",
    "add.path",
    "add.partitionValues",
    "add.size",
    "add.stats",
    "add.stats_parsed.numRecords",
    "add.deletionVector",
]


_MAPS = frozenset({"partitionValues", "configuration", "options"})


def _plain(row: Action) -> Action:
    """A checkpoint row as the JSON entries spell it: maps as objects, absent members left out."""
    return {kind: _members(facts) for kind, facts in row.items() if facts}


def _members(facts: Action) -> Action:
    found = {key: dict(value) if key in _MAPS else value for key, value in facts.items() if value is not None}
    return {
        key: _members(value) if isinstance(value, dict) and key not in _MAPS else value
        for key, value in found.items()
    }
