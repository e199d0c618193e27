"""How long is the first second: one row by the command line, in a fresh process, beside importing pyarrow?"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness.child import versions
from benchmarks.harness.process import ChildError
from benchmarks.harness.process import run as start
from benchmarks.harness.result import Options, Result

BASE = "import pyarrow.parquet, pyarrow.json"
ROW = '{"id": 1, "name": "a", "at": "2024-03-01T10:00:00Z", "x": 1.5}\n'
LIMITS = {
    "lakeload --help": 0.6,
    "one row → delta": 2.5,
    "one row → iceberg": 3.2,
}
"""User CPU of the whole process, times that of `BASE` in the same environment."""
REPEAT = 11


def run(options: Options) -> Result:
    """Measure all in turns, so that what else the machine does meets everybody."""
    columns = ["What", "User CPU, ms", "x pyarrow", "Whole process, ms", "Best, ms", "Peak RSS, MB"]
    result = Result("startup", "The first second", columns)
    result.versions = versions()
    result.notes = [
        "Whole processes, start and imports included; modules are compiled. Medians of runs in turns.",
        f"x pyarrow: user CPU, times that of `{BASE}` in the same environment.",
    ]
    found: dict[str, list[tuple[float, Any]]] = {}
    try:
        for turn in range((options.repeat or REPEAT) + 1):
            for name, command in _commands().items():
                measured = _once(command)
                if turn:  # the first one compiles
                    found.setdefault(name, []).append(measured)
    except (ChildError, FileNotFoundError) as failure:
        result.failures.append(str(failure))
        return result
    _fill(result, found)
    return result


def _commands() -> dict[str, list[str]]:
    python, command = sys.executable, str(Path(sys.executable).with_name("lakeload"))
    load = [command, "load", "one.jsonl", "--to", "lake", "--table", "t", "--quiet", "--format"]
    return {
        "python -c pass": [python, "-c", "pass"],
        BASE: [python, "-c", BASE],
        "import lakeload": [python, "-c", "import lakeload"],
        "lakeload --help": [command, "--help"],
        **{f"one row → {form}": [*load, form] for form in ("delta", "iceberg", "both")},
    }


def _once(command: list[str]) -> tuple[float, Any]:
    """Seconds and resource usage of one run, in a directory of its own that holds one row."""
    place = Path(tempfile.mkdtemp(prefix="lakeload-bench-"))
    try:
        (place / "one.jsonl").write_text(ROW)
        wall, usage, _ = start(command, place)
    finally:
        shutil.rmtree(place)
    return wall, usage


def _fill(result: Result, found: dict[str, list[tuple[float, Any]]]) -> None:
    user = {name: statistics.median(usage.ru_utime for _, usage in runs) for name, runs in found.items()}
    for name, runs in found.items():
        walls = [1000 * wall for wall, _ in runs]
        result.rows.append(
            [
                name,
                f"{1000 * user[name]:.0f}",
                f"{user[name] / user[BASE]:.2f}",
                f"{statistics.median(walls):.0f}",
                f"{min(walls):.0f}",
                f"{max(usage.ru_maxrss for _, usage in runs) * 1024 / 1e6:.0f}",
            ]
        )
        result.raw.append(
            {
                "what": name,
                "wall": [wall for wall, _ in runs],
                "user": [usage.ru_utime for _, usage in runs],
                "system": [usage.ru_stime for _, usage in runs],
            }
        )
        if name in LIMITS:
            result.goal(f"{name}, user CPU", user[name] / user[BASE], LIMITS[name], unit=" x pyarrow")
