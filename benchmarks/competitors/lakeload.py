"""lakeload itself, from the environment the harness runs in."""

from __future__ import annotations

from typing import Any

import lakeload as ll
from benchmarks.lineitem import stream


def json_lines(source: str, target: str, formats: list[str]) -> None:
    """Load a file of JSON lines."""
    ll.load(source, target, table="events", format=_formats(formats))


def arrow(source: str, target: str, formats: list[str]) -> None:
    """Load a stream of record batches."""
    ll.load(stream(source), target, table="lineitem", format=_formats(formats))


def _formats(formats: list[str]) -> Any:
    return formats[0] if len(formats) == 1 else tuple(formats)
