"""What goes wrong once rows are published fails no load, and what can never be published blocks no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lakes import Place

import lakeload as ll
from lakeload import run
from lakeload.commit import lake as commit_lake
from lakeload.formats.delta import DeltaFormatTable

FORMATS = [("delta",), ("iceberg",), ("delta", "iceberg")]


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise TypeError("no words")


class Nameless:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __repr__(self) -> str:
        raise TypeError("no name")

    def __call__(self, events: Any) -> None:
        raise self.error


class Silent:
    """Progress that breaks once the load is published."""

    def advance(self, stage: str, table: str, *, rows: int = 0, bytes: int = 0, files: int = 0) -> None:  # noqa: A002
        if stage in ("commit", "fold") and files:
            raise TypeError("no terminal")


def break_folding(patch: pytest.MonkeyPatch) -> None:
    def fold(*_: Any) -> None:
        raise TypeError("no fold")

    patch.setattr(run, "fold", fold)


def break_reading(patch: pytest.MonkeyPatch) -> None:
    def versions(*_: Any) -> None:
        raise OSError("no answer")

    patch.setattr(run, "versions", versions)


@pytest.mark.parametrize(
    "options",
    [
        {"on_schema_change": Nameless(TypeError("x"))},
        {"on_schema_change": Nameless(UnspeakableError())},
        {"on_schema_change": lambda: None},
        {"progress": Silent()},
        {"broken": break_folding},
        {"broken": break_reading},
    ],
    ids=["hook", "unspeakable", "arguments", "progress", "folding", "reading"],
)
def test_nothing_fails_a_load_whose_rows_are_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    given = dict(options)
    given.pop("broken", lambda _: None)(monkeypatch)
    told = ll.load([{"id": 1}], tmp_path, table="t", **given)
    assert told.tables["t"].rows == 1
    assert len(told.warnings) == 1
    assert ll.Lakehouse(tmp_path).table("t").to_arrow().num_rows == 1


@pytest.mark.parametrize("formats", FORMATS, ids="+".join)
@pytest.mark.parametrize(
    ("rows", "partition_by", "message"),
    [
        ([{"at": "2024-01-01", "at_day": "x"}], "day(at)", "name of the partition field"),
        ([{"at": "2024-01-01", "AT_DAY": "x"}], "day(at)", "name of the partition field"),
        ([{"id": 1, "id_bucket": 2}], ["bucket(4, id)", "id_bucket"], "name of the partition field"),
        ([{"id": 1}], ["id", "id"], "twice"),
        ([{"at": "2024-01-01"}], ["day(at)", "day(at)"], "twice"),
        ([{"at": "2024-01-01"}], ["day(at)", "at", "day(at)"], "twice"),
    ],
)
def test_names_that_collide_are_refused_before_anything_is_recorded(
    tmp_path: Path, formats: tuple[str, ...], rows: list[Any], partition_by: Any, message: str
) -> None:
    place = Place(formats, str(tmp_path / "lake"))
    with pytest.raises(ll.LakeloadError, match=message):
        place.load(rows, partition_by=partition_by, naming="preserve")
    assert not list(Path(place.root).rglob("*.parquet"))
    assert not list(Path(place.root).rglob("_journal/*/*.json"))
    assert place.load([{"id": 1}]).rows == 1


def test_a_column_that_comes_later_under_the_name_of_a_partition_field_is_refused(tmp_path: Path) -> None:
    ll.load([{"at": "2024-01-01"}], tmp_path, table="t", partition_by="day(at)")
    with pytest.raises(ll.LakeloadError, match="partition"):
        ll.load([{"at": "2024-01-01", "at_day": "x"}], tmp_path, table="t")
    assert ll.load([{"at": "2024-01-02"}], tmp_path, table="t").rows == 1


@pytest.mark.parametrize(
    "error", [ll.SchemaError("no"), TypeError("no"), KeyError("no"), ValueError("no")], ids=repr
)
def test_what_can_never_be_published_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    ll.load([{"id": 1}], tmp_path, table="t", cursor="id")

    def commit(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(DeltaFormatTable, "commit", commit)
        with pytest.raises(ll.LakeloadError, match="no"):
            ll.load([{"id": 2}], tmp_path, table="t", cursor="id")
    assert ll.load([{"id": 2}], tmp_path, table="t", cursor="id").rows == 1
    assert len(list((tmp_path / "default" / "t" / "data").glob("*.parquet"))) == 2


def test_what_may_be_published_another_time_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def publish(*_: Any) -> None:
        raise ConnectionError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(commit_lake, "publish", publish)
        with pytest.raises(ConnectionError):
            ll.load([{"id": 1}], tmp_path, table="t")
    heard: list[Any] = []
    told = ll.load([{"id": 2}], tmp_path, table="t", on_schema_change=heard.extend)
    assert (told.rows, told.recovered_rows) == (1, {"t": 1})
    assert (
        [event.kind for event in heard] == [event.kind for event in told.schema_changes] == ["create_table"]
    )
    assert "1 row into t" in str(told)
    assert told.to_dict()["recovered_rows"] == {"t": 1}


def test_hooks_hear_of_a_completed_load_even_if_the_next_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(commit_lake, "publish", lambda *_: (_ for _ in ()).throw(ConnectionError()))
        with pytest.raises(ConnectionError):
            ll.load([{"id": 1}], tmp_path, table="t")
    heard: list[Any] = []
    with pytest.raises(ll.LakeloadError):
        ll.load("nowhere.jsonl", tmp_path, table="t", on_schema_change=heard.extend)
    assert len(heard) == 1


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({}, (3, 3, 0, 0)),
        ({"cursor": "id"}, (3, 1, 2, 0)),
        ({"cursor": ll.Cursor("id", lag=5)}, (3, 1, 2, 0)),
        ({"cursor": "id", "rules": "id between 0 and 2"}, (3, 0, 2, 1)),
        ({"rules": "id between 0 and 2"}, (3, 2, 0, 1)),
        ({"cursor": "id", "mode": ll.Overwrite()}, (3, 3, 0, 0)),
    ],
)
def test_every_row_that_was_read_is_counted_once(
    tmp_path: Path, options: dict[str, Any], counts: tuple[int, ...]
) -> None:
    ll.load([{"id": 1}, {"id": 2}], tmp_path, table="t", cursor="id")
    told = ll.load([{"id": 1}, {"id": 2}, {"id": 3}], tmp_path, table="t", **options).tables["t"]
    assert (told.rows_read, told.rows, told.rows_seen, told.quarantined_rows) == counts
