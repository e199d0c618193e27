"""A Delta table through the `Table` protocol: versions, files, positions, conflicts."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import json
import multiprocessing
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import readers
from delta_files import NOW, append, created, open_table, write_file

from lakeload.errors import TableError
from lakeload.formats.delta import DeltaFormatTable
from lakeload.formats.delta_log import entry_path
from lakeload.model.changes import (
    AlreadyApplied,
    Changeset,
    Committed,
    Conflict,
    Creation,
    RemoveAll,
    RemoveFiles,
    RemovePartitions,
    Token,
)
from lakeload.model.layout import Layout
from lakeload.model.schema import FIELD_ID, assign_ids
from lakeload.write.store import Store

ROWS = pa.table({"id": [1, 2, 3], "name": ["a", None, "c"]})
MORE = pa.table({"id": [4, 5], "name": ["d", "e"]})


def entry(root: Path, version: int) -> list[dict]:
    return [json.loads(line) for line in (root / entry_path(version)).read_text().splitlines()]


def actions(root: Path, version: int, kind: str) -> list[dict]:
    return [action[kind] for action in entry(root, version) if kind in action]


def overwrite(table, rows, remove, *, operation="overwrite", partition=(), state=None, token=None):
    state = state or table.load()
    files = (write_file(table.location, rows, state.schema, partition),) if rows is not None else ()
    return table.commit(Changeset("load-o", operation, state.schema, files, remove, token=token), state)


@pytest.fixture(params=readers.delta_readers)
def engine(request):
    return request.param


def test_place_without_a_delta_log_has_no_table(tmp_path):
    (tmp_path / "_iceberg").mkdir()
    assert open_table(tmp_path).load() is None
    assert open_table(tmp_path / "nowhere").load() is None


def test_creation_with_rows_is_read_back_by_every_engine(tmp_path, engine):
    created(tmp_path, ROWS)
    readers.assert_same_rows(readers.read_delta(str(tmp_path), engine=engine), ROWS)


def test_creation_is_one_entry_with_protocol_metadata_rows_and_position(tmp_path):
    created(tmp_path, ROWS, token=Token("sales", 1), properties={"lakeload.created": "true"})
    kinds = [next(iter(action)) for action in entry(tmp_path, 0)]
    assert kinds == ["commitInfo", "protocol", "metaData", "txn", "add"]
    assert actions(tmp_path, 0, "protocol") == [{"minReaderVersion": 1, "minWriterVersion": 2}]
    assert actions(tmp_path, 0, "txn") == [
        {"appId": "lakeload:sales", "version": 1, "lastUpdated": 1714979289123}
    ]


def test_state_after_creation_tells_schema_ids_properties_and_position(tmp_path):
    table = created(tmp_path, ROWS, token=Token("sales", 1), properties={"lakeload.created": "true"})
    for state in (table.load(), open_table(tmp_path).load()):
        assert state.version == 0
        assert state.schema.equals(assign_ids(ROWS.schema)[0], check_metadata=True)
        assert state.last_column_id == 2
        assert state.owned
        assert dict(state.sequences) == {"sales": 1}
        assert state.layout == Layout()


def test_creation_without_rows_makes_an_empty_table(tmp_path, engine):
    table = open_table(tmp_path)
    schema, _ = assign_ids(ROWS.schema)
    assert table.commit(Changeset("l", "append", schema, create=Creation(Layout())), None) == Committed(0)
    assert readers.read_delta(str(tmp_path), engine=engine).num_rows == 0
    assert table.history()[0].operation == "create"


def test_second_creation_conflicts(tmp_path):
    created(tmp_path, ROWS)
    schema, _ = assign_ids(ROWS.schema)
    other = open_table(tmp_path)
    creation = Changeset("l", "append", schema, create=Creation(Layout()))
    assert isinstance(other.commit(creation, None), Conflict)
    assert isinstance(other.commit(creation, other.load()), Conflict)
    assert isinstance(other.commit(Changeset("l", "append", schema), None), Conflict)


def test_append_adds_rows_and_keeps_those_that_are_there(tmp_path, engine):
    table = created(tmp_path, ROWS)
    assert append(table, MORE) == Committed(1)
    readers.assert_same_rows(readers.read_delta(str(tmp_path), engine=engine), pa.concat_tables([ROWS, MORE]))
    assert [file.rows for file in table.files(table.load())] == [3, 2]


def test_files_tell_path_size_and_rows_as_written(tmp_path):
    table = created(tmp_path, ROWS)
    (file,) = table.files(table.load())
    assert file.size == (tmp_path / file.path).stat().st_size
    assert (file.rows, file.partition, file.deletes, file.current) == (3, (), False, True)


def test_old_state_still_lists_its_own_files(tmp_path):
    table = created(tmp_path, ROWS)
    old = table.load()
    append(table, MORE)
    assert len(table.files(old)) == 1
    assert table.scan(old, None).read_all().num_rows == 3
    assert table.lazy(old).collect().height == 3


def test_overwrite_of_everything_leaves_only_the_new_rows(tmp_path, engine):
    table = created(tmp_path, ROWS)
    append(table, MORE)
    assert overwrite(table, MORE, RemoveAll()) == Committed(2)
    readers.assert_same_rows(readers.read_delta(str(tmp_path), engine=engine), MORE)


def test_remove_repeats_what_the_add_said(tmp_path):
    table = created(tmp_path, ROWS)
    (file,) = table.files(table.load())
    overwrite(table, MORE, RemoveAll())
    (remove,) = actions(tmp_path, 1, "remove")
    assert remove == {
        "path": file.path, "deletionTimestamp": 1714979289123, "dataChange": True, "extendedFileMetadata": True,
        "partitionValues": {}, "size": file.size,
    }  # fmt: skip


def test_partitions_named_are_replaced_and_others_stay(tmp_path, engine):
    layout = Layout.parse("name")
    table = created(tmp_path, pa.table({"id": [1], "name": ["a"]}), layout=layout, partition=("a",))
    append(table, pa.table({"id": [2], "name": ["b"]}), partition=("b",))
    append(table, pa.table({"id": [3], "name": pa.array([None], pa.string())}), partition=(None,))
    new = pa.table({"id": [9], "name": ["b"]})
    assert overwrite(
        table, new, RemovePartitions(frozenset({("b",), (None,)})), partition=("b",)
    ) == Committed(3)
    readers.assert_same_rows(
        readers.read_delta(str(tmp_path), engine=engine), pa.table({"id": [1, 9], "name": ["a", "b"]})
    )


def test_replacing_files_changes_no_row_for_stream_readers(tmp_path, engine):
    table = created(tmp_path, ROWS)
    append(table, MORE)
    paths = frozenset(file.path for file in table.files(table.load()))
    both = pa.concat_tables([ROWS, MORE])
    assert overwrite(table, both, RemoveFiles(paths), operation="replace") == Committed(2)
    readers.assert_same_rows(readers.read_delta(str(tmp_path), engine=engine), both)
    assert {action["dataChange"] for action in actions(tmp_path, 2, "remove")} == {False}
    assert [action["dataChange"] for action in actions(tmp_path, 2, "add")] == [False]
    assert table.history()[0].operation == "replace"


def test_removing_a_file_that_is_gone_conflicts(tmp_path):
    table = created(tmp_path, ROWS)
    result = overwrite(table, MORE, RemoveFiles(frozenset({"data/gone.parquet"})), operation="replace")
    assert isinstance(result, Conflict)
    assert "data/gone.parquet" in result.reason
    assert table.load().version == 0


def test_change_of_nothing_writes_nothing(tmp_path):
    table = created(tmp_path, ROWS)
    state = table.load()
    assert table.commit(Changeset("l", "append", state.schema), state) == Committed(0)
    assert table.commit(
        Changeset("l", "overwrite", state.schema, remove=RemovePartitions(frozenset())), state
    ) == Committed(0)
    assert not (tmp_path / entry_path(1)).exists()


def test_a_position_without_rows_is_committed(tmp_path):
    table = created(tmp_path, ROWS)
    state = table.load()
    assert table.commit(Changeset("l", "append", state.schema, token=Token("p", 5)), state) == Committed(1)
    assert table.load().sequences["p"] == 5
    assert table.load().schema == state.schema


def test_properties_are_set_with_a_commit_of_their_own(tmp_path):
    table = created(tmp_path, ROWS)
    state = table.load()
    change = Changeset(
        "l", "append", state.schema, properties={"write.target-file-size-bytes": "16777216", "owner": "me"}
    )
    assert table.commit(change, state) == Committed(1)
    properties = open_table(tmp_path).load().properties
    assert (
        properties["owner"],
        properties["delta.targetFileSize"],
        properties["write.target-file-size-bytes"],
    ) == ("me", "16777216", "16777216")
    assert table.commit(change, table.load()) == Committed(1), "the same properties again change nothing"


def test_target_size_of_another_engine_is_understood(tmp_path):
    created(tmp_path, ROWS, properties={"delta.targetFileSize": "64mb"})
    assert open_table(tmp_path).load().properties["write.target-file-size-bytes"] == str(64 << 20)


def test_commit_on_an_old_state_conflicts_and_publishes_nothing(tmp_path):
    first, second = created(tmp_path, ROWS), open_table(tmp_path)
    state = second.load()
    append(first, MORE)
    assert isinstance(append(second, MORE, state=state), Conflict)
    assert first.load().version == 1
    assert append(second, MORE) == Committed(2), "reloading is all it takes"


def test_of_two_handles_racing_for_a_version_one_wins(tmp_path):
    created(tmp_path, ROWS)
    handles = [open_table(tmp_path) for _ in range(8)]
    states = [handle.load() for handle in handles]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(
            pool.map(lambda pair: append(pair[0], MORE, state=pair[1]), zip(handles, states, strict=True))
        )
    assert sorted(type(result).__name__ for result in results) == ["Committed", *["Conflict"] * 7]


class LosesAnswers(Store):
    """A place that does what it is asked and answers as if somebody else had been faster."""

    def create(self, path, data):
        super().create(path, data)
        return False


def test_commit_whose_answer_was_lost_is_recognised(tmp_path):
    created(tmp_path, ROWS)
    table = DeltaFormatTable("t", LosesAnswers(str(tmp_path)), now=lambda: NOW)
    assert append(table, MORE) == Committed(1)
    assert len(table.files(table.load())) == 2


def _append_until_done(root: str, pipeline: str, loads: int) -> int:
    table, conflicts = open_table(root), 0
    for sequence in range(1, loads + 1):
        while isinstance(append(table, MORE, token=Token(pipeline, sequence)), Conflict):
            conflicts += 1
    return conflicts


def test_two_processes_lose_no_commit_and_double_none(tmp_path):
    table = created(tmp_path, ROWS)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        list(pool.map(_append_until_done, [str(tmp_path)] * 2, ["a", "b"], [20, 20]))
    state = table.load()
    assert state.version == 40
    assert dict(state.sequences) == {"a": 20, "b": 20}
    assert sum(file.rows for file in table.files(state)) == 3 + 80
    assert table.scan(state, ["id"]).read_all().num_rows == 83


def test_a_column_that_is_not_there_cannot_be_scanned(tmp_path):
    table = created(tmp_path, ROWS)
    with pytest.raises(TableError, match=r"no such column .*nope.*Columns here: id"):
        table.scan(table.load(), ["nope"])


def test_token_seen_before_is_already_applied(tmp_path):
    table = created(tmp_path, ROWS, token=Token("p", 3))
    for sequence in (1, 2, 3):
        assert append(table, MORE, token=Token("p", sequence)) == AlreadyApplied(0)
    assert append(table, MORE, token=Token("q", 1)) == Committed(1)
    assert append(table, MORE, token=Token("p", 4)) == Committed(2)
    assert dict(table.load().sequences) == {"p": 4, "q": 1}


def test_positions_survive_a_checkpoint_and_a_cleaned_log(tmp_path):
    table = created(tmp_path, ROWS, token=Token("p", 1), properties={"delta.checkpointInterval": "5"})
    for sequence in range(2, 9):
        append(table, MORE, token=Token("p", sequence))
    warm = table.load()
    for version in range(5):
        (tmp_path / entry_path(version)).unlink()
    assert (tmp_path / "_delta_log" / f"{5:020d}.checkpoint.parquet").exists()
    cold = open_table(tmp_path)
    state = cold.load()
    assert state.version == warm.version == 7
    assert dict(state.sequences) == {"p": 8}
    assert state.schema.equals(warm.schema, check_metadata=True)
    assert dict(state.properties) == dict(warm.properties)
    assert sorted(cold.files(state), key=lambda file: file.path) == sorted(
        table.files(warm), key=lambda file: file.path
    )
    assert [found.version for found in cold.history()] == [7, 6, 5]
    assert append(cold, MORE, token=Token("p", 9)) == Committed(8)


def test_table_with_nothing_left_but_a_checkpoint_is_read(tmp_path):
    table = created(tmp_path, ROWS, properties={"delta.checkpointInterval": "1"})
    append(table, MORE)
    for version in range(2):
        (tmp_path / entry_path(version)).unlink()
    cold = open_table(tmp_path)
    assert (cold.load().version, len(cold.files(cold.load()))) == (1, 2)
    assert append(cold, MORE) == Committed(2)


def test_failed_checkpoint_does_not_fail_the_load(tmp_path):
    table = created(tmp_path, ROWS, properties={"delta.checkpointInterval": "1"})
    (tmp_path / "_delta_log" / f"{1:020d}.checkpoint.parquet").mkdir()
    assert append(table, MORE) == Committed(1)


def test_table_dropped_and_made_anew_is_noticed(tmp_path):
    table = created(tmp_path, ROWS)
    append(table, MORE)
    shutil.rmtree(tmp_path)
    assert table.load() is None
    other = pa.table({"x": [1]})
    created(tmp_path, other)
    append(open_table(tmp_path), other)
    assert table.load().schema.names == ["x"]


def test_gap_in_the_log_is_refused(tmp_path):
    table = created(tmp_path, ROWS)
    append(table, MORE)
    append(table, MORE)
    (tmp_path / entry_path(1)).unlink()
    with pytest.raises(TableError, match="gap"):
        open_table(tmp_path).load()


def test_rows_are_the_files_own_even_when_a_column_is_called_like_the_statistic(tmp_path):
    created(tmp_path, ROWS)
    stats = '{"minValues":{"numRecords":70},"numRecords":2}'
    add = {"path": "x", "partitionValues": {}, "size": 1, "modificationTime": 0, "dataChange": True}
    lines = [{"add": {**add, "stats": stats}}, {"add": {**add, "path": "y", "stats": "{broken"}}]
    (tmp_path / entry_path(1)).write_text("\n".join(map(json.dumps, lines)))
    table = open_table(tmp_path)
    assert {file.path: file.rows for file in table.files(table.load())}.items() >= {"x": 2, "y": None}.items()


def test_damaged_entry_is_refused_by_place(tmp_path):
    created(tmp_path, ROWS)
    (tmp_path / entry_path(1)).write_text('{"add": {"pa')
    with pytest.raises(TableError, match=f"{1:020d}.json"):
        open_table(tmp_path).load()


def test_file_that_is_there_already_is_refused(tmp_path):
    table = created(tmp_path, ROWS)
    state = table.load()
    file = write_file(tmp_path, MORE, state.schema)
    with pytest.raises(TableError, match="already"):
        table.commit(Changeset("l", "append", state.schema, (file, file)), state)
    assert table.load().version == 0


def test_files_with_columns_the_table_has_not_are_refused(tmp_path):
    table = created(tmp_path, ROWS)
    state = table.load()
    for other in (pa.table({"id": ["x"]}), pa.table({"id": [1], "extra": [1]})):
        file = write_file(tmp_path, other)
        with pytest.raises(TableError, match="column"):
            table.commit(Changeset("l", "append", file_schema(other), (file,)), state)


def file_schema(rows: pa.Table) -> pa.Schema:
    return assign_ids(rows.schema)[0]


def test_null_in_a_required_column_is_refused(tmp_path):
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False)])
    table = created(tmp_path, pa.table({"id": [1]}, schema=schema))
    assert not table.load().schema.field("id").nullable
    loose, _ = assign_ids(pa.schema([pa.field("id", pa.int64())]))
    file = write_file(tmp_path, pa.table({"id": [1, None]}), loose)
    with pytest.raises(TableError, match="must not be null"):
        table.commit(Changeset("l", "append", loose, (file,)), table.load())


def test_scan_streams_the_columns_asked_for_in_their_order_and_types(tmp_path):
    rows = pa.table({
        "id": [1, 2], "s": [{"x": ["a"], "y": {"z": "q"}}, None], "m": pa.array([[("k", "v")], None], pa.map_(pa.string(), pa.string())),
        "at": pa.array([dt.datetime(2024, 1, 1, tzinfo=dt.UTC), None], pa.timestamp("us", "UTC")), "b": [b"\x00", None],
    })  # fmt: skip
    table = created(tmp_path, rows)
    state = table.load()
    whole = table.scan(state, None).read_all()
    assert whole.schema.names == rows.schema.names
    assert [str(field.type) for field in whole.schema][
        1
    ] == "struct<x: list<element: string>, y: struct<z: string>>"
    assert whole.to_pylist() == rows.to_pylist()
    part = table.scan(state, ["b", "id"]).read_all()
    assert part.to_pylist() == rows.select(["b", "id"]).to_pylist()
    assert not (whole.schema.field("id").metadata or {}).get(FIELD_ID)


def test_history_is_newest_first_and_names_loads(tmp_path):
    table = created(tmp_path, ROWS, token=Token("p", 1))
    append(table, MORE)
    overwrite(table, MORE, RemoveAll())
    found = table.history()
    assert [(version.version, version.operation, version.load_id) for version in found] == [
        (2, "overwrite", "load-o"), (1, "append", "load-n"), (0, "append", "load-1"),
    ]  # fmt: skip
    assert found[0].at == NOW.replace(microsecond=123000)
    assert (found[0].summary["numOutputRows"], found[0].summary["numRemovedFiles"]) == ("2", "2")


def test_handle_tells_name_location_and_format(tmp_path):
    table = open_table(tmp_path, "events")
    assert (table.name, table.location, table.formats) == ("events", str(tmp_path), ("delta",))
