"""The program `lakeload demo` prints and runs: what is shown is the source of what happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

import lakeload as ll

DATA = Path(ll.__file__).parent / "demo" / "data"


def load_flights(folder: Path) -> Iterator[ll.RunReport]:
    """Load two deliveries of a feed into Delta and Iceberg tables."""
    lake = ll.Lakehouse(folder, format=("delta", "iceberg"))

    @ll.resource(partition_by="origin", sort_by="time_hour", cursor="time_hour")
    def flights(delivery: int) -> Path:
        return DATA / f"flights-{delivery}.parquet"

    @ll.resource(cursor="time_hour", schema={"time_hour": pa.timestamp("us", "UTC")})
    def weather(delivery: int) -> Path:
        return DATA / f"weather-{delivery}.jsonl.gz"

    @ll.resource(mode=ll.Overwrite())
    def airlines() -> Path:
        return DATA / "airlines.csv"

    pipeline = ll.Pipeline("nycflights", lake)
    for delivery in (1, 2):
        yield pipeline.run([airlines, flights(delivery), weather(delivery)])
