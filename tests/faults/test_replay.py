"""Replays of quarantined rows: each row once, whatever happens, and nothing when nothing is new."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import killed_replay
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from doomed import dies
from killed_replay import HOPELESS, ROWS, TABLE, again, load

import lakeload as ll
from lakeload import rules
from lakeload.errors import SourceError, TableError
from lakeload.replays import replay

QUARANTINED = f"{TABLE}__quarantine"
FORMATS = ["delta", "iceberg", "delta+iceberg"]


def lake_at(root: Path, formats: str = "delta") -> ll.Lakehouse:
    return ll.Lakehouse(root, format=tuple(formats.split("+")))


def amounts(lake: ll.Lakehouse) -> list[tuple[int, int]]:
    found = lake.table(TABLE).to_arrow(["id", "amount"]).to_pylist()
    return sorted((row["id"], row["amount"]) for row in found)


def attempts(lake: ll.Lakehouse, table: str = QUARANTINED) -> list[tuple[int, int]]:
    found = lake.table(table).to_arrow(["row", "attempt"]).to_pylist()
    return sorted((row["row"], row["attempt"]) for row in found)


def versions(lake: ll.Lakehouse) -> list[int | None]:
    return [lake.table(name).version() for name in lake.tables()]


MENDED = [(row["id"], abs(row["amount"])) for row in ROWS if row["id"] != HOPELESS]
ASIDE = sorted([(i, 1) for i in range(3, 31, 3)] + [(HOPELESS, 2)])

STEPS = [
    "after the data files",
    "after the descriptor",
    "before the first table",
    "after the first table",
    "after all tables",
    "after the load is marked done",
]


@pytest.mark.parametrize("formats", FORMATS)
@pytest.mark.parametrize("step", STEPS)
def test_replay_killed_at_any_step_gives_every_row_once(tmp_path: Path, step: str, formats: str) -> None:
    load(str(tmp_path), formats)
    dies(killed_replay.die_in_replay, step, str(tmp_path), formats)
    again(str(tmp_path), formats)
    lake = lake_at(tmp_path, formats)
    assert amounts(lake) == MENDED
    found = attempts(lake)
    # The one row that fails again is tried once more when the killed replay had been completed before.
    tries = max(tried for row, tried in found if row == HOPELESS)
    assert tries == (2 if step == STEPS[0] else 3)
    assert found == sorted([(i, 1) for i in range(3, 31, 3)] + [(HOPELESS, n) for n in range(2, tries + 1)])


@pytest.mark.parametrize("formats", FORMATS)
def test_replay_with_nothing_new_publishes_nothing(tmp_path: Path, formats: str) -> None:
    load(str(tmp_path), formats)
    lake = lake_at(tmp_path, formats)
    replay(lake, TABLE)
    before = versions(lake_at(tmp_path, formats))
    assert replay(lake_at(tmp_path, formats), TABLE).sequence is None
    assert versions(lake_at(tmp_path, formats)) == before


def test_rows_that_all_fail_again_are_put_aside_once_more_and_not_twice(tmp_path: Path) -> None:
    lake = lake_at(tmp_path)
    ll.load([{"n": 1}], lake, table="t")
    ll.load([{"n": "x"}, {"n": "y"}], lake, table="t", contract={"types": "quarantine"})
    for tries in (2, 3):
        report = replay(lake_at(tmp_path), "t", contract={"types": "quarantine"})
        assert report.tables["t"].quarantined_rows == 2
        found = attempts(lake_at(tmp_path), "t__quarantine")
        assert found == sorted((row, n) for row in (1, 2) for n in range(1, tries + 1))


def test_rows_dropped_by_the_transform_are_gone_for_good(tmp_path: Path) -> None:
    load(str(tmp_path), "delta")
    replay(lake_at(tmp_path), TABLE, transform=lambda _row: None)
    assert replay(lake_at(tmp_path), TABLE).sequence is None
    assert len(amounts(lake_at(tmp_path))) == 20
    assert attempts(lake_at(tmp_path)) == [(i, 1) for i in range(3, 31, 3)]


def test_loads_after_a_replay_are_replayed_by_the_next(tmp_path: Path) -> None:
    load(str(tmp_path), "delta")
    replay(lake_at(tmp_path), TABLE)
    load(str(tmp_path), "delta")
    report = replay(lake_at(tmp_path), TABLE)
    assert report.tables[TABLE].rows == 10
    assert len(amounts(lake_at(tmp_path))) == 60


def test_failed_replay_takes_nothing(tmp_path: Path) -> None:
    load(str(tmp_path), "delta")

    def broken(row: dict[str, Any]) -> dict[str, Any]:
        raise ZeroDivisionError(row["id"])

    with pytest.raises(ZeroDivisionError):
        replay(lake_at(tmp_path), TABLE, transform=broken)
    assert replay(lake_at(tmp_path), TABLE).tables[TABLE].rows == 10


def test_contract_that_lets_types_evolve_takes_rows_in_as_they_were(tmp_path: Path) -> None:
    lake = lake_at(tmp_path)
    ll.load([{"n": 1, "tags": ["a"]}], lake, table="t")
    ll.load(
        [{"n": 2.5, "tags": ["b"]}, {"n": "x", "tags": None}],
        lake,
        table="t",
        contract={"types": "quarantine"},
    )
    replay(lake_at(tmp_path), "t")
    rows = lake_at(tmp_path).table("t").to_arrow(["n", "tags"]).to_pylist()
    assert sorted(rows, key=str) == sorted(
        [{"n": "1", "tags": ["a"]}, {"n": "2.5", "tags": ["b"]}, {"n": "x", "tags": None}], key=str
    )


def test_new_columns_quarantined_by_the_contract_come_with_their_values(tmp_path: Path) -> None:
    lake = lake_at(tmp_path)
    ll.load([{"id": 1}], lake, table="t")
    ll.load([{"id": 2, "extra": {"a": [1]}}], lake, table="t", contract={"columns": "quarantine"})
    replay(lake_at(tmp_path), "t")
    rows = lake_at(tmp_path).table("t").to_arrow(["id", "extra"]).to_pylist()
    assert sorted(rows, key=lambda row: row["id"]) == [
        {"id": 1, "extra": None},
        {"id": 2, "extra": {"a": [1]}},
    ]


def test_typed_rows_come_back_in_their_own_types(tmp_path: Path) -> None:
    batch = pa.table(
        {
            "id": pa.array([1, 2], pa.int32()),
            "at": pa.array([1, 2], pa.timestamp("us", "Europe/Berlin")),
            "price": pa.array([Decimal("1.10"), Decimal("2.20")], pa.decimal128(9, 2)),
            "day": pa.array([dt.date(2024, 5, 1), None]),
            "raw": pa.array([b"\x00", b"\xff"]),
        }
    )
    ll.load(batch, lake_at(tmp_path), table="t", rules=rules.between("price", 2))
    schema = lake_at(tmp_path).table("t").schema()
    kept = lake_at(tmp_path).table("t__quarantine").to_arrow().to_pylist()
    assert [row["row"] for row in kept] == [1]
    replay(lake_at(tmp_path), "t", transform=lambda row: row | {"id": row["id"] + 10})
    found = lake_at(tmp_path).table("t")
    assert found.schema() == schema
    expected = batch.to_pylist()[0] | {"id": 11}
    assert expected in found.to_arrow(batch.column_names).to_pylist()


def test_row_edited_by_hand_without_its_types_is_read_as_json(tmp_path: Path) -> None:
    load(str(tmp_path), "delta")
    edited = DeltaTable(lake_at(tmp_path).table(QUARANTINED).location)
    edited.update(
        updates={"payload": '\'{"id": 3, "amount": 33}\'', "types": "CAST(NULL AS STRING)"},
        predicate="row = 3",
    )
    replay(lake_at(tmp_path), TABLE, rules=rules.between("amount", 0))
    assert (3, 33) in amounts(lake_at(tmp_path))
    assert len(amounts(lake_at(tmp_path))) == 21


def test_payload_that_was_damaged_is_refused_and_nothing_is_taken(tmp_path: Path) -> None:
    load(str(tmp_path), "delta")
    DeltaTable(lake_at(tmp_path).table(QUARANTINED).location).update(
        updates={"payload": "'{'"}, predicate="row = 3"
    )
    with pytest.raises(SourceError) as caught:
        replay(lake_at(tmp_path), TABLE)
    assert caught.value.table == QUARANTINED
    assert len(amounts(lake_at(tmp_path))) == 20


def test_table_without_quarantine_has_nothing_to_replay(tmp_path: Path) -> None:
    ll.load([{"n": 1}], lake_at(tmp_path), table="t")
    assert replay(lake_at(tmp_path), "t").sequence is None


def test_table_that_is_not_there_is_an_error_that_names_those_that_are(tmp_path: Path) -> None:
    ll.load([{"n": 1}], lake_at(tmp_path), table="t")
    with pytest.raises(TableError, match="no such table") as caught:
        replay(lake_at(tmp_path), "tt")
    assert "Tables here: t" in (caught.value.hint or "")


def test_resource_brings_its_own_rules_and_nesting(tmp_path: Path) -> None:
    @ll.resource(nesting="tables", rules=[rules.between("total", 0)], cursor="id")
    def orders(since: Any) -> Any:
        yield [
            {"id": 1, "total": 5, "lines": [{"sku": "a"}]},
            {"id": 2, "total": -1, "lines": [{"sku": "b"}]},
        ]

    ll.Pipeline("shop", lake_at(tmp_path)).run(orders)
    replay(lake_at(tmp_path), orders, transform=lambda row: row | {"total": 7})
    lake = lake_at(tmp_path)
    assert sorted(lake.table("orders").to_arrow(["id"]).column("id").to_pylist()) == [1, 2]
    assert sorted(lake.table("orders__lines").to_arrow(["sku"]).column("sku").to_pylist()) == ["a", "b"]


def test_key_and_naming_said_again_give_child_rows_the_ids_they_would_have_had(tmp_path: Path) -> None:
    told = {"nesting": "tables", "primary_key": "Id", "naming": "preserve"}
    good = {"Id": 1, "n": 1, "Lines": [{"Sku": "a"}]}
    late = {"Id": 2, "n": 2, "Lines": [{"Sku": "b"}]}
    ll.load([good, late], lake_at(tmp_path), table="whole", **told)
    ll.load([good], lake_at(tmp_path), table="t", **told)
    ll.load([late | {"n": "two"}], lake_at(tmp_path), table="t", contract={"types": "quarantine"}, **told)
    replay(lake_at(tmp_path), "t", transform=lambda row: row | {"n": 2}, **told)
    lake = lake_at(tmp_path)
    columns = ["Sku", "_lakeload_parent_id", "_lakeload_row_id"]
    rows, wanted = (lake.table(f"{name}__lines").to_arrow(columns).to_pylist() for name in ("t", "whole"))
    assert sorted(rows, key=str) == sorted(wanted, key=str)
    assert {row["_lakeload_parent_id"] for row in rows} == {"1", "2"}


def test_source_run_again_after_all_its_rows_were_put_aside_puts_none_aside_twice(tmp_path: Path) -> None:
    @ll.resource(name="t", rules=[rules.between("id", 0, 1)], cursor="id")
    def source(since: Any) -> Any:
        yield [{"id": i} for i in (range(2) if since is None else range(4))]

    for _ in range(3):
        ll.Pipeline("p", lake_at(tmp_path)).run(source)
    kept = lake_at(tmp_path).table("t__quarantine").to_arrow(["payload"]).column("payload").to_pylist()
    assert sorted(kept) == ['{"id":2}', '{"id":3}']
