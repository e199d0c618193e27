"""What a Hive-like catalog, the Hive Metastore or AWS Glue, is told about a Delta table.

The end of extract → normalize → write → commit for Delta tables with a catalog: the entry is derived from
the version just committed. Engines read the table's log for everything but its location; the columns are
there for those that only look into the catalog (`SHOW COLUMNS`, Lake Formation, data catalogs with a page).

Rules: Spark's data source tables, whose `spark.sql.sources.provider` Spark, Trino and Athena go by; Athena
user guide, "Synchronize Delta Lake metadata"; Trino, which takes the location from the serde's `path`.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from lakeload.catalogs.hive_types import columns
from lakeload.formats.delta_partition import partition_columns
from lakeload.model.registration import Entry, plain
from lakeload.model.table import TableState

PROVIDER = "spark.sql.sources.provider"
PARAMETERS: Mapping[str, str] = {
    "EXTERNAL": "TRUE",
    PROVIDER: "delta",
    "table_type": "delta",
    "classification": "delta",
    "spark.sql.sources.schema": '{"type":"struct","fields":[]}',
}
"""Parameters of an entry for a Delta table.

Engines go by the first three and AWS's crawlers by the next; the last, which Spark writes for its own Delta
tables too, tells it to take the columns from the log: Hive's have lost their case.
"""


def describe(location: str, state: TableState) -> Entry:
    """The entry of a Delta table in Hive's types.

    Partition columns come last, as Hive keeps them apart from the others, and columns that exist only in
    Delta's log to carry a partition transform are among them: to readers they are columns.

    Args:
        location: Root of the table.
        state: The version to describe, of a table published in Delta or in both formats.

    Raises:
        SchemaError: Hive has no word for the type of a column.
        TableError: The partitioning does not fit the columns.

    Example:
        >>> from lakeload.model.layout import Layout
        >>> schema = pa.schema([("at", pa.timestamp("us", "UTC")), ("id", pa.int64())])
        >>> state = TableState(0, schema, 2, Layout.parse("day(at)"), {}, {})
        >>> describe("s3://lake/default/events", state).columns
        (('at', 'timestamp'), ('id', 'bigint'), ('at_day', 'date'))
    """
    side = state.sides.get("delta", state)
    name = location.rstrip("/").rsplit("/", 1)[-1]
    partitions = partition_columns(side.layout.partition_by, side.schema, table=name)
    apart = [column.name for column in partitions]
    fields = [field for field in side.schema if field.name not in apart]
    fields += [pa.field(column.name, column.kind) for column in partitions]
    return Entry(plain(location), columns(pa.schema(fields)), tuple(apart))


def provider(parameters: Mapping[str, str], table_type: str = "") -> str:
    """What an entry says its table is, in lower case: `delta`, `iceberg`, `view`, or `hive` for all others.

    Args:
        parameters: The entry's parameters.
        table_type: The entry's own type, such as `EXTERNAL_TABLE` or `VIRTUAL_VIEW`.

    Example:
        >>> provider({"table_type": "ICEBERG"}), provider({"spark.sql.sources.provider": "DELTA"})
        ('iceberg', 'delta')
    """
    if table_type.upper().endswith("VIEW"):
        return "view"
    said = parameters.get("table_type", "").lower()
    if said in ("iceberg", "delta"):
        return said
    return parameters.get(PROVIDER, "").lower() or said or "hive"
