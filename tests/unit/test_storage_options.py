"""One vocabulary of storage options: what is refused, what is found, and how each library spells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakeload import config
from lakeload.errors import ConfigError
from lakeload.places import lake_root
from lakeload.storage_options import SECRET_KEYS, STORAGE_KEYS, StorageOptions

MINIO = {
    "aws_access_key_id": "KEYID",
    "aws_secret_access_key": "hush-secret",
    "aws_region": "eu-west-1",
    "aws_endpoint_url": "http://minio:9000",
}
AZURE = {"azure_storage_account_name": "acme", "azure_storage_account_key": "aHVzaA=="}
SERVICE = {"azure_client_id": "app", "azure_client_secret": "hush-secret", "azure_tenant_id": "org"}


def read(**options: object) -> StorageOptions:
    return StorageOptions.read(options, remote=False)


@pytest.fixture
def credentials_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "credentials"
    file.write_text(
        "[default]\naws_access_key_id = D\naws_secret_access_key = d\n"
        "[work]\naws_access_key_id = W\naws_secret_access_key = w\naws_session_token = t\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"aws_endpoint": "x"}, "unknown storage option 'aws_endpoint'"),
        ({"AWS_S3_ALLOW_UNSAFE_RENAME": "true"}, "unknown storage option"),
        ({"azure_container": "x"}, "azure_storage_account_name"),
        ({"gcs_token": "x"}, "aws_access_key_id"),
        ({"aws_skip_signature": "maybe"}, "Write true or false"),
    ],
)
def test_option_nobody_knows_is_refused_with_those_that_are_known(options: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(**options)


def test_keys_in_capitals_and_values_as_yaml_gives_them_are_taken() -> None:
    assert read(AWS_REGION="x", aws_skip_signature=True).values == {
        "aws_region": "x",
        "aws_skip_signature": "true",
    }


def test_no_secret_is_shown_by_the_repr_of_options() -> None:
    every = StorageOptions(dict.fromkeys(STORAGE_KEYS, "hush-secret"))
    assert "hush" not in repr(every)
    shown = every.with_secrets(lambda key: f"${{{key.upper()}}}").values
    assert {key for key, value in shown.items() if value != "hush-secret"} == SECRET_KEYS
    assert shown["aws_secret_access_key"] == "${AWS_SECRET_ACCESS_KEY}"


def test_what_is_missing_comes_from_the_environment_of_that_cloud_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://here")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "z")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/g.json")
    found = {
        scheme: dict(StorageOptions.read(None, remote=True, scheme=scheme).values)
        for scheme in ("s3", "abfss", "gs", "https")
    }
    assert found["s3"] == {
        "aws_access_key_id": "A", "aws_secret_access_key": "a", "aws_endpoint_url": "http://here", "aws_region": "us-east-1",
    }  # fmt: skip
    assert found["abfss"] == {"azure_storage_account_key": "z"}
    assert found["gs"] == {"google_application_credentials": "/g.json"}
    assert found["https"] == {}


def test_own_key_is_never_completed_with_an_ambient_session_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of A")
    own = {"aws_access_key_id": "B", "aws_secret_access_key": "b"}
    assert "aws_session_token" not in StorageOptions.read(own, remote=True).values


@pytest.mark.usefixtures("credentials_file")
def test_profile_chooses_keys_of_the_shared_file_over_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a")
    values = StorageOptions.read({"aws_profile": "work"}, remote=True).values
    assert (values["aws_access_key_id"], values["aws_session_token"]) == ("W", "t")
    assert "aws_profile" not in StorageOptions(values).for_object_store("s3://b/x")


@pytest.mark.usefixtures("credentials_file")
def test_profile_nobody_wrote_is_refused() -> None:
    with pytest.raises(ConfigError, match="no AWS profile 'play'"):
        StorageOptions.read({"aws_profile": "play"}, remote=True)
    assert config.aws_credentials() == {"aws_access_key_id": "D", "aws_secret_access_key": "d"}


@pytest.mark.usefixtures("credentials_file")
def test_anonymous_access_looks_for_no_keys() -> None:
    options = StorageOptions.read({"aws_skip_signature": "true"}, remote=True)
    assert options.values == {"aws_skip_signature": "true", "aws_region": "us-east-1"}
    assert options.for_s3fs()["anon"] is True
    assert options.for_pyarrow() == {"region": "us-east-1", "anonymous": True}
    assert options.for_pyiceberg()["s3.anonymous"] == "true"


def test_own_endpoint_means_path_style_and_http_as_it_says() -> None:
    options = read(**MINIO)
    assert (options.path_style, options.allow_http) == (True, True)
    assert "config_kwargs" not in options.for_s3fs()  # botocore does the same by itself
    assert options.for_object_store("s3://lake/x") == {**MINIO, "aws_allow_http": "true"}
    assert options.for_pyarrow()["endpoint_override"] == "minio:9000"
    assert options.for_pyarrow()["scheme"] == "http"
    assert not read(aws_region="x").path_style
    assert not read(aws_endpoint_url="https://s").allow_http


def test_bucket_in_the_host_name_is_said_to_every_library_in_its_own_way() -> None:
    options = read(**MINIO, aws_virtual_hosted_style_request="true")
    assert not options.path_style
    assert options.for_s3fs()["config_kwargs"] == {"s3": {"addressing_style": "virtual"}}
    assert options.for_object_store("s3://lake/x")["aws_endpoint_url"] == "http://lake.minio:9000"
    assert options.for_pyiceberg()["s3.force-virtual-addressing"] == "true"
    assert options.for_pyarrow()["force_virtual_addressing"] is True


def test_azure_is_spelled_for_each_library() -> None:
    url = "abfss://lake@acme.dfs.core.windows.net/x"
    assert read(**AZURE).for_adlfs(url) == {"account_name": "acme", "account_key": "aHVzaA==", "anon": False}
    assert read(**SERVICE).for_fsspec(url) == {
        "account_name": "acme", "client_id": "app", "client_secret": "hush-secret", "tenant_id": "org", "anon": False,
    }  # fmt: skip
    assert read(**AZURE).for_object_store(url) == AZURE
    assert read(**SERVICE).for_pyiceberg()["adls.client-secret"] == "hush-secret"
    token = read(azure_storage_account_name="acme", azure_storage_sas_token="?sv=1&sig=x")
    assert token.for_adlfs()["sas_token"] == "?sv=1&sig=x"


def test_azure_endpoint_goes_into_a_connection_string() -> None:
    options = read(**AZURE, azure_storage_endpoint="http://localhost:10000/acme/")
    text = "DefaultEndpointsProtocol=http;AccountName=acme;AccountKey=aHVzaA==;BlobEndpoint=http://localhost:10000/acme;"
    assert options.for_adlfs("az://lake/x") == {"connection_string": text}
    assert options.for_pyiceberg()["adls.connection-string"] == text
    assert options.for_object_store("az://lake/x")["azure_allow_http"] == "true"


def test_google_is_spelled_for_each_library() -> None:
    assert read().for_gcsfs() == {"token": "google_default"}
    assert read(google_service_account="/k.json").for_gcsfs() == {"token": "/k.json"}
    assert read(google_service_account_key='{"a": 1}').for_fsspec("gs://b/x") == {"token": {"a": 1}}
    public = read(google_skip_signature="true", google_base_url="http://localhost:4443")
    assert public.for_gcsfs() == {"token": "anon", "endpoint_url": "http://localhost:4443"}
    assert public.for_object_store("gs://b/x") == {**public.values, "google_allow_http": "true"}
    with pytest.raises(ConfigError, match="is no JSON") as caught:
        read(google_service_account_key="hush").for_gcsfs()
    assert "hush" not in str(caught.value)


def test_libraries_hear_of_no_other_cloud_than_the_one_of_the_place() -> None:
    options = read(**MINIO, **AZURE)
    assert set(options.for_object_store("s3://b/x")) == {*MINIO, "aws_allow_http"}
    assert set(options.for_object_store("az://b/x")) == set(AZURE)


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("s3a://lake/p/", "s3://lake/p"),
        ("gcs://lake/p", "gs://lake/p"),
        ("az://lake/p/", "abfss://lake@acme.dfs.core.windows.net/p"),
        ("az://lake", "abfss://lake@acme.dfs.core.windows.net"),
        ("abfs://lake@other.dfs.core.windows.net/p", "abfss://lake@other.dfs.core.windows.net/p"),
    ],
)
def test_place_has_one_spelling_in_table_metadata(url: str, root: str) -> None:
    assert lake_root(url, read(**AZURE).values) == root


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("s3://", {}, "cannot keep tables"),
        ("http://lake/x", {}, "cannot keep tables"),
        ("az://lake/p", {}, "the storage account is not known"),
        ("s3://lake/p", {"aws_endpoint_url": "https://storage.googleapis.com"}, "Write gs://lake/p"),
        ("s3://lake/p", {"aws_endpoint_url": "https://lake.storage.googleapis.com/"}, "conditional puts"),
    ],
)
def test_place_where_tables_cannot_be_kept_is_refused(url: str, options: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        lake_root(url, read(**options).values)


def test_region_of_the_profile_is_used_where_none_is_given(tmp_path, monkeypatch):
    settings = tmp_path / "config"
    settings.write_text("[default]\nregion = eu-north-1\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(settings))
    assert StorageOptions.read({}, remote=True).values["aws_region"] == "eu-north-1"
    assert StorageOptions.read({"aws_region": "eu-west-1"}, remote=True).values["aws_region"] == "eu-west-1"
