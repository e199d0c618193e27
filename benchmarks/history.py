"""Reads a table's history as a stream reader would: which rows came as appends, and how often.

Neither view trusts the writer: ids are read from the data files themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from benchmarks.harness.verify import iceberg as open_iceberg
from benchmarks.harness.verify import live_files


def delta(place: str) -> dict[str, Any]:
    """Replay the Delta log: added files with `dataChange` are what a stream reader gets.

    Raises:
        ValueError: The log starts late, or removes rows by a data change.
    """
    entries = sorted(path for path in Path(place, "_delta_log").glob("*.json") if path.stem.isdigit())
    if not entries or [int(path.stem) for path in entries] != list(range(len(entries))):
        raise ValueError("the Delta log is not complete from version 0 on")
    appended: dict[str, int] = {}
    for path in entries:
        for action in map(json.loads, path.read_text().splitlines()):
            if "add" in action and action["add"]["dataChange"]:
                appended[str(Path(place, unquote(action["add"]["path"])))] = action["add"]["size"]
            if "remove" in action and action["remove"]["dataChange"]:
                raise ValueError(f"{path.name} removes rows")
    return _seen(live_files("delta", place), "log replay", appended)


def iceberg(place: str) -> dict[str, Any]:
    """Scan all append snapshots from the first on.

    Raises:
        ValueError: A snapshot is neither an append nor a replace.
    """
    table = open_iceberg(place)
    operations = {
        str(snapshot.summary.operation.value) for snapshot in table.metadata.snapshots if snapshot.summary
    }
    if not operations <= {"append", "replace"}:
        raise ValueError(f"snapshots of operations {sorted(operations)}")
    tasks = table.incremental_append_scan().plan_files()
    appended = {task.file.file_path.removeprefix("file://"): task.file.file_size_in_bytes for task in tasks}
    return _seen(live_files("iceberg", place), "append scan", appended)


def parquet_bytes(place: str) -> int:
    """Bytes of all data files ever made and still there, live or not."""
    return sum(
        path.stat().st_size for path in Path(place).rglob("*.parquet") if path.parent.name != "_delta_log"
    )


def _seen(live: list[str], view: str, appended: dict[str, int]) -> dict[str, Any]:
    rows = {"the table": _ids(live), f"the {view}": _ids(appended)}
    return {
        "rows": rows,
        "live": len(live),
        "appended_bytes": sum(appended.values()),
        "appends": len(appended),
    }


def _ids(files: Iterable[str]) -> list[int]:
    """Rows and distinct ids in the files."""
    import duckdb

    listed = ", ".join(f"'{file}'" for file in files)
    row = duckdb.execute(f"SELECT count(*), count(DISTINCT id) FROM read_parquet([{listed}])").fetchone()
    assert row is not None
    return list(row)
