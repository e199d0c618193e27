"""The pages that name things name all of them: options, exit codes, keys of pipeline files, modules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from lakeload.cli.app import app
from lakeload.cli.outcome import EXIT_CODES, EXIT_QUARANTINED
from lakeload.settings import CursorSettings, LakehouseSettings, PipelineSettings, ResourceSettings
from lakeload.storage_options import STORAGE_KEYS

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Commands by their words, those of groups such as `schema diff` included."""
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")


def options() -> Iterator[tuple[str, str]]:
    """Command and option, by the spelling the page must show."""
    for name, command in commands(typer.main.get_command(app)):
        for parameter in command.params:
            long = [word for word in (*parameter.opts, *parameter.secondary_opts) if word.startswith("--")]
            # Of an option that is on by default the page shows how to turn it off.
            yield name, next((word for word in long if word.startswith("--no-")), long[0] if long else "")


@pytest.mark.parametrize(("command", "option"), [pair for pair in options() if pair[1] != "--help"])
def test_reference_names_every_option(command: str, option: str) -> None:
    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    assert f"lakeload {command}" in page
    assert option in page


def test_reference_names_every_exit_code() -> None:
    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert listed == {0, 1, EXIT_QUARANTINED, 130, *EXIT_CODES.values()}


@pytest.mark.parametrize("model", [PipelineSettings, LakehouseSettings, ResourceSettings, CursorSettings])
def test_guide_names_every_key_of_pipeline_files(model: type) -> None:
    page = (DOCS / "guides" / "pipeline-files.md").read_text(encoding="utf-8")
    keys = {field.alias or name for name, field in model.model_fields.items()}  # type: ignore[attr-defined]
    assert {key for key in keys if key not in page} == set()


def test_storage_page_names_every_key() -> None:
    page = (DOCS / "guides" / "object-stores.md").read_text(encoding="utf-8")
    assert {key for key in STORAGE_KEYS if f"`{key}`" not in page} == set()


def test_architecture_names_every_module() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    modules = {path.stem for path in (ROOT / "lakeload").rglob("*.py") if path.stem != "__init__"}
    assert {module for module in modules if f"`{module}`" not in page} == set()


def test_index_of_decisions_names_every_page() -> None:
    index = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (DOCS / "decisions").glob("0*.md")}
    assert pages
    assert {page for page in pages if f"({page})" not in index} == set()
