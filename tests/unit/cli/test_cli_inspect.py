"""`lakeload inspect`: what it shows, and that it changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lakeload as ll
from lakeload.cli import main


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Three tables: Delta, Iceberg, and both after two loads with a cursor."""
    root = tmp_path / "lake"
    ll.load([{"id": 1}], root, table="plain")
    ll.load([{"id": 1}], root, table="cold", format="iceberg")
    for last in (3, 5):
        rows = [{"id": n, "country": "IS"} for n in range(last)]
        ll.load(rows, root, table="dual", format="both", cursor="id", partition_by="country", pipeline="p")
    return root


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["inspect", *words]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def test_lakehouse_lists_every_table_in_every_format(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, str(lake)).splitlines()
    found = {tuple(line.split()[:4]) for line in lines[1:]}
    assert found == {
        ("cold", "iceberg", "1", "1"),
        ("dual", "delta", "5", "2"),
        ("dual", "iceberg", "5", "2"),
        ("plain", "delta", "1", "1"),
    }


def test_table_shows_schema_versions_files_and_positions(
    lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shown(capsys, str(lake), "dual")
    for word in (
        "partition by country", "schema", "int64", "delta versions", "iceberg versions", "append",
        "data/country=IS/", "pipeline p  load 2  up to 4",
    ):  # fmt: skip
        assert word in out


def test_json_says_the_same_to_machines(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything = json.loads(shown(capsys, str(lake), "--json"))
    assert list(everything["tables"]) == ["cold", "dual", "plain"]
    table = json.loads(shown(capsys, str(lake), "dual", "--json"))
    assert table["positions"] == {"p": {"load": 2, "cursor": 4, "resources": {"dual": 4}}}
    assert [version["version"] for version in table["history"]["delta"]] == [1, 0]
    assert {form: contents["rows"] for form, contents in table["formats"].items()} == {
        "delta": 5,
        "iceberg": 5,
    }
    assert [column["name"] for column in table["schema"]][:2] == ["id", "country"]
    assert {len(files) for files in table["data_files"].values()} == {2}


def test_limit_shortens_and_says_so(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "… and 1 more" in shown(capsys, str(lake), "dual", "--limit", "1")


def test_nothing_is_changed(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in lake.rglob("*") if path.is_file()}
    shown(capsys, str(lake))
    shown(capsys, str(lake), "dual")
    assert {path: path.stat().st_mtime_ns for path in lake.rglob("*") if path.is_file()} == before


def test_delta_lake_gets_no_iceberg_catalog(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ll.load([{"id": 1}], tmp_path / "lake", table="plain")
    shown(capsys, str(tmp_path / "lake"))
    assert not (tmp_path / "lake" / "catalog.db").exists()


def test_empty_folder_has_no_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no tables" in shown(capsys, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nowhere",), 5, "no such lakehouse (in nowhere)"),
        (("LAKE", "nowhere"), 7, "Tables here: cold, dual, plain"),
        (("LAKE", "--namespace", "A B"), 2, "namespace"),
        (("LAKE", "--limit", "0"), 2, "--limit"),
    ],
)
def test_error_is_one_line(
    lake: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, said: str
) -> None:
    assert main(["inspect", *(word.replace("LAKE", str(lake)) for word in words)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
