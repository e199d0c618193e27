import pyarrow as pa
import pytest

from lakeload.model.changes import SchemaChange
from lakeload.model.layout import PartitionField
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
        (pa.int64(), pa.string(), pa.string(), None),
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


STRUCT = pa.struct([("a", pa.int32())])
TEXTS = [
    (pa.int64(), pa.string()),
    (pa.bool_(), pa.int32()),
    (pa.timestamp("us"), pa.timestamp("us", "UTC")),
    (pa.decimal128(20, 2), pa.float64()),
    (STRUCT, pa.int32()),
    (pa.list_(pa.int32()), STRUCT),
]


@pytest.mark.parametrize(("old", "data"), TEXTS)
def test_types_with_nothing_else_in_common_become_text_where_the_table_can(old, data):
    base, incoming = [("s", pa.struct([("x", old)]))], [("s", pa.struct([("x", data)]))]
    assert needed(base, incoming) == [SchemaChange("widen", ("s", "x"), old, pa.string())]
    assert needed(base, incoming, ("iceberg",)) == []
    new = Evolution(pa.schema([]), ("iceberg",))
    assert [c.new for c in new.needed(pa.schema(base), pa.schema(incoming))] == [pa.string()]


def test_objects_become_maps_where_the_table_can_and_maps_stay():
    struct, entries = pa.struct([("a", pa.int32())]), pa.map_(pa.string(), pa.int64())
    assert needed([("m", struct)], [("m", entries)]) == [SchemaChange("widen", ("m",), struct, entries)]
    assert needed([("m", struct)], [("m", entries)], ("iceberg",)) == []
    assert needed([("m", entries)], [("m", struct)]) == []
    wider = pa.struct([("a", pa.string())])
    assert needed([("m", entries)], [("m", wider)]) == [
        SchemaChange("widen", ("m", "value"), pa.int64(), pa.string())
    ]


@pytest.mark.parametrize(("old", "data"), TEXTS)
def test_a_table_somebody_else_made_never_becomes_text(old, data):
    schema = pa.schema([("a", old)])
    evolution = Evolution(schema, ("delta",), owned=False)
    assert list(evolution.needed(schema, pa.schema([("a", data)]))) == []
    assert data == STRUCT or evolution.rescue(schema, ("a",), data) is None


def test_values_that_do_not_fit_a_type_which_should_hold_them_make_text():
    schema = pa.schema([("a", pa.float64()), ("b", pa.timestamp("us")), ("c", pa.string())])
    evolution = Evolution(schema, ("delta",))
    assert evolution.rescue(schema, ("a",), pa.int64()).new == pa.string()
    assert evolution.rescue(schema, ("b",), pa.timestamp("ns")) is None
    assert evolution.rescue(schema, ("c",), pa.date32()) is None
    assert Evolution(schema, ("iceberg",)).rescue(schema, ("a",), pa.int64()) is None
    foreign = Evolution(schema, ("delta",), owned=False)
    assert foreign.rescue(schema, ("a",), pa.int64()) is None


@pytest.mark.parametrize(
    "empty", [pa.struct([]), pa.list_(pa.null()), pa.struct([("a", pa.list_(pa.null()))])]
)
def test_an_empty_object_or_list_where_other_values_are_makes_text(empty):
    for known in (pa.int64(), pa.list_(pa.string()), pa.struct([("b", pa.int64())])):
        schema = pa.schema([("a", known)])
        assert Evolution(schema, ("delta",)).rescue(schema, ("a",), empty).new == pa.string()
        assert Evolution(schema, ("iceberg",)).rescue(schema, ("a",), empty) is None
        assert Evolution(schema, ("delta",), owned=False).rescue(schema, ("a",), empty) is None


def test_a_column_the_table_is_partitioned_by_becomes_no_text():
    schema = pa.schema([("a", pa.int32()), ("b", pa.int32())])
    for formats in (("delta",), ("iceberg",)):
        evolution = Evolution(schema, formats, partition_by=[PartitionField("a", "bucket", 4)])
        data = pa.schema([("a", pa.string())])
        assert list(evolution.needed(schema, data)) == []
        assert evolution.rescue(schema, ("a",), pa.string()) is None
        assert list(evolution.needed(schema, pa.schema([("a", pa.int64())])))


def test_integers_beyond_doubles_that_met_no_fraction_yet_become_text_when_they_do():
    kind = pa.struct([("n", pa.list_(pa.int64()))])
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64()), ("s", kind)])
    evolution = Evolution(None, ("delta",))
    rows = {"a": [2**53 + 1, 1], "b": [2**53, 1], "s": [None, {"n": [1, -(2**60)]}]}
    evolution.observe(pa.record_batch(rows, schema=schema))
    fractions = pa.struct([("n", pa.list_(pa.float64()))])
    data = pa.schema([("a", pa.float64()), ("b", pa.float64()), ("s", fractions)])
    found = {".".join(change.path): change.new for change in evolution.needed(schema, data)}
    assert found == {"a": pa.string(), "b": pa.float64(), "s.n.element": pa.string()}


def test_the_log_forgets_what_was_inside_of_what_became_text_or_a_map():
    base, _ = assign_ids(pa.schema([("s", STRUCT), ("t", STRUCT)]))
    evolution = Evolution(base, ("delta",))
    entries = pa.map_(pa.string(), pa.int32())
    for step in (
        SchemaChange("add", ("s", "b"), None, pa.int32()),
        SchemaChange("add", ("n",), None, STRUCT),
        SchemaChange("add", ("n", "b"), None, pa.int32()),
        SchemaChange("relax", ("t", "a"), pa.int32(), pa.int32()),
        SchemaChange("widen", ("s",), pa.struct([("a", pa.int32()), ("b", pa.int32())]), entries),
        SchemaChange("widen", ("s", "value"), pa.int32(), pa.int64()),
        SchemaChange("widen", ("n",), pa.struct([("a", pa.int32()), ("b", pa.int32())]), pa.string()),
        SchemaChange("widen", ("t",), STRUCT, pa.string()),
    ):
        evolution.record(step)
    assert [str(change) for change in evolution.changes] == [
        "added n string",
        "widened s struct<a: int32> → map<string, int64>",
        "widened t struct<a: int32> → string",
    ]
    apply_changes(base, 4, evolution.changes)


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
