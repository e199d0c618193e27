"""Sail reads our tables by their paths."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from engines.matrix import Matrix
from lakes import Place
from readers import assert_same_rows
from services.sail import Sail
from services.seaweedfs import S3

ROWS = pa.table(
    {
        "id": pa.array(range(100), pa.int64()),
        "kind": [f"kind {i % 3}" for i in range(100)],
        "inner": [{"a": i, "b": [str(i)]} for i in range(100)],
    }
)


@pytest.fixture(scope="module")
def sail(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sail]:
    server = Sail(tmp_path_factory.mktemp("sail"), s3)
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("form", ["delta", "iceberg"])
def test_sail_reads_a_partitioned_table(
    sail: Sail, s3: S3, s3_prefix: str, tmp_path, matrix: Matrix, form: str
):
    catalog = f"sqlite:///{tmp_path}/catalog.db" if form == "iceberg" else None
    place = Place((form,), s3_prefix, s3.storage_options, catalog)
    place.load(ROWS, partition_by=["kind"], sort_by=["id"])
    place.load(ROWS.slice(0, 10))
    with matrix.reads("Formats", "one format", "sail", form):
        found = sail.read(form, place.location())
        assert_same_rows(found, pa.concat_tables([ROWS, ROWS.slice(0, 10)]), types=False)
