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
from lakeload.formats.iceberg_commit import Moved, Planner, deletes_of, older_partitioning
from lakeload.formats.iceberg_document import (
    FORMAT_VERSION,
    Change,
    Document,
    Register,
    same_place,
    unsupported_version,
)
from lakeload.formats.iceberg_files import live_file
from lakeload.formats.iceberg_history import schemas
from lakeload.formats.iceberg_io import file_io
from lakeload.formats.iceberg_layout import to_layout
from lakeload.formats.iceberg_manifests import ManifestReader, is_data
from lakeload.formats.iceberg_position import sequences
from lakeload.formats.iceberg_scan import read_rows
from lakeload.formats.iceberg_schema import same_columns, to_arrow
from lakeload.formats.iceberg_snapshot import LOAD_ID_KEY
from lakeload.model.changes import AlreadyApplied, Committed, Conflict
from lakeload.model.schema import chosen, without_ids, without_sources
from lakeload.model.table import OWNER_PROPERTY, TableState, Version
from lakeload.write.store import Store

if TYPE_CHECKING:
    from lakeload.model.changes import Changeset, CommitResult
    from lakeload.model.files import LiveFile
    from lakeload.model.protocols import Together
    from lakeload.model.schema_history import SchemaRecord

_NAME_MAPPING = "schema.name-mapping.default"


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
            self._state = self._read_state(document)
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
        self._state = self._read_state(after)
        self._document = after
        snapshot = plan.change.snapshot
        return Committed(snapshot["snapshot-id"] if snapshot is not None else after.head)

    def _create_empty(self, changeset: Changeset) -> Document:
        """Create the table without a snapshot, and check that the catalog kept our field ids."""
        found = self._register.publish(None, self._planner().create_empty(changeset).change)
        if found is None:
            raise Moved("the table was created by somebody else")
        if not same_columns(to_arrow(found.model.schema(), self._name), changeset.schema):
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
        document: Document = state.handle
        with self._reachable():
            for manifest in self._manifests.manifests(document):
                if is_data(manifest) and manifest.partition_spec_id != document.model.default_spec_id:
                    raise older_partitioning(self._name, manifest.manifest_path)

    def files(self, state: TableState) -> Sequence[LiveFile]:
        """Live data files of that version.

        Raises:
            StorageError: A manifest cannot be read.
        """
        document: Document = state.handle
        model = document.model
        schema, specs, reader = model.schema(), model.specs(), self._manifests
        kinds = {number: spec.partition_type(schema).fields for number, spec in specs.items()}
        # Migrated files carry no field ids; only readers know how to name their columns. Some servers
        # give every table a mapping, also those whose files are all ours.
        properties = document.properties
        whole = _NAME_MAPPING not in properties or properties.get(OWNER_PROPERTY) == "true"
        with self._reachable():
            deletes = deletes_of(reader, document)
            return [
                live_file(
                    entry,
                    model.location,
                    kinds[manifest.partition_spec_id],
                    current=whole and manifest.partition_spec_id == model.default_spec_id,
                    deletes=deletes is not None and deletes.touch(entry),
                )
                for manifest in reader.manifests(document)
                if is_data(manifest)
                for entry in reader.entries(manifest)
            ]

    def scan(self, state: TableState, columns: Sequence[str] | None) -> pa.RecordBatchReader:
        """Stream the rows of that version; all columns, in table order, when `columns` is `None`.

        Raises:
            TableError: There is no such column.
        """
        schema = chosen(state.schema, columns, table=self._name)
        rows = self._batches(state, without_sources(schema))
        return pa.RecordBatchReader.from_batches(without_ids(schema), rows)

    def _batches(self, state: TableState, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        if state.version is None:
            return
        scan = self._library_table(state).scan(selected_fields=tuple(schema.names))
        spec = state.handle.model.specs()
        with self._reachable():
            for task in scan.plan_files():
                constants = frozenset(
                    field.source_id
                    for field in spec[task.file.spec_id].fields
                    if str(field.transform) == "identity"
                )
                if str(task.file.file_format.value) != "PARQUET":
                    yield from self._other_batches(scan, task, schema)
                    continue
                with self._io.new_input(task.file.file_path).open() as source:
                    rows = None if task.delete_files else read_rows(source, schema, constants, self._name)
                    yield from self._library_batches(scan, task, schema) if rows is None else rows

    def _other_batches(self, scan: Any, task: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """ORC, which the library reads; Avro, which nobody here does."""
        kind = str(task.file.file_format.value)
        if kind != "ORC":
            raise TableError(
                f"a file of the table is in the format {kind.title()}, which cannot be read here",
                table=self._name,
                place=task.file.file_path,
                hint="Rewrite the table's files as Parquet with another engine, or read them with it.",
            )
        yield from self._library_batches(scan, task, schema)

    def _library_batches(self, scan: Any, task: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        from pyiceberg.io.pyarrow import ArrowScan

        plain = without_ids(schema)
        reader = ArrowScan(scan.table_metadata, self._io, scan.projection(), scan.row_filter)
        for batch in reader.to_record_batches([task]):
            yield batch.select(plain.names).cast(plain)

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

    def history(self) -> Sequence[Version]:
        """Snapshots that led to the current one, newest first."""
        self.load()
        if self._document is None:
            return []
        return [_version(snapshot) for snapshot in self._document.ancestors()]

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
            self._reader = ManifestReader(self._io)
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

    def _discard(self, paths: Sequence[str]) -> None:
        for path in paths:
            root, _, name = path.rpartition("/")
            try:
                self._open_store(root).delete(name)
            except StorageError:
                return  # nobody refers to them; the orphan sweep finds what is left

    def _read_state(self, document: Document) -> TableState:
        self._refuse_features(document)
        model = document.model
        schema = model.schema()
        return TableState(
            version=document.head,
            schema=to_arrow(schema, self._name),
            last_column_id=model.last_column_id,
            layout=to_layout(model.spec(), model.sort_order(), schema, self._name),
            properties=document.properties,
            sequences=sequences(document),
            handle=document,
        )

    def _refuse_features(self, document: Document) -> None:
        version = document.get("format-version")
        if version != FORMAT_VERSION:
            raise unsupported_version(version, self._name)
        if document.properties.get("write.wap.enabled", "").lower() == "true":
            raise TableError(
                "the table asks for write-audit-publish (write.wap.enabled), which is not supported",
                table=self._name,
                hint="Unset the property, or load into another table.",
            )

    def _library_table(self, state: TableState) -> Any:
        from pyiceberg.catalog.noop import NoopCatalog
        from pyiceberg.table import Table

        document: Document = state.handle
        return Table(
            (self._namespace, self._name),
            document.model,
            document.location,
            self._io,
            NoopCatalog("lakeload"),
        )


def _version(snapshot: dict[str, Any]) -> Version:
    summary = dict(snapshot.get("summary", {}))
    operation = summary.pop("operation", "overwrite")
    load_id = summary.pop(LOAD_ID_KEY, None)
    at = dt.datetime.fromtimestamp(snapshot["timestamp-ms"] / 1000, dt.UTC)
    return Version(snapshot["snapshot-id"], at, operation, load_id, summary)
