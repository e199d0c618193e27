"""Inputs that some library underneath would lose, bend or choke on: taken exactly, or refused in one line."""

import datetime as dt

import polars as pl
import pyarrow as pa
import pytest

import lakeload as ll


def rows_of(data, place, **options):
    ll.load(data, place, table="t", load_columns=False, **options)
    return ll.Lakehouse(place, format=options.get("format", "delta")).table("t").to_arrow().to_pylist()


def test_a_column_named_like_a_kept_partition_column_is_refused_later_too(tmp_path):
    ll.load([{"id": 1}], tmp_path, table="t", partition_by="bucket(4, id)")
    with pytest.raises(ll.SchemaError, match="id_bucket"):
        ll.load([{"id": 2, "id_bucket": 77}], tmp_path, table="t")
    assert ll.Lakehouse(tmp_path).table("t").to_arrow(["id"]).to_pylist() == [{"id": 1}]


@pytest.mark.parametrize(
    ("first", "second", "partition_by"),
    [
        (pa.array([1], pa.int32()), pa.array([2**40]), "truncate(10, a)"),
        (pa.array([dt.date(2024, 1, 1)]), pa.array([dt.datetime(2024, 1, 1, 5)]), "a"),
    ],
)
def test_a_partition_column_whose_log_text_would_not_fit_is_not_widened(
    tmp_path, first, second, partition_by
):
    ll.load(pa.table({"a": first}), tmp_path, table="t", partition_by=partition_by)
    with pytest.raises(ll.SchemaError, match="partitioned by the column"):
        ll.load(pa.table({"a": second}), tmp_path, table="t")
    assert ll.Lakehouse(tmp_path).table("t").to_polars().collect().height == 1


def test_an_integer_partition_column_is_widened_in_both_formats(tmp_path):
    ll.load(pa.table({"a": pa.array([1], pa.int32())}), tmp_path, table="t", format="both", partition_by="a")
    ll.load(pa.table({"a": pa.array([2**40])}), tmp_path, table="t", format="both")
    for name in ("delta", "iceberg"):
        table = ll.Lakehouse(tmp_path, format=name).open("t", (name,))
        found = table.scan(table.load(), ["a"]).read_all()["a"].to_pylist()
        assert sorted(found) == [1, 2**40]


def test_truncation_beyond_the_range_of_the_type_is_refused(tmp_path):
    with pytest.raises(ll.SchemaError, match="too large to be partitioned"):
        ll.load([{"id": -(2**63)}], tmp_path, table="t", format="iceberg", partition_by="truncate(10, id)")


def csv(tmp_path, text):
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode())
    return path


def test_numbers_beyond_doubles_stay_text(tmp_path):
    found = rows_of(csv(tmp_path, "a\n1e400\n-1e999\n"), tmp_path / "lake")
    assert [row["a"] for row in found] == ["1e400", "-1e999"]


def test_objects_of_polars_are_refused_and_not_stored_as_addresses(tmp_path):
    frame = pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)})
    with pytest.raises(ll.SourceError, match="Python objects"):
        ll.load(frame, tmp_path, table="t")


def test_categories_of_polars_are_loaded_as_text_at_any_depth(tmp_path):
    frame = pl.DataFrame(
        {
            "c": pl.Series(["u", None, "u"], dtype=pl.Categorical),
            "l": pl.Series([["a"], [], None], dtype=pl.List(pl.Enum(["a"]))),
        }
    )
    assert rows_of(frame, tmp_path) == [{"c": "u", "l": ["a"]}, {"c": None, "l": []}, {"c": "u", "l": None}]


def test_a_null_inside_a_dictionary_is_a_null(tmp_path):
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["x", None]))
    assert [row["c"] for row in rows_of(pa.table({"c": column}), tmp_path)] == ["x", None, None]


def test_cursors_at_the_edge_of_their_type_are_kept(tmp_path):
    assert rows_of([{"c": -(2**63)}], tmp_path / "a", cursor=ll.Cursor("c", lag=10)) == [{"c": -(2**63)}]
    big = pa.table({"c": pa.array([2**64 - 2], pa.uint64())})
    assert len(rows_of(big, tmp_path / "b", cursor="c")) == 1
    with pytest.raises(ll.ConfigError, match="shorter lag"):
        ll.load([{"c": dt.datetime(1, 1, 1)}], tmp_path / "c", table="t", cursor=ll.Cursor("c", lag="1d"))


def test_a_pandas_column_of_mixed_objects_is_refused_in_one_line(tmp_path):
    pandas = pytest.importorskip("pandas")
    with pytest.raises(ll.SourceError, match="DataFrame"):
        ll.load(pandas.DataFrame({"m": [1, "x"]}), tmp_path, table="t")


def test_an_error_after_the_files_are_closed_leaves_no_file_behind(tmp_path):
    class Interrupted:
        def advance(self, stage, table, **_counts):
            if stage == "write":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ll.load([{"a": 1}], tmp_path, table="t", progress=Interrupted())
    assert list(tmp_path.rglob("*.parquet")) == []


@pytest.mark.parametrize(
    "data",
    [
        [{"id": 1, "_lakeload_row": 7}],
        b'{"id": 1, "_lakeload_row": 7}',
        pa.table({"id": [1], "_lakeload_row": [7]}),
    ],
    ids=["rows", "json", "arrow"],
)
@pytest.mark.parametrize("contract", ["evolve", {"types": "quarantine"}], ids=["evolve", "quarantine"])
def test_a_column_called_like_the_numbers_of_rows_is_refused(data, contract, tmp_path):
    with pytest.raises(ll.SchemaError, match="'_lakeload_row' is reserved"):
        ll.load(data, tmp_path, table="t", contract=contract)


@pytest.mark.parametrize("kind", [pa.list_view, pa.large_list_view, pa.large_list])
def test_lists_of_any_layout_are_whole_beside_a_row_put_aside(kind, tmp_path):
    lists = [[1, 2], None, [], [3]]
    data = pa.table({"id": [1, 2, 3, 4], "v": pa.array(lists, kind(pa.int64()))})
    ll.load(data, tmp_path, table="t", rules=["id between 2 and 4"], load_columns=False)
    found = {row["id"]: row["v"] for row in ll.Lakehouse(tmp_path).table("t").to_arrow().to_pylist()}
    assert found == {2: None, 3: [], 4: [3]}
