"""Tested versions: `constraints.txt` for pip, the same lines in `pyproject.toml` for uv.

No lock file is committed (lock files name package hosts), so these pins make `uv run` give everybody the
environment the tests ran in. To record the versions of the present `uv.lock`, after `uv lock --upgrade` with
the list in `pyproject.toml` emptied: `uv run --group dev python tests/test_constraints.py`.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
PYPROJECT = ROOT / "pyproject.toml"
_LIST = re.compile(r"^constraint-dependencies = \[.*?\]$", re.MULTILINE | re.DOTALL)


def _lines() -> list[str]:
    return [line for line in CONSTRAINTS.read_text().splitlines() if line and not line.startswith("#")]


def test_both_files_hold_the_same_versions() -> None:
    settings = tomllib.loads(PYPROJECT.read_text())
    assert settings["tool"]["uv"]["constraint-dependencies"] == _lines()


def test_no_host_is_named() -> None:
    assert not re.search(r"https?:|\.(com|org|net|io)\b|--", CONSTRAINTS.read_text())


def test_every_direct_dependency_is_pinned() -> None:
    settings = tomllib.loads(PYPROJECT.read_text())
    groups = [
        settings["project"]["dependencies"],
        *settings["project"]["optional-dependencies"].values(),
        *settings["dependency-groups"].values(),
    ]
    direct = {Requirement(text).name.lower() for group in groups for text in group}
    pinned = {Requirement(line).name for line in _lines()}
    assert direct <= pinned, f"not pinned: {sorted(direct - pinned)}"


def test_pins_are_what_the_tests_run_on() -> None:
    pins = {(found := Requirement(line)).name: found for line in _lines() if _applies(Requirement(line))}
    core = ("pyarrow", "polars", "deltalake", "pyiceberg", "s3fs", "msgspec", "duckdb")
    assert {name: version(name) for name in core} == {
        name: str(pins[name].specifier).removeprefix("==") for name in core
    }


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate()


def record() -> None:
    """Write both files from `uv.lock`."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    lines = []
    for package in sorted(lock["package"], key=lambda found: (found["name"], found["version"])):
        if "registry" not in package["source"]:
            continue
        lines.append(
            f"{package['name']}=={package['version']}{_python(package.get('resolution-markers', []))}"
        )
    head = "# Versions the tests ran with: pip install -c constraints.txt lakeload\n"
    CONSTRAINTS.write_text(head + "\n".join(lines) + "\n")
    listed = "".join(f'    "{line}",\n' for line in lines)
    text, count = _LIST.subn(lambda _: f"constraint-dependencies = [\n{listed}]", PYPROJECT.read_text())
    if count != 1:
        sys.exit("pyproject.toml has no list constraint-dependencies")
    PYPROJECT.write_text(text)


def _python(markers: list[str]) -> str:
    """The Python versions a fork of the lock is for. Its markers speak of platforms too, which decide nothing."""
    if not markers:
        return ""
    lows = [set(re.findall(r"python_full_version (?:>=|==) '(\d+\.\d+)", marker)) for marker in markers]
    if all(lows):
        return f" ; python_version >= '{min(low for found in lows for low in found)}'"
    highs = [high for marker in markers for high in re.findall(r"python_full_version < '([\d.]+)'", marker)]
    return f" ; python_version < '{max(highs)}'"


if __name__ == "__main__":
    record()
