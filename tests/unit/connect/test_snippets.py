"""Snippets for other engines: those for DuckDB and Polars are run, the others are held to their shape."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
import readers
from lakes import Place
from services.seaweedfs import S3, RestCatalog, SeaweedFS

from lakeload.cli import main
from lakeload.cli.connect import target_of
from lakeload.connect import ENGINES, connect
from lakeload.connect.target import Target
from lakeload.errors import ConfigError
from lakeload.storage_options import StorageOptions

READS = [(engine, form) for engine in ("duckdb", "polars") for form in ("delta", "iceberg")]
ROWS = pa.table({"id": [1, 2], "name": ["a", "it's"]})
SECRETS = {
    "aws_access_key_id": "KEYID",
    "aws_secret_access_key": "hush-secret",
    "aws_session_token": "hush-token",
}
REST = "rest+https://catalog.example/v1?warehouse=lake&credential=hush:secret"

pytestmark = pytest.mark.filterwarnings("ignore:Iceberg scan planning")  # Polars recommends a plugin


def run(text: str, result: str, monkeypatch: pytest.MonkeyPatch) -> pa.Table:
    """What the snippet leaves in a variable. DuckDB's extensions come from wheels, not from the network."""
    connection = readers._connect(None)
    monkeypatch.setattr(duckdb, "connect", lambda: connection)
    names: dict[str, Any] = {}
    exec(text, names)
    found = names[result]
    return found.collect().to_arrow() if isinstance(found, pl.LazyFrame) else found.to_arrow_table()


def check(place: Place, engine: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = connect(engine, target_of(place.lake(), "t", form))
    for key, value in (place.storage or {}).items():
        if key in ("aws_access_key_id", "aws_secret_access_key"):
            assert value not in text
            monkeypatch.setenv(key.upper(), value)
    readers.assert_same_rows(run(text, "rows" if engine == "duckdb" else "frame", monkeypatch), ROWS)


@pytest.mark.parametrize("read", READS, ids="-".join)
def test_snippet_reads_a_local_table(
    read: tuple[str, str], lake_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(("delta", "iceberg"), lake_root)
    place.load(ROWS)
    check(place, *read, monkeypatch)


@pytest.mark.s3
@pytest.mark.parametrize("read", READS, ids="-".join)
def test_snippet_reads_a_table_on_s3_without_holding_its_keys(
    read: tuple[str, str], s3: S3, s3_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(("delta", "iceberg"), s3_prefix, s3.storage_options, f"sqlite:///{tmp_path}/c.db")
    place.load(ROWS)
    check(place, *read, monkeypatch)


@pytest.mark.s3
@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_snippet_reads_a_table_of_a_rest_catalog(
    engine: str,
    seaweedfs: SeaweedFS,
    rest_catalog: RestCatalog,
    rest_namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Place(
        ("iceberg",), rest_catalog.warehouse, seaweedfs.s3.storage_options, rest_catalog.uri, rest_namespace
    )
    place.load(ROWS)
    client, secret = rest_catalog.credential.split(":")
    monkeypatch.setenv("LAKE_CATALOG_CREDENTIAL", rest_catalog.credential)
    monkeypatch.setenv("LAKE_CATALOG_CLIENT_ID", client)
    monkeypatch.setenv("LAKE_CATALOG_CLIENT_SECRET", secret)
    check(place, engine, "iceberg", monkeypatch)


@pytest.mark.parametrize("form", ["delta", "iceberg"])
@pytest.mark.parametrize("engine", ENGINES)
def test_no_snippet_shows_a_secret(engine: str, form: str) -> None:
    options = dict(SECRETS) if engine != "trino" else {k: v for k, v in SECRETS.items() if "token" not in k}
    for catalog in (REST, "postgresql://me:hush@db/lake", "glue://", "hive://meta"):
        target = Target(
            "t", "default", form, "s3://lake/default/t", StorageOptions(options), catalog, "s3://lake/m.json"
        )
        try:
            text = connect(engine, target)
        except ConfigError as refused:  # Athena reads Iceberg from Glue only
            text = str(refused)
        assert "hush" not in text
        assert "KEYID" not in text


def test_delta_table_known_to_a_metastore_is_read_by_its_name() -> None:
    target = Target(
        "t", "sales", "delta", "s3://lake/sales/t", catalog="hive://meta:9083", warehouse="s3://lake"
    )
    assert 'spark.table("sales.`t`")' in connect("spark", target)
    assert '"spark.hadoop.hive.metastore.uris": "thrift://meta:9083"' in connect("spark", target)
    assert "hive.metastore.uri=thrift://meta:9083" in connect("trino", target)
    assert "register_table" not in connect("trino", target)


def test_trino_is_given_references_it_resolves_itself() -> None:
    text = connect(
        "trino",
        Target(
            "t",
            "d",
            "iceberg",
            "s3://lake/d/t",
            StorageOptions({"aws_access_key_id": "K", "aws_secret_access_key": "S"}),
            REST,
        ),
    )
    assert "s3.aws-secret-key=${ENV:AWS_SECRET_ACCESS_KEY}" in text
    assert "iceberg.rest-catalog.oauth2.credential=${ENV:LAKE_CATALOG_CREDENTIAL}" in text
    assert "iceberg.rest-catalog.warehouse=lake" in text


@pytest.mark.parametrize(
    ("catalog", "properties"),
    [
        ("hive://meta", {"type": "hive", "uri": "thrift://meta:9083"}),
        ("glue://1234?region=eu-west-1", {"type": "glue", "glue.id": "1234", "client.region": "eu-west-1"}),
        (
            "postgresql://me:p@db/lake?catalog=ice",
            {"type": "jdbc", "uri": "jdbc:postgresql://db/lake", "jdbc.user": "me"},
        ),
    ],
)
def test_spark_finds_iceberg_tables_in_each_catalog(catalog: str, properties: dict[str, str]) -> None:
    text = connect("spark", Target("t", "d", "iceberg", "s3://lake/d/t", catalog=catalog))
    name = "ice" if "catalog=ice" in catalog else "lake"
    for key, value in properties.items():
        assert f'"spark.sql.catalog.{name}.{key}": "{value}"' in text
    assert f'spark.table("{name}.d.`t`")' in text


def test_snowflake_and_athena_have_the_shape_their_documentation_asks_for() -> None:
    delta = Target("t", "d", "delta", "s3://lake/p/d/t")
    snow = connect("snowflake", delta)
    assert re.search(r"CREATE EXTERNAL VOLUME .* STORAGE_BASE_URL = 's3://lake/'", snow, re.DOTALL)
    assert "TABLE_FORMAT = DELTA" in snow
    assert "BASE_LOCATION = 'p/d/t'" in snow
    iceberg = Target("t", "d", "iceberg", "s3://lake/p/d/t", metadata="s3://lake/p/d/t/metadata/1.json")
    assert "METADATA_FILE_PATH = 'p/d/t/metadata/1.json'" in connect("snowflake", iceberg)
    assert "'table_type' = 'DELTA'" in connect("athena", delta)
    with pytest.raises(ConfigError, match="Glue only"):
        connect("athena", iceberg)


@pytest.mark.parametrize(
    ("engine", "target", "said"),
    [
        ("presto", Target("t", "d", "delta", "/t"), "no snippet for 'presto'"),
        ("athena", Target("t", "d", "delta", "/t"), "reads Amazon S3 only"),
        ("snowflake", Target("t", "d", "delta", "/t"), "reads object stores only"),
        ("trino", Target("t", "d", "iceberg", "/t", catalog="sqlite:////c.db"), "no driver for SQLite"),
    ],
)
def test_engine_that_cannot_read_the_table_is_refused(engine: str, target: Target, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        connect(engine, target)


def test_inspect_prints_the_snippet_and_nothing_else(
    lake_root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(("delta", "iceberg"), lake_root)
    place.load(ROWS)
    assert main(["inspect", lake_root, "t", "--connect", "polars"]) == 0
    assert capsys.readouterr().out == connect("polars", target_of(place.lake(), "t")) + "\n"
    assert main(["inspect", lake_root, "t", "--connect", "polars", "-f", "iceberg"]) == 0
    assert "load_catalog" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--connect", "spark"], "--connect needs a table"),
        (["t", "--connect", "polars", "-f", "iceberg"], "not in iceberg"),
    ],
)
def test_snippet_for_nothing_is_refused(
    words: list[str], said: str, lake_root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Place(("delta",), lake_root).load(ROWS)
    assert main(["inspect", lake_root, *words]) == 2
    assert said in capsys.readouterr().err
