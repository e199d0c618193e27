"""`lakeload load`: what it loads, what it says, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import lakeload as ll
from lakeload.cli import main

ROWS = [{"id": n, "country": "IS" if n % 2 else "NO", "at": n * 10} for n in range(10)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with one file of ten rows."""
    monkeypatch.chdir(tmp_path)
    write("rows.jsonl", ROWS)
    return tmp_path


def write(name: str, rows: Sequence[object]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def load(*words: str) -> int:
    return main(["load", "rows.jsonl", "--to", "lake", "--table", "t", *words])


def test_rows_of_a_file_are_in_the_table(folder: Path) -> None:
    assert load() == 0
    assert ll.Lakehouse("lake").table("t").to_arrow(["id"]).num_rows == 10


@pytest.mark.parametrize(
    ("word", "formats"), [("delta", ("delta",)), ("iceberg", ("iceberg",)), ("both", ("delta", "iceberg"))]
)
def test_format_decides_what_the_table_is(folder: Path, word: str, formats: tuple[str, ...]) -> None:
    assert load("--format", word) == 0
    assert ll.Lakehouse("lake").table("t").formats == formats


def test_several_files_are_one_load(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("more.jsonl", ROWS[:3])
    assert main(["load", "rows.jsonl", "more.jsonl", "--to", "lake", "--table", "t", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["sequence"], report["tables"]["t"]["rows"]) == (1, 13)


def test_overwrite_replaces_all_rows(folder: Path) -> None:
    assert [load(), load("--mode", "overwrite")] == [0, 0]
    assert ll.Lakehouse("lake").table("t").to_arrow().num_rows == 10


def test_overwrite_partitions_replaces_those_that_get_rows(folder: Path) -> None:
    assert load("--partition-by", "country") == 0
    write("rows.jsonl", [{"id": 100, "country": "IS", "at": 0}])
    assert load("--mode", "overwrite-partitions") == 0
    found = ll.Lakehouse("lake").table("t").to_arrow(["id", "country"]).to_pylist()
    assert sorted(row["id"] for row in found if row["country"] == "IS") == [100]
    assert sum(row["country"] == "NO" for row in found) == 5


def test_cursor_makes_the_second_load_take_only_new_rows(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load("--cursor", "id") == 0
    write("rows.jsonl", [*ROWS, {"id": 10, "country": "IS", "at": 0}])
    capsys.readouterr()
    assert load("--cursor", "id", "--json") == 0
    assert json.loads(capsys.readouterr().out)["tables"]["t"]["rows"] == 1


def test_layout_options_reach_the_table(folder: Path) -> None:
    assert load("--partition-by", "bucket(4, id)", "--partition-by", "country", "--sort-by", "at desc") == 0
    layout = ll.Lakehouse("lake").table("t").layout()
    assert [str(field) for field in layout.partition_by] == ["bucket(4, id)", "country"]
    assert [str(field) for field in layout.sort_by] == ["at desc"]


def test_target_file_size_becomes_a_property_of_the_table(folder: Path) -> None:
    assert load("--target-file-size", "16MB") == 0
    assert str(16 << 20) in ll.Lakehouse("lake").table("t").properties().values()


def test_no_load_columns_leaves_the_columns_of_the_source(folder: Path) -> None:
    assert load("--no-load-columns") == 0
    assert ll.Lakehouse("lake").table("t").schema().names == ["id", "country", "at"]


def test_no_fold_leaves_small_files(folder: Path) -> None:
    for _ in range(9):
        assert load("--no-fold") == 0
    assert len(ll.Lakehouse("lake").table("t").files()) == 9
    assert load() == 0
    assert len(ll.Lakehouse("lake").table("t").files()) < 9


def test_namespace_and_pipeline_are_used(folder: Path) -> None:
    assert load("--namespace", "sales", "--pipeline", "nightly") == 0
    lake = ll.Lakehouse("lake", namespace="sales")
    assert (lake.tables(), lake.pipelines()) == (["t"], ["nightly"])


def test_record_path_reaches_into_a_document(folder: Path) -> None:
    Path("doc.json").write_text(json.dumps({"data": {"items": ROWS}}))
    assert main(["load", "doc.json", "--to", "lake", "--table", "t", "--record-path", "data.items"]) == 0
    assert ll.Lakehouse("lake").table("t").to_arrow().num_rows == 10


def test_summary_is_plain_text_when_piped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load("--format", "both") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "\x1b" not in said.out
    for word in ("10 rows", "1 file", "delta version 0", "iceberg snapshot", "load 1", "created"):
        assert word in said.out


def test_schema_changes_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load()
    write("rows.jsonl", [{"id": 1, "city": "Höfn"}])
    capsys.readouterr()
    assert load() == 0
    assert "added city string" in capsys.readouterr().out


def test_load_completed_first_and_rows_not_added_again_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load()
    for marker in Path("lake").rglob("*.done"):
        marker.unlink()  # as if the process had died before it could note that it was done
    capsys.readouterr()
    assert load() == 0
    out = capsys.readouterr().out
    assert "no new rows" in out
    assert "first completed the unfinished load" in out
    assert "were not added again" in out
    assert ll.Lakehouse("lake").table("t").to_arrow().num_rows == 10


def test_folding_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(7):
        load()
    capsys.readouterr()
    assert load() == 0
    assert "folded 8 small files" in capsys.readouterr().out


def test_json_is_one_document_and_nothing_else(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load("--json") == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert said.err == ""
    assert report["tables"]["t"]["rows"] == 10
    assert report["tables"]["t"]["version"] == {"delta": 0}


def test_quiet_prints_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load("--quiet") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nowhere.jsonl",), 3, "no such file"),
        (("nothing-*.jsonl",), 3, "no file matches"),
        (("rows.jsonl", "--partition-by", "week(at)"), 2, "partition field"),
        (("rows.jsonl", "--target-file-size", "big"), 2, "size"),
        (("rows.jsonl", "--storage-option", "secret"), 2, "KEY=VALUE"),
        (("rows.jsonl", "--storage-option", "password=x"), 2, "unknown storage option"),
        (("rows.jsonl", "--format", "iceberg", "--catalog", "ftp://x"), 2, "scheme"),
        (("rows.jsonl", "--cursor", "nope"), 3, "nope"),
        (("names.csv",), 4, "is reserved"),
        (("rows.jsonl", "--to", "rows.jsonl"), 5, "rows.jsonl"),
        (("rows.jsonl", "--table", "there", "--format", "iceberg"), 7, "delta"),
    ],
)
def test_error_is_one_line_with_the_code_of_its_kind(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, said: str
) -> None:
    Path("names.csv").write_text("a,_lakeload_a\n1,2\n")
    ll.load([{"id": 1}], "lake", table="there")
    options = {"--to": "lake", "--table": "t"}
    given = [*words, *(word for pair in options.items() if pair[0] not in words for word in pair)]
    assert main(["load", *given]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lakeload: ")
    assert err.count("\n") == 1
    assert said in err


def test_failed_load_leaves_the_table_as_it_was(folder: Path) -> None:
    load()
    write("rows.jsonl", [*ROWS, {"id": "eleven"}])
    before = ll.Lakehouse("lake").table("t").version()
    assert load("--contract", "types=freeze") == 4
    table = ll.Lakehouse("lake").table("t")
    assert (table.version(), table.to_arrow().num_rows) == (before, 10)


def test_secret_is_in_no_message(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--storage-option", "aws_secret_access_key=hunter2", "--storage-option", "nope=hunter2")
    assert load(*words) == 2
    assert "hunter2" not in "".join(capsys.readouterr())


def test_debug_lets_the_error_through(folder: Path) -> None:
    with pytest.raises(ll.SourceError, match="no such file"):
        main(["load", "nowhere.jsonl", "--to", "lake", "--table", "t", "--debug"])


def test_rows_that_do_not_get_in_are_told_with_their_reasons(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("rows.jsonl", [{"id": 1, "n": 1}, {"id": None, "n": 2}, {"id": 3, "n": 3}])
    assert load("--rule", "id not null", "--rule", "n between 1 and 2") == 0
    out = capsys.readouterr().out
    assert "1 row loaded" in out
    assert "2 rows put aside in the quarantine" in out
    assert "not_null(id) id: 1" in out
    assert "between(n) n: 1" in out


def test_the_cursor_can_be_told_more(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def rows(*options: str) -> list[int]:
        capsys.readouterr()
        assert load("--cursor", "id", *options, "--json") == 0
        told = json.loads(capsys.readouterr().out)["tables"]["t"]
        return [told[key] for key in ("rows_read", "rows", "rows_seen")]

    assert rows("--initial", "5", "--type", "number") == [10, 5, 5]
    write("rows.jsonl", [*ROWS, {"id": 8, "country": "IS", "at": 1}])
    assert rows("--lag", "3") == [11, 0, 11]  # the first load remembered none but those at its end
    assert load("--lag", "3") != 0
    assert "--cursor" in capsys.readouterr().err
    assert load("--cursor", "id", "--lag", "-3") != 0
    write("rows.jsonl", [])
    assert load("--mode", "overwrite-or-clear") == 0
    assert ll.Lakehouse("lake").table("t").to_arrow().num_rows == 0
