"""Trino and Spark, real, find in AWS Glue what lakeload registered there, and write to it.

Glue is a mock here (moto, see `services/moto.py`): nothing outside AWS is the real one. It shows that the
entries are what these engines look for, and that they and lakeload respect each other's commits.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from services.moto import REGION, Glue, Moto
from services.seaweedfs import S3
from services.spark import Spark
from services.trino import Trino, s3_properties

import lakeload as ll

pytestmark = pytest.mark.timeout(900)  # two engines start in here when this module is run alone

MARCH = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
FIRST = [{"id": 1, "name": "x", "at": MARCH}]
SECOND = [{"id": 2, "tags": ["a", "b"], "at": MARCH + dt.timedelta(days=1)}]
ROWS = [(1, "x", None, MARCH), (2, None, ["a", "b"], MARCH + dt.timedelta(days=1))]


@dataclass(frozen=True)
class Shop:
    """A lake on S3 with a namespace of its own in the mock."""

    glue: Glue
    s3: S3
    root: str
    namespace: str

    def lake(self, form: str) -> ll.Lakehouse:
        """The lake, in one format."""
        return ll.Lakehouse(
            self.root,
            format=form,
            catalog=self.glue.uri,
            storage_options=self.s3.storage_options,
            namespace=self.namespace,
        )

    def load(self, form: str) -> None:
        """A table of two loads; the second brings a column."""
        ll.load(FIRST, self.lake(form), table="t", partition_by="day(at)")
        ll.load(SECOND, self.lake(form), table="t")

    def ids(self, form: str) -> list[int]:
        """The column `id` as lakeload reads it, sorted."""
        found: list[int] = self.lake(form).table("t").to_arrow().column("id").to_pylist()
        return sorted(found)


@pytest.fixture
def shop(moto: Moto, s3: S3, s3_prefix: str) -> Shop:
    return Shop(moto.glue, s3, s3_prefix, f"ns{uuid.uuid4().hex[:10]}")


@pytest.fixture
def trino_glue(trino: Trino, shop: Shop) -> Trino:
    """Trino with the catalogs `glue_delta` and `glue_iceberg`."""
    where = {
        "hive.metastore.glue.endpoint-url": shop.glue.endpoint,
        "hive.metastore.glue.region": REGION,
        "hive.metastore.glue.aws-access-key": shop.glue.storage["aws_access_key_id"],
        "hive.metastore.glue.aws-secret-key": shop.glue.storage["aws_secret_access_key"],
        **s3_properties(shop.s3),
    }
    trino.catalog("glue_delta", "delta_lake", {"hive.metastore": "glue", **where})
    trino.catalog("glue_iceberg", "iceberg", {"iceberg.catalog.type": "glue", **where})
    return trino


@pytest.fixture
def spark_glue(spark: Spark, shop: Shop) -> Iterator[str]:
    """Name of a catalog of Spark: Iceberg's own for Glue."""
    name = f"glue_{shop.namespace}"
    settings: dict[str, Any] = {
        "": "org.apache.iceberg.spark.SparkCatalog",
        "catalog-impl": "org.apache.iceberg.aws.glue.GlueCatalog",
        "glue.endpoint": shop.glue.endpoint,
        "client.region": REGION,
        "warehouse": shop.root,
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "s3.endpoint": shop.s3.endpoint,
        "s3.path-style-access": "true",
        "s3.access-key-id": shop.s3.access_key,
        "s3.secret-access-key": shop.s3.secret_key,
        "cache-enabled": "false",
    }
    spark.catalog(name, settings)
    # The mock takes any keys, so Glue gets those of the object store: Iceberg has one place for both.
    keys = {"aws.accessKeyId": shop.s3.access_key, "aws.secretAccessKey": shop.s3.secret_key}
    java = spark.session._jvm.java.lang.System
    for key, value in keys.items():
        java.setProperty(key, value)
    yield name
    for key in keys:
        java.clearProperty(key)


@pytest.mark.parametrize("form", ["delta", "iceberg"])
def test_trino_knows_the_table_by_name_and_reads_every_row(trino_glue: Trino, shop: Shop, form: str) -> None:
    shop.load(form)
    table = f"glue_{form}.{shop.namespace}.t"
    assert trino_glue.query(f"SHOW TABLES FROM glue_{form}.{shop.namespace}").rows == [("t",)]
    assert trino_glue.query(f"SELECT id, name, tags, at FROM {table} ORDER BY id").rows == ROWS


def test_trino_and_lakeload_add_to_one_iceberg_table_in_turn(trino_glue: Trino, shop: Shop) -> None:
    shop.load("iceberg")
    table = f"glue_iceberg.{shop.namespace}.t"
    trino_glue.query(f"INSERT INTO {table} (id) VALUES (3)")
    ll.load([{"id": 4}], shop.lake("iceberg"), table="t")
    assert shop.ids("iceberg") == [1, 2, 3, 4]
    assert trino_glue.query(f"SELECT id FROM {table} ORDER BY id").rows == [(1,), (2,), (3,), (4,)]


def test_delta_entry_trino_wrote_is_respected(trino_glue: Trino, shop: Shop) -> None:
    shop.load("delta")
    before = shop.glue.entry(shop.namespace, "t")
    table = f"glue_delta.{shop.namespace}.t"
    trino_glue.query(f"COMMENT ON TABLE {table} IS 'what happened'")
    ll.load([{"id": 3, "more": 1.5}], shop.lake("delta"), table="t")
    rows = trino_glue.query(f"SELECT id, more FROM {table} ORDER BY id").rows
    assert rows == [(1, None), (2, None), (3, 1.5)]
    entry = shop.glue.entry(shop.namespace, "t")
    assert entry["VersionId"] != before["VersionId"]
    assert "more" in [column["Name"] for column in entry["StorageDescriptor"]["Columns"]]


def test_spark_knows_the_iceberg_table_by_name_and_adds_to_it(
    spark: Spark, spark_glue: str, shop: Shop
) -> None:
    shop.load("iceberg")
    table = f"{spark_glue}.{shop.namespace}.t"
    found = spark.query(f"SELECT id, name, tags, at FROM {table} ORDER BY id")
    assert [tuple(row.values()) for row in found.to_pylist()] == ROWS
    spark.query(f"INSERT INTO {table} (id) VALUES (3)")
    ll.load([{"id": 4, "more": "y"}], shop.lake("iceberg"), table="t")
    assert shop.ids("iceberg") == [1, 2, 3, 4]
    assert spark.query(f"SELECT id FROM {table} WHERE more = 'y'").to_pylist() == [{"id": 4}]


def test_table_spark_made_is_loaded_into(spark: Spark, spark_glue: str, shop: Shop) -> None:
    table = f"{spark_glue}.{shop.namespace}.t"
    spark.query(f"CREATE NAMESPACE {spark_glue}.{shop.namespace}")
    spark.query(
        f"CREATE TABLE {table} (id BIGINT COMMENT 'a number', name STRING) USING iceberg "
        f"LOCATION '{shop.root}/{shop.namespace}/t' TBLPROPERTIES ('format-version' = '2')"
    )
    report = ll.load(pa.table({"id": [1], "name": ["x"]}), shop.lake("iceberg"), table="t")
    assert not report.tables["t"].created
    assert spark.query(f"SELECT * FROM {table}").to_pylist() == [{"id": 1, "name": "x"}]
