"""How fast does an Arrow stream become a table?"""

from __future__ import annotations

from typing import Any

from benchmarks.competitors import imports
from benchmarks.harness.contest import Competitor, Expected, expected, hold
from benchmarks.harness.process import measure
from benchmarks.harness.result import Options, Result
from benchmarks.lineitem import ROWS, lineitem

# Casts make rows comparable whatever integer or decimal width a competitor chose.
CHECKSUM = """hash(
    l_orderkey::BIGINT, l_partkey::BIGINT, l_suppkey::BIGINT, l_linenumber::BIGINT,
    l_quantity::DECIMAL(15,2), l_extendedprice::DECIMAL(15,2),
    l_discount::DECIMAL(15,2), l_tax::DECIMAL(15,2),
    l_returnflag, l_linestatus, l_shipdate::DATE, l_commitdate::DATE, l_receiptdate::DATE,
    l_shipinstruct, l_shipmode, l_comment
)"""

DELTA, ICEBERG, BOTH = "lakeload → delta", "lakeload → iceberg", "lakeload → delta + iceberg"
RIVALS = {
    DELTA: ("write_deltalake", "Polars sink_delta"),
    ICEBERG: ("pyiceberg append", "Polars sink_iceberg"),
}


def run(options: Options) -> Result:
    """Hold the contest."""
    rows = min(options.rows or ROWS, ROWS)
    source = str(lineitem(rows))
    right = _expected(source)
    result = Result("arrow_to_table", f"Arrow stream → table (TPC-H lineitem, {rows:,} rows)")
    result.notes = [
        "Input: an uncompressed, memory-mapped Arrow file, so reading costs next to nothing.",
        "Pages of the mapped input count in everyone's peak RSS, not in the column beside it.",
        "Checked: row count, and a checksum over all 16 columns.",
    ]
    ours = [_ours(name, source, right) for name in (DELTA, ICEBERG, BOTH)]
    seconds = {
        name: record.work for name, record in hold(result, [*ours, *_rivals(source, right)], options).items()
    }
    for name, rivals in RIVALS.items():
        for rival in rivals:
            if name in seconds and rival in seconds:
                result.goal(f"{name}: time against {rival}", seconds[name] / seconds[rival], 1, unit="x")
    if DELTA in seconds and ICEBERG in seconds and BOTH in seconds:
        slower = max(seconds[DELTA], seconds[ICEBERG])
        result.goal("Both formats: time against the slower one alone", seconds[BOTH] / slower, 1.15, unit="x")
    return result


def _expected(source: str) -> Expected:
    """The right answer, from the Arrow file itself, by way of Parquet for DuckDB to read."""
    parquet = source.replace(".arrow", ".parquet")
    measure("benchmarks.lineitem:to_parquet", {"source": source, "target": parquet})
    return expected(f"read_parquet('{parquet}')", CHECKSUM)


def _ours(name: str, source: str, right: Expected) -> Competitor:
    formats = name.removeprefix("lakeload → ").split(" + ")
    return Competitor(
        name,
        "lakeload",
        "benchmarks.competitors.lakeload:arrow",
        {"source": source, "formats": formats},
        [(kind, "default/lineitem") for kind in formats],
        CHECKSUM,
        right,
        imports("lakeload", formats),
    )


def _rivals(source: str, right: Expected) -> list[Competitor]:
    def rival(name: str, call: str, kind: str, place: str, **arguments: Any) -> Competitor:
        environment = call.partition(":")[0]
        path = f"benchmarks.competitors.{call}"
        given = {"source": source, **arguments}
        needed = imports(environment, [kind])
        return Competitor(name, environment, path, given, [(kind, place)], CHECKSUM, right, needed)

    return [
        rival("write_deltalake", "deltalake:arrow", "delta", "lineitem"),
        rival("Polars sink_delta", "polars:delta", "delta", "lineitem"),
        rival("pyiceberg append", "pyiceberg:arrow", "iceberg", "lake"),
        rival("Polars sink_iceberg", "polars:iceberg", "iceberg", "lake"),
        rival("dlt → delta", "dlt:arrow", "delta", "lake/bench/lineitem", table_format="delta"),
        rival("dlt → iceberg", "dlt:arrow", "iceberg", "lake/bench/lineitem", table_format="iceberg"),
    ]
