"""`lakeload replay`: what it loads again, what it says, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import lakeload as ll
from lakeload.cli import main


@pytest.fixture(params=["delta", "iceberg", "both"])
def lake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ll.Lakehouse:
    """The lakehouse `lake` in the working directory: a table with one row, and two in quarantine."""
    monkeypatch.chdir(tmp_path)
    found = ll.Lakehouse("lake", format=request.param)
    ll.load([{"n": 1}], found, table="t")
    ll.load([{"n": 2}, {"n": 3}], found, table="t", rules=["n between 0 and 1"])
    return found


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_rows_come_in_once_the_rules_let_them(lake: ll.Lakehouse, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "lake", "t", "--rule", "n between 0 and 9", "--json"]) == 0
    report = told(capsys)
    assert (report["pipeline"], report["tables"]["t"]["rows"]) == ("replay_t", 2)
    again = ll.Lakehouse("lake", format=lake.formats)
    assert sorted(again.table("t").to_arrow(["n"]).column("n").to_pylist()) == [1, 2, 3]
    assert main(["replay", "lake", "t", "--json"]) == 0
    assert told(capsys)["sequence"] is None


def test_rows_that_still_do_not_get_in_are_put_aside_again(
    lake: ll.Lakehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "lake", "t", "--rule", "n in 1, 2", "--json"]) == 0
    tables = told(capsys)["tables"]
    assert (tables["t"]["rows"], tables["t__quarantine"]["rows"]) == (1, 1)


def test_contract_of_the_command_line_holds_for_the_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ll.load([{"n": 1}], "lake", table="t")
    ll.load([{"n": 2, "more": "x"}], "lake", table="t", contract={"columns": "quarantine"})
    assert main(["replay", "lake", "t", "--contract", "columns=discard_value", "--json"]) == 0
    assert told(capsys)["tables"]["t"]["rows"] == 1
    assert "more" not in ll.Lakehouse("lake").table("t").schema().names


def test_table_that_is_not_there_and_a_rule_that_is_none_end_with_one_line(
    lake: ll.Lakehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "lake", "no"]) != 0
    assert "there is no such table" in capsys.readouterr().err
    assert main(["replay", "lake", "t", "--rule", "n > 1"]) != 0
    assert "cannot be read" in capsys.readouterr().err
    assert lake.journal("replay_t").last == 0
