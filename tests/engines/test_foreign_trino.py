"""Tables Trino made, in both formats: loaded into on their terms, or refused before one byte is written."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from engines.enginelake import EngineLake
from engines.foreign import COLUMNS, GROUP, Foreign, rows
from engines.matrix import Matrix

import lakeload as ll


def delta_table(engines: Any, columns: str, properties: str = "", kinds: pa.Schema = COLUMNS) -> Foreign:
    """An empty Delta table of Trino at the place where lakeload looks for it."""
    lake = EngineLake.new(engines, ("delta",))
    engines.trino.query(
        f"CREATE SCHEMA delta.{lake.namespace} WITH (location = '{lake.root}/{lake.namespace}')"
    )
    engines.trino.query(
        f"CREATE TABLE delta.{lake.namespace}.t ({columns}) WITH (location = '{lake.location()}'{properties})"
    )
    engines.registered.update({lake.namespace, f"{lake.namespace}.t"})
    return Foreign(lake, "delta", kinds)


def iceberg_table(engines: Any, columns: str, properties: str, kinds: pa.Schema = COLUMNS) -> Foreign:
    """An empty Iceberg table of Trino at the place Trino gives it."""
    lake = EngineLake.new(engines, ("iceberg",))
    engines.trino.query(f"CREATE SCHEMA ice.{lake.namespace}")
    engines.trino.query(f"CREATE TABLE ice.{lake.namespace}.t ({columns}) WITH ({properties})")
    return Foreign(lake, "iceberg", kinds)


def test_a_delta_table_of_trino_takes_loads_and_keeps_its_partitions_when_folded(
    engines: Any, matrix: Matrix
):
    """Trino leaves partition columns out of its files: a rewrite must take them from the log."""
    kinds = COLUMNS.append(pa.field("n", pa.int32()))
    properties = ", partitioned_by = ARRAY['part']"
    table = delta_table(engines, "id BIGINT, part VARCHAR, n INTEGER", properties, kinds)
    for number in range(8):
        table.trino(f"INSERT INTO {{t}} VALUES ({number}, 'a b/%:', 1), ({number + 100}, NULL, 2)")
        table.rows += [*rows((number, "a b/%:"), n=1), *rows((number + 100, None), n=2)]
    table.check()
    report = table.append(*rows((1000, "c"), n=3))
    assert report.tables["t"].folded == 16
    table.check()
    table.trino("DELETE FROM {t} WHERE id = 3", "UPDATE {t} SET part = 'c' WHERE id = 103")
    table.rows = [row for row in table.rows if row["id"] not in (3, 103)] + rows((103, "c"), n=2)
    table.check()
    table.append(*rows((1001, None), n=4))
    table.overwrite_partitions(*rows((1002, "c"), n=5))
    table.check()
    table.trino(
        "MERGE INTO {t} t USING (VALUES (BIGINT '1002', 'c', 6), (BIGINT '1003', 'd', 7)) AS s (id, part, n)"
        " ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = s.n WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.part, s.n)"
    )
    table.rows = [row for row in table.rows if row["id"] != 1002] + rows((1002, "c"), n=6)
    table.rows += rows((1003, "d"), n=7)
    table.append(*rows((1004, "d"), n=8))
    table.check()
    table.overwrite(*rows((1, "z"), n=0))
    table.check()
    table.loads(matrix, "partitioned table of Trino")


def test_deletion_vectors_of_trino_stay_in_force(engines: Any, matrix: Matrix):
    table = delta_table(engines, "id BIGINT, part VARCHAR", ", deletion_vectors_enabled = true")
    table.trino("INSERT INTO {t} VALUES (1, 'a'), (2, 'a'), (3, 'b')", "DELETE FROM {t} WHERE id = 1")
    table.rows = rows((2, "a"), (3, "b"))
    assert any(file.deletes for file in table.lake.table().files())
    table.append(*rows((4, "c"), (5, "c")))
    table.trino("DELETE FROM {t} WHERE id = 4")
    table.rows = rows((2, "a"), (3, "b"), (5, "c"))
    table.check()
    table.overwrite(*rows((6, "d")))
    table.check()
    table.loads(matrix, "deletion vectors of Trino")


def test_trino_cannot_mark_rows_deleted_in_files_that_hold_their_partition_columns(
    engines: Any, matrix: Matrix
):
    properties = ", partitioned_by = ARRAY['part'], deletion_vectors_enabled = true"
    table = delta_table(engines, "id BIGINT, part VARCHAR", properties)
    table.append(*rows((1, "a"), (2, "a")))
    with pytest.raises(Exception, match="Unable to write deletion vector file"):
        table.trino("DELETE FROM {t} WHERE id = 1")
    table.check()
    matrix.cannot(
        GROUP, "DELETE by Trino with deletion vectors, partitioned table", "trino", "delta",
        "Trino 476 cannot write deletion vectors for files that hold their partition columns, as those of "
        "lakeload and of Spark 4.1 do; without deletion_vectors_enabled it rewrites the files.",
    )  # fmt: skip


def test_a_column_of_a_delta_table_of_trino_is_widened_without_losing_partitions(
    engines: Any, matrix: Matrix
):
    kinds = COLUMNS.append(pa.field("n", pa.int32()))
    table = delta_table(
        engines, "id BIGINT, part VARCHAR, n INTEGER", ", partitioned_by = ARRAY['part']", kinds
    )
    table.trino("INSERT INTO {t} VALUES (1, 'a', 1), (2, NULL, 2), (3, 'b/c', NULL)")
    table.rows = [*rows((1, "a"), n=1), *rows((2, None), n=2), *rows((3, "b/c"), n=None)]
    table.columns = COLUMNS.append(pa.field("n", pa.int64()))
    table.append(*rows((4, "a"), n=2**40))
    table.check()
    table.loads(matrix, "columns of Trino widened")


@pytest.mark.parametrize(
    ("feature", "properties", "names"),
    [
        ("column mapping of Trino", ", column_mapping_mode = 'NAME'", "columnMapping"),
    ],
)
def test_a_delta_feature_of_trino_lakeload_cannot_honour_is_refused(
    engines: Any, matrix: Matrix, feature: str, properties: str, names: str
):
    table = delta_table(engines, "id BIGINT, part VARCHAR", properties)
    table.refuses(names)
    table.refused(matrix, feature)


def test_the_change_feed_of_a_delta_table_of_trino_takes_appends_only(engines: Any, matrix: Matrix):
    table = delta_table(engines, "id BIGINT, part VARCHAR", ", change_data_feed_enabled = true")
    table.append(*rows((1, "a")))
    table.refuses("enableChangeDataFeed", mode=ll.Overwrite())
    table.check()
    found = table.trino(
        f"SELECT id, _change_type FROM TABLE(delta.system.table_changes('{table.lake.namespace}', 't', 0))"
    )
    assert [tuple(row) for row in found] == [(1, "insert")]
    table.loads(matrix, "change data feed of Trino", "Appends; overwrites are refused while it is on.")


def test_an_iceberg_table_of_trino_takes_every_kind_of_load_and_every_change_between(
    engines: Any, matrix: Matrix
):
    table = iceberg_table(
        engines,
        "id BIGINT, part VARCHAR, at TIMESTAMP(6) WITH TIME ZONE",
        "partitioning = ARRAY['part', 'day(at)'], sorted_by = ARRAY['id']",
        COLUMNS.append(pa.field("at", pa.timestamp("us", "UTC"))),
    )
    at = dt.datetime(2024, 2, 29, 1, 2, 3, 456789, dt.UTC)
    for number in range(3):
        table.trino(
            f"INSERT INTO {{t}} VALUES ({number}, 'a', TIMESTAMP '2024-02-29 01:02:03.456789 UTC'), ({number + 10}, NULL, NULL)"
        )
        table.rows += [*rows((number, "a"), at=at), *rows((number + 10, None), at=None)]
    table.append(*rows((20, "a"), at=at), *rows((21, "b"), at=None))
    table.check()
    table.trino("DELETE FROM {t} WHERE id IN (1, 20)", "UPDATE {t} SET part = 'c' WHERE id = 10")
    table.rows = [row for row in table.rows if row["id"] not in (1, 20, 10)] + rows((10, "c"), at=None)
    table.check()
    table.append(*rows((22, "c"), at=at))
    table.check()
    table.trino(
        "MERGE INTO {t} t USING (VALUES (BIGINT '22', 'd'), (BIGINT '23', 'd')) AS s (id, part) ON t.id = s.id"
        " WHEN MATCHED THEN UPDATE SET part = s.part WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.part, NULL)"
    )
    table.rows = [row for row in table.rows if row["id"] != 22] + rows((22, "d"), at=at)
    table.rows += rows((23, "d"), at=None)
    table.check()
    new = rows((30, "a"), at=at)
    table.rows = [row for row in table.rows if (row["part"], row["at"]) != ("a", at)]
    table.append(*new, mode=ll.Overwrite(partitions="dynamic"))
    table.check()
    table.trino("ALTER TABLE {t} EXECUTE optimize")
    table.append(*rows((31, "a"), at=at))
    table.check()
    table.overwrite(*rows((40, "a"), at=at))
    table.check()
    table.loads(matrix, "partitioned and sorted table of Trino, changed by Trino between loads")


def test_times_in_an_iceberg_table_of_trino_are_loaded(engines: Any, matrix: Matrix):
    kinds = pa.schema(
        [
            ("id", pa.int64()),
            ("part", pa.string()),
            ("t", pa.time64("us")),
            ("r", pa.struct([("a", pa.int32())])),
        ]
    )
    table = iceberg_table(
        engines, "id BIGINT, part VARCHAR, t TIME(6), r ROW(a INTEGER)", "format = 'PARQUET'", kinds
    )
    table.trino("INSERT INTO {t} VALUES (1, 'a', TIME '01:02:03.000004', ROW(5))")
    noon = dt.time(1, 2, 3, 4)
    table.rows = rows((1, "a"), t=noon, r={"a": 5})
    table.append(*rows((2, "b"), t=dt.time(23, 59, 59, 999999), r=None))
    table.check("spark")  # has no times
    table.loads(matrix, "times of day of Trino")


@pytest.mark.parametrize(
    ("feature", "columns", "properties"),
    [
        ("UUID columns", "id BIGINT, part VARCHAR, u UUID", "format = 'PARQUET'"),
        ("format version 1 of Trino", "id BIGINT, part VARCHAR", "format_version = 1"),
    ],
)
def test_what_lakeload_cannot_honour_in_an_iceberg_table_of_trino_is_refused(
    engines: Any, matrix: Matrix, feature: str, columns: str, properties: str
):
    table = iceberg_table(engines, columns, properties)
    table.refuses("type uuid|format version 1")
    table.refused(matrix, feature)


def test_an_orc_table_of_trino_takes_parquet_files(engines: Any, matrix: Matrix):
    table = iceberg_table(engines, "id BIGINT, part VARCHAR", "format = 'ORC'")
    table.trino(
        "INSERT INTO {t} VALUES (1, 'a')", "INSERT INTO {t} VALUES (2, 'a')", "DELETE FROM {t} WHERE id = 1"
    )
    table.rows = rows((2, "a"))
    table.append(*rows((3, "b")))
    expected = table.table(table.rows)
    for engine in ("spark", "trino"):
        table.lake.assert_read_by(engine, "iceberg", expected)
    table.overwrite(*rows((4, "b")))
    table.check("duckdb")  # it stumbles over the ORC delete file that is still listed
    table.loads(matrix, "ORC table of Trino")
