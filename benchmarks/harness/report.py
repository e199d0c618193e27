"""Puts the saved answers into docs/benchmarks.md, between two marks; everything else there is prose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.result import RESULTS, load

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
BEGIN = "<!-- results: written by `uv run python -m benchmarks report` -->"
END = "<!-- end of results -->"


def publish(questions: Sequence[str]) -> None:
    """Replace the results in the document by the saved ones, in the order of the questions."""
    saved = [RESULTS / f"{question}.json" for question in questions]
    sections = [load(path).markdown() for path in saved if path.exists()]
    if not sections:
        raise SystemExit(f"no results in {RESULTS}: run some questions first")
    before, rest = DOCUMENT.read_text().split(BEGIN)
    _, after = rest.split(END)
    results = "\n".join(sections)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{results}\n{END}{after}")
