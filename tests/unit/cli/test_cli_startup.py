"""An answer to `--help` before the eye notices."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

HEAVY = {
    "pyarrow",
    "polars",
    "deltalake",
    "pyiceberg",
    "fsspec",
    "s3fs",
    "pydantic",
    "yaml",
    "rich",
    "duckdb",
    "pandas",
}


def test_help_loads_nothing_heavy() -> None:
    code = "from lakeload.cli import main; main(['--help']); import sys; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.splitlines())


@pytest.mark.parametrize(
    ("code", "limit"),
    [
        ("import lakeload", 0.15),
        ("import sys; from lakeload.cli import main; sys.exit(main(['--help']))", 0.3),
    ],
)
def test_start_takes_no_time(code: str, limit: float) -> None:
    def run() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], stdout=-1, check=True)
        return time.perf_counter() - start

    # Other work on the machine can only make a run longer: one short run shows what it takes.
    assert any(run() < limit for _ in range(20))
