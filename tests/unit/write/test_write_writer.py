from __future__ import annotations

import random
import resource
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arrow_data import samples
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import SchemaError, StorageError
from lakeload.model.layout import Layout
from lakeload.model.schema import assign_ids
from lakeload.storage_options import StorageOptions
from lakeload.write import conform
from lakeload.write import writer as writer_module
from lakeload.write.store import Store
from lakeload.write.writer import TableWriter, WriteOptions

MIB = 1 << 20


def options(partition_by=(), sort_by=(), **changes):
    return WriteOptions(Layout.parse(partition_by, sort_by), "load", **changes)


def write(root, batches, chosen):
    schema, _ = assign_ids(batches[0].schema)
    return write_all(TableWriter(Store(str(root)), schema, chosen), batches)


def write_all(writer, batches):
    for batch in batches:
        writer.write(batch)
    return writer.close()


def rows_of(root, files):
    tables = [pq.read_table(root / file.path, partitioning=None) for file in files]
    return [row for table in tables for row in table.to_pylist()]


def test_rows_keep_their_order_and_files_are_as_described(tmp_path):
    batches = [pa.record_batch({"a": list(range(i, i + 10)), "b": [str(i)] * 10}) for i in range(0, 100, 10)]
    (file,) = write(tmp_path, batches, options())
    assert rows_of(tmp_path, [file]) == [row for batch in batches for row in batch.to_pylist()]
    assert (file.rows, file.partition, file.sorted) == (100, (), False)
    assert file.size == (tmp_path / file.path).stat().st_size
    assert file.path.startswith("data/load-")
    assert (file.stats[("a",)].min, file.stats[("a",)].max) == (0, 99)


def test_no_rows_make_no_file(tmp_path):
    assert write(tmp_path, [pa.record_batch({"a": pa.array([], pa.int64())})], options()) == ()
    assert not (tmp_path / "data").exists()


@given(samples(time=True))
def test_any_table_reads_back_the_same_with_each_engine(tmp_path_factory, sample):
    root = tmp_path_factory.mktemp("t")
    (file,) = write(root, sample.stored.combine_chunks().to_batches(), options())
    path = root / file.path
    read = pq.read_table(path)
    assert repr(read.to_pylist()) == repr(sample.stored.to_pylist())
    assert duckdb.sql(f"select count(*) from '{path}'").fetchone() == (sample.stored.num_rows,)
    assert pl.scan_parquet(path).select(pl.len()).collect().item() == sample.stored.num_rows


@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.sampled_from(["x", "y/z", ""])), st.integers(0, 5)), min_size=1
    ),
    st.integers(1, 7),
)
def test_partitions_hold_their_rows_in_order(tmp_path_factory, rows, size):
    root = tmp_path_factory.mktemp("t")
    table = pa.table(
        {"p": pa.array([row[0] for row in rows]).cast(pa.string()), "v": [row[1] for row in rows]}
    )
    files = write(root, table.to_batches(max_chunksize=size), options("p"))
    assert sorted(map(repr, (file.partition[0] for file in files))) == sorted({repr(row[0]) for row in rows})
    for file in files:
        wanted = [{"p": p, "v": v} for p, v in rows if p == file.partition[0]]
        assert rows_of(root, [file]) == wanted


def numbers(rng, rows, spread=2**40):
    return {
        "i": pa.array([rng.randrange(spread) for _ in range(rows)], pa.int64()),
        "x": pa.array([rng.random() for _ in range(rows)]),
        "n": pa.array([rng.randrange(50) for _ in range(rows)], pa.int32()),
    }


def texts(rng, rows):
    return {
        "s": pa.array([rng.randbytes(rng.randrange(10, 60)).hex() for _ in range(rows)]),
        "c": pa.array([rng.choice(["red", "green", "blue"]) for _ in range(rows)]),
    }


def nested(rng, rows):
    return {
        "l": pa.array([[rng.randrange(10**6)] * rng.randrange(5) for _ in range(rows)]),
        "t": pa.array(
            [{"a": rng.random(), "b": [rng.randbytes(4).hex()] * rng.randrange(3)} for _ in range(rows)]
        ),
    }


def drifting(rng, rows, *, wild):
    return {
        "s": pa.array(
            [rng.randbytes(40).hex() if wild else "same old text, well compressed" for _ in range(rows)]
        ),
        "i": pa.array([rng.randrange(2**60) if wild else 7 for _ in range(rows)], pa.int64()),
    }


def stream(make, rows, size):
    rng = random.Random(7)
    parts = [pa.record_batch(make(rng, rows)) for _ in range(8)]
    held = sum(part.nbytes for part in parts)
    order = [rng.randrange(8) for _ in range(max(8, size * 8 // held))]
    return [parts[at] for at in order]


@pytest.mark.parametrize("make", [numbers, texts, nested])
@pytest.mark.parametrize("target", [MIB // 2, 2 * MIB])
def test_files_reach_the_target_size(tmp_path, make, target):
    files = write(tmp_path, stream(make, 5000, 20 * MIB), options(target_file_size=target))
    assert len(files) > 2
    for file in files[:-1]:
        assert file.size == pytest.approx(target, rel=0.1)
    assert files[-1].size <= 1.06 * target


def test_files_reach_the_target_size_though_the_data_changes_its_nature(tmp_path):
    rng = random.Random(3)
    batches = [pa.record_batch(drifting(rng, 4000, wild=turn // 12 % 2)) for turn in range(100)]
    target = MIB // 2
    files = write(tmp_path, batches, options(target_file_size=target))
    assert len(files) > 3
    for file in files[:-1]:
        assert file.size == pytest.approx(target, rel=0.1)
    assert rows_of(tmp_path, files) == [row for batch in batches for row in batch.to_pylist()]


def test_each_partition_reaches_the_target_size(tmp_path):
    rng = random.Random(5)
    batches = [
        pa.record_batch({**numbers(rng, 5000), "p": pa.array([rng.choice("ab") for _ in range(5000)])})
        for _ in range(80)
    ]
    target = MIB
    files = write(tmp_path, batches, options("p", target_file_size=target))
    for key in ("a", "b"):
        of_key = [file for file in files if file.partition == (key,)]
        assert len(of_key) > 1
        for file in of_key[:-1]:
            assert file.size == pytest.approx(target, rel=0.08)


def hashed(kind, start, rows):
    """Rows that differ from those of every other start, made quickly."""
    base = pl.int_range(start, start + rows, eager=True)
    noise, other = ((base.hash(seed) // 2).cast(pl.Int64) for seed in (1, 2))
    text = noise.cast(pl.String)
    match kind:
        case "numbers":
            frame = pl.DataFrame({"i": base, "h": noise, "x": noise / 7, "n": other % 50})
        case "texts":
            frame = pl.DataFrame(
                {"s": text + other.cast(pl.String), "c": "colour " + (other % 9).cast(pl.String)}
            )
        case _:
            frame = pl.DataFrame({"a": noise, "b": other % 1000, "s": text})
            frame = frame.select(pl.concat_list("a", "b").alias("l"), pl.struct("b", "s").alias("t"))
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    return conform.convert(table.combine_chunks().to_batches()[0], schema_of(kind))


def schema_of(kind):
    columns = {
        "numbers": [("i", pa.int64()), ("h", pa.int64()), ("x", pa.float64()), ("n", pa.int64())],
        "texts": [("s", pa.string()), ("c", pa.string())],
        "nested": [
            ("l", pa.list_(pa.int64())),
            ("t", pa.struct([("b", pa.int64()), ("s", pa.string())])),
        ],
    }
    return assign_ids(pa.schema(columns[kind]))[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["numbers", "texts", "nested"])
def test_files_of_sixteen_mebibytes_are_within_three_percent(tmp_path, kind):
    writer = TableWriter(Store(str(tmp_path)), schema_of(kind), options(target_file_size=16 * MIB))
    for start in range(0, 4_000_000, 50_000):
        writer.write(hashed(kind, start, 50_000))
    files = writer.close()
    assert len(files) > 3
    for file in files[:-1]:
        assert file.size == pytest.approx(16 * MIB, rel=0.03)
        assert 3 <= len(file.offsets) <= 8


def test_single_row_larger_than_the_target_is_a_file_of_its_own(tmp_path):
    rng = random.Random(1)
    batch = pa.record_batch({"b": [rng.randbytes(300_000) for _ in range(3)]})
    files = write(tmp_path, [batch], options(target_file_size=100_000))
    assert [file.rows for file in files] == [1, 1, 1]


def test_small_budget_spills_the_largest_partitions_and_loses_nothing(tmp_path):
    rng = random.Random(2)
    parts = [f"p{i}" for i in range(40)]
    batches = [
        pa.record_batch({**numbers(rng, 4000), "p": pa.array([rng.choice(parts) for _ in range(4000)])})
        for _ in range(60)
    ]
    held = []
    schema, _ = assign_ids(batches[0].schema)
    writer = TableWriter(Store(str(tmp_path)), schema, options("p", memory_budget=4 * MIB))
    for batch in batches:
        writer.write(batch)
        held.append(sum(lane.waiting.bytes for lane in writer._lanes.values()))
    files = writer.close()
    assert max(held) < 2 * MIB
    assert any(len(file.offsets) > 1 for file in files)
    got = sorted(map(repr, rows_of(tmp_path, files)))
    assert got == sorted(repr(row) for batch in batches for row in batch.to_pylist())


def test_more_partitions_than_file_handles_are_written(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        rng = random.Random(4)
        batches = [
            pa.record_batch({"p": [rng.randrange(600) for _ in range(3000)], "v": range(3000)})
            for _ in range(20)
        ]
        files = write(tmp_path, batches, options("p", memory_budget=MIB))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(files) == 600
    assert sum(file.rows for file in files) == 60_000
    assert any(len(file.offsets) > 1 for file in files)
    assert all(pq.read_metadata(tmp_path / file.path).num_rows == file.rows for file in files)


def test_staged_rows_of_two_text_layouts_are_both_written(tmp_path):
    schema, _ = assign_ids(pa.schema([("p", pa.string())]))
    writer = TableWriter(Store(str(tmp_path)), schema, options("p"))
    for kind in (pa.string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view(), pa.large_string()):
        writer.write(pa.record_batch({"p": pa.array(["a", "b"]).cast(kind)}))
    assert sorted((file.partition, file.rows) for file in writer.close()) == [(("a",), 4), (("b",), 4)]


def test_rows_of_another_schema_are_refused(tmp_path):
    schema, _ = assign_ids(pa.schema([("a", pa.int64())]))
    writer = TableWriter(Store(str(tmp_path)), schema, options())
    with pytest.raises(SchemaError, match="column a"):
        writer.write(pa.record_batch({"a": ["x"]}))
    writer.abort()


def test_abort_leaves_no_file_behind(tmp_path):
    batches = stream(numbers, 5000, 6 * MIB)
    schema, _ = assign_ids(batches[0].schema)
    writer = TableWriter(Store(str(tmp_path)), schema, options(target_file_size=MIB // 4))
    for batch in batches:
        writer.write(batch)
    writer._crew.drain()
    assert list(tmp_path.rglob("*.parquet"))
    writer.abort()
    assert list(tmp_path.rglob("*.parquet")) == []


def test_null_in_a_required_column_surfaces_and_abort_cleans_up(tmp_path):
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    writer = TableWriter(Store(str(tmp_path)), schema, options())
    writer.write(pa.record_batch({"a": pa.array([1, None])}))
    with pytest.raises(SchemaError, match="non-nullable"):
        writer.close()
    writer.abort()
    assert list(tmp_path.rglob("*.parquet")) == []


def test_full_disk_surfaces_as_storage_error_and_abort_cleans_up(tmp_path):
    batches = stream(numbers, 5000, 6 * MIB)
    schema, _ = assign_ids(batches[0].schema)
    writer = TableWriter(Store(str(tmp_path)), schema, options(target_file_size=MIB))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB // 2, hard))
    try:
        with pytest.raises(StorageError):
            write_all(writer, batches)
        writer.abort()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.rglob("*.parquet")) == []


def test_place_that_cannot_be_written_surfaces_as_storage_error(tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    schema, _ = assign_ids(pa.schema([("a", pa.int64())]))
    writer = TableWriter(Store(str(tmp_path)), schema, options())
    writer.write(pa.record_batch({"a": [1]}))
    with pytest.raises(StorageError):
        writer.close()
    writer.abort()


def test_object_store_gets_the_same_files(s3, s3_prefix):
    store = Store(s3_prefix, StorageOptions.read(s3.storage_options, remote=True))
    batches = stream(numbers, 5000, 4 * MIB)
    schema, _ = assign_ids(batches[0].schema)
    writer = TableWriter(store, schema, options(target_file_size=MIB))
    for batch in batches:
        writer.write(batch)
    spool = writer._sinks._spool
    files = writer.close()
    assert len(files) > 1
    read = [pq.read_table(pa.BufferReader(store.read(file.path))) for file in files]
    assert pa.concat_tables(read).num_rows == sum(batch.num_rows for batch in batches)
    assert [len(store.read(file.path)) for file in files] == [file.size for file in files]
    assert not Path(spool).exists()


def test_object_store_abort_deletes_what_was_uploaded(s3, s3_prefix):
    store = Store(s3_prefix, StorageOptions.read(s3.storage_options, remote=True))
    batches = stream(numbers, 5000, 4 * MIB)
    schema, _ = assign_ids(batches[0].schema)
    writer = TableWriter(store, schema, options(target_file_size=MIB // 2))
    for batch in batches:
        writer.write(batch)
    writer._crew.drain()
    writer._sinks.wait()
    assert store.names("data")
    spool = writer._sinks._spool
    writer.abort()
    assert store.names("data") == []
    assert not Path(spool).exists()


def test_example_in_the_docstring_runs():
    import doctest

    assert doctest.testmod(writer_module).failed == 0
