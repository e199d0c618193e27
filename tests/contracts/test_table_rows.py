"""Rows in, rows out: append, overwrite, empty loads, every kind of in-memory data."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from lakes import Place

import lakeload as ll


def rows(*ids: int, text: str = "x") -> pa.Table:
    return pa.table(
        {"id": pa.array(ids, pa.int64()), "text": pa.array([f"{text}{i}" for i in ids], pa.string())}
    )


def test_first_load_creates_the_table(place: Place) -> None:
    report = place.load(rows(1, 2, 3))
    assert report.tables["t"].rows == 3
    assert place.lake().tables() == ["t"]
    place.holds(rows(1, 2, 3))


def test_append_adds_to_what_is_there(place: Place) -> None:
    place.load(rows(1, 2))
    place.load(rows(2, 3))
    place.load(rows(4), mode=ll.Append())
    place.holds(rows(1, 2, 2, 3, 4))


def test_overwrite_replaces_every_row(place: Place) -> None:
    place.load(rows(1, 2))
    place.load(rows(3))
    report = place.load(rows(7, 8), mode=ll.Overwrite())
    assert report.tables["t"].rows == 2
    place.holds(rows(7, 8))


def test_overwrite_of_a_table_that_does_not_exist_creates_it(place: Place) -> None:
    place.load(rows(1), mode=ll.Overwrite())
    place.holds(rows(1))


def test_append_after_overwrite_adds_to_the_new_rows(place: Place) -> None:
    place.load(rows(1))
    place.load(rows(2), mode=ll.Overwrite())
    place.load(rows(3))
    place.holds(rows(2, 3))


def test_overwrite_with_no_rows_empties_the_table(place: Place) -> None:
    place.load(rows(1, 2))
    place.load(rows(), mode=ll.Overwrite(empty="clear"))
    place.holds(rows())


def parts(*pairs: tuple[str | None, int]) -> pa.Table:
    return pa.table(
        {
            "part": pa.array([p for p, _ in pairs], pa.string()),
            "id": pa.array([i for _, i in pairs], pa.int64()),
        }
    )


def test_dynamic_overwrite_replaces_only_partitions_that_get_rows(place: Place) -> None:
    place.load(parts(("a", 1), ("a", 2), ("b", 3), (None, 4)), partition_by="part")
    place.load(parts(("b", 5)))
    place.load(parts(("b", 6), ("c", 7)), mode=ll.Overwrite(partitions="dynamic"))
    place.holds(parts(("a", 1), ("a", 2), ("b", 6), ("c", 7), (None, 4)))


def test_dynamic_overwrite_replaces_the_partition_of_nulls(place: Place) -> None:
    place.load(parts(("a", 1), (None, 2)), partition_by="part")
    place.load(parts((None, 3)), mode=ll.Overwrite(partitions="dynamic"))
    place.holds(parts(("a", 1), (None, 3)))


def test_dynamic_overwrite_of_a_transformed_partition_replaces_that_partition(place: Place) -> None:
    def at(*texts: str) -> pa.Table:
        return pa.table({"day": pa.array(texts).cast(pa.date32())})

    place.load(at("2024-01-05", "2024-01-20", "2024-02-01"), partition_by="month(day)")
    place.load(at("2024-01-07"), mode=ll.Overwrite(partitions="dynamic"))
    place.holds(at("2024-01-07", "2024-02-01"))


def test_overwrite_is_one_change(place: Place) -> None:
    place.load(rows(1, 2))
    before = len(place.table().history())
    place.load(rows(3), mode=ll.Overwrite())
    assert len(place.table().history()) == before + 1


def test_no_rows_and_no_schema_make_no_table(place: Place) -> None:
    report = place.load([])
    assert report.tables["t"].rows == 0
    assert not place.exists()


def test_no_rows_with_a_schema_make_an_empty_table(place: Place) -> None:
    place.load(rows(), load_columns=False)
    assert place.table().schema().names == ["id", "text"]
    place.holds(rows())


def test_empty_table_takes_rows_later(place: Place) -> None:
    place.load(rows())
    place.load(rows(1))
    place.holds(rows(1))


@pytest.mark.parametrize("nothing", [[], rows()], ids=["no rows", "no rows but a schema"])
def test_empty_load_into_a_table_publishes_nothing(place: Place, nothing: object) -> None:
    place.load(rows(1))
    before = place.versions()
    report = place.load(nothing)
    assert report.tables["t"].rows == 0
    assert place.versions() == before
    place.holds(rows(1))


def test_generator_of_dicts_is_loaded_to_its_end(place: Place) -> None:
    place.load({"id": i, "text": f"x{i}"} for i in range(5000))
    place.holds(rows(*range(5000)))


def test_report_tells_rows_files_bytes_and_time(place: Place) -> None:
    told = place.load(rows(1, 2, 3)).tables["t"]
    assert told.rows == 3
    assert told.files == 1
    assert told.bytes == sum(place.data_files().values())
    assert told.created
    assert tuple(told.version) == place.formats
    assert place.table().version() == told.version[place.formats[0]]
    assert not told.schema_changes
    assert {"extract", "write", "commit"} <= set(told.seconds)
    assert all(value >= 0 for value in told.seconds.values())


def test_two_tables_of_one_pipeline_are_filled_by_one_run(place: Place) -> None:
    @ll.resource(name="a")
    def first(since):
        yield [{"id": 1}]

    @ll.resource(name="b")
    def second(since):
        yield [{"id": 2}, {"id": 3}]

    report = ll.Pipeline("two", place.lake()).run([first, second])
    assert {name: told.rows for name, told in report.tables.items()} == {"a": 1, "b": 2}
    assert place.lake().tables() == ["a", "b"]
    place.holds(pa.table({"id": [1]}), "a")
    place.holds(pa.table({"id": [2, 3]}), "b")


def test_two_pipelines_fill_one_table(place: Place) -> None:
    ll.Pipeline("one", place.lake()).run(rows(1), table="t")
    ll.Pipeline("two", place.lake()).run(rows(2), table="t")
    ll.Pipeline("one", place.lake()).run(rows(3), table="t")
    place.holds(rows(1, 2, 3))


def test_reading_into_every_library_gives_the_same_rows(place: Place) -> None:
    import duckdb
    from readers import assert_same_rows

    place.load(rows(1, 2, 3))
    table = place.table()
    relation = table.to_duckdb()
    assert isinstance(relation, duckdb.DuckDBPyRelation)
    assert_same_rows(relation.to_arrow_table(), rows(1, 2, 3))
    assert_same_rows(table.to_polars().collect().to_arrow(), rows(1, 2, 3))


@pytest.mark.parametrize("form", ["rows", "lines"])
def test_dates_and_timestamps_of_json_stay_such_in_later_loads(local_place: Place, form: str) -> None:
    row = {"id": 1, "day": "2024-05-01", "at": "2024-05-01T10:00:00Z", "in": {"at": ["2024-05-01T10:00:00"]}}
    for number in (1, 2, 3):
        data = [{**row, "id": number}]
        report = local_place.load(data if form == "rows" else json.dumps(data[0]).encode())
        assert number == 1 or report.schema_changes == ()
    schema = local_place.table().schema()
    assert schema.field("day").type == pa.date32()
    assert schema.field("at").type == pa.timestamp("us", "UTC")
    assert schema.field("in").type.field("at").type.value_type == pa.timestamp("us")
    assert local_place.table().to_arrow().num_rows == 3
