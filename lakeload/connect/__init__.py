"""How other programs read a table that a commit published: texts to copy, nothing is run.

One module per engine, each with a `snippet(target)`. They speak of secrets only as `${NAME}`, a variable of
the environment the reader will set.
"""

from __future__ import annotations

from importlib import import_module

from lakeload.connect.target import Target
from lakeload.errors import ConfigError

ENGINES = ("spark", "trino", "duckdb", "polars", "snowflake", "athena")
"""What a snippet can be had for."""


def connect(engine: str, target: Target) -> str:
    """A ready-made text that reads one table with one engine.

    Args:
        engine: One of `ENGINES`.
        target: The table, and how its place and its catalog are reached.

    Returns:
        Python for Spark, DuckDB and Polars; settings and SQL for Trino; SQL for Snowflake and Athena.

    Raises:
        ConfigError: The engine is not known, or cannot read a table like this one.

    Example:
        >>> target = Target("events", "default", "delta", "/data/lake/default/events")
        >>> print(connect("polars", target))
        import polars as pl
        <BLANKLINE>
        frame = pl.scan_delta("/data/lake/default/events")
        print(frame.collect())
    """
    if engine not in ENGINES:
        raise ConfigError(f"no snippet for {engine!r}", hint=f"Known engines: {', '.join(ENGINES)}.")
    text: str = import_module(f"lakeload.connect.{engine}").snippet(target)
    return text
