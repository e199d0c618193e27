"""Partition values of every type, written by us and read back by engines that never saw our code."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
import readers
from delta_files import append, created, open_table, write_file

from lakeload.errors import SchemaError, TableError
from lakeload.formats.delta_partition import PartitionColumn, partition_columns
from lakeload.model.changes import Changeset, Committed, Creation
from lakeload.model.layout import Layout, PartitionField
from lakeload.model.partition_text import NULL_FOLDER
from lakeload.model.schema import assign_ids
from lakeload.write.location import folder

UTC = dt.UTC
VALUES = [
    (pa.string(), ["plain", "a/b=c&d%20e f+g", "é漢😀", "null", "__HIVE_DEFAULT_PARTITION__", '"', "\\", " ", "'", "2024-01-01"]),
    (pa.int8(), [-128, 0, 127]),
    (pa.int16(), [-32768, 5]),
    (pa.int32(), [-(2**31), 2**31 - 1]),
    (pa.int64(), [-(2**63), 2**63 - 1]),
    (pa.float32(), [0.5, -3.0, 2.0**100]),
    (pa.float64(), [0.1, -1e300, 5e-324]),
    (pa.bool_(), [True, False]),
    (pa.date32(), [dt.date(1969, 12, 31), dt.date(2024, 2, 29), dt.date(9999, 12, 31), dt.date(1, 1, 1)]),
    (pa.decimal128(20, 3), [Decimal("-1.500"), Decimal("0.001"), Decimal("99999999999999999.999")]),
    (pa.timestamp("us", "UTC"), [dt.datetime(2024, 3, 1, 13, 5, 6, 123456, UTC), dt.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), dt.datetime(2024, 1, 1, tzinfo=UTC)]),
    (pa.timestamp("us"), [dt.datetime(2024, 3, 1, 13, 5, 6, 123456), dt.datetime(1900, 1, 1)]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "values"), VALUES, ids=[str(kind) for kind, _ in VALUES])
def test_partition_values_are_read_back_by_every_engine_and_by_us(tmp_path, kind, values):
    wanted = [*values, None]
    rows = [pa.table({"n": [i], "p": pa.array([value], kind)}) for i, value in enumerate(wanted)]
    table = created(
        tmp_path,
        rows[0],
        layout=Layout.parse("p"),
        partition=(wanted[0],),
        properties={"lakeload.created": "true"},
    )
    for line, value in zip(rows[1:], wanted[1:], strict=True):
        append(table, line, partition=(value,))
    assert {file.partition for file in table.files(table.load())} == {(value,) for value in wanted}
    cold = open_table(tmp_path)
    assert {file.partition for file in cold.files(cold.load())} == {(value,) for value in wanted}
    whole = pa.concat_tables(rows)
    assert cold.scan(cold.load(), None).read_all().sort_by("n").equals(whole.combine_chunks())
    assert cold.lazy(cold.load()).sort("n").collect()["p"].to_list() == whole["p"].to_pylist()
    for engine in readers.delta_readers:
        readers.assert_same_rows(readers.read_delta(str(tmp_path), engine=engine), whole)


@pytest.mark.parametrize(("kind", "values"), VALUES, ids=[str(kind) for kind, _ in VALUES])
def test_partition_values_in_folders_are_read_back_by_every_engine(tmp_path, kind, values):
    wanted = [value for value in [*values, None] if value != NULL_FOLDER]
    rows = [pa.table({"n": [i], "p": pa.array([value], kind)}) for i, value in enumerate(wanted)]
    schema, _ = assign_ids(rows[0].schema)
    files = []
    for i, value in enumerate(wanted):
        path = f"{folder([PartitionField('p')], [value])}{i}.parquet"
        files.append(write_file(tmp_path, rows[i], schema, (value,), path))
    creation = Creation(Layout.parse("p"))
    open_table(tmp_path).commit(Changeset("l", "append", schema, tuple(files), create=creation), None)
    for engine in readers.delta_readers:
        readers.assert_same_rows(readers.read_delta(str(tmp_path), engine=engine), pa.concat_tables(rows))


@pytest.mark.parametrize(
    ("kind", "value"), [(pa.string(), ""), (pa.float64(), float("nan")), (pa.float64(), float("-inf"))]
)
def test_value_delta_has_no_text_for_is_refused_with_its_column(tmp_path, kind, value):
    with pytest.raises(TableError, match=r"no text for the partition value.*column p"):
        created(
            tmp_path, pa.table({"p": pa.array([value], kind)}), layout=Layout.parse("p"), partition=(value,)
        )
    assert open_table(tmp_path).load() is None


@pytest.mark.parametrize("kind", [pa.binary(), pa.list_(pa.int64()), pa.struct([("x", pa.int64())])])
def test_column_delta_cannot_partition_by_is_refused(tmp_path, kind):
    schema, _ = assign_ids(pa.schema([("p", kind)]))
    with pytest.raises(TableError, match="cannot partition"):
        open_table(tmp_path).commit(
            Changeset("l", "append", schema, create=Creation(Layout.parse("p"))), None
        )


def test_partition_column_that_is_not_there_is_refused(tmp_path):
    schema, _ = assign_ids(pa.schema([("a", pa.int64())]))
    with pytest.raises(TableError, match="not a column"):
        open_table(tmp_path).commit(
            Changeset("l", "append", schema, create=Creation(Layout.parse("day(at)"))), None
        )


AT = dt.datetime(2024, 3, 1, 13, 30, tzinfo=UTC)
GENERATED = [
    ("year(at)", 54, "2024"),
    ("year(at)", -1, "1969"),
    ("month(at)", 650, "2024-03"),
    ("month(at)", -1, "1969-12"),
    ("day(at)", dt.date(2024, 3, 1), "2024-03-01"),
    ("hour(at)", 474853, "2024-03-03-13"),
    ("hour(at)", -1, "1969-12-31-23"),
    ("bucket(16, id)", 7, "7"),
    ("truncate(2, name)", "ab", "ab"),
    ("truncate(10, id)", -10, "-10"),
]


@pytest.mark.parametrize(("text", "value", "human"), GENERATED)
def test_transformed_value_is_written_for_people_and_read_back_exactly(text, value, human):
    schema = pa.schema([("at", pa.timestamp("us", "UTC")), ("id", pa.int64()), ("name", pa.string())])
    (column,) = partition_columns([PartitionField.parse(text)], schema, table="t")
    assert column.encode(value) == human
    assert column.decode(human) == value
    assert (column.encode(None), column.decode(None), column.decode("")) == (None, None, None)


@pytest.mark.parametrize("engine", readers.delta_readers)
def test_transforms_become_plain_columns_only_other_engines_see(tmp_path, engine):
    layout = Layout.parse(["day(at)", "month(at)", "bucket(16, id)", "truncate(2, name)", "id"], "at desc")
    rows = pa.table({"id": [1], "at": pa.array([AT], pa.timestamp("us", "UTC")), "name": ["abc"]})
    values = (dt.date(2024, 3, 1), 650, 7, "ab", 1)
    where = "data/at_day=2024-03-01/at_month=2024-03/id_bucket=7/name_trunc=ab"
    schema, _ = assign_ids(rows.schema)
    file = write_file(tmp_path, rows, schema, values, path=f"{where}/1.parquet")
    table = open_table(tmp_path)
    table.commit(Changeset("l", "append", schema, (file,), create=Creation(layout)), None)
    found = readers.read_delta(str(tmp_path), engine=engine).to_pylist()[0]
    assert {key: found[key] for key in ("at_day", "at_month", "id_bucket", "name_trunc", "id")} == {
        "at_day": dt.date(2024, 3, 1), "at_month": "2024-03", "id_bucket": 7, "name_trunc": "ab", "id": 1,
    }  # fmt: skip
    state = open_table(tmp_path).load()
    assert state.schema.names == ["id", "at", "name"]
    assert state.layout == layout
    assert table.scan(state, None).read_all().to_pylist() == rows.to_pylist()
    assert table.lazy(state).collect().columns == ["id", "at", "name"]


def test_transform_column_that_hides_a_real_one_is_refused(tmp_path):
    schema, _ = assign_ids(pa.schema([("at", pa.date32()), ("AT_day", pa.int64())]))
    with pytest.raises(SchemaError, match=r"upper and lower case.*at_day"):
        open_table(tmp_path).commit(
            Changeset("l", "append", schema, create=Creation(Layout.parse("day(at)"))), None
        )


def test_partition_text_that_does_not_fit_its_type_is_refused():
    column = PartitionColumn("p", PartitionField("p"), pa.int64(), "t")
    with pytest.raises(TableError, match=r"cannot read the partition value 'x' as int64.*column p"):
        column.decode("x")


def test_timestamps_in_the_older_spelling_of_other_engines_are_read():
    column = PartitionColumn("p", PartitionField("p"), pa.timestamp("us", "UTC"), "t")
    assert column.decode("2024-03-01 13:30:00") == column.decode("2024-03-01T13:30:00.000000Z") == AT


def test_the_shortest_text_of_a_float_is_the_float_itself():
    column = PartitionColumn("p", PartitionField("p"), pa.float32(), "t")
    assert column.decode("0.1") == pa.scalar(0.1, pa.float32()).as_py()


def test_wrong_number_of_partition_values_is_refused(tmp_path):
    table = created(tmp_path, pa.table({"p": ["a"]}), layout=Layout.parse("p"), partition=("a",))
    with pytest.raises(TableError, match="0 partition values, the table has 1"):
        append(table, pa.table({"p": ["a"]}))


def test_files_of_another_partitioning_are_refused(tmp_path):
    table = created(tmp_path, pa.table({"p": ["a"], "q": ["b"]}), layout=Layout.parse("p"), partition=("a",))
    with pytest.raises(TableError, match="partitioned in another way"):
        append(
            table, pa.table({"p": ["a"], "q": ["b"]}), partition=("b",), partition_by=(PartitionField("q"),)
        )


def test_table_repartitioned_by_others_is_partitioned_by_what_its_log_says(tmp_path):
    from deltalake import write_deltalake

    created(
        tmp_path, pa.table({"p": ["a"], "q": ["b"]}), layout=Layout.parse("truncate(1, p)"), partition=("a",)
    )
    write_deltalake(
        tmp_path,
        pa.table({"p": ["a"], "q": ["b"]}),
        mode="overwrite",
        schema_mode="overwrite",
        partition_by=["q"],
    )
    table = open_table(tmp_path)
    assert table.load().layout.partition_by == (PartitionField("q"),)
    assert [file.partition for file in table.files(table.load())] == [("b",)]


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("a/b", "p=a-2Fb"),
        (None, "p=__null__"),
        ("__HIVE_DEFAULT_PARTITION__", "p=__HIVE_DEFAULT_PARTITION__"),
        ("x" * 70, f"p={'x' * 64}"),
    ],
)
def test_path_that_tells_another_partition_value_is_refused(tmp_path, value, part):
    rows = pa.table({"p": pa.array([value], pa.string())})
    schema, _ = assign_ids(rows.schema)
    file = write_file(tmp_path, rows, schema, (value,), path=f"data/{part}/1.parquet")
    change = Changeset("l", "append", schema, (file,), create=Creation(Layout.parse("p")))
    with pytest.raises(TableError, match="tells another partition value"):
        open_table(tmp_path).commit(change, None)


def test_partition_values_others_keep_only_in_the_log_reach_polars(tmp_path):
    from deltalake import DeltaTable, write_deltalake
    from deltalake.transaction import AddAction

    write_deltalake(tmp_path, pa.table({"n": [1], "p": ["x"]}), partition_by=["p"])
    file = write_file(tmp_path, pa.table({"n": [2]}), path="loose.parquet")
    library = DeltaTable(tmp_path)
    add = AddAction(file.path, file.size, {"p": "y"}, 0, True, '{"numRecords":1}')
    library.create_write_transaction([add], "append", library.schema(), partition_by=["p"])
    table = open_table(tmp_path)
    state = table.load()
    assert sorted(table.lazy(state).collect().rows()) == [(1, "x"), (2, "y")]
    assert append(table, pa.table({"n": [3], "p": ["z"]}), partition=("z",)) == Committed(2)
    assert sorted(table.lazy(table.load()).collect().rows()) == [(1, "x"), (2, "y"), (3, "z")]
    assert sorted(table.scan(state, ["p"]).read_all()["p"].to_pylist()) == ["x", "y"]
