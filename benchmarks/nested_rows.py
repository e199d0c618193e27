"""How fast do nested Python objects become tables, with lists in their rows or in child tables?"""

from __future__ import annotations

from benchmarks.competitors import imports
from benchmarks.events import FLAT_PARENT, NESTED, NESTED_PARENT, child_tables, relation, right_lists
from benchmarks.generate import ROWS, events
from benchmarks.harness.contest import Competitor, expected, hold
from benchmarks.harness.result import Options, Result

GOAL = 15
"""Times faster than dlt."""


def run(options: Options) -> Result:
    """Hold the contest."""
    rows = options.rows or ROWS
    source = events(rows)
    result = Result("nested_rows", f"Nested Python objects → tables ({rows:,} events)")
    result.notes = [
        "Input: the events of json_to_table as dicts in memory, from a generator of lists of 1,000.",
        "The dicts are made before the clock starts.",
        "Checked: rows and checksums of the event table and the child tables, positions in lists included.",
    ]
    flat, lists = expected(relation(source), NESTED_PARENT), right_lists(source)
    ours = "benchmarks.competitors.lakeload:rows"
    given = {"source": str(source), "formats": ["delta"]}
    found = hold(
        result,
        [
            Competitor(
                "lakeload → child tables",
                "lakeload",
                ours,
                {**given, "nesting": "tables"},
                [("delta", "default/events")],
                FLAT_PARENT,
                flat,
                imports("lakeload", ["delta"]),
                more=child_tables("delta", "default/events", "_lakeload_index", lists),
            ),
            Competitor(
                "lakeload → native",
                "lakeload",
                ours,
                {**given, "nesting": "native"},
                [("delta", "default/events")],
                NESTED,
                expected(relation(source), NESTED),
                imports("lakeload", ["delta"]),
            ),
            Competitor(
                "dlt → child tables",
                "dlt",
                "benchmarks.competitors.dlt:rows",
                {"source": str(source), "table_format": "delta"},
                [("delta", "lake/bench/events")],
                FLAT_PARENT,
                flat,
                imports("dlt", ["delta"]),
                more=child_tables("delta", "lake/bench/events", "_dlt_list_idx", lists),
            ),
        ],
        options,
    )
    seconds = {name: record.work for name, record in found.items()}
    for name in ("lakeload → child tables", "lakeload → native"):
        if name in seconds and "dlt → child tables" in seconds:
            ratio = seconds["dlt → child tables"] / seconds[name]
            result.goal_at_least(f"{name}: times faster than dlt", ratio, GOAL, unit="x")
    return result
