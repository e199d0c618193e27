"""What engines did with our tables, collected while the tests run and written down as a page of the docs.

A test claims a cell by `with matrix.reads(...)`: the cell says what happened inside. Nothing is written by hand, so
the page cannot promise what no test has shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "compatibility.md"
ENGINES = ("spark", "trino", "duckdb", "polars", "deltalake", "pyiceberg", "chdb", "sail")
FORMATS = ("delta", "iceberg")

_HEAD = """# Compatibility

Written by the engine tests from their own results: `uv run --group dev --group engines pytest tests/engines -n 0 --write-compatibility`.
Every cell is a table lakeload wrote, or loaded into, read by that engine and compared row by row with what went in.

| mark | meaning |
|---|---|
| ✓ | read; rows equal |
| ✓ and a number | the same, with the deviation explained below the tables |
| – and a number | the engine cannot; the error is explained below |
| refused | lakeload refuses before it writes anything |
| empty | not tested |
"""


@dataclass
class Matrix:
    """Cells by (group, feature), then by (engine, format)."""

    versions: dict[str, str] = field(default_factory=dict)
    cells: dict[tuple[str, str], dict[tuple[str, str], str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @contextmanager
    def reads(self, group: str, feature: str, engine: str, form: str, note: str = "") -> Iterator[None]:
        """The engine reads the feature right, unless the block raises.

        Args:
            group: Table of the page.
            feature: Row of that table.
            engine: One of `ENGINES`.
            form: `delta` or `iceberg`.
            note: In what the result deviates, when it does.
        """
        try:
            yield
        except BaseException:
            self.failed.append(f"{group}: {feature}, {engine}, {form}")
            raise
        self._put(group, feature, engine, form, "✓", note)

    def cannot(self, group: str, feature: str, engine: str, form: str, why: str) -> None:
        """The engine has been seen to refuse, and why."""
        self._put(group, feature, engine, form, "–", why)

    def refused(self, group: str, feature: str, form: str, what: str = "") -> None:
        """lakeload has been seen to refuse before it wrote anything."""
        self._put(group, feature, "lakeload", form, "refused", what)

    def loads(self, group: str, feature: str, form: str, note: str = "") -> None:
        """lakeload has been seen to load into such a table of another engine."""
        self._put(group, feature, "lakeload", form, "✓", note)

    def add_page(self, page: str) -> None:
        """Take over the cells of a page for features this run did not look at."""
        notes = dict(re.findall(r"^(\d+)\. (.+)$", page.partition("## Notes")[2], re.MULTILINE))
        for section in page.partition("## Notes")[0].split("\n## ")[1:]:
            group, _, table = section.partition("\n")
            lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.strip().split("\n")]
            columns = [tuple(head.split("<br>")) for head in lines[0][1:]]
            for feature, *cells in lines[2:]:
                if (group, feature) in self.cells:
                    continue
                for (engine, form), cell in zip(columns, cells, strict=True):
                    mark, _, number = cell.partition(" <sup>")
                    if mark:
                        note = notes[number.removesuffix("</sup>")] if number else ""
                        self._put(group, feature, engine, form, mark, note)

    def page(self) -> str:
        """The page as Markdown."""
        versions = ", ".join(f"{name} {version}" for name, version in sorted(self.versions.items()))
        parts = [_HEAD, f"\nVersions: {versions}.\n"]
        for group in dict.fromkeys(group for group, _ in sorted(self.cells)):
            parts.append(self._table(group))
        if self.notes:
            parts.append("\n## Notes\n\n")
            parts += [f"{number}. {note}\n" for number, note in enumerate(self._ordered(), 1)]
        return "".join(parts)

    def _put(self, group: str, feature: str, engine: str, form: str, mark: str, note: str) -> None:
        row = self.cells.setdefault((group, feature), {})
        if note and note not in self.notes:
            self.notes.append(note)
        row[engine, form] = f"{mark}\0{note}" if note else mark

    def _ordered(self) -> list[str]:
        return sorted(self.notes)

    def _table(self, group: str) -> str:
        rows = {feature: row for (found, feature), row in sorted(self.cells.items()) if found == group}
        used = {cell for row in rows.values() for cell in row}
        columns = [(e, f) for e in ("lakeload", *ENGINES) for f in FORMATS if (e, f) in used]
        lines = [
            f"\n## {group}\n\n",
            "| | " + " | ".join(f"{engine}<br>{form}" for engine, form in columns) + " |\n",
            "|---|" + "---|" * len(columns) + "\n",
        ]
        for feature, row in rows.items():
            lines.append(f"| {feature} | " + " | ".join(self._cell(row, c) for c in columns) + " |\n")
        return "".join(lines)

    def _cell(self, row: Mapping[tuple[str, str], str], column: tuple[str, str]) -> str:
        mark, _, note = row.get(column, "").partition("\0")
        return f"{mark} <sup>{self._ordered().index(note) + 1}</sup>" if note else mark
