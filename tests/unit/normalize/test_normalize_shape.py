"""What each nesting policy makes of a batch, and how the rows of its tables are tied together."""

import json
import pickle

import pyarrow as pa
import pytest

from lakeload.errors import SchemaError
from lakeload.model.nesting import Nesting
from lakeload.normalize.shape import RowIds, Shape

EVENTS = [
    {
        "id": 7,
        "actor": {"login": "x", "org": {"id": 1}},
        "payload": {
            "size": 2,
            "commits": [{"sha": "s1", "tags": ["a", None]}, None, {"sha": "s2", "tags": []}],
        },
    },
    {"id": 8, "actor": None, "payload": {"size": 0, "commits": []}},
    {"id": 9, "actor": {"login": None, "org": None}, "payload": None},
]


def shaped(nesting, rows=EVENTS, keys=("id",), ids=None):
    batch = rows if isinstance(rows, pa.RecordBatch) else pa.RecordBatch.from_pylist(rows)
    shape = pickle.loads(pickle.dumps(Shape.compile(batch.schema, Nesting.parse(nesting), keys, "events")))
    parts = shape.apply(batch, ids or RowIds("load", 0))
    for part in parts:
        part.batch.validate(full=True)
    assert [table.path for table in shape.root.below()] == [part.path for part in parts]
    return {part.path: part for part in parts}


def own(part):
    """Rows without the columns that tie tables together."""
    return [
        {name: value for name, value in row.items() if not name.startswith("_lakeload_")}
        for row in part.batch.to_pylist()
    ]


def column(part, name):
    return part.batch.column(f"_lakeload_{name}").to_pylist()


def test_native_passes_the_very_batch_through():
    batch = pa.RecordBatch.from_pylist(EVENTS)
    shape = Shape.compile(batch.schema, Nesting(), ("id",), "events")
    (part,) = shape.apply(batch, RowIds("load", 0))
    assert shape.identity
    assert part.batch is batch
    assert part.origin is None


def test_a_flat_schema_is_passed_through_under_every_policy():
    schema = pa.schema([("id", pa.int64()), ("kind", pa.dictionary(pa.int8(), pa.string()))])
    for policy in ("native", "tables", "flatten", "json", "map"):
        assert Shape.compile(schema, Nesting(policy), (), "t").identity


def test_tables_flattens_structs_and_makes_tables_of_lists_at_every_level():
    found = shaped("tables")
    assert list(found) == [(), ("payload", "commits"), ("payload", "commits", "tags")]
    assert own(found[()]) == [
        {"id": 7, "actor__login": "x", "actor__org__id": 1, "payload__size": 2},
        {"id": 8, "actor__login": None, "actor__org__id": None, "payload__size": 0},
        {"id": 9, "actor__login": None, "actor__org__id": None, "payload__size": None},
    ]
    commits = found["payload", "commits"]
    assert own(commits) == [{"sha": "s1"}, {"sha": None}, {"sha": "s2"}]
    assert column(commits, "row_id") == [f"7/payload/commits/{i}" for i in range(3)]
    assert column(commits, "parent_id") == column(commits, "root_id") == ["7"] * 3
    assert column(commits, "index") == [0, 1, 2]
    tags = found["payload", "commits", "tags"]
    assert own(tags) == [{"value": "a"}, {"value": None}]
    assert column(tags, "row_id") == ["7/payload/commits/0/tags/0", "7/payload/commits/0/tags/1"]
    assert column(tags, "parent_id") == ["7/payload/commits/0"] * 2
    assert column(tags, "root_id") == ["7", "7"]
    assert tags.origin.to_pylist() == [0, 0]


def test_system_columns_come_last_and_are_marked_and_never_null():
    for part in shaped("tables").values():
        fields = [field for field in part.batch.schema if field.name.startswith("_lakeload_")]
        assert fields == list(part.batch.schema)[-len(fields) :]
        assert all(field.metadata == {b"lakeload.system": b"1"} and not field.nullable for field in fields)


def test_a_flattened_column_knows_its_path():
    fields = {field.name: field for field in shaped("tables")[()].batch.schema}
    assert json.loads(fields["actor__org__id"].metadata[b"lakeload.path"]) == ["actor", "org", "id"]
    assert not fields["id"].metadata


def test_a_list_of_lists_is_a_table_below_a_table():
    found = shaped("tables", [{"id": 1, "grid": [[1, 2], None, [], [3]]}])
    assert own(found["grid",]) == [{}] * 4
    assert own(found["grid", "value"]) == [{"value": 1}, {"value": 2}, {"value": 3}]
    assert column(found["grid", "value"], "row_id") == [
        "1/grid/0/value/0",
        "1/grid/0/value/1",
        "1/grid/3/value/0",
    ]


def test_a_list_in_which_no_value_showed_yet_still_counts_its_elements():
    found = shaped("tables", [{"id": 1, "a": [None, None]}, {"id": 2, "a": []}])
    assert column(found["a",], "row_id") == ["1/a/0", "1/a/1"]
    assert found["a",].batch.schema.field("value").type == pa.null()


def test_flatten_keeps_lists():
    found = shaped("flatten")
    assert list(found) == [()]
    assert found[()].batch.schema.names == [
        "id",
        "actor__login",
        "actor__org__id",
        "payload__size",
        "payload__commits",
    ]
    assert own(found[()])[0]["payload__commits"] == EVENTS[0]["payload"]["commits"]


def test_json_makes_text_of_nested_values_only_in_the_order_of_members():
    rows = own(shaped("json", [{"id": 1, "b": {"z": 1, "a": [1, None]}, "t": '{"x": 1}'}, {"id": 2}])[()])
    assert rows == [
        {"id": 1, "b": '{"z":1,"a":[1,null]}', "t": '{"x": 1}'},
        {"id": 2, "b": None, "t": None},
    ]


def test_json_text_leaves_null_members_out():
    rows = own(shaped("json", [{"b": {"z": 1, "a": None}}, {"b": {"z": None, "a": 2}}])[()])
    assert rows == [{"b": '{"z":1}'}, {"b": '{"a":2}'}]


def test_json_of_maps_with_nothing_but_nulls_in_them_keeps_the_nulls():
    kind = pa.map_(pa.string(), pa.list_(pa.struct([("a", pa.null())])))
    batch = pa.record_batch({"m": pa.array([[None, [("k", [None, None])]]], pa.list_(kind))})
    assert own(shaped("json", batch)[()]) == [{"m": '[null,{"k":[null,null]}]'}]


def test_map_makes_maps_of_structs_at_every_level():
    rows = [{"m": {"k1": {"a": 1, "b": 2}, "k2": None}}, {"m": {"k2": {"a": None, "b": 3}}}, {"m": None}]
    made = shaped("map", rows)[()].batch
    assert pa.types.is_map(made.schema.field("m").type)
    assert made.column("m").to_pylist() == [[("k1", [("a", 1), ("b", 2)])], [("k2", [("b", 3)])], None]


def test_a_struct_with_more_members_than_the_limit_becomes_a_map_under_any_policy():
    rows = [{"m": {f"k{i}": i for i in range(4)}, "few": {"a": 1}}]
    for policy in ("native", "tables", "flatten"):
        batch = pa.RecordBatch.from_pylist(rows)
        shape = Shape.compile(batch.schema, Nesting(policy, map_keys=3), (), "t")
        (part,) = shape.apply(batch, RowIds("load", 0))
        assert part.batch.column("m").to_pylist() == [[(f"k{i}", i) for i in range(4)]]


def test_a_longer_path_takes_over_from_the_default():
    found = shaped({"": "tables", "payload": "json", "actor": "native"})
    assert list(found) == [()]
    assert found[()].batch.schema.names == ["id", "actor", "payload"]
    assert own(found[()])[0]["actor"] == EVENTS[0]["actor"]
    assert json.loads(own(found[()])[1]["payload"]) == {"size": 0, "commits": []}


def test_a_list_with_a_table_of_its_own_leaves_its_native_struct():
    found = shaped({"payload.commits": "tables", "payload.commits.tags": "native"})
    assert own(found[()]) == [
        {**row, "payload": row["payload"] and {"size": row["payload"]["size"]}} for row in EVENTS
    ]
    assert own(found["payload", "commits"])[0] == {"sha": "s1", "tags": ["a", None]}
    assert column(found["payload", "commits"], "row_id")[2] == "7/payload/commits/2"


def test_a_struct_flattened_inside_a_native_one_becomes_columns_of_the_table():
    found = shaped({"actor.org": "flatten", "payload": "json"})
    assert found[()].batch.schema.names == ["id", "actor", "actor__org__id", "payload"]
    assert own(found[()])[0]["actor"] == {"login": "x"}
    assert own(found[()])[0]["actor__org__id"] == 1


def test_a_native_struct_of_which_nothing_is_left_goes():
    found = shaped({"a.b": "tables"}, [{"id": 1, "a": {"b": [1]}}])
    assert found[()].batch.schema.names == ["id", "_lakeload_row_id"]


def test_policies_for_tables_have_no_effect_inside_a_list_that_stays():
    batch = pa.RecordBatch.from_pylist([{"a": [{"b": [1], "c": {"d": 1}}]}])
    nesting = Nesting.parse({"a.b": "tables", "a.c": "flatten"})
    assert Shape.compile(batch.schema, nesting, (), "t").identity


def test_json_works_inside_lists_and_maps_that_stay():
    kind = pa.map_(pa.string(), pa.struct([("j", pa.list_(pa.int64())), ("n", pa.int64())]))
    batch = pa.record_batch(
        {
            "l": [[{"j": {"x": 1}}, None], None],
            "m": pa.array([[("k", {"j": [1, None], "n": 1}), ("l", None)], None], kind),
        }
    )
    found = shaped({"l.j": "json", "m.j": "json"}, batch, keys=())[()]
    assert own(found) == [
        {"l": [{"j": '{"x":1}'}, None], "m": [("k", {"j": "[1,null]", "n": 1}), ("l", None)]},
        {"l": None, "m": None},
    ]


def test_values_below_the_depth_limit_become_json():
    rows = [{"id": 1, "a": {"b": {"c": [1]}, "n": 1}, "l": [{"x": 1}]}]
    at = {depth: own(shaped(Nesting(max_depth=depth), rows)[()])[0] for depth in (1, 2, 3, 4)}
    assert at[1] == {"id": 1, "a": '{"b":{"c":[1]},"n":1}', "l": '[{"x":1}]'}
    assert at[2] == {"id": 1, "a": {"b": '{"c":[1]}', "n": 1}, "l": ['{"x":1}']}
    assert at[3] == {"id": 1, "a": {"b": {"c": "[1]"}, "n": 1}, "l": [{"x": 1}]}
    assert at[4] == rows[0]
    assert own(shaped(Nesting("tables", max_depth=2), rows)["l",]) == [{"value": '{"x":1}'}]


def test_maps_stay_maps_under_tables():
    kind = pa.map_(pa.string(), pa.list_(pa.int64()))
    batch = pa.record_batch({"m": pa.array([[("k", [1])]], kind), "l": [[1]]})
    assert own(shaped("tables", batch, keys=())[()]) == [{"m": [("k", [1])]}]


def test_rows_without_a_key_are_numbered_through_the_load():
    found = shaped("tables", [{"a": [1]}, {"a": [2]}], keys=(), ids=RowIds("abc", 41))
    assert column(found[()], "row_id") == ["abc-41", "abc-42"]
    assert column(found["a",], "parent_id") == ["abc-41", "abc-42"]


def test_a_key_of_several_columns_is_joined_so_that_no_two_keys_meet():
    rows = [
        {"x": "a|b", "y": "c", "l": [1]},
        {"x": "a", "y": "b|c", "l": [1]},
        {"x": "a\\", "y": "b", "l": [1]},
        {"x": "a\\|b", "y": "", "l": [1]},
    ]
    ids = column(shaped("tables", rows, keys=("x", "y"))[()], "row_id")
    assert ids == ["a\\|b|c", "a|b\\|c", "a\\\\|b", "a\\\\\\|b|"]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (pa.array([1.0]), "1"),
        (pa.array(["é"], pa.string_view()), "é"),
        (pa.array(["k"]).dictionary_encode(), "k"),
        (pa.array([b"\x00" * 16], pa.uuid()), "00000000-0000-0000-0000-000000000000"),
        (pa.array([0], pa.timestamp("us", "UTC")), "1970-01-01T00:00:00Z"),
    ],
)
def test_ids_have_the_canonical_text_of_the_key(key, text):
    batch = pa.record_batch({"k": key, "l": [[1]]})
    assert column(shaped("tables", batch, keys=("k",))["l",], "row_id") == [f"{text}/l/0"]


def test_a_key_may_be_a_flattened_member():
    found = shaped("tables", keys=("id", "actor__login"))
    assert column(found[()], "row_id") == ["7|x", "load-1", "load-2"]


def test_rows_with_a_null_in_the_key_or_without_the_key_are_numbered():
    rows = [{"id": 1, "l": [1]}, {"id": None, "l": [1]}]
    assert column(shaped("tables", rows)[()], "row_id") == ["1", "load-1"]
    assert column(shaped("tables", rows, keys=("id", "gone"))[()], "row_id") == ["load-0", "load-1"]


def test_ids_are_the_same_when_the_row_comes_again_elsewhere():
    one = shaped("tables", EVENTS)["payload", "commits"]
    other = shaped("tables", EVENTS[::-1], ids=RowIds("next", 99))["payload", "commits"]
    assert column(one, "row_id") == column(other, "row_id")


def test_columns_whose_names_meet_keep_different_names():
    rows = [{"a": {"b__c": 1, "d": 4}, "a__b": {"c": 2}, "a__d": 3}]
    made = shaped("flatten", rows)[()].batch
    assert made.schema.names == ['["a", "b__c"]', '["a", "d"]', '["a__b", "c"]', "a__d"]
    assert made.to_pylist() == [dict(zip(made.schema.names, [1, 4, 2, 3], strict=True))]


def test_a_batch_without_rows_has_all_its_tables():
    batch = pa.RecordBatch.from_pylist(EVENTS).slice(1, 0)
    assert {path: part.batch.num_rows for path, part in shaped("tables", batch).items()} == {
        (): 0,
        ("payload", "commits"): 0,
        ("payload", "commits", "tags"): 0,
    }


def test_nested_values_behind_encodings_are_unnested_too():
    structs = pa.array([{"x": 1}, {"x": 2}])
    batch = pa.record_batch(
        {
            "d": pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.int8()), structs),
            "r": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), structs),
            "t": pa.ExtensionArray.from_storage(
                pa.fixed_shape_tensor(pa.int64(), [2]),
                pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2)),
            ),
        }
    )
    found = shaped("tables", batch, keys=())
    assert own(found[()]) == [{"d__x": 2, "r__x": 1}, {"d__x": None, "r__x": 1}, {"d__x": 1, "r__x": 2}]
    assert own(found["t",]) == [{"value": n} for n in (1, 2, 3, 4)]
    assert own(shaped("json", batch, keys=())[()])[0] == {"d": '{"x":2}', "r": '{"x":1}', "t": "[1,2]"}


def test_a_policy_for_a_struct_in_which_all_is_taken_out_keeps_the_number_of_rows():
    found = shaped("tables", pa.record_batch({"a": pa.array([{}, {}], pa.struct([]))}), keys=())
    assert found[()].batch.num_rows == 2


def test_explain_says_where_columns_come_from():
    batch = pa.RecordBatch.from_pylist(EVENTS)
    nesting = Nesting.parse({"": "tables", "actor": "json"})
    assert Shape.compile(batch.schema, nesting, (), "events").explain().splitlines() == [
        "events: id from load and row number",
        "  id: as it is",
        "  actor: JSON text",
        "  payload__size: from payload.size, as it is",
        "  _lakeload_row_id",
        "events__payload__commits: a row per element of payload.commits",
        "  sha: as it is",
        "  _lakeload_row_id, _lakeload_parent_id, _lakeload_root_id, _lakeload_index",
        "events__payload__commits__tags: a row per element of payload.commits.tags",
        "  value: as it is",
        "  _lakeload_row_id, _lakeload_parent_id, _lakeload_root_id, _lakeload_index",
    ]


def test_a_value_that_cannot_become_json_is_refused_with_its_row_and_column():
    days = pa.array([0, None, 10**8, 0], pa.int32()).cast(pa.date32())
    structs = pa.StructArray.from_arrays([days], names=["day"])
    batch = pa.record_batch({"a": structs})
    with pytest.raises(SchemaError) as caught:
        shaped("json", batch, ids=RowIds("load", 100))
    assert (caught.value.table, caught.value.column, caught.value.row) == ("events", "a", 103)
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 4], pa.int32()), structs)
    with pytest.raises(SchemaError) as caught:
        shaped(Nesting("tables", max_depth=2), pa.record_batch({"l": lists}), ids=RowIds("load", 100))
    assert (caught.value.column, caught.value.row) == ("l.value", 102)


def test_a_key_that_has_no_text_is_refused():
    days = pa.array([10**8], pa.int32()).cast(pa.date32())
    with pytest.raises(SchemaError, match=r"the key cannot become an id.*column id"):
        shaped("tables", pa.record_batch({"id": days, "l": [[1]]}))


@pytest.mark.parametrize("policy", ["native", "tables", "flatten", "map"])
def test_types_nested_deeper_than_can_be_looked_at_are_refused_with_the_remedy(policy):
    kind = pa.int64()
    for _ in range(900):
        kind = pa.struct([("a", kind)])
    schema = pa.schema([("deep", kind)])
    with pytest.raises(SchemaError, match=r"nested too deeply.*max_depth"):
        Shape.compile(schema, Nesting(policy, max_depth=2000), (), "t")
    assert (
        Shape.compile(schema, Nesting(policy), (), "t").explain().endswith("JSON text") or policy != "tables"
    )
