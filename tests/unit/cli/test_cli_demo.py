"""The demo: its data is what its notes say, and running it again loads nothing twice."""

from __future__ import annotations

import inspect
import shlex
from pathlib import Path

import pytest

import lakeload as ll
from lakeload.cli import main
from lakeload.cli.demo import rows_delivered
from lakeload.demo.program import DATA, load_flights


def test_data_is_small_enough_for_the_wheel() -> None:
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 400 << 10


@pytest.mark.parametrize(
    ("table", "delivery", "rows"),
    [
        ("flights", 1, 6099),
        ("flights", 2, 7042),
        ("weather", 1, 498),
        ("weather", 2, 576),
        ("airlines", 1, 16),
    ],
)
def test_notes_tell_the_rows_of_each_file(table: str, delivery: int, rows: int) -> None:
    assert rows_delivered(table, delivery) == rows
    assert f"{rows:,} |" in (DATA / "README.md").read_text(encoding="utf-8")


def test_second_delivery_resumes_and_evolves(tmp_path: Path) -> None:
    first, second = load_flights(tmp_path)
    assert first.tables["flights"].rows == 6099
    assert second.tables["flights"].rows == 7042 - 933
    assert {str(change) for change in second.tables["flights"].schema_changes} == {
        "widened distance int32 → int64",
        "added arr_delay int32",
    }
    assert [str(change) for change in second.tables["weather"].schema_changes] == ["added wind.gust double"]
    assert ll.Lakehouse(tmp_path).table("flights").to_arrow(["flight"]).num_rows == 12208


def test_demo_again_in_the_same_place_loads_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["demo", str(tmp_path)]) == 0
        out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "flights 7,042 7,042 0 0 0 B" in lines
    assert any(line.startswith("flights 12,208 12,208 yes") for line in lines)


def test_what_is_shown_can_be_pasted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    place = tmp_path / "lake"
    assert main(["demo", str(place)]) == 0
    out = capsys.readouterr().out
    code, _, rest = out.partition("This program does it:\n")[2].partition("\n    print(report)\n")
    exec(compile(f"{code}\n    print(report)\n", "pasted", "exec"), {})
    assert "weather: 0 rows" in capsys.readouterr().out, "the same deliveries, a second time"
    commands = [shlex.split(line) for line in rest.splitlines() if line.startswith("  uv run lakeload ")]
    assert len(commands) == 3
    for command in commands[:2]:
        assert main(command[3:]) == 0


def test_code_shown_is_the_code_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["demo", str(tmp_path)])
    out = capsys.readouterr().out
    for line in inspect.getsource(load_flights).splitlines():
        assert line.rstrip() in out
