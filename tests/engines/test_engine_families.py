"""What shaping makes of JSON, read by engines: child tables, maps, names with a past, columns turned into text."""

from __future__ import annotations

import pyarrow as pa
import pytest
from engines.enginelake import EngineLake, deviation, readers_of
from engines.matrix import Matrix

GROUP = "JSON"
ORDERS = [
    {"orderId": 1, "boughtAt": "2024-05-01T10:00:00Z", "lines": [{"sku": "a", "n": 2}, {"sku": "b", "n": 1}]},
    {"orderId": 2, "boughtAt": None, "lines": []},
    {"orderId": 3, "boughtAt": "2024-05-02T11:30:00.5Z", "lines": [{"sku": "c", "n": 3}]},
]
WIDE = [{"id": i, "by": {str(1000 + k): k for k in range(i * 100, i * 100 + 200)}} for i in range(3)]
MIXED = [{"id": 1, "value": 1}, {"id": 2, "value": "one"}, {"id": 3, "value": {"a": [1, None]}}]


@pytest.fixture(scope="module")
def lake(engines):
    lake = EngineLake.new(engines, ("delta", "iceberg"))
    lake.load(ORDERS, table="orders", nesting="tables", primary_key="orderId")
    lake.load(WIDE, table="wide")
    # In two loads of one kind each: the column changes its type on the way.
    lake.load(iter([MIXED[:1], MIXED[1:]]), table="mixed")
    lake.load([{"id": 1}, {"id": None}], table="kept", rules="id not null")
    return lake


CASES = [(engine, form) for form in ("delta", "iceberg") for engine in readers_of(form)]


@pytest.mark.parametrize(("engine", "form"), CASES)
def test_child_tables_lead_back_to_their_rows(lake, matrix: Matrix, engine: str, form: str):
    with matrix.reads(GROUP, "child tables of lists, joined by their ids", engine, form):
        rows = {
            r["_lakeload_row_id"]: r["order_id"] for r in lake.read_by(engine, form, "orders").to_pylist()
        }
        lines = lake.read_by(engine, form, "orders__lines").to_pylist()
        found = [(rows[line["_lakeload_parent_id"]], line["_lakeload_index"], line["sku"]) for line in lines]
        assert sorted(found) == [(1, 0, "a"), (1, 1, "b"), (3, 0, "c")]


@pytest.mark.parametrize(("engine", "form"), CASES)
def test_objects_with_many_keys_are_maps(lake, matrix: Matrix, engine: str, form: str):
    expected = lake.table("wide").to_arrow()
    assert pa.types.is_map(expected.schema.field("by").type)
    with matrix.reads(GROUP, "maps made of objects with many keys", engine, form):
        found = lake.read_by(engine, form, "wide")
        rows = {row["id"]: _pairs(row["by"]) for row in found.to_pylist()}
        assert rows == {row["id"]: row["by"] for row in WIDE}


def _pairs(value):
    """A map as whatever the engine gives for it."""
    pairs = [(pair["key"], pair["value"]) if isinstance(pair, dict) else pair for pair in value]
    return dict(pairs)


@pytest.mark.parametrize(("engine", "form"), CASES)
def test_columns_that_became_text_are_text_everywhere(lake, matrix: Matrix, engine: str, form: str):
    with matrix.reads(GROUP, "columns of several kinds, as text", engine, form):
        found = {row["id"]: row["value"] for row in lake.read_by(engine, form, "mixed").to_pylist()}
        assert found == {1: "1", 2: "one", 3: '{"a":[1,null]}'}


@pytest.mark.parametrize(("engine", "form"), CASES)
def test_dates_of_text_are_moments(lake, matrix: Matrix, engine: str, form: str):
    expected = lake.table("orders").to_arrow()
    note = deviation(engine, form, expected)[1]
    with matrix.reads(
        GROUP, "timestamps found in text; source names kept beside columns", engine, form, note
    ):
        lake.assert_read_by(engine, form, expected, "orders")


@pytest.mark.parametrize(("engine", "form"), CASES)
def test_the_quarantine_is_a_table_like_any_other(lake, matrix: Matrix, engine: str, form: str):
    with matrix.reads(GROUP, "the quarantine of a table", engine, form):
        (row,) = lake.read_by(engine, form, "kept__quarantine").to_pylist()
        assert (row["rule"], row["row"]) == ("not_null(id)", 2)
