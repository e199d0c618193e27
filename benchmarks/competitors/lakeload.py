"""lakeload itself, from the environment the harness runs in."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.json

import lakeload as ll
from benchmarks.generate import pages
from benchmarks.lineitem import stream


def json_lines(source: str, target: str, formats: list[str], nesting: str = "native") -> None:
    """Load a file of JSON lines."""
    ll.load(source, target, table="events", format=_formats(formats), nesting=nesting)


def prepare_wide_arrow(source: str, **_: object) -> pa.Table:
    """The lines as an Arrow table."""
    return pyarrow.json.read_json(source)


def wide_arrow(given: pa.Table, target: str, formats: list[str], **_: object) -> None:
    """Load an Arrow table."""
    ll.load(given, target, table="events", format=_formats(formats))


def prepare_rows(source: str, **_: object) -> list[list[dict[str, Any]]]:
    """The records as Python objects, in lists of a thousand."""
    return pages(source)


def rows(
    given: list[list[dict[str, Any]]], target: str, formats: list[str], nesting: str, **_: object
) -> None:
    """Load Python objects from a generator of lists."""
    ll.load((page for page in given), target, table="events", format=_formats(formats), nesting=nesting)


def arrow(source: str, target: str, formats: list[str]) -> None:
    """Load a stream of record batches."""
    ll.load(stream(source), target, table="lineitem", format=_formats(formats))


def _formats(formats: list[str]) -> Any:
    return formats[0] if len(formats) == 1 else tuple(formats)
