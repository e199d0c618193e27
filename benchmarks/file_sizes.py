"""Do files come out at the size that was asked for?"""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from typing import Any

from benchmarks.harness.environments import ENVIRONMENTS, cache
from benchmarks.harness.process import ChildError, measure
from benchmarks.harness.result import Options, Result

MIB = 1 << 20
TOLERANCE = 0.10
WANTED_SHARE = 95
PARTITIONS = 8
# Target in MiB, files to fill, partitioned or not.
CASES = ((16, 24, False), (64, 12, False), (128, 10, False), (16, 32, True))
DATA = ("numbers", "strings", "nested")
COLUMNS = [
    "Data",
    "Partitions",
    "Target, MiB",
    "Files",
    "Counted",
    "Smallest, MiB",
    "Largest, MiB",
    "Within ±10 %, %",
]


def run(options: Options) -> Result:
    """Load every kind of data at every target size."""
    result = Result("file_sizes", "Share of files within ±10 % of the target size", COLUMNS)
    result.notes = [
        "The smallest file of every partition, its last, is left out of the count, as it must be short."
    ]
    chosen = [kind for kind in DATA if not options.competitors or kind in options.competitors]
    for kind in chosen:
        for target, files, partitioned in CASES:
            _case(result, kind, target, files, partitioned=partitioned)
    return result


def _case(result: Result, kind: str, target: int, files: int, *, partitioned: bool) -> None:
    place = tempfile.mkdtemp(prefix="sizes-", dir=cache("work"))
    arguments: dict[str, Any] = {
        "target": place,
        "kind": kind,
        "size": target * MIB,
        "files": files,
        "partitioned": partitioned,
    }
    try:
        measured = measure("benchmarks.file_sizes:load", arguments, ENVIRONMENTS["lakeload"])
        found = measure("benchmarks.file_sizes:sizes", {"place": f"{place}/default/{kind}"}).returned
    except ChildError as failure:
        result.failures.append(f"{kind} at {target} MiB: {failure}")
        return
    finally:
        shutil.rmtree(place, ignore_errors=True)
    sent = measured.returned
    if found["rows"] != sent or found["wrong"]:
        result.failures.append(
            f"{kind} at {target} MiB: {found['rows']} of {sent} rows, wrong sizes {found['wrong']}"
        )
    counted = [size / MIB for sizes in found["sizes"] for size in sorted(sizes)[1:]]
    within = [size for size in counted if abs(size - target) <= TOLERANCE * target]
    share = 100 * len(within) / len(counted) if counted else 0.0
    shown = [str(sum(map(len, found["sizes"]))), str(len(counted))]
    edges = [f"{edge:.1f}" for edge in ((min(counted), max(counted)) if counted else ())] or ["", ""]
    result.rows.append([kind, str(len(found["sizes"])), str(target), *shown, *edges, f"{share:.0f}"])
    result.raw.append({"kind": kind, "target": target, **found})
    result.versions = measured.versions
    name = f"{kind}, {target} MiB" + (f", {PARTITIONS} partitions" if partitioned else "")
    result.goal_at_least(name, share, WANTED_SHARE, unit=" %", required=True)


def load(target: str, kind: str, size: int, files: int, *, partitioned: bool) -> int:
    """Load enough rows to fill so many files; return the number of rows."""
    import lakeload as ll
    from benchmarks.batches import KINDS, parquet_bytes_per_row, stream

    rows = int(size * files / parquet_bytes_per_row(KINDS[kind]))
    by = ["part"] if partitioned else []
    data = stream(KINDS[kind], rows)
    ll.load(data, target, table=kind, format="delta", target_file_size=size, partition_by=by)
    return rows


def sizes(place: str) -> dict[str, Any]:
    """Sizes on disk by partition, the rows by the log, and files whose logged size is wrong."""
    from pathlib import Path

    import deltalake
    import pyarrow as pa

    actions = pa.table(deltalake.DeltaTable(place).get_add_actions(flatten=True)).to_pylist()
    by_partition: defaultdict[str, list[int]] = defaultdict(list)
    wrong = []
    for action in actions:
        size = Path(place, action["path"]).stat().st_size
        by_partition[str(action.get("partition.part"))].append(size)
        if size != action["size_bytes"]:
            wrong.append(action["path"])
    rows = sum(action["num_records"] for action in actions)
    return {"sizes": list(by_partition.values()), "rows": rows, "wrong": wrong}
