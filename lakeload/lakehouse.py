"""A lakehouse: one place, one namespace, one or two table formats; and its tables, to read."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeload import registry
from lakeload.commit.journal import Journal
from lakeload.errors import ConfigError, TableError
from lakeload.model.files import LiveFile
from lakeload.model.layout import Layout
from lakeload.model.protocols import Catalog, Table
from lakeload.model.schema import without_ids
from lakeload.model.table import TableState, Version
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

JOURNALS = "_lakeload/_journal"
"""Folder below a namespace that holds the journals of pipelines. Table buckets take no other names."""

_LONGEST_PIPELINE = 140
"""Bytes of UTF-8: room for what `lakeload.load` puts before a table name of any length."""


def utc_now() -> dt.datetime:
    """The wall clock; everything else receives it as an argument."""
    return dt.datetime.now(dt.UTC)


class Lakehouse:
    """A place for tables: a local folder or an S3 prefix.

    Tables lie at `<root>/<namespace>/<table>`. Delta tables need nothing else. Iceberg tables are
    registered in a catalog: by default, in a local lake, the SQLite file `<root>/catalog.db`.

    Args:
        root: Local path, or `s3://bucket/prefix`.
        format: `"delta"`, `"iceberg"`, or both as `("delta", "iceberg")` or `"both"`.
        catalog: `sqlite:///path`, `postgresql://…` or `rest+http(s)://…`; needed for Iceberg on S3.
        storage_options: Credentials and endpoint, keys as in `lakeload.storage_options.STORAGE_KEYS`. What is
            missing is taken from the usual AWS places.
        namespace: Namespace of the tables.
        now: Clock, for tests.

    Raises:
        ConfigError: An argument cannot be used.

    Example:
        >>> import tempfile
        >>> lake = Lakehouse(tempfile.mkdtemp(), format="both")
        >>> lake.formats, lake.tables()
        (('delta', 'iceberg'), [])
    """

    def __init__(
        self,
        root: str | Path,
        *,
        format: str | tuple[str, ...] | list[str] = "delta",  # noqa: A002 - the word users look for
        catalog: str | None = None,
        storage_options: Mapping[str, str] | None = None,
        namespace: str = "default",
        now: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        self.root = _root(root)
        self.formats = registry.parse_formats(format)
        self.namespace = _checked_namespace(namespace)
        self.now = now
        self.options = StorageOptions.read(storage_options, remote="://" in self.root)
        self._store = Store(self.root, self.options)
        self._catalog_uri = catalog
        self._catalog: Catalog | None = None
        self._open: dict[tuple[str, tuple[str, ...]], Table] = {}
        if "iceberg" in self.formats:
            self._iceberg_uri()

    def __repr__(self) -> str:
        return f"Lakehouse({self.root!r}, format={'+'.join(self.formats)!r}, namespace={self.namespace!r})"

    def table(self, name: str) -> LakeTable:
        """A table to read.

        Raises:
            TableError: There is no such table.
        """
        formats = self.formats_of(name)
        if not formats:
            there = ", ".join(self.tables()) or "none"
            raise TableError("there is no such table", table=name, hint=f"Tables here: {there}.")
        return LakeTable(self.open(name, formats))

    def tables(self) -> list[str]:
        """Names of the tables in the namespace, sorted."""
        found = {name for name in self._store.names(self.namespace) if not name.startswith((".", "_"))}
        names = {name for name in found if self.formats_of(name)}
        return sorted(names | self._registered())

    def formats_of(self, name: str) -> tuple[str, ...]:
        """Formats a table is found in; empty when there is no such table."""
        below = set(self._store.names(f"{self.namespace}/{name}"))
        found = []
        if "_delta_log" in below:
            found.append("delta")
        if below & {"_iceberg", "metadata"} or name in self._registered():
            found.append("iceberg")
        return tuple(found)

    def open(self, name: str, formats: tuple[str, ...] | None = None) -> Table:
        """The table behind a name, existing or not, for loading into it."""
        key = (name, formats or self.formats)
        if key not in self._open:
            self._open[key] = self._make(*key)
        return self._open[key]

    def check(self, name: str, state: TableState | None) -> None:
        """Refuse to publish a table in other formats than it already has.

        Raises:
            TableError: The table exists in another format, or in one more.
        """
        found = self.formats_of(name)
        if found and found != self.formats and (state is not None or set(found) - set(self.formats)):
            raise TableError(
                f"the table is {' and '.join(found)}, this lakehouse writes {' and '.join(self.formats)}",
                table=name,
                place=self.location(name),
                hint=f"Load with format={found[0] if len(found) == 1 else 'both'}, or under another name. "
                "If another run is creating the table right now, run again.",
            )

    def location(self, name: str) -> str:
        """Root of a table."""
        return self._store.uri(f"{self.namespace}/{name}")

    def store(self, name: str) -> Store:
        """The store rooted at a table."""
        return self._store.child(f"{self.namespace}/{name}")

    def journal(self, pipeline: str) -> Journal:
        """The journal of a pipeline, as it is now.

        Raises:
            ConfigError: The name cannot be used.
        """
        if not _names_pipeline(pipeline):
            raise ConfigError(
                f"{pipeline!r} cannot name a pipeline",
                hint="Use letters, digits, dot, dash and underscore, a letter or digit first, "
                f"at most {_LONGEST_PIPELINE} bytes.",
            )
        return Journal(self._store.child(f"{self.namespace}/{JOURNALS}/{pipeline}"), pipeline)

    def pipelines(self) -> list[str]:
        """Names of the pipelines that loaded into the namespace, sorted."""
        return self._store.names(f"{self.namespace}/{JOURNALS}")

    def _make(self, name: str, formats: tuple[str, ...]) -> Table:
        if formats == ("delta",):
            return self._delta(name)
        if formats == ("iceberg",):
            return self._iceberg(name)
        from lakeload.formats.dual import DualTable

        return DualTable(self._delta(name), self._iceberg(name))

    def _delta(self, name: str) -> Table:
        from lakeload.formats.delta import DeltaFormatTable

        return DeltaFormatTable(name, self.store(name), now=self.now)

    def _iceberg(self, name: str) -> Table:
        return self._iceberg_catalog().open(self.namespace, name, self.location(name))

    def _registered(self) -> set[str]:
        """Names in the catalog; a catalog that would have to be created first has none."""
        if self._catalog_uri is None and not (self._store.local and self._default_catalog().exists()):
            return set()
        return set(self._iceberg_catalog().list(self.namespace))

    def _iceberg_catalog(self) -> Catalog:
        if self._catalog is None:
            uri = self._iceberg_uri()
            if self._store.local:
                self._store.make_root()
            factory = registry.catalog_factory(uri)
            self._catalog = factory(uri, self.root, self.options, now=self.now)
        return self._catalog

    def _iceberg_uri(self) -> str:
        if self._catalog_uri is not None:
            return self._catalog_uri
        if not self._store.local:
            raise ConfigError(
                "Iceberg tables on object storage need a catalog",
                place=self.root,
                hint='Give catalog="rest+https://…", "postgresql://…" or "sqlite:///…".',
            )
        return f"sqlite:///{self._default_catalog()}"

    def _default_catalog(self) -> Path:
        return Path(self.root) / "catalog.db"


class LakeTable:
    """One table of a lakehouse, to read: what `Lakehouse.table` gives. Every call sees the newest version.

    Args:
        table: The table behind it.

    Raises:
        TableError: By every method, when the table is gone or needs a feature that cannot be honoured.
        StorageError: By every method, when the place cannot be read.

    Example:
        >>> import tempfile, lakeload
        >>> lake = Lakehouse(tempfile.mkdtemp())
        >>> report = lakeload.load([{"id": 1}, {"id": 2}], lake, table="numbers")
        >>> lake.table("numbers").to_arrow(["id"]).num_rows
        2
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def __repr__(self) -> str:
        return f"LakeTable({self._table.location!r}, {'+'.join(self._table.formats)})"

    @property
    def location(self) -> str:
        """Root of the table: absolute path or URI."""
        return self._table.location

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats the table is published in."""
        return self._table.formats

    def schema(self) -> pa.Schema:
        """Columns and their types."""
        return without_ids(self._state().schema)

    def layout(self) -> Layout:
        """Partitioning and sort order."""
        return self._state().layout

    def version(self) -> int | None:
        """Newest version: of Delta, the Iceberg snapshot id where there is no Delta."""
        return self._state().version

    def files(self) -> Sequence[LiveFile]:
        """Live data files with sizes in bytes, rows and partition values."""
        return self._table.files(self._state())

    def history(self) -> Sequence[Version]:
        """Versions, newest first."""
        return self._table.history()

    def properties(self) -> dict[str, str]:
        """Table properties."""
        return dict(self._state().properties)

    def positions(self) -> dict[str, int]:
        """Sequence number of the last load of every pipeline that wrote here."""
        return dict(self._state().sequences)

    def scan(self, columns: Sequence[str] | None = None) -> pa.RecordBatchReader:
        """Stream the rows as Arrow record batches, in no promised order.

        Args:
            columns: Names of the columns to read; all, in table order, when `None`.

        Returns:
            A reader over the version that is newest now.

        Raises:
            TableError: There is no such column.
        """
        return self._table.scan(self._state(), columns)

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The whole table in memory; arguments and errors as of `scan`."""
        return self.scan(columns).read_all()

    def to_polars(self) -> pl.LazyFrame:
        """A lazy frame, read natively by Polars."""
        return self._table.lazy(self._state())

    def to_duckdb(self, connection: Any = None) -> Any:
        """A DuckDB relation over the rows in memory; needs the extra `lakeload[duckdb]`.

        Args:
            connection: An open DuckDB connection; the default one when `None`.

        Returns:
            A `duckdb.DuckDBPyRelation`.

        Raises:
            ConfigError: DuckDB is not installed.
        """
        try:
            import duckdb
        except ImportError as error:
            raise ConfigError("DuckDB is not installed", hint="Install lakeload[duckdb].") from error
        return (connection or duckdb).from_arrow(self.to_arrow())

    def _state(self) -> TableState:
        state = self._table.load()
        if state is None:
            raise TableError(
                "there is no such table any more",
                table=self._table.name,
                hint="It was dropped, or deleted from disk; load into it to make it again.",
            )
        return state


def _root(root: str | Path) -> str:
    text = str(root)
    scheme, found, rest = text.partition("://")
    if not found:
        if not text.strip():
            raise ConfigError("the lakehouse has no place", hint="Give a local path or s3://bucket/prefix.")
        return str(Path(text).expanduser().resolve())
    if scheme == "file":
        return str(Path(rest).resolve())
    if scheme not in ("s3", "s3a") or not rest.strip("/"):
        raise ConfigError(f"cannot keep tables at {text!r}", hint="Give a local path or s3://bucket/prefix.")
    return f"s3://{rest.rstrip('/')}"


def _names_pipeline(text: str) -> bool:
    """Letters of every script are welcome, as in table names: many pipelines are called after a table."""
    # Marks are the accents and vowel signs that follow a letter.
    known = all(c.isalnum() or c in "_.-" or unicodedata.category(c).startswith("M") for c in text)
    return known and text[:1].isalnum() and len(text.encode()) <= _LONGEST_PIPELINE


def _checked_namespace(namespace: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", namespace):
        raise ConfigError(
            f"{namespace!r} cannot name a namespace", hint="Use lower-case letters, digits and underscore."
        )
    return namespace
