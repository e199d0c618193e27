"""Cursor loads: each run takes what is new, a second run takes nothing, boundary rows are not doubled."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pytest
from lakes import Place

import lakeload as ll


def event(id_: int, at: int, **more: Any) -> dict[str, Any]:
    return {"id": id_, "at": at, **more}


def table(events: Iterable[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in events])


def run(place: Place, events: list[dict[str, Any]], cursor: ll.Cursor | None = None) -> Any:
    """One run of a pipeline over a source that always gives all its rows."""

    @ll.resource(name="t", cursor=cursor or ll.Cursor("at"))
    def source(since: Any):
        yield events

    return ll.Pipeline("p", place.lake()).run(source).tables["t"]


def test_second_run_over_the_same_rows_loads_nothing(place: Place) -> None:
    events = [event(1, 10), event(2, 20), event(3, 20)]
    assert run(place, events).rows == 3
    before = place.versions()
    assert run(place, events).rows == 0
    assert place.versions() == before
    place.holds(table(events))


def test_rows_at_the_boundary_are_loaded_once(place: Place) -> None:
    run(place, [event(1, 10), event(2, 20)])
    assert run(place, [event(1, 10), event(2, 20), event(3, 20), event(4, 30)]).rows == 2
    assert run(place, [event(3, 20), event(4, 30), event(5, 30)]).rows == 1
    place.holds(table([event(1, 10), event(2, 20), event(3, 20), event(4, 30), event(5, 30)]))


def test_source_is_told_where_the_last_load_stopped(place: Place) -> None:
    told: list[Any] = []

    @ll.resource(name="t", cursor=ll.Cursor("at"))
    def source(since: Any):
        told.append(since)
        yield [event(1, 10), event(2, 25)]

    for _ in range(2):
        ll.Pipeline("p", place.lake()).run(source)
    assert told == [None, 25]


def test_lag_takes_late_rows_and_no_row_twice(place: Place) -> None:
    def at(minute: int) -> dt.datetime:
        return dt.datetime(2024, 1, 1, 12, minute, tzinfo=dt.UTC)

    cursor = ll.Cursor("at", lag="10m")
    early = [{"id": 1, "at": at(0)}, {"id": 2, "at": at(20)}]
    late = [*early, {"id": 3, "at": at(15)}, {"id": 4, "at": at(5)}, {"id": 5, "at": at(30)}]
    run(place, early, cursor)
    assert run(place, late, cursor).rows == 2
    assert run(place, late, cursor).rows == 0
    place.holds(table([*early, late[2], late[4]]))


def test_first_run_starts_at_the_initial_position(place: Place) -> None:
    assert run(place, [event(1, 5), event(2, 10), event(3, 15)], ll.Cursor("at", initial=10)).rows == 2


def test_equal_rows_within_one_load_are_all_kept(place: Place) -> None:
    assert run(place, [event(1, 10), event(1, 10)]).rows == 2


def test_positions_of_two_pipelines_are_independent(place: Place) -> None:
    events = [event(1, 10), event(2, 20)]

    @ll.resource(name="t", cursor=ll.Cursor("at"))
    def source(since: Any):
        yield events

    assert ll.Pipeline("one", place.lake()).run(source).tables["t"].rows == 2
    assert ll.Pipeline("two", place.lake()).run(source).tables["t"].rows == 2
    assert ll.Pipeline("one", place.lake()).run(source).tables["t"].rows == 0


def test_failed_source_moves_no_position_and_publishes_nothing(place: Place) -> None:
    run(place, [event(1, 10)])
    before, files = place.versions(), set(place.data_files())

    @ll.resource(name="t", cursor=ll.Cursor("at"))
    def broken(since: Any):
        yield [event(2, 20)]
        raise RuntimeError("the connection broke")

    with pytest.raises(Exception, match="the connection broke"):
        ll.Pipeline("p", place.lake()).run(broken)
    assert place.versions() == before
    assert set(place.data_files()) == files
    assert run(place, [event(1, 10), event(2, 20)]).rows == 1
    place.holds(table([event(1, 10), event(2, 20)]))


def test_rerun_after_a_schema_change_goes_on_from_the_position(place: Place) -> None:
    run(place, [event(1, 10)])
    told = run(place, [event(1, 10), event(2, 20, extra="x")])
    assert told.rows == 1
    place.holds(pa.table({"id": [1, 2], "at": [10, 20], "extra": [None, "x"]}))


@pytest.mark.parametrize(
    "values",
    [
        [5, "x"],
        [{"a": 1, "b": None}, "x"],
        [[1, None], "x"],
        [{f"k{i}": i for i in range(300)}, None],
        ["2024-03-01", "2024-03-02"],
    ],
    ids=["number and text", "object and text", "list and text", "map", "dates"],
)
def test_rows_decoded_otherwise_the_second_time_are_known_again(place: Place, values: list[Any]) -> None:
    events = [event(1, 10, v=value) for value in values]
    assert [run(place, events).rows for _ in range(2)] == [2, 0]
