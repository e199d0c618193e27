from __future__ import annotations

import io
from itertools import pairwise

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arrow_data import samples
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import SchemaError
from lakeload.model.schema import assign_ids, field_id, walk
from lakeload.write import conform
from lakeload.write.assemble import Assembly
from lakeload.write.encode import Encoder, choose_encodings


def assembled(tables, encoding="compat"):
    encode, file = Encoder(encoding), Assembly()
    body = [bytes(part) for table in tables for part in file.add(encode(table))]
    data = b"".join([*body, file.finish()])
    return data, file


def pieces(table, cuts):
    bounds = sorted({0, table.num_rows, *(cut for cut in cuts if cut < table.num_rows)})
    return [table.slice(a, b - a) for a, b in pairwise(bounds)]


@given(
    samples(time=True, most_rows=12),
    st.lists(st.integers(1, 12), max_size=3),
    st.sampled_from(["compat", "modern"]),
)
def test_any_table_in_any_cut_reads_back_the_same(sample, cuts, encoding):
    table = sample.stored
    data, file = assembled(pieces(table, cuts), encoding)
    read = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
    assert read.read().equals(table) or read.read().to_pylist().__repr__() == table.to_pylist().__repr__()
    assert (file.size, file.rows) == (len(data), table.num_rows)
    for index, start in enumerate(file.offsets):
        assert read.metadata.row_group(index).column(0).file_offset in (0, start)
        first = read.metadata.row_group(index).column(0)
        assert start == (first.dictionary_page_offset or first.data_page_offset)


@pytest.fixture(scope="module")
def long_table():
    rows = 50_000
    return pa.table(
        {
            "i": pa.array(range(rows), pa.int64()),
            "d": pa.array([value % 7 for value in range(rows)], pa.int64()),
            "x": pa.array([value / 3 if value % 11 else None for value in range(rows)]),
            "s": pa.array([f"text {value * 7919 % 100003}" for value in range(rows)]),
            "l": pa.array([[value, None][: value % 3] for value in range(rows)]),
            "t": pa.array([{"a": value, "b": str(value % 5)} for value in range(rows)]),
        }
    )


@pytest.mark.parametrize("encoding", ["compat", "modern"])
def test_joined_row_groups_are_read_and_pruned_by_other_engines(long_table, tmp_path, encoding):
    data, file = assembled(pieces(long_table, [1, 9000, 30_000]), encoding)
    path = tmp_path / "file.parquet"
    path.write_bytes(data)
    assert len(file.offsets) == 4
    assert pq.read_table(path).equals(long_table)
    assert pl.read_parquet(path).equals(pl.from_arrow(long_table))
    some = pl.scan_parquet(path).filter(pl.col("i").is_between(29_990, 30_010)).collect()
    assert some["s"].to_list() == long_table.column("s").slice(29_990, 21).to_pylist()
    con = duckdb.connect()
    got = con.sql(f"select i, s, l, t.b from '{path}' where i between 8999 and 9001 order by i").fetchall()
    want = long_table.slice(8999, 3).to_pylist()
    assert got == [(row["i"], row["s"], row["l"], row["t"]["b"]) for row in want]
    assert con.sql(f"select count(*), sum(x) from '{path}'").fetchone()[0] == 50_000


def test_page_index_points_at_the_pages(long_table):
    data, _ = assembled(pieces(long_table, [20_000]))
    metadata = pq.read_metadata(io.BytesIO(data))
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            assert metadata.row_group(group).column(column).has_offset_index
            assert metadata.row_group(group).column(column).has_column_index


def test_rust_reader_skips_pages_by_the_index(long_table, tmp_path):
    from deltalake import DeltaTable, QueryBuilder, write_deltalake
    from deltalake.transaction import AddAction

    table = tmp_path / "t"
    write_deltalake(str(table), long_table.select(["i", "s"]).slice(0, 0))
    data, file = assembled(pieces(long_table.select(["i", "s"]), [20_000]))
    (table / "f.parquet").write_bytes(data)
    delta = DeltaTable(str(table))
    delta.create_write_transaction(
        [AddAction("f.parquet", file.size, {}, 0, True, "{}")], "append", delta.schema(), []
    )
    found = QueryBuilder().register("t", DeltaTable(str(table))).execute("select s from t where i = 20001")
    assert pa.table(found.read_all()).column(0).to_pylist() == [long_table.column("s")[20_001].as_py()]


def test_field_ids_reach_every_level_and_elements_have_the_standard_name():
    kind = pa.map_(pa.string(), pa.list_(pa.struct([("x", pa.int64()), ("y", pa.list_(pa.string()))])))
    schema, last = assign_ids(pa.schema([("m", kind), ("l", pa.list_(pa.int32()))]))
    rows = [{"m": [("k", [{"x": 1, "y": ["z"]}])], "l": [1]}]
    data, _ = assembled([pa.Table.from_pylist(rows, schema=schema)])
    read = pq.ParquetFile(io.BytesIO(data))
    ids = []
    walk(read.schema_arrow, lambda _path, field: ids.append(field_id(field)))
    assert sorted(ids) == list(range(1, last + 1))
    assert [read.schema.column(i).path for i in range(len(read.schema))] == [
        "m.key_value.key",
        "m.key_value.value.list.element.x",
        "m.key_value.value.list.element.y.list.element",
        "l.list.element",
    ]
    assert b"ARROW:schema" not in (read.metadata.metadata or {})


def test_null_in_a_required_column_is_refused():
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    with pytest.raises(SchemaError, match="non-nullable"):
        Encoder()(pa.table({"a": pa.array([1, None])}, schema=schema))


def test_text_in_any_arrow_layout_gives_the_same_rows():
    texts = ["a", None, "bb", "a"] * 100
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        data, _ = assembled([pa.table({"c": pa.array(texts, pa.string()).cast(kind)})])
        read = pq.read_table(io.BytesIO(data))
        assert read.column("c").to_pylist() == texts
        assert read.schema.field("c").type == pa.string()


def test_dictionary_encodes_what_repeats_and_not_what_does_not(long_table):
    dictionary, others = choose_encodings(long_table, "compat")
    assert dictionary == ["d", "t.b"]
    assert others == {}


def test_clustered_column_with_many_values_is_not_taken_for_a_repeating_one():
    rows = 400_000
    table = pa.table({"c": pa.array([value // 4 for value in range(rows)], pa.int64())})
    assert choose_encodings(table, "compat") == ([], {})


def test_modern_encodings_suit_the_type(long_table):
    _, others = choose_encodings(long_table, "modern")
    assert others == {
        "i": "DELTA_BINARY_PACKED",
        "s": "DELTA_LENGTH_BYTE_ARRAY",
        "l.list.element": "DELTA_BINARY_PACKED",
        "t.a": "DELTA_BINARY_PACKED",
    }


def test_constant_dictionary_column_costs_next_to_nothing():
    constant = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), 100_000), ["load-1"])
    group = Encoder()(pa.table({"c": constant}))
    assert group.size < 1000


def test_columns_of_nulls_only_are_stored():
    kinds = [
        pa.int64(),
        pa.string(),
        pa.list_(pa.int64()),
        pa.struct([("a", pa.float64())]),
        pa.decimal128(20, 2),
    ]
    table = pa.table([pa.nulls(10, kind) for kind in kinds], [f"c{i}" for i in range(len(kinds))])
    data, file = assembled([table])
    assert pq.read_table(io.BytesIO(data)).to_pylist() == table.to_pylist()
    assert all(part.nulls == 10 for part in file.stats().values())


@given(samples(most_rows=6))
def test_admitted_rows_are_the_given_rows(sample):
    schema, _ = assign_ids(sample.stored.schema)
    for batch in sample.stored.to_batches():
        admitted = conform.admit(batch, schema)
        assert admitted.schema.equals(schema, check_metadata=True)
        assert repr(admitted.to_pylist()) == repr(batch.to_pylist())
