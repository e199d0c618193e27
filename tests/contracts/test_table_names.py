"""Names of columns: what the source calls them stays known, so that every run finds the same columns."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lakes import Place

import lakeload as ll
from lakeload.model.naming import source_names

SPELLINGS = ("User Id", "UserId", "user_id")
INNER = pa.struct([("X", pa.int64()), ("x", pa.int64())])


def columns_of(place: Place) -> dict[str, str]:
    """Column by source name, without load columns."""
    found = source_names(place.table().schema())
    return {source: name for name, source in found.items() if not name.startswith("_lakeload_")}


def test_names_that_fall_into_one_have_columns_of_their_own_for_every_reader(place: Place) -> None:
    place.load([{"UserId": 1, "user_id": 2, "a": {"X": 1, "x": 2}, "l": [{"X": 3, "x": 4}]}])
    place.load([{"l": [{"x": 5, "X": 6}], "a": {"x": 7, "X": 8}, "user_id": 9, "UserId": 10}])
    columns = columns_of(place)
    other, inner = columns["UserId"], columns["a.X"].removeprefix("a.")
    assert columns["user_id"] == "user_id"
    assert other.startswith("user_id_")
    assert inner.startswith("x_")
    kind = pa.struct([(inner, pa.int64()), ("x", pa.int64())])
    expected = pa.table(
        {
            other: pa.array([1, 10]),
            "user_id": pa.array([2, 9]),
            "a": pa.array([{inner: 1, "x": 2}, {inner: 8, "x": 7}], kind),
            "l": pa.array([[{inner: 3, "x": 4}], [{inner: 6, "x": 5}]], pa.list_(kind)),
        }
    )
    place.holds(expected)


@pytest.mark.parametrize("order", list(itertools.permutations(SPELLINGS)))
def test_whatever_comes_first_keeps_its_column_in_every_later_run(
    local_place: Place, order: tuple[str, ...]
) -> None:
    for number, spelling in enumerate(order):
        local_place.load([{spelling: number}])
    first = columns_of(local_place)
    assert len(set(first.values())) == len(SPELLINGS)
    assert first[order[0]] == "user_id"
    local_place.load([dict.fromkeys(reversed(order), 9)])
    local_place.load([{order[1]: 9}, {order[0]: 9, order[2]: 9}])
    assert columns_of(local_place) == first
    rows = local_place.table().to_arrow()
    for number, spelling in enumerate(order):
        values = rows.column(first[spelling]).to_pylist()
        assert sorted(value for value in values if value is not None) == [number, 9, 9]


def test_the_order_of_keys_in_the_first_run_does_not_matter(local_place: Place, tmp_path: Path) -> None:
    found = []
    for number, order in enumerate(itertools.permutations(SPELLINGS)):
        place = Place(local_place.formats, str(tmp_path / str(number)))
        place.load([dict.fromkeys(order, 1)])
        found.append(columns_of(place))
    assert found == [found[0]] * len(found)
    assert found[0]["user_id"] == "user_id"


def test_rows_read_from_a_table_find_their_columns_again(place: Place) -> None:
    place.load([{"userId": 1, "a": {"X": 1, "x": 2}}], load_columns=False)
    rows = place.table().to_arrow()
    report = place.load(rows)
    assert not report.tables["t"].schema_changes
    place.holds(pa.concat_tables([rows, rows]))


def test_a_table_says_what_its_columns_are_called_in_the_source(place: Place) -> None:
    place.load([{"userId": 1, "id": 1, "Items": [{"unitPrice": 1, "n": 1}]}])
    place.load([{"newOne": 1, "Items": [{"unitPrice": 1, "n": 1, "addedLater": True}]}])
    assert columns_of(place) == {
        "userId": "user_id",
        "id": "id",
        "Items": "items",
        "Items.element": "items.element",
        "Items.element.unitPrice": "items.element.unit_price",
        "Items.element.n": "items.element.n",
        "Items.element.addedLater": "items.element.added_later",
        "newOne": "new_one",
    }
    if "delta" in place.formats:
        fields = {field.name: field for field in place.delta().schema().fields}
        assert fields["user_id"].metadata["lakeload.source"] == "userId"
        assert fields["new_one"].metadata["lakeload.source"] == "newOne"
        assert "lakeload.source" not in fields["id"].metadata
        inner = {field.name: field for field in fields["items"].type.element_type.fields}
        assert inner["added_later"].metadata["lakeload.source"] == "addedLater"
    if "iceberg" in place.formats:
        schema = place.iceberg().schema()
        assert schema.find_field("user_id").doc == "lakeload.source: userId"
        assert schema.find_field("id").doc is None
        assert schema.find_field("items.element.added_later").doc == "lakeload.source: addedLater"


def test_widening_folding_and_relaxing_keep_source_names(place: Place) -> None:
    place.load(pa.table({"userId": pa.array([1], pa.int32()), "UserId": pa.array([1], pa.int32())}))
    before = columns_of(place)
    for _ in range(9):
        place.load(pa.table({"userId": pa.array([2**40]), "UserId": pa.array([1], pa.int32())}))
    assert columns_of(place) == before
    kinds = {field.name: field.type for field in place.table().schema()}
    assert kinds[before["userId"]] == pa.int64()
    assert kinds[before["UserId"]] == pa.int32()


@pytest.mark.parametrize(
    ("naming", "names"),
    [
        ("snake_case", ["größe", "order", "total_usd"]),
        ("sql_safe", ["grosse", "order_", "total_usd"]),
        ("preserve", ["Größe", "Order", "total_USD_"]),
        (str.upper, None),
    ],
)
def test_a_policy_names_columns_for_every_reader(place: Place, naming: Any, names: list[str] | None) -> None:
    raw = ["Größe", "Order", "total (USD)"] if names else ["größe", "order"]

    @ll.resource(name="t", naming=naming, load_columns=False)
    def rows() -> Any:
        yield [dict.fromkeys(raw, 1)]

    place.load(rows)
    place.load(rows)
    final = names or ["GRÖSSE", "ORDER"]
    place.holds(pa.table({name: pa.array([1, 1]) for name in final}))


def test_a_length_limit_holds_and_tells_names_apart(local_place: Place) -> None:
    raw = ["a long name " * 9 + end for end in "xyz"]

    @ll.resource(name="t", max_name_length=32, load_columns=False)
    def rows() -> Any:
        yield [dict.fromkeys(raw, 1)]

    local_place.load(rows)
    local_place.load(rows)
    names = local_place.table().schema().names
    assert len(names) == len(raw)
    assert all(len(name) <= 32 for name in names)


def test_comments_of_others_stay_and_the_columns_are_still_found(tmp_path: Path) -> None:
    place = Place(("iceberg",), str(tmp_path / "lake"), catalog=f"sqlite:///{tmp_path}/catalog.db")
    place.load([{"userId": 1, "id": 1}], load_columns=False)
    catalog = _library_catalog(place)
    with catalog.load_table("default.t").update_schema() as update:
        update.update_column("user_id", doc="Who bought it")
        update.update_column("id", doc="Number of the sale")
    place.load([{"userId": 2, "id": 2, "newOne": 1}])
    schema = catalog.load_table("default.t").schema()
    assert schema.column_names == ["user_id", "id", "new_one"]
    assert schema.find_field("user_id").doc == "Who bought it"
    assert schema.find_field("id").doc == "Number of the sale"
    assert schema.find_field("new_one").doc == "lakeload.source: newOne"
    assert place.table().schema().field("user_id").metadata is None


def test_a_column_renamed_with_another_engine_is_still_found_by_its_source_name(tmp_path: Path) -> None:
    place = Place(("iceberg",), str(tmp_path / "lake"), catalog=f"sqlite:///{tmp_path}/catalog.db")
    place.load([{"userId": 1}], load_columns=False)
    with _library_catalog(place).load_table("default.t").update_schema() as update:
        update.rename_column("user_id", "customer")
    place.load([{"userId": 2}])
    assert place.table().to_arrow().sort_by("customer").to_pydict() == {"customer": [1, 2]}


def test_comments_in_delta_stay_beside_source_names(tmp_path: Path) -> None:
    place = Place(("delta",), str(tmp_path / "lake"))
    place.load([{"userId": 1}], load_columns=False)
    place.delta().alter.set_column_metadata("user_id", {"comment": "Who bought it"})
    place.load([{"userId": 2, "newOne": 1}])
    logged = json.loads(place.delta().schema().to_json())["fields"]
    told = {field["name"]: field["metadata"] for field in logged}
    assert told["user_id"]["comment"] == "Who bought it"
    assert told["user_id"]["lakeload.source"] == "userId"
    assert columns_of(place) == {"userId": "user_id", "newOne": "new_one"}


def _library_catalog(place: Place) -> Any:
    from pyiceberg.catalog.sql import SqlCatalog

    return SqlCatalog("default", uri=place.catalog, warehouse=place.root)
