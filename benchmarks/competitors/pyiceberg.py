"""pyiceberg's own append, with the SQLite catalog it ships."""

from __future__ import annotations

from pyiceberg.catalog.sql import SqlCatalog

from benchmarks.lineitem import stream


def arrow(source: str, target: str) -> None:
    """Append a stream of record batches to a new table."""
    batches = stream(source)
    found = catalog(target)
    found.create_namespace("lake")
    found.create_table("lake.lineitem", schema=batches.schema).append(batches)


def catalog(target: str) -> SqlCatalog:
    """A catalog below the target directory."""
    return SqlCatalog("bench", uri=f"sqlite:///{target}/catalog.db", warehouse=f"file://{target}")
