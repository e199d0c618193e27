"""What becomes of files that others collected: `python -m benchmarks.foreign_files FOLDER [--list]`.

FOLDER holds Parquet and Arrow files, good, odd and hostile ones, as apache/parquet-testing and
apache/arrow-testing do. Each is loaded in a process of its own, which may end as it likes, and within a time.
What was loaded is counted again by another reader: rows that are missing would be lost without a word.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq  # noqa: F401 - imported once, before the children are made

import lakeload as ll
from lakeload.errors import LakeloadError

ENDINGS = (".parquet", ".encrypted", ".stream", ".arrow_file", ".arrow", ".ipc", ".feather")
SECONDS = 30
WRONG = ("crash", "hang", "raw exception", "lost rows", "blamed on the place")
"""Outcomes no file may have."""


def main() -> int:
    """Load every file, and say what came of them; exit code 1 when something must not be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--list", action="store_true", help="Every file with its outcome.")
    arguments = parser.parse_args()
    outcomes: Counter[str] = Counter()
    for path in _files(arguments.folder):
        outcome, detail = _in_a_child(path)
        outcomes[outcome] += 1
        if arguments.list or outcome in WRONG:
            print(f"{outcome}: {path.relative_to(arguments.folder)}: {detail}", flush=True)
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:5} {outcome}")
    return int(any(outcomes[outcome] for outcome in WRONG))


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        fuzzing = path.parent.name.endswith("fuzzing") or path.parent.name in (
            "arrow-ipc-stream",
            "arrow-ipc-file",
        )
        if path.is_file() and (path.suffix in ENDINGS or (fuzzing and _is_binary(path))):
            yield path


def _is_binary(path: Path) -> bool:
    return "csv" not in path.parts and path.suffix not in (".gz", ".md", ".json")


def _in_a_child(path: Path) -> tuple[str, str]:
    """The outcome, and a line about it."""
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said"
        child = os.fork()
        if not child:
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, 2)
            try:
                said.write_text(json.dumps(_load(path, folder)))
            finally:
                os._exit(0)
        until = time.monotonic() + SECONDS
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return "hang", f"more than {SECONDS} s"
            time.sleep(0.01)
        if os.WIFSIGNALED(ended[1]) or not said.exists():
            return "crash", f"status {ended[1]}"
        outcome, detail = json.loads(said.read_text())
        return outcome, detail


def _load(path: Path, folder: str) -> tuple[str, str]:
    lake = Path(folder) / "lake"
    kind: Any = "arrow" if "arrow-ipc" in str(path) else "parquet"
    try:
        report = ll.load(str(path), lake, table="t", load_columns=False, format="delta", input_format=kind)
    except LakeloadError as error:
        name = type(error).__name__
        return ("blamed on the place" if name == "StorageError" else f"refused, {name}"), str(error)
    except BaseException as error:  # noqa: BLE001 - that is what is asked
        return "raw exception", f"{type(error).__name__}: {error}"
    rows = report.tables["t"].rows
    there = _rows_in(path)
    if there is not None and there != rows:
        return "lost rows", f"{rows} of {there}"
    return ("loaded" if rows else "loaded, no rows"), f"{rows} rows"


def _rows_in(path: Path) -> int | None:
    """Rows in the file, by another reader than the one that loaded it; `None` where it cannot tell."""
    try:
        if path.read_bytes()[:4] == b"PAR1":
            found = duckdb.sql(f"select count(*) from (select * from read_parquet('{path}'))").fetchone()
            return int(found[0]) if found else None
        with pa.memory_map(str(path)) as source:
            try:
                return int(pa.ipc.open_file(source).read_all().num_rows)
            except pa.ArrowInvalid:
                source.seek(0)
                return int(pa.ipc.open_stream(source).read_all().num_rows)
    except Exception:  # noqa: BLE001 - the reader has its own limits
        return None


if __name__ == "__main__":
    sys.exit(main())
