"""Several tables of one resource: child tables of lists, the quarantine, all of one load or none of it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest
from lakes import Place

import lakeload as ll

ORDERS = [
    {"id": 1, "lines": [{"sku": "a", "tags": ["x", "y"]}, {"sku": "b", "tags": []}], "to": {"city": "Bonn"}},
    {"id": 2, "lines": [], "to": None},
    {"id": 3, "lines": [{"sku": "c", "tags": ["z"]}], "to": {"city": "Graz"}},
]


def rows(place: Place, table: str) -> list[dict[str, Any]]:
    """The rows without load columns, the same in every reader, in the order of their text."""
    read = place.read(table)
    found = [sorted((_plain(row) for row in data.to_pylist()), key=str) for data in read.values()]
    assert all(part == found[0] for part in found), list(read)
    return found[0]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("_lakeload_id", "_lakeload_at")}


def test_lists_become_child_tables_whose_ids_lead_back_to_their_rows(place: Place) -> None:
    report = place.load(ORDERS, nesting="tables")
    assert {name: part.rows for name, part in report.tables.items()} == {
        "t": 3,
        "t__lines": 3,
        "t__lines__tags": 3,
    }
    root = {row["_lakeload_row_id"]: row for row in rows(place, "t")}
    lines = {row["_lakeload_row_id"]: row for row in rows(place, "t__lines")}
    tags = rows(place, "t__lines__tags")
    assert sorted((row["id"], row["to__city"]) for row in root.values()) == [
        (1, "Bonn"),
        (2, None),
        (3, "Graz"),
    ]
    assert sorted(
        (root[row["_lakeload_parent_id"]]["id"], row["_lakeload_index"], row["sku"]) for row in lines.values()
    ) == [(1, 0, "a"), (1, 1, "b"), (3, 0, "c")]
    assert sorted(
        (lines[row["_lakeload_parent_id"]]["sku"], root[row["_lakeload_root_id"]]["id"], row["value"])
        for row in tags
    ) == [("a", 1, "x"), ("a", 1, "y"), ("c", 3, "z")]


def test_a_primary_key_gives_ids_that_are_the_same_in_every_load(place: Place) -> None:
    place.load(ORDERS, nesting="tables", primary_key="id")
    first = [row["_lakeload_row_id"] for row in rows(place, "t__lines")]
    place.load(ORDERS, nesting="tables", primary_key="id", mode=ll.Overwrite())
    assert [row["_lakeload_row_id"] for row in rows(place, "t__lines")] == first


@pytest.mark.parametrize("key", ["orderId", "order_id"])
def test_a_primary_key_may_be_spelled_as_in_the_source_or_in_the_table(local_place: Place, key: str) -> None:
    local_place.load([{"orderId": 7, "tags": ["a"]}], nesting="tables", primary_key=key)
    assert [row["_lakeload_row_id"] for row in rows(local_place, "t__tags")] == ["7/tags/0"]


def test_without_a_key_rows_of_two_loads_never_share_an_id(local_place: Place) -> None:
    local_place.load(ORDERS, nesting="tables")
    local_place.load(ORDERS, nesting="tables")
    for table in ("t", "t__lines", "t__lines__tags"):
        ids = [row["_lakeload_row_id"] for row in rows(local_place, table)]
        assert len(set(ids)) == len(ids) == 6


def test_overwriting_the_root_replaces_the_rows_of_every_child_table(place: Place) -> None:
    place.load(ORDERS, nesting="tables")
    place.load([{"id": 9, "lines": []}], nesting="tables", mode=ll.Overwrite())
    assert [row["id"] for row in rows(place, "t")] == [9]
    assert rows(place, "t__lines") == []
    assert rows(place, "t__lines__tags") == []


def test_arrow_is_taken_apart_like_python_rows(local_place: Place) -> None:
    local_place.load(ORDERS, table="rows", nesting="tables", primary_key="id")
    local_place.load(pa.Table.from_pylist(ORDERS), table="arrow", nesting="tables", primary_key="id")
    local_place.load(json.dumps(ORDERS).encode(), table="json", nesting="tables", primary_key="id")
    for child in ("", "__lines", "__lines__tags"):
        by_rows = rows(local_place, f"rows{child}")
        assert rows(local_place, f"arrow{child}") == by_rows
        assert rows(local_place, f"json{child}") == by_rows


def test_a_member_that_shows_late_becomes_a_column_of_its_child_table(local_place: Place) -> None:
    local_place.load(ORDERS, nesting="tables")
    report = local_place.load([{"id": 4, "lines": [{"sku": "d", "price": 2}]}], nesting="tables")
    assert [(event.table, event.column) for event in report.schema_changes] == [("t__lines", "price")]
    assert [row["price"] for row in rows(local_place, "t__lines") if row["sku"] == "d"] == [2]


def test_a_rejected_row_is_missing_from_all_tables_and_lies_in_the_quarantine(place: Place) -> None:
    place.load([*ORDERS, {"id": 4, "lines": [{"n": 1}]}], nesting="tables")
    bad = {"id": 5, "lines": [{"sku": "e", "tags": ["q"], "n": "many"}]}
    good = {"id": 6, "lines": [{"sku": "f", "tags": []}], "to": None}
    report = place.load([good, bad], nesting="tables", contract={"types": "quarantine"})
    assert (report.tables["t"].rows, report.tables["t"].quarantined_rows) == (1, 1)
    assert 5 not in [row["id"] for row in rows(place, "t")]
    assert "q" not in [row["value"] for row in rows(place, "t__lines__tags")]
    (aside,) = rows(place, "t__quarantine")
    assert json.loads(aside["payload"]) == bad
    assert (aside["rule"], aside["row"], aside["attempt"]) == ("types", 2, 1)


@pytest.mark.parametrize("outcome", ["discard_row", "discard_value", "quarantine"])
def test_a_list_that_would_need_a_new_table_follows_the_contract(local_place: Place, outcome: str) -> None:
    local_place.load([{"id": 1}], nesting="tables")
    report = local_place.load(ORDERS, nesting="tables", contract={"tables": outcome, "columns": "evolve"})
    kept = {"discard_row": [1, 2], "discard_value": [1, 1, 2, 3], "quarantine": [1, 2]}[outcome]
    assert sorted(row["id"] for row in rows(local_place, "t")) == kept
    assert "t__lines" not in local_place.lake().tables()
    told = report.tables["t"]
    assert (told.discarded_rows, told.discarded_values, told.quarantined_rows) == {
        "discard_row": (2, 0, 0),
        "discard_value": (0, 2, 0),
        "quarantine": (0, 0, 2),
    }[outcome]


def test_a_frozen_contract_lets_no_child_table_come_to_be(local_place: Place) -> None:
    local_place.load([{"id": 1}], nesting="tables")
    with pytest.raises(ll.SchemaError, match=r"t__lines.*row 1"):
        local_place.load(ORDERS, nesting="tables", contract={"tables": "freeze"})
    assert local_place.lake().tables() == ["t"]


def test_a_list_is_not_loaded_into_a_table_that_is_something_else(tmp_path: Path) -> None:
    local_place = Place(("delta",), str(tmp_path / "lake"))
    deltalake.write_deltalake(local_place.location("t__lines"), pa.table({"a": [1]}))
    with pytest.raises(ll.SchemaError, match="something else"):
        local_place.load(ORDERS, nesting="tables")


def test_there_is_no_child_table_until_an_element_shows(local_place: Place) -> None:
    local_place.load([{"id": 1, "lines": []}], nesting="tables")
    assert local_place.lake().tables() == ["t"]
    local_place.load([{"id": 2, "lines": [{"n": 1}]}], nesting="tables")
    assert local_place.lake().tables() == ["t", "t__lines"]


def test_a_cursor_moves_past_rows_that_were_all_put_aside(place: Place) -> None:
    place.load([{"id": 1, "n": 1}], cursor="id")
    first = place.load([{"id": 2, "n": "x"}], cursor="id", contract={"types": "quarantine"})
    again = place.load([{"id": 2, "n": "x"}], cursor="id", contract={"types": "quarantine"})
    assert first.tables["t"].quarantined_rows == 1
    assert (again.tables["t"].quarantined_rows, again.sequence) == (0, None)
    assert len(rows(place, "t__quarantine")) == 1


@pytest.mark.parametrize("first", ["the list", "the rejected row"])
def test_a_list_called_quarantine_stays_apart_from_rows_put_aside(local_place: Place, first: str) -> None:
    loads = [[{"id": 1, "quarantine": [{"a": 1}]}], [{"id": None, "quarantine": [{"a": 2}]}]]
    for data in loads if first == "the list" else loads[::-1]:
        local_place.load(data, nesting="tables", rules=["id not null"])
    assert [json.loads(row["payload"])["quarantine"] for row in rows(local_place, "t__quarantine")] == [
        [{"a": 2}]
    ]
    (child,) = set(local_place.lake().tables()) - {"t", "t__quarantine"}
    assert [row["a"] for row in rows(local_place, child)] == [1]


def test_declared_types_hold_for_what_nesting_makes_of_objects_and_lists(local_place: Place) -> None:
    lines = pa.list_(pa.struct([pa.field("n", pa.int32(), nullable=False), ("sku", pa.string())]))
    types = {"id": pa.int32(), "to": pa.struct([("zip", pa.string()), ("from", pa.date32())]), "lines": lines}
    orders = [
        {
            "id": 1,
            "to": {"zip": "2024-01-01", "from": "2024-01-01"},
            "lines": [{"n": "7", "sku": "2024-01-01"}],
        },
        {"id": 2},
    ]
    for data in (orders[:1], orders[1:]):
        local_place.load(data, nesting="tables", schema=types, primary_key="id")
    day = dt.date(2024, 1, 1)
    assert rows(local_place, "t") == [
        {"id": 1, "to__zip": "2024-01-01", "to__from": day, "_lakeload_row_id": "1"},
        {"id": 2, "to__zip": None, "to__from": None, "_lakeload_row_id": "2"},
    ]
    (line,) = rows(local_place, "t__lines")
    assert (line["n"], line["sku"]) == (7, "2024-01-01")
    assert local_place.table("t__lines").schema().field("n").type == pa.int32()
    with pytest.raises(ll.SchemaError, match=r"a required column has no value \(table t__lines, column n"):
        local_place.load([{"id": 3, "lines": [{"sku": "a"}]}], nesting="tables", schema=types)


def test_a_row_put_aside_tells_every_column_that_is_to_blame(local_place: Place) -> None:
    local_place.load([{"id": 1, "to": {"zip": 1}, "lines": [{"n": 1}]}], nesting="tables")
    bad = {"id": 2, "to": {"zip": "x"}, "lines": [{"n": "y"}]}
    local_place.load([bad], nesting="tables", contract={"types": "quarantine"})
    (row,) = rows(local_place, "t__quarantine")
    wrong = "a string value cannot be stored exactly as int64"
    assert (row["path"], row["reason"]) == ("to__zip", f"{wrong}; lines.n: {wrong}")
    assert json.loads(row["value"]) == {"zip": "x"}
