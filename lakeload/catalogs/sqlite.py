"""Iceberg tables registered in a SQLite file: the catalog of a local lake that names no other.

The tables in it are those of every SQL catalog of Iceberg, so pyiceberg and Java open the same file. It is
read and written with Python's own SQLite: a small load needs neither SQLAlchemy nor pyiceberg. A commit is
one row swapped from the old metadata file to the new: the end of extract → normalize → write → commit.

URIs: `sqlite:////absolute/path.db`; `?catalog=name` chooses the catalog's name within the file (default
`default`), `?timeout=5` how many seconds to wait for another process.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import parse_qsl

from lakeload.catalogs.pointer import Pointer
from lakeload.catalogs.sql import DEFAULT_NAME, first_line, remedy
from lakeload.errors import CatalogError, ConfigError, TableError
from lakeload.formats.iceberg import IcebergTable
from lakeload.formats.iceberg_document import Document
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

_TABLES = """
CREATE TABLE IF NOT EXISTS iceberg_tables (
    catalog_name VARCHAR(255) NOT NULL,
    table_namespace VARCHAR(255) NOT NULL,
    table_name VARCHAR(255) NOT NULL,
    metadata_location VARCHAR(1000),
    previous_metadata_location VARCHAR(1000),
    iceberg_type VARCHAR(5),
    PRIMARY KEY (catalog_name, table_namespace, table_name)
);
CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
    catalog_name VARCHAR(255) NOT NULL,
    namespace VARCHAR(255) NOT NULL,
    property_key VARCHAR(255) NOT NULL,
    property_value VARCHAR(1000) NOT NULL,
    PRIMARY KEY (catalog_name, namespace, property_key)
);
"""
_ROW = "catalog_name = ? AND table_namespace = ? AND table_name = ?"
_IS_TABLE = " AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)"
_TIMEOUT = 5.0


class SqliteCatalog:
    """Names to Iceberg tables, kept in a SQLite file.

    Args:
        uri: Where the file is; see the module's text. It and its directory are made when needed.
        warehouse: Root of the lake. Not told to the file: every table has its location.
        options: Credentials and endpoint for metadata on an object store.
        now: The clock; must return aware times.

    Raises:
        ConfigError: The URI cannot be read.

    Example:
        >>> import datetime, tempfile
        >>> root = tempfile.mkdtemp()
        >>> now = lambda: datetime.datetime.now(datetime.UTC)
        >>> SqliteCatalog(f"sqlite:///{root}/catalog.db", root, StorageOptions(), now=now).list("default")
        []
    """

    def __init__(
        self,
        uri: str,
        warehouse: str,  # noqa: ARG002 - all catalogs are made alike
        options: StorageOptions,
        *,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._file, self.name, self._timeout = _read_uri(uri)
        self._options, self._now = options, now
        self._typed = True

    def __repr__(self) -> str:
        return f"SqliteCatalog({self.place!r})"

    @property
    def place(self) -> str:
        """Where the file is."""
        return f"sqlite:///{self._file}"

    def open(self, namespace: str, name: str, location: str) -> IcebergTable:
        """A handle on the table; it need not exist. `location` is where it would be created."""
        store = Store(location, self._options)
        register = Pointer(_Row(self, namespace, name), namespace, name, store)
        return IcebergTable(name, namespace, register, store, now=self._now)

    def list(self, namespace: str) -> Sequence[str]:
        """Names of the tables in the namespace, sorted; empty when the namespace does not exist."""
        with self.connected() as database:
            rows = database.execute(
                "SELECT table_name FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ?"
                f"{self.only_tables} ORDER BY table_name",
                (self.name, namespace),
            ).fetchall()
        return [name for (name,) in rows]

    def register(self, namespace: str, name: str, metadata_location: str) -> None:
        """Give an existing table a name, by its current metadata file.

        Raises:
            CatalogError: The name is taken, or the file cannot be read or written.
            StorageError: The metadata file cannot be read.
        """
        store = Store(metadata_location.rpartition("/")[0], self._options)
        register = Pointer(_Row(self, namespace, name), namespace, name, store)
        if not register.adopt(metadata_location):
            raise CatalogError(
                "the name is taken",
                table=f"{namespace}.{name}",
                place=self.place,
                hint="Drop that entry first, or register under another namespace.",
            )

    def drop(self, namespace: str, name: str) -> None:
        """Forget the table. Its files stay.

        Raises:
            CatalogError: There is no such table, or the file cannot be written.
        """
        with self.connected() as database:
            statement = f"DELETE FROM iceberg_tables WHERE {_ROW}{self.only_tables}"
            gone = database.execute(statement, (self.name, namespace, name)).rowcount
        if gone < 1:
            raise CatalogError(
                "there is no such table",
                table=f"{namespace}.{name}",
                place=self.place,
                hint="Check namespace and name; list() gives the names there are.",
            )

    @property
    def only_tables(self) -> str:
        """The condition that tells tables from views; empty in a file made before there were views."""
        return _IS_TABLE if self._typed else ""

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction, to a file that has its tables.

        Raises:
            CatalogError: SQLite failed, with the way out.
        """
        parent = Path(self._file).parent
        with Store(str(parent), self._options).guarded():
            parent.mkdir(parents=True, exist_ok=True)
        try:
            # A connection costs microseconds, and one left open keeps the file busy.
            with closing(sqlite3.connect(self._file, timeout=self._timeout)) as database, database:
                self._typed = _prepared(database)
                yield database
        except sqlite3.Error as error:
            text = first_line(error)
            raise CatalogError(
                f"the catalog database failed: {text}", place=self.place, hint=remedy(text)
            ) from error


class _Row:
    """One table's row: the `Pointing` of the file."""

    def __init__(self, catalog: SqliteCatalog, namespace: str, name: str) -> None:
        self._catalog, self._key = catalog, (catalog.name, namespace, name)

    def location(self) -> str | None:
        with self._catalog.connected() as database:
            found = database.execute(
                f"SELECT metadata_location FROM iceberg_tables WHERE {_ROW}{self._catalog.only_tables}",
                self._key,
            ).fetchone()
            taken = (
                found is None
                and database.execute(
                    f"SELECT 1 FROM iceberg_tables WHERE {_ROW}",
                    self._key,
                ).fetchone()
            )
        if taken:
            raise TableError(
                "the name belongs to a view",
                table=self._key[-1],
                hint="Load under another name, or drop the view with the engine that made it.",
            )
        return None if found is None else found[0]

    def swap(self, base: Document | None, after: Document) -> bool:
        if base is None:
            return self._create(after.location)
        with self._catalog.connected() as database:
            changed = database.execute(
                "UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = ? "
                f"WHERE {_ROW}{self._catalog.only_tables} AND metadata_location = ?",
                (after.location, base.location, *self._key, base.location),
            )
            return changed.rowcount == 1

    def _create(self, location: str) -> bool:
        with self._catalog.connected() as database:
            typed = bool(self._catalog.only_tables)
            database.execute(
                "INSERT OR IGNORE INTO iceberg_namespace_properties VALUES (?, ?, 'exists', 'true')",
                self._key[:2],
            )
            made = database.execute(
                "INSERT OR IGNORE INTO iceberg_tables (catalog_name, table_namespace, table_name, "
                f"metadata_location{', iceberg_type' if typed else ''}) "
                f"VALUES (?, ?, ?, ?{', ?' if typed else ''})",
                (*self._key, location, *(["TABLE"] if typed else [])),
            )
            return made.rowcount == 1


def _prepared(database: sqlite3.Connection) -> bool:
    """Make the tables a new file lacks; whether those there are tell tables from views."""
    known = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"iceberg_tables", "iceberg_namespace_properties"} <= known:
        database.executescript(_TABLES)
    columns = database.execute("PRAGMA table_info(iceberg_tables)")
    return "iceberg_type" in {column[1] for column in columns}


def _read_uri(uri: str) -> tuple[str, str, float]:
    """The file, the catalog's name in it, and how long to wait for it."""
    _, found, rest = uri.partition(":///")
    path, _, query = rest.rpartition("?")
    if not path or "/" in query:  # folders may be called so
        path, query = rest, ""
    options = dict(parse_qsl(query, keep_blank_values=True))
    name, wait = options.pop("catalog", DEFAULT_NAME), options.pop("timeout", str(_TIMEOUT))
    try:
        seconds = float(wait)
    except ValueError:
        seconds = -1.0
    if not found or not path or not name or options or not seconds >= 0:
        raise ConfigError(
            "the catalog URI cannot be read",
            hint="Write sqlite:////path/catalog.db; ?catalog=NAME and ?timeout=SECONDS may follow.",
        )
    return path, name, seconds
