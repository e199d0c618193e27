"""The engines themselves work, and read one table of both formats."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from engines.enginelake import EngineLake, readers_of
from engines.matrix import Matrix

ROWS = pa.table(
    {
        "id": pa.array(range(1000), pa.int64()),
        "kind": [f"kind {i % 7}/é" for i in range(1000)],
        "at": pa.array([dt.datetime(2024, 1, 1 + i % 9, i % 24, tzinfo=dt.UTC) for i in range(1000)]),
    }
)


@pytest.fixture(scope="module")
def lake(engines):
    lake = EngineLake.new(engines, ("delta", "iceberg"))
    lake.load(ROWS, partition_by=["day(at)", "kind"])
    return lake


@pytest.mark.parametrize(
    ("engine", "form"), [(engine, form) for form in ("delta", "iceberg") for engine in readers_of(form)]
)
def test_every_engine_reads_a_partitioned_table_of_both_formats(lake, matrix: Matrix, engine: str, form: str):
    with matrix.reads("Formats", "both formats over one set of files", engine, form):
        lake.assert_read_by(engine, form, ROWS)
