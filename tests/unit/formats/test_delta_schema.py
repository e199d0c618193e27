"""Delta's schema JSON: what survives the way there and back, and what may change."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
import readers
from delta_files import append, created, evolve, open_table, write_file

from lakeload.errors import SchemaError, TableError
from lakeload.formats.delta_log import entry_path
from lakeload.formats.delta_schema import merge_fields, to_arrow, unstamped
from lakeload.model.changes import Changeset, Committed, Creation, RemoveAll, RemoveFiles, SchemaChange
from lakeload.model.layout import Layout
from lakeload.model.schema import apply_changes, assign_ids, field_id

EVERY_TYPE = pa.schema([
    pa.field("s", pa.string()), pa.field("i8", pa.int8()), pa.field("i16", pa.int16()), pa.field("i32", pa.int32()),
    pa.field("i64", pa.int64(), nullable=False), pa.field("f", pa.float32()), pa.field("d", pa.float64()),
    pa.field("b", pa.bool_()), pa.field("y", pa.binary()), pa.field("day", pa.date32()),
    pa.field("at", pa.timestamp("us", "UTC")), pa.field("local", pa.timestamp("us")),
    pa.field("n", pa.decimal128(38, 10)), pa.field("n0", pa.decimal128(5, 0)),
    pa.field("st", pa.struct([pa.field("x", pa.int32(), nullable=False), pa.field("y", pa.list_(pa.field("element", pa.string(), nullable=False)))])),
    pa.field("ll", pa.list_(pa.list_(pa.struct([("k", pa.map_(pa.string(), pa.list_(pa.int64())))])))),
    pa.field("m", pa.map_(pa.struct([("a", pa.int64())]), pa.field("value", pa.struct([("b", pa.string())]), nullable=False))),
])  # fmt: skip


def definition(root, version: int) -> dict:
    for line in (root / entry_path(version)).read_text().splitlines():
        if "metaData" in json.loads(line):
            return json.loads(line)["metaData"]
    raise AssertionError("no metaData")


def test_every_type_and_every_id_comes_back_from_the_json():
    schema, _ = assign_ids(EVERY_TYPE)
    fields = merge_fields([], schema, table="t")
    found = to_arrow(json.loads(json.dumps(fields)), table="t")
    assert found.equals(assign_ids(found, 0)[0], check_metadata=True), "an id was lost"
    assert found.equals(schema, check_metadata=True)
    assert not unstamped(fields)


def test_table_of_every_type_is_loaded_by_the_library(tmp_path):
    from deltalake import DeltaTable

    schema, _ = assign_ids(EVERY_TYPE)
    open_table(tmp_path).commit(Changeset("l", "append", schema, create=Creation(Layout())), None)
    assert pa.schema(DeltaTable(tmp_path).schema().to_arrow()).names == EVERY_TYPE.names
    assert open_table(tmp_path).load().schema.equals(schema, check_metadata=True)


def test_field_without_an_id_at_any_depth_is_noticed():
    schema, _ = assign_ids(pa.schema([("a", pa.list_(pa.struct([("b", pa.map_(pa.string(), pa.int64()))])))]))
    fields = merge_fields([], schema, table="t")
    assert not unstamped(fields)
    (deep,) = fields[0]["type"]["elementType"]["fields"]
    del deep["metadata"]["lakeload.nested-ids"]
    assert unstamped(fields)


@pytest.mark.parametrize("name", ["a b", "a,b", "a;b", "{a}", "(a)", "a\nb", "a\tb", "a=b", ""])
def test_name_delta_forbids_is_refused_at_any_depth(tmp_path, name):
    for kind in (
        pa.schema([(name, pa.int64())]),
        pa.schema([("s", pa.list_(pa.struct([(name, pa.int64())])))]),
    ):
        change = Changeset("l", "append", assign_ids(kind)[0], create=Creation(Layout()))
        with pytest.raises(SchemaError, match="does not allow this column name"):
            open_table(tmp_path).commit(change, None)
    assert open_table(tmp_path).load() is None


def test_names_that_differ_only_by_case_are_refused(tmp_path):
    schema, _ = assign_ids(
        pa.schema([("id", pa.int64()), ("s", pa.struct([("X", pa.int64()), ("x", pa.int64())]))])
    )
    with pytest.raises(SchemaError, match=r"upper and lower case.*s\.x"):
        open_table(tmp_path).commit(Changeset("l", "append", schema, create=Creation(Layout())), None)
    table = created(tmp_path, pa.table({"id": [1]}))
    with pytest.raises(SchemaError, match="upper and lower case"):
        evolve(table, (SchemaChange("add", ("ID",), None, pa.int64()),))


@pytest.mark.parametrize(
    "kind",
    [
        pa.uint8(),
        pa.time64("us"),
        pa.timestamp("ns"),
        pa.timestamp("us", "Europe/Paris"),
        pa.decimal256(50, 2),
        pa.null(),
        pa.duration("s"),
    ],
)
def test_type_delta_has_not_is_refused(tmp_path, kind):
    schema, _ = assign_ids(pa.schema([("a", pa.struct([("b", kind)]))]))
    with pytest.raises(SchemaError, match="Delta cannot store the type"):
        open_table(tmp_path).commit(Changeset("l", "append", schema, create=Creation(Layout())), None)


@pytest.fixture
def nested(tmp_path):
    return created(
        tmp_path,
        pa.table(
            {
                "id": [1],
                "s": [{"x": 1}],
                "l": [[{"k": "a"}]],
                "m": pa.array([[("q", {"v": 1})]], pa.map_(pa.string(), pa.struct([("v", pa.int64())]))),
            }
        ),
    )


@pytest.mark.parametrize("engine", readers.delta_readers)
def test_columns_added_at_every_depth_are_read_by_every_engine(nested, engine, tmp_path):
    changes = (
        SchemaChange("add", ("new",), None, pa.string()),
        SchemaChange("add", ("s", "y"), None, pa.list_(pa.int64())),
        SchemaChange("add", ("l", "element", "j"), None, pa.float64()),
        SchemaChange("add", ("m", "value", "w"), None, pa.string()),
    )
    row = {
        "id": 2,
        "s": {"x": 2, "y": [7]},
        "l": [{"k": "b", "j": 0.5}],
        "m": [("r", {"v": 2, "w": "z"})],
        "new": "n",
    }
    state = nested.load()
    schema, _ = apply_changes(state.schema, state.last_column_id, changes)
    assert evolve(nested, changes, pa.Table.from_pylist([row], schema)) == Committed(1)
    old = {
        "id": 1,
        "s": {"x": 1, "y": None},
        "l": [{"k": "a", "j": None}],
        "m": [("q", {"v": 1, "w": None})],
        "new": None,
    }
    if engine == "deltalake":  # cannot cast a map whose values got a field; our own scan can
        found = nested.scan(nested.load(), None).read_all()
    else:
        found = readers.read_delta(str(tmp_path), engine=engine)
    assert [{**line, "m": _map(line["m"])} for line in found.sort_by("id").to_pylist()] == [old, row]


def _map(entries: list) -> list[tuple]:
    """Engines spell a map as pairs or as structs of key and value."""
    return [(entry["key"], entry["value"]) if isinstance(entry, dict) else entry for entry in entries]


def test_schema_change_rows_and_position_are_one_commit(nested, tmp_path):
    from lakeload.model.changes import Token

    change = SchemaChange("add", ("new",), None, pa.int64())
    evolve(
        nested,
        (change,),
        pa.table(
            {
                "id": [2],
                "s": [{"x": 1}],
                "l": pa.array([None], nested.load().schema.field("l").type),
                "m": pa.array([None], nested.load().schema.field("m").type),
                "new": [1],
            }
        ),
        token=Token("p", 1),
    )
    kinds = [next(iter(json.loads(line))) for line in (tmp_path / entry_path(1)).read_text().splitlines()]
    assert kinds == ["commitInfo", "metaData", "txn", "add"]


def test_added_columns_get_new_ids_and_old_columns_keep_theirs(nested, tmp_path):
    before = nested.load()
    evolve(
        nested,
        (SchemaChange("add", ("s", "y"), None, pa.int64()), SchemaChange("add", ("z",), None, pa.int64())),
    )
    after = open_table(tmp_path).load()
    assert [field_id(after.schema.field(name)) for name in before.schema.names] == [
        field_id(field) for field in before.schema
    ]
    assert field_id(after.schema.field("s").type.field("y")) == before.last_column_id + 1
    assert field_id(after.schema.field("z")) == after.last_column_id == before.last_column_id + 2


def test_id_of_a_dropped_column_is_not_used_again(tmp_path):
    table = created(
        tmp_path,
        pa.table(
            {"a": [1], "b": [1]},
            schema=pa.schema([pa.field("a", pa.int64(), nullable=False), ("b", pa.int64())]),
        ),
    )
    entry = definition(tmp_path, 0)
    schema = json.loads(entry["schemaString"])
    schema["fields"].pop()  # as another engine's overwriteSchema would
    (tmp_path / entry_path(1)).write_text(
        json.dumps({"metaData": {**entry, "schemaString": json.dumps(schema)}})
    )
    assert table.load().last_column_id == 2
    evolve(table, (SchemaChange("relax", ("a",), pa.int64(), pa.int64()),))
    assert open_table(tmp_path).load().last_column_id == 2
    evolve(table, (SchemaChange("add", ("c",), None, pa.int64()),))
    assert field_id(table.load().schema.field("c")) == 3


def test_widening_with_files_left_is_refused(nested):
    with pytest.raises(TableError, match="while 1 files hold it as int64"):
        evolve(nested, (SchemaChange("widen", ("id",), pa.int64(), pa.decimal128(20, 0)),))
    assert nested.load().version == 0


@pytest.mark.parametrize("all_at_once", [True, False])
@pytest.mark.parametrize("engine", readers.delta_readers)
def test_widening_with_every_file_replaced_is_one_commit(tmp_path, all_at_once, engine):
    table = created(tmp_path, pa.table({"a": pa.array([1], pa.int32()), "s": [{"f": 1}]}))
    state = table.load()
    changes = (
        SchemaChange("widen", ("a",), pa.int32(), pa.int64()),
        SchemaChange("widen", ("s", "f"), pa.int64(), pa.string()),
    )
    schema, _ = apply_changes(state.schema, state.last_column_id, changes)
    rows = pa.table({"a": [2**40], "s": [{"f": "x"}]})
    files = (write_file(tmp_path, rows, schema),)
    paths = frozenset(file.path for file in table.files(state))
    removal = RemoveAll() if all_at_once else RemoveFiles(paths)
    change = Changeset("l", "overwrite", schema, files, removal, changes)
    assert table.commit(change, state) == Committed(1)
    assert table.load().schema.field("a").type == pa.int64()
    readers.assert_same_rows(readers.read_delta(str(tmp_path), engine=engine), rows)


def test_widening_an_empty_table_is_allowed(tmp_path):
    schema, _ = assign_ids(pa.schema([("a", pa.int32())]))
    table = open_table(tmp_path)
    table.commit(Changeset("l", "append", schema, create=Creation(Layout())), None)
    assert evolve(table, (SchemaChange("widen", ("a",), pa.int32(), pa.int64()),)) == Committed(1)
    assert table.load().schema.field("a").type == pa.int64()


def test_required_column_becomes_optional(tmp_path):
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    table = created(tmp_path, pa.table({"a": [1]}, schema=schema))
    rows = pa.table({"a": pa.array([None], pa.int64())})
    assert evolve(table, (SchemaChange("relax", ("a",), pa.int64(), pa.int64()),), rows) == Committed(1)
    assert table.load().schema.field("a").nullable
    readers.assert_same_rows(readers.read_delta(str(tmp_path), engine="duckdb"), pa.table({"a": [1, None]}))


def test_notes_of_other_engines_survive_a_schema_change(tmp_path):
    from deltalake import write_deltalake

    noted = pa.schema([pa.field("a", pa.int64(), metadata={"comment": "the key"})])
    write_deltalake(
        tmp_path,
        pa.table({"a": [1]}, schema=noted),
        name="theirs",
        description="made elsewhere",
        configuration={"delta.logRetentionDuration": "interval 7 days"},
    )
    table = open_table(tmp_path)
    assert evolve(
        table, (SchemaChange("add", ("b",), None, pa.int64()),), pa.table({"a": [2], "b": [2]})
    ) == Committed(1)
    found = definition(tmp_path, 1)
    first, second = json.loads(found["schemaString"])["fields"]
    assert first["metadata"]["comment"] == "the key"
    assert (second["name"], found["name"], found["description"]) == ("b", "theirs", "made elsewhere")
    assert found["configuration"]["delta.logRetentionDuration"] == "interval 7 days"
    assert found["id"] == definition(tmp_path, 0)["id"]


def test_first_append_to_a_table_without_ids_records_them(tmp_path):
    from deltalake import write_deltalake

    write_deltalake(tmp_path, pa.table({"s": [{"x": 1}], "b": [1]}))
    table = open_table(tmp_path)
    before = table.load().schema
    append(table, pa.table({"s": [{"x": 2}], "b": [2]}))
    assert definition(tmp_path, 1)["configuration"]["lakeload.last-column-id"] == "3"
    append(table, pa.table({"s": [{"x": 2}], "b": [2]}))
    with pytest.raises(AssertionError, match="no metaData"):
        definition(tmp_path, 2)
    write_deltalake(
        tmp_path, pa.table({"s": [{"x": 3, "y": 3}], "b": [3]}), mode="append", schema_mode="merge"
    )
    after = table.load().schema
    assert field_id(after.field("b")) == field_id(before.field("b")), "a nested column of others moved an id"


def test_timestamp_without_zone_raises_the_protocol_with_its_column(tmp_path):
    table = created(tmp_path, pa.table({"a": [1]}))
    evolve(table, (SchemaChange("add", ("at",), None, pa.struct([("local", pa.timestamp("us"))])),))
    lines = [json.loads(line) for line in (tmp_path / entry_path(1)).read_text().splitlines()]
    assert lines[1]["protocol"] == {
        "minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": ["timestampNtz"], "writerFeatures": ["appendOnly", "invariants", "timestampNtz"],
    }  # fmt: skip
    evolve(table, (SchemaChange("add", ("again",), None, pa.timestamp("us")),))
    kinds = [next(iter(json.loads(line))) for line in (tmp_path / entry_path(2)).read_text().splitlines()]
    assert kinds == ["commitInfo", "metaData"]
    for engine in readers.delta_readers:
        assert readers.read_delta(str(tmp_path), engine=engine).column_names == ["a", "at", "again"]
