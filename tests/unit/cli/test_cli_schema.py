"""`lakeload schema`: show, diff, export, history."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import duckdb
import pytest
import yaml

import lakeload as ll
from lakeload.cli import main


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A Delta table after three loads, an Iceberg table after two."""
    root = tmp_path / "lake"
    for row in ({"userId": 1}, {"userId": 2, "name": "b"}, {"userId": 3, "name": "c", "home": {"zip": "1"}}):
        ll.load([row], root, table="people")
    for row in ({"n": 1}, {"n": 2, "extra": 1.5}):
        ll.load([row], root, table="cold", format="iceberg")
    return root


def said(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main(["schema", *map(str, words)]) == 0
    found = capsys.readouterr()
    assert found.err == ""
    return found.out


def refused(capsys: pytest.CaptureFixture[str], code: int, *words: str | Path) -> str:
    assert main(["schema", *map(str, words)]) == code
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.count("\n") == 1
    return found.err


def files(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


# --- show --------------------------------------------------------------------------------------------------


def test_show_prints_columns_with_types_and_names_of_the_source(
    lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line.split() for line in said(capsys, "show", lake, "people").splitlines()]
    assert lines[0] == ["user_id", "int64", "userId", "in", "the", "source"]
    assert ["home", "struct<zip:", "string>"] in lines
    assert ["_lakeload_at", "timestamp"] in lines


def test_show_of_a_lake_prints_every_table_under_its_name(
    lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, "show", lake).splitlines()
    assert [line for line in lines if not line.startswith(" ") and line] == ["cold", "people"]


def test_show_in_the_words_of_other_tools(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(said(capsys, "show", lake, "people", "--as", "json-schema"))
    assert (document["title"], document["properties"]["user_id"]["type"]) == ("people", ["integer", "null"])
    module = ast.parse(said(capsys, "show", lake, "people", "--as", "pydantic"))
    assert [node.name for node in module.body if isinstance(node, ast.ClassDef)] == ["PeopleHome", "People"]
    connection = duckdb.connect()
    connection.execute(said(capsys, "show", lake, "--as", "ddl", "--dialect", "duckdb"))
    assert connection.execute("SHOW TABLES").fetchall() == [("cold",), ("people",)]
    connection.close()
    sources = yaml.safe_load(said(capsys, "show", lake, "--as", "dbt", "--dialect", "trino"))["sources"]
    assert [table["name"] for table in sources[0]["tables"]] == ["cold", "people"]
    assert sources[0]["tables"][1]["columns"][0]["data_type"] == "BIGINT"


def test_show_as_ddl_tells_format_and_partitioning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for form in ("delta", "iceberg"):
        ll.load([{"id": 1, "country": "IS"}], tmp_path, table=form, format=form, partition_by="country")
    out = said(capsys, "show", tmp_path, "--as", "ddl")
    assert "USING DELTA\nPARTITIONED BY (`country`);" in out
    assert "USING ICEBERG\nPARTITIONED BY (`country`);" in out


# --- diff --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ["added home struct<zip: string>"]),
        (("--from", "0"), ["added name string", "added home struct<zip: string>"]),
        (("--from", "0", "--to", "1"), ["added name string"]),
        (("--to", "1"), ["added name string"]),
        (("--from", "2", "--to", "0"), ["dropped name string", "dropped home struct<zip: string>"]),
        (("--from", "2", "--to", "2"), ["no difference"]),
        (("--to", "0"), ["no difference"]),
    ],
)
def test_diff_of_versions(
    lake: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: list[str]
) -> None:
    assert said(capsys, "diff", lake, "people", *words).splitlines() == expected


def test_diff_of_an_iceberg_table_counts_schemas(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "diff", lake, "cold", "--from", "0", "--to", "1", "--json"))
    assert found == {
        "table": "cold",
        "from": 0,
        "to": 1,
        "changes": [{"kind": "add", "column": "extra", "old": None, "new": "float64"}],
    }


@pytest.mark.parametrize(
    "words", [("people", "--to", "9"), ("people", "--from", "-1"), ("cold", "--to", "7")]
)
def test_diff_with_a_version_that_is_not_there_lists_those_that_are(
    lake: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert "is not known (table" in refused(capsys, 7, "diff", lake, *words)


def test_diff_with_data_tells_what_a_load_would_change_and_changes_nothing(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new.jsonl"
    path.write_text('{"userId": 4, "home": {"zip": "2", "city": "x"}}\n{"userId": 5, "tags": ["a"]}\n')
    before = files(lake)
    out = said(capsys, "diff", lake, "people", "--data", path)
    assert files(lake) == before
    assert sorted(line.partition(" (")[0] for line in out.splitlines()) == [
        "people: added home.city string",
        "people: added tags list<string>",
    ]
    path.write_text('{"userId": 4}\n')
    assert said(capsys, "diff", lake, "people", "--data", path) == "no change\n"
    found = json.loads(said(capsys, "diff", lake, "brand_new", "--data", path, "--json"))
    assert [(change["table"], change["kind"]) for change in found["changes"]] == [
        ("brand_new", "create_table")
    ]
    assert files(lake) == before


def test_diff_with_data_takes_record_path_and_nesting(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "page.json"
    path.write_text('{"found": {"rows": [{"userId": 4, "deep": {"a": 1}}]}}')
    out = said(
        capsys,
        "diff",
        lake,
        "people",
        "--data",
        path,
        "--record-path",
        "found.rows",
        "--nesting",
        "deep=json",
    )
    assert "added deep string" in out


def test_diff_with_data_that_cannot_be_read_or_asked_for(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, 3, "diff", lake, "people", "--data", tmp_path / "nowhere.jsonl")
    path = tmp_path / "new.jsonl"
    path.write_text('{"userId": 4}\n')
    assert "--data" in refused(capsys, 2, "diff", lake, "people", "--data", path, "--from", "0")


# --- export ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("json-schema", ["cold.schema.json", "people.schema.json"]),
        ("pydantic", ["cold.py", "people.py"]),
        ("ddl", ["cold.sql", "people.sql"]),
        ("dbt", ["sources.yml"]),
    ],
)
def test_export_into_a_folder_writes_a_file_per_table(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, names: list[str]
) -> None:
    out = said(capsys, "export", lake, "--as", form, "--output", f"{tmp_path}/new/folder/")
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == names
    assert out.splitlines() == [f"wrote {folder / name}" for name in names]
    shown = said(capsys, "show", lake, *([] if form == "dbt" else ["people"]), "--as", form)
    assert (folder / names[-1]).read_text(encoding="utf-8") == shown


def test_export_into_one_file(lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "all.sql"
    said(capsys, "export", lake, "--as", "ddl", "--dialect", "postgres", "--output", path)
    assert path.read_text(encoding="utf-8").count("CREATE TABLE") == 2
    said(capsys, "export", lake, "people", "--as", "pydantic", "--output", tmp_path / "people.py")
    assert "class People(" in (tmp_path / "people.py").read_text(encoding="utf-8")
    assert "2 tables do not go into one file" in refused(
        capsys, 2, "export", lake, "--as", "pydantic", "--output", tmp_path / "all.py"
    )
    assert not (tmp_path / "all.py").exists()


def test_export_to_a_place_that_cannot_be_written(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    said_of_it = refused(capsys, 5, "export", lake, "--as", "dbt", "--output", tmp_path / "file" / "x.yml")
    assert "cannot be written" in said_of_it


# --- history, errors ---------------------------------------------------------------------------------------


def test_history_tells_versions_times_loads_and_changes(
    lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, "history", lake, "people").splitlines()
    loads = [version.load_id for version in ll.Lakehouse(lake).table("people").history()]
    assert [line.split()[0] for line in lines] == ["2", "1", "0"]
    assert all(load in line for load, line in zip(loads, lines, strict=True))
    assert lines[0].endswith("added home struct<zip: string>")
    assert lines[2].endswith("created with 3 columns")
    found = json.loads(said(capsys, "history", lake, "people", "--json"))
    assert [version["created"] for version in found["history"]] == [False, False, True]
    assert found["history"][2]["schema"][0] == {"name": "user_id", "type": "int64", "nullable": True}


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("show", "nowhere"), 5, "no such lakehouse"),
        (("show", "LAKE", "nope"), 7, "no such table"),
        (("show", "LAKE", "--namespace", "empty"), 7, "there are no tables"),
        (("history", "LAKE", "nope"), 7, "no such table"),
        (("diff", "LAKE", "nope"), 7, "no such table"),
        (("show", "LAKE", "--as", "xml"), 2, "xml"),
        (("export", "LAKE", "--as", "text", "--output", "x"), 2, "text"),
    ],
)
def test_error_is_one_line(
    lake: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, part: str
) -> None:
    assert part in refused(capsys, code, *(word.replace("LAKE", str(lake)) for word in words))
