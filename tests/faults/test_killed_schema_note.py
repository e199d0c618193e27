"""A run killed between publishing a table and noting its schema: the next run makes the note good."""

from __future__ import annotations

from pathlib import Path

import killed_load
from doomed import dies
from killed_load import TABLES, pipeline, resources

import lakeload as ll
from lakeload.write.schema_notes import NOTES


def test_note_of_a_killed_load_is_written_by_the_run_that_completes_it(tmp_path: Path) -> None:
    dies(killed_load.die_in_load, "after the first table", str(tmp_path), "delta", 1, cursor=True)
    first = tmp_path / "default" / TABLES[0]
    assert (first / "_delta_log" / "00000000000000000000.json").exists()
    assert not (first / NOTES).exists()
    report = pipeline(str(tmp_path), "delta").run(resources(1, cursor=True))
    for name in TABLES:
        assert [path.stem for path in (tmp_path / "default" / name / NOTES).iterdir()] == [report.recovered]
        (version,) = ll.Lakehouse(tmp_path).table(name).schema_history()
        assert (version.version, version.load_id, version.created) == (0, report.recovered, True)
