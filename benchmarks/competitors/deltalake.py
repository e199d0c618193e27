"""delta-rs writing its own files."""

from __future__ import annotations

import deltalake

from benchmarks.lineitem import stream


def arrow(source: str, target: str) -> None:
    """Write a stream of record batches."""
    deltalake.write_deltalake(f"{target}/lineitem", stream(source))
