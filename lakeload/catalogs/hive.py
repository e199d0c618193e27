"""Iceberg tables registered in a Hive Metastore, as Spark, Trino, Hive and pyiceberg find them there.

The metastore's entry points to the table's newest metadata file; a commit writes the next file and, under the
table's lock, moves the pointer if it still is where it was: the end of extract → normalize → write → commit.
What an entry holds is what Iceberg's own Hive catalog puts there. URIs are those of `hive_server`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lakeload.catalogs import hive_server
from lakeload.catalogs.hive_lock import TableLock
from lakeload.catalogs.hive_server import ICEBERG, Metastore, described, kind_of
from lakeload.catalogs.hive_types import hive_type
from lakeload.catalogs.pointer import Pointer
from lakeload.errors import CatalogError, TableError
from lakeload.formats.iceberg import IcebergTable
from lakeload.formats.iceberg_document import Document
from lakeload.formats.iceberg_schema import to_arrow
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

if TYPE_CHECKING:
    from hive_metastore.ThriftHiveMetastore import Client
    from hive_metastore.ttypes import Table
    from pyiceberg.catalog.hive import HiveCatalog as LibraryCatalog

_LOCATION, _PREVIOUS = "metadata_location", "previous_metadata_location"
_FORMATS = ("org.apache.hadoop.mapred.FileInputFormat", "org.apache.hadoop.mapred.FileOutputFormat")

_FACTS = (
    "current-snapshot-id", "current-snapshot-timestamp-ms", "current-snapshot-summary", "snapshot-count",
    "current-schema", "default-partition-spec", "default-sort-order", "numFiles", "numRows", "totalSize",
)  # fmt: skip
"""What Java's catalog notes of one version, and would be wrong of the next."""
_LONGEST = 4000
"""Characters a metastore's database takes as the value of a parameter; the metadata file has them all."""


class HiveCatalog:
    """Names to Iceberg tables, kept by a Hive Metastore.

    Args:
        uri: Where the metastore is, `hive://host:port`.
        warehouse: Root of the lake; namespaces that are made lie below it.
        options: Credentials and endpoint of the object store that holds the tables.
        now: The clock; must return aware times.

    Raises:
        ConfigError: The URI cannot be read.

    Example:
        >>> import datetime
        >>> now = lambda: datetime.datetime.now(datetime.UTC)
        >>> HiveCatalog("hive://metastore", "s3://lake", StorageOptions(), now=now)
        HiveCatalog('hive://metastore:9083')
    """

    def __init__(
        self, uri: str, warehouse: str, options: StorageOptions, *, now: Callable[[], dt.datetime]
    ) -> None:
        self._server = Metastore(uri)
        self._warehouse, self._options, self._now = warehouse.rstrip("/"), options, now

    def __repr__(self) -> str:
        return f"HiveCatalog({self.place!r})"

    def open(self, namespace: str, name: str, location: str) -> IcebergTable:
        """A handle on the table; it need not exist. `location` is where it would be created."""
        store = Store(location, self._options)
        return IcebergTable(name, namespace, self._pointer(namespace, name, store), store, now=self._now)

    def register(self, namespace: str, name: str, metadata_location: str) -> None:
        """Give an existing table a name. Makes the namespace if there is none.

        Raises:
            CatalogError: The name is taken, or the metastore refused or did not answer.
            StorageError: The metadata file cannot be read.
        """
        store = Store(metadata_location.rpartition("/")[0], self._options)
        if not self._pointer(namespace, name, store).adopt(metadata_location):
            raise CatalogError(
                "the name is taken",
                table=f"{namespace}.{name}",
                place=self.place,
                hint="Drop that entry first, or register under another namespace.",
            )

    def _pointer(self, namespace: str, name: str, store: Store) -> Pointer:
        home = f"{self._warehouse}/{namespace}"
        return Pointer(_Entry(self._server, namespace, name, home, self._now), namespace, name, store)

    def list(self, namespace: str) -> Sequence[str]:
        """Names of the Iceberg tables in the namespace, sorted; empty when there is no namespace."""
        return self._server.tables(namespace, ICEBERG)

    def drop(self, namespace: str, name: str) -> None:
        """Forget the table. Its files stay.

        Raises:
            CatalogError: There is no such Iceberg table, or the metastore refused.
        """
        self._server.forget(namespace, name, ICEBERG)

    @property
    def place(self) -> str:
        """Where the metastore is."""
        return self._server.place

    @property
    def library(self) -> LibraryCatalog:
        """The same metastore as pyiceberg's catalog."""
        from pyiceberg.catalog.hive import HiveCatalog as LibraryCatalog

        return LibraryCatalog("lakeload", uri=self._server.thrift, **self._options.for_pyiceberg())


class _Entry:
    """One table's entry: the `Pointing` of a metastore."""

    def __init__(
        self, server: Metastore, namespace: str, name: str, home: str, now: Callable[[], dt.datetime]
    ) -> None:
        self._server, self._namespace, self._name = server, namespace, name
        self._home, self._now = home, now

    def location(self) -> str | None:
        with self._server.connected() as hive:
            table = hive_server.entry(hive, self._namespace, self._name)
        return None if table is None else self._pointer(table)

    def swap(self, base: Document | None, after: Document) -> bool:
        with self._server.connected() as hive:
            if base is None:
                return self._create(hive, after)
            with TableLock(self._server, hive, self._namespace, self._name):
                table = hive_server.entry(hive, self._namespace, self._name)
                if table is None or self._pointer(table) != base.location:
                    return False
                return self._replace(hive, table, base, after)

    def _create(self, hive: Client, after: Document) -> bool:
        from hive_metastore.ttypes import AlreadyExistsException

        hive_server.make_namespace(hive, self._namespace, self._home)
        table = hive_server.new_table(self._namespace, self._name, self._now)
        table.sd = hive_server.storage(str(after.get("location")), self._columns(after), _FORMATS)
        table.parameters.update(_parameters(after))
        try:
            hive_server.create(hive, table)
        except AlreadyExistsException:
            # The metastore tries again by itself when its database fails, and may meet its own work.
            found = hive_server.entry(hive, self._namespace, self._name)
            return found is not None and self._pointer(found) == after.location
        return True

    def _replace(self, hive: Client, table: Table, base: Document, after: Document) -> bool:
        from hive_metastore.ttypes import MetaException

        gone = {*_FACTS, *(base.properties.keys() - after.properties.keys())}
        kept = {key: value for key, value in table.parameters.items() if key not in gone}
        table.parameters = {**kept, **_parameters(after), _PREVIOUS: base.location}
        before, table.sd.cols = table.sd.cols, self._columns(after)
        expected = {"expected_parameter_key": _LOCATION, "expected_parameter_value": base.location}
        try:
            hive_server.alter(hive, table, before, expected)
        except MetaException as error:
            if "has been modified" not in hive_server.said(error):
                raise
            return False  # a writer that relies on the comparison took no lock
        return True

    def _pointer(self, table: Table) -> str:
        found = (table.parameters or {}).get(_LOCATION)
        if kind_of(table) == ICEBERG and found:
            return str(found)
        raise TableError(
            f"the name belongs to {described(table)}, not to an Iceberg table",
            table=f"{self._namespace}.{self._name}",
            place=self._server.place,
            hint="Choose another table name or namespace, or drop that table from the metastore.",
        )

    def _columns(self, after: Document) -> Sequence[Any]:
        schema = after.schema
        comments = [field.doc for field in schema.fields]
        known = to_arrow(schema, self._name)
        return hive_server.fields(
            (field.name, hive_type(field.type), comment)
            for field, comment in zip(known, comments, strict=True)
        )


def _parameters(after: Document) -> dict[str, str]:
    own = {"EXTERNAL": "TRUE", "table_type": "ICEBERG", _LOCATION: after.location}
    shown = {key: value for key, value in after.properties.items() if len(value) <= _LONGEST}
    return {**shown, "uuid": str(after.get("table-uuid")), **own}
