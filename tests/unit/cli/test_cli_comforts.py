"""What daily use asks of the command line besides loading."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lakeload as ll
from lakeload.cli import main

LOAD = ["load", "rows.jsonl", "--to", "lake", "--table", "t"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text('{"id": 1}\n{"id": null}\n')
    return tmp_path


@pytest.mark.parametrize("words", [["-V"], ["--version"]])
def test_the_module_is_the_program(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lakeload", *words], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"lakeload {ll.__version__}\n"


def test_the_shell_is_told_what_can_follow() -> None:
    environment = {"_LAKELOAD_COMPLETE": "complete_bash", "COMP_WORDS": "lakeload re", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "lakeload"], env={**os.environ, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert {"replay", "register"} <= set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "kind", "code"),
    [
        (["--rule", "idd not null"], "ConfigError", 2),
        (["--cursor", "idd"], "SourceError", 3),
        (["--contract", "freeze", "--namespace", "No"], "ConfigError", 2),
    ],
)
def test_errors_are_documents_too(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], kind: str, code: int
) -> None:
    assert main([*LOAD, "--json", *words]) == code
    out, err = capsys.readouterr()
    error = json.loads(out)["error"]
    assert (error["kind"], error["exit_code"]) == (kind, code)
    assert error["hint"]
    assert err.count("\n") == 1


@pytest.mark.parametrize(("most", "code"), [("0", 8), ("1", 0)])
def test_too_many_rows_put_aside_have_an_exit_code(folder: Path, most: str, code: int) -> None:
    assert main([*LOAD, "--rule", "id not null", "--max-quarantined", most, "--quiet"]) == code
    assert ll.Lakehouse("lake").table("t").count() == 1


def test_inspect_tells_what_is_still_to_replay(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told() -> dict[str, int]:
        capsys.readouterr()
        assert main(["inspect", "lake", "t", "--json"]) == 0
        found: dict[str, int] = json.loads(capsys.readouterr().out)["quarantine"]
        return found

    assert main([*LOAD, "--quiet"]) == 0
    assert told() == {"waiting": 0, "rows": 0}
    assert main([*LOAD, "--rule", "id not null", "--quiet"]) == 0
    assert told() == {"waiting": 1, "rows": 1}
    assert main(["replay", "lake", "t", "--quiet"]) == 0
    assert told() == {"waiting": 0, "rows": 1}
    assert main(["inspect", "lake", "t"]) == 0
    assert "quarantine: 0 rows to replay, 1 replayed" in capsys.readouterr().out


def test_what_happens_is_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="lakeload"):
        assert main([*LOAD, "--log", "info", "--quiet"]) == 0
    assert "pipeline load_t begins" in caplog.text
    assert "2 rows" in caplog.text


def test_nothing_is_purged_unasked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*LOAD, "--quiet"]) == 0
    assert main(["drop", "lake", "t", "--purge"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert ll.Lakehouse("lake").tables() == ["t"]
    assert main(["drop", "lake", "t", "--purge", "--yes"]) == 0
    assert ll.Lakehouse("lake").tables() == []


def test_notebooks_show_tables(folder: Path) -> None:
    report = ll.load([{"id": 1, "<b>": 2}, {"id": 2}], "lake", table="t", naming="preserve")
    table = ll.Lakehouse("lake").table("t")
    for shown in (report, table, ll.Lakehouse("lake")):
        assert shown._repr_html_().startswith("<table>")
    assert "<td>&lt;b&gt;</td>" in table._repr_html_()
    assert repr(report) == "<RunReport of load_t, load 1: t: 2 rows>"
    assert (table.count(), table.head(1).num_rows, len(table.to_pandas(["id"]))) == (2, 1, 2)
