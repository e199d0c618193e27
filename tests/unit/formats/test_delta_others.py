"""Tables shared with the deltalake library: it appends after us, we append after it."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from urllib.parse import quote

import pyarrow as pa
import pytest
import readers
from delta_files import append, created, evolve, open_table, write_file
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import StorageError
from lakeload.formats.delta_log import entry_path, read
from lakeload.model.changes import (
    Changeset,
    Committed,
    Conflict,
    Creation,
    RemoveAll,
    RemoveFiles,
    RemovePartitions,
    SchemaChange,
    Token,
)
from lakeload.model.layout import Layout, PartitionField
from lakeload.model.schema import assign_ids
from lakeload.write.store import Store

ROWS = pa.table({"id": [1, 2], "Mixed Name": ["a", "b"]})


def test_library_appends_optimises_deletes_and_vacuums_after_us(tmp_path):
    table = open_table(tmp_path)
    schema, _ = assign_ids(pa.schema([("id", pa.int64()), ("p", pa.string())]))
    table.commit(Changeset("l", "append", schema, create=Creation(Layout.parse("p"))), None)
    append(table, pa.table({"id": [1, 2], "p": ["a", "a"]}), partition=("a",), path="data/p=a/1.parquet")
    append(table, pa.table({"id": [3], "p": ["a"]}), partition=("a",), path="data/p=a/2.parquet")
    write_deltalake(tmp_path, pa.table({"id": [4], "p": ["b"]}), mode="append")
    append(table, pa.table({"id": [5], "p": ["b"]}), partition=("b",), path="data/p=b/3.parquet")
    library = DeltaTable(tmp_path)
    library.optimize.compact()
    library.delete("id = 2")
    library.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True)
    library.create_checkpoint()
    rows = pa.table({"id": [6], "p": pa.array([None], pa.string())})
    append(table, rows, partition=(None,), path="data/p=__HIVE_DEFAULT_PARTITION__/4.parquet")
    expected = pa.table({"id": [1, 3, 4, 5, 6], "p": ["a", "a", "b", "b", None]})
    for engine in readers.delta_readers:
        readers.assert_same_rows(readers.read_delta(str(tmp_path), engine=engine), expected)
    assert {file.partition for file in table.files(table.load())} == {("a",), ("b",), (None,)}


@pytest.mark.parametrize("engine", readers.delta_readers)
def test_table_of_the_library_is_appended_to_under_its_own_names(tmp_path, engine):
    write_deltalake(tmp_path, ROWS)
    table = open_table(tmp_path)
    assert table.load().schema.names == ["id", "Mixed Name"]
    assert not table.load().owned
    append(table, ROWS)
    readers.assert_same_rows(readers.read_delta(str(tmp_path), engine=engine), pa.concat_tables([ROWS, ROWS]))
    assert table.scan(table.load(), ["Mixed Name"]).read_all()["Mixed Name"].to_pylist() == ["a", "b"] * 2


@pytest.mark.parametrize("value", ["plain", "e f=é%", "a/b", "ü+&"])
def test_partitioned_table_of_the_library_is_appended_to_and_replaced_by_partition(tmp_path, value):
    rows = pa.table({"id": [1, 2], "p": [value, None]})
    write_deltalake(tmp_path, rows, partition_by=["p"])
    table = open_table(tmp_path)
    state = table.load()
    assert state.layout.partition_by == (PartitionField("p"),)
    assert {file.partition for file in table.files(state)} == {(value,), (None,)}
    for file in table.files(state):
        assert (tmp_path / file.path).stat().st_size == file.size
    folder = f"data/p={quote(value, safe='')}"
    append(table, pa.table({"id": [3], "p": [value]}), partition=(value,), path=f"{folder}/1.parquet")
    state = table.load()
    new = write_file(
        tmp_path, pa.table({"id": [9], "p": [value]}), state.schema, (value,), f"{folder}/2.parquet"
    )
    change = Changeset("l", "overwrite", state.schema, (new,), RemovePartitions(frozenset({(value,)})))
    assert table.commit(change, state) == Committed(2)
    expected = pa.table({"id": [2, 9], "p": [None, value]})
    for engine in readers.delta_readers:
        readers.assert_same_rows(readers.read_delta(str(tmp_path), engine=engine), expected)
    assert sorted(table.lazy(table.load()).select("id", "p").collect().rows()) == [(2, None), (9, value)]


def test_our_view_agrees_with_the_librarys_after_a_mixed_history(tmp_path):
    write_deltalake(tmp_path, ROWS, configuration={"delta.checkpointInterval": "3"})
    table = open_table(tmp_path)
    for i in range(8):
        append(table, ROWS)
        write_deltalake(tmp_path, ROWS, mode="append")
        if i % 3 == 0:
            DeltaTable(tmp_path).optimize.compact()
    library = DeltaTable(tmp_path)
    wanted = {
        row["path"]: (row["size_bytes"], row["num_records"])
        for row in pa.table(library.get_add_actions()).to_pylist()
    }
    for handle in (table, open_table(tmp_path)):
        state = handle.load()
        assert state.version == library.version()
        assert {file.path: (file.size, file.rows) for file in handle.files(state)} == wanted


STEPS = st.sampled_from(
    ["append", "overwrite", "replace", "evolve", "library appends", "library deletes", "checkpoint"]
)


@given(st.lists(STEPS, max_size=12))
def test_any_history_reads_the_same_warm_cold_and_through_every_engine(steps):
    with tempfile.TemporaryDirectory() as root:
        table = created(root, pa.table({"n": [0]}), token=Token("p", 1))
        expected, sequence = [0], 1
        for number, step in enumerate(steps, 1):
            state = table.load()
            columns = [name for name in state.schema.names if name != "n"]
            rows = pa.table({"n": [number], **{name: [number] for name in columns}})
            file = write_file(root, rows, state.schema)
            paths = frozenset(live.path for live in table.files(state))
            match step:
                case "append":
                    sequence += 1
                    append(table, rows, token=Token("p", sequence))
                case "overwrite":
                    table.commit(Changeset("l", "overwrite", state.schema, (file,), RemoveAll()), state)
                    expected = []
                case "replace":
                    whole = table.scan(state, None).read_all()
                    file = write_file(root, whole, state.schema)
                    table.commit(Changeset("l", "replace", state.schema, (file,), RemoveFiles(paths)), state)
                case "evolve":
                    change = SchemaChange("add", (f"c{number}",), None, pa.int64())
                    evolve(table, (change,), rows.append_column(f"c{number}", [[number]]))
                case "library appends":
                    write_deltalake(root, rows, mode="append")
                case "library deletes":
                    DeltaTable(root).delete("n = 0")
                    expected = [value for value in expected if value != 0]
                case "checkpoint":
                    DeltaTable(root).create_checkpoint()
            if step not in ("replace", "library deletes", "checkpoint"):
                expected.append(number)
        warm, cold = table.load(), open_table(root).load()
        assert (warm.version, warm.schema, dict(warm.sequences)) == (
            cold.version,
            cold.schema,
            {"p": sequence},
        )
        assert dict(cold.sequences) == {"p": sequence}
        assert set(table.files(warm)) == set(open_table(root).files(cold))
        for engine in readers.delta_readers:
            assert sorted(readers.read_delta(root, engine=engine)["n"].to_pylist()) == sorted(expected)


def test_conflict_with_the_library_publishes_nothing(tmp_path):
    table = created(tmp_path, ROWS.rename_columns(["id", "name"]))
    state = table.load()
    DeltaTable(tmp_path).delete("id = 1")
    paths = frozenset(file.path for file in table.files(state))
    new = write_file(tmp_path, pa.table({"id": [7], "name": ["x"]}), state.schema)
    change = Changeset("l", "replace", state.schema, (new,), RemoveFiles(paths))
    assert isinstance(table.commit(change, state), Conflict)
    assert isinstance(table.commit(change, table.load()), Conflict), "the file is gone"
    assert readers.read_delta(str(tmp_path), engine="duckdb").num_rows == 1


def test_files_outside_the_table_are_named_in_full(tmp_path):
    root, elsewhere = tmp_path / "t", tmp_path / "elsewhere"
    rows = pa.table({"id": [1]})
    table = created(root, rows)
    file = write_file(elsewhere, pa.table({"id": [2]}), path="x.parquet")
    add = {
        "path": f"file://{elsewhere}/x.parquet",
        "partitionValues": {},
        "size": file.size,
        "modificationTime": 0,
        "dataChange": True,
    }
    inside = {**add, "path": f"file://{root}/{write_file(root, rows, path='data/y.parquet').path}"}
    (root / entry_path(1)).write_text("\n".join(json.dumps({"add": found}) for found in (add, inside)))
    state = table.load()
    live = {file.path: file.rows for file in table.files(state)}
    assert live.pop(f"file://{elsewhere}/x.parquet") is None
    assert live.pop("data/y.parquet") is None, "a full path below the root is the relative one"
    assert list(live.values()) == [1]
    table.commit(Changeset("l", "overwrite", state.schema, (), RemoveAll()), state)
    assert table.load().version == 2
    assert DeltaTable(root).file_uris() == []


def test_history_tells_the_operations_of_others(tmp_path):
    write_deltalake(tmp_path, ROWS)
    write_deltalake(tmp_path, ROWS, mode="overwrite")
    DeltaTable(tmp_path).delete("id = 1")
    (tmp_path / entry_path(3)).write_text("")
    found = open_table(tmp_path).history()
    assert [version.operation for version in found] == ["unknown", "DELETE", "overwrite", "append"]
    assert [version.load_id for version in found] == [None] * 4
    assert found[0].at == dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def test_checkpoint_in_parts_is_read_only_when_complete(tmp_path):
    import pyarrow.parquet as pq

    table = created(
        tmp_path, ROWS.rename_columns(["id", "name"]), properties={"delta.checkpointInterval": "2"}
    )
    append(table, ROWS.rename_columns(["id", "name"]))
    append(table, ROWS.rename_columns(["id", "name"]))
    log = tmp_path / "_delta_log"
    whole = log / f"{2:020d}.checkpoint.parquet"
    content = pq.read_table(whole)
    whole.unlink()
    half = content.num_rows // 2
    pq.write_table(content.slice(0, half), log / f"{2:020d}.checkpoint.{1:010d}.{2:010d}.parquet")
    assert len(open_table(tmp_path).files(open_table(tmp_path).load())) == 3
    pq.write_table(content.slice(half), log / f"{2:020d}.checkpoint.{2:010d}.{2:010d}.parquet")
    for version in range(3):
        (tmp_path / entry_path(version)).unlink()
    state = open_table(tmp_path).load()
    assert (state.version, len(open_table(tmp_path).files(state))) == (2, 3)


def test_checkpoint_with_sidecars_is_read(tmp_path):
    import pyarrow.parquet as pq

    table = created(
        tmp_path, ROWS.rename_columns(["id", "name"]), properties={"delta.checkpointInterval": "1"}
    )
    append(table, ROWS.rename_columns(["id", "name"]))
    log = tmp_path / "_delta_log"
    whole = log / f"{1:020d}.checkpoint.parquet"
    content = pq.read_table(whole)
    whole.unlink()
    (log / "_sidecars").mkdir()
    pq.write_table(
        content.filter(content["add"].is_valid()).select(["add"]), log / "_sidecars" / "files.parquet"
    )
    rest = [row for row in content.to_pylist() if not row["add"]]
    lines = [
        {"checkpointMetadata": {"version": 1}},
        {"sidecar": {"path": "files.parquet", "sizeInBytes": 1, "modificationTime": 0}},
    ]
    for row in rest:
        for kind in ("protocol", "metaData"):
            if row[kind]:
                facts = {
                    key: dict(value) if key == "configuration" else value
                    for key, value in row[kind].items()
                    if value is not None
                }
                lines.append(
                    {
                        kind: {**facts, "format": {"provider": "parquet", "options": {}}}
                        if kind == "metaData"
                        else facts
                    }
                )
    (log / f"{1:020d}.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json").write_text(
        "\n".join(map(json.dumps, lines))
    )
    for version in range(2):
        (tmp_path / entry_path(version)).unlink()
    found = read(Store(str(tmp_path)), table="t")
    assert (found.version, len(found.files)) == (1, 2)


def test_scan_of_a_table_whose_file_is_lost_is_a_storage_error(tmp_path):
    table = created(tmp_path, ROWS.rename_columns(["id", "name"]))
    state = table.load()
    (tmp_path / table.files(state)[0].path).unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        table.scan(state, None).read_all()
