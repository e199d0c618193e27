"""Tables other engines made, or worked on in between."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from handmade import data_file
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
)
from pyiceberg.partitioning import PartitionField as IcebergField
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.sorting import NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.table.update.snapshot import _FastAppendFiles
from pyiceberg.transforms import DayTransform, IdentityTransform, VoidTransform, YearTransform
from pyiceberg.typedef import Record
from pyiceberg.types import (
    DateType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
    UUIDType,
)

from lakeload.catalogs.sql import SqlCatalog
from lakeload.errors import TableError
from lakeload.formats.iceberg import IcebergTable
from lakeload.model.changes import Changeset, Committed, Conflict, RemoveAll, RemoveFiles, RemovePartitions
from lakeload.model.layout import Layout, PartitionField
from lakeload.model.table import TableState
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

COLUMNS = Schema(
    NestedField(1, "id", LongType(), required=True, doc="what it is"),
    NestedField(2, "name", StringType()),
    NestedField(3, "day", DateType()),
    identifier_field_ids=[1],
)
DAY = dt.date(2024, 5, 1)


class Foreign:
    """A table made by pyiceberg at a place of its own."""

    def __init__(self, root: Path, schema: Schema = COLUMNS, **options: Any) -> None:
        self.catalog = SqlCatalog(
            f"sqlite:///{root}/catalog.db",
            str(root),
            StorageOptions(),
            now=lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        )
        self.catalog.library.create_namespace("ns")
        self.made = self.catalog.library.create_table(
            "ns.t", schema, location=f"file://{root}/elsewhere", **options
        )
        self.store = Store(f"{root}/elsewhere")
        self.root = root

    def table(self) -> IcebergTable:
        return self.catalog.open("ns", "t", f"{self.root}/ns/t")

    def load(self) -> TableState:
        state = self.table().load()
        assert state is not None
        return state

    def append(self, *ids: int, partition: tuple[Any, ...] = ()) -> Any:
        state = self.load()
        rows = [{"id": i, "name": f"n{i}", "day": DAY} for i in ids]
        change = Changeset(
            "L", "append", state.schema, (data_file(self.store, state.schema, rows, partition),)
        )
        return self.table().commit(change, state)

    def library(self) -> Any:
        return self.catalog.library.load_table("ns.t")

    def ids(self) -> list[int]:
        return sorted(self.library().scan().to_arrow()["id"].to_pylist())


def test_its_place_schema_and_documentation_are_respected(tmp_path: Path) -> None:
    foreign = Foreign(tmp_path)
    table = foreign.table()
    state = table.load()
    assert state is not None
    assert table.location == f"{tmp_path}/elsewhere"
    assert not state.owned
    assert not state.schema.field("id").nullable
    assert isinstance(foreign.append(1), Committed)
    assert foreign.ids() == [1]
    assert [file.path.split("/")[0] for file in table.files(foreign.load())] == ["data"]
    assert foreign.library().schema().find_field("id").doc == "what it is"


def test_documentation_and_identifiers_outlive_a_schema_change(tmp_path: Path) -> None:
    foreign = Foreign(tmp_path)
    state = foreign.load()
    wide = pa.schema([*state.schema, pa.field("more", pa.string(), metadata={"PARQUET:field_id": "4"})])
    assert isinstance(foreign.table().commit(Changeset("L", "append", wide), state), Committed)
    schema = foreign.library().schema()
    assert (schema.find_field("id").doc, schema.identifier_field_ids) == ("what it is", [1])
    assert schema.find_field("more").field_id == 4


def test_a_null_in_a_required_column_is_refused(tmp_path: Path) -> None:
    foreign = Foreign(tmp_path)
    state = foreign.load()
    loose = pa.schema([field.with_nullable(True) for field in state.schema])
    file = data_file(foreign.store, loose, [{"id": None}])
    with pytest.raises(TableError, match="required column holds nulls"):
        foreign.table().commit(Changeset("L", "append", state.schema, (file,)), state)


def test_a_partition_field_of_another_name_keeps_it(tmp_path: Path) -> None:
    foreign = Foreign(tmp_path, partition_spec=PartitionSpec(IcebergField(3, 1000, DayTransform(), "when")))
    assert foreign.load().layout == Layout((PartitionField("day", "day", alias="when"),))
    assert isinstance(foreign.append(1, partition=(DAY,)), Committed)
    assert foreign.table().files(foreign.load())[0].partition == (DAY,)


def test_a_sort_order_lakeload_cannot_make_is_not_claimed(tmp_path: Path) -> None:
    order = SortOrder(SortField(1, IdentityTransform(), SortDirection.ASC, NullOrder.NULLS_LAST))
    foreign = Foreign(tmp_path, sort_order=order)
    assert foreign.load().layout == Layout()
    foreign.append(1)
    (task,) = foreign.library().scan().plan_files()
    assert task.file.sort_order_id is None


@pytest.mark.parametrize(
    ("schema", "options", "feature"),
    [
        (COLUMNS, {"properties": {"format-version": "1"}}, "format version 1"),
        (COLUMNS, {"properties": {"write.wap.enabled": "true"}}, "write.wap.enabled"),
        (Schema(NestedField(1, "key", UUIDType())), {}, "uuid"),
        (COLUMNS, {"partition_spec": PartitionSpec(IcebergField(3, 1000, VoidTransform(), "gone"))}, "void"),
        (
            Schema(NestedField(1, "s", StructType(NestedField(2, "at", TimestamptzType())))),
            {"partition_spec": PartitionSpec(IcebergField(2, 1000, YearTransform(), "year"))},
            "inside a struct",
        ),
    ],
)
def test_a_feature_that_cannot_be_honoured_is_named_before_anything_is_written(
    tmp_path: Path, schema: Schema, options: dict[str, Any], feature: str
) -> None:
    foreign = Foreign(tmp_path, schema, **options)
    with pytest.raises(TableError, match=feature):
        foreign.table().load()


def test_files_of_an_older_partitioning_are_told_apart_and_whole_overwrites_take_them_along(
    tmp_path: Path,
) -> None:
    foreign = Foreign(tmp_path)
    foreign.append(1)
    with foreign.library().update_spec() as update:
        update.add_field("day", DayTransform(), "when")
    assert isinstance(foreign.append(2, partition=(DAY,)), Committed)
    table, state = foreign.table(), foreign.load()
    assert {(file.partition, file.current) for file in table.files(state)} == {((), False), ((DAY,), True)}
    with pytest.raises(TableError, match="older partitioning"):
        table.commit(
            Changeset("L", "overwrite", state.schema, (), RemovePartitions(frozenset({(DAY,)}))), state
        )
    assert isinstance(
        table.commit(Changeset("L", "overwrite", state.schema, (), RemoveAll()), state), Committed
    )
    assert foreign.ids() == []


def test_values_of_a_widened_partition_column_are_still_found(tmp_path: Path) -> None:
    schema = Schema(
        NestedField(1, "id", IntegerType()),
        NestedField(2, "name", StringType()),
        NestedField(3, "day", DateType()),
    )
    foreign = Foreign(
        tmp_path, schema, partition_spec=PartitionSpec(IcebergField(1, 1000, IdentityTransform(), "id"))
    )
    foreign.append(1, partition=(1,))
    state = foreign.load()
    wide = pa.schema([state.schema.field("id").with_type(pa.int64()), *list(state.schema)[1:]])
    file = data_file(foreign.store, wide, [{"id": 2**40}], (2**40,))
    change = Changeset("L", "overwrite", wide, (file,), RemovePartitions(frozenset({(1,)})))
    assert isinstance(foreign.table().commit(change, state), Committed)
    assert foreign.ids() == [2**40]


class _DeleteWriter(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


class _RowDelta(_FastAppendFiles):
    """Commits delete files, which pyiceberg reads but does not write."""

    deletes: tuple[DataFile, ...] = ()

    def _process_manifests(self, manifests: list[Any]) -> list[Any]:
        spec, schema = self._transaction.table_metadata.spec(), self._transaction.table_metadata.schema()
        with _DeleteWriter(
            spec, schema, self.new_manifest_output(), self._snapshot_id, self._compression
        ) as writer:
            for file in self.deletes:
                writer.add_entry(
                    ManifestEntry.from_args(
                        status=ManifestEntryStatus.ADDED,
                        snapshot_id=self._snapshot_id,
                        sequence_number=None,
                        file_sequence_number=None,
                        data_file=file,
                    )
                )
        return [*manifests, writer.to_manifest_file()]


def _mark_deleted(foreign: Foreign, content: DataFileContent, *, bounds: bool) -> str:
    """Delete the row at position 0 of the first file, or (by equality) the row with id 1."""
    import pyarrow.parquet as pq

    library = foreign.library()
    target = next(task.file.file_path for task in library.scan().plan_files() if task.file.record_count == 2)
    path = f"{foreign.root}/elsewhere/deletes-{content.name}.parquet"
    if content == DataFileContent.POSITION_DELETES:
        fields = [("file_path", pa.string(), 2147483546), ("pos", pa.int64(), 2147483545)]
        rows: list[Any] = [[target], [0]]
    else:
        fields, rows = [("id", pa.int64(), 1)], [[1]]
    schema = pa.schema(
        [pa.field(name, kind, False, {"PARQUET:field_id": str(number)}) for name, kind, number in fields]
    )
    pq.write_table(pa.table(rows, schema=schema), path)
    edge = {2147483546: target.encode()} if bounds else None
    file = DataFile.from_args(
        content=content, file_path=path, file_format=FileFormat.PARQUET, partition=Record(), record_count=1,
        file_size_in_bytes=Path(path).stat().st_size, column_sizes=None, value_counts=None, null_value_counts=None,
        nan_value_counts=None, lower_bounds=edge, upper_bounds=edge, key_metadata=None, split_offsets=None,
        equality_ids=[1] if content == DataFileContent.EQUALITY_DELETES else None, sort_order_id=None,
    )  # fmt: skip
    file.spec_id = 0
    with library.transaction() as transaction:
        delta = _RowDelta(operation=Operation.OVERWRITE, transaction=transaction, io=library.io)
        delta.deletes = (file,)
        delta.commit()
    return target


@pytest.mark.parametrize(
    ("content", "bounds", "marked"),
    [
        (DataFileContent.POSITION_DELETES, True, {2}),
        (DataFileContent.POSITION_DELETES, False, {2, 1}),
        (DataFileContent.EQUALITY_DELETES, False, {2, 1}),
    ],
)
def test_files_with_deleted_rows_are_told_apart_kept_and_not_rewritten(
    tmp_path: Path, content: DataFileContent, bounds: bool, marked: set[int]
) -> None:
    foreign = Foreign(tmp_path)
    foreign.append(1, 2)
    foreign.append(3)
    _mark_deleted(foreign, content, bounds=bounds)
    assert isinstance(foreign.append(4, 5, 6), Committed)
    table, state = foreign.table(), foreign.load()
    files = table.files(state)
    assert {file.rows for file in files if file.deletes} == marked
    assert {file.rows for file in files if not file.deletes} == {1, 2, 3} - marked
    target = next(file for file in files if file.rows == 2)
    rewritten = data_file(foreign.store, state.schema, [{"id": 1}, {"id": 2}])
    change = Changeset("fold", "replace", state.schema, (rewritten,), RemoveFiles(frozenset({target.path})))
    assert isinstance(table.commit(change, state), Conflict)
    if content == DataFileContent.POSITION_DELETES:
        assert foreign.ids() == [2, 3, 4, 5, 6]
        assert sorted(table.scan(state, ["id"]).read_all()["id"].to_pylist()) == [2, 3, 4, 5, 6]
    assert isinstance(
        table.commit(Changeset("L", "overwrite", state.schema, (), RemoveAll()), state), Committed
    )
    assert table.files(foreign.load()) == []
