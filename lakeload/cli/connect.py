"""`lakeload inspect LAKE TABLE --connect ENGINE`: a text that reads the table with another program."""

from __future__ import annotations

import sys

from lakeload.connect import connect
from lakeload.connect.target import Target
from lakeload.errors import ConfigError
from lakeload.lakehouse import Lakehouse


def print_snippet(lake: Lakehouse, table: str | None, engine: str, form: str | None) -> None:
    """Print the text on stdout, and nothing else.

    Args:
        lake: Where the table is.
        table: Its name.
        engine: One of `lakeload.connect.ENGINES`.
        form: `delta` or `iceberg`; what the table has when `None`, Delta if it has both.

    Raises:
        ConfigError: There is no table name, or the engine cannot read such a table.
        TableError: There is no such table.
    """
    if table is None:
        raise ConfigError("--connect needs a table", hint="Write lakeload inspect LAKE TABLE --connect …")
    sys.stdout.write(connect(engine, target_of(lake, table, form)) + "\n")


def target_of(lake: Lakehouse, table: str, form: str | None = None) -> Target:
    """What a snippet is written about: the table as the lake has it now.

    Args:
        lake: Where the table is.
        table: Its name.
        form: `delta` or `iceberg`; what the table has when `None`, Delta if it has both.

    Raises:
        ConfigError: The table is not in that format.
        TableError: There is no such table.

    Example:
        >>> import tempfile, lakeload
        >>> lake = lakeload.Lakehouse(tempfile.mkdtemp())
        >>> _ = lakeload.load([{"id": 1}], lake, table="numbers")
        >>> target_of(lake, "numbers").format
        'delta'
    """
    formats = lake.table(table).formats
    chosen = form or formats[0]
    if chosen not in formats:
        raise ConfigError(
            f"the table is not in {chosen}", table=table, hint=f"Its format is {' and '.join(formats)}."
        )
    handle = lake.open(table, (chosen,))
    state = handle.load()
    iceberg = chosen == "iceberg"
    return Target(
        name=table,
        namespace=lake.namespace,
        format=chosen,
        location=handle.location,
        options=lake.options,
        catalog=lake.catalogs.iceberg_uri() if iceberg else lake.catalogs.uris.get("delta"),
        metadata=state.handle.location if iceberg and state is not None else None,
        warehouse=lake.root,
    )
