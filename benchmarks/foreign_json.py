"""Does JSON nobody tuned the reader on load at DuckDB's pace? Whole processes, imports included."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.foreign import COLUMNS, ROWS, lines
from benchmarks.harness.contest import Competitor, Expected, expected, hold
from benchmarks.harness.result import Options, Result

CHECKSUMS = {
    "measurements": f"hash(seq::BIGINT, {', '.join(f'm{i}::DOUBLE' for i in range(0, COLUMNS, 3))})",
    "logs": 'hash("timestamp"::TIMESTAMPTZ, level, host, pid::BIGINT, message, context.trace_id, '
    "context.elapsed::DOUBLE)",
    "repositories": "hash(id::VARCHAR, type, actor.login, repo.name, payload.action, payload.comment.body, "
    "payload.issue.title, list_transform(payload.release.assets, lambda a: a.size::BIGINT), "
    "list_transform(payload.pages, lambda p: p.sha), score::DOUBLE, created_at::TIMESTAMPTZ)",
}


def run(options: Options) -> Result:
    """Hold one contest a shape."""
    result = Result("foreign_json", "JSON lines of other shapes → table")
    result.notes = [
        f"{COLUMNS} numbers in eight notations a row; log lines of a kilobyte with escapes; nested events.",
        "DuckDB writes a bare Parquet file (zstd), no table. Nothing is imported before the clock starts.",
        "Goals compare whole processes: interpreter start and imports included.",
    ]
    for shape in ROWS:
        source = lines(shape, options.rows)
        right = expected(f"read_json('{source}', sample_size=-1)", CHECKSUMS[shape])
        records = hold(result, _competitors(shape, source, right), options)
        whole = {name: statistics.median(run.wall for run in one.runs) for name, one in records.items()}
        yardstick = whole.get(f"{shape}: DuckDB COPY")
        for name, seconds in whole.items():
            if yardstick and "lakeload" in name:
                result.goal(f"{name}: time against DuckDB's copy", seconds / yardstick, 1.25, unit="x")
    return result


def _competitors(shape: str, source: Path, right: Expected) -> list[Competitor]:
    ours = [
        Competitor(
            f"{shape}: lakeload → {kind}",
            "lakeload",
            "benchmarks.competitors.lakeload:json_lines",
            {"source": str(source), "formats": [kind]},
            [(kind, "default/events")],
            CHECKSUMS[shape],
            right,
        )
        for kind in ("delta", "iceberg")
    ]
    duckdb = Competitor(
        f"{shape}: DuckDB COPY",
        "duckdb",
        "benchmarks.competitors.duckdb:json_lines",
        {"source": str(source)},
        [("parquet", "")],
        CHECKSUMS[shape],
        right,
    )
    return [*ours, duckdb]
