"""Progress of a run on a terminal: one line per table and stage, with rows, bytes, files and rate."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lakeload.cli.wording import count, size

if TYPE_CHECKING:
    from lakeload.model.progress import Stage


class Watch:
    """Remembers how far a run has come; shows nothing. Base of what shows it."""

    def __init__(self) -> None:
        self.publishing = False

    def advance(self, stage: Stage, table: str, *, rows: int = 0, bytes: int = 0, files: int = 0) -> None:  # noqa: A002, ARG002 - names of the protocol
        """So much more was done in this stage for this table."""
        if stage == "commit":
            self.publishing = True


class Lines(Watch):
    """Shows every table and stage as a line of a live display.

    Args:
        display: A started `rich.progress.Progress` with the columns of `watching`.
    """

    def __init__(self, display: Any) -> None:
        super().__init__()
        self._display = display
        self._tasks: dict[tuple[str, str], Any] = {}
        self._totals: dict[tuple[str, str], list[int]] = {}
        self._lock = threading.Lock()

    def advance(self, stage: Stage, table: str, *, rows: int = 0, bytes: int = 0, files: int = 0) -> None:  # noqa: A002 - name of the protocol
        """Add to the line of the stage, and show it."""
        super().advance(stage, table)
        key = (table, stage)
        with self._lock:
            if key not in self._tasks:
                self._tasks[key] = self._display.add_task(table, total=None, stage=stage, facts="")
                self._totals[key] = [0, 0, 0]
            totals = self._totals[key]
            for position, more in enumerate((rows, bytes, files)):
                totals[position] += more
            task = self._tasks[key]
            self._display.update(task, facts=self._facts(task, *totals))

    def _facts(self, task: Any, rows: int, volume: int, files: int) -> str:
        elapsed = self._display.tasks[task].elapsed or 0.0
        parts = [count(rows, "row")] if rows else []
        parts += [size(volume)] if volume else []
        parts += [count(files, "file")] if files else []
        if rows and elapsed > 0.2:  # noqa: PLR2004 - seconds; before, a rate says nothing
            parts.append(f"{rows / elapsed:,.0f} rows/s")
        return "  ".join(parts)


@contextmanager
def watching(*, shown: bool) -> Iterator[Watch]:
    """A listener for a run: live lines on a terminal, otherwise silent.

    Args:
        shown: Whether the caller wants progress at all; on anything but a terminal there is none.
    """
    if not shown or not sys.stderr.isatty():
        yield Watch()
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("[bold]{task.description}"),
        TextColumn("[cyan]{task.fields[stage]:<7}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[facts]}"),
    )
    # Gone when the run is over: the summary says it all.
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        yield Lines(display)
