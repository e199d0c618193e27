"""What a Hive Metastore is told and how its answers are read; the metastore itself is in `tests/engines`."""

from __future__ import annotations

import datetime as dt
import socket
import threading

import pyarrow as pa
import pytest
from handmade import columns

import lakeload as ll
from lakeload.catalogs import hive_server
from lakeload.catalogs.hive import HiveCatalog
from lakeload.catalogs.hive_delta import HiveDeltaCatalog
from lakeload.catalogs.hive_server import Metastore, kind_of, read_uri
from lakeload.model.layout import Layout
from lakeload.model.registration import Entry, plain
from lakeload.model.table import TableState
from lakeload.storage_options import StorageOptions


def now() -> dt.datetime:
    return dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def delta_catalog(uri: str = "hive://h") -> HiveDeltaCatalog:
    return HiveDeltaCatalog(uri, "s3://lake", StorageOptions(), now=now)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("hive://meta", [("meta", 9083)]),
        ("hive://meta:1234/", [("meta", 1234)]),
        ("hive://10.0.0.1:9083", [("10.0.0.1", 9083)]),
        ("hive://[::1]:9083", [("[::1]", 9083)]),
        ("hive://one,two:9000", [("one", 9083), ("two", 9000)]),
    ],
)
def test_uri_names_hosts_and_ports(uri: str, expected: list[tuple[str, int]]) -> None:
    assert read_uri(uri) == expected


@pytest.mark.parametrize(
    "uri",
    ["hive://", "hive:meta", "hive://meta:port", "hive://meta:0", "hive://meta:70000", "hive://one,,two",
     "hive://user:hidden-word@meta", "hive://meta/database", "hive://meta?auth=hidden-word", "thrift://meta"],
)  # fmt: skip
@pytest.mark.parametrize("kind", [HiveCatalog, HiveDeltaCatalog])
def test_uri_that_cannot_be_read_is_refused_without_being_repeated(kind: type, uri: str) -> None:
    with pytest.raises(ll.ConfigError, match=r"cannot be read.*hive://host:9083") as caught:
        kind(uri, "s3://lake", StorageOptions(), now=now)
    assert "hidden-word" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("s3a://lake/ns/t", "s3://lake/ns/t"),
        ("s3n://lake/ns/t/", "s3://lake/ns/t"),
        ("s3://lake/ns/t", "s3://lake/ns/t"),
        ("file:/data/ns/t", "/data/ns/t"),
        ("file:///data/ns/t", "/data/ns/t"),
        ("/data/ns/t/", "/data/ns/t"),
        ("abfss://lake@account.dfs.core.windows.net/t", "abfss://lake@account.dfs.core.windows.net/t"),
    ],
)
def test_every_spelling_of_a_location_is_read_as_one(written: str, expected: str) -> None:
    assert plain(written) == expected
    assert plain(hive_server.hadoop(expected)) == expected


def test_locations_are_written_as_hadoop_knows_them_without_settings() -> None:
    assert hive_server.hadoop("s3://lake/t") == "s3a://lake/t"
    assert hive_server.hadoop("/data/t") == "file:/data/t"
    assert hive_server.hadoop("file:///data/t") == "file:///data/t"


@pytest.mark.parametrize(
    ("kind", "parameters", "expected"),
    [
        ("EXTERNAL_TABLE", {"table_type": "ICEBERG"}, "iceberg"),
        ("EXTERNAL_TABLE", {"table_type": "iceberg", "spark.sql.sources.provider": "iceberg"}, "iceberg"),
        ("EXTERNAL_TABLE", {"spark.sql.sources.provider": "DELTA"}, "delta"),
        ("MANAGED_TABLE", {"spark.sql.sources.provider": "parquet"}, "parquet"),
        ("MANAGED_TABLE", None, "hive"),
        ("VIRTUAL_VIEW", {"presto_view": "true"}, "view"),
        ("VIRTUAL_VIEW", {"table_type": "ICEBERG-VIEW"}, "view"),
        ("MATERIALIZED_VIEW", {}, "view"),
    ],
)
def test_entries_of_others_are_told_apart(
    kind: str, parameters: dict[str, str] | None, expected: str
) -> None:
    from hive_metastore.ttypes import Table

    assert kind_of(Table(tableType=kind, parameters=parameters)) == expected


def test_columns_that_differ_in_case_only_are_shown_once() -> None:
    shown = hive_server.fields([("Id", "int", None), ("name", "string", "who"), ("ID", "bigint", None)])
    assert [(field.name, field.type, field.comment) for field in shown] == [
        ("Id", "int", None),
        ("name", "string", "who"),
    ]


def test_entry_of_a_delta_table_has_its_columns_and_last_those_it_is_partitioned_by() -> None:
    schema = columns(Id=pa.int64(), day=pa.date32(), lines=pa.list_(pa.struct([("sku", pa.string())])))
    state = TableState(3, schema, 9, Layout.parse("day"), {}, {})
    assert delta_catalog().describe("s3a://lake/ns/t/", state) == Entry(
        "s3://lake/ns/t",
        (("Id", "bigint"), ("lines", "array<struct<sku:string>>"), ("day", "date")),
        ("day",),
    )


@pytest.fixture
def silent_port():
    """A port that takes connections and answers with something that is no Thrift."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


@pytest.mark.parametrize("what", ["nobody", "another program", "no such host"])
def test_something_else_than_a_metastore_is_a_catalog_error_with_the_place(
    what: str, silent_port: int
) -> None:
    address = {
        "nobody": "127.0.0.1:9",
        "another program": f"127.0.0.1:{silent_port}",
        "no such host": "no-such-host.invalid",
    }[what]
    catalog = HiveCatalog(f"hive://{address}", "s3://lake", StorageOptions(), now=now)
    for ask in (
        lambda: catalog.list("ns"),
        lambda: catalog.open("ns", "t", "/nowhere").load(),
        lambda: catalog.drop("ns", "t"),
        lambda: delta_catalog(f"hive://{address}").find("ns", "t"),
        lambda: delta_catalog(f"hive://{address}").put("ns", "t", Entry("s3://lake/ns/t")),
    ):
        with pytest.raises(ll.CatalogError, match="did not answer") as caught:
            ask()
        assert caught.value.place.startswith(f"hive://{address}")
        assert "\n" not in str(caught.value)
        assert caught.value.hint


def test_of_several_metastores_one_that_answers_is_enough(silent_port: int) -> None:
    first_down = Metastore(f"hive://127.0.0.1:9,127.0.0.1:{silent_port}")
    with pytest.raises(ll.CatalogError) as caught, first_down.connected() as hive:
        hive.get_all_databases()
    assert "refused" not in str(caught.value).lower(), "the second was asked"
