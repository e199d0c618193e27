"""Ctrl-C during `lakeload load`: the table as it was, one line that says so, exit code 130."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pytest
from lakes import PROGRAM, Place


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JSON lines that take a few seconds to load."""
    path = tmp_path_factory.mktemp("large") / "events.jsonl"
    line = json.dumps(
        {"kind": "PushEvent", "actor": {"id": 1, "login": "someone"}, "tags": ["a", "b"], "text": "x" * 100}
    )
    with path.open("w") as stream:
        for number in range(600_000):
            stream.write(f'{{"id":{number},{line[1:]}\n')
    return path


@pytest.mark.slow
@pytest.mark.parametrize("formats", [("delta",), ("iceberg",), ("delta", "iceberg")], ids="+".join)
def test_interrupt_leaves_the_table_as_it_was_and_says_so(
    tmp_path: Path, large: Path, formats: tuple[str, ...]
) -> None:
    place = Place(formats, str(tmp_path / "lake"))
    rows = pa.table({"id": [-1]})
    place.load(rows)
    before, files = place.versions(), place.data_files()
    option = "both" if len(formats) > 1 else formats[0]
    process = subprocess.Popen(
        [PROGRAM, "load", str(large), "--to", place.root, "--table", "t", "--format", option, "--target-file-size", "1MB"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while len(place.data_files()) <= len(files):
            assert process.poll() is None, (
                f"the load ended before it could be interrupted: {process.communicate()}"
            )
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "as it was" in err
    assert "Traceback" not in err
    assert not out
    assert place.versions() == before
    assert place.data_files() == files
    place.holds(rows)
