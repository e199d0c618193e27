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


@pytest.mark.parametrize("partition_by", [(), "kind"], ids=["whole", "partitioned"])
def test_widening_reaches_the_files_the_same_load_has_written(place: Place, partition_by: Any) -> None:
    def rows(start: int, count: int) -> list[dict[str, Any]]:
        return [
            {"id": n, "kind": n % 2, "text": f"{n * 7919:x} {n * n:x}", "in": {"n": n, "list": [n] * (n % 3)}}
            for n in range(start, start + count)
        ]

    wide = [{"id": "last", "kind": 1, "text": None, "in": {"n": 0.5, "list": [1]}}]
    given = [rows(0, 8_000), wide, rows(8_000, 1_000)]
    report = place.load(iter(given), partition_by=partition_by, target_file_size=16 << 10, fold=False)
    assert report.tables["t"].files > 4
    inner = pa.struct([("n", pa.float64()), ("list", pa.list_(pa.int64()))])
    kinds = pa.schema([("id", pa.string()), ("kind", pa.int64()), ("text", pa.string()), ("in", inner)])
    every = [{**row, "id": str(row["id"])} for part in given for row in part]
    place.holds(pa.Table.from_pylist(every, kinds))
    assert len(place.data_files()) == report.tables["t"].files


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


MAP = pa.map_(pa.string(), pa.string())
CLASHES = {
    "int then string": (column([1, None], pa.int64()), column(["one"], pa.string()), ["1", None, "one"]),
    "string then int": (column(["one"], pa.string()), column([1], pa.int64()), ["one", "1"]),
    "struct then int": (column([{"a": 1}, None], STRUCT), column([1], pa.int64()), ['{"a":1}', None, "1"]),
    "list then int": (column([[1, None]], pa.list_(pa.int64())), column([1], pa.int64()), ["[1,null]", "1"]),
    "bool then int": (column([True], pa.bool_()), column([1], pa.int64()), ["true", "1"]),
    "decimal then double": (
        column([Decimal("1.50")], pa.decimal128(5, 2)),
        column([0.001], pa.float64()),
        ["1.5", "0.001"],
    ),
    "naive then aware": (
        column([dt.datetime(2024, 1, 1, 12)], pa.timestamp("us")),
        column([dt.datetime(2024, 1, 1, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
        ["2024-01-01T12:00:00", "2024-01-01T00:00:00Z"],
    ),
    "large int after double": (
        column([1.0, 0.5], pa.float64()),
        column([2**60, 7], pa.int64()),
        ["1", "0.5", str(2**60), "7"],
    ),
    "struct then map": (
        column([{"a": 1, "b": "x"}, {"a": None, "b": "y"}, None], WIDE_STRUCT),
        column([[("k", "v")]], MAP),
        [[("a", "1"), ("b", "x")], [("b", "y")], None, [("k", "v")]],
    ),
    "nested member": (
        column([[{"a": 1}, None]], pa.list_(STRUCT)),
        column([[{"a": "x"}]], pa.list_(pa.struct([("a", pa.string())]))),
        [[{"a": "1"}, None], [{"a": "x"}]],
    ),
}


def _widest(values: list[Any]) -> pa.Table:
    kind = next(value for value in values if value is not None)
    if isinstance(kind, str):
        return column(values, pa.string())
    inside = kind[0]
    return column(values, MAP if isinstance(inside, tuple) else pa.list_(pa.struct([("a", pa.string())])))


@pytest.mark.parametrize("case", CLASHES)
def test_type_that_contradicts_the_table_makes_text_or_maps_of_it_or_is_refused(
    local_place: Place, case: str
) -> None:
    place = local_place
    first, second, values = CLASHES[case]
    place.load(first)
    before, files = place.versions(), len(place.data_files())
    with _refusal() as refused:
        report = place.load(second)
    if refused:
        assert "iceberg" in place.formats, "Delta can rewrite its files"
        assert "\n" not in str(refused[0])
        assert refused[0].column.split(".")[0] == "c"
        assert (refused[0].table, refused[0].row) == ("t", 1)
        assert refused[0].hint
        assert place.versions() == before
        assert len(place.data_files()) == files
        place.holds(first)
    else:
        assert "iceberg" not in place.formats or case == "string then int"
        wide = _widest(values)
        expected = wide.set_column(0, "id", pa.array([*range(len(first)), *range(len(second))], pa.int64()))
        place.holds(expected)
        if case != "string then int":
            (change,) = report.tables["t"].schema_changes
            assert change.kind == "widen"


@pytest.mark.parametrize("case", CLASHES)
def test_types_that_contradict_within_one_load_make_text_or_maps_in_every_format(
    local_place: Place, case: str
) -> None:
    first, second, values = CLASHES[case]
    local_place.load(iter([first, second]))
    ids = pa.array([*range(len(first)), *range(len(second))], pa.int64())
    local_place.holds(_widest(values).set_column(0, "id", ids))


@pytest.mark.parametrize("case", CLASHES)
def test_a_column_the_load_adds_to_a_table_becomes_text_or_a_map_in_every_format(
    local_place: Place, case: str
) -> None:
    first, second, values = CLASHES[case]
    local_place.load(pa.table({"id": pa.array([100], pa.int64())}))
    z = pa.table({"id": pa.array([200], pa.int64()), "z": ["later"]})
    report = local_place.load(iter([first, z, second]))
    assert [(change.kind, change.path) for change in report.tables["t"].schema_changes] == [
        ("add", ("c",)),
        ("add", ("z",)),
    ]
    ids = [100, *range(len(first)), 200, *range(len(second))]
    cells = [None, *values[: len(first)], None, *values[len(first) :]]
    late = [None] * (1 + len(first)) + ["later"] + [None] * len(second)
    expected = _widest(cells).set_column(0, "id", pa.array(ids, pa.int64()))
    local_place.holds(expected.append_column("z", pa.array(late, pa.string())))


def test_members_added_and_then_made_entries_of_a_map_are_one_change(local_place: Place) -> None:
    local_place.load(column([{"a": 1}], STRUCT))
    batches = [column([{"a": 2, "b": "x"}], WIDE_STRUCT), column([[("k", "v")]], MAP)]
    if "iceberg" in local_place.formats:
        with pytest.raises(ll.SchemaError):
            local_place.load(iter(batches))
        return
    report = local_place.load(iter(batches))
    changes = report.tables["t"].schema_changes
    assert [str(change) for change in changes] == ["widened c struct<a: int64> → map<string, string>"]
    values = [[("a", "1")], [("a", "2"), ("b", "x")], [("k", "v")]]
    local_place.holds(column(values, MAP).set_column(0, "id", pa.array([0, 0, 0], pa.int64())))


def test_integers_of_the_table_beyond_doubles_are_not_rounded_by_a_fraction(local_place: Place) -> None:
    first = column([2**60], pa.int64())
    local_place.load(first)
    before = local_place.versions()
    with pytest.raises(ll.SchemaError) as caught:
        local_place.load(column([0.5], pa.float64()))
    assert (caught.value.table, caught.value.column) == ("t", "c")
    assert caught.value.hint
    assert local_place.versions() == before
    local_place.holds(first)


def test_text_in_a_column_the_table_is_partitioned_by_is_refused_with_its_row(local_place: Place) -> None:
    first = column([1, 2], pa.int64())
    local_place.load(first, partition_by="bucket(4, c)" if "iceberg" in local_place.formats else "c")
    with pytest.raises(ll.SchemaError) as caught:
        local_place.load(column([None, "x"], pa.string()))
    assert (caught.value.table, caught.value.column, caught.value.row) == ("t", "c", 2)
    local_place.holds(first)


def test_members_keep_their_source_names_in_text_and_as_keys(local_place: Place) -> None:
    def rows(value: Any, kind: pa.DataType) -> pa.Table:
        return pa.table({"c": pa.array([value], kind), "d": pa.array([value], kind)})

    named = pa.struct([("userId", pa.int64())])
    first = rows({"userId": 1}, named)
    text, entries = pa.array(["x"]), pa.array([[("k", 2)]], pa.map_(pa.string(), pa.int64()))
    second = pa.table({"c": text, "d": entries})
    expected = pa.table(
        {
            "c": pa.array(['{"userId":1}', "x"]),
            "d": pa.array([[("userId", 1)], [("k", 2)]], pa.map_(pa.string(), pa.int64())),
        }
    )
    local_place.load(iter([first, second]), "one")
    local_place.holds(expected, "one")
    if "iceberg" not in local_place.formats:
        local_place.load(first)
        local_place.load(second)
        local_place.holds(expected)


def test_numbers_are_moments_by_the_unit_of_their_hint(local_place: Place) -> None:
    kinds = {"a": pa.timestamp("s", "UTC"), "b": pa.timestamp("ms"), "c": pa.date32()}
    hints = pa.schema([*kinds.items(), ("n", pa.struct([("at", pa.timestamp("us", "UTC"))]))])
    row = {"a": 1_714_557_600.5, "b": 1_714_557_600_123, "c": 19_844, "n": {"at": 1}}
    local_place.load([row], schema=hints)
    day = dt.datetime(2024, 5, 1, 10)
    utc = pa.timestamp("us", "UTC")
    local_place.holds(
        pa.table(
            {
                "a": pa.array([day.replace(microsecond=500_000, tzinfo=dt.UTC)], utc),
                "b": pa.array([day.replace(microsecond=123_000)], pa.timestamp("us")),
                "c": pa.array([dt.date(2024, 5, 1)]),
                "n": pa.array([{"at": dt.datetime(1970, 1, 1, 0, 0, 0, 1)}], pa.struct([("at", utc)])),
            }
        )
    )


def test_integers_beyond_doubles_and_fractions_make_text_in_any_order(local_place: Place) -> None:
    whole, parts = column([2**60, 1], pa.int64()), column([0.5], pa.float64())
    local_place.load(iter([whole, parts]), "one")
    local_place.load(iter([parts, whole]), "two")
    one, two = (local_place.table(name).to_arrow()["c"].to_pylist() for name in ("one", "two"))
    assert sorted(one) == sorted(two) == sorted([str(2**60), "1", "0.5"])


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


def test_objects_with_required_members_may_be_missing(place: Place) -> None:
    inner = pa.struct([pa.field("day", pa.date32(), nullable=False)])
    parts = pa.list_(pa.struct([pa.field("n", pa.int32(), nullable=False)]))
    to = pa.struct([pa.field("zip", pa.string(), nullable=False), ("inner", inner), ("parts", parts)])
    full = {"zip": "x", "inner": {"day": dt.date(2024, 1, 1)}, "parts": [{"n": 1}, None]}
    bare = {"zip": "y", "inner": None, "parts": []}
    given = [
        [{"id": 1}, {"id": 2, "to": None}],
        [{"id": 3, "to": full}, {"id": 4}, {"id": 5, "to": bare}],
    ]
    for data in given:
        place.load(data, schema={"id": pa.int64(), "to": to})
    place.load([{"id": 6}, {"id": 7, "to": bare}])
    expected = {1: None, 2: None, 3: full, 4: None, 5: bare, 6: None, 7: bare}
    for reader, data in place.read().items():
        assert {row["id"]: row["to"] for row in data.to_pylist()} == expected, reader
    with pytest.raises(ll.SchemaError, match=r"a required column has no value.*to\.zip, row 2"):
        place.load([{"id": 8, "to": full}, {"id": 9, "to": {"zip": None}}], schema={"to": to})
