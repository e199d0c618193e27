"""Entries of Delta tables in the language of Hive-like catalogs."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lakeload.catalogs.delta_entry import PARAMETERS, describe, plain, provider
from lakeload.model.layout import Layout
from lakeload.model.table import TableState

SCHEMA = pa.schema([("country", pa.string()), ("at", pa.timestamp("us", "UTC")), ("id", pa.int64())])


def state(*partition_by: str, **sides: TableState) -> TableState:
    return TableState(0, SCHEMA, 3, Layout.parse(partition_by), {}, {}, sides=sides)


def test_partition_columns_come_last_whatever_their_place_in_the_table() -> None:
    entry = describe("s3://lake/ns/t", state("country"))
    assert entry.columns == (("at", "timestamp"), ("id", "bigint"), ("country", "string"))
    assert entry.partition_by == ("country",)


def test_columns_delta_keeps_for_transforms_are_columns() -> None:
    entry = describe("s3://lake/ns/t", state("bucket(4, id)", "month(at)", "country"))
    assert entry.columns[:2] == (("at", "timestamp"), ("id", "bigint"))
    assert entry.columns[2:] == (("id_bucket", "int"), ("at_month", "string"), ("country", "string"))
    assert entry.partition_by == ("id_bucket", "at_month", "country")


def test_table_in_both_formats_is_described_by_its_delta_side() -> None:
    both = state(delta=state("country"), iceberg=state())
    assert describe("s3://lake/ns/t", both).partition_by == ("country",)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("s3a://b/p/", "s3://b/p"),
        ("s3n://b/p", "s3://b/p"),
        ("s3://b/p//", "s3://b/p"),
        ("file:/lake/t", "/lake/t"),
        ("file:///lake/t/", "/lake/t"),
        ("/lake/t", "/lake/t"),
        ("abfss://c@a.dfs.core.windows.net/t", "abfss://c@a.dfs.core.windows.net/t"),
    ],
)
def test_one_place_is_spelled_one_way(given: str, expected: str) -> None:
    assert plain(given) == expected
    assert describe(given, state()).location == expected


@pytest.mark.parametrize(
    ("parameters", "kind", "expected"),
    [
        (PARAMETERS, "EXTERNAL_TABLE", "delta"),
        ({"spark.sql.sources.provider": "DELTA"}, "EXTERNAL_TABLE", "delta"),
        ({"table_type": "DELTA"}, "EXTERNAL_TABLE", "delta"),
        ({"table_type": "ICEBERG", "spark.sql.sources.provider": "iceberg"}, "EXTERNAL_TABLE", "iceberg"),
        ({"spark.sql.sources.provider": "parquet"}, "MANAGED_TABLE", "parquet"),
        ({"classification": "csv"}, "EXTERNAL_TABLE", "hive"),
        ({}, "VIRTUAL_VIEW", "view"),
        ({}, "", "hive"),
    ],
)
def test_kind_of_an_entry_is_what_engines_take_it_for(
    parameters: dict[str, str], kind: str, expected: str
) -> None:
    assert provider(parameters, kind) == expected
