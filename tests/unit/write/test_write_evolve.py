from __future__ import annotations

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakeload.errors import SchemaError, StorageError
from lakeload.model.changes import SchemaChange
from lakeload.model.layout import Layout
from lakeload.model.schema import apply_changes, assign_ids
from lakeload.storage_options import StorageOptions
from lakeload.write.rewrite import rewrite
from lakeload.write.store import Store
from lakeload.write.writer import TableWriter, WriteOptions

KIB = 1 << 10


def options(partition_by=(), sort_by=(), **changes):
    return WriteOptions(Layout.parse(partition_by, sort_by), "load", **changes)


def rows_of(root, files, columns=None):
    return [
        row
        for file in files
        for row in pq.read_table(root / file.path, partitioning=None, columns=columns).to_pylist()
    ]


def widened(schema, last, column, kind):
    return apply_changes(schema, last, [SchemaChange("widen", (column,), schema.field(column).type, kind)])


@pytest.fixture
def base():
    return assign_ids(pa.schema([("a", pa.int32()), ("p", pa.int32())]))


def batch(schema, values):
    return pa.record_batch({"a": values, "p": [value % 2 for value in values]}, schema=schema)


@pytest.mark.parametrize("layout", [((), ()), (("p",), ()), ((), ("a",)), (("p",), ("a desc",))])
def test_rows_held_back_take_on_the_new_schema(tmp_path, base, layout):
    schema, last = base
    writer = TableWriter(Store(str(tmp_path)), schema, options(*layout))
    writer.write(batch(schema, [1, 2]))
    wide, last = widened(schema, last, "a", pa.int64())
    wide, last = apply_changes(wide, last, [SchemaChange("add", ("b",), None, pa.string())])
    writer.evolve(wide)
    writer.write(pa.record_batch({"a": [2**40], "p": [0], "b": ["x"]}, schema=wide))
    files = writer.close()
    for file in files:
        read = pq.read_schema(tmp_path / file.path)
        assert read.equals(wide, check_metadata=True)
        assert file.stats[("a",)].max is not None
    got = sorted(rows_of(tmp_path, files), key=lambda row: row["a"])
    assert got == [
        {"a": 1, "p": 1, "b": None},
        {"a": 2, "p": 0, "b": None},
        {"a": 2**40, "p": 0, "b": "x"},
    ]


def big(schema, rng):
    return batch(schema, [rng.randrange(2**30) for _ in range(20_000)])


def test_files_begun_before_a_widening_are_rewritten(tmp_path, base):
    schema, last = base
    rng = random.Random(1)
    writer = TableWriter(Store(str(tmp_path)), schema, options(target_file_size=64 * KIB))
    first = [big(schema, rng) for _ in range(4)]
    for rows in first:
        writer.write(rows)
    writer._crew.drain()
    before = {path.name for path in tmp_path.rglob("*.parquet")}
    assert before
    wide, last = widened(schema, last, "a", pa.float64())
    writer.evolve(wide)
    writer.write(pa.record_batch({"a": [0.5], "p": [1]}, schema=wide))
    files = writer.close()
    assert {path.name for path in tmp_path.rglob("*.parquet")} == {file.path.split("/")[-1] for file in files}
    assert all(pq.read_schema(tmp_path / file.path).equals(wide, check_metadata=True) for file in files)
    want = [row["a"] for rows in first for row in rows.to_pylist()] + [0.5]
    assert sorted(row["a"] for row in rows_of(tmp_path, files)) == sorted(want)


def test_files_that_only_miss_a_column_stay(tmp_path, base):
    schema, last = base
    rng = random.Random(1)
    writer = TableWriter(Store(str(tmp_path)), schema, options(target_file_size=64 * KIB))
    for _ in range(4):
        writer.write(big(schema, rng))
    writer._crew.drain()
    before = {path.name for path in tmp_path.rglob("*.parquet")}
    more, last = apply_changes(schema, last, [SchemaChange("add", ("b",), None, pa.string())])
    writer.evolve(more)
    files = writer.close()
    assert before <= {file.path.split("/")[-1] for file in files}
    assert sum(file.rows for file in files) == 80_000


def test_value_that_does_not_survive_a_widening_is_refused(tmp_path):
    schema, last = assign_ids(pa.schema([("a", pa.int64())]))
    writer = TableWriter(Store(str(tmp_path)), schema, options())
    writer.write(pa.record_batch({"a": [2**53 + 1]}, schema=schema))
    wide, _ = widened(schema, last, "a", pa.float64())
    with pytest.raises(SchemaError, match="column a"):
        writer.evolve(wide)
    writer.abort()
    assert list(tmp_path.rglob("*.parquet")) == []


def finish_with(writer, schema):
    writer.evolve(schema)
    writer.close()


def test_value_already_in_a_file_that_does_not_survive_is_refused_too(tmp_path):
    schema, last = assign_ids(pa.schema([("a", pa.int64())]))
    rng = random.Random(1)
    writer = TableWriter(Store(str(tmp_path)), schema, options(target_file_size=64 * KIB))
    for _ in range(4):
        values = [2**53 + 1 + rng.randrange(2**50) * 2 for _ in range(20_000)]
        writer.write(pa.record_batch({"a": values}, schema=schema))
    writer._crew.drain()
    wide, _ = widened(schema, last, "a", pa.float64())
    with pytest.raises(SchemaError, match="column a"):
        finish_with(writer, wide)
    writer.abort()
    assert list(tmp_path.rglob("*.parquet")) == []


def test_partition_value_follows_the_widened_type(tmp_path, base):
    schema, last = base
    writer = TableWriter(Store(str(tmp_path)), schema, options("p"))
    writer.write(batch(schema, [1]))
    wide, _ = widened(schema, last, "p", pa.float64())
    writer.evolve(wide)
    (file,) = writer.close()
    assert [type(value) for value in file.partition] == [float]


def test_relaxed_column_takes_nulls_and_keeps_the_files(tmp_path):
    strict = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    schema, last = assign_ids(strict)
    writer = TableWriter(Store(str(tmp_path)), schema, options())
    writer.write(pa.record_batch({"a": [1]}, schema=schema))
    relaxed, _ = apply_changes(schema, last, [SchemaChange("relax", ("a",), pa.int64(), pa.int64())])
    writer.evolve(relaxed)
    writer.write(pa.record_batch({"a": pa.array([None], pa.int64())}, schema=relaxed))
    assert [row["a"] for row in rows_of(tmp_path, writer.close())] == [1, None]


def test_evolving_to_the_same_schema_closes_no_file(tmp_path, base):
    schema, _ = base
    rng = random.Random(1)
    writer = TableWriter(Store(str(tmp_path)), schema, options())
    for _ in range(6):
        writer.evolve(schema)
        writer.write(big(schema, rng))
    assert len(writer.close()) == 1


def written(root, batches, chosen=None):
    schema, _ = assign_ids(batches[0].schema)
    writer = TableWriter(Store(str(root)), schema, chosen or options())
    for rows in batches:
        writer.write(rows)
    return schema, writer.close()


def test_rewriting_joins_files_in_order_and_keeps_the_old_ones(tmp_path):
    paths = []
    for start in range(5):
        schema, files = written(tmp_path, [pa.record_batch({"a": [start, start + 10]})])
        paths += [file.path for file in files]
    (file,) = rewrite(Store(str(tmp_path)), paths, schema, options())
    assert [row["a"] for row in rows_of(tmp_path, [file])] == [0, 10, 1, 11, 2, 12, 3, 13, 4, 14]
    assert all((tmp_path / path).exists() for path in paths)
    assert (file.stats[("a",)].min, file.stats[("a",)].max) == (0, 14)


def test_rewriting_fills_missing_columns_and_follows_renames_by_id(tmp_path):
    schema, files = written(tmp_path, [pa.record_batch({"a": [1], "s": [{"x": 1}]})])
    inner = schema.field("s").type.field("x")
    renamed = schema.field("s").with_type(pa.struct([inner.with_name("y")])).with_name("t")
    new, _ = assign_ids(pa.schema([schema.field("a").with_name("b"), renamed, pa.field("a", pa.string())]), 3)
    (file,) = rewrite(Store(str(tmp_path)), [files[0].path], new, options())
    assert rows_of(tmp_path, [file]) == [{"b": 1, "t": {"y": 1}, "a": None}]


def test_rewriting_a_partitioned_table_keeps_the_partitions(tmp_path):
    schema, files = written(
        tmp_path, [pa.record_batch({"p": ["a", "b", None], "v": [1, 2, 3]})], options("p")
    )
    new = rewrite(Store(str(tmp_path)), [file.path for file in files], schema, options("p"))
    assert sorted((str(file.partition[0]), file.rows) for file in new) == [("None", 1), ("a", 1), ("b", 1)]


def test_failed_rewrite_leaves_only_the_old_files(tmp_path):
    schema, files = written(tmp_path, [pa.record_batch({"a": [1]})])
    with pytest.raises(StorageError):
        rewrite(Store(str(tmp_path)), [files[0].path, "data/gone.parquet"], schema, options())
    assert [path.name for path in tmp_path.rglob("*.parquet")] == [files[0].path.split("/")[-1]]


def test_rewriting_a_broken_file_is_a_storage_error(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/broken.parquet").write_bytes(b"PAR1 this is no parquet file PAR1")
    schema, _ = assign_ids(pa.schema([("a", pa.int64())]))
    with pytest.raises(StorageError, match=r"broken\.parquet"):
        rewrite(Store(str(tmp_path)), ["data/broken.parquet"], schema, options())


def test_files_in_an_object_store_are_rewritten_there(s3, s3_prefix):
    store = Store(s3_prefix, StorageOptions.read(s3.storage_options, remote=True))
    schema, _ = assign_ids(pa.schema([("a", pa.int64())]))
    paths = []
    for value in range(3):
        writer = TableWriter(store, schema, options())
        writer.write(pa.record_batch({"a": [value]}, schema=schema))
        paths += [file.path for file in writer.close()]
    (file,) = rewrite(store, paths, schema, options())
    assert pq.read_table(pa.BufferReader(store.read(file.path))).column("a").to_pylist() == [0, 1, 2]


def test_object_store_that_may_not_be_written_is_a_storage_error(s3, s3_prefix):
    store = Store(s3_prefix, StorageOptions.read(s3.read_only, remote=True))
    schema, _ = assign_ids(pa.schema([("a", pa.int64())]))
    writer = TableWriter(store, schema, options())
    writer.write(pa.record_batch({"a": [1]}, schema=schema))
    with pytest.raises(StorageError, match="credentials"):
        writer.close()
    writer.abort()
