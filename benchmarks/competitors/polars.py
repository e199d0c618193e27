"""Polars' streaming sinks; Polars maps the same Arrow file with its own reader."""

from __future__ import annotations

import polars as pl


def delta(source: str, target: str) -> None:
    """Sink into a Delta table."""
    pl.scan_ipc(source).sink_delta(f"{target}/lineitem")


def iceberg(source: str, target: str) -> None:
    """Sink into an Iceberg table."""
    from benchmarks.competitors.pyiceberg import catalog

    pl.scan_ipc(source).sink_iceberg(
        "lake.lineitem",
        mode="append",
        catalog=catalog(target),
        create_if_not_exists=True,
        create_namespace_if_not_exists=True,
    )
