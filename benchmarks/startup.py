"""How long does nothing take: `import lakeload` and `lakeload --help`?"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.harness.child import versions
from benchmarks.harness.process import ChildError
from benchmarks.harness.process import run as start
from benchmarks.harness.result import Options, Result

IMPORT = "import time; at = time.perf_counter(); import lakeload; print(1000 * (time.perf_counter() - at))"
REPEAT = 11


def run(options: Options) -> Result:
    """Time both, and a bare interpreter for comparison."""
    result = Result("startup", "Start-up", ["What", "Median, ms", "Best, ms", "Worst, ms"])
    result.versions = versions()
    command = str(Path(sys.executable).with_name("lakeload"))
    asked = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import lakeload, inside the process": [sys.executable, "-c", IMPORT],
        "lakeload --help": [command, "--help"],
    }
    try:
        found = {name: _times(arguments, options.repeat or REPEAT) for name, arguments in asked.items()}
    except (ChildError, FileNotFoundError) as failure:
        result.failures.append(str(failure))
        return result
    for name, times in found.items():
        result.rows.append([name, *(f"{part(times):.0f}" for part in (statistics.median, min, max))])
        result.raw.append({"what": name, "milliseconds": times})
    result.goal(
        "import lakeload", statistics.median(found["import lakeload, inside the process"]), 150, unit=" ms"
    )
    result.goal("lakeload --help", statistics.median(found["lakeload --help"]), 300, unit=" ms")
    return result


def _times(command: list[str], repeat: int) -> list[float]:
    """Milliseconds of each run, or what the command prints if that is a number; one run warms up."""
    times = []
    for _ in range(repeat + 1):
        with tempfile.TemporaryDirectory() as directory:
            wall, _, _ = start(command, Path(directory))
            printed = Path(directory, "output.txt").read_text().strip()
        times.append(float(printed) if printed.replace(".", "", 1).isdigit() else wall * 1000)
    return times[1:]
