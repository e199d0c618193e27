"""Several writers at once: nothing lost, nothing doubled, and one clear error where two cannot both win."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import appending
import pyarrow as pa
import pytest
from lakes import Place

import lakeload as ll

FORMATS = [("delta",), ("iceberg",), ("delta", "iceberg")]
LOADS = 8


@pytest.fixture(params=FORMATS, ids="+".join)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(request.param, str(tmp_path / "lake"))


def test_two_processes_appending_to_one_table_lose_and_double_nothing(place: Place, tmp_path: Path) -> None:
    start = tmp_path / "start"
    names = ("left", "right")
    command = [sys.executable, str(Path(appending.__file__)), place.root, "+".join(place.formats)]
    writers = [
        subprocess.Popen(
            [*command, name, str(LOADS), str(start)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in names
    ]
    try:
        deadline = time.monotonic() + 60
        while not all(Path(f"{start}.{name}").exists() for name in names):
            assert time.monotonic() < deadline
            assert all(writer.poll() is None for writer in writers), [w.communicate() for w in writers]
            time.sleep(0.05)
        start.touch()
        for writer in writers:
            said, _ = writer.communicate(timeout=120)
            assert writer.returncode == 0, said
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    expected = pa.table({"id": [*range(LOADS), *range(LOADS)], "by": ["left"] * LOADS + ["right"] * LOADS})
    place.holds(expected)


def source(name: str, meanwhile: Any, *, cursor: bool, mode: Any = None) -> ll.Resource:
    """A source during whose reading something else happens."""

    @ll.resource(name=name, cursor=ll.Cursor("id") if cursor else None, mode=mode or ll.Append())
    def rows(since: Any):
        yield [{"id": 1}]
        meanwhile()
        yield [{"id": 2}]

    return rows


def test_second_run_of_a_pipeline_that_ends_first_wins_and_the_other_says_so(place: Place) -> None:
    ll.Pipeline("p", place.lake()).run([{"id": 0}], table="t")

    def overtake() -> None:
        ll.Pipeline("p", place.lake()).run(source("t", lambda: None, cursor=True))

    with pytest.raises(ll.ConflictError) as caught:
        ll.Pipeline("p", place.lake()).run(source("t", overtake, cursor=True))
    assert "'p'" in str(caught.value)
    assert caught.value.hint
    place.holds(pa.table({"id": [0, 1, 2]}))
    referenced = {file.size for file in place.table().files()}
    assert len(place.data_files()) == len(place.table().files()), (
        f"files of the loser were left behind, {referenced}"
    )


def test_run_after_a_conflict_goes_on_as_if_nothing_had_happened(place: Place) -> None:
    def overtake() -> None:
        ll.Pipeline("p", place.lake()).run(source("t", lambda: None, cursor=True))

    with pytest.raises(ll.ConflictError):
        ll.Pipeline("p", place.lake()).run(source("t", overtake, cursor=True))
    assert ll.Pipeline("p", place.lake()).run(source("t", lambda: None, cursor=True)).tables["t"].rows == 0
    place.holds(pa.table({"id": [1, 2]}))


def test_append_of_another_pipeline_during_a_load_is_kept(place: Place) -> None:
    place.load([{"id": 0}])

    def other() -> None:
        ll.Pipeline("other", place.lake()).run([{"id": 7}], table="t")

    ll.Pipeline("p", place.lake()).run(source("t", other, cursor=True))
    place.holds(pa.table({"id": [0, 1, 2, 7]}))


def test_column_another_pipeline_adds_during_a_load_is_kept(place: Place) -> None:
    place.load([{"id": 0}])

    def other() -> None:
        ll.Pipeline("other", place.lake()).run([{"id": 7, "extra": "x"}], table="t")

    ll.Pipeline("p", place.lake()).run(source("t", other, cursor=True))
    place.holds(pa.table({"id": [0, 1, 2, 7], "extra": [None, None, None, "x"]}))


def test_table_created_by_another_pipeline_during_the_first_load_takes_both(place: Place) -> None:
    def other() -> None:
        ll.Pipeline("other", place.lake()).run([{"id": 7}], table="t")

    try:
        ll.Pipeline("p", place.lake()).run(source("t", other, cursor=True))
    except ll.ConflictError:
        place.holds(pa.table({"id": [7]}))
    ll.Pipeline("p", place.lake()).run(source("t", lambda: None, cursor=True))
    place.holds(pa.table({"id": [1, 2, 7]}))


def test_overwrite_replaces_rows_appended_while_it_was_read(place: Place) -> None:
    """Overwrite means: after the load, the table holds these rows and no others."""
    place.load([{"id": 0}])

    def other() -> None:
        ll.Pipeline("other", place.lake()).run([{"id": 7}], table="t")

    ll.Pipeline("p", place.lake()).run(source("t", other, cursor=False, mode=ll.Overwrite()))
    place.holds(pa.table({"id": [1, 2]}))


def test_loads_of_one_table_without_a_cursor_do_not_stand_in_each_others_way(place: Place) -> None:
    def other() -> None:
        place.load([{"id": 7}])

    ll.load(source("t", other, cursor=False), place.lake(), table="t")
    place.holds(pa.table({"id": [1, 2, 7]}))


def test_owner_of_a_delta_table_may_append_during_a_load(tmp_path: Path) -> None:
    from deltalake import write_deltalake

    place = Place(("delta",), str(tmp_path / "lake"))
    place.load([{"id": 0}], load_columns=False)

    def owner() -> None:
        write_deltalake(place.location(), pa.table({"id": [7]}), mode="append")

    ll.Pipeline("p", place.lake()).run(source("t", owner, cursor=True))
    place.holds(pa.table({"id": [0, 1, 2, 7]}))


def test_owner_of_an_iceberg_table_may_append_during_a_load(tmp_path: Path) -> None:
    place = Place(("iceberg",), str(tmp_path / "lake"))
    place.load([{"id": 0}], load_columns=False)
    ll.Pipeline("p", place.lake()).run(
        source("t", lambda: place.iceberg_append(pa.table({"id": [7]})), cursor=True)
    )
    place.holds(pa.table({"id": [0, 1, 2, 7]}))
