"""Documentation runs: every Python block of README.md and docs/, marked commands, and the examples in docstrings.

Blocks of one page run in order, in one namespace and in an empty folder of their own. A fence can carry
words after its language:

- `python no-run`   needs what a test cannot have (a cloud account); it is only compiled
- `python raises=X` must raise the error X
- `bash run`        its `lakeload …` lines are run, each must succeed
"""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lakes import PROGRAM

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "lakeload").rglob("*.py")
    if path.name != "__main__.py"
)
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?P<words>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    body: str

    @property
    def raises(self) -> str | None:
        """Name of the error it must raise."""
        return next((word.removeprefix("raises=") for word in self.words if word.startswith("raises=")), None)


def blocks(page: Path) -> Iterator[Block]:
    """Fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        body = re.sub(rf"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
        yield Block(page, line, match["language"], tuple(match["words"].split()), body)


def _page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=_page_id)
def test_blocks_of_the_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language == "python":
            _run_python(block, namespace)
        elif block.language in ("bash", "sh", "console") and "run" in block.words:
            _run_commands(block)


def _run_python(block: Block, namespace: dict[str, Any]) -> None:
    # Blank lines in front make tracebacks name the line of the page.
    code = compile(
        "\n" * (block.line - 1) + block.body,
        str(block.page),
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        dont_inherit=True,  # what this module imports from __future__ is not what readers have
    )
    if "no-run" in block.words:
        return
    if block.raises is None:
        exec(code, namespace)
        return
    with pytest.raises(Exception) as caught:
        exec(code, namespace)
    assert caught.type.__name__ == block.raises


def _run_commands(block: Block) -> None:
    for line in block.body.replace("\\\n", " ").splitlines():
        command = line.removeprefix("$ ").partition(" #")[0].strip()
        if not command or command.startswith("#"):
            continue
        words = shlex.split(command)
        assert words[0] == "lakeload", (
            f"{block.page}:{block.line}: only lakeload commands are run, not {words[0]!r}"
        )
        done = subprocess.run(
            [PROGRAM, *_expanded(words[1:])], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{block.page}:{block.line}: {command}\n{done.stdout}{done.stderr}"


def _expanded(words: list[str]) -> list[str]:
    """Environment variables as a shell would put them in; wildcards are lakeload's own."""
    return [os.path.expandvars(word) for word in words]


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings_are_true(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0


def test_every_fence_is_closed_and_says_its_language() -> None:
    for page in PAGES:
        fences = re.findall(r"^ *```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) % 2 == 0, f"{page}: a fence is not closed"
        assert all(word.strip() for word in fences[::2]), f"{page}: a fence does not say its language"


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path = target.partition("#")[0]
            if (
                path
                and "://" not in path
                and not path.startswith("mailto:")
                and not (page.parent / path).exists()
            ):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken
