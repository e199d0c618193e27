"""How commands end: help, usage errors, Ctrl-C, closed pipes, terminals."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

import lakeload as ll
from lakeload.cli import main
from lakeload.cli.outcome import EXIT_CODES, exit_code, reported
from lakeload.cli.progress import Watch

COMMAND = [sys.executable, "-c", "import sys; from lakeload.cli import main; sys.exit(main())"]

ENDLESS = """\
import time
from pathlib import Path

import lakeload as ll

pipeline = ll.Pipeline("endless", ll.Lakehouse("lake", format="both"))


@ll.resource
def t():
    yield [{"id": n} for n in range(100_000)]
    Path("started").touch()
    time.sleep(60)


resources = t
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text('{"id": 1}\n{"id": 2}\n')
    return tmp_path


@pytest.mark.parametrize(
    "words", [[], ["--help"], ["load", "--help"], ["run", "-h"], ["inspect", "-h"], ["demo", "-h"]]
)
def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Exit codes: 0 done, 1 unexpected error, 2 usage" in out


def test_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"lakeload {ll.__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lode"], "no such command 'lode'"),
        (["load"], "missing argument"),
        (["load", "x", "--to", "lake"], "missing option '--table'"),
        (["load", "x", "--too", "lake"], "no such option: --too"),
        (
            ["load", "x", "--to", "l", "--table", "t", "--format", "hudi"],
            "'hudi' is not one of 'delta', 'iceberg', 'both'",
        ),
    ],
)
def test_usage_error_is_one_line_and_names_the_help(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "--help" in err
    assert err.count("\n") == 1


def test_every_kind_of_error_has_an_exit_code() -> None:
    kinds = {
        kind
        for kind in vars(ll.errors).values()
        if isinstance(kind, type) and kind.__base__ is ll.LakeloadError
    }
    assert kinds == set(EXIT_CODES)
    assert exit_code(ll.LakeloadError("neither")) == 1


def test_interrupt_leaves_everything_as_it_was_and_says_so(folder: Path) -> None:
    ll.load([{"id": -1}], "lake", table="t", format="both")
    Path("endless.py").write_text(ENDLESS)
    process = subprocess.Popen([*COMMAND, "run", "endless.py"], stdout=-1, stderr=-1, text=True)
    deadline = time.monotonic() + 60
    while not Path("started").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == "lakeload: interrupted; nothing was published, every table is as it was\n"
    table = ll.Lakehouse("lake").table("t")
    assert table.to_arrow(["id"]).to_pylist() == [{"id": -1}]
    files = {path.name for path in Path("lake").rglob("*.parquet")}
    assert files == {Path(file.path).name for file in table.files()}


def test_interrupt_while_publishing_says_that_the_next_run_completes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    watch = Watch()
    watch.advance("commit", "t")
    with pytest.raises(typer.Exit) as ended, reported(debug=False, watch=watch):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert "completes what is missing" in capsys.readouterr().err


def test_reader_that_leaves_early_is_no_error(folder: Path) -> None:
    ll.load([{"id": 1}], "lake", table="t")
    for words in (
        ["inspect", "lake"],
        ["inspect", "lake", "t", "--json"],
        ["load", "rows.jsonl", "--to", "lake", "--table", "t"],
    ):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([*COMMAND, *words], stdout=writing, stderr=-1, text=True, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, ""), words


def on_terminal(*words: str) -> tuple[int, str]:
    """Exit code of the command, and all it wrote to its terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *words], stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"}
    )
    os.close(slave)
    said = b""
    while True:
        try:
            more = os.read(master, 65536)
        except OSError:  # Linux: the other side has closed
            break
        if not more:
            break
        said += more
    os.close(master)
    return process.wait(), said.decode()


def test_terminal_shows_progress_and_the_summary(folder: Path) -> None:
    code, said = on_terminal("load", "rows.jsonl", "--to", "lake", "--table", "numbers")
    assert code == 0
    assert "extract" in said
    assert "\x1b[" in said
    assert "2 rows loaded" in said


@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_terminal_without_progress_when_not_asked_for(folder: Path, option: str) -> None:
    code, said = on_terminal("load", "rows.jsonl", "--to", "lake", "--table", "numbers", option)
    assert code == 0
    assert "extract  " not in said
    assert "\x1b[" not in said
