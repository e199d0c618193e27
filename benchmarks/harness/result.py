"""What a question answers: a table, goals, failures; kept as JSON, shown as Markdown."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness import machine

RESULTS = Path(__file__).resolve().parents[1] / "results"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks of a question; `None` takes the question's own default."""

    rows: int | None = None
    repeat: int | None = None
    competitors: tuple[str, ...] = ()
    dlt_rows: int | None = None
    gigabytes: float | None = None
    loads: int | None = None


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure the project promises, and what was found.

    A `required` goal that is missed fails the run like a wrong result; the others depend on the machine.
    """

    what: str
    limit: str
    found: str
    met: bool
    required: bool = False


@dataclass(slots=True)
class Result:
    """The answer to one question.

    Args:
        question: Name of the question's module.
        title: The question in words.
        columns: Heads of the table.
        rows: Cells, as text.
        goals: Promises checked on these figures.
        failures: Wrong results and crashed competitors; any of them makes the exit code 1.
        notes: What a reader must know to read the table right.
        raw: Every single measurement.
        versions: Versions of what took part.
        machine: Facts about the machine.
    """

    question: str
    title: str
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    raw: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, object] = field(default_factory=machine.facts)

    @property
    def failed(self) -> bool:
        """True when something is wrong, rather than slow."""
        return bool(self.failures) or any(goal.required and not goal.met for goal in self.goals)

    def goal(self, what: str, found: float, limit: float, *, unit: str = "", required: bool = False) -> None:
        """Note a promise that the figure is at most the limit."""
        self._note(what, f"≤ {limit:g}{unit}", _short(found) + unit, found <= limit, required)

    def goal_at_least(
        self, what: str, found: float, limit: float, *, unit: str = "", required: bool = False
    ) -> None:
        """Note a promise that the figure is at least the limit."""
        self._note(what, f"≥ {limit:g}{unit}", _short(found) + unit, found >= limit, required)

    def _note(self, what: str, limit: str, found: str, met: bool, required: bool) -> None:  # noqa: FBT001 - private
        self.goals.append(Goal(what, limit, found, met, required))

    def markdown(self) -> str:
        """The answer as a section of a page."""
        parts = [f"### {self.title}", _table(self.columns, self.rows)]
        if self.goals:
            goals = [
                [goal.what, goal.limit, goal.found, "yes" if goal.met else "**no**"] for goal in self.goals
            ]
            parts.append(_table(["Goal", "Limit", "Found", "Met"], goals))
        parts += [f"**FAILED**: {failure.splitlines()[0]}" for failure in self.failures]
        parts.append("\n".join(f"- {note}" for note in [*self.notes, self._circumstances()]))
        return "\n\n".join(part for part in parts if part) + "\n"

    def _circumstances(self) -> str:
        on = self.machine
        versions = ", ".join(f"{name} {version}" for name, version in sorted(self.versions.items()))
        return (
            f"Measured {on['date']} on {on['cores']} cores ({on['cpu']}), {on['memory_gib']} GiB, "
            f"{on['system']}, load average at start {on['load_average']}. Versions: {versions}."
        )

    def save(self) -> Path:
        """Keep the answer where `report` looks for it."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.question}.json"
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")
        return path


def load(path: Path) -> Result:
    """A saved answer."""
    fields = json.loads(path.read_text())
    fields["goals"] = [Goal(**goal) for goal in fields["goals"]]
    return Result(**fields)


def _short(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def _table(columns: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    widths = [max(len(row[at]) for row in [columns, *rows]) for at in range(len(columns))]
    lines = [columns, ["-" * width for width in widths], *rows]
    padded = (
        " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )
    return "\n".join(f"| {line} |" for line in padded)
