"""What a table tells about itself: history, versions, properties, load columns, positions of pipelines."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from lakes import Place

import lakeload as ll

LOAD_COLUMNS = ["_lakeload_id", "_lakeload_at"]


def rows(*ids: int) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64())})


def test_history_lists_loads_newest_first(place: Place) -> None:
    started = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    first = place.load(rows(1), fold=False)
    second = place.load(rows(2), fold=False)
    third = place.load(rows(3), mode=ll.Overwrite(), fold=False)
    history = [entry for entry in place.table().history() if entry.load_id is not None]
    assert [entry.load_id for entry in history][:3] == [third.load_id, second.load_id, first.load_id]
    assert [entry.operation for entry in history][:2] == ["overwrite", "append"]
    assert all(started <= entry.at <= dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1) for entry in history)


def test_version_is_that_of_the_newest_commit(place: Place) -> None:
    place.load(rows(1), fold=False)
    first = place.table().version()
    place.load(rows(2), fold=False)
    assert place.table().version() not in (None, first)
    assert place.table().version() == place.table().history()[0].version
    if place.formats == ("delta",):
        assert place.table().version() == place.delta().version()
    if place.formats == ("iceberg",):
        assert place.table().version() == place.iceberg().current_snapshot().snapshot_id


def test_table_handle_shows_what_was_committed_since(place: Place) -> None:
    place.load(rows(1))
    table = place.table()
    assert table.to_arrow().num_rows == 1
    place.load(rows(2))
    assert place.table().to_arrow().num_rows == 2


def test_created_table_says_who_made_it(place: Place) -> None:
    place.load(rows(1))
    assert place.table().properties()["lakeload.created"] == "true"


def test_load_columns_say_which_load_brought_a_row_and_when(place: Place) -> None:
    first = place.load(rows(1))
    second = place.load(rows(2))
    found = place.table().to_arrow().sort_by("id")
    assert found.column_names == ["id", *LOAD_COLUMNS]
    assert found.column("_lakeload_id").to_pylist() == [first.load_id, second.load_id]
    at = found.column("_lakeload_at").to_pylist()
    assert at[0] < at[1] <= dt.datetime.now(dt.UTC)


def test_load_columns_can_be_left_out(place: Place) -> None:
    place.load(rows(1), load_columns=False)
    place.load(rows(2))
    assert place.table().schema().names == ["id"]
    assert all(found.column_names == ["id"] for found in place.read().values())


def test_every_format_carries_the_sequence_number_of_the_pipeline(place: Place) -> None:
    pipeline = ll.Pipeline("clicks", place.lake())
    pipeline.run(rows(1), table="t")
    pipeline.run(rows(2), table="t")
    if "delta" in place.formats:
        assert place.delta().transaction_version("lakeload:clicks") == 2
    if "iceberg" in place.formats:
        newest = place.iceberg().current_snapshot().summary.additional_properties
        assert any("clicks" in key + value and "2" in value for key, value in newest.items())


def test_tables_of_another_namespace_are_not_listed(place: Place) -> None:
    place.load(rows(1))
    other = place.lake(namespace="other")
    assert other.tables() == []
    ll.load(rows(2), other, table="t")
    assert place.lake().tables() == ["t"]
    place.holds(rows(1))


def test_table_that_does_not_exist_is_an_error_that_names_it(place: Place) -> None:
    with pytest.raises(ll.LakeloadError, match="nowhere"):
        place.lake().table("nowhere").to_arrow()
