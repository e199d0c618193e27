"""Reads a written table back with an engine that wrote none of them, from the table's own list of live files.

Runs in a process of its own (`benchmarks.harness.child`): the measuring process stays small.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def written(kind: str, place: str, checksum: str) -> dict[str, Any]:
    """Rows, an order-independent checksum, and the live files of a table.

    Args:
        kind: `delta`, `iceberg` or `parquet`.
        place: Directory of the table.
        checksum: SQL expression of one row's hash.
    """
    files = live_files(kind, place)
    listed = ", ".join(f"'{file}'" for file in files)
    answer = summary(f"read_parquet([{listed}], union_by_name=true)", checksum)
    return {**answer, "files": len(files), "bytes": sum(Path(file).stat().st_size for file in files)}


def summary(relation: str, checksum: str) -> dict[str, Any]:
    """Rows and checksum of any relation DuckDB can name."""
    import duckdb

    connection = duckdb.connect(config={"memory_limit": "4GB"})
    connection.execute("SET TimeZone = 'UTC'")
    query = f"SELECT count(*), sum(({checksum})::HUGEINT)::VARCHAR FROM {relation}"
    row = connection.execute(query).fetchone()
    assert row is not None
    return {"rows": row[0], "checksum": row[1]}


def live_files(kind: str, place: str) -> list[str]:
    """Paths of the data files the table's newest version consists of."""
    if kind == "parquet":
        return sorted(str(path) for path in Path(place).rglob("*.parquet"))
    if kind == "delta":
        import deltalake

        return [_path(uri) for uri in deltalake.DeltaTable(place).file_uris()]
    tasks = list(iceberg(place).scan().plan_files())
    assert not any(task.delete_files for task in tasks), "deletes are not counted here"
    return [_path(task.file.file_path) for task in tasks]


def iceberg(place: str) -> Any:
    """The Iceberg table below a directory, at its newest metadata, without any catalog."""
    from pyiceberg.table import StaticTable

    found = [path for path in Path(place).rglob("*.metadata.json") if not path.name.startswith(".")]
    newest = max(found, key=lambda path: (path.stat().st_mtime_ns, path.name))
    return StaticTable.from_metadata(str(newest))


def _path(uri: str) -> str:
    return uri.removeprefix("file://")
