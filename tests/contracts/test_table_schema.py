"""Schema evolution: what may change changes with the data, what may not is refused before anything is written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from lakes import Place

import lakeload as ll

STRUCT = pa.struct([("a", pa.int64())])
WIDE_STRUCT = pa.struct([("a", pa.int64()), ("b", pa.string())])


def column(values: list[Any], kind: pa.DataType) -> pa.Table:
    return pa.table({"id": pa.array(range(len(values)), pa.int64()), "c": pa.array(values, kind)})


def test_new_column_is_added_and_older_rows_have_null(place: Place) -> None:
    place.load(pa.table({"id": [1]}))
    report = place.load(pa.table({"id": [2], "extra": ["x"]}))
    assert [str(change) for change in report.tables["t"].schema_changes] == ["added extra string"]
    place.holds(pa.table({"id": [1, 2], "extra": [None, "x"]}))


def test_column_that_stays_away_is_null(place: Place) -> None:
    place.load(pa.table({"id": [1], "text": ["x"]}))
    report = place.load(pa.table({"id": [2]}))
    assert not report.tables["t"].schema_changes
    place.holds(pa.table({"id": [1, 2], "text": ["x", None]}))


def test_columns_in_another_order_land_in_their_places(place: Place) -> None:
    place.load(pa.table({"id": [1], "text": ["x"]}))
    place.load(pa.table({"text": ["y"], "id": [2]}))
    place.holds(pa.table({"id": [1, 2], "text": ["x", "y"]}))


@pytest.mark.parametrize(
    ("old", "old_kind", "new", "new_kind"),
    [
        ({"a": 1}, STRUCT, {"a": 2, "b": "x"}, WIDE_STRUCT),
        ([{"a": 1}], pa.list_(STRUCT), [{"a": 2, "b": "x"}, None], pa.list_(WIDE_STRUCT)),
        ({"s": [{"a": 1}]}, pa.struct([("s", pa.list_(STRUCT))]), {"s": [{"a": 2, "b": "x"}]}, pa.struct([("s", pa.list_(WIDE_STRUCT))])),
    ],
    ids=["struct", "list element", "struct of list of struct"],
)  # fmt: skip
def test_new_nested_field_is_added_and_older_rows_have_null(
    place: Place, old: Any, old_kind: pa.DataType, new: Any, new_kind: pa.DataType
) -> None:
    place.load(column([old], old_kind))
    report = place.load(column([new], new_kind))
    assert [change.kind for change in report.tables["t"].schema_changes] == ["add"]
    expected = pa.table({"id": pa.array([0, 0], pa.int64()), "c": pa.array([old, new], new_kind)})
    place.holds(expected)


WIDENINGS = {
    "int32 to int64": (2**31 - 1, pa.int32(), 2**62, pa.int64()),
    "float32 to float64": (1.5, pa.float32(), 1e300, pa.float64()),
    "decimal precision": (
        Decimal("12.34"),
        pa.decimal128(4, 2),
        Decimal("-9999999999.99"),
        pa.decimal128(12, 2),
    ),
}


@pytest.mark.parametrize("case", WIDENINGS)
def test_wider_type_widens_the_column_and_keeps_older_values(place: Place, case: str) -> None:
    low, narrow, high, wide = WIDENINGS[case]
    place.load(column([low, None], narrow))
    report = place.load(column([high], wide))
    assert [change.kind for change in report.tables["t"].schema_changes] == ["widen"]
    assert place.table().schema().field("c").type == wide
    place.holds(pa.table({"id": pa.array([0, 1, 0], pa.int64()), "c": pa.array([low, None, high], wide)}))


@pytest.mark.parametrize("case", WIDENINGS)
def test_narrower_type_is_stored_in_the_wider_column(place: Place, case: str) -> None:
    low, narrow, high, wide = WIDENINGS[case]
    place.load(column([high], wide))
    report = place.load(column([low], narrow))
    assert not report.tables["t"].schema_changes
    place.holds(pa.table({"id": pa.array([0, 0], pa.int64()), "c": pa.array([high, low], wide)}))


def test_nested_field_is_widened(place: Place) -> None:
    narrow, wide = pa.list_(pa.struct([("n", pa.int32())])), pa.list_(pa.struct([("n", pa.int64())]))
    place.load(column([[{"n": 1}, {"n": None}], []], narrow))
    place.load(column([[{"n": 2**40}]], wide))
    expected = pa.table(
        {
            "id": pa.array([0, 1, 0], pa.int64()),
            "c": pa.array([[{"n": 1}, {"n": None}], [], [{"n": 2**40}]], wide),
        }
    )
    place.holds(expected)


def test_widening_within_one_load_keeps_every_value(place: Place) -> None:
    def batches():
        yield column([1, 2], pa.int32())
        yield column([2**40], pa.int64())

    place.load(batches())
    place.holds(pa.table({"id": pa.array([0, 1, 0], pa.int64()), "c": pa.array([1, 2, 2**40], pa.int64())}))


def test_widening_of_a_partitioned_table_keeps_every_row(place: Place) -> None:
    def part(p: list[str], c: list[int], kind: pa.DataType) -> pa.Table:
        return pa.table({"p": p, "c": pa.array(c, kind)})

    place.load(part(["a", "b"], [1, 2], pa.int32()), partition_by="p")
    place.load(part(["b", "c"], [2**40, 3], pa.int64()))
    place.holds(part(["a", "b", "b", "c"], [1, 2, 2**40, 3], pa.int64()))


def test_required_column_becomes_optional_when_a_null_comes(place: Place) -> None:
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("text", pa.string())])
    place.load(pa.table({"id": [1], "text": ["x"]}), schema=schema)
    assert not place.table().schema().field("id").nullable
    report = place.load(pa.table({"id": pa.array([None], pa.int64()), "text": ["y"]}))
    assert [change.kind for change in report.tables["t"].schema_changes] == ["relax"]
    assert place.table().schema().field("id").nullable
    place.holds(pa.table({"id": [1, None], "text": ["x", "y"]}))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (column([1], pa.int64()), column(["one"], pa.string())),
        (column([{"a": 1}], STRUCT), column([1], pa.int64())),
        (column([[1]], pa.list_(pa.int64())), column([1], pa.int64())),
        (column([True], pa.bool_()), column([1], pa.int64())),
        (
            column([dt.datetime(2024, 1, 1)], pa.timestamp("us")),
            column([dt.datetime(2024, 1, 1, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
        ),
    ],
    ids=["int then string", "struct then int", "list then int", "bool then int", "naive then aware"],
)
def test_type_that_contradicts_the_table_is_refused_and_the_table_stays(
    place: Place, first: pa.Table, second: pa.Table
) -> None:
    place.load(first)
    before, files = place.versions(), len(place.data_files())
    with pytest.raises(ll.SchemaError) as caught:
        place.load(second)
    message = str(caught.value)
    assert "\n" not in message
    assert (caught.value.column, caught.value.table) == ("c", "t")
    assert place.versions() == before
    assert len(place.data_files()) == files
    place.holds(first)


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (column([1], pa.int64()), column([Decimal("1.50")], pa.decimal128(5, 2)), pa.decimal128(21, 2)),
        (column([1], pa.int64()), column([1.5], pa.float64()), pa.float64()),
        (column([Decimal("1.5")], pa.decimal128(4, 1)), column([Decimal("1.55")], pa.decimal128(4, 2)), pa.decimal128(5, 2)),
        (column([dt.date(2024, 1, 1)], pa.date32()), column([dt.datetime(2024, 1, 1, 12)], pa.timestamp("us")), pa.timestamp("us")),
    ],
    ids=["int to decimal", "int to double", "decimal scale", "date to timestamp"],
)  # fmt: skip
def test_widening_only_some_formats_know_keeps_every_value_or_is_refused(
    local_place: Place, first: pa.Table, second: pa.Table, kind: pa.DataType
) -> None:
    place = local_place
    place.load(first)
    before = place.versions()
    with _refusal() as refused:
        place.load(second)
    if refused:
        assert refused[0].column == "c"
        assert refused[0].hint
        assert place.versions() == before
        place.holds(first)
    else:
        assert place.formats == ("delta",), "Iceberg has no such promotion"
        wide = [part.set_column(1, "c", part.column("c").cast(kind)) for part in (first, second)]
        place.holds(pa.concat_tables(wide))


@contextmanager
def _refusal() -> Iterator[list[ll.SchemaError]]:
    """Collects the error that ends the block, if any."""
    found: list[ll.SchemaError] = []
    try:
        yield found
    except ll.SchemaError as error:
        found.append(error)


def test_schema_hint_decides_the_type_of_a_new_table(place: Place) -> None:
    hints = pa.schema([("price", pa.decimal128(10, 2)), ("day", pa.date32())])
    place.load([{"price": Decimal("1.10"), "day": "2024-02-29", "n": 1}], schema=hints)
    schema = place.table().schema()
    assert schema.field("price").type == pa.decimal128(10, 2)
    assert schema.field("day").type == pa.date32()
    place.holds(
        pa.table(
            {
                "price": pa.array([Decimal("1.10")], pa.decimal128(10, 2)),
                "day": pa.array([dt.date(2024, 2, 29)]),
                "n": [1],
            }
        )
    )


def test_schema_of_the_table_shows_no_field_ids(place: Place) -> None:
    place.load(column([{"a": 1}], STRUCT))
    schema = place.table().schema()
    assert all(not field.metadata for field in schema)
    assert all(not child.metadata for child in schema.field("c").type)


def test_overwrite_may_bring_a_new_column(place: Place) -> None:
    place.load(pa.table({"id": [1]}))
    place.load(pa.table({"id": [2], "extra": ["x"]}), mode=ll.Overwrite())
    place.holds(pa.table({"id": [2], "extra": ["x"]}))
