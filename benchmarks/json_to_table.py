"""How fast do nested JSON lines become a table?"""

from __future__ import annotations

from pathlib import Path

from benchmarks.competitors import imports
from benchmarks.events import FLAT_PARENT, NESTED, NESTED_PARENT, child_tables, relation, right_lists
from benchmarks.generate import ROWS, events
from benchmarks.harness.contest import Competitor, Expected, expected, hold
from benchmarks.harness.result import Options, Result


def run(options: Options) -> Result:
    """Hold the contest."""
    rows = options.rows or ROWS
    dlt_rows = min(options.dlt_rows or rows, rows)
    source = events(rows)
    result = Result("json_to_table", f"Nested JSON lines → table ({rows:,} events)")
    result.notes = [
        f"Input: {source.stat().st_size / 1e6:.0f} MB of generated GitHub-like events, one file.",
        "DuckDB writes a bare Parquet file, no table; dlt flattens structs and makes child tables of lists.",
        "Checked: row count, and a checksum over every level of nesting.",
        "With child tables: those of the event table and of each child table, positions in lists included.",
    ]
    right = expected(relation(source), NESTED)
    competitors = [_lakeload(source, [kind], right) for kind in ("delta", "iceberg")]
    competitors += [
        _lakeload_tables(source),
        Competitor(
            "DuckDB COPY → Parquet",
            "duckdb",
            "benchmarks.competitors.duckdb:json_lines",
            {"source": str(source)},
            [("parquet", "")],
            NESTED,
            right,
        ),
        _dlt(events(dlt_rows), rows / dlt_rows),
    ]
    if dlt_rows != rows:
        result.notes.append(f"dlt loaded the first {dlt_rows:,} events; its times are scaled up linearly.")
    _judge(result, {name: record.work for name, record in hold(result, competitors, options).items()})
    return result


def _lakeload(source: Path, formats: list[str], right: Expected) -> Competitor:
    return Competitor(
        f"lakeload → {' + '.join(formats)}",
        "lakeload",
        "benchmarks.competitors.lakeload:json_lines",
        {"source": str(source), "formats": formats},
        [(kind, "default/events") for kind in formats],
        NESTED,
        right,
        imports("lakeload", formats),
    )


def _lakeload_tables(source: Path) -> Competitor:
    return Competitor(
        "lakeload → delta, child tables",
        "lakeload",
        "benchmarks.competitors.lakeload:json_lines",
        {"source": str(source), "formats": ["delta"], "nesting": "tables"},
        [("delta", "default/events")],
        FLAT_PARENT,
        expected(relation(source), NESTED_PARENT),
        imports("lakeload", ["delta"]),
        more=child_tables("delta", "default/events", "_lakeload_index", right_lists(source)),
    )


def _dlt(source: Path, scale: float) -> Competitor:
    return Competitor(
        "dlt → delta",
        "dlt",
        "benchmarks.competitors.dlt:json_lines",
        {"source": str(source), "table_format": "delta"},
        [("delta", "lake/bench/events")],
        FLAT_PARENT,
        expected(relation(source), NESTED_PARENT),
        imports("dlt", ["delta"]),
        scale,
        child_tables("delta", "lake/bench/events", "_dlt_list_idx", right_lists(source)),
    )


def _judge(result: Result, seconds: dict[str, float]) -> None:
    goals = {"lakeload → delta": 20, "lakeload → iceberg": 20, "lakeload → delta, child tables": 15}
    for ours, least in goals.items():
        if ours in seconds and "dlt → delta" in seconds:
            ratio = seconds["dlt → delta"] / seconds[ours]
            result.goal_at_least(f"{ours}: times faster than dlt", ratio, least, unit="x")
    for ours in ("lakeload → delta", "lakeload → iceberg"):
        if ours in seconds and "DuckDB COPY → Parquet" in seconds:
            ratio = seconds[ours] / seconds["DuckDB COPY → Parquet"]
            result.goal(f"{ours}: time against DuckDB's copy", ratio, 1, unit="x")
