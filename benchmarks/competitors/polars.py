"""Polars' streaming sinks; Polars maps the same Arrow file with its own reader."""

from __future__ import annotations

# The sinks import these; imports are not part of the timed work.
import deltalake  # noqa: F401
import polars as pl
import pyiceberg.table  # noqa: F401

from benchmarks.competitors.pyiceberg import catalog


def delta(source: str, target: str) -> None:
    """Sink into a Delta table."""
    pl.scan_ipc(source).sink_delta(f"{target}/lineitem")


def iceberg(source: str, target: str) -> None:
    """Sink into an Iceberg table."""
    pl.scan_ipc(source).sink_iceberg(
        "lake.lineitem",
        mode="append",
        catalog=catalog(target),
        create_if_not_exists=True,
        create_namespace_if_not_exists=True,
    )
