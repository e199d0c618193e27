import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakeload.errors import SourceError
from lakeload.sources.read import read

TABLE = pa.table({"i": pa.array(range(10_000)), "s": pa.array([f"v{i % 7}" for i in range(10_000)])})


@pytest.mark.parametrize("group", [100, 5000, 10_000])
@pytest.mark.parametrize("workers", [1, 3])
def test_parquet_is_read_in_order_by_row_groups(tmp_path, batches, group, workers):
    pq.write_table(TABLE, tmp_path / "x.parquet", row_group_size=group)

    found = batches(tmp_path / "x.parquet", workers=workers)

    assert pa.Table.from_batches(found).equals(TABLE)


def test_parquet_with_row_groups_too_large_to_hold_is_streamed(tmp_path, batches):
    pq.write_table(TABLE, tmp_path / "x.parquet")

    found = batches(tmp_path / "x.parquet", batch_bytes=4096)

    assert len(found) > 10
    assert pa.Table.from_batches(found).equals(TABLE)


def test_parquet_without_row_groups_gives_its_schema(tmp_path, batches):
    pq.write_table(TABLE.slice(0, 0), tmp_path / "x.parquet")

    found = batches(tmp_path / "x.parquet")

    assert sum(batch.num_rows for batch in found) == 0
    assert [batch.schema for batch in found] == [TABLE.schema]


@pytest.mark.parametrize("kind", ["file", "stream"])
@pytest.mark.parametrize("name", ["x.arrow", "x"])
def test_arrow_ipc_is_read_as_file_and_as_stream(tmp_path, batches, kind, name):
    new = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with new(tmp_path / name, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=1000)

    found = batches(tmp_path / name)

    assert pa.Table.from_batches(found).equals(TABLE)
    assert len(found) == 10


@pytest.mark.parametrize(
    "make",
    [
        lambda table: table,
        lambda table: table.to_batches()[0],
        lambda table: table.to_reader(),
        pl.from_arrow,
        lambda table: pl.from_arrow(table).lazy(),
        duckdb.from_arrow,
        lambda table: table.to_pandas(),
        lambda table: iter(table.to_batches(max_chunksize=100)),
        lambda table: [table],
    ],
    ids=["table", "batch", "reader", "frame", "lazy", "duckdb", "pandas", "iterator", "list"],
)
def test_whatever_speaks_arrow_is_streamed(rows, make):
    assert rows(make(TABLE)) == TABLE.to_pylist()


def test_views_and_dictionaries_are_kept(batches):
    table = pa.table({"v": pa.array(["x"], pa.string_view()), "d": pa.array(["x"]).dictionary_encode()})

    assert batches(table)[0].schema == table.schema


def test_a_lazy_frame_is_run_in_batches(batches):
    frame = pl.LazyFrame({"i": range(1_000_000)}).with_columns(pl.col("i") * 2)

    found = batches(frame)

    assert len(found) > 1
    assert sum(batch.num_rows for batch in found) == 1_000_000


@pytest.mark.parametrize("make", [lambda t: t, lambda t: t.to_reader(), pl.from_arrow])
def test_data_without_rows_still_tells_its_schema(batches, make):
    (batch,) = batches(make(TABLE.slice(0, 0)))

    assert (batch.num_rows, batch.schema.names) == (0, ["i", "s"])


def test_an_index_of_pandas_is_no_column_and_its_missing_values_are_null(rows):
    frame = pd.DataFrame({"a": [1.5, np.nan], "b": ["x", None]}, index=["p", "q"])

    assert rows(frame) == [{"a": 1.5, "b": "x"}, {"a": None, "b": None}]


def test_an_endless_stream_is_read_as_it_comes():
    def endless():
        while True:
            yield TABLE.to_batches()[0]

    reader = pa.RecordBatchReader.from_batches(TABLE.schema, endless())
    batches = read(reader, workers=2)

    assert [next(batches).num_rows for _ in range(3)] == [10_000] * 3
    batches.close()


def test_a_table_in_one_huge_chunk_is_handed_on_in_slices(batches):
    table = pa.table(
        {"i": pa.array(range(1_000_000)), "s": pa.nulls(1_000_000, pa.string()).fill_null("x" * 200)}
    )

    found = batches(table)

    assert len(found) > 2
    assert all(batch.nbytes <= 65 << 20 for batch in found)
    assert pa.Table.from_batches(found).equals(table)


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"a\0b": [1]}),
        pl.DataFrame({"a": [[{"x\0": 1}]]}),
        pl.DataFrame({"a": [{"b": {"\0": 1}}]}),
    ],
)
def test_a_name_with_which_polars_would_end_the_process_is_refused(frame):
    with pytest.raises(SourceError, match="NUL"):
        list(read(frame))
    with pytest.raises(SourceError, match="NUL"):
        list(read(frame.lazy()))
