"""DuckDB: no lakehouse table, only Parquet; the yardstick for reading JSON."""

from __future__ import annotations

import duckdb


def json_lines(source: str, target: str) -> None:
    """Copy JSON lines into one Parquet file."""
    query = f"COPY (SELECT * FROM read_json('{source}')) TO '{target}/events.parquet' (COMPRESSION zstd)"
    duckdb.sql(query)
