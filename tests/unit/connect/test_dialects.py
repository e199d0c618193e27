"""Storage options in the words of engines outside this process."""

from __future__ import annotations

import pytest

from lakeload.connect.dialects import (
    for_clickhouse,
    for_duckdb,
    for_hadoop,
    for_iceberg_java,
    for_spark,
    for_trino,
)
from lakeload.errors import ConfigError
from lakeload.storage_options import StorageOptions

MINIO = StorageOptions(
    {
        "aws_access_key_id": "K",
        "aws_secret_access_key": "it's",
        "aws_region": "eu-west-1",
        "aws_endpoint_url": "http://minio:9000",
    }
)
TEMPORARY = StorageOptions({"aws_access_key_id": "K", "aws_secret_access_key": "S", "aws_session_token": "T"})
PUBLIC = StorageOptions({"aws_skip_signature": "true", "aws_region": "eu-west-1"})
AZURE_URL = "abfss://lake@acme.dfs.core.windows.net/t"
AZURE_KEY = StorageOptions({"azure_storage_account_key": "k"})
AZURE_SAS = StorageOptions({"azure_storage_sas_token": "sv=1"})
AZURE_APP = StorageOptions({"azure_client_id": "a", "azure_client_secret": "s", "azure_tenant_id": "t"})
GOOGLE = StorageOptions({"google_service_account": "/k.json"})


def test_spark_reaches_s3_through_hadoop() -> None:
    found = for_spark(MINIO, "s3://lake/t")
    assert found["spark.hadoop.fs.s3.impl"] == "org.apache.hadoop.fs.s3a.S3AFileSystem"
    assert found["spark.hadoop.fs.s3a.endpoint"] == "http://minio:9000"
    assert found["spark.hadoop.fs.s3a.path.style.access"] == "true"
    assert found["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "false"
    assert for_spark(MINIO, "/local") == {}


@pytest.mark.parametrize(("options", "provider"), [(TEMPORARY, "Temporary"), (PUBLIC, "Anonymous")])
def test_spark_is_told_which_kind_of_keys_these_are(options: StorageOptions, provider: str) -> None:
    assert provider in for_spark(options)["spark.hadoop.fs.s3a.aws.credentials.provider"]


@pytest.mark.parametrize(
    ("options", "key", "value"),
    [
        (AZURE_KEY, "account.key", "k"),
        (AZURE_SAS, "sas.fixed.token", "sv=1"),
        (AZURE_APP, "account.oauth2.client.secret", "s"),
        (StorageOptions(), "account.auth.type", "OAuth"),
    ],
)
def test_spark_reaches_azure_with_every_kind_of_credentials(
    options: StorageOptions, key: str, value: str
) -> None:
    assert for_spark(options, AZURE_URL)[f"spark.hadoop.fs.azure.{key}.acme.dfs.core.windows.net"] == value


def test_iceberg_in_java_has_a_file_io_for_each_cloud() -> None:
    assert for_iceberg_java(MINIO, "s3://lake/t") == {
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "s3.endpoint": "http://minio:9000",
        "s3.access-key-id": "K",
        "s3.secret-access-key": "it's",
        "client.region": "eu-west-1",
        "s3.path-style-access": "true",
    }
    assert for_iceberg_java(AZURE_KEY, AZURE_URL)["adls.auth.shared-key.account.name"] == "acme"
    assert for_iceberg_java(AZURE_SAS, AZURE_URL)["adls.sas-token.acme"] == "sv=1"
    assert for_iceberg_java(GOOGLE, "gs://lake/t") == {"io-impl": "org.apache.iceberg.gcp.gcs.GCSFileIO"}
    assert for_iceberg_java(MINIO, "/local") == {}


def test_trino_uses_its_own_file_systems() -> None:
    assert for_trino(MINIO, "s3://lake/t") == {
        "fs.native-s3.enabled": "true",
        "s3.endpoint": "http://minio:9000",
        "s3.region": "eu-west-1",
        "s3.aws-access-key": "K",
        "s3.aws-secret-key": "it's",
        "s3.path-style-access": "true",
    }
    assert for_trino(GOOGLE, "gs://lake/t")["gcs.json-key-file-path"] == "/k.json"
    assert for_trino(AZURE_APP, AZURE_URL)["azure.oauth.client-id"] == "a"


@pytest.mark.parametrize(("options", "url"), [(TEMPORARY, "s3://b/t"), (AZURE_SAS, AZURE_URL)])
def test_credentials_trino_has_no_words_for_are_refused(options: StorageOptions, url: str) -> None:
    with pytest.raises(ConfigError, match="Trino takes no"):
        for_trino(options, url)


def test_duckdb_gets_a_secret_with_quotes_in_their_place() -> None:
    assert for_duckdb(MINIO, "s3://lake/t") == (
        "CREATE OR REPLACE SECRET lake (TYPE s3, PROVIDER config, KEY_ID 'K', SECRET 'it''s', REGION 'eu-west-1', "
        "ENDPOINT 'minio:9000', USE_SSL false, URL_STYLE 'path')"
    )
    assert "PROVIDER credential_chain" in for_duckdb(StorageOptions({"aws_region": "x"}))
    assert "AccountName=acme;AccountKey=k" in for_duckdb(AZURE_KEY, AZURE_URL)
    assert for_duckdb(MINIO, "/local") == ""
    with pytest.raises(ConfigError, match="HMAC keys only"):
        for_duckdb(GOOGLE, "gs://lake/t")


def test_clickhouse_takes_an_http_address_and_keys() -> None:
    assert for_clickhouse(MINIO, "s3://lake/t") == ["http://minio:9000/lake/t/", "K", "it's"]
    assert for_clickhouse(PUBLIC, "s3://lake/t") == ["https://lake.s3.eu-west-1.amazonaws.com/t/"]


def test_account_that_nobody_named_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="the storage account is not known"):
        for_hadoop("az://lake/t", StorageOptions())
