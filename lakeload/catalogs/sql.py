"""Iceberg tables registered in a SQL database: PostgreSQL. A SQLite file has a module of its own, `sqlite`.

The layout of the database is the one Iceberg's JDBC catalog defined, so pyiceberg and Java open the same
catalog. A commit is one row swapped from the old metadata file to the new: the end of
extract → normalize → write → commit.

URIs: `postgresql://user:password@host/database`; `?catalog=name` chooses
the catalog's name within the database (default `default`).
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lakeload.catalogs.names import drop_name, list_names, register_name
from lakeload.catalogs.pointer import Pointer
from lakeload.errors import CatalogError, ConfigError, TableError
from lakeload.formats.iceberg import IcebergTable
from lakeload.formats.iceberg_document import Document
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog as LibraryCatalog

DEFAULT_NAME = "default"


class SqlCatalog:
    """Names to Iceberg tables, kept in a SQL database.

    Args:
        uri: Where the database is; see the module's text.
        warehouse: Root of the lake, recorded as the catalog's warehouse.
        options: Credentials and endpoint for metadata on an object store.
        now: The clock; must return aware times.

    Raises:
        ConfigError: The URI cannot be read, or its database driver is not installed.
        CatalogError: The database did not answer.
    """

    def __init__(
        self, uri: str, warehouse: str, options: StorageOptions, *, now: Callable[[], dt.datetime]
    ) -> None:
        self._url, self._place, self._name = _read_uri(uri)
        self._warehouse, self._options, self._now = warehouse, options, now
        self._opened: LibraryCatalog | None = None
        self._opening = threading.Lock()

    def __repr__(self) -> str:
        return f"SqlCatalog({self._place!r})"

    def open(self, namespace: str, name: str, location: str) -> IcebergTable:
        """A handle on the table; it need not exist. `location` is where it would be created."""
        store = Store(location, self._options)
        register = Pointer(_Row(self, namespace, name), namespace, name, store)
        return IcebergTable(name, namespace, register, store, now=self._now)

    def list(self, namespace: str) -> Sequence[str]:
        """Names of the tables in the namespace, sorted; empty when the namespace does not exist."""
        return list_names(self, namespace)

    def register(self, namespace: str, name: str, metadata_location: str) -> None:
        """Give an existing table a name, by its current metadata file.

        Raises:
            CatalogError: The name is taken, or the catalog refused or did not answer.
        """
        register_name(self, namespace, name, metadata_location)

    def drop(self, namespace: str, name: str) -> None:
        """Forget the table. Its files stay.

        Raises:
            CatalogError: There is no such table, or the catalog refused.
        """
        drop_name(self, namespace, name)

    @property
    def place(self) -> str:
        """Where the database is, without secrets."""
        return self._place

    @property
    def library(self) -> LibraryCatalog:
        """The same database as pyiceberg's catalog."""
        with self._opening:
            if self._opened is None:
                with self.guarded():
                    self._opened = self._open_library()
            return self._opened

    def _open_library(self, attempts: int = 2) -> LibraryCatalog:
        from pyiceberg.catalog.sql import SqlCatalog as LibraryCatalog
        from sqlalchemy.exc import DBAPIError

        properties = {"uri": self._url, "warehouse": self._warehouse, "pool_pre_ping": "true"}
        properties |= self._options.for_pyiceberg()
        try:
            library = LibraryCatalog(self._name, **properties)
        except DBAPIError as error:
            # Several processes found a new database without tables, and one made them first.
            if not attempts or not any(word in str(error.orig) for word in ("exist", "duplicate")):
                raise
            return self._open_library(attempts - 1)
        return library

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn the database's failures into `CatalogError` with the way out."""
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        try:
            yield
        except (DBAPIError, SQLAlchemyError) as error:
            text = first_line(getattr(error, "orig", None) or error)
            raise CatalogError(
                f"the catalog database failed: {text}", place=self._place, hint=remedy(text)
            ) from None  # the cause's text repeats statement and parameters


_NAMING = 3
"""Conditions of `_Row._key` that name the row; what follows tells tables from views."""


class _Row:
    """One table's row: the `Pointing` of a SQL catalog."""

    def __init__(self, catalog: SqlCatalog, namespace: str, name: str) -> None:
        self._catalog, self._namespace, self._name = catalog, namespace, name

    def swap(self, base: Document | None, after: Document) -> bool:
        from pyiceberg.catalog.sql import IcebergTables
        from sqlalchemy import insert, update
        from sqlalchemy.exc import IntegrityError

        library = self._catalog.library
        if base is None:
            self._make_namespace()
            row = library._create_table_row(self._namespace, self._name, after.location)  # noqa: SLF001 - knows the schema version
            with self._catalog.guarded():
                try:
                    with library.engine.begin() as connection:
                        connection.execute(insert(IcebergTables).values(**row))
                except IntegrityError:
                    return False
                return True
        statement = (
            update(IcebergTables)
            .where(*self._key(), IcebergTables.metadata_location == base.location)
            .values(metadata_location=after.location, previous_metadata_location=base.location)
        )
        with self._catalog.guarded(), library.engine.begin() as connection:
            return bool(connection.execute(statement).rowcount == 1)

    def _key(self) -> tuple[Any, ...]:
        from pyiceberg.catalog.sql import IcebergTables

        library = self._catalog.library
        only_tables = library._iceberg_type_filter()  # noqa: SLF001 - tells tables from views
        key = (
            IcebergTables.catalog_name == library.name,
            IcebergTables.table_namespace == self._namespace,
            IcebergTables.table_name == self._name,
        )
        return key if only_tables is None else (*key, only_tables)

    def location(self) -> str | None:
        from pyiceberg.catalog.sql import IcebergTables
        from sqlalchemy import select

        key = self._key()
        statement = select(IcebergTables.metadata_location).where(*key)
        anything = select(IcebergTables.table_name).where(*key[:_NAMING])
        with self._catalog.guarded(), self._catalog.library.engine.connect() as connection:
            found = connection.execute(statement).scalar()
            taken = found is None and connection.execute(anything).scalar() is not None
        if taken:
            raise TableError(
                "the name belongs to a view",
                table=self._name,
                hint="Load under another name, or drop the view with the engine that made it.",
            )
        return found

    def _make_namespace(self) -> None:
        from pyiceberg.exceptions import NamespaceAlreadyExistsError
        from sqlalchemy.exc import IntegrityError

        with self._catalog.guarded(), suppress(NamespaceAlreadyExistsError, IntegrityError):
            self._catalog.library.create_namespace(self._namespace)


def _read_uri(uri: str) -> tuple[str, str, str]:
    """The database's URL, its text without password, and the catalog's name."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        url = make_url(uri)
        name = url.query.get("catalog", DEFAULT_NAME)
        url = url.difference_update_query(["catalog"])
        if url.drivername == "postgresql" and find_spec("psycopg2"):
            url = url.set(drivername="postgresql+psycopg2")  # SQLAlchemy would insist on psycopg 3
        url.get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise ConfigError(
            "the catalog URI cannot be read",
            hint="Write postgresql://user@host/db.",
        ) from None
    except ImportError as error:
        raise ConfigError(
            f"the database driver {error.name} is not installed", hint="Install lakeload[postgres]."
        ) from error
    shown = url.set(query={}).render_as_string(hide_password=True)
    return url.render_as_string(hide_password=False), shown, str(name)


def first_line(error: BaseException) -> str:
    """What a database says of a failure."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def remedy(text: str) -> str:
    """What to do about it."""
    lowered = text.lower()
    if "locked" in lowered:
        return "Another process holds it; run again when that has finished."
    if "password" in lowered or "authentication" in lowered:
        return "Check user and password in the catalog URI."
    if "connect" in lowered or "refused" in lowered or "resolve" in lowered:
        return "Check that the database runs and can be reached."
    if "readonly" in lowered or "unable to open" in lowered:
        return "Check the path and its permissions."
    return "Check the catalog URI."
