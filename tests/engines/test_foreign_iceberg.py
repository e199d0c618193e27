"""Iceberg tables Spark made: loaded into on their terms, or refused before one byte is written."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from engines.enginelake import EngineLake
from engines.foreign import COLUMNS, GROUP, Foreign, rows
from engines.matrix import Matrix
from readers import assert_same_rows

import lakeload as ll

FIRST = "INSERT INTO {t} VALUES (1, 'a'), (2, 'a'), (3, 'b'), (4, NULL)"
FOUR = rows((1, "a"), (2, "a"), (3, "b"), (4, None))
MERGE_ON_READ = "'write.delete.mode'='merge-on-read','write.update.mode'='merge-on-read','write.merge.mode'='merge-on-read'"
DROP_FIELD = "ALTER TABLE {t} DROP PARTITION FIELD part"


def created(properties: str = "", version: int = 2, more: str = "", place: str = "LOCATION '{at}'") -> str:
    given = ", ".join(filter(None, [f"'format-version'='{version}'", properties]))
    return (
        f"CREATE TABLE {{t}} (id BIGINT, part STRING{more}) USING iceberg PARTITIONED BY (part) {place} "
        f"TBLPROPERTIES ({given})"
    )


@pytest.fixture
def table(iceberg_lake: EngineLake) -> Foreign:
    iceberg_lake.engines.spark.query(f"CREATE NAMESPACE IF NOT EXISTS ice.{iceberg_lake.namespace}")
    return Foreign(iceberg_lake, "iceberg")


@pytest.mark.parametrize(
    ("feature", "statements", "gone"),
    [
        ("partitioned table of Spark, at a place of its own", [created(place=""), FIRST], ()),
        ("object-store layout", [created("'write.object-storage.enabled'='true'"), FIRST], ()),
        ("data path elsewhere", [created("'write.data.path'='{at}-elsewhere/data'"), FIRST], ()),
        ("compressed metadata", [created("'write.metadata.compression-codec'='gzip'"), FIRST], ()),
        ("old metadata deleted", [created("'write.metadata.delete-after-commit.enabled'='true','write.metadata.previous-versions-max'='1'"), FIRST], ()),
        ("position deletes", [created(MERGE_ON_READ), FIRST, "DELETE FROM {t} WHERE id = 1"], (1,)),
        ("version 1 upgraded to 2", [created(version=1), FIRST, "ALTER TABLE {t} SET TBLPROPERTIES ('format-version'='2')"], ()),
        ("branches and tags", [created(), FIRST, "ALTER TABLE {t} CREATE TAG first", "ALTER TABLE {t} CREATE BRANCH dev", "INSERT INTO {t}.branch_dev VALUES (99, 'a')"], ()),
    ],
)  # fmt: skip
def test_a_table_of_spark_takes_every_kind_of_load(
    table: Foreign, matrix: Matrix, feature: str, statements: list[str], gone: tuple[int, ...]
):
    table.spark(*statements)
    table.rows = [row for row in FOUR if row["id"] not in gone]
    table.append(*rows((10, "a"), (11, "c")))
    table.check()
    table.overwrite_partitions(*rows((12, "a"), (13, None)))
    table.check()
    table.spark("INSERT INTO {t} VALUES (20, 'c')", "DELETE FROM {t} WHERE id = 3")
    table.rows = [row for row in [*table.rows, *rows((20, "c"))] if row["id"] != 3]
    table.check()
    table.overwrite(*rows((30, "z")))
    table.check()
    if feature == "branches and tags":
        seen = table.ask_spark("SELECT id FROM {t} VERSION AS OF 'dev'").to_pydict()["id"]
        assert sorted(seen) == [1, 2, 3, 4, 99]
        assert table.ask_spark("SELECT id FROM {t} VERSION AS OF 'first'").num_rows == 4
    table.loads(matrix, feature)


@pytest.mark.parametrize(
    ("feature", "statements", "names"),
    [
        ("format version 1", [created(version=1), FIRST], "version 1"),
        ("format version 3", [created(version=3), FIRST], "version 3"),
        ("deletion vectors (version 3)", [created(MERGE_ON_READ, version=3), FIRST, "DELETE FROM {t} WHERE id = 1"], "version 3"),
        ("write-audit-publish", [created("'write.wap.enabled'='true'"), FIRST], r"write\.wap\.enabled"),
        ("void partition fields", [created(version=1), DROP_FIELD, "ALTER TABLE {t} SET TBLPROPERTIES ('format-version'='2')"], "void"),
        ("partitions inside structs", [created(more=", s STRUCT<a: INT>"), "ALTER TABLE {t} ADD PARTITION FIELD s.a"], "struct"),
    ],
)  # fmt: skip
def test_what_lakeload_cannot_honour_is_refused_before_anything_is_written(
    table: Foreign, matrix: Matrix, feature: str, statements: list[str], names: str
):
    table.spark(*statements)
    table.refuses(names)
    table.refuses(names, mode=ll.Overwrite())
    table.refused(matrix, feature)


@pytest.mark.parametrize(
    ("feature", "change"),
    [
        ("partition field added", "ALTER TABLE {t} ADD PARTITION FIELD bucket(4, id)"),
        ("partition field replaced", "ALTER TABLE {t} REPLACE PARTITION FIELD part WITH truncate(1, part)"),
        ("partition field dropped", DROP_FIELD),
    ],
)
def test_a_load_follows_the_newest_partitioning(table: Foreign, matrix: Matrix, feature: str, change: str):
    table.spark(created(), FIRST, change)
    table.rows = FOUR
    table.refuses("partition", mode=ll.Overwrite(partitions="dynamic"))  # old files follow the old one
    table.append(*rows((10, "abc"), (11, "c")))
    table.check()
    newest = table.ask_spark(
        "SELECT DISTINCT spec_id FROM {t}.files WHERE file_path LIKE '%/data/%-0001.parquet'"
    )
    assert newest.to_pydict()["spec_id"] == [1]
    table.spark("INSERT INTO {t} VALUES (12, 'c')", "DELETE FROM {t} WHERE id = 3")
    table.rows = [row for row in [*table.rows, *rows((12, "c"))] if row["id"] != 3]
    table.overwrite(*rows((20, "abc"), (21, "b")))
    table.check()
    if change != DROP_FIELD:
        table.append(*rows((22, "b")))
        table.lake.load(table.table(rows((20, "abc"))), mode=ll.Overwrite(partitions="dynamic"))
        table.check()
    table.loads(matrix, feature)


def test_columns_renamed_dropped_moved_and_widened_keep_their_values(table: Foreign, matrix: Matrix):
    table.spark(
        created(more=", x INT, gone INT, f FLOAT, d DECIMAL(5, 2), s STRUCT<a: INT, b: STRING>"),
        *[f"INSERT INTO {{t}} VALUES ({n}, 'a', {n}, {n}, 1.5, 2.25, named_struct('a', {n}, 'b', 'x'))" for n in range(8)],
        "ALTER TABLE {t} RENAME COLUMN x TO y",
        "ALTER TABLE {t} ADD COLUMN x INT",  # another column of the old name
        "ALTER TABLE {t} DROP COLUMN gone",
        "ALTER TABLE {t} ADD COLUMN gone INT",
        "ALTER TABLE {t} ALTER COLUMN y TYPE BIGINT",
        "ALTER TABLE {t} ALTER COLUMN f TYPE DOUBLE",
        "ALTER TABLE {t} ALTER COLUMN d TYPE DECIMAL(9, 2)",
        "ALTER TABLE {t} RENAME COLUMN s.a TO c",
        "ALTER TABLE {t} ADD COLUMN s.a INT",
        "ALTER TABLE {t} ALTER COLUMN f FIRST",
    )  # fmt: skip
    inside = pa.struct([("c", pa.int32()), ("b", pa.string()), ("a", pa.int32())])
    table.columns = pa.schema(
        [
            ("f", pa.float64()), *COLUMNS, ("y", pa.int64()), ("d", pa.decimal128(9, 2)), ("s", inside),
            ("x", pa.int32()), ("gone", pa.int32()),
        ]
    )  # fmt: skip
    known = {"f": 1.5, "d": Decimal("2.25"), "x": None, "gone": None}
    table.rows = [
        {"id": n, "part": "a", "y": n, "s": {"c": n, "b": "x", "a": None}, **known} for n in range(8)
    ]
    table.check()
    new = {
        "f": 0.1,
        "d": Decimal("9999999.99"),
        "x": 5,
        "gone": 6,
        "y": 2**40,
        "s": {"c": 1, "b": "y", "a": 2},
    }
    report = table.append({"id": 100, "part": "a", **new})
    assert report.tables["t"].folded == 9
    table.check()
    table.overwrite_partitions({"id": 101, "part": "a", **new})
    table.check()
    table.loads(matrix, "columns renamed, dropped, moved and widened, also in structs")


def test_upper_case_required_and_identifier_columns_and_comments_stay(table: Foreign, matrix: Matrix):
    table.spark(
        "CREATE TABLE {t} (Id BIGINT NOT NULL COMMENT 'the key', Part STRING) USING iceberg LOCATION '{at}'",
        "ALTER TABLE {t} SET IDENTIFIER FIELDS Id",
    )
    table.columns = pa.schema([("Id", pa.int64()), ("Part", pa.string())])
    table.refuses("Id", {"Id": None, "Part": "a"})
    table.append({"Id": 1, "Part": "a"})
    table.columns = table.columns.append(pa.field("new", pa.int64()))
    table.rows = [{"Id": 1, "Part": "a", "new": None}]
    table.append({"Id": 2, "Part": "b", "new": 5})
    table.check()
    schema = table.lake.iceberg().schema()
    assert schema.identifier_field_ids == [1]
    assert schema.find_field("Id").required
    assert schema.find_field("Id").doc == "the key"
    table.loads(matrix, "upper-case, required and identifier columns")


def test_files_follow_the_sort_order_the_owner_gave(table: Foreign, matrix: Matrix):
    table.spark(
        created(), "ALTER TABLE {t} WRITE ORDERED BY id DESC NULLS LAST", "INSERT INTO {t} VALUES (5, 'a')"
    )
    table.rows = rows((5, "a"))
    table.append(*rows((1, "a"), (3, "a"), (2, "a")))
    table.check()
    files = table.ask_spark("SELECT file_path, sort_order_id FROM {t}.files").to_pylist()
    (ours,) = [file for file in files if file["file_path"].endswith("-0001.parquet")]
    assert ours["sort_order_id"] == table.lake.iceberg().metadata.default_sort_order_id
    found = table.ask_spark(f"SELECT id FROM parquet.`{ours['file_path']}`").to_pydict()["id"]
    assert found == [3, 2, 1]
    table.loads(matrix, "sort orders")


def test_files_of_other_formats_stay_live_and_are_never_folded(table: Foreign, matrix: Matrix):
    table.spark(created("'write.format.default'='orc'"))
    for number in range(8):
        table.spark(f"INSERT INTO {{t}} VALUES ({number}, 'a')")
    table.rows = rows(*((number, "a") for number in range(8)))
    report = table.append(*rows((10, "a")))
    assert report.tables["t"].folded == 0
    expected = table.table(table.rows)
    for engine in ("spark", "trino", "pyiceberg"):
        table.lake.assert_read_by(engine, "iceberg", expected)
    assert_same_rows(table.lake.table().to_arrow(), expected)
    table.spark(
        "ALTER TABLE {t} SET TBLPROPERTIES ('write.format.default'='avro')",
        "INSERT INTO {t} VALUES (11, 'a')",
    )
    with pytest.raises(ll.LakeloadError, match=r"(?i)avro"):
        table.lake.table().to_arrow()
    table.overwrite_partitions(*rows((12, "a")))
    table.check()
    table.loads(
        matrix, "ORC and Avro files in the table", "Reading Avro files back through lakeload is refused."
    )


def test_migrated_files_without_field_ids_are_read_by_their_old_names_and_not_folded(
    table: Foreign, matrix: Matrix
):
    table.spark("CREATE TABLE {t} (id BIGINT, name STRING) USING iceberg LOCATION '{at}'")
    source, name = f"{table.lake.root}/hive", f"{table.lake.namespace}.t"
    for number in range(8):
        table.spark(
            f"INSERT OVERWRITE DIRECTORY '{source}{number}' USING parquet SELECT {number}L AS id, 'x' AS name",
            f"CALL ice.system.add_files(table => '{name}', source_table => 'parquet.`{source}{number}`')",
        )
    table.spark("ALTER TABLE {t} RENAME COLUMN name TO part")
    table.rows = rows(*((number, "x") for number in range(8)))
    table.check()
    report = table.append(*rows((10, "y")))
    assert report.tables["t"].folded == 0
    table.check()
    table.overwrite(*rows((11, "z")))
    table.check()
    table.loads(matrix, "migrated files without field ids")


def test_rollback_takes_the_position_back_with_the_rows(table: Foreign, matrix: Matrix):
    def load(*numbers: int) -> None:
        source = table.table(rows(*((number, "a") for number in numbers)))
        table.lake.load(source, cursor="id", load_columns=False)

    name = f"{table.lake.namespace}.t"
    load(1, 2)
    load(1, 2, 3)
    before = table.lake.iceberg().current_snapshot().snapshot_id
    load(1, 2, 3, 4)
    table.spark("INSERT INTO {t} VALUES (100, 'b')")
    assert table.lake.table().positions() == {"load_t": 3}
    table.spark(f"CALL ice.system.rollback_to_snapshot('{name}', {before})")
    assert table.lake.table().positions() == {"load_t": 2}
    load(1, 2, 3, 4, 5)  # what the rollback took comes again, and nothing twice
    table.rows = rows(*((number, "a") for number in (1, 2, 3, 4, 5)))
    table.check()
    load(1, 2, 3, 4, 5)
    table.check()
    table.loads(matrix, "rollback to a snapshot: rows and position go back together")


def test_maintenance_by_spark_keeps_position_and_live_files(table: Foreign, matrix: Matrix):
    name, system = f"{table.lake.namespace}.t", "CALL ice.system"
    for number in range(1, 6):
        source = table.table(rows(*((n, "a") for n in range(number))))
        table.lake.load(source, cursor="id", load_columns=False, fold=False)
    table.rows = rows(*((n, "a") for n in range(5)))
    table.spark(
        f"{system}.rewrite_data_files(table => '{name}', options => map('rewrite-all', 'true'))",
        f"{system}.rewrite_manifests('{name}')",
        "INSERT INTO {t} VALUES (100, 'b')",
        f"{system}.expire_snapshots(table => '{name}', older_than => TIMESTAMP'2999-01-01', retain_last => 1)",
        # Spark insists on a day's distance, so that files of running writers stay; here nothing runs.
        f"{system}.remove_orphan_files(table => '{name}', older_than => TIMESTAMP'{_day_ago()}')",
    )
    table.rows += rows((100, "b"))
    assert len(table.lake.iceberg().metadata.snapshots) == 1
    assert table.lake.table().positions() == {"load_t": 5}
    table.check()
    source = table.table(rows(*((n, "a") for n in range(6))))
    table.lake.load(source, cursor="id", load_columns=False)
    table.rows += rows((5, "a"))
    table.check()
    assert table.lake.table().positions() == {"load_t": 6}
    table.loads(matrix, "rewrite, expire and orphan removal by Spark between loads")


def test_orphan_removal_finds_nothing_of_ours_to_delete(table: Foreign):
    table.append(*rows((1, "a")), load_columns=False, partition_by=["part"])
    table.append(*rows((2, "a")))
    found = table.ask_spark(
        f"CALL ice.system.remove_orphan_files(table => '{table.lake.namespace}.t', dry_run => true,"
        f" older_than => TIMESTAMP'{_day_ago()}')"
    )
    assert found.num_rows == 0


def test_statistics_of_trino_stay_with_the_table(table: Foreign, matrix: Matrix):
    table.spark(created(), FIRST)
    table.rows = FOUR
    table.trino("ANALYZE {t}")
    before = [found.statistics_path for found in table.lake.iceberg().metadata.statistics]
    assert before
    table.append(*rows((10, "a")))
    assert [found.statistics_path for found in table.lake.iceberg().metadata.statistics] == before
    table.check()
    table.loads(matrix, "Puffin statistics")


def test_rows_changed_by_spark_between_loads_agree_everywhere(table: Foreign, matrix: Matrix):
    table.append(*rows((1, "a"), (2, "a"), (3, "b")), partition_by=["part"], load_columns=False)
    for mode in ("copy-on-write", "merge-on-read"):
        settings = MERGE_ON_READ.replace("merge-on-read", mode)
        table.spark(
            f"ALTER TABLE {{t}} SET TBLPROPERTIES ({settings})",
            "UPDATE {t} SET part = 'c' WHERE id = 1",
            "DELETE FROM {t} WHERE id = 2",
            "MERGE INTO {t} AS t USING (SELECT 3L AS id, 'z' AS part UNION ALL SELECT 4L, 'a') AS s"
            " ON t.id = s.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
        )
        table.rows = rows((1, "c"), (3, "z"), (4, "a"))
        table.check()
        table.append(*rows((5, "c")))
        table.check()
        table.overwrite_partitions(*rows((6, "z")))
        table.check()
        table.overwrite(*rows((1, "a"), (2, "a"), (3, "b")))
    table.loads(matrix, "UPDATE, DELETE and MERGE by Spark between loads")


_UTC = dt.UTC
VALUES: dict[str, tuple[str, pa.DataType, list[Any]]] = {
    "i": ("INT", pa.int32(), [-5, 0, 7, 2**31 - 1, None]),
    "l": ("BIGINT", pa.int64(), [-5, 0, 7, 2**60, None]),
    "s": ("STRING", pa.string(), ["", "é😀abc", "abc", "a/b %=", None]),
    "d": ("DATE", pa.date32(), [dt.date(1969, 12, 31), dt.date(1970, 1, 1), dt.date(2024, 2, 29), dt.date(1, 1, 1), None]),
    "at": ("TIMESTAMP", pa.timestamp("us", "UTC"), [dt.datetime(1969, 12, 31, 23, 59, 59, 999999, _UTC), dt.datetime(1970, 1, 1, tzinfo=_UTC), dt.datetime(2024, 2, 29, 5, tzinfo=_UTC), dt.datetime(1601, 1, 1, tzinfo=_UTC), None]),
    "n": ("DECIMAL(12, 3)", pa.decimal128(12, 3), [Decimal("-1.500"), Decimal(0), Decimal("12.345"), Decimal("999999999.999"), None]),
    "b": ("BINARY", pa.binary(), [b"", b"\x00\xff", b"abc", b"abcdef", None]),
    "o": ("BOOLEAN", pa.bool_(), [True, False, True, False, None]),
}  # fmt: skip
SPECS = (
    ["i", "l", "s", "d", "o", "n"],
    ["bucket(7, i)", "bucket(7, l)", "bucket(7, s)", "bucket(7, d)", "bucket(7, at)", "bucket(7, n)", "bucket(7, b)"],
    ["truncate(10, i)", "truncate(10, l)", "truncate(2, s)", "truncate(10, n)", "days(d)", "hours(at)"],
    ["months(d)", "years(at)"],
    ["years(d)", "months(at)"],
    ["days(at)"],
)  # fmt: skip


def test_partitions_spark_computed_are_found_again_whatever_the_transform(table: Foreign, matrix: Matrix):
    """A value computed otherwise would leave the old rows beside the new ones."""
    lake, spark = table.lake, table.lake.engines.spark
    kinds = {name: kind for name, (_, kind, _) in VALUES.items()}
    new = pa.table(
        {"id": pa.array(range(5), pa.int64())}
        | {name: pa.array(values, kinds[name]) for name, (_, _, values) in VALUES.items()}
    )
    lake.load(new, table="source", load_columns=False)
    names = ", ".join(f"{name} {kind}" for name, (kind, _, _) in VALUES.items())
    for number, spec in enumerate(SPECS):
        name = f"ice.{lake.namespace}.t{number}"
        spark.query(
            f"CREATE TABLE {name} (id BIGINT, {names}) USING iceberg PARTITIONED BY ({', '.join(spec)})"
        )
        spark.query(f"INSERT INTO {name} SELECT * FROM ice.{lake.namespace}.source")
        places = f"SELECT DISTINCT CAST(partition AS STRING) AS p FROM {name}.files ORDER BY p"
        before = spark.query(places).to_pydict()
        lake.load(new, table=f"t{number}", mode=ll.Overwrite(partitions="dynamic"))
        assert spark.query(places).to_pydict() == before, spec
        assert_same_rows(spark.query(f"SELECT * FROM {name}"), new, types=False)
    matrix.loads(GROUP, "every partition transform, computed as Spark does", "iceberg")


def test_a_view_of_the_name_is_refused(table: Foreign, matrix: Matrix):
    table.spark(created(), FIRST)
    table.lake.engines.spark.query(
        f"CREATE VIEW ice.{table.lake.namespace}.v AS SELECT * FROM ice.{table.lake.namespace}.t"
    )
    before = table.objects()
    with pytest.raises(ll.TableError, match="view"):
        table.lake.load(table.table(FOUR), table="v")
    assert table.objects() == before
    table.refused(matrix, "a view of the table's name")


def _day_ago() -> str:
    return f"{dt.datetime.now(_UTC) - dt.timedelta(hours=25):%Y-%m-%d %H:%M:%S}"
