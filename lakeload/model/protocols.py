"""The seams: what a table format and a catalog must offer. Few methods, no defaults.

Implementations live in `lakeload/formats` and `lakeload/catalogs`; `lakeload/commit` and
`lakeload/maintain` are the callers. One behaviour suite per protocol runs on every implementation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from lakeload.model.changes import Changeset, CommitResult, Conflict
    from lakeload.model.files import LiveFile
    from lakeload.model.registration import Entry
    from lakeload.model.schema_history import SchemaRecord
    from lakeload.model.table import TableState, Version


class Table(Protocol):
    """One table of one format, existing or not. Holds no state of its own besides caches."""

    @property
    def name(self) -> str:
        """Table name without namespace."""
        ...

    @property
    def location(self) -> str:
        """Root of the table: an absolute local path, or a URI such as `s3://bucket/prefix/ns/table`."""
        ...

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats this table is published in, a subset of `("delta", "iceberg")`."""
        ...

    @property
    def store(self) -> Any:
        """The `lakeload.write.store.Store` rooted at `location`."""
        ...

    def load(self) -> TableState | None:
        """Read the newest version; `None` when the table does not exist.

        Raises:
            TableError: The table needs a feature that cannot be honoured, or another format lies there.
            StorageError: The place cannot be read.
        """
        ...

    def commit(self, changeset: Changeset, base: TableState | None) -> CommitResult:
        """Publish the change if the table still is at `base`; compare-and-swap, no retry.

        Raises:
            TableError: The change is not possible in this format.
            StorageError: The place cannot be written.
        """
        ...

    def check_overwrite(self, state: TableState, *, partitions: bool) -> None:
        """Refuse, before anything is written for it, a load that `commit` would refuse.

        Args:
            state: The table as it is.
            partitions: Single partitions are to be overwritten, not the whole table.

        Raises:
            TableError: Rows of this table cannot be replaced in this way.
        """
        ...

    def files(self, state: TableState) -> Sequence[LiveFile]:
        """Live data files of that version."""
        ...

    def scan(self, state: TableState, columns: Sequence[str] | None) -> pa.RecordBatchReader:
        """Stream the rows of that version; all columns when `columns` is `None`.

        Raises:
            TableError: There is no such column.
        """
        ...

    def history(self) -> Sequence[Version]:
        """Versions, newest first."""
        ...

    def schemas(self) -> Sequence[SchemaRecord]:
        """Schemas the table's own log remembers, oldest first.

        Raises:
            TableError: The log is damaged.
        """
        ...

    def lazy(self, state: TableState) -> Any:
        """A `polars.LazyFrame` over that version, read natively by Polars."""
        ...


class Prepared(Protocol):
    """A change of one table, decided and written, and visible to nobody yet."""

    def discard(self) -> None:
        """Delete what was written for it."""
        ...


class Together(Protocol):
    """What publishes changes of several tables in one request. Tables that share one can be joined."""

    def publish(self, changes: Sequence[Any]) -> Sequence[bool]:
        """Publish every `Prepared` change, if each table still is at its base.

        Returns:
            For each change whether it is part of its table now.

        Raises:
            CatalogError: The catalog refused, or it is not known whether the changes landed.
        """
        ...


class Joinable(Table, Protocol):
    """A table whose change can be published in one request with those of others."""

    @property
    def together(self) -> Together | None:
        """Who does it; `None` when nobody can."""
        ...

    def prepare(self, changeset: Changeset, base: TableState) -> Prepared | Conflict | None:
        """Decide and write a change; `None` when nothing changes.

        Raises:
            TableError: The change is not possible in this format.
            StorageError: The place cannot be written.
        """
        ...


class Catalog(Protocol):
    """Names to tables, for formats that need a register (Iceberg)."""

    def open(self, namespace: str, name: str, location: str) -> Table:
        """A handle on the table; it need not exist. `location` is where it would be created."""
        ...

    def list(self, namespace: str) -> Sequence[str]:
        """Names of the tables in the namespace, sorted; empty when the namespace does not exist."""
        ...

    def register(self, namespace: str, name: str, metadata_location: str) -> None:
        """Give an existing table a name, by its current metadata file.

        Raises:
            CatalogError: The name is taken, or the catalog refused or did not answer.
        """
        ...

    def drop(self, namespace: str, name: str) -> None:
        """Forget the table. Its files stay.

        Raises:
            CatalogError: There is no such table, or the catalog refused.
        """
        ...


class DeltaCatalog(Protocol):
    """Names for Delta tables, so that engines which know tables by name find them.

    An entry is derived from the table, never the other way round; `commit.register` keeps it in step.
    """

    @property
    def place(self) -> str:
        """Where the catalog is, without secrets."""
        ...

    def describe(self, location: str, state: TableState) -> Entry:
        """The entry a table of that version should have. Pure: asks nobody."""
        ...

    def find(self, namespace: str, name: str) -> Entry | None:
        """The entry there is; `None` when the name is not known.

        Raises:
            CatalogError: The catalog refused or did not answer.
        """
        ...

    def put(self, namespace: str, name: str, entry: Entry) -> None:
        """Make the entry, or bring the one of that name up to date. Makes the namespace if there is none.

        Raises:
            CatalogError: The catalog refused or did not answer; the entry is as it was.
        """
        ...

    def list(self, namespace: str) -> Sequence[str]:
        """Names known in the namespace, of Delta tables only, sorted; empty when there is no namespace."""
        ...

    def drop(self, namespace: str, name: str) -> None:
        """Forget the entry. The table's files stay.

        Raises:
            CatalogError: There is no such entry, or the catalog refused.
        """
        ...
