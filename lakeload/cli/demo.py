"""`lakeload demo`: two deliveries of real data into Delta and Iceberg, explained as they happen."""

from __future__ import annotations

import gzip
import inspect
import shlex
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from lakeload.cli.outcome import reported
from lakeload.cli.summary import console
from lakeload.cli.wording import columns, seconds, size

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from lakeload.lakehouse import Lakehouse
    from lakeload.report import RunReport

DELIVERIES = (
    "First delivery: the first week of January 2013",
    "Second delivery: the second week, with the last day of the first once more",
)

FIRST_LINE = "from __future__ import annotations\n"
"""Below it begins the program that is shown: it may stand at the top of a file only."""

LATE = 15
"""Minutes after which a departure counts as late."""
ENOUGH = 100
"""Flights an airline must have to be compared."""


def run_demo(folder: Path | None, *, debug: bool) -> None:
    """Load, read back, and say what happened.

    Args:
        folder: Where to make the lakehouse; `None` takes a new temporary folder, which is kept.
        debug: Show the traceback of an error.
    """
    with reported(debug=debug):
        import lakeload
        from lakeload.config import own_command
        from lakeload.demo import program

        out = console()
        place = (folder or Path(tempfile.mkdtemp(prefix="lakeload-demo-"))).resolve()
        out.print("[bold]Flights out of New York, loaded into Delta Lake and Apache Iceberg at once[/]\n")
        out.print("This program does it:\n")
        _print_source(out, program, f"for report in load_flights(Path({str(place)!r})):\n    print(report)\n")
        runs = program.load_flights(place)
        for number, title in enumerate(DELIVERIES, start=1):
            out.print(f"\n[bold]{title}[/]")
            with out.status("loading"):
                report = next(runs)
            _print_run(out, report, number)
        _print_tables(out, lakeload.Lakehouse(place, format="both"))
        out.print(f"\nThe lakehouse is a plain folder: {place}", markup=False)
        out.print("Look around in it, or run the demo on it again and see that nothing is loaded twice:\n")
        quoted = shlex.quote(str(place))
        for line in (f"inspect {quoted}", f"inspect {quoted} flights", f"demo {quoted}"):
            out.print(f"  {own_command()} {line}", markup=False, soft_wrap=True)


def _print_source(out: Console, module: ModuleType, call: str) -> None:
    """Show the module without its docstring, and what calls it: as it stands, to be pasted into Python."""
    source = f"{inspect.getsource(module).partition(FIRST_LINE)[2].strip()}\n\n\n{call}"
    if not out.is_terminal:
        out.print(source, markup=False, end="", soft_wrap=True)
        return
    from rich.syntax import Syntax

    out.print(Syntax(source.rstrip(), "python", theme="ansi_dark", background_color="default"))


def _print_run(out: Console, report: RunReport, delivery: int) -> None:
    rows = [("table", "delivered", "seen before", "loaded", "files", "size")]
    for name, table in report.tables.items():
        delivered = rows_delivered(name, delivery)
        rows.append((
            name, f"{delivered:,}", f"{delivered - table.rows:,}", f"{table.rows:,}",
            f"{table.files}", size(table.bytes),
        ))  # fmt: skip
    head, *lines = columns(rows, right=(1, 2, 3, 4, 5))
    out.print(f"  [dim]{head}[/]")
    for line in lines:
        out.print(f"  {line}", markup=False)
    for name, table in report.tables.items():
        for change in table.schema_changes:
            out.print(f"  [green]{name}: {change}[/]")
        if any(change.kind == "widen" for change in table.schema_changes):
            out.print(f"  [dim]{name}: older files rewritten with the wider type; no row changed[/]")
    out.print(f"  [dim]load {report.sequence} of pipeline {report.pipeline}, {seconds(report.seconds)}[/]")


def rows_delivered(table: str, delivery: int) -> int:
    """Rows in the file of a delivery, counted without lakeload."""
    from lakeload.demo.program import DATA

    if table == "flights":
        import pyarrow.parquet as pq

        return int(pq.read_metadata(DATA / f"flights-{delivery}.parquet").num_rows)
    if table == "weather":
        with gzip.open(DATA / f"weather-{delivery}.jsonl.gz") as stream:
            return sum(1 for _ in stream)
    return len((DATA / "airlines.csv").read_text(encoding="utf-8").splitlines()) - 1


def _print_tables(out: Console, lake: Lakehouse) -> None:
    out.print("\n[bold]Read back by Polars, once through each table format[/]")
    rows: list[tuple[str, ...]] = []
    rows.append(
        ("table", "rows in Delta", "rows in Iceberg", "the same?", "Delta versions", "Iceberg snapshots")
    )
    for name in lake.tables():
        delta, iceberg = (_read(lake, name, form) for form in ("delta", "iceberg"))
        same = "yes" if _fingerprint(delta) == _fingerprint(iceberg) else "NO"
        versions = [f"{len(lake.open(name, (form,)).history())}" for form in ("delta", "iceberg")]
        rows.append((name, f"{delta.height:,}", f"{iceberg.height:,}", same, *versions))
    head, *lines = columns(rows, right=(1, 2, 4, 5))
    out.print(f"  [dim]{head}[/]")
    for line in lines:
        out.print(f"  {line}", markup=False)
    _print_answer(out, lake)


def _print_answer(out: Console, lake: Lakehouse) -> None:
    """One question over two tables, so that the data is seen and not only counted."""
    import polars as pl

    start = time.perf_counter()
    delay = pl.col("dep_delay")
    answer = (
        lake.table("flights").to_polars()
        .group_by("carrier").agg((delay > LATE).mean().alias("late"), delay.count().alias("flights"))
        .filter(pl.col("flights") >= ENOUGH)
        .join(lake.table("airlines").to_polars(), on="carrier")
        .sort("late", descending=True).head(3)
        .select("name", "late", "flights").collect()
    )  # fmt: skip
    took = seconds(time.perf_counter() - start)
    out.print(f"\n[bold]And a question: whose flights left late most often?[/]  [dim]{took}[/]")
    rows = [(name, f"{late:.0%} of {flights:,} flights") for name, late, flights in answer.iter_rows()]
    for line in columns(rows):
        out.print(f"  {line}", markup=False)


def _read(lake: Lakehouse, name: str, form: str) -> pl.DataFrame:
    from lakeload.lake_table import LakeTable

    frame: pl.DataFrame = LakeTable(lake.open(name, (form,))).to_polars().collect()
    return frame


def _fingerprint(frame: pl.DataFrame) -> int:
    """The same for the same rows in any order."""
    return int(frame.hash_rows().sum())
