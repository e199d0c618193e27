"""`DeltaFormatTable`: a Delta Lake table behind the `Table` protocol.

The commit stage of extract → normalize → write → commit, for Delta. Versions are read by replaying the
log (`delta_log`), understood (`delta_state`), and changed by creating the next log entry if and only if
nobody else has (`delta_changes`, `Store.create`). The deltalake library streams rows and writes
checkpoints; it never commits for us, because its retries would replay a change on a table it was not
planned for.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import pyarrow as pa

from lakeload.errors import LakeloadError, StorageError
from lakeload.formats import delta_history, delta_scan
from lakeload.formats import delta_log as log
from lakeload.formats.delta_changes import LOAD_ID_KEY, OPERATION_KEY, Gone, plan
from lakeload.formats.delta_features import check_removal
from lakeload.formats.delta_state import View, view
from lakeload.formats.delta_stats import whole_number
from lakeload.model.changes import AlreadyApplied, Changeset, CommitResult, Committed, Conflict
from lakeload.model.files import LiveFile
from lakeload.model.nested_arrays import recast
from lakeload.model.schema import bare, children, chosen, without_ids, without_sources
from lakeload.model.schema_history import SchemaRecord
from lakeload.model.table import TableState, Version
from lakeload.places import is_plain
from lakeload.write.store import Store

if TYPE_CHECKING:
    import polars as pl

CHECKPOINT_INTERVAL = 50
"""Commits between checkpoints, unless the table's `delta.checkpointInterval` says otherwise."""

_READERS = 8
_OPERATIONS = {
    "OPTIMIZE": "replace",
    "CREATE TABLE": "create",
    "CREATE TABLE AS SELECT": "create",
}


class DeltaFormatTable:
    """A Delta table at a place. Implements `lakeload.model.protocols.Table`.

    Keeps the last version it has seen, so that following the table reads new log entries only.

    Args:
        name: Table name without namespace.
        store: Rooted at the table.
        now: The clock, UTC.

    Example:
        >>> import tempfile
        >>> table = DeltaFormatTable("t", Store(tempfile.mkdtemp()), now=lambda: dt.datetime.now(dt.UTC))
        >>> table.load() is None
        True
    """

    def __init__(self, name: str, store: Store, *, now: Callable[[], dt.datetime]) -> None:
        self._name = name
        self._store = store
        self._now = now
        self._known: View | None = None

    @property
    def name(self) -> str:
        """Table name without namespace."""
        return self._name

    @property
    def location(self) -> str:
        """Root of the table."""
        return self._store.root

    @property
    def formats(self) -> tuple[str, ...]:
        """Delta alone."""
        return ("delta",)

    @property
    def store(self) -> Store:
        """Rooted at the table."""
        return self._store

    def load(self) -> TableState | None:
        """Read the newest version; `None` when there is no Delta log.

        Raises:
            TableError: The table needs a feature that cannot be honoured, or its log is damaged.
            StorageError: The place cannot be read.
        """
        known = self._known
        snapshot = log.follow(self._store, known.snapshot, table=self._name) if known else None
        if snapshot is None:
            known, snapshot = None, log.read(self._store, table=self._name)
        self._known = view(snapshot, table=self._name, known=known) if snapshot else None
        return self._known.state() if self._known else None

    def commit(self, changeset: Changeset, base: TableState | None) -> CommitResult:
        """Publish the change as the version after `base`, in one log entry.

        A change that changes nothing writes nothing.

        Raises:
            TableError: The change is not possible in Delta, or not on this table.
            SchemaError: A column cannot be stored.
            StorageError: The place cannot be written.
        """
        token = changeset.token
        if base and token and base.sequences.get(token.pipeline, 0) >= token.sequence:
            return AlreadyApplied(base.version)
        if (base is None) != (changeset.create is not None):
            return Conflict("the table exists already" if base else "the table does not exist")
        known: View | None = base.handle if base else None
        try:
            actions = plan(changeset, known, table=self._name, at=_milliseconds(self._now()))
        except Gone as gone:
            return Conflict(f"the file {gone} is not in the table any more")
        if not actions:
            return Committed(known.snapshot.version if known else None)
        return self._publish(actions, known)

    def _publish(self, actions: Sequence[log.Action], known: View | None) -> CommitResult:
        version = known.snapshot.version + 1 if known else 0
        path, data = log.entry_path(version), log.encode(actions)
        # When the answer to a successful put was lost, the retry finds our own entry there.
        if not self._store.create(path, data) and self._store.read(path) != data:
            return Conflict(f"version {version} was written by somebody else")
        before = known.snapshot if known else None
        snapshot = log.advance(self._store, before, actions, data, table=self._name)
        self._known = view(snapshot, table=self._name, known=known)
        self._checkpoint(self._known)
        return Committed(version)

    def _checkpoint(self, current: View) -> None:
        interval = whole_number(current.properties, "delta.checkpointInterval", CHECKPOINT_INTERVAL)
        version = current.snapshot.version
        if version == 0 or version % max(interval, 1):
            return
        # The change is published; a checkpoint only makes the next cold read faster.
        with contextlib.suppress(Exception):
            self._library(version).create_checkpoint()

    def check_overwrite(self, state: TableState, *, partitions: bool) -> None:
        """Refuse tables that are append-only or keep a record of every removed row.

        Raises:
            TableError: Naming the property.
        """
        del partitions  # a table forbids both or none
        check_removal(state.properties, changes_rows=True, table=self._name)

    def files(self, state: TableState) -> Sequence[LiveFile]:
        """Live data files of that version."""
        known: View = state.handle
        return known.files()

    def scan(self, state: TableState, columns: Sequence[str] | None) -> pa.RecordBatchReader:
        """Stream the rows of that version, in the types of its schema.

        Raises:
            TableError: There is no such column.
        """
        schema = without_ids(chosen(state.schema, columns, table=self._name))
        return pa.RecordBatchReader.from_batches(schema, self._rows(state, schema))

    def _rows(self, state: TableState, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        known: View = state.handle
        with self._reading():
            if self._misnamed or delta_scan.is_needed(known):
                wanted = without_sources(pa.schema([state.schema.field(name) for name in schema.names]))
                yield from delta_scan.read_rows(known, self._store, wanted, self._kept(known), self._name)
                return
            if any(_has_nested_map(field.type) for field in schema):
                # The library cannot read files from before a struct inside a map got a new field.
                frames = self.lazy(state).select(schema.names).collect_batches()
                for frame in frames:
                    for batch in frame.to_arrow().to_batches():
                        yield recast(batch, schema)
                return
            for batch in pa.RecordBatchReader.from_stream(self._library(state.version).scan(schema.names)):
                yield recast(batch.select(schema.names), schema)

    def _kept(self, known: View) -> dict[str, pa.Array]:
        """Rows still there, of the files that have a deletion vector."""
        if all(file.vector is None for file in known.snapshot.files.values()):
            return {}
        found = pa.table(self._library(known.snapshot.version).deletion_vectors().read_all())
        paths = [log.relative_path(path, self.location) for path in found["filepath"].to_pylist()]
        rows = found["selection_vector"].combine_chunks()
        return {path: rows[position].values for position, path in enumerate(paths)}

    def history(self) -> Sequence[Version]:
        """Versions whose log entries are still there, newest first."""
        names = self._store.names(log.LOG)
        versions = sorted((int(name[:20]) for name in names if log.ENTRY.match(name)), reverse=True)
        with ThreadPoolExecutor(_READERS) as pool:
            return [found for found in pool.map(self._version, versions) if found]

    def schemas(self) -> Sequence[SchemaRecord]:
        """Schemas the log remembers, oldest first."""
        return delta_history.schemas(self._store, table=self._name)

    def _version(self, version: int) -> Version | None:
        path = log.entry_path(version)
        data = self._store.read(path)
        if data is None:
            return None
        return _described(version, log.decode(data, table=self._name, place=path))

    def lazy(self, state: TableState) -> Any:
        """A `polars.LazyFrame` over that version."""
        import polars as pl

        # Polars takes partition values from paths, or else from the files, never from the log. It stops
        # at a mixture; and only of files lakeload wrote is it known that they hold the values. It looks for
        # the files of a place by the place's name as a URL, and takes `env=prod` above it for a partition.
        known: View = state.handle
        if not (is_plain(self.location) and delta_scan.polars_reads(known)):
            return self._lazily(state)
        told = known.partitions_in_paths()
        by_log = told == "some" or (told == "none" and not state.owned)
        with self._reading():
            frame = pl.scan_delta(
                self.location, version=state.version, storage_options=self._options(), use_pyarrow=by_log
            )
        return frame.select(state.schema.names)

    def _lazily(self, state: TableState) -> Any:
        """A lazy frame over `scan`, for what Polars would read wrong or not at all."""
        import polars as pl
        from polars.io.plugins import register_io_source

        def frames(
            columns: list[str] | None, predicate: Any, rows: int | None, _size: int | None
        ) -> Iterator[Any]:
            left = rows
            for batch in self.scan(state, columns):
                frame = cast("pl.DataFrame", pl.from_arrow(batch))
                if left is not None:
                    frame = frame.head(left)
                    left -= frame.height
                yield frame if predicate is None else frame.filter(predicate)
                if left == 0:
                    return

        empty = cast("pl.DataFrame", pl.from_arrow(bare(state.schema).empty_table()))
        return register_io_source(frames, schema=empty.schema)

    def _library(self, version: int | None) -> Any:
        from deltalake import DeltaTable

        return DeltaTable(self.location, version=version, storage_options=self._options())

    @property
    def _misnamed(self) -> bool:
        """Whether the library would look elsewhere: it decodes what only looks encoded."""
        return unquote(self.location) != self.location

    def _options(self) -> dict[str, str] | None:
        return None if self._store.local else self._store.options.for_object_store(self.location)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except LakeloadError:
            raise
        except Exception as error:  # the library raises many kinds for one thing: it could not read
            raise StorageError(
                f"the table cannot be read: {_first_line(error)}",
                table=self._name,
                place=self.location,
                hint="Check that its files exist and that the credentials may read them.",
            ) from error


def _has_nested_map(kind: pa.DataType) -> bool:
    below = children(kind)
    nested = pa.types.is_map(kind) and any(field.type.num_fields for field in below)
    return nested or any(_has_nested_map(field.type) for field in below)


def _described(version: int, actions: Sequence[log.Action]) -> Version:
    info: log.Action = next((action["commitInfo"] for action in actions if action.get("commitInfo")), {})
    times = [action["add"]["modificationTime"] for action in actions if action.get("add")]
    at = info.get("inCommitTimestamp") or info.get("timestamp") or max(times, default=0)
    summary = {key: str(value) for key, value in (info.get("operationMetrics") or {}).items()}
    if "engineInfo" in info:
        summary["engineInfo"] = str(info["engineInfo"])
    return Version(
        version=version,
        at=dt.datetime.fromtimestamp(at / 1000, dt.UTC),
        operation=_operation(info),
        load_id=info.get(LOAD_ID_KEY),
        summary=summary,
    )


def _operation(info: log.Action) -> str:
    operation = str(info.get("operation", "unknown"))
    mode = str((info.get("operationParameters") or {}).get("mode", "")).lower()
    if operation in _OPERATIONS:
        return _OPERATIONS[operation]
    if operation == "WRITE":
        return str(info.get(OPERATION_KEY, "overwrite" if mode == "overwrite" else "append"))
    return operation


def _milliseconds(at: dt.datetime) -> int:
    return int(at.timestamp() * 1000)


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
