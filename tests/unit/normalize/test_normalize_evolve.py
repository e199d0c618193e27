import pyarrow as pa
import pytest

from lakeload.errors import SchemaError
from lakeload.model.changes import SchemaChange
from lakeload.model.schema import apply_changes, assign_ids
from lakeload.normalize.evolve import Evolution


def needed(base, incoming, formats=("delta",)):
    schema = pa.schema(base)
    return list(Evolution(schema, formats).needed(schema, pa.schema(incoming)))


def test_nothing_changes_when_the_data_is_narrower():
    base = [("a", pa.int64()), ("b", pa.float64()), ("c", pa.decimal128(20, 2)), ("d", pa.timestamp("us"))]
    data = [("a", pa.int32()), ("b", pa.int32()), ("c", pa.int32()), ("d", pa.date32())]
    assert needed(base, data) == []


def test_columns_and_members_are_added_at_every_depth():
    base = [("s", pa.struct([("l", pa.list_(pa.struct([("x", pa.int32())])))]))]
    data = [
        ("s", pa.struct([("l", pa.list_(pa.struct([("y", pa.string())]))), ("n", pa.bool_())])),
        ("t", pa.date32()),
    ]
    found = {(change.kind, ".".join(change.path)) for change in needed(base, data)}
    assert found == {("add", "s.l.element.y"), ("add", "s.n"), ("add", "t")}


@pytest.mark.parametrize(
    ("old", "data", "delta", "iceberg"),
    [
        (pa.int32(), pa.int64(), pa.int64(), pa.int64()),
        (pa.float32(), pa.float64(), pa.float64(), pa.float64()),
        (pa.decimal128(5, 2), pa.decimal128(9, 2), pa.decimal128(9, 2), pa.decimal128(9, 2)),
        (pa.decimal128(5, 2), pa.decimal128(9, 4), pa.decimal128(9, 4), None),
        (pa.int64(), pa.float64(), pa.float64(), None),
        (pa.int64(), pa.decimal128(21, 2), pa.decimal128(21, 2), None),
        (pa.date32(), pa.timestamp("us"), pa.timestamp("us"), None),
    ],
)
def test_existing_columns_widen_only_as_their_formats_allow(old, data, delta, iceberg):
    for formats, wide in ((("delta",), delta), (("iceberg",), iceberg), (("delta", "iceberg"), iceberg)):
        expected = [SchemaChange("widen", ("a",), old, wide)] if wide else []
        assert needed([("a", old)], [("a", data)], formats) == expected


def test_a_map_key_is_not_widened_in_iceberg():
    old, data = pa.map_(pa.int32(), pa.int32()), pa.map_(pa.int64(), pa.int64())
    assert [c.path for c in needed([("m", old)], [("m", data)], ("iceberg",))] == [("m", "value")]
    assert [c.path for c in needed([("m", old)], [("m", data)])] == [("m", "key"), ("m", "value")]


def test_a_column_called_key_is_widened_in_iceberg():
    assert needed([("key", pa.int32())], [("key", pa.int64())], ("iceberg",))[0].kind == "widen"


@pytest.mark.parametrize(
    ("old", "data", "told"),
    [
        (pa.int64(), pa.string(), "int64 in the table and string in the data"),
        (pa.timestamp("us"), pa.timestamp("us", "UTC"), "timestamp"),
        (pa.struct([("a", pa.int32())]), pa.int32(), "struct in the table and int32 in the data"),
        (pa.list_(pa.int32()), pa.struct([("a", pa.int32())]), "list in the table and struct in the data"),
    ],
)
def test_types_with_nothing_in_common_are_refused_with_a_remedy(old, data, told):
    with pytest.raises(SchemaError, match=told) as caught:
        needed([("s", pa.struct([("x", old)]))], [("s", pa.struct([("x", data)]))])
    assert caught.value.column == "s.x"
    assert caught.value.hint


def test_the_log_replays_to_the_same_ids_and_folds_widenings_into_what_was_added():
    base, last = assign_ids(pa.schema([("a", pa.int32())]))
    evolution = Evolution(base, ("delta",))
    schema, last_id = base, last
    steps = [
        SchemaChange("add", ("s",), None, pa.struct([("x", pa.int32())])),
        SchemaChange("add", ("b",), None, pa.int32()),
        SchemaChange("add", ("s", "y"), None, pa.int32()),
        SchemaChange("widen", ("s", "x"), pa.int32(), pa.int64()),
        SchemaChange("widen", ("s", "y"), pa.int32(), pa.float64()),
        SchemaChange("widen", ("a",), pa.int32(), pa.int64()),
        SchemaChange("widen", ("a",), pa.int64(), pa.float64()),
    ]
    for step in steps:
        schema, last_id = apply_changes(schema, last_id, [step])
        evolution.record(step)
    assert [str(change) for change in evolution.changes] == [
        "added s struct<x: int64>",
        "added b int32",
        "added s.y double",
        "widened a int32 → double",
    ]
    replayed, replayed_last = apply_changes(base, last, evolution.changes)
    assert replayed.equals(schema, check_metadata=True)
    assert replayed_last == last_id
