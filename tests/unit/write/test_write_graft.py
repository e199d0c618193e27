"""Widening columns of files already written: what is copied is the same bytes, what is converted the same rows."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from footers import check_footer
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import SchemaError
from lakeload.model.layout import Layout
from lakeload.model.schema import assign_ids
from lakeload.write.conform import convert
from lakeload.write.encode import Encoder, RowGroup
from lakeload.write.graft import Graft, graft
from lakeload.write.sink import Sinks
from lakeload.write.store import Store
from lakeload.write.writer import TableWriter, WriteOptions

MEMBER = pa.struct([("id", pa.int64()), ("name", pa.string())])
WIDE_MEMBER = pa.struct([("id", pa.float64()), ("name", pa.string())])


def wide(schema: pa.Schema, **kinds: pa.DataType) -> pa.Schema:
    """The schema with the field ids it has, where columns have other types."""
    fields = []
    for field in schema:
        kind = kinds.get(field.name)
        if kind is not None and pa.types.is_struct(kind):
            ids = {inner.name: inner.metadata for inner in field.type.fields}
            kind = pa.struct([inner.with_metadata(ids.get(inner.name)) for inner in kind.fields])
        fields.append(field if kind is None else field.with_type(kind))
    return pa.schema(fields)


def sample(rows: int) -> pa.Table:
    day = dt.date(2024, 1, 1)
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "text": [f"row {number * 7919 % rows}" for number in range(rows)],
            "few": [f"kind {number % 5}" if number % 11 else None for number in range(rows)],
            "ratio": pa.array([float("nan") if number % 97 == 0 else number / 7 for number in range(rows)]),
            "member": pa.array(
                [{"id": number, "name": f"n{number}"} if number % 13 else None for number in range(rows)],
                MEMBER,
            ),
            "list": pa.array([[number] * (number % 4) if number % 9 else None for number in range(rows)]),
            "map": pa.array(
                [[(f"k{number % 3}", number)] for number in range(rows)], pa.map_(pa.string(), pa.int64())
            ),
            "day": [day + dt.timedelta(number % 900) for number in range(rows)],
            "none": pa.array([None] * rows, pa.int32()),
        }
    )


def written(root: Path, table: pa.Table, at_once: int = 5_000, **options: Any) -> tuple[pa.Schema, list[Any]]:
    schema, _ = assign_ids(table.schema)
    chosen = {"target_file_size": 1 << 18, **options}
    layout = Layout.parse(chosen.pop("partition_by", ()), chosen.pop("sort_by", ()))
    writer = TableWriter(Store(str(root)), schema, WriteOptions(layout, "load", **chosen))
    for batch in table.to_batches(at_once):
        writer.write(batch)
    return schema, list(writer.close())


def grafted(root: Path, file: Any, before: pa.Schema, after: pa.Schema, encode: Any = None) -> Any:
    store = Store(str(root))
    sinks = Sinks(store)
    made = graft(
        store, file, Graft.of(before, after), encode or Encoder(), sinks=sinks, path="data/new.parquet"
    )
    sinks.close()
    return made


def rewritten(root: Path, rows: pa.Table, schema: pa.Schema) -> Any:
    """The one file a writer makes of the rows."""
    writer = TableWriter(Store(str(root)), schema, WriteOptions(Layout(), "load", target_file_size=64 << 20))
    for batch in rows.to_batches():
        writer.write(batch)
    (file,) = writer.close()
    return file


CHANGES = {
    "int to double": {"id": pa.float64()},
    "int to text": {"id": pa.string()},
    "member of a struct": {"member": WIDE_MEMBER},
    "struct to text": {"member": pa.string()},
    "struct to map": {"member": pa.map_(pa.string(), pa.string())},
    "date to timestamp": {"day": pa.timestamp("us")},
    "list to text, and the first column": {"list": pa.string(), "id": pa.string()},
    "last column of many": {"none": pa.string()},
}


@pytest.mark.parametrize("change", CHANGES)
def test_rows_are_those_of_a_conversion_of_all_columns(tmp_path: Path, change: str) -> None:
    before, files = written(tmp_path, sample(6_000), target_file_size=1 << 17, at_once=1_500)
    after = wide(before, **CHANGES[change])
    for file in files:
        new = grafted(tmp_path, file, before, after)
        path = tmp_path / new.path
        old = pq.read_table(tmp_path / file.path)
        want = pa.Table.from_batches([convert(batch, after) for batch in old.to_batches()])
        got = pq.read_table(path)
        fresh = rewritten(tmp_path / "fresh", want, after)
        assert pq.ParquetFile(path).schema.equals(pq.ParquetFile(tmp_path / "fresh" / fresh.path).schema)
        assert [repr(row) for row in got.to_pylist()] == [repr(row) for row in want.to_pylist()]
        assert (
            pl.read_parquet(path).height == duckdb.sql(f"from '{path}'").count("*").fetchone()[0] == file.rows
        )
        assert (new.rows, new.size) == (file.rows, path.stat().st_size)
        assert len(new.offsets) == pq.read_metadata(path).num_row_groups > 1
        check_footer(path)
        path.unlink()


def test_facts_about_columns_are_those_a_new_file_would_have(tmp_path: Path) -> None:
    table = sample(40_000)
    before, (file, *_) = written(tmp_path, table, target_file_size=64 << 20)
    after = wide(before, id=pa.float64(), member=WIDE_MEMBER)
    rows = pa.Table.from_batches(
        [convert(batch, after) for batch in pq.read_table(tmp_path / file.path).to_batches()]
    )
    fresh = rewritten(tmp_path / "fresh", rows, after)
    found = grafted(tmp_path, file, before, after).stats

    def facts(stats: Any) -> Any:
        return {path: (one.values, one.nulls, one.nans, one.min, one.max) for path, one in stats.items()}

    assert facts(found) == facts(fresh.stats)


def test_pages_of_other_columns_are_copied_and_never_encoded(tmp_path: Path) -> None:
    before, (file, *_) = written(tmp_path, sample(20_000))
    seen: list[list[str]] = []

    def encode(table: pa.Table) -> RowGroup:
        seen.append(table.column_names)
        return Encoder()(table)

    new = grafted(tmp_path, file, before, wide(before, ratio=pa.string()), encode)
    assert seen == [["ratio"]] * len(file.offsets)
    assert pages(tmp_path / file.path, "ratio") == pages(tmp_path / new.path, "ratio")
    assert len(pages(tmp_path / file.path, "ratio")) == len(file.offsets) * 10


def pages(path: Path, but: str) -> list[bytes]:
    metadata, data, found = pq.read_metadata(path), path.read_bytes(), []
    for group in range(metadata.num_row_groups):
        for position in range(metadata.num_columns):
            column = metadata.row_group(group).column(position)
            start = column.dictionary_page_offset or column.data_page_offset
            if column.path_in_schema != but:
                found.append(data[start : start + column.total_compressed_size])
    return found


def test_bounds_in_the_footer_let_engines_skip_and_find(tmp_path: Path) -> None:
    before, (file, *_) = written(tmp_path, sample(20_000), target_file_size=4 << 20)
    path = tmp_path / grafted(tmp_path, file, before, wide(before, id=pa.float64())).path
    for condition in ("id = 13337", "text = 'row 17'", "day = '2024-02-01'", "ratio > 2000", "few is null"):
        (found,) = duckdb.sql(f"select count(*) from '{path}' where {condition}").fetchone()
        (want,) = duckdb.sql(f"select count(*) from '{tmp_path / file.path}' where {condition}").fetchone()
        assert found == want > 0
    assert pq.read_table(path, filters=[("id", "=", 13337)]).num_rows == 1


def test_columns_a_file_lacks_stay_out_of_it_and_required_ones_stay_required(tmp_path: Path) -> None:
    kinds = pa.schema([pa.field("id", pa.int64(), nullable=False), ("n", pa.int32())])
    before, (file,) = written(tmp_path, pa.table({"id": [1, 2], "n": [3, None]}, kinds))
    relaxed = before.field("id").with_nullable(True)
    after = pa.schema([relaxed, before.field("n").with_type(pa.int64()), ("later", pa.string())])
    new = grafted(tmp_path, file, before, after)
    read = pq.read_table(tmp_path / new.path)
    assert read.column_names == ["id", "n"]
    assert read.schema.field("id").nullable is False
    assert read.to_pylist() == [{"id": 1, "n": 3}, {"id": 2, "n": None}]


def test_columns_whose_names_have_dots_are_told_apart(tmp_path: Path) -> None:
    table = pa.table({"a.b": [1, 2], "a": pa.array([{"b": "x"}, None], pa.struct([("b", pa.string())]))})
    before, (file,) = written(tmp_path, table)
    new = grafted(tmp_path, file, before, wide(before, **{"a.b": pa.float64()}))
    assert pq.read_table(tmp_path / new.path).to_pylist() == [
        {"a.b": 1.0, "a": {"b": "x"}},
        {"a.b": 2.0, "a": None},
    ]


def test_value_that_does_not_survive_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    before, (file,) = written(tmp_path, pa.table({"id": [1, 2**53 + 1], "x": ["a", "b"]}))
    sinks = Sinks(Store(str(tmp_path)))
    change = Graft.of(before, wide(before, id=pa.float64()))
    with pytest.raises(SchemaError, match="column id"):
        graft(Store(str(tmp_path)), file, change, Encoder(), sinks=sinks, path="data/new.parquet")
    sinks.abort()
    assert [path.name for path in tmp_path.rglob("*.parquet")] == [Path(file.path).name]


@pytest.mark.parametrize(
    ("layout", "rewritten"),
    [({"sort_by": ("id",)}, True), ({"sort_by": ("few",)}, False), ({"partition_by": ("few",)}, False)],
    ids=["sorted by it", "sorted by another", "partitioned by another"],
)
def test_files_keep_their_order_and_partition(tmp_path: Path, layout: Any, *, rewritten: bool) -> None:
    table = sample(20_000)
    schema, _ = assign_ids(table.schema)
    options = WriteOptions(
        Layout.parse(layout.get("partition_by", ()), layout.get("sort_by", ())),
        "load",
        target_file_size=1 << 18,
    )
    writer = TableWriter(Store(str(tmp_path)), schema, options)
    for batch in table.to_batches(5_000):
        writer.write(batch)
    writer._distribute()
    for lane in writer._lanes.values():
        lane.finish()
    writer.evolve(wide(schema, id=pa.string()))
    files = writer.close()
    rows = {
        (
            file.partition,
            tuple(pq.read_table(tmp_path / file.path, partitioning=None).column("id").to_pylist()),
        )
        for file in files
    }
    assert sorted(int(one) for _, ids in rows for one in ids) == list(range(20_000))
    assert {path.name for path in tmp_path.rglob("*.parquet")} == {Path(file.path).name for file in files}
    for file in files:
        ids = pq.read_table(tmp_path / file.path, partitioning=None).column("id").to_pylist()
        if rewritten:
            assert ids == sorted(ids)
        if "partition_by" in layout:
            few = {f"kind {int(one) % 5}" if int(one) % 11 else None for one in ids}
            assert few == {file.partition[0]}
        check_footer(tmp_path / file.path)


VALUES = {
    "integer": (st.integers(-(2**53), 2**53), pa.int64(), [pa.float64(), pa.string()]),
    "date": (st.dates(), pa.date32(), [pa.timestamp("us"), pa.string()]),
    "boolean": (st.booleans(), pa.bool_(), [pa.string()]),
    "double": (st.floats(allow_nan=True), pa.float64(), [pa.string()]),
    "list": (st.lists(st.integers(0, 99)), pa.list_(pa.int64()), [pa.string()]),
}


@st.composite
def changes(draw: Any) -> tuple[pa.Table, dict[str, pa.DataType]]:
    chosen = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=6))
    rows = draw(st.integers(1, 40))
    columns, kinds = {}, {}
    for position, name in enumerate(chosen):
        values, kind, wider = VALUES[name]
        given_values = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        columns[f"c{position}"] = pa.array(given_values, kind)
        if not position or draw(st.booleans()):
            kinds[f"c{position}"] = draw(st.sampled_from(wider))
    return pa.table(columns), kinds


@given(change=changes())
def test_any_columns_among_any_others(tmp_path_factory: pytest.TempPathFactory, change: Any) -> None:
    table, kinds = change
    root = tmp_path_factory.mktemp("graft")
    before, (file,) = written(root, table)
    after = wide(before, **kinds)
    new = grafted(root, file, before, after)
    want = pa.Table.from_batches([convert(batch, after) for batch in table.to_batches()])
    got = pq.read_table(root / new.path)
    assert repr(got.to_pylist()) == repr(want.to_pylist())
    check_footer(root / new.path)
