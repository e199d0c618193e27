"""What do a thousand small loads leave behind, and do they slow down?"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from typing import Any

from benchmarks.harness.environments import ENVIRONMENTS, cache
from benchmarks.harness.process import ChildError, measure
from benchmarks.harness.result import Options, Result

LOADS = 1_000
LOAD_BYTES = 1_000_000
TARGET = 16 << 20
EDGE = 50
FORMATS = (("delta",), ("iceberg",), ("delta", "iceberg"))
COLUMNS = [
    "Formats",
    "Loads",
    "Live files",
    "Loaded, MB",
    "Data written, x loaded",
    "All written, x loaded",
    f"Load, first {EDGE}, ms",
    f"Load, last {EDGE}, ms",
    f"Commit, first {EDGE}, ms",
    f"Commit, last {EDGE}, ms",
    "Total, s",
    "Peak RSS, MB",
]


def run(options: Options) -> Result:
    """Load again and again, into each format and both."""
    loads = options.loads or LOADS
    result = Result("many_loads", f"{loads:,} loads of about 1 MB, target 16 MiB", COLUMNS)
    result.notes = [
        "Times are medians; a load includes folding where it happens. All loads in one process.",
        "Data written: all Parquet files ever made, live or not.",
        "All written: every byte the process handed to the system, metadata, journal and catalog included.",
        "Checked: every row is in the table once.",
        "Checked: an incremental Iceberg append scan over the whole history sees every row once.",
        "Checked: a replay of the Delta log by its dataChange flags sees every row once, as an append.",
    ]
    for formats in FORMATS:
        if not options.competitors or "+".join(formats) in options.competitors:
            _case(result, formats, loads)
    return result


def _case(result: Result, formats: tuple[str, ...], loads: int) -> None:
    name = " + ".join(formats)
    target = tempfile.mkdtemp(prefix="loads-", dir=cache("work"))
    try:
        arguments = {"target": target, "formats": list(formats), "loads": loads}
        measured = measure("benchmarks.many_loads:load", arguments, ENVIRONMENTS["lakeload"])
        place = f"{target}/default/loads"
        found = {kind: measure(f"benchmarks.history:{kind}", {"place": place}).returned for kind in formats}
        data = measure("benchmarks.history:parquet_bytes", {"place": place}).returned
    except ChildError as failure:
        result.failures.append(f"{name}: {failure}")
        return
    finally:
        shutil.rmtree(target, ignore_errors=True)
    sent = measured.returned
    for kind, seen in found.items():
        result.failures += [f"{name}: {kind}: {problem}" for problem in _problems(seen, sent["rows"])]
    loaded = max(seen["appended_bytes"] for seen in found.values())
    live = max(seen["live"] for seen in found.values())
    edges = [_edges(sent["loads"]), _edges(sent["commits"])]
    result.rows.append(
        [
            name,
            f"{loads:,}",
            str(live),
            f"{loaded / 1e6:.0f}",
            f"{data / loaded:.2f}",
            f"{sent['written'] / loaded:.2f}",
            *(f"{seconds * 1000:.0f}" for edge in edges for seconds in edge),
            f"{measured.work:.1f}",
            f"{measured.peak_rss / 1e6:.0f}",
        ]
    )
    result.raw.append({"formats": formats, "sent": sent, "found": found, "parquet_bytes": data})
    result.versions = measured.versions
    result.goal(f"{name}: live files", live, 90, required=True)
    result.goal(
        f"{name}: all bytes written against bytes loaded",
        sent["written"] / loaded,
        4,
        unit="x",
        required=True,
    )
    for what, (first, last) in zip(("loads", "commits"), edges, strict=True):
        result.goal(f"{name}: last {EDGE} {what} against first {EDGE}", last / first, 1.5, unit="x")


def _edges(seconds: list[float]) -> tuple[float, float]:
    return statistics.median(seconds[:EDGE]), statistics.median(seconds[-EDGE:])


def _problems(seen: dict[str, Any], rows: int) -> list[str]:
    return [
        f"{view} shows {found[0]:,} rows, {found[1]:,} of them distinct, instead of {rows:,}"
        for view, found in seen["rows"].items()
        if found != [rows, rows]
    ]


def load(target: str, formats: list[str], loads: int) -> dict[str, Any]:
    """Load about a megabyte so many times; return rows, seconds of each load and commit, bytes."""
    import pyarrow as pa

    import lakeload as ll
    from benchmarks.batches import parquet_bytes_per_row, strings

    rows = int(LOAD_BYTES / parquet_bytes_per_row(strings))
    format_: Any = formats[0] if len(formats) == 1 else tuple(formats)
    lake = ll.Lakehouse(target, format=format_)
    seconds, commits = [], []
    before = _written()
    for number in range(loads):
        data = pa.table(strings(rows, number * rows, number * 1000))
        started = time.perf_counter()
        report = ll.load(data, lake, table="loads", target_file_size=TARGET)
        seconds.append(time.perf_counter() - started)
        commits.append(report.tables["loads"].seconds["commit"])
    written = _written() - before
    return {"rows": rows * loads, "loads": seconds, "commits": commits, "written": written}


def _written() -> int:
    """Bytes this process handed to write calls so far, as the kernel counts them."""
    from pathlib import Path

    return int(Path("/proc/self/io").read_text().split("wchar:")[1].split()[0])
