"""What do four thousand columns cost, where the rows are next to nothing?"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from benchmarks.harness.contest import Competitor, expected, hold
from benchmarks.harness.environments import cache
from benchmarks.harness.result import Options, Result

COLUMNS = 4_000
ROWS = 100
CHECKSUM = f"hash({', '.join(f'c{i}' for i in range(0, COLUMNS, 97))})"
LIMITS = {"Arrow": 2.0, "JSON": 4.0}
"""CPU seconds of the whole process."""


def run(options: Options) -> Result:
    """Hold the contest."""
    rows = options.rows or ROWS
    result = Result("wide", f"{rows} rows of {COLUMNS:,} columns → table")
    result.notes = ["Goals are CPU seconds of the whole process: interpreter start and imports included."]
    source = _lines(rows)
    right = expected(f"read_json('{source}', sample_size=-1, maximum_sample_files=1)", CHECKSUM)
    competitors = [
        Competitor(
            f"lakeload, {words} → {kind}",
            "lakeload",
            f"benchmarks.competitors.lakeload:{call}",
            {"source": str(source), "formats": [kind]},
            [(kind, "default/events")],
            CHECKSUM,
            right,
        )
        for kind in ("delta", "iceberg")
        for words, call in (("Arrow", "wide_arrow"), ("JSON", "json_lines"))
    ]
    for name, record in hold(result, competitors, options).items():
        limit = next(limit for words, limit in LIMITS.items() if words in name)
        result.goal(f"{name}: CPU", statistics.median(run.cpu for run in record.runs), limit, unit=" s")
    return result


def _lines(rows: int) -> Path:
    path = cache("data") / f"wide-{COLUMNS}-{rows}.jsonl"
    if not path.exists():
        lines = (
            json.dumps({f"c{i}": (row * COLUMNS + i) / 8 + 0.0625 for i in range(COLUMNS)})
            for row in range(rows)
        )
        path.write_text("\n".join(lines) + "\n")
    return path
