"""A run killed between publishing a table and noting its schema: the next run makes the note good."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import killed_load
from killed_load import TABLES, pipeline, resources

import lakeload as ll
from lakeload.write.schema_notes import NOTES


def test_note_of_a_killed_load_is_written_by_the_run_that_completes_it(tmp_path: Path) -> None:
    settings = {
        "root": str(tmp_path), "formats": "delta", "load": 1, "cursor": True, "overwrite": False,
        "catalog": None, "storage": None,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(Path(killed_load.__file__)), "after the first table", json.dumps(settings)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    first = tmp_path / "default" / TABLES[0]
    assert (first / "_delta_log" / "00000000000000000000.json").exists()
    assert not (first / NOTES).exists()
    report = pipeline(str(tmp_path), "delta").run(resources(1, cursor=True))
    for name in TABLES:
        assert [path.stem for path in (tmp_path / "default" / name / NOTES).iterdir()] == [report.recovered]
        (version,) = ll.Lakehouse(tmp_path).table(name).schema_history()
        assert (version.version, version.load_id, version.created) == (0, report.recovered, True)
