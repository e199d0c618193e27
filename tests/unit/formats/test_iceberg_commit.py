from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from handmade import columns, data_file

from lakeload.catalogs.sql import SqlCatalog
from lakeload.errors import SchemaError, TableError
from lakeload.formats.iceberg import IcebergTable
from lakeload.model.changes import (
    AlreadyApplied,
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
from lakeload.model.files import DataFile
from lakeload.model.layout import Layout
from lakeload.model.schema import apply_changes, field_id
from lakeload.model.table import TableState
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

SCHEMA = columns(id=pa.int64(), name=pa.string(), day=pa.date32())
FIRST, SECOND = dt.date(2024, 1, 1), dt.date(2024, 1, 2)


class Lab:
    """One local lake with its catalog; `table()` gives independent handles on table `t`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.catalog = SqlCatalog(f"sqlite:///{root}/catalog.db", str(root), StorageOptions(), now=self.now)
        self.store = Store(f"{root}/ns/t")

    @staticmethod
    def now() -> dt.datetime:
        return dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def table(self) -> IcebergTable:
        return SqlCatalog(
            f"sqlite:///{self.root}/catalog.db", str(self.root), StorageOptions(), now=self.now
        ).open("ns", "t", f"{self.root}/ns/t")

    def library(self) -> Any:
        return self.catalog.library.load_table("ns.t")

    def file(
        self, *ids: int, schema: pa.Schema = SCHEMA, day: dt.date = FIRST, partition: tuple[Any, ...] = ()
    ) -> DataFile:
        return data_file(self.store, schema, [{"id": i, "name": f"n{i}", "day": day} for i in ids], partition)

    def create(self, *ids: int, partition_by: tuple[str, ...] = (), token: Token | None = None) -> TableState:
        files = (self.file(*ids, partition=(FIRST,) * len(partition_by)),) if ids else ()
        layout = Layout.parse(partition_by)
        result = self.table().commit(
            Changeset("L0", "append", SCHEMA, files, create=Creation(layout), token=token), None
        )
        assert isinstance(result, Committed)
        return self.load()

    def load(self) -> TableState:
        state = self.table().load()
        assert state is not None
        return state

    def ids(self) -> list[int]:
        return sorted(self.table().scan(self.load(), ["id"]).read_all()["id"].to_pylist())


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def append(
    *files: DataFile,
    token: Token | None = None,
    load_id: str = "L",
    schema: pa.Schema = SCHEMA,
    **options: Any,
) -> Changeset:
    return Changeset(load_id, "append", schema, files, token=token, **options)


def test_a_table_that_is_not_there_loads_as_none(lab: Lab) -> None:
    assert lab.table().load() is None
    assert lab.table().history() == []


def test_creating_with_files_is_one_metadata_version_with_one_snapshot(lab: Lab) -> None:
    state = lab.create(1, 2, token=Token("p", 1))
    assert state.owned
    assert state.sequences == {"p": 1}
    assert [name for name in lab.store.names("metadata") if name.endswith(".metadata.json")] == [
        state.handle.location.rpartition("/")[2]
    ]
    assert [version.operation for version in lab.table().history()] == ["append"]
    assert lab.ids() == [1, 2]


def test_our_field_ids_survive_creation_where_a_library_would_number_anew(lab: Lab) -> None:
    schema = columns(outer=pa.struct([("inner", pa.list_(pa.int32()))]), after=pa.string())
    lab.table().commit(Changeset("L", "append", schema, create=Creation(Layout())), None)
    state = lab.load()
    assert state.schema.equals(schema, check_metadata=True)
    assert state.last_column_id == 4
    assert lab.library().schema().find_field("outer.inner.element").field_id == 3


def test_creating_without_files_makes_no_snapshot_but_keeps_the_position(lab: Lab) -> None:
    state = lab.create(token=Token("p", 4))
    assert (state.version, state.sequences) == (None, {"p": 4})
    assert lab.table().files(state) == []
    assert lab.table().scan(state, None).read_all().num_rows == 0
    assert lab.table().lazy(state).collect().shape == (0, 3)


def test_an_existing_table_makes_creation_a_conflict(lab: Lab) -> None:
    late = lab.table()
    change = append(lab.file(9), create=Creation(Layout()))
    lab.create(1)
    assert isinstance(late.commit(change, None), Conflict)
    assert isinstance(late.commit(change, lab.load()), Conflict)
    assert lab.ids() == [1]


def test_a_missing_table_makes_an_append_a_conflict(lab: Lab) -> None:
    assert isinstance(lab.table().commit(append(lab.file(1)), None), Conflict)


def test_the_slower_of_two_appends_conflicts_and_leaves_no_metadata_behind(lab: Lab) -> None:
    base = lab.create(1)
    one, other = lab.table(), lab.table()
    assert isinstance(one.commit(append(lab.file(2)), base), Committed)
    before = lab.store.names("metadata")
    assert isinstance(other.commit(append(lab.file(3)), base), Conflict)
    assert lab.store.names("metadata") == before
    assert lab.ids() == [1, 2]


def test_a_change_of_properties_by_another_engine_is_a_conflict_too(lab: Lab) -> None:
    base = lab.create(1)
    with lab.library().transaction() as transaction:
        transaction.set_properties({"owner": "somebody"})
    assert isinstance(lab.table().commit(append(lab.file(2)), base), Conflict)


def test_a_token_the_table_has_is_not_applied_again(lab: Lab) -> None:
    base = lab.create(1, token=Token("p", 2))
    assert lab.table().commit(append(lab.file(1), token=Token("p", 2)), base) == AlreadyApplied(base.version)
    assert isinstance(lab.table().commit(append(lab.file(2), token=Token("q", 1)), base), Committed)
    assert lab.load().sequences == {"p": 2, "q": 1}


def test_positions_outlive_commits_of_other_engines(lab: Lab) -> None:
    lab.create(1, token=Token("p", 1))
    lab.library().append(pa.table({"id": pa.array([2], pa.int64()), "name": ["x"], "day": [FIRST]}))
    assert lab.load().sequences == {"p": 1}


def test_positions_are_rolled_back_with_the_table(lab: Lab) -> None:
    first = lab.create(1, token=Token("p", 1))
    lab.table().commit(append(lab.file(2), token=Token("p", 2)), first)
    assert lab.load().sequences == {"p": 2}
    library = lab.library()
    library.manage_snapshots().rollback_to_snapshot(first.version).commit()
    assert lab.load().sequences == {"p": 1}
    assert lab.ids() == [1]


def test_a_position_without_snapshot_is_found_behind_a_later_foreign_append(lab: Lab) -> None:
    first = lab.create(1, token=Token("p", 1))
    lab.table().commit(append(token=Token("p", 2)), first)
    lab.library().append(pa.table({"id": pa.array([2], pa.int64()), "name": ["x"], "day": [FIRST]}))
    assert lab.load().sequences == {"p": 2}


def test_nothing_to_do_publishes_nothing(lab: Lab) -> None:
    base = lab.create(1)
    assert lab.table().commit(append(), base) == Committed(base.version)
    assert lab.table().commit(
        Changeset("L", "overwrite", SCHEMA, remove=RemovePartitions(frozenset())), base
    ) == Committed(base.version)
    assert lab.load().handle.location == base.handle.location


def test_overwriting_everything_replaces_the_rows_in_one_snapshot(lab: Lab) -> None:
    base = lab.create(1, 2)
    result = lab.table().commit(Changeset("L", "overwrite", SCHEMA, (lab.file(7),), RemoveAll()), base)
    assert isinstance(result, Committed)
    assert lab.ids() == [7]
    newest, oldest = lab.table().history()
    assert (newest.operation, oldest.operation) == ("overwrite", "append")
    assert newest.summary["total-records"] == "1"
    assert newest.summary["deleted-records"] == "2"


def test_emptying_a_table_is_recorded_as_a_delete(lab: Lab) -> None:
    base = lab.create(1, 2)
    lab.table().commit(Changeset("L", "overwrite", SCHEMA, (), RemoveAll()), base)
    assert lab.ids() == []
    assert lab.table().history()[0].operation == "delete"


def test_overwriting_partitions_leaves_the_others(lab: Lab) -> None:
    base = lab.create(1, partition_by=("day",))
    lab.table().commit(append(lab.file(2, day=SECOND, partition=(SECOND,))), base)
    change = Changeset(
        "L", "overwrite", SCHEMA, (lab.file(3, partition=(FIRST,)),), RemovePartitions(frozenset({(FIRST,)}))
    )
    assert isinstance(lab.table().commit(change, lab.load()), Committed)
    assert lab.ids() == [2, 3]


def test_a_rewrite_changes_files_but_no_row_and_is_marked_so(lab: Lab) -> None:
    lab.create(1)
    lab.table().commit(append(lab.file(2)), lab.load())
    state = lab.load()
    paths = frozenset(file.path for file in lab.table().files(state))
    change = Changeset("fold", "replace", SCHEMA, (lab.file(1, 2),), RemoveFiles(paths))
    assert isinstance(lab.table().commit(change, state), Committed)
    assert lab.ids() == [1, 2]
    assert [version.operation for version in lab.table().history()] == ["replace", "append", "append"]
    assert [file.rows for file in lab.table().files(lab.load())] == [2]


def test_a_rewrite_that_loses_a_row_is_refused(lab: Lab) -> None:
    state = lab.create(1, 2)
    (file,) = lab.table().files(state)
    change = Changeset("fold", "replace", SCHEMA, (lab.file(1),), RemoveFiles(frozenset({file.path})))
    with pytest.raises(TableError, match="2 before, 1 after"):
        lab.table().commit(change, state)
    assert lab.ids() == [1, 2]


def test_removing_a_file_that_is_gone_is_a_conflict(lab: Lab) -> None:
    state = lab.create(1)
    change = Changeset(
        "fold", "replace", SCHEMA, (lab.file(1),), RemoveFiles(frozenset({"data/gone.parquet"}))
    )
    result = lab.table().commit(change, state)
    assert isinstance(result, Conflict)
    assert "data/gone.parquet" in result.reason


def test_columns_are_added_widened_and_relaxed_in_the_commit_that_needs_them(lab: Lab) -> None:
    schema = columns(id=pa.int32(), sub=pa.struct([pa.field("a", pa.int64(), nullable=False)]))
    file = data_file(lab.store, schema, [{"id": 1, "sub": {"a": 1}}])
    lab.table().commit(append(file, schema=schema, create=Creation(Layout())), None)
    base = lab.load()
    changes = (
        SchemaChange("widen", ("id",), pa.int32(), pa.int64()),
        SchemaChange("relax", ("sub", "a"), pa.int64(), pa.int64()),
        SchemaChange("add", ("sub", "b"), None, pa.list_(pa.string())),
        SchemaChange("add", ("later",), None, pa.timestamp("us", "UTC")),
    )
    wide, last = apply_changes(base.schema, base.last_column_id, changes)
    row = {"id": 2**40, "sub": {"a": None, "b": ["x"]}, "later": dt.datetime(2024, 1, 1, tzinfo=dt.UTC)}
    change = append(data_file(lab.store, wide, [row]), schema=wide, schema_changes=changes)
    assert isinstance(lab.table().commit(change, base), Committed)
    state = lab.load()
    assert state.schema.equals(wide, check_metadata=True)
    assert state.last_column_id == last
    assert lab.table().scan(state, None).read_all().sort_by("id").to_pylist() == [
        {"id": 1, "sub": {"a": 1, "b": None}, "later": None},
        row,
    ]
    assert len(lab.table().history()) == 2


def test_a_schema_change_without_files_makes_no_snapshot(lab: Lab) -> None:
    base = lab.create(1)
    change = SchemaChange("add", ("more",), None, pa.string())
    wide, _ = apply_changes(base.schema, base.last_column_id, [change])
    assert lab.table().commit(append(schema=wide, schema_changes=(change,)), base) == Committed(base.version)
    state = lab.load()
    assert field_id(state.schema.field("more")) == 4
    assert len(lab.table().history()) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (pa.decimal128(10, 2), pa.decimal128(14, 4)),
        (pa.int64(), pa.string()),
        (pa.int64(), pa.int32()),
        (pa.date32(), pa.timestamp("us")),
    ],
)
def test_a_type_change_readers_could_not_follow_is_refused(
    lab: Lab, old: pa.DataType, new: pa.DataType
) -> None:
    schema = columns(x=old)
    lab.table().commit(append(schema=schema, create=Creation(Layout())), None)
    changed = pa.schema([schema.field("x").with_type(new)])
    with pytest.raises(TableError, match="does not allow"):
        lab.table().commit(append(schema=changed), lab.load())


def test_names_that_differ_by_case_only_are_refused(lab: Lab) -> None:
    with pytest.raises(SchemaError, match="differ by case"):
        lab.table().commit(
            append(schema=columns(i=pa.int64(), I=pa.int64()), create=Creation(Layout())), None
        )
    assert lab.table().load() is None


def test_a_column_that_vanishes_from_the_schema_is_refused(lab: Lab) -> None:
    base = lab.create(1)
    with pytest.raises(TableError, match="does not drop columns"):
        lab.table().commit(append(schema=pa.schema([SCHEMA.field("id")])), base)


def test_properties_are_set_with_the_commit(lab: Lab) -> None:
    base = lab.create(1)
    lab.table().commit(append(lab.file(2), properties={"write.target-file-size-bytes": "1048576"}), base)
    assert lab.load().properties["write.target-file-size-bytes"] == "1048576"


def test_layout_comes_back_as_it_was_given(lab: Lab) -> None:
    schema = columns(id=pa.int64(), at=pa.timestamp("us", "UTC"), zip=pa.string())
    layout = Layout.parse(("day(at)", "bucket(16, id)", "truncate(4, zip)", "zip"), ("at desc", "id"))
    lab.table().commit(append(schema=schema, create=Creation(layout)), None)
    assert lab.load().layout == layout


@pytest.mark.parametrize("text", ["nowhere", "day(id)", "bucket(4, id)|bucket(8, id)"])
def test_a_layout_that_cannot_be_is_refused_before_the_table_exists(lab: Lab, text: str) -> None:
    with pytest.raises(TableError):
        lab.table().commit(append(schema=SCHEMA, create=Creation(Layout.parse(text.split("|")))), None)
    assert lab.table().load() is None


def test_a_file_without_its_partition_values_is_refused(lab: Lab) -> None:
    base = lab.create(1, partition_by=("day",))
    with pytest.raises(TableError, match="0 partition values"):
        lab.table().commit(append(lab.file(2)), base)


def test_sorted_files_name_the_sort_order(lab: Lab) -> None:
    file = data_file(lab.store, SCHEMA, [{"id": 1}], is_sorted=True)
    loose = data_file(lab.store, SCHEMA, [{"id": 2}])
    change = append(file, loose, create=Creation(Layout.parse((), ("id",))))
    assert isinstance(lab.table().commit(change, None), Committed)
    tasks = {
        task.file.file_path.rpartition("/")[2]: task.file.sort_order_id
        for task in lab.library().scan().plan_files()
    }
    assert tasks == {file.path.rpartition("/")[2]: 1, loose.path.rpartition("/")[2]: None}


def test_many_appends_keep_few_manifests_every_snapshot_and_every_row_as_an_append(lab: Lab) -> None:
    table = lab.table()
    for number in range(60):
        state = table.load()
        create = Creation(Layout()) if state is None else None
        assert isinstance(
            table.commit(append(lab.file(number), create=create, token=Token("p", number + 1)), state),
            Committed,
        )
        if number == 39:
            state = table.load()
            assert state is not None
            small = [file.path for file in table.files(state)][:20]
            rows = pa.concat_tables(
                [pa.Table.from_batches([batch]) for batch in table.scan(state, None)]
            ).to_pylist()
            kept = {file.path for file in table.files(state)} - set(small)
            ids = [row for row in rows if not any(row["id"] in _ids(lab, path) for path in kept)]
            folded = data_file(lab.store, SCHEMA, ids)
            assert isinstance(
                table.commit(
                    Changeset("F", "replace", SCHEMA, (folded,), RemoveFiles(frozenset(small))), state
                ),
                Committed,
            )
    library = lab.library()
    assert lab.ids() == list(range(60))
    assert len(library.metadata.snapshots) == 61
    assert len(library.current_snapshot().manifests(library.io)) < 40
    assert len([name for name in lab.store.names("metadata") if name.endswith(".metadata.json")]) <= 21
    first = library.metadata.snapshots[0].snapshot_id
    assert sorted(_appended(library, first)) == list(range(1, 60))


def _ids(lab: Lab, path: str) -> set[int]:
    import pyarrow.parquet as pq

    return set(pq.read_table(lab.store.uri(path), columns=["id"])["id"].to_pylist())


def _appended(library: Any, first: int) -> Iterator[int]:
    """Rows added by append snapshots after the first, as an incremental reader finds them."""
    import pyarrow.parquet as pq

    for snapshot in library.metadata.snapshots:
        if snapshot.snapshot_id == first or snapshot.summary.operation.value != "append":
            continue
        for manifest in snapshot.manifests(library.io):
            if manifest.added_snapshot_id != snapshot.snapshot_id:
                continue
            for entry in manifest.fetch_manifest_entry(library.io):
                if entry.status == 1 and entry.snapshot_id == snapshot.snapshot_id:
                    yield from pq.read_table(entry.data_file.file_path, columns=["id"])["id"].to_pylist()
