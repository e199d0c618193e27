"""dlt with its filesystem destination, defaults otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dlt
from dlt.sources.filesystem import filesystem, read_jsonl

from benchmarks.generate import pages
from benchmarks.lineitem import stream


def json_lines(source: str, target: str, table_format: str) -> None:
    """Load a file of JSON lines with dlt's own reader; nested lists become child tables."""
    path = Path(source)
    files = filesystem(bucket_url=path.parent.as_uri(), file_glob=path.name)
    _pipeline(target).run((files | read_jsonl()).with_name("events"), table_format=table_format)


def prepare_rows(source: str, **_: object) -> list[list[dict[str, Any]]]:
    """The records as Python objects, in lists of a thousand."""
    return pages(source)


def rows(given: list[list[dict[str, Any]]], target: str, table_format: str, **_: object) -> None:
    """Load Python objects from a generator of lists."""
    events = dlt.resource((page for page in given), name="events")
    _pipeline(target).run(events, table_format=table_format)


def arrow(source: str, target: str, table_format: str) -> None:
    """Load a stream of record batches."""

    batches = dlt.resource(iter(stream(source)), name="lineitem")
    _pipeline(target).run(batches, table_format=table_format)


def _pipeline(target: str) -> Any:
    destination = dlt.destinations.filesystem(bucket_url=Path(target, "lake").as_uri())
    return dlt.pipeline(
        "bench", destination=destination, dataset_name="bench", pipelines_dir=f"{target}/state"
    )
