"""Schema changes end to end: events of real loads, hooks that hear of them, history that outlives logs."""

from __future__ import annotations

import datetime as dt
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

import lakeload as ll
from lakeload.hooks import append_changes, post_changes, refuse_changes
from lakeload.model.events import SchemaEvent
from lakeload.preview import preview
from lakeload.write.schema_notes import NOTES, read_notes
from lakeload.write.store import Store

FORMATS = ("delta", "iceberg", "both")


def load(root: Path, rows: Any, form: str = "delta", **options: Any) -> ll.RunReport:
    return ll.load(rows, root, table="t", format=form, load_columns=False, **options)


def table(root: Path, form: str = "delta") -> ll.LakeTable:
    return ll.Lakehouse(root, format=form).table("t")


def told(root: Path, form: str = "delta") -> list[tuple[int | None, bool, list[str]]]:
    return [(v.version, v.created, [str(c) for c in v.changes]) for v in table(root, form).schema_history()]


def everything(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# --- events and hooks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_hook_hears_of_a_new_table_and_of_its_changes(tmp_path: Path, form: str) -> None:
    heard: list[SchemaEvent] = []
    for rows in ([{"id": 1}], [{"id": 2, "home": {"zip": "1"}}], [{"id": 3}]):
        report = load(tmp_path, rows, form, on_schema_change=heard.extend)
    assert [(e.kind, e.column, e.old, e.new) for e in heard] == [
        ("create_table", "", None, "struct<id: int64>"),
        ("add", "home", None, "struct<zip: string>"),
    ]
    assert {(e.table, e.pipeline) for e in heard} == {("t", "load_t")}
    assert report.schema_changes == ()
    assert [v.load_id for v in table(tmp_path, form).schema_history()] == [heard[1].load_id, heard[0].load_id]


def test_report_lists_the_changes_and_what_hooks_could_not_do(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    hooks = [append_changes(blocked / "changes.jsonl"), append_changes(tmp_path / "changes.jsonl")]
    report = load(tmp_path / "lake", [{"id": 1}], on_schema_change=hooks)
    assert table(tmp_path / "lake").to_arrow().num_rows == 1
    (warning,) = report.warnings
    assert "append_changes" in warning
    (line,) = (tmp_path / "changes.jsonl").read_text().splitlines()
    assert json.loads(line) == report.to_dict()["schema_changes"][0]
    assert report.to_dict()["warnings"] == [warning]
    assert f"warning: {warning}" in str(report)


def test_webhook_that_is_down_costs_a_warning_without_its_secrets_and_not_the_load(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/services/SECRET"
    report = load(tmp_path, [{"id": 1}], on_schema_change=post_changes(url, timeout=1))
    assert table(tmp_path).to_arrow().num_rows == 1
    (warning,) = report.warnings
    assert "got no answer" in warning
    assert "SECRET" not in str(report) + json.dumps(report.to_dict())


@pytest.mark.parametrize("form", FORMATS)
def test_refused_change_leaves_the_table_as_it_was_and_the_next_load_works(tmp_path: Path, form: str) -> None:
    load(tmp_path, [{"id": 1}], form)
    before = everything(tmp_path)
    with pytest.raises(ll.SchemaError, match=r"refused: t: added name string.*Nothing was published"):
        load(tmp_path, [{"id": 2, "name": "b"}], form, on_schema_change=refuse_changes())
    after = everything(tmp_path)
    assert {path: data for path, data in after.items() if not path.endswith(".db")} == {
        path: data for path, data in before.items() if not path.endswith(".db")
    }
    load(tmp_path, [{"id": 2}], form, on_schema_change=refuse_changes())
    assert sorted(table(tmp_path, form).to_arrow()["id"].to_pylist()) == [1, 2]


def test_refusal_comes_before_delta_files_are_rewritten(tmp_path: Path) -> None:
    load(tmp_path, pa.table({"n": pa.array([1], pa.int32())}))
    with pytest.raises(ll.SchemaError, match="widened n from int32 to int64"):
        load(tmp_path, pa.table({"n": pa.array([2**40])}), on_schema_change=refuse_changes("widen"))
    assert table(tmp_path).version() == 0


def test_hook_of_a_function_that_runs_before_can_stop_the_load(tmp_path: Path) -> None:
    def stop(events: Sequence[SchemaEvent]) -> None:
        raise RuntimeError("no")

    stop.before_publish = True  # type: ignore[attr-defined]  # how a function says when it runs
    with pytest.raises(RuntimeError):
        load(tmp_path, [{"id": 1}], on_schema_change=stop)
    assert ll.Lakehouse(tmp_path).tables() == []


def test_pipeline_tells_the_changes_of_all_its_tables_at_once(tmp_path: Path) -> None:
    calls: list[Sequence[SchemaEvent]] = []
    pipeline = ll.Pipeline("p", ll.Lakehouse(tmp_path), on_schema_change=calls.append)
    one, two = (ll.resource(lambda: [{"id": 1}], name=name) for name in ("one", "two"))  # type: ignore[call-overload]  # a function and a name
    pipeline.run([one, two])
    (events,) = calls
    assert [(event.table, event.kind) for event in events] == [
        ("one", "create_table"),
        ("two", "create_table"),
    ]


# --- history -----------------------------------------------------------------------------------------------

STEPS = ([{"id": 1}], [{"id": 2, "a": {"x": 1}}], [{"id": 3}], [{"id": 4, "a": {"x": 1, "y": "q"}}])


@pytest.mark.parametrize("form", FORMATS)
def test_history_tells_every_schema_and_not_every_load(tmp_path: Path, form: str) -> None:
    for rows in STEPS:
        load(tmp_path, rows, form)
    numbers = (2, 1, 0) if form == "iceberg" else (3, 1, 0)  # schema ids, and versions of Delta
    assert told(tmp_path, form) == [
        (numbers[0], False, ["added a.y string"]),
        (numbers[1], False, ["added a struct<x: int64>"]),
        (numbers[2], True, []),
    ]
    assert table(tmp_path, form).schema_history()[1].schema.names == ["id", "a"]


def test_history_survives_the_clean_up_of_deltas_log(tmp_path: Path) -> None:
    for rows in STEPS:
        load(tmp_path, rows)
    whole = table(tmp_path).schema_history()
    _forget_log(tmp_path, keep=3)
    found = table(tmp_path).schema_history()
    assert [(v.version, v.load_id, v.created, v.changes) for v in found] == [
        (v.version, v.load_id, v.created, v.changes) for v in whole
    ]
    assert all(found[n].at is not None for n in range(3))


def test_history_without_log_and_notes_says_that_it_begins_in_the_middle(tmp_path: Path) -> None:
    for rows in STEPS:
        load(tmp_path, rows)
    _forget_log(tmp_path, keep=2)
    for note in (tmp_path / "default/t" / NOTES).iterdir():
        note.unlink()
    assert told(tmp_path) == [(3, False, ["added a.y string"]), (2, False, [])]
    oldest = table(tmp_path).schema_history()[-1]
    assert (oldest.at, oldest.load_id, oldest.schema.names) == (None, None, ["id", "a"])


def _forget_log(root: Path, *, keep: int) -> None:
    """Clean the log up as engines do a month later: a checkpoint, and nothing before it."""
    location = root / "default" / "t"
    DeltaTable(location, version=keep).create_checkpoint()
    for entry in (location / "_delta_log").glob("*.json"):
        if int(entry.name[:20]) < keep:
            entry.unlink()


def test_history_survives_the_expiry_of_icebergs_snapshots(tmp_path: Path) -> None:
    from pyiceberg.catalog.sql import SqlCatalog

    for rows in STEPS:
        load(tmp_path, rows, "iceberg")
    whole = table(tmp_path, "iceberg").schema_history()
    catalog = SqlCatalog("default", uri=f"sqlite:///{tmp_path / 'catalog.db'}", warehouse=str(tmp_path))
    catalog.load_table("default.t").maintenance.expire_snapshots().older_than(
        dt.datetime.now() + dt.timedelta(days=1)
    ).commit()
    assert len(catalog.load_table("default.t").metadata.snapshots) == 1
    catalog.engine.dispose()
    found = table(tmp_path, "iceberg").schema_history()
    assert [(v.version, v.load_id, v.created, v.changes) for v in found] == [
        (v.version, v.load_id, v.created, v.changes) for v in whole
    ]
    for note in (tmp_path / "default/t" / NOTES).iterdir():
        note.unlink()
    bare = table(tmp_path, "iceberg").schema_history()
    assert [(v.version, v.changes) for v in bare] == [(v.version, v.changes) for v in whole]
    assert [v.load_id for v in bare][1:] == [None, None]


def test_changes_of_other_engines_are_part_of_the_history(tmp_path: Path) -> None:
    from deltalake.schema import Field, PrimitiveType

    load(tmp_path, [{"id": 1}])
    other = DeltaTable(tmp_path / "default" / "t")
    other.alter.add_columns([Field("theirs", PrimitiveType("string"), nullable=True)])
    newest = table(tmp_path).schema_history()[0]
    assert ([str(c) for c in newest.changes], newest.load_id) == (["added theirs string"], None)
    assert newest.at is not None


def test_notes_are_left_alone_by_vacuum_and_go_with_the_table(tmp_path: Path) -> None:
    load(tmp_path, STEPS[0])
    notes = list((tmp_path / "default/t" / NOTES).iterdir())
    assert len(notes) == 1
    DeltaTable(tmp_path / "default" / "t").vacuum(
        retention_hours=0, enforce_retention_duration=False, dry_run=False
    )
    assert notes[0].exists()
    ll.Lakehouse(tmp_path).drop("t", purge=True)
    assert not notes[0].exists()
    load(tmp_path, STEPS[1])
    assert told(tmp_path) == [(0, True, [])]


def test_damaged_note_is_passed_over(tmp_path: Path) -> None:
    load(tmp_path, STEPS[0])
    folder = tmp_path / "default/t" / NOTES
    (note,) = folder.iterdir()
    (folder / "cut.json").write_bytes(note.read_bytes()[:20])
    (folder / "later.json").write_text('{"version": 99}')
    (folder / "list.json").write_text("[]")
    assert len(read_notes(Store(str(tmp_path / "default/t")))) == 1
    assert told(tmp_path) == [(0, True, [])]


def test_load_does_not_fail_where_no_note_can_be_written(tmp_path: Path) -> None:
    load(tmp_path, STEPS[2])
    folder = tmp_path / "default" / "t" / "_lakeload"
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()
    folder.write_text("in the way")
    load(tmp_path, STEPS[3])
    assert told(tmp_path)[0] == (1, False, ["added a struct<x: int64, y: string>"])


# --- preview -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_preview_tells_what_the_load_then_does_and_touches_nothing(tmp_path: Path, form: str) -> None:
    root = tmp_path / "lake"
    load(root, [{"id": 1}], form)
    before = everything(root)
    rows = [{"id": 2, "a": {"x": 1}}, {"id": 3, "b": "q"}]
    lake = ll.Lakehouse(root, format=form)
    expected = [(e.kind, e.column, e.new) for e in preview(rows, lake, "t")]
    assert everything(root) == before
    report = load(root, rows, form)
    assert [(e.kind, e.column, e.new) for e in report.schema_changes] == expected
    assert len(expected) == 2


def test_preview_of_a_new_table_names_its_columns(tmp_path: Path) -> None:
    (found,) = preview([{"id": 1}], ll.Lakehouse(tmp_path), "New Table")
    assert (found.table, found.kind) == ("new_table", "create_table")
    assert found.new.startswith("struct<id: int64")
    assert list(tmp_path.iterdir()) == []


def test_preview_refuses_what_the_load_refuses(tmp_path: Path) -> None:
    load(tmp_path, [{"id": 1}])
    with pytest.raises(ll.SchemaError, match="b"):
        preview([{"id": 1, "b": "q"}], ll.Lakehouse(tmp_path), "t", contract="freeze")
