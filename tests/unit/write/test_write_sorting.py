from __future__ import annotations

import math
import random
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import SchemaError
from lakeload.model.layout import Layout, SortField
from lakeload.model.schema import assign_ids
from lakeload.write.sorting import Merge, Run, Runs, ranking, sorted_table, write_run
from lakeload.write.store import Store
from lakeload.write.writer import TableWriter, WriteOptions

MIB = 1 << 20


def key(value):
    """The order the specification asks for: null, numbers, NaN; the reverse when descending."""
    if value is None:
        return (0,)
    return (2,) if isinstance(value, float) and math.isnan(value) else (1, value)


ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-3, 3)),
        st.one_of(st.none(), st.sampled_from([1.5, -1.0, math.nan, math.inf])),
        st.one_of(st.none(), st.sampled_from(["", "a", "é"])),
    ),
    max_size=30,
)
ORDERS = st.lists(
    st.tuples(st.sampled_from("ixs"), st.booleans()), min_size=1, max_size=3, unique_by=lambda pair: pair[0]
)


def table_of(rows):
    return pa.table(
        {
            "i": pa.array([row[0] for row in rows], pa.int64()),
            "x": pa.array([row[1] for row in rows], pa.float64(), from_pandas=False),
            "s": pa.array([row[2] for row in rows], pa.string()),
            "n": pa.array(range(len(rows)), pa.int64()),
        }
    )


def expected(rows, order):
    found = list(enumerate(rows))
    for name, descending in reversed(order):
        place = "ixs".index(name)
        found.sort(key=lambda pair: key(pair[1][place]), reverse=descending)
    return [number for number, _ in found]


@given(ROWS, ORDERS)
def test_order_is_that_of_the_specification_and_stable(rows, order):
    fields = [SortField(name, descending) for name, descending in order]
    assert ranking(table_of(rows), fields).to_pylist() == expected(rows, order)


@given(ROWS, ORDERS, st.lists(st.integers(0, 30), max_size=3), st.integers(1, 7))
def test_merged_runs_are_the_sorted_whole(tmp_path_factory, rows, order, cuts, step):
    fields = [SortField(name, descending) for name, descending in order]
    whole = table_of(rows)
    folder = tmp_path_factory.mktemp("runs")
    bounds = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    runs = []
    for number, (low, high) in enumerate(pairwise(bounds)):
        part = sorted_table(whole.slice(low, high - low), fields)
        runs.append(
            Run(part.num_rows, 1, table=part)
            if number % 2
            else write_run(part, 1, folder / f"{number}.arrow")
        )
    merge = Merge(runs, fields)
    pieces = []
    while merge.rows:
        pieces.append(merge.take(step))
    got = [number for piece in pieces for number in piece.column("n").to_pylist()]
    assert got == expected(rows, order)
    assert merge.left() == []


def test_what_a_merge_did_not_take_can_be_merged_later():
    fields = [SortField("n")]
    first = Run(5, 50, table=pa.table({"n": [0, 2, 4, 6, 8]}))
    second = Run(3, 30, table=pa.table({"n": [1, 3, 9]}))
    merge = Merge([first, second], fields)
    assert merge.take(4).column("n").to_pylist() == [0, 1, 2, 3]
    rest = Merge(merge.left(), fields)
    assert rest.take(99).column("n").to_pylist() == [4, 6, 8, 9]


def test_runs_of_different_dictionaries_merge_by_value(tmp_path):
    fields = [SortField("c")]
    runs = []
    for number, values in enumerate((["b", "d"], ["a", "c"])):
        table = pa.table({"c": pa.array(values).dictionary_encode()})
        runs.append(write_run(table, 1, tmp_path / f"{number}.arrow"))
    assert Merge(runs, fields).take(9).column("c").to_pylist() == ["a", "b", "c", "d"]


def rows_stream(count, rng):
    return [
        pa.record_batch(
            {
                "k": pa.array([rng.choice([None, rng.randrange(10**6)]) for _ in range(3000)], pa.int64()),
                "s": pa.array([rng.randbytes(8).hex() for _ in range(3000)]),
                "p": pa.array([rng.choice("ab") for _ in range(3000)]),
            }
        )
        for _ in range(count)
    ]


def write(root, batches, layout, **changes):
    schema, _ = assign_ids(batches[0].schema)
    writer = TableWriter(Store(str(root)), schema, WriteOptions(layout, "load", **changes))
    for batch in batches:
        writer.write(batch)
    return writer.close()


@pytest.mark.parametrize("sort_by", ["k", "k desc", "s"])
@pytest.mark.parametrize("partition_by", [(), ("p",)])
def test_every_file_is_sorted_as_a_whole_and_full(tmp_path, sort_by, partition_by):
    batches = rows_stream(60, random.Random(1))
    target = MIB // 2
    layout = Layout.parse(partition_by, sort_by)
    files = write(tmp_path, batches, layout, target_file_size=target, memory_budget=4 * MIB)
    assert len(files) > 3
    got = []
    for file in files:
        table = pq.read_table(tmp_path / file.path, partitioning=None)
        assert ranking(table, layout.sort_by).to_pylist() == list(range(table.num_rows))
        assert file.sorted
        assert len(file.offsets) > 1
        got += table.to_pylist()
    for partition in {file.partition for file in files}:
        for file in [file for file in files if file.partition == partition][:-1]:
            assert file.size == pytest.approx(target, rel=0.1)
    wanted = [row for batch in batches for row in batch.to_pylist()]
    assert sorted(map(repr, got)) == sorted(map(repr, wanted))


def test_rows_that_compress_far_better_once_sorted_still_fill_their_files(tmp_path):
    rng = random.Random(1)
    words = [rng.randbytes(30).hex() for _ in range(40_000)]
    batches = [pa.record_batch({"w": [rng.choice(words) for _ in range(5000)]}) for _ in range(160)]
    target = MIB // 2
    layout = Layout.parse((), "w")
    files = write(tmp_path, batches, layout, target_file_size=target, memory_budget=16 * MIB)
    assert len(files) > 1
    for file in files[:-1]:
        assert file.size == pytest.approx(target, rel=0.1)
    assert sum(file.rows for file in files) == 800_000
    assert {path.name for path in tmp_path.rglob("*.parquet")} == {file.path.split("/")[-1] for file in files}


def test_many_small_sorted_partitions_are_each_sorted(tmp_path):
    batches = [
        pa.record_batch({"p": [n % 50 for n in range(2000)], "v": [n * 7919 % 2003 for n in range(2000)]})
        for _ in range(3)
    ]
    files = write(tmp_path, batches, Layout.parse("p", "v desc"))
    assert len(files) == 50
    for file in files:
        values = pq.read_table(tmp_path / file.path, partitioning=None).column("v").to_pylist()
        assert file.sorted
        assert values == sorted(values, reverse=True)
        assert len(values) == 120


def test_small_sorted_load_touches_no_temporary_file(tmp_path, monkeypatch):
    monkeypatch.setattr(Runs, "new_path", lambda self: pytest.fail("a run was written"))
    batches = rows_stream(2, random.Random(1))
    (file,) = write(tmp_path, batches, Layout.parse((), "k"))
    column = pq.read_table(tmp_path / file.path).column("k").to_pylist()
    assert column == sorted(column, key=key)


def test_abort_removes_runs_and_files(tmp_path):
    batches = rows_stream(40, random.Random(1))
    schema, _ = assign_ids(batches[0].schema)
    options = WriteOptions(Layout.parse((), "k"), "load", target_file_size=4 * MIB, memory_budget=4 * MIB)
    writer = TableWriter(Store(str(tmp_path)), schema, options)
    for batch in batches:
        writer.write(batch)
    folder = writer._runs.new_path().parent
    assert folder.exists()
    writer.abort()
    assert not folder.exists()
    assert list(tmp_path.rglob("*.parquet")) == []


@pytest.mark.parametrize(("sort_by", "match"), [("gone", "not there"), ("l", "cannot sort by")])
def test_column_that_cannot_be_sorted_by_is_refused_before_writing(tmp_path, sort_by, match):
    schema = pa.schema([("l", pa.list_(pa.int64()))])
    with pytest.raises(SchemaError, match=match):
        TableWriter(Store(str(tmp_path)), schema, WriteOptions(Layout.parse((), sort_by), "load"))
