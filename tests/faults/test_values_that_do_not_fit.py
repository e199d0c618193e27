"""Values of another type than the rest, wherever they are: taken out alone, put aside whole, or kept as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import lakeload
from lakeload.errors import SchemaError


def rows_of(lake: lakeload.Lakehouse, table: str = "t") -> list[dict[str, Any]]:
    return sorted(lake.table(table).scan().read_all().to_pylist(), key=lambda row: row.get("id", 0))


def load(lake: lakeload.Lakehouse, rows: list[dict[str, Any]], *, as_json: bool, **options: Any) -> None:
    data: object = "\n".join(map(json.dumps, rows)).encode() if as_json else rows
    lakeload.load(data, lake, table="t", load_columns=False, **options)


PLACES = [
    ({"v": [1]}, {"v": [2, "x", 3]}, {"v": [2, None, 3]}),
    ({"v": {"l": [1], "k": 1}}, {"v": {"l": [True, 2], "k": 5}}, {"v": {"l": [None, 2], "k": 5}}),
    ({"v": [[1]]}, {"v": [[1, "x"], [2]]}, {"v": [[1, None], [2]]}),
    ({"v": [{"a": 1}]}, {"v": [{"a": 1}, {"a": "x"}, {"a": 3}]}, {"v": [{"a": 1}, {"a": None}, {"a": 3}]}),
    ({"v": [1.5]}, {"v": [2.5, {"a": 1}, [3]]}, {"v": [2.5, None, None]}),
    ({"v": [1], "w": 1}, {"v": [1, "x"], "w": "y"}, {"v": [1, None], "w": None}),
    ({"v": ["2024-05-01"]}, {"v": ["2024-05-02", 7]}, None),
]


@pytest.mark.parametrize(("first", "then", "kept"), PLACES)
@pytest.mark.parametrize("as_json", [True, False])
def test_discarding_values_takes_those_that_do_not_fit(
    tmp_path: Path, first: dict[str, Any], then: dict[str, Any], kept: dict[str, Any] | None, *, as_json: bool
) -> None:
    lake = lakeload.Lakehouse(tmp_path)
    load(lake, [{"id": 1} | first], as_json=as_json)
    load(lake, [{"id": 2} | then, {"id": 3} | first], as_json=as_json, contract={"types": "discard_value"})
    found = rows_of(lake)
    assert found[2] == found[0] | {"id": 3}
    if kept is not None:
        assert found[1] == {"id": 2} | kept


@pytest.mark.parametrize(("first", "then", "kept"), PLACES[:6])
@pytest.mark.parametrize("as_json", [True, False])
def test_what_is_put_aside_is_what_the_source_gave(
    tmp_path: Path, first: dict[str, Any], then: dict[str, Any], kept: dict[str, Any], *, as_json: bool
) -> None:
    lake = lakeload.Lakehouse(tmp_path)
    load(lake, [{"id": 1} | first], as_json=as_json)
    load(lake, [{"id": 2} | then], as_json=as_json, contract={"types": "quarantine"})
    [aside] = lake.table("t__quarantine").scan().read_all().to_pylist()
    assert json.loads(aside["payload"]) == {"id": 2} | then
    assert len(rows_of(lake)) == 1
    seen = []

    def mend(row: dict[str, Any]) -> dict[str, Any]:
        seen.append(row)
        return {"id": 2} | kept

    lakeload.replay(lake, "t", contract={"types": "quarantine"}, transform=mend)
    assert seen == [{"id": 2} | then]
    assert rows_of(lake)[1] == {"id": 2} | kept


@pytest.mark.parametrize(("first", "then", "kept"), PLACES[:4])
def test_what_is_frozen_names_the_value(
    tmp_path: Path, first: dict[str, Any], then: dict[str, Any], kept: dict[str, Any]
) -> None:
    lake = lakeload.Lakehouse(tmp_path)
    load(lake, [{"id": 1} | first], as_json=False)
    with pytest.raises(SchemaError, match=r'"x"|true') as error:
        load(lake, [{"id": 2} | first, {"id": 3} | then], as_json=False, contract={"types": "freeze"})
    assert (error.value.row, error.value.table) == (2, "t")
    assert kept


@pytest.mark.parametrize("single", ["x", 5, 2.5, True, "2024-05-01"])
@pytest.mark.parametrize("nested", [[1, 2, "3"], {"a": [1, "2"]}, [[1], "x"], [{"a": 1}, {"a": "1"}]])
def test_a_list_that_meets_single_values_keeps_the_types_of_its_own(
    tmp_path: Path, single: object, nested: object
) -> None:
    for several in (True, False):
        lake = lakeload.Lakehouse(tmp_path / str(several))
        rows = [{"id": 1, "v": single}, {"id": 2, "v": nested}]
        for part in [rows] if several else [[row] for row in rows]:
            load(lake, part, as_json=True)
        assert json.loads(rows_of(lake)[1]["v"]) == nested
