"""Competitors doing the same work, interleaved, every result verified."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness.environments import ENVIRONMENTS, cache
from benchmarks.harness.process import ChildError, Measurement, measure
from benchmarks.harness.result import Options, Result

COLUMNS = [
    "Competitor",
    "Work, s",
    "Spread, s",
    "Whole process, s",
    "CPU, s",
    "Peak RSS, MB",
    "Of it not file-backed, MB",
    "Files",
    "Written, MB",
    "Time, x lakeload",
    "Whole CPU, x lakeload",
]
MB = 1e6


@dataclass(frozen=True, slots=True)
class Expected:
    """What a correct result holds."""

    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Output:
    """One more table the work must leave, with a check of its own.

    Args:
        kind: `delta`, `iceberg` or `parquet`.
        below: Directory below `target`.
        checksum: SQL expression of one written row's hash.
        expected: Rows and checksum of the right answer.
    """

    kind: str
    below: str
    checksum: str
    expected: Expected


@dataclass(frozen=True, slots=True)
class Competitor:
    """One way to do the work.

    Args:
        name: Shown in the table, and matched by `--competitors`.
        environment: Name in `ENVIRONMENTS`.
        call: `module:function`; called with the arguments and `target`, an empty directory.
        arguments: Keyword arguments, JSON values.
        outputs: Tables the work must leave: kind and directory below `target`.
        checksum: SQL expression of one written row's hash.
        expected: Rows and checksum of the right answer.
        imports: Modules to import before the clock starts: most libraries import lazily.
        scale: Times are multiplied by this in the table, which says so; 1 for the whole work.
        more: Tables besides, such as child tables.
    """

    name: str
    environment: str
    call: str
    arguments: dict[str, Any]
    outputs: Sequence[tuple[str, str]]
    checksum: str
    expected: Expected
    imports: Sequence[str] = ()
    scale: float = 1.0
    more: Sequence[Output] = ()


@dataclass(slots=True)
class Record:
    """All runs of one competitor."""

    competitor: Competitor
    runs: list[Measurement] = field(default_factory=list)
    files: int = 0
    bytes: int = 0

    @property
    def work(self) -> float:
        """Median seconds of the work, scaled to the whole input."""
        return statistics.median(run.work for run in self.runs) * self.competitor.scale

    @property
    def cpu(self) -> float:
        """Median CPU seconds of the whole process, at the whole input."""
        # Start-up and imports do not grow with the input: only the work is scaled.
        scale = self.competitor.scale
        return statistics.median(run.cpu + run.work_cpu * (scale - 1) for run in self.runs)


def hold(result: Result, competitors: Sequence[Competitor], options: Options) -> dict[str, Record]:
    """Run every competitor `repeat` times, one after the other in turns; fill the result's table.

    Returns:
        The competitors that finished with the right answer, by name.
    """
    chosen = [one for one in competitors if _wanted(one.name, options.competitors)]
    records = {one.name: Record(one) for one in chosen}
    for one in chosen:
        ENVIRONMENTS[one.environment].python()
    for turn in range(options.repeat or 3):
        for one in chosen:
            if one.name in records and not _run(records[one.name], result, turn):
                del records[one.name]
    _fill(result, records)
    return records


def _wanted(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(pattern in name for pattern in patterns)


def _run(record: Record, result: Result, turn: int) -> bool:
    one = record.competitor
    target = Path(tempfile.mkdtemp(prefix="run-", dir=cache("work")))
    try:
        arguments = {**one.arguments, "target": str(target)}
        run = measure(one.call, arguments, ENVIRONMENTS[one.environment], one.imports)
        problem = _check(record, target)
    except ChildError as failure:
        result.failures.append(f"{one.name}: {failure}")
        return False
    finally:
        shutil.rmtree(target, ignore_errors=True)
    record.runs.append(run)
    raw = {"competitor": one.name, "turn": turn, "scale": one.scale, "problem": problem, **asdict(run)}
    result.raw.append(raw)
    result.versions.update(run.versions)
    told = (
        f"{one.name} turn {turn + 1}: {run.work:.2f} s work, {run.cpu:.2f} s CPU, {run.peak_rss / MB:.0f} MB"
    )
    print(told + (f": {problem}" if problem else ""), file=sys.stderr, flush=True)
    if problem:
        result.failures.append(f"{one.name}: {problem}")
    return problem is None


def _check(record: Record, target: Path) -> str | None:
    """What is wrong with what the competitor wrote, or `None`."""
    one = record.competitor
    record.files = record.bytes = 0
    main = [Output(kind, below, one.checksum, one.expected) for kind, below in one.outputs]
    for output in (*main, *one.more):
        place = str(target / output.below)
        arguments = {"kind": output.kind, "place": place, "checksum": output.checksum}
        found = measure("benchmarks.harness.verify:written", arguments).returned
        record.files, record.bytes = record.files + found["files"], record.bytes + found["bytes"]
        right = output.expected
        if found["rows"] != right.rows:
            return f"{output.below} ({output.kind}) holds {found['rows']:,} rows instead of {right.rows:,}"
        if found["checksum"] != right.checksum:
            return f"{output.below} ({output.kind}) has checksum {found['checksum']}, not {right.checksum}"
    return None


def _fill(result: Result, records: dict[str, Record]) -> None:
    result.columns = COLUMNS
    first = next((record for name, record in records.items() if name.startswith("lakeload")), None)
    for name, record in records.items():
        runs, scale = record.runs, record.competitor.scale
        works = [run.work * scale for run in runs]
        walls = [run.wall + run.work * (scale - 1) for run in runs]
        result.rows.append(
            [
                name if scale == 1 else f"{name} (scaled {scale:g} x)",
                f"{record.work:.2f}",
                f"{min(works):.2f}-{max(works):.2f}",
                f"{statistics.median(walls):.2f}",
                f"{record.cpu:.2f}",
                f"{max(run.peak_rss for run in runs) / MB:.0f}",
                f"{max(run.peak_anonymous for run in runs) / MB:.0f}",
                f"{record.files}",
                f"{record.bytes / MB:.0f}",
                f"{record.work / first.work:.2f}" if first else "",
                f"{record.cpu / first.cpu:.2f}" if first else "",
            ]
        )


def expected(relation: str, checksum: str) -> Expected:
    """The right answer, from the input itself."""
    arguments = {"relation": relation, "checksum": checksum}
    found = measure("benchmarks.harness.verify:summary", arguments).returned
    return Expected(found["rows"], found["checksum"])
