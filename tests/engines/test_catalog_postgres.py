"""The SQL catalog on PostgreSQL: many writers, refusals, and one set of tables with Java's JDBC catalog."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import started
from services.iceberg_rest import IcebergRest
from services.postgres import PASSWORD, USER, Postgres
from services.seaweedfs import S3

import lakeload as ll


@pytest.fixture
def catalog(postgres: Postgres, rest_namespace: str) -> str:
    """An empty database, as lakeload is told about it."""
    return postgres.database(rest_namespace)


def test_writers_at_once_lose_no_row_and_double_none(catalog: str, tmp_path: Path) -> None:
    failures: list[BaseException] = []
    together = threading.Barrier(4)

    def write(writer: int) -> None:
        try:
            together.wait(60)
            for number in range(3):
                lake = ll.Lakehouse(tmp_path / "lake", format="iceberg", catalog=catalog)
                ll.Pipeline(f"w{writer}", lake).run([{"id": 10 * writer + number}], table="t")
        except BaseException as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert not failures
    lake = ll.Lakehouse(tmp_path / "lake", format="iceberg", catalog=catalog)
    found = sorted(lake.table("t").to_arrow(["id"]).column("id").to_pylist())
    assert found == sorted(10 * writer + number for writer in range(4) for number in range(3))


@pytest.mark.parametrize("case", ["password", "database", "server"])
def test_database_that_does_not_let_us_in_is_named_without_the_password(
    postgres: Postgres, catalog: str, tmp_path: Path, case: str
) -> None:
    uris = {
        "password": catalog.replace(PASSWORD, "another-password"),
        "database": postgres.uri("no-such-database"),
        "server": catalog.replace(f":{postgres.port}/", ":9/"),
    }
    with pytest.raises(ll.CatalogError) as caught:
        ll.load([{"id": 1}], ll.Lakehouse(tmp_path, format="iceberg", catalog=uris[case]), table="t")
    message = str(caught.value)
    assert caught.value.hint
    assert caught.value.place
    assert PASSWORD not in message
    assert "another-password" not in message
    if case == "password":
        assert "password" in str(caught.value.hint)
    assert not any(tmp_path.rglob("*.parquet"))


@pytest.fixture
def java(
    postgres: Postgres, s3: S3, rest_namespace: str, catalog: str, tmp_path_factory: pytest.TempPathFactory
) -> IcebergRest:
    """Java's JDBC catalog over the same database, which Spark and Trino use too, spoken to over REST."""
    given = {"catalog.name": "default", "jdbc.user": USER, "jdbc.password": PASSWORD}
    directory = tmp_path_factory.mktemp("jdbc")
    with started(lambda: IcebergRest(directory, s3, jdbc=postgres.jdbc(rest_namespace), **given)) as server:
        yield server


@pytest.mark.s3
def test_tables_are_shared_with_javas_jdbc_catalog_both_ways(
    catalog: str, java: IcebergRest, s3: S3, s3_prefix: str
) -> None:
    def lake(uri: str) -> ll.Lakehouse:
        return ll.Lakehouse(
            s3_prefix, format="iceberg", catalog=uri, storage_options=s3.storage_options, namespace="n"
        )

    ll.load([{"id": 1}], lake(catalog), table="ours")
    ll.load([{"id": 10}], lake(java.uri), table="theirs")
    assert lake(java.uri).tables() == lake(catalog).tables() == ["ours", "theirs"]
    ll.load([{"id": 2}], lake(java.uri), table="ours")
    ll.load([{"id": 11}], lake(catalog), table="theirs")
    for uri in (catalog, java.uri):
        found = {name: lake(uri).table(name).to_arrow(["id"]) for name in ("ours", "theirs")}
        assert sorted(found["ours"].column("id").to_pylist()) == [1, 2]
        assert sorted(found["theirs"].column("id").to_pylist()) == [10, 11]


def test_layout_is_the_one_java_calls_v1(catalog: str, tmp_path: Path) -> None:
    import psycopg2

    ll.load(pa.table({"id": [1]}), ll.Lakehouse(tmp_path, format="iceberg", catalog=catalog), table="t")
    connection = psycopg2.connect(catalog)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT catalog_name, table_namespace, table_name, iceberg_type FROM iceberg_tables"
            )
            assert cursor.fetchall() == [("default", "default", "t", "TABLE")]
            cursor.execute(
                "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
                "WHERE table_name = 'iceberg_tables' ORDER BY column_name"
            )
            columns = {name: (kind, null) for name, kind, null in cursor.fetchall()}
    finally:
        connection.close()
    assert set(columns) == {
        "catalog_name",
        "table_namespace",
        "table_name",
        "metadata_location",
        "previous_metadata_location",
        "iceberg_type",
    }
