"""The README's promise: two commands, and both do what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lakes import Place

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO = "python3 -m pip install uv && uv run lakeload demo"
TESTS = "uv run --group dev pytest"


def _commands() -> list[str]:
    """Every shell line of the README."""
    bodies = re.findall(r"^```(?:bash|sh|console)[^\n]*\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = (
        line.partition(" #")[0].removeprefix("$ ").strip() for body in bodies for line in body.splitlines()
    )
    return [line for line in lines if line and not line.startswith("#")]


def test_readme_names_the_two_commands() -> None:
    assert DEMO in _commands()
    assert TESTS in _commands()


def test_pipeline_runs_the_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(rf"^{re.escape(TESTS)}$", script, re.MULTILINE), "the test command is not the README's"


@pytest.fixture
def demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, str]:
    """The lake the demo made, and what it said."""
    from lakeload.cli import main

    code = main(["demo", str(tmp_path / "lake")])
    said = capsys.readouterr()
    assert code == 0, said.err
    return tmp_path / "lake", said.out


def test_demo_loads_twice_into_both_formats_and_tells_what_happened(demo: tuple[Path, str]) -> None:
    _, said = demo
    for word in ("delta", "iceberg", "flights", "rows", "files", "added", "widened", "version"):
        assert word in said.lower(), f"the demo does not tell about {word!r}:\n{said}"


def test_demo_leaves_tables_that_other_engines_read(demo: tuple[Path, str]) -> None:
    place = Place(("delta", "iceberg"), str(demo[0]))
    assert "flights" in place.lake().tables()
    counts = {reader: rows.num_rows for reader, rows in place.read("flights").items()}
    assert len(set(counts.values())) == 1, counts
    assert min(counts.values()) > 0
