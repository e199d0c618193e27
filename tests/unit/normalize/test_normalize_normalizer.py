import datetime as dt
import decimal
import struct

import pyarrow as pa
import pytest

from lakeload.errors import SchemaError, SourceError
from lakeload.model.contract import Contract
from lakeload.model.layout import Layout
from lakeload.model.schema import apply_changes, assign_ids, field_id, without_ids
from lakeload.model.table import OWNER_PROPERTY, TableSpec, TableState
from lakeload.normalize.normalizer import Normalizer

NOW = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
UTC = pa.timestamp("us", "UTC")


def normalizer(state=None, formats=("delta",), *, load_columns=False, schema=None):
    spec = TableSpec("events", schema=schema, load_columns=load_columns)
    return Normalizer(spec, formats=formats, state=state, load_id="load-1", loaded_at=NOW)


def apply(it, data):
    return it.apply(data).batch


def table(fields, *, owned=True):
    schema, last = assign_ids(pa.schema(fields))
    properties = {OWNER_PROPERTY: "true"} if owned else {}
    return TableState(1, schema, last, Layout(), properties, {})


def batch(*rows, **types):
    return pa.RecordBatch.from_pylist(list(rows), schema=pa.schema(types) if types else None)


def plain(schema):
    return {field.name: field.type for field in without_ids(schema)}


def test_a_new_table_takes_names_types_and_ids_from_its_first_batch():
    it = normalizer()
    assert len(it.schema) == 0
    result = apply(it, batch({"userId": 1, "Tags": ["a"]}, userId=pa.uint8(), Tags=pa.list_(pa.string())))
    assert plain(it.schema) == {"user_id": pa.int32(), "tags": pa.list_(pa.string())}
    assert result.schema.equals(it.schema, check_metadata=True)
    assert [field_id(field) for field in it.schema] == [1, 2]
    assert field_id(result.schema.field("tags").type.value_field) == it.last_column_id == 3
    assert it.changes == ()


def test_load_columns_come_last_in_a_new_table():
    it = normalizer(load_columns=True)
    result = apply(it, batch({"a": 1}, {"a": 2}))
    assert it.schema.names == ["a", "_lakeload_id", "_lakeload_at"]
    assert plain(it.schema)["_lakeload_id"] == pa.string()
    assert result.column("_lakeload_id").to_pylist() == ["load-1", "load-1"]
    assert result.column("_lakeload_at").to_pylist() == [NOW, NOW]
    assert len(apply(it, batch({"a": 1}).slice(1)).column("_lakeload_at")) == 0
    apply(it, batch({"a": 1, "b": 2}))
    assert it.schema.names == ["a", "_lakeload_id", "_lakeload_at", "b"]


def test_load_columns_are_filled_where_they_exist_and_added_to_no_existing_table():
    there = normalizer(table([("_lakeload_id", pa.string()), ("a", pa.int64())]), load_columns=True)
    assert apply(there, batch({"a": 1})).to_pylist() == [{"_lakeload_id": "load-1", "a": 1}]
    foreign = normalizer(table([("a", pa.int64())], owned=False), load_columns=True)
    assert apply(foreign, batch({"a": 1})).schema.names == ["a"]


def test_a_batch_that_needs_nothing_is_not_copied():
    it = normalizer(table([("a", pa.int64()), ("s", pa.struct([("x", pa.string())]))]))
    data = batch({"a": 1, "s": {"x": "y"}}, {"a": 2, "s": None}).slice(1)
    result = apply(it, data)
    assert result.column("a").buffers()[1].address == data.column("a").buffers()[1].address
    inner, before = result.column("s").field(0), data.column("s").field(0)
    assert inner.buffers()[2].address == before.buffers()[2].address


def test_text_keeps_its_physical_kind_at_top_level():
    it = normalizer()
    data = pa.record_batch({"a": pa.array(["x"]).dictionary_encode(), "b": pa.array(["y"], pa.string_view())})
    result = apply(it, data)
    assert result.schema.types == data.schema.types
    assert it.schema.types == [pa.string(), pa.string()]


def test_a_column_without_a_type_is_held_back_until_one_shows():
    it = normalizer()
    first = apply(it, batch({"a": 1, "b": None, "c": [], "d": {}, "e": {"x": None, "y": 1}}))
    assert first.to_pylist() == [{"a": 1, "e": {"y": 1}}]
    second = apply(it, batch({"a": 2, "b": "text", "c": [1], "d": {"z": True}, "e": {"x": 5, "y": 1}}))
    assert second.to_pylist() == [{"a": 2, "e": {"y": 1, "x": 5}, "b": "text", "c": [1], "d": {"z": True}}]
    assert apply(it, batch({"a": 3, "b": None})).to_pylist()[0]["b"] is None


def test_rows_whose_columns_all_lack_a_type_are_refused_rather_than_lost():
    with pytest.raises(SchemaError, match="no column of the data has a type"):
        apply(normalizer(), batch({"a": None}))
    assert apply(normalizer(load_columns=True), batch({"a": None})).num_rows == 1


def test_types_widen_inside_a_stream_and_later_batches_follow():
    it = normalizer(formats=("delta", "iceberg"))
    apply(it, batch({"n": 1, "d": dt.date(2024, 1, 1)}))
    second = apply(it, batch({"n": 2.5, "d": dt.datetime(2024, 1, 1, 5)}))
    third = apply(it, batch({"n": 3, "d": dt.date(2024, 1, 2)}))
    assert plain(it.schema) == {"n": pa.float64(), "d": pa.timestamp("us")}
    assert third.to_pylist() == [{"n": 3.0, "d": dt.datetime(2024, 1, 2)}]
    assert second.schema.equals(third.schema, check_metadata=True)


def test_an_integer_that_no_double_holds_turns_the_column_to_text():
    it = normalizer()
    apply(it, batch({"n": 0.5}, {"n": 1.0}))
    result = apply(it, batch(*({"n": i} for i in range(100)), {"n": 2**53 + 1}, {"n": 1}))
    assert plain(it.schema) == {"n": pa.string()}
    assert result.column("n").to_pylist()[-3:] == ["99", "9007199254740993", "1"]


def test_an_integer_that_no_double_holds_is_refused_where_the_table_cannot_become_text():
    it = normalizer(table([("n", pa.float64())]), formats=("iceberg",))
    apply(it, batch({"n": 0.5}, {"n": 1.5}))
    with pytest.raises(SchemaError) as caught:
        apply(it, batch(*({"n": i} for i in range(100)), {"n": 2**53 + 1}, {"n": 1}))
    error = caught.value
    assert (error.table, error.column, error.row) == ("events", "n", 103)
    assert "9007199254740993" in str(error)
    assert "decimal" in str(error)


def test_a_misfit_deep_inside_is_named_by_its_path_and_row():
    rows = [{"a": [{"at": 1000}]}, {"a": None}, {"a": [{"at": 2000}, {"at": 3001}]}]
    kind = pa.list_(pa.struct([("at", pa.timestamp("ns"))]))
    data = pa.record_batch({"a": pa.array([row["a"] for row in rows], kind)})
    with pytest.raises(SchemaError) as caught:
        apply(normalizer(), data)
    assert (caught.value.column, caught.value.row) == ("a.element.at", 3)
    assert "microseconds" in str(caught.value)


def test_a_timestamp_python_cannot_show_is_still_reported():
    for kind in (pa.timestamp("s"), pa.timestamp("us")):
        data = pa.record_batch({"at": pa.array([0, 2**62], kind)})
        with pytest.raises(SchemaError, match=f"{2**62}.*row 2.*years 1 to 9999"):
            apply(normalizer(), data)


def test_a_long_value_is_cut_in_the_message():
    it = normalizer(schema=pa.schema([("a", pa.int64())]))
    with pytest.raises(SchemaError) as caught:
        apply(it, batch({"a": "x" * 1000}))
    assert len(str(caught.value)) < 300


def test_conflicting_types_meet_in_text():
    it = normalizer(table([("a", pa.int64())]))
    assert apply(it, batch({"a": "x", "b": 1})).to_pylist() == [{"a": "x", "b": 1}]
    assert apply(it, batch({"a": 5, "b": {"c": 1.0}})).to_pylist() == [{"a": "5", "b": '{"c":1}'}]
    assert [str(change) for change in it.changes] == ["widened a int64 → string", "added b string"]


def test_colliding_names_get_columns_of_their_own_at_top_level_and_inside():
    result = apply(normalizer(), batch({"userId": 1, "user_id": 2, "s": {"X": 3, "x": 4}}))
    names = result.schema.names
    assert names[1:] == ["user_id", "s"]
    assert names[0].startswith("user_id_")
    row = result.to_pylist()[0]
    assert (row[names[0]], row["user_id"], list(row["s"].values()), row["s"]["x"]) == (1, 2, [3, 4], 4)


def test_duplicate_columns_of_arrow_data_are_refused():
    data = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(SchemaError, match="two columns named 'a'"):
        apply(normalizer(), data)


def test_changes_against_an_existing_table_replay_to_the_same_schema():
    state = table([("a", pa.int32()), ("s", pa.struct([("x", pa.int32())]))])
    it = normalizer(state)
    apply(it, batch({"a": 2**40, "b": {"k": 1}}))
    apply(it, batch({"s": {"x": 1, "y": "new"}, "b": {"k": 0.5, "m": 1}, "c": True}))
    assert [str(change) for change in it.changes] == [
        "widened a int32 → int64",
        "added b struct<k: double>",
        "widened s.x int32 → int64",
        "added s.y string",
        "added b.m int64",
        "added c bool",
    ]
    replayed, last = apply_changes(state.schema, state.last_column_id, it.changes)
    assert replayed.equals(it.schema, check_metadata=True)
    assert last == it.last_column_id


def test_a_table_that_cannot_widen_takes_values_that_fit_and_refuses_others():
    it = normalizer(table([("n", pa.int64())]), formats=("iceberg",))
    assert apply(it, batch({"n": 4.0}, {"n": None})).to_pylist() == [{"n": 4}, {"n": None}]
    assert it.changes == ()
    with pytest.raises(SchemaError, match=r"1\.5 cannot be stored exactly as int64"):
        apply(it, batch({"n": 1.5}))


def test_a_foreign_table_is_widened_only_when_a_value_does_not_fit():
    fields = [("n", pa.int32()), ("small", pa.int16()), ("l", pa.list_(pa.float32()))]
    it = normalizer(table(fields, owned=False))
    assert apply(it, batch({"n": 1, "small": 2, "l": [0.5]})).schema.types == [
        pa.int32(),
        pa.int16(),
        pa.list_(pa.float32()),
    ]
    assert it.changes == ()
    result = apply(it, batch({"n": 2**40, "small": 2, "l": [0.1]}))
    assert result.to_pylist() == [{"n": 2**40, "small": 2, "l": [0.1]}]
    assert [str(change) for change in it.changes] == [
        "widened n int32 → int64",
        "widened l.element float → double",
    ]
    with pytest.raises(SchemaError, match="70000 cannot be stored exactly as int16"):
        apply(normalizer(table(fields, owned=False), ("iceberg",)), batch({"small": 70000}))


def test_a_foreign_tables_own_names_are_respected():
    it = normalizer(
        table([("UserId", pa.int64()), ("Sub", pa.struct([("InnerId", pa.int64())]))], owned=False)
    )
    result = apply(it, batch({"user_id": 1, "sub": {"inner_id": 2, "newOne": 3}, "newCol": 4}))
    assert result.to_pylist() == [{"UserId": 1, "Sub": {"InnerId": 2, "new_one": 3}, "new_col": 4}]


def test_a_required_column_becomes_optional_in_an_owned_table_only():
    fields = [pa.field("a", pa.int64(), nullable=False), ("b", pa.int64())]
    it = normalizer(table(fields))
    assert apply(it, batch({"a": 1, "b": 1})).schema.field("a").nullable is False
    result = apply(it, batch({"b": 2}))
    assert result.to_pylist() == [{"a": None, "b": 2}]
    assert result.schema.equals(it.schema, check_metadata=True)
    assert result.schema.field("a").nullable
    assert [str(change) for change in it.changes] == ["made a optional"]
    foreign = normalizer(table(fields, owned=False))
    apply(foreign, batch({"a": 1}))
    with pytest.raises(SchemaError, match="a required column has no value") as caught:
        apply(foreign, batch({"a": 5}, {"a": None}))
    assert (caught.value.column, caught.value.row) == ("a", 3)


def test_zero_rows_do_not_relax_a_required_column():
    it = normalizer(table([pa.field("a", pa.int64(), nullable=False)]))
    apply(it, pa.record_batch({"b": pa.array([], pa.int64())}))
    assert [str(change) for change in it.changes] == ["added b int64"]


def test_required_members_count_only_under_parents_that_exist():
    inner = pa.struct([pa.field("x", pa.int64(), nullable=False)])
    fields = [("s", inner), ("l", pa.list_(pa.field("element", inner)))]
    it = normalizer(table(fields, owned=False))
    apply(
        it, batch({"s": None, "l": [None, {"x": 1}]}, {"s": {"x": 1}, "l": None}, s=inner, l=pa.list_(inner))
    )
    with pytest.raises(SchemaError) as caught:
        apply(it, batch({"s": {"x": 1}, "l": [{"x": 1}]}, {"s": None, "l": [{"x": None}]}))
    assert (caught.value.column, caught.value.row) == ("l.element.x", 4)
    owned = normalizer(table(fields))
    apply(owned, batch({"s": {"x": None}, "l": [{"x": 1}]}, s=inner, l=pa.list_(inner)))
    assert [str(change) for change in owned.changes] == ["made s.x optional"]


def test_hints_win_over_the_data_and_create_a_table_without_data():
    hints = pa.schema([pa.field("createdAt", UTC), pa.field("price", pa.decimal128(9, 2), nullable=False)])
    it = normalizer(schema=hints, load_columns=True)
    assert it.schema.names == ["created_at", "price", "_lakeload_id", "_lakeload_at"]
    assert it.hint("createdAt") == it.hint("created_at") == UTC
    assert it.hint("other") is None
    result = apply(it, batch({"id": 1, "price": 1.25, "created_at": "2024-05-01T00:00:00Z"}))
    assert it.schema.names == ["id", "price", "created_at", "_lakeload_id", "_lakeload_at"]
    assert result.to_pylist()[0]["price"] == decimal.Decimal("1.25")
    assert result.to_pylist()[0]["created_at"] == NOW
    assert not it.schema.field("price").nullable


def test_a_column_hinted_as_required_refuses_nulls():
    it = normalizer(schema=pa.schema([pa.field("a", pa.int64(), nullable=False)]))
    apply(it, batch({"a": 1}))
    with pytest.raises(SchemaError, match="required") as caught:
        apply(it, batch({"a": 1}, {"a": None}))
    assert caught.value.row == 3


def test_nested_hints_apply_by_name_and_leave_the_rest_to_the_data():
    hints = pa.schema(
        [("user", pa.struct([("createdAt", pa.timestamp("us"))])), ("ks", pa.list_(pa.int32()))]
    )
    it = normalizer(schema=hints)
    apply(it, batch({"user": {"id": 1, "created_at": "2024-05-01T00:00:00"}, "ks": [1, None]}))
    assert plain(it.schema) == {
        "user": pa.struct([("created_at", pa.timestamp("us")), ("id", pa.int64())]),
        "ks": pa.list_(pa.int32()),
    }


def test_a_string_hint_is_the_way_out_for_types_that_cannot_be_stored():
    with pytest.raises(SchemaError, match="Hint the column as string"):
        apply(normalizer(), batch({"t": dt.time(1, 2, 3)}))
    it = normalizer(schema=pa.schema([("t", pa.string()), ("d", pa.int64())]))
    data = pa.record_batch({"t": pa.array([dt.time(1, 2, 3)]), "d": pa.array([5], pa.duration("s"))})
    assert apply(it, data).to_pylist() == [{"t": "01:02:03", "d": 5}]


def test_sources_are_told_the_types_text_leaves_open():
    it = normalizer(
        table(
            [
                ("at", UTC),
                ("zip", pa.string()),
                ("n", pa.int32()),
                ("s", pa.struct([("x", UTC)])),
                ("p", pa.decimal128(9, 2)),
            ],
            owned=False,
        )
    )
    hints = {name: it.hint(name) for name in ("At", "zip", "n", "s", "p", "unknown", "")}
    assert hints == {
        "At": UTC,
        "zip": None,
        "n": None,
        "s": None,
        "p": pa.decimal128(9, 2),
        "unknown": None,
        "": None,
    }


def test_users_may_spell_columns_as_the_source_or_the_table_does():
    it = normalizer(table([("UserId", pa.int64())], owned=False))
    apply(it, batch({"userId": 1, "createdAt": 2}))
    assert [it.resolve(name) for name in ("userId", "UserId", "user_id", "createdAt", "created_at")] == [
        "UserId", "UserId", "UserId", "created_at", "created_at",
    ]  # fmt: skip
    with pytest.raises(SchemaError, match="Columns are: UserId, created_at"):
        it.resolve("nothing")


def test_a_thousand_columns_arrive_at_once_in_reasonable_time():
    it = normalizer()
    apply(it, batch({f"column{i}": i for i in range(2000)}))
    assert it.last_column_id == 2000


def test_source_field_ids_do_not_leak_into_the_table():
    inner = pa.struct([pa.field("x", pa.int64(), metadata={"PARQUET:field_id": "99"})])
    data = pa.RecordBatch.from_arrays(
        [pa.array([{"x": 1}], inner)],
        schema=pa.schema([pa.field("s", inner, metadata={"PARQUET:field_id": "42", "note": "mine"})]),
    )
    it = normalizer()
    apply(it, data)
    assert field_id(it.schema.field("s")) == 1
    assert field_id(it.schema.field("s").type.field(0)) == 2


def test_schema_object_stays_the_same_while_nothing_changes():
    it = normalizer()
    apply(it, batch({"a": 1}))
    before = it.schema
    apply(it, batch({"a": 2}))
    assert it.schema is before


def test_a_decimal_beyond_its_declared_precision_is_refused():
    digits = pa.py_buffer(b"".join(value.to_bytes(16, "little") for value in (1234, 123456)))
    data = pa.Array.from_buffers(pa.decimal128(4, 2), 2, [None, digits])
    with pytest.raises(
        SchemaError, match=r"1234\.56 cannot be stored exactly as decimal128\(4, 2\)"
    ) as caught:
        apply(normalizer(), pa.record_batch({"price": data}))
    assert (caught.value.column, caught.value.row) == ("price", 2)


def test_a_batch_with_offsets_beyond_its_data_is_refused():
    data = pa.record_batch({"a": pa.array([[1] * 3, [2] * 5, [3] * 7])})
    right, wrong = struct.pack("<4i", 0, 3, 8, 15), struct.pack("<4i", 0, 3, 8, 99)
    message = data.serialize().to_pybytes().replace(right, wrong)
    broken = pa.ipc.read_record_batch(pa.py_buffer(message), data.schema)
    with pytest.raises(SourceError, match="malformed"):
        apply(normalizer(), broken)


def test_rows_picked_from_a_result_do_not_keep_the_whole_of_it_in_memory():
    it = normalizer(load_columns=True)
    before = pa.total_allocated_bytes()
    columns = {f"c{n}": pa.array(range(100_000), pa.int64()) for n in range(20)}
    result = apply(it, pa.record_batch(columns))
    picked = result.take(pa.array([1, 2]))
    del columns, result
    assert pa.total_allocated_bytes() - before < 2_000_000
    assert picked.num_rows == 2


def test_changes_say_which_row_and_value_asked_for_them():
    it = normalizer(table([("a", pa.int32()), ("n", pa.float64())]))
    apply(it, batch({"a": 1}, a=pa.int32()))
    apply(it, batch({"a": None, "b": None}, {"a": 2**40, "b": "new"}))
    apply(it, batch({"n": 1}, {"n": 2**53 + 1}))
    assert [(str(change), change.cause) for change in it.changes] == [
        ("widened a int32 → int64", "rows of the data, first row 3: 1099511627776"),
        ("added b string", 'rows of the data, first row 3: "new"'),
        ("widened n double → string", "rows of the data, first row 5: 9007199254740993"),
    ]


def test_polars_text_passes_a_contract_that_drops_rows():
    contract = Contract(types="discard_row")
    spec = TableSpec("events", load_columns=False, contract=contract)
    state = table([("n", pa.int64()), ("t", pa.string())])
    it = Normalizer(spec, formats=("delta",), state=state, load_id="a", loaded_at=NOW)
    data = pa.record_batch({"n": [1.0, 2.5], "t": pa.array(["x", "y"], pa.string_view())})
    assert it.apply(data).batch.to_pylist() == [{"n": 1, "t": "x"}]
