"""Delta tables known by name in a Hive Metastore, to Spark's session catalog and Trino's delta_lake alike.

Both ask for the same two facts: the parameter `spark.sql.sources.provider` says `delta`, and the parameter
`path` of the serde says where the table is. Everything else they read from the table's log. The entry repeats
the columns for people and tools that only look at the metastore. It is made after the commit, so it can be
behind the table, never ahead; `lakeload.columns` keeps what was registered, with the case Hive does not keep.

Rules: Spark's `HiveExternalCatalog` (data source tables) and Trino's `HiveMetastoreBackedDeltaLakeMetastore`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lakeload.catalogs import delta_entry, hive_server
from lakeload.catalogs.hive_server import Metastore, described, kind_of
from lakeload.errors import CatalogError
from lakeload.model.registration import Entry, plain
from lakeload.storage_options import StorageOptions

if TYPE_CHECKING:
    from hive_metastore.ThriftHiveMetastore import Client
    from hive_metastore.ttypes import Table

    from lakeload.model.table import TableState

DELTA = "delta"
_PROVIDER, _PATH = "spark.sql.sources.provider", "path"
_COLUMNS, _PARTITIONS = "lakeload.columns", "lakeload.partition-by"
_FORMATS = (
    "org.apache.hadoop.mapred.SequenceFileInputFormat",
    "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
)
_NO_SCHEMA = {"spark.sql.sources.schema": '{"type":"struct","fields":[]}'}
"""Tells Spark to take the columns from the log, as its own Delta tables do; Hive's have lost their case."""


class HiveDeltaCatalog:
    """Names for Delta tables in a Hive Metastore. Implements `lakeload.model.protocols.DeltaCatalog`.

    Args:
        uri: Where the metastore is, `hive://host:port`; see `hive_server`.
        warehouse: Root of the lake; namespaces that are made lie below it.
        options: Not needed: a metastore has credentials of its own.
        now: The clock; must return aware times.

    Raises:
        ConfigError: The URI cannot be read.

    Example:
        >>> import datetime
        >>> now = lambda: datetime.datetime.now(datetime.UTC)
        >>> HiveDeltaCatalog("hive://metastore:9083", "s3://lake", StorageOptions(), now=now)
        HiveDeltaCatalog('hive://metastore:9083')
    """

    def __init__(
        self,
        uri: str,
        warehouse: str,
        options: StorageOptions,  # noqa: ARG002 - every catalog is made alike
        *,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._server = Metastore(uri)
        self._warehouse, self._now = warehouse.rstrip("/"), now

    def __repr__(self) -> str:
        return f"HiveDeltaCatalog({self.place!r})"

    @property
    def place(self) -> str:
        """Where the metastore is."""
        return self._server.place

    def describe(self, location: str, state: TableState) -> Entry:
        """The entry a table of that version should have. Pure: asks nobody.

        Raises:
            SchemaError: A column's type has no word in Hive's language.
            TableError: The partitioning does not fit the columns.
        """
        return delta_entry.describe(location, state)

    def find(self, namespace: str, name: str) -> Entry | None:
        """The entry there is; `None` when the name is not known.

        Raises:
            CatalogError: The metastore refused or did not answer.
        """
        with self._server.connected() as hive:
            table = hive_server.entry(hive, namespace, name)
        return None if table is None else _read(table)

    def put(self, namespace: str, name: str, entry: Entry) -> None:
        """Make the entry, or bring the one of that name up to date. Makes the namespace if there is none.

        Raises:
            CatalogError: The name belongs to something else, or the metastore refused or did not answer.
        """
        from hive_metastore.ttypes import AlreadyExistsException

        with self._server.connected() as hive:
            table = hive_server.entry(hive, namespace, name)
            if table is None:
                hive_server.make_namespace(hive, namespace, f"{self._warehouse}/{namespace}")
                table = hive_server.new_table(namespace, name, self._now)
                table.parameters.update(_NO_SCHEMA)
                _write(table, entry)
                try:
                    return hive_server.create(hive, table)
                except AlreadyExistsException:  # another load made it meanwhile
                    table = hive_server.entry(hive, namespace, name)
            return self._replace(hive, table, entry)

    def _replace(self, hive: Client, table: Table, entry: Entry) -> None:
        if kind_of(table) != DELTA:
            raise CatalogError(
                f"the name belongs to {described(table)}",
                table=f"{table.dbName}.{table.tableName}",
                place=self.place,
                hint="Choose another table name or namespace, or drop that table from the metastore.",
            )
        before = table.sd.cols
        _write(table, entry)
        hive_server.alter(hive, table, before)

    def list(self, namespace: str) -> Sequence[str]:
        """Names of the Delta tables in the namespace, sorted; empty when there is no namespace."""
        return self._server.tables(namespace, DELTA)

    def drop(self, namespace: str, name: str) -> None:
        """Forget the entry. The table's files stay.

        Raises:
            CatalogError: There is no such Delta table, or the metastore refused.
        """
        self._server.forget(namespace, name, DELTA)


def _write(table: Table, entry: Entry) -> None:
    columns = hive_server.fields((name, kind, None) for name, kind in entry.columns)
    if table.sd is None or _read(table).location != entry.location:
        options = {_PATH: hive_server.hadoop(entry.location)}
        table.sd = hive_server.storage(entry.location, columns, _FORMATS, options)
    table.sd.cols = columns
    table.parameters = {
        **table.parameters,
        _PROVIDER: DELTA,
        _COLUMNS: json.dumps(entry.columns, separators=(",", ":")),
        _PARTITIONS: json.dumps(entry.partition_by, separators=(",", ":")),
    }


def _read(table: Table) -> Entry:
    parameters = table.parameters or {}
    known: Any = json.loads(parameters.get(_COLUMNS, "null"))
    if known is None:
        known = [(field.name, field.type) for field in (*table.sd.cols, *(table.partitionKeys or ()))]
    partitions = json.loads(parameters.get(_PARTITIONS, "[]"))
    options = (table.sd.serdeInfo.parameters if table.sd.serdeInfo else None) or {}
    return Entry(
        plain(options.get(_PATH) or table.sd.location or ""),
        tuple((name, kind) for name, kind in known),
        tuple(partitions),
        kind_of(table),
    )
