"""The position of a resource in a table outlives every other load of that table, and every way a load ends."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lakes import Place

import lakeload as ll
from lakeload.rules import between

OLD = Path(__file__).parents[1] / "golden" / "journal_v1"
FEED = [{"id": i, "day": f"d{i // 3}"} for i in range(5)]
NONE = iter(())


def load(place: Place, rows: Any, **options: Any) -> ll.RunReport:
    return place.load(rows, partition_by="day", load_columns=False, **options)


def feed(place: Place, rows: Any = FEED, **options: Any) -> int:
    return load(place, rows, cursor="id", **options).tables["t"].rows


def ids(place: Place, table: str = "t") -> list[int]:
    return sorted(place.table(table).to_arrow(columns=["id"])["id"].to_pylist())


def other(place: Place) -> None:
    """Another resource of the same pipeline and table, with a position of its own, further back."""

    @ll.resource(name="other", cursor="id")
    def rows(since: Any) -> Any:
        yield [{"id": -9, "day": "d9"}]

    for _ in range(2):
        ll.Pipeline("load_t", place.lake()).run(rows, table="t")


BETWEEN: dict[str, tuple[Callable[[Place], Any], list[int]]] = {
    "a single row": (lambda p: load(p, [{"id": -1, "day": "d9"}]), [-1, *range(7)]),
    "two single rows": (lambda p: [load(p, [{"id": i, "day": "d9"}]) for i in (-1, -2)], [-2, -1, *range(7)]),
    "no row": (lambda p: load(p, NONE), [*range(7)]),
    "a row put aside": (
        lambda p: load(p, [{"id": -1, "day": "d9"}], rules=between("id", 0, 99)),
        [*range(7)],
    ),
    "an overwrite": (lambda p: load(p, [{"id": -1, "day": "d9"}], mode=ll.Overwrite()), [-1, 5, 6]),
    "an overwrite by nothing": (lambda p: load(p, NONE, mode=ll.Overwrite()), [*range(7)]),
    "a clearance": (lambda p: load(p, NONE, mode=ll.Overwrite(empty="clear")), [5, 6]),
    "a partition": (
        lambda p: load(p, [{"id": 0, "day": "d0"}], mode=ll.Overwrite(partitions="dynamic")),
        [0, 3, 4, 5, 6],
    ),
    "a backfill by the cursor": (
        lambda p: feed(p, [{"id": 0, "day": "d0"}], mode=ll.Overwrite(partitions="dynamic")),
        [0, 3, 4, 5, 6],
    ),
    "a refresh by nothing": (lambda p: feed(p, NONE, mode=ll.Overwrite()), [*range(7)]),
    "a refresh": (lambda p: feed(p, mode=ll.Overwrite()), [*range(7)]),
    "a shorter refresh": (lambda p: feed(p, FEED[:2], mode=ll.Overwrite()), [*range(7)]),
    "a refresh that clears": (lambda p: feed(p, NONE, mode=ll.Overwrite(empty="clear")), [*range(7)]),
    "another resource": (other, [-9, *range(7)]),
}


@pytest.mark.parametrize("what", BETWEEN)
def test_what_comes_between_moves_no_position(tmp_path: Path, what: str) -> None:
    place = Place(("delta",), str(tmp_path))  # nothing here is a matter of the format; weeks run in both
    act, expected = BETWEEN[what]
    feed(place)
    act(place)
    feed(place, [*FEED, {"id": 5, "day": "d1"}])
    feed(place, [*FEED, {"id": 5, "day": "d1"}, {"id": 6, "day": "d2"}])
    assert ids(place) == expected


def test_what_was_put_aside_is_no_row_for_an_overwrite(tmp_path: Path) -> None:
    place = Place(("delta",), str(tmp_path))
    feed(place)
    rules = between("id", 0, 2)
    told = load(place, [{"id": 9, "day": "d9"}], mode=ll.Overwrite(), rules=rules).tables["t"]
    assert (told.kept, told.quarantined_rows) == (True, 1)
    assert ids(place) == [*range(5)]


def test_children_go_with_the_table_that_is_overwritten(tmp_path: Path) -> None:
    place = Place(("iceberg",), str(tmp_path))
    for rows in ([{"id": 1, "l": [1, 2]}], [{"id": 2, "l": []}]):
        told = place.load(rows, mode=ll.Overwrite(), nesting="tables")
    assert not any(table.kept for table in told.tables.values())
    assert place.table("t__l").to_arrow().num_rows == 0
    told = place.load([], mode=ll.Overwrite(), nesting="tables")
    assert ids(place) == [2]


def test_positions_survive_more_loads_than_the_journal_keeps(tmp_path: Path, monkeypatch: Any) -> None:
    place = Place(("delta",), str(tmp_path))
    monkeypatch.setattr("lakeload.commit.journal.KEEP", 2)
    feed(place)
    for i in range(4):
        load(place, [{"id": -1 - i, "day": "d9"}], fold=False)
    assert feed(place) == 0
    assert feed(place, [{"id": 5, "day": "d5"}]) == 1


def test_a_dropped_table_starts_over_although_its_quarantine_stays(tmp_path: Path) -> None:
    lake = ll.Lakehouse(tmp_path)
    for _ in range(2):
        told = ll.load(FEED, lake, table="t", cursor="id", rules=between("id", 0, 3))
        assert told.tables["t"].rows == 4
        lake.drop("t", purge=True)


def test_a_lost_journal_stays_known_to_be_lost(tmp_path: Path) -> None:
    lake = ll.Lakehouse(tmp_path)
    ll.load(FEED, lake, table="t", cursor="id")
    shutil.rmtree(tmp_path / "default" / "_lakeload")
    ll.load([{"id": -1, "day": "d9"}], lake, table="t")
    with pytest.raises(ll.StorageError, match="descriptor is gone"):
        ll.load(FEED, lake, table="t", cursor="id")


def test_an_unfinished_load_of_an_earlier_release_is_completed_and_gone_on_from(local_place: Place) -> None:
    """Its descriptors are of no format: the first makes the table, the second is an append to it."""
    place = local_place
    journal = Path(place.root, "default", "_lakeload", "_journal", "load_t")
    shutil.copytree(OLD / "data", Path(place.location(), "data"))
    journal.mkdir(parents=True)
    rows = [{"id": i, "at": f"2024-03-01T1{i}:00:00Z"} for i in range(1, 7)]
    shutil.copy(OLD / "00000000000000000001.json", journal)
    place.load(rows[:2], cursor="at")
    assert ids(place) == [1, 2]
    shutil.copy(OLD / "00000000000000000002.json", journal)
    assert place.load(rows[:1]).recovered  # a row by the way, without a cursor
    assert place.load(rows, cursor="at").tables["t"].rows == 2
    assert ids(place) == [1, 1, 2, 3, 4, 5, 6]
