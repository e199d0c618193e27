"""An Iceberg table behind the `Table` protocol: the last step of extract → normalize → write → commit.

Reads are planned by pyiceberg. Commits are not its own: pyiceberg assigns its own field ids, retries a
conflict blindly and handles the whole metadata file for every commit, so snapshots are built here and
published through the catalog's compare-and-swap.

Supported are tables of format version 2. Refused, before anything is written: other versions, types and
partitionings lakeload cannot produce, and `write.wap.enabled` (whose owner wants an audit in between).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakeload.errors import StorageError, TableError
from lakeload.formats.iceberg_commit import Moved, Planner
from lakeload.formats.iceberg_document import Change, Document, Register, same_place
from lakeload.formats.iceberg_history import schemas, versions
from lakeload.formats.iceberg_io import file_io
from lakeload.formats.iceberg_live import live_files, refuse_older_partitioning
from lakeload.formats.iceberg_manifests import ManifestReader
from lakeload.formats.iceberg_scan import library_table, scanned
from lakeload.formats.iceberg_schema import same_columns, to_arrow
from lakeload.formats.iceberg_state import read_state
from lakeload.model.changes import AlreadyApplied, Committed, Conflict
from lakeload.model.schema import chosen, without_ids, without_sources
from lakeload.model.table import TableState, Version
from lakeload.write.store import Store

if TYPE_CHECKING:
    from lakeload.model.changes import Changeset, CommitResult
    from lakeload.model.files import LiveFile
    from lakeload.model.protocols import Together
    from lakeload.model.schema_history import SchemaRecord


@dataclass(frozen=True, slots=True)
class Prepared:
    """A change of one table, ready to be published: what was decided, on what, and how to give it up."""

    register: Register
    base: Document
    change: Change
    delete: Callable[[], None]

    def discard(self) -> None:
        """Delete the manifests written for it."""
        self.delete()


class IcebergTable:
    """One Iceberg table, existing or not.

    Args:
        name: Table name.
        namespace: Namespace it is registered in.
        register: The catalog's view of this one table.
        store: Rooted where the table would be created; carries the storage options.
        now: The clock; must return aware times.
    """

    formats: tuple[str, ...] = ("iceberg",)

    def __init__(
        self, name: str, namespace: str, register: Register, store: Store, *, now: Callable[[], dt.datetime]
    ) -> None:
        self._name, self._namespace = name, namespace
        self._register, self._store, self._now = register, store, now
        self._files: Any = None
        self._reader: ManifestReader | None = None
        self._document: Document | None = None
        self._state: TableState | None = None

    def __repr__(self) -> str:
        return f"IcebergTable({self._namespace!r}, {self._name!r})"

    @property
    def name(self) -> str:
        """Table name without namespace."""
        return self._name

    @property
    def location(self) -> str:
        """Root of the table; once loaded, where its metadata says it is."""
        if self._document is None:
            return self._store.root
        found = str(self._document.get("location")).rstrip("/")
        return "/" + found[5:].lstrip("/") if found.startswith("file:") else found

    @property
    def store(self) -> Store:
        """Rooted at `location`; with what is needed to reach it."""
        location = self.location
        return self._store if same_place(location, self._store.root) else self._store.at(location)

    def load(self) -> TableState | None:
        """Read the newest version; `None` when the table does not exist.

        Raises:
            TableError: The table needs a feature that cannot be honoured.
            CatalogError: The catalog did not answer.
            StorageError: The metadata cannot be read.
        """
        document = self._register.load(self._document)
        if document is None:
            self._document = self._state = None
            return None
        if self._state is None or document is not self._document:
            self._state = read_state(document, self._name)
            self._document = document
        return self._state

    def commit(self, changeset: Changeset, base: TableState | None) -> CommitResult:
        """Publish the change if the table still is at `base`; compare-and-swap, no retry.

        Raises:
            TableError: The change is not possible in this format.
            CatalogError: The catalog refused, or it is not known whether the change landed.
            StorageError: The place cannot be written.
        """
        if base is not None and changeset.create is not None:
            return Conflict("the table exists already")
        token = changeset.token
        if base is not None and token is not None and base.sequences.get(token.pipeline, 0) >= token.sequence:
            return AlreadyApplied(base.version)
        try:
            with self._reachable():
                return self._publish(changeset, base.handle if base is not None else None)
        except Moved as moved:
            return Conflict(str(moved))

    @property
    def together(self) -> Together | None:
        """Who can publish a change of this table in one request with others; `None` when nobody can."""
        found: Together | None = getattr(self._register, "together", None)
        return found

    @property
    def creates_whole(self) -> bool:
        """Whether the table is created together with its first rows."""
        return self._register.creates_whole

    def prepare(self, changeset: Changeset, base: TableState) -> Prepared | Conflict | None:
        """Plan a change and write its manifests, for `together` to publish; `None` when nothing changes.

        Raises:
            TableError: The change is not possible in this format.
            StorageError: The place cannot be written.
        """
        try:
            with self._reachable():
                plan = self._planner().plan(changeset, base.handle)
        except Moved as moved:
            return Conflict(str(moved))
        if plan is None:
            return None
        return Prepared(self._register, base.handle, plan.change, lambda: self._discard(plan.written))

    def _publish(self, changeset: Changeset, base: Document | None) -> Committed:
        if base is None and changeset.create is not None and not self._register.creates_whole:
            base = self._create_empty(changeset)
        plan = self._planner().plan(changeset, base)
        if plan is None:
            return Committed(base.head if base is not None else None)
        after = self._register.publish(base, plan.change)
        if after is None:
            self._discard(plan.written)
            raise Moved("the table was changed by somebody else")
        self._state = read_state(after, self._name)
        self._document = after
        snapshot = plan.change.snapshot
        return Committed(snapshot["snapshot-id"] if snapshot is not None else after.head)

    def _create_empty(self, changeset: Changeset) -> Document:
        """Create the table without a snapshot, and check that the catalog kept our field ids."""
        found = self._register.publish(None, self._planner().create_empty(changeset).change)
        if found is None:
            raise Moved("the table was created by somebody else")
        if not same_columns(to_arrow(found.schema, self._name), changeset.schema):
            raise TableError(
                "the catalog created the table with other columns or field ids than it was told",
                table=self._name,
                hint="Drop the empty table and use another catalog.",
            )
        return found

    def _planner(self) -> Planner:
        now_ms = round(self._now().timestamp() * 1000)
        return Planner(self._name, self._store.root, self._manifests, self._open_store, now_ms)

    def check_overwrite(self, state: TableState, *, partitions: bool) -> None:
        """Refuse single partitions of a table some of whose files follow an older partitioning.

        Raises:
            TableError: There are such files.
        """
        if not partitions:
            return
        with self._reachable():
            refuse_older_partitioning(self._manifests, state.handle, self._name)

    def files(self, state: TableState) -> Sequence[LiveFile]:
        """Live data files of that version.

        Raises:
            StorageError: A manifest cannot be read.
        """
        with self._reachable():
            return live_files(self._manifests, state.handle)

    def scan(self, state: TableState, columns: Sequence[str] | None) -> pa.RecordBatchReader:
        """Stream the rows of that version; all columns, in table order, when `columns` is `None`.

        Raises:
            TableError: There is no such column.
        """
        schema = chosen(state.schema, columns, table=self._name)
        rows = self._batches(state, without_sources(schema))
        return pa.RecordBatchReader.from_batches(without_ids(schema), rows)

    def _batches(self, state: TableState, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        if state.version is not None:
            with self._reachable():
                yield from scanned(self._library_table(state), schema)

    def lazy(self, state: TableState) -> Any:
        """A `polars.LazyFrame` over that version, read natively by Polars."""
        import warnings

        import polars as pl

        # Polars recommends a plugin for planning; planning by pyiceberg is what is tested here. The
        # advice is given when the frame is collected, so it cannot be silenced around this call alone.
        warnings.filterwarnings("ignore", "Iceberg scan planning", pl.exceptions.PerformanceWarning)
        # No snapshot id: the table handed over knows this one only, and with an id Polars would read by the
        # schema the snapshot was written with, not by the one the table has had since a column was renamed.
        return pl.scan_iceberg(
            self._library_table(state),
            reader_override="native",
            storage_options=self._store.options.for_object_store(self.location) or None,
        )

    def _library_table(self, state: TableState) -> Any:
        return library_table((self._namespace, self._name), state.handle, self._io)

    def history(self) -> Sequence[Version]:
        """Snapshots that led to the current one, newest first."""
        self.load()
        return [] if self._document is None else versions(self._document)

    def schemas(self) -> Sequence[SchemaRecord]:
        """Schemas the metadata lists, oldest first."""
        self.load()
        return [] if self._document is None else schemas(self._document, table=self._name)

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        """Turn failures of pyiceberg's and pyarrow's file access into `StorageError`."""
        with self._store.guarded():
            try:
                yield
            except FileNotFoundError as error:
                raise StorageError(
                    f"a file the table refers to is gone: {str(error).splitlines()[0]}",
                    table=self._name,
                    place=self.location,
                    hint="Restore it, or roll the table back to a version without it.",
                ) from error

    @property
    def _manifests(self) -> ManifestReader:
        if self._reader is None:
            self._reader = ManifestReader(self._read)
        return self._reader

    @property
    def _io(self) -> Any:
        if self._files is None:
            self._files = file_io(self._store)
        return self._files

    def _open_store(self, root: str) -> Store:
        plain = "/" + root[5:].lstrip("/") if root.startswith("file:") else root
        if plain.startswith(self._store.root + "/"):
            return self._store.child(plain[len(self._store.root) + 1 :])
        return self._store.at(plain)

    def _read(self, path: str) -> bytes:
        """A file of the table, wherever it is."""
        root, _, name = path.rpartition("/")
        data = self._open_store(root).read(name)
        if data is None:
            raise FileNotFoundError(path)
        return data

    def _discard(self, paths: Sequence[str]) -> None:
        for path in paths:
            root, _, name = path.rpartition("/")
            try:
                self._open_store(root).delete(name)
            except StorageError:
                return  # nobody refers to them; the orphan sweep finds what is left
