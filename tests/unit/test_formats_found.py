"""A table's formats are found, not asked for again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lakeload as ll
from lakeload.cli import main

NESTED = [{"id": 1, "lines": [{"n": 1}]}]
FORMATS = [("delta",), ("iceberg",), ("delta", "iceberg")]


@pytest.mark.parametrize("formats", FORMATS)
def test_a_load_goes_on_in_the_formats_the_table_has(tmp_path: Path, formats: tuple[str, ...]) -> None:
    first = ll.Lakehouse(tmp_path, format=formats)
    ll.load([{"id": 0}], first, table="t")
    ll.load(NESTED, tmp_path, table="t", nesting="tables", primary_key="id")
    ll.load([{"id": "x"}], tmp_path, table="t", contract={"types": "quarantine"})
    ll.Pipeline("p", tmp_path).run([{"id": 2}], "t")
    lake = ll.Lakehouse(tmp_path)
    assert {name: lake.table(name).formats for name in lake.tables()} == dict.fromkeys(
        ["t", "t__lines", "t__quarantine"], formats
    )
    assert lake.table("t").to_arrow().num_rows == 3
    assert ll.replay(tmp_path, "t", transform=lambda row: {"id": 9}).tables["t"].rows == 1


def test_new_tables_are_delta_beside_others(tmp_path: Path) -> None:
    ll.load([{"id": 0}], tmp_path, table="old", format="iceberg")
    ll.load([{"id": 0}], tmp_path, table="new")
    assert ll.Lakehouse(tmp_path).table("new").formats == ("delta",)


def test_one_lakehouse_sees_what_others_made_since(tmp_path: Path) -> None:
    lake = ll.Lakehouse(tmp_path)
    ll.load([{"id": 0}], lake, table="other")
    ll.load([{"id": 0}], tmp_path, table="t", format="iceberg")
    assert ll.load([{"id": 1}], lake, table="t").tables["t"].rows == 1


@pytest.mark.parametrize("format_", ["delta", "both"])
def test_formats_that_are_asked_for_are_not_overruled(tmp_path: Path, format_: str) -> None:
    ll.load([{"id": 0}], tmp_path, table="t", format="iceberg")
    with pytest.raises(ll.TableError, match=r"the table is (iceberg|not known)"):
        ll.load([{"id": 1}], tmp_path, table="t", format=format_)


def test_the_command_line_and_pipeline_files_find_them_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text(json.dumps({"id": 1}) + "\n")
    Path("p.yml").write_text(
        "pipeline: p\nlakehouse: {path: lake}\nresources: [{table: t, source: rows.jsonl}]\n"
    )
    words = ["load", "rows.jsonl", "--to", "lake", "--table", "t", "--quiet"]
    assert [main([*words, "--format", "iceberg"]), main([*words, "--pipeline", "other"])] == [0, 0]
    assert main(["run", "p.yml", "--quiet"]) == 0
    table = ll.Lakehouse("lake").table("t")
    assert (table.formats, table.to_arrow().num_rows) == (("iceberg",), 3)
