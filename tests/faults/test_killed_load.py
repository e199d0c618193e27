"""`kill -9` at every named step of a load of two tables: run again, it gives exactly the rows of a clean run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import killed_load
import pyarrow as pa
import pytest
from doomed import dies
from killed_load import STEPS, TABLES, expected, pipeline, resources
from lakes import Place
from readers import assert_same_rows
from services.seaweedfs import S3

import lakeload as ll

SOURCES = {"cursor": True, "no cursor": False}


def kill(step: str, place: Place, load: int, *, cursor: bool, overwrite: bool = False) -> None:
    """Start the load in a process of its own and let it die at the step."""
    dies(
        killed_load.die_in_load, step, place.root, "+".join(place.formats), load,
        cursor=cursor, overwrite=overwrite, catalog=place.catalog,
        storage=dict(place.storage) if place.storage else None,
    )  # fmt: skip


def run(place: Place, load: int, *, cursor: bool, mode: Any = None) -> ll.RunReport:
    storage = dict(place.storage) if place.storage else None
    return pipeline(place.root, "+".join(place.formats), catalog=place.catalog, storage=storage).run(
        resources(load, cursor=cursor, mode=mode)
    )


def holds(place: Place, loads: int) -> None:
    for table in TABLES:
        place.holds(expected(table, loads), table)


def whole(place: Place, loads: int) -> None:
    """Each table that is there holds all rows of a number of loads: the state before or after, nothing between."""
    for table in TABLES:
        if not place.exists(table):
            assert loads == 1
            continue
        for reader, found in readable(place, table).items():
            ids = sorted(found.column("id").to_pylist())
            states = [
                sorted(expected(table, n).column("id").to_pylist()) for n in (loads - 1, loads) if n > 0
            ]
            assert ids in states, f"{reader} sees a state in between"


def readable(place: Place, table: str) -> dict[str, pa.Table]:
    """What readers see of either format by itself, in the middle of an unfinished load."""
    found = {}
    for one in place.formats:
        side = Place((one,), place.root, place.storage, place.catalog)
        if one == "delta" and place.filesystem.exists(f"{place.location(table)}/_delta_log"):
            from readers import read_delta

            found["delta"] = read_delta(side.location(table), place.storage, engine="deltalake")
        if one == "iceberg":
            from pyiceberg.exceptions import NoSuchTableError
            from readers import read_iceberg

            try:
                found["iceberg"] = read_iceberg(
                    side.metadata_location(table), place.storage, engine="pyiceberg"
                )
            except (NoSuchTableError, ValueError):  # not registered yet, or no catalog file at all
                continue
    return found


CASES = [(step, source) for step in STEPS for source in SOURCES if (step, source) != (STEPS[-1], "no cursor")]
"""Past the last step the load is complete: without a cursor, running it again means loading the rows again."""


@pytest.mark.parametrize(("step", "source"), CASES)
def test_second_load_killed_then_run_again_gives_the_rows_of_a_clean_run(
    tmp_path: Path, step: str, source: str
) -> None:
    place, cursor = Place(("delta", "iceberg"), str(tmp_path / "lake")), SOURCES[source]
    run(place, 1, cursor=cursor)
    kill(step, place, 2, cursor=cursor)
    whole(place, 2)
    run(place, 2, cursor=cursor)
    holds(place, 2)
    run(place, 3, cursor=cursor)
    holds(place, 3)


@pytest.mark.parametrize("step", STEPS)
def test_first_load_killed_then_run_again_gives_the_rows_of_a_clean_run(tmp_path: Path, step: str) -> None:
    place = Place(("delta", "iceberg"), str(tmp_path / "lake"))
    kill(step, place, 1, cursor=True)
    whole(place, 1)
    run(place, 1, cursor=True)
    holds(place, 1)


@pytest.mark.parametrize("formats", [("delta",), ("iceberg",)], ids=["delta", "iceberg"])
@pytest.mark.parametrize("step", ["after the descriptor", "after the first table", "after all tables"])
def test_load_of_one_format_killed_then_run_again(
    tmp_path: Path, step: str, formats: tuple[str, ...]
) -> None:
    place = Place(formats, str(tmp_path / "lake"))
    run(place, 1, cursor=True)
    kill(step, place, 2, cursor=True)
    run(place, 2, cursor=True)
    holds(place, 2)


@pytest.mark.parametrize(
    "step",
    [
        "after the data files",
        "after the descriptor",
        "after the first format of the first table",
        "after all tables",
    ],
)
def test_overwrite_killed_then_run_again_replaces_once(tmp_path: Path, step: str) -> None:
    place = Place(("delta", "iceberg"), str(tmp_path / "lake"))
    run(place, 1, cursor=False)
    kill(step, place, 2, cursor=False, overwrite=True)
    run(place, 2, cursor=False, mode=ll.Overwrite())
    for table in TABLES:
        place.holds(pa.concat_tables(killed_load.rows(table, 2)), table)


@pytest.mark.s3
@pytest.mark.parametrize(
    "step", ["after the descriptor", "after the first format of the second table", "after all tables"]
)
def test_load_into_s3_killed_then_run_again(tmp_path: Path, s3: S3, s3_prefix: str, step: str) -> None:
    place = Place(("delta", "iceberg"), s3_prefix, s3.storage_options, f"sqlite:///{tmp_path}/catalog.db")
    run(place, 1, cursor=True)
    kill(step, place, 2, cursor=True)
    run(place, 2, cursor=True)
    holds(place, 2)


def test_killed_load_is_completed_before_another_kind_of_run_goes_on(tmp_path: Path) -> None:
    """The next run completes the load even if its own sources have nothing to say any more."""
    place = Place(("delta", "iceberg"), str(tmp_path / "lake"))
    run(place, 1, cursor=True)
    kill("after the first table", place, 2, cursor=True)
    report = pipeline(place.root, "delta+iceberg").run([{"id": 1}], table="another")
    assert report.recovered
    holds(place, 2)


def test_widening_killed_then_run_again_keeps_every_row(tmp_path: Path) -> None:
    """The second load's wider column makes Delta rewrite its files, in a commit of its own before the load."""
    place = Place(("delta", "iceberg"), str(tmp_path / "lake"))
    run(place, 1, cursor=True)
    kill("after one format of a rewrite", place, 2, cursor=True)
    whole(place, 2)
    run(place, 2, cursor=True)
    holds(place, 2)


def test_folding_killed_between_the_formats_loses_and_doubles_nothing(tmp_path: Path) -> None:
    place, last = Place(("delta", "iceberg"), str(tmp_path / "lake")), 0
    for last in range(1, 40):
        report = run(place, last, cursor=True)
        if any(told.folded for told in report.tables.values()):
            break
    assert last > 1, "nothing was folded"
    other = Place(place.formats, str(tmp_path / "other"))
    for load in range(1, last):
        run(other, load, cursor=True)
    kill("after one format of a rewrite", other, last, cursor=True)
    holds(other, last)
    assert all(told.rows == 0 for told in run(other, last, cursor=True).tables.values())
    for load in range(last + 1, 2 * last + 1):
        run(other, load, cursor=True)
    holds(other, 2 * last)


def test_readers_of_both_formats_see_the_same_rows_after_every_recovery(tmp_path: Path) -> None:
    place = Place(("delta", "iceberg"), str(tmp_path / "lake"))
    for load, step in enumerate(STEPS, start=1):
        kill(step, place, load, cursor=True)
    run(place, len(STEPS), cursor=True)
    for table in TABLES:
        seen = readable(place, table)
        assert_same_rows(seen["delta"], expected(table, len(STEPS)), types=False)
        assert_same_rows(seen["iceberg"], expected(table, len(STEPS)), types=False)
