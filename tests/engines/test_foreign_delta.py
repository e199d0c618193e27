"""Delta tables Spark made: loaded into on their terms, or refused before one byte is written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from engines.enginelake import EngineLake
from engines.foreign import COLUMNS, GROUP, Foreign, rows
from engines.matrix import Matrix
from readers import assert_same_rows

import lakeload as ll

PLAIN = "CREATE TABLE {t} (id BIGINT, part STRING) USING delta PARTITIONED BY (part)"
FIRST = "INSERT INTO {t} VALUES (1, 'a'), (2, 'a'), (3, 'b'), (4, NULL)"
ODD = "INSERT INTO {t} SELECT /*+ COALESCE(1) */ * FROM VALUES (5, 'x y/%'), (6, 'x y/%')"
FOUR = rows((1, "a"), (2, "a"), (3, "b"), (4, None))


def with_properties(text: str) -> str:
    return f"{PLAIN} TBLPROPERTIES ({text})"


@pytest.fixture
def table(delta_lake: EngineLake) -> Foreign:
    return Foreign(delta_lake, "delta")


@pytest.fixture
def setting(engines: Any) -> Iterator[Callable[[str, str], None]]:
    """Set a property of the Spark session for one test."""
    changed = []

    def change(key: str, value: str) -> None:
        engines.spark.query(f"SET {key}={value}")
        changed.append(key)

    yield change
    for key in changed:
        engines.spark.query(f"RESET {key}")


@pytest.mark.parametrize(
    ("feature", "create", "more"),
    [
        ("partitioned table of Spark", PLAIN, ()),
        ("deletion vectors", with_properties("'delta.enableDeletionVectors'='true'"), (ODD, "DELETE FROM {t} WHERE id IN (1, 5)")),
        ("NOT NULL columns", PLAIN.replace("BIGINT", "BIGINT NOT NULL"), ()),
        (
            "v2 checkpoints",
            with_properties("'delta.checkpointPolicy'='v2', 'delta.checkpointInterval'='2'"),
            ("DELETE FROM {t} WHERE id = 1", "INSERT INTO {t} VALUES (1, 'a')"),
        ),
    ],
)  # fmt: skip
def test_a_table_of_spark_takes_every_kind_of_load(
    table: Foreign, matrix: Matrix, feature: str, create: str, more: tuple[str, ...]
):
    table.spark(create, FIRST, *more)
    table.rows = FOUR if feature != "deletion vectors" else [*FOUR[1:], *rows((6, "x y/%"))]
    table.append(*rows((10, "a"), (11, "c")))
    table.check()
    table.overwrite_partitions(*rows((12, "a"), (13, None)))
    table.check()
    table.spark("INSERT INTO {t} VALUES (20, 'c')")
    table.rows = [*table.rows, *rows((20, "c"))]
    table.check()
    table.overwrite(*rows((30, "z")))
    table.check()
    table.loads(matrix, feature)


@pytest.mark.parametrize(
    ("feature", "create", "names"),
    [
        ("column mapping", with_properties("'delta.columnMapping.mode'='name'"), "columnMapping"),
        ("column mapping by id", with_properties("'delta.columnMapping.mode'='id'"), "columnMapping"),
        ("generated columns", PLAIN.replace("id BIGINT", "id BIGINT, twice BIGINT GENERATED ALWAYS AS (id * 2)"), "generatedColumns"),
        ("identity columns", PLAIN.replace("id BIGINT", "id BIGINT, k BIGINT GENERATED ALWAYS AS IDENTITY"), "identityColumns"),
        ("default values", PLAIN.replace("part STRING", "part STRING DEFAULT 'z'") + " TBLPROPERTIES ('delta.feature.allowColumnDefaults'='supported')", "allowColumnDefaults"),
        ("row tracking", with_properties("'delta.enableRowTracking'='true'"), "domainMetadata|rowTracking"),
        ("in-commit timestamps", with_properties("'delta.enableInCommitTimestamps'='true'"), "inCommitTimestamp"),
        ("type widening", with_properties("'delta.enableTypeWidening'='true'"), "typeWidening"),
        ("liquid clustering", "CREATE TABLE {t} (id BIGINT, part STRING) USING delta CLUSTER BY (id)", "clustering"),
        ("variant columns", PLAIN.replace("id BIGINT", "id BIGINT, v VARIANT"), "variant"),
        ("UniForm", with_properties("'delta.columnMapping.mode'='name', 'delta.enableIcebergCompatV2'='true'"), "icebergCompatV2|columnMapping"),
    ],
)  # fmt: skip
def test_a_feature_lakeload_cannot_honour_is_refused_before_anything_is_written(
    table: Foreign, matrix: Matrix, feature: str, create: str, names: str
):
    table.spark(create)
    table.refuses(names)
    table.refuses(names, mode=ll.Overwrite())
    table.refused(matrix, feature)


def test_a_check_constraint_is_refused_until_its_owner_drops_it(table: Foreign, matrix: Matrix):
    table.spark(PLAIN, FIRST, "ALTER TABLE {t} ADD CONSTRAINT positive CHECK (id > 0)")
    table.refuses("positive")
    table.refused(matrix, "CHECK constraints")
    table.spark("ALTER TABLE {t} DROP CONSTRAINT positive")
    table.rows = FOUR
    table.append(*rows((5, "a")))
    table.check()


@pytest.mark.parametrize(
    ("feature", "switch"),
    [("append-only tables", "delta.appendOnly"), ("change data feed", "delta.enableChangeDataFeed")],
)
def test_a_table_that_forbids_removal_takes_appends_and_refuses_overwrites_untouched(
    table: Foreign, matrix: Matrix, feature: str, switch: str
):
    table.spark(with_properties(f"'{switch}'='true'"), FIRST)
    table.rows = FOUR
    for number in range(8):
        table.append(*rows((10 + number, "a")))  # folding, which moves no row, is allowed
    table.refuses(switch, mode=ll.Overwrite())
    table.refuses(switch, mode=ll.Overwrite(partitions="dynamic"))
    table.check()
    table.loads(matrix, feature, f"Appends; overwrites are refused while {switch} is on.")


def test_the_change_feed_of_appends_is_whole(table: Foreign):
    table.spark(with_properties("'delta.enableChangeDataFeed'='true'"))
    table.append(*rows((1, "a"), (2, "b")))
    found = table.ask_spark("SELECT id, _change_type FROM table_changes_by_path('{at}', 0)")
    assert sorted(found.to_pydict()["id"]) == [1, 2]
    assert set(found.to_pydict()["_change_type"]) == {"insert"}


def test_a_null_in_a_not_null_column_is_refused_at_any_depth(delta_lake: EngineLake, matrix: Matrix):
    columns = pa.schema([("id", pa.int64()), ("s", pa.struct([("a", pa.int32()), ("b", pa.int32())]))])
    table = Foreign(delta_lake, "delta", columns)
    table.spark("CREATE TABLE {t} (id BIGINT NOT NULL, s STRUCT<a: INT NOT NULL, b: INT>) USING delta")
    table.refuses("id", {"id": None, "s": {"a": 1, "b": 1}})
    table.refuses("a", {"id": 1, "s": {"a": None, "b": 1}})
    table.append({"id": 1, "s": {"a": 1, "b": None}}, {"id": 2, "s": {"a": 2, "b": 3}})
    table.check()
    table.loads(matrix, "NOT NULL inside structs")


def test_timestamps_of_any_year_in_files_of_spark_are_read_and_folded_right(
    delta_lake: EngineLake, matrix: Matrix
):
    """Spark writes INT96, which libraries take for nanoseconds: 9999-12-31 would become another century."""
    inner = pa.list_(pa.struct([("at", pa.timestamp("us", "UTC"))]))
    columns = pa.schema([*COLUMNS, ("at", pa.timestamp("us", "UTC")), ("l", inner)])
    table = Foreign(delta_lake, "delta", columns)
    table.spark(
        "CREATE TABLE {t} (id BIGINT, part STRING, at TIMESTAMP, l ARRAY<STRUCT<at: TIMESTAMP>>) USING delta"
        " PARTITIONED BY (part) TBLPROPERTIES ('delta.enableDeletionVectors'='true')"
    )
    last, first = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC), dt.datetime(1, 1, 1, tzinfo=dt.UTC)
    for number in range(8):
        table.spark(
            f"INSERT INTO {{t}} SELECT /*+ COALESCE(1) */ * FROM VALUES"
            f" ({number}, 'a', TIMESTAMP'9999-12-31 23:59:59', array(named_struct('at', TIMESTAMP'0001-01-01'))),"
            f" ({number + 100}, 'b c/%', TIMESTAMP'0001-01-01 00:00:00', NULL),"
            f" ({number + 200}, NULL, NULL, array())"
        )
        table.rows += [
            {"id": number, "part": "a", "at": last, "l": [{"at": first}]},
            {"id": number + 100, "part": "b c/%", "at": first, "l": None},
            {"id": number + 200, "part": None, "at": None, "l": []},
        ]
    table.check()
    report = table.append({"id": 1000, "part": "b c/%", "at": last, "l": None})
    assert report.tables["t"].folded == 25
    table.check()
    table.spark("DELETE FROM {t} WHERE id = 107")
    table.rows = [row for row in table.rows if row["id"] != 107]
    table.check()
    polars = delta_lake.table().to_polars()
    assert polars.select("part").tail(1).collect().height == 1
    assert polars.head(3).collect().height == 3
    table.loads(matrix, "timestamps of any year in files of Spark")


def test_a_parquet_file_of_spark_loads_with_its_timestamps(delta_lake: EngineLake, engines: Any):
    table = Foreign(delta_lake, "delta", pa.schema([("id", pa.int64()), ("at", pa.timestamp("us", "UTC"))]))
    place = f"{delta_lake.root}/source"
    engines.spark.run(
        "INSERT OVERWRITE DIRECTORY '" + place + "' USING parquet SELECT 1L AS id, TIMESTAMP'9999-12-31 00:00:00' AS at"
    )  # fmt: skip
    delta_lake.load(f"{place}/*.parquet")
    found = delta_lake.table().to_arrow(["id", "at"]).to_pylist()
    assert [(row["id"], row["at"].year) for row in found] == [(1, 9999)]
    del table


VALUES = {
    "STRING": ("'a b/%é:='", pa.string(), "a b/%é:="),
    "INT": ("-5", pa.int32(), -5),
    "BOOLEAN": ("true", pa.bool_(), True),
    "DATE": ("DATE'1969-12-31'", pa.date32(), dt.date(1969, 12, 31)),
    "TIMESTAMP": ("TIMESTAMP'2024-01-02 03:04:05.12'", pa.timestamp("us", "UTC"), dt.datetime(2024, 1, 2, 3, 4, 5, 120000, dt.UTC)),
    "TIMESTAMP_NTZ": ("TIMESTAMP_NTZ'2024-01-02 03:04:05'", pa.timestamp("us"), dt.datetime(2024, 1, 2, 3, 4, 5)),
    "DECIMAL(10,3)": ("1.500", pa.decimal128(10, 3), Decimal("1.500")),
    "DOUBLE": ("1e20D", pa.float64(), 1e20),
    "FLOAT": ("CAST(0.1 AS FLOAT)", pa.float32(), 0.1),
}  # fmt: skip


def test_partitions_spark_wrote_are_found_again_whatever_their_type(delta_lake: EngineLake, matrix: Matrix):
    """A value that is not found equal would leave the old rows beside the new ones."""
    for number, (kind, (literal, arrow, value)) in enumerate(VALUES.items()):
        name = f"t{number}"
        place = f"delta.`{delta_lake.location(name)}`"
        spark = delta_lake.engines.spark
        spark.query(f"CREATE TABLE {place} (id BIGINT, p {kind}) USING delta PARTITIONED BY (p)")
        spark.query(f"INSERT INTO {place} VALUES (1, {literal}), (2, NULL)")
        new = pa.table({"id": pa.array([9, 8], pa.int64()), "p": pa.array([value, None], arrow)})
        both = pa.concat_tables([new, new.slice(0, 1)])
        delta_lake.load(new, table=name, mode=ll.Overwrite(partitions="dynamic"))
        assert_same_rows(spark.query(f"SELECT * FROM {place}"), new, types=False)
        spark.query(f"INSERT INTO {place} VALUES (9, {literal})")
        assert_same_rows(delta_lake.table(name).to_arrow(), both)
        assert_same_rows(delta_lake.table(name).to_polars().collect().to_arrow(), both, types=False)
    matrix.loads(GROUP, "partition columns of every type", "delta")


def test_a_log_of_multi_part_checkpoints_with_old_entries_gone_is_read_whole(
    table: Foreign, matrix: Matrix, setting: Callable[[str, str], None]
):
    setting("spark.databricks.delta.checkpoint.partSize", "2")
    table.spark(with_properties("'delta.checkpointInterval'='3'"))
    for number in range(4):
        table.spark(f"INSERT INTO {{t}} VALUES ({number}, 'a'), ({number}, 'b')")
        table.rows += rows((number, "a"), (number, "b"))
    table.append(*rows((100, "a")))
    for number in range(3):
        table.spark(f"INSERT INTO {{t}} VALUES ({number}, 'c')")
        table.rows += rows((number, "c"))
    log = f"{table.lake.location()}/_delta_log/"
    files = table.lake.filesystem
    checkpoints = [path for path in files.find(log) if ".checkpoint.0" in path]
    assert len(checkpoints) > 2, "Spark wrote no checkpoint of several parts"
    newest = max(int(path.rsplit("/", 1)[1][:20]) for path in checkpoints)
    gone = [p for p in files.find(log) if p.endswith(".json") and int(p.rsplit("/", 1)[1][:20]) < newest]
    for path in gone:
        files.rm_file(path)
    assert gone
    assert table.lake.table().positions() == {"load_t": 1}
    table.check()
    table.append(*rows((101, "a")))
    assert table.lake.table().positions() == {"load_t": 2}
    table.check()
    table.loads(matrix, "checkpoints of several parts, log cleaned up")


def test_optimize_vacuum_and_restore_between_loads_lose_and_double_nothing(
    table: Foreign, matrix: Matrix, setting: Callable[[str, str], None]
):
    setting("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    table.spark(PLAIN, FIRST)
    table.rows = FOUR
    table.append(*rows((10, "a")))
    table.spark("OPTIMIZE {t}")
    table.append(*rows((11, "a")))
    table.spark("OPTIMIZE {t} ZORDER BY (id)", "VACUUM {t} RETAIN 0 HOURS")
    table.check()
    table.append(*rows((12, "a")))
    kept, version = list(table.rows), table.lake.table().version()
    table.append(*rows((13, "a")))
    table.spark(f"RESTORE TABLE {{t}} TO VERSION AS OF {version}")
    table.rows = kept
    table.check()
    # What a restore takes away is the restorer's wish; the position stays, so nothing comes twice.
    assert table.lake.table().positions() == {"load_t": 4}
    table.append(*rows((14, "a")))
    table.check()
    table.loads(matrix, "OPTIMIZE, ZORDER, VACUUM and RESTORE between loads")


def test_vacuum_keeps_what_a_table_of_both_formats_needs(
    dual_lake: EngineLake, matrix: Matrix, setting: Callable[[str, str], None]
):
    setting("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    delta, iceberg = Foreign(dual_lake, "delta"), Foreign(dual_lake, "iceberg")
    for number in range(9):
        delta.append(*rows((number, "a")), partition_by=["part"], load_columns=False)
    delta.overwrite_partitions(*rows((50, "b")))
    delta.spark("VACUUM {t} RETAIN 0 HOURS")
    iceberg.rows = delta.rows
    delta.check()
    iceberg.check()
    delta.append(*rows((60, "b")))
    iceberg.rows = delta.rows
    delta.check()
    iceberg.check()
    delta.loads(matrix, "VACUUM RETAIN 0 HOURS of a table of both formats")


def test_a_shallow_clone_leaves_its_source_alone(table: Foreign, engines: Any, matrix: Matrix):
    source = EngineLake.new(engines, ("delta",))
    origin = Foreign(source, "delta")
    origin.spark(PLAIN, FIRST)
    origin.rows = FOUR
    name = source.sql_name("spark", "delta")
    table.spark(f"CREATE TABLE {{t}} SHALLOW CLONE {name}")
    table.rows = FOUR
    table.check("duckdb")
    table.append(*rows((10, "a")))
    table.overwrite_partitions(*rows((11, "b")))
    table.check("duckdb")
    origin.check()
    table.loads(matrix, "shallow clones")
    with pytest.raises(Exception, match="404"):
        table.lake.read_by("duckdb", "delta")
    why = "DuckDB looks for the files of the source below the clone."
    matrix.cannot(GROUP, "shallow clones", "duckdb", "delta", why)


def test_rows_changed_by_spark_between_loads_agree_everywhere(table: Foreign, matrix: Matrix):
    table.append(*rows((1, "a"), (2, "a"), (3, "b")), partition_by=["part"], load_columns=False)
    table.spark(
        "UPDATE {t} SET part = 'c' WHERE id = 1",
        "DELETE FROM {t} WHERE id = 2",
        "MERGE INTO {t} AS t USING (SELECT 3L AS id, 'z' AS part UNION ALL SELECT 4L, 'a') AS s ON t.id = s.id"
        " WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
    )
    table.rows = rows((1, "c"), (3, "z"), (4, "a"))
    table.check()
    table.append(*rows((5, "c")))
    table.overwrite_partitions(*rows((6, "z")))
    table.check()
    assert table.lake.table().positions() == {"load_t": 3}
    table.loads(matrix, "UPDATE, DELETE and MERGE by Spark between loads")


def test_a_column_spark_added_or_moved_is_filled_by_the_next_load(delta_lake: EngineLake, matrix: Matrix):
    table = Foreign(delta_lake, "delta")
    table.append(*rows((1, "a")), load_columns=False)
    table.spark("ALTER TABLE {t} ADD COLUMNS (x INT FIRST)", "INSERT INTO {t} VALUES (7, 2, 'b')")
    table.columns = COLUMNS.append(pa.field("x", pa.int32()))
    table.rows = [*rows((1, "a"), x=None), *rows((2, "b"), x=7)]
    table.append(*rows((3, "c"), x=8))
    table.check()
    table.loads(matrix, "columns added and moved by Spark")


def test_a_table_that_forgets_positions_is_refused(table: Foreign, matrix: Matrix):
    """Spark's checkpoints leave out positions of that age, and the next load would come twice."""
    switch = "delta.setTransactionRetentionDuration"
    table.spark(with_properties(f"'{switch}'='interval 1 seconds'"))
    table.refuses(switch)
    table.refused(matrix, "positions forgotten after a while")
    table.spark(f"ALTER TABLE {{t}} UNSET TBLPROPERTIES ('{switch}')")
    table.append(*rows((1, "a")))
    table.check()
