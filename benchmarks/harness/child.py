"""Runs inside the competitor's process: `python -m benchmarks.harness.child CALL IMPORTS ARGUMENTS RESULT`.

Times the work apart from start-up and imports, and tells which versions did it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
import time
from pathlib import Path

REPORTED = ("lakeload", "dlt", "duckdb", "deltalake", "polars", "pyarrow", "pyiceberg")


def main() -> None:
    """Import the modules of IMPORTS, split at commas, and of CALL, `module:function`; time the function.

    When the module has a `prepare_` beside the function, what it returns is made before the clock starts and
    handed over as `given`.
    """
    call, imports, arguments, result = sys.argv[1:]
    for name in filter(None, imports.split(",")):
        importlib.import_module(name)
    module, function = call.split(":")
    home = importlib.import_module(module)
    work, prepare = getattr(home, function), getattr(home, f"prepare_{function}", None)
    keywords = json.loads(Path(arguments).read_text())
    if prepare is not None:
        keywords["given"] = prepare(**keywords)
    started, cpu = time.perf_counter(), time.process_time()
    returned = work(**keywords)
    cost = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    answer = {**cost, "returned": returned, "versions": versions()}
    Path(result).write_text(json.dumps(answer))


def versions() -> dict[str, str]:
    """Versions of the packages that matter, as installed here."""
    found = {"python": sys.version.split()[0]}
    for package in REPORTED:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
