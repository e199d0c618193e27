"""Random weeks of loads into one table, against a plain list: no row lost, none doubled, whatever comes between.

A week is a few loads in any order: of a feed with a cursor, with late rows and lags; single rows; overwrites of
the table and of partitions, with the cursor and without; and any of them may die between its descriptor and its
commit, or between two formats. The model is the table of docs/concepts/incremental.md in a few lines of Python.
DuckDB reads the table at the end. 200 weeks, 5,000 nightly (`LAKELOAD_TEST_PROFILE=nightly`).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lakes import Place
from readers import connect

import lakeload as ll
from lakeload import run
from lakeload.formats.iceberg import IcebergTable

WEEKS = 5_000 if os.environ.get("LAKELOAD_TEST_PROFILE") == "nightly" else 200
GROUPS = 8
FORMATS = [("delta",)] * 4 + [("iceberg",)] * 3 + [("delta", "iceberg")]
PARTITIONS = ll.Overwrite(partitions="dynamic")
CLEAR = ll.Overwrite(empty="clear")
SCHEMA = pa.schema([("id", pa.int64()), ("at", pa.int64()), ("day", pa.string())])

Row = dict[str, Any]


class Died(BaseException):
    """The process is gone, as far as the load can tell."""


class Model:
    """The rules: what a table holds, and what of a feed is new."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.position: int | None = None
        self.floor = 0
        self.handled: set[int] = set()

    def load(self, offered: list[Row], mode: Any, *, cursor: bool, lag: int) -> tuple[int, int]:
        """Apply one load; rows that pass and rows seen before."""
        whole = isinstance(mode, ll.Overwrite) and mode.whole
        if whole and not offered and mode.empty == "keep":
            return 0, 0
        if whole:
            self.rows = []
            if cursor:
                self.position, self.floor, self.handled = None, 0, set()
        if isinstance(mode, ll.Overwrite):
            fresh = offered
            days = {row["day"] for row in offered}
            self.rows = [row for row in self.rows if row["day"] not in days]
        else:
            fresh = [row for row in offered if not cursor or self._is_new(row, lag)]
        self.rows = [*self.rows, *fresh]
        if cursor and offered and (fresh or self.position is None):
            self.position = max(
                row["at"] for row in offered + ([{"at": self.position}] if self.position else [])
            )
            self.floor = max(self.floor, self.position - lag)
            self.handled |= {row["id"] for row in offered if row["at"] >= self.floor}
        return len(fresh), len(offered) - len(fresh)

    def _is_new(self, row: Row, lag: int) -> bool:
        if self.position is None:
            return True
        return row["at"] >= max(self.floor, self.position - lag) and row["id"] not in self.handled


class Week:
    """One table, the model of it, and what its source has by now."""

    def __init__(self, seed: int, place: Place, patch: pytest.MonkeyPatch) -> None:
        self.dice, self.place, self.patch = random.Random(seed), place, patch
        self.table, self.model = f"w{seed}", Model()
        self.lake = place.lake()
        self.feed: list[Row] = []
        self.ids = iter(range(1, 10_000))

    def live(self) -> None:
        """A week, which ends with a load that completes what is open."""
        self.step("feed", dies=False)
        for _ in range(self.dice.randint(1, 3)):
            again = self.step(
                self.dice.choice(
                    ["feed", "feed", "late", "row", "all", "days", "none", "refresh", "backfill"]
                )
            )
            if again is not None:
                self.do(*again)
        if self.unfinished is not None:
            self.do([], ll.Append(), cursor=False)

    def step(self, kind: str, *, dies: bool = True) -> tuple[Any, ...] | None:
        """One load; what to repeat of it if it died and its user tries again."""
        now = len(self.feed)
        if kind in ("feed", "late"):
            self.feed += [
                self.row(now + 1 if kind == "feed" else self.dice.randint(max(1, now - 4), now + 1))
                for _ in range(self.dice.randint(1, 3))
            ]
            args: tuple[Any, ...] = (self.feed[-self.dice.randint(1, 12) :], ll.Append(), True)
        elif kind == "refresh":
            args = (self.feed[self.dice.choice([0, 0, 1]) :], ll.Overwrite(), True)
        elif kind == "backfill":
            day = self.dice.choice(self.feed)["day"]
            args = ([row for row in self.feed if row["day"] == day], PARTITIONS, True)
        elif kind == "none":
            args = (
                [],
                self.dice.choice([ll.Append(), ll.Overwrite(), PARTITIONS, CLEAR]),
                self.dice.random() < 0.5,
            )
        else:
            mode = {"row": ll.Append(), "all": ll.Overwrite(), "days": PARTITIONS}[kind]
            args = (
                [self.row(self.dice.randint(1, now + 1)) for _ in range(self.dice.randint(1, 2))],
                mode,
                False,
            )
        if not (dies and self.dice.random() < 0.3):
            self.do(*args)
            return None
        self.die(self.dice.choice(["before", "after", "between"]), *args)
        return args if self.dice.random() < 0.5 else None

    def row(self, at: int) -> Row:
        return {"id": next(self.ids), "at": at, "day": f"d{at % 3}"}

    def do(self, rows: list[Row], mode: Any, cursor: bool) -> None:
        """One load of both; what died before is completed first, and rows it had come again without a cursor are not."""
        before = self.unfinished
        self.unfinished = None
        lag = self.dice.choice([0, 0, 3]) if cursor else 0
        told = self.load(rows, mode, cursor, lag)
        if before == (rows, mode, cursor) and not cursor and isinstance(mode, ll.Append):
            assert told.repeated or not rows
            return
        fresh, seen = self.model.load(rows, mode, cursor=cursor, lag=lag)
        assert (told.rows, told.rows_read, told.rows_seen) == (fresh, len(rows), seen)

    unfinished: tuple[Any, ...] | None = None

    def die(self, when: str, rows: list[Row], mode: Any, cursor: bool) -> None:
        """One load that dies while publishing: as far as the model goes it is done."""
        real, commit = run.publish_load, IcebergTable.commit

        def publish(*args: Any) -> Any:
            if when == "after":
                real(*args)
            if when != "between":
                raise Died
            return real(*args)

        def half(table: Any, change: Any, base: Any) -> Any:
            if change.token is not None:
                raise Died
            return commit(table, change, base)

        before, self.unfinished = self.unfinished, None
        with self.patch.context() as patch:
            patch.setattr(run, "publish_load", publish)
            if when == "between" and before is None:
                patch.setattr(IcebergTable, "commit", half)
            try:
                self.load(rows, mode, cursor, 0)
            except Died:
                if when != "after":
                    self.unfinished = (rows, mode, cursor)
        if before == (rows, mode, cursor) and not cursor and isinstance(mode, ll.Append):
            return
        self.model.load(rows, mode, cursor=cursor, lag=0)

    def load(self, rows: list[Row], mode: Any, cursor: bool, lag: int) -> ll.TableReport:
        data = pa.Table.from_pylist(rows, SCHEMA)
        options = {"partition_by": "day", "load_columns": False, "fold": False}
        told = ll.load(
            data,
            self.lake,
            table=self.table,
            mode=mode,
            cursor=ll.Cursor("at", lag=lag or None) if cursor else None,
            **options,
        )
        return told.tables[self.table]

    def check(self) -> None:
        """Every format holds the model's rows, read by DuckDB."""
        expected = sorted(row["id"] for row in self.model.rows)
        for scan in self.scans():
            found = connect().execute(f"select id from {scan} order by id").fetchall()
            assert [id_ for (id_,) in found] == expected

    def scans(self) -> Iterator[str]:
        if "delta" in self.place.formats:
            yield f"delta_scan('{self.place.location(self.table)}')"
        if "iceberg" in self.place.formats:
            metadata = Path(self.place.location(self.table)).rglob("*.metadata.json")
            yield f"iceberg_scan('{max(metadata, key=lambda path: path.name)}')"


@pytest.mark.parametrize("group", range(GROUPS))
def test_no_row_is_lost_or_doubled_in_any_week(
    group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(group, WEEKS, GROUPS):
        formats = FORMATS[seed // GROUPS % len(FORMATS)]
        week = Week(seed, Place(formats, str(tmp_path / "-".join(formats))), monkeypatch)
        try:
            week.live()
            week.check()
        except Exception as error:
            error.add_note(f"in week {seed}, {' and '.join(formats)}")
            raise
