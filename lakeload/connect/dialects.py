"""Storage options in the words of engines outside this process, for those who read what a commit published.

Pure translations of `lakeload.storage_options`; the libraries lakeload itself uses are translated there.
Rules: the reference pages of each engine, named at each function.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from lakeload.connect.target import literal
from lakeload.errors import ConfigError
from lakeload.places import SCHEMES, azure_account
from lakeload.storage_options import StorageOptions

_S3A = "spark.hadoop.fs.s3a."
_HADOOP_CREDENTIALS = "org.apache.hadoop.fs.s3a."


def for_spark(options: StorageOptions, location: str = "s3://") -> dict[str, str]:
    """Spark settings for Hadoop's file systems: what Delta Lake and plain Parquet read through.

    Args:
        options: How the store is reached.
        location: URL of the table; its scheme says which store.

    Returns:
        `spark.hadoop.…` settings; empty for a local place.

    Example:
        >>> for_spark(StorageOptions({"aws_region": "eu-west-1"}))["spark.hadoop.fs.s3a.endpoint.region"]
        'eu-west-1'
    """
    match SCHEMES.get(location.partition("://")[0]):
        case "aws":
            return _hadoop_s3(options)
        case "google":
            return _hadoop_google(options)
        case "azure":
            return _hadoop_azure(options, location)
    return {}


def _hadoop_s3(options: StorageOptions) -> dict[str, str]:
    names = {
        "aws_endpoint_url": "endpoint",
        "aws_region": "endpoint.region",
        "aws_access_key_id": "access.key",
        "aws_secret_access_key": "secret.key",
        "aws_session_token": "session.token",
    }
    found = {"spark.hadoop.fs.s3.impl": f"{_HADOOP_CREDENTIALS}S3AFileSystem"}  # s3:// is unknown to Hadoop
    found |= {_S3A + name: value for key, name in names.items() if (value := options.get(key))}
    if options.path_style:
        found[f"{_S3A}path.style.access"] = "true"
    if options.allow_http:
        found[f"{_S3A}connection.ssl.enabled"] = "false"
    if options.is_set("aws_skip_signature"):
        found[f"{_S3A}aws.credentials.provider"] = f"{_HADOOP_CREDENTIALS}AnonymousAWSCredentialsProvider"
    elif options.get("aws_session_token"):
        found[f"{_S3A}aws.credentials.provider"] = f"{_HADOOP_CREDENTIALS}TemporaryAWSCredentialsProvider"
    return found


def _hadoop_google(options: StorageOptions) -> dict[str, str]:
    # https://github.com/GoogleCloudDataproc/hadoop-connectors, gcs/CONFIGURATION.md
    found = {"spark.hadoop.fs.gs.impl": "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFileSystem"}
    auth = "spark.hadoop.fs.gs.auth."
    file = options.get("google_service_account") or options.get("google_application_credentials")
    if options.is_set("google_skip_signature"):
        found[f"{auth}type"] = "UNAUTHENTICATED"
    elif file:
        found |= {
            f"{auth}type": "SERVICE_ACCOUNT_JSON_KEYFILE",
            f"{auth}service.account.json.keyfile": file,
        }
    else:
        found[f"{auth}type"] = "APPLICATION_DEFAULT"
    if endpoint := options.get("google_base_url"):
        found["spark.hadoop.fs.gs.storage.root.url"] = endpoint.rstrip("/") + "/"
    return found


def _hadoop_azure(options: StorageOptions, location: str) -> dict[str, str]:
    # https://hadoop.apache.org/docs/stable/hadoop-azure/abfs.html
    host = f"{_account(options, location)}.dfs.core.windows.net"
    prefix = "spark.hadoop.fs.azure."
    if key := options.get("azure_storage_account_key"):
        return {f"{prefix}account.key.{host}": key}
    if token := options.get("azure_storage_sas_token"):
        return {f"{prefix}account.auth.type.{host}": "SAS", f"{prefix}sas.fixed.token.{host}": token}
    oauth = "org.apache.hadoop.fs.azurebfs.oauth2."
    if client := options.get("azure_client_id"):
        tenant = options.get("azure_tenant_id") or "common"
        return {
            f"{prefix}account.auth.type.{host}": "OAuth",
            f"{prefix}account.oauth.provider.type.{host}": f"{oauth}ClientCredsTokenProvider",
            f"{prefix}account.oauth2.client.id.{host}": client,
            f"{prefix}account.oauth2.client.secret.{host}": options.get("azure_client_secret") or "",
            f"{prefix}account.oauth2.client.endpoint.{host}": f"{_LOGIN}/{tenant}/oauth2/token",
        }
    return {
        f"{prefix}account.auth.type.{host}": "OAuth",
        f"{prefix}account.oauth.provider.type.{host}": f"{oauth}MsiTokenProvider",
    }


_LOGIN = "https://login.microsoftonline.com"


def for_iceberg_java(options: StorageOptions, location: str = "s3://") -> dict[str, str]:
    """Properties of an Iceberg catalog of Spark or Flink: the FileIO and how it reaches the store.

    Args:
        options: How the store is reached.
        location: URL of the table; its scheme says which FileIO.

    Returns:
        Properties to set below `spark.sql.catalog.<name>.`; empty for a local place.

    Example:
        >>> for_iceberg_java(StorageOptions({"aws_endpoint_url": "http://minio:9000"}))["s3.path-style-access"]
        'true'
    """
    names = {
        "aws_endpoint_url": "s3.endpoint",
        "aws_access_key_id": "s3.access-key-id",
        "aws_secret_access_key": "s3.secret-access-key",
        "aws_session_token": "s3.session-token",
        "aws_region": "client.region",
        "azure_storage_account_key": "adls.auth.shared-key.account.key",
        "azure_client_id": "adls.token-credential.client-id",
        "google_base_url": "gcs.service.host",
    }
    family = SCHEMES.get(location.partition("://")[0])
    known = {key: name for key, name in names.items() if key.startswith(f"{family}_")}
    found = {name: value for key, name in known.items() if (value := options.get(key))}
    match family:
        case "aws":
            found = {"io-impl": "org.apache.iceberg.aws.s3.S3FileIO", **found}
            if options.path_style:
                found["s3.path-style-access"] = "true"
            if options.is_set("aws_skip_signature"):
                found["client.credentials-provider"] = (
                    "software.amazon.awssdk.auth.credentials.AnonymousCredentialsProvider"
                )
        case "google":
            found = {"io-impl": "org.apache.iceberg.gcp.gcs.GCSFileIO", **found}
            if options.is_set("google_skip_signature"):
                found["gcs.no-auth"] = "true"
        case "azure":
            account = _account(options, location)
            found = {"io-impl": "org.apache.iceberg.azure.adlsv2.ADLSFileIO", **found}
            if "adls.auth.shared-key.account.key" in found:
                found["adls.auth.shared-key.account.name"] = account
            if token := options.get("azure_storage_sas_token"):
                found[f"adls.sas-token.{account}"] = token
    return found


def for_trino(options: StorageOptions, location: str = "s3://") -> dict[str, str]:
    """Properties of a Trino catalog for its own file systems.

    Args:
        options: How the store is reached.
        location: URL of the table; its scheme says which file system.

    Returns:
        `fs.…`, `s3.…`, `gcs.…` or `azure.…` properties.

    Raises:
        ConfigError: Trino has no property for these credentials.

    Example:
        >>> for_trino(StorageOptions({"aws_region": "eu-west-1"}))
        {'fs.native-s3.enabled': 'true', 's3.region': 'eu-west-1'}
    """
    match SCHEMES.get(location.partition("://")[0]):
        case "aws":
            return _trino_s3(options)
        case "google":
            return _trino_google(options)
        case "azure":
            return _trino_azure(options)
    return {"fs.native-local.enabled": "true", "local.location": "/"}


def _trino_s3(options: StorageOptions) -> dict[str, str]:
    # https://trino.io/docs/current/object-storage/file-system-s3.html
    if options.get("aws_session_token"):
        raise ConfigError(
            "Trino takes no session token",
            hint="Give its machines a role, or keys that last; see s3.iam-role.",
        )
    names = {
        "aws_endpoint_url": "s3.endpoint",
        "aws_region": "s3.region",
        "aws_access_key_id": "s3.aws-access-key",
        "aws_secret_access_key": "s3.aws-secret-key",
    }
    found = {"fs.native-s3.enabled": "true"}
    found |= {name: value for key, name in names.items() if (value := options.get(key))}
    return found | ({"s3.path-style-access": "true"} if options.path_style else {})


def _trino_google(options: StorageOptions) -> dict[str, str]:
    # https://trino.io/docs/current/object-storage/file-system-gcs.html
    found = {"fs.native-gcs.enabled": "true"}
    file = options.get("google_service_account") or options.get("google_application_credentials")
    if text := options.get("google_service_account_key"):
        found["gcs.json-key"] = text
    elif file:
        found["gcs.json-key-file-path"] = file
    if endpoint := options.get("google_base_url"):
        found["gcs.endpoint"] = endpoint
    return found


def _trino_azure(options: StorageOptions) -> dict[str, str]:
    # https://trino.io/docs/current/object-storage/file-system-azure.html
    found = {"fs.native-azure.enabled": "true"}
    if key := options.get("azure_storage_account_key"):
        return found | {"azure.auth-type": "ACCESS_KEY", "azure.access-key": key}
    if options.get("azure_storage_sas_token"):
        raise ConfigError(
            "Trino takes no shared access signature", hint="Use an account key or a service principal."
        )
    if client := options.get("azure_client_id"):
        tenant = options.get("azure_tenant_id") or "common"
        return found | {
            "azure.auth-type": "OAUTH",
            "azure.oauth.tenant-id": tenant,
            "azure.oauth.endpoint": f"{_LOGIN}/{tenant}/oauth2/v2.0/token",
            "azure.oauth.client-id": client,
            "azure.oauth.secret": options.get("azure_client_secret") or "",
        }
    return found | {"azure.auth-type": "DEFAULT"}


def for_duckdb(options: StorageOptions, location: str = "s3://", name: str = "lake") -> str:
    """A `CREATE SECRET` statement for DuckDB; empty for a local place.

    Args:
        options: How the store is reached.
        location: URL of the table; its scheme says which kind of secret.
        name: Name of the secret.

    Raises:
        ConfigError: DuckDB has no secret for these credentials.

    Example:
        >>> print(for_duckdb(StorageOptions({"aws_region": "eu-west-1", "aws_skip_signature": "true"})))
        CREATE OR REPLACE SECRET lake (TYPE s3, PROVIDER config, REGION 'eu-west-1')
    """
    match SCHEMES.get(location.partition("://")[0]):
        case "aws":
            terms = _duckdb_s3(options)
        case "azure":
            terms = _duckdb_azure(options, location)
        case "google":
            raise ConfigError(
                "DuckDB reads Google Cloud Storage with HMAC keys only",
                hint="Make an HMAC key and a secret of TYPE gcs, or read with Polars.",
            )
        case _:
            return ""
    return f"CREATE OR REPLACE SECRET {name} ({', '.join(terms)})"


def _duckdb_s3(options: StorageOptions) -> list[str]:
    # https://duckdb.org/docs/stable/core_extensions/httpfs/s3api
    names = {
        "aws_access_key_id": "KEY_ID",
        "aws_secret_access_key": "SECRET",
        "aws_session_token": "SESSION_TOKEN",
        "aws_region": "REGION",
    }
    known = "aws_access_key_id" in options.values or options.is_set("aws_skip_signature")
    terms = ["TYPE s3", f"PROVIDER {'config' if known else 'credential_chain'}"]
    terms += [f"{name} {literal(value)}" for key, name in names.items() if (value := options.get(key))]
    if endpoint := options.get("aws_endpoint_url"):
        terms.append(f"ENDPOINT {literal(endpoint.rstrip('/').partition('://')[2])}")
        terms.append(f"USE_SSL {'true' if endpoint.startswith('https://') else 'false'}")
    if options.path_style:
        terms.append("URL_STYLE 'path'")
    return terms


def _duckdb_azure(options: StorageOptions, location: str) -> list[str]:
    # https://duckdb.org/docs/stable/core_extensions/azure
    account = _account(options, location)
    if "connection_string" in (given := options.for_adlfs(location)):
        return ["TYPE azure", f"CONNECTION_STRING {literal(given['connection_string'])}"]
    if key := options.get("azure_storage_account_key"):
        text = f"DefaultEndpointsProtocol=https;AccountName={account};AccountKey={key}"
        return ["TYPE azure", f"CONNECTION_STRING {literal(text)}"]
    if token := options.get("azure_storage_sas_token"):
        text = f"BlobEndpoint=https://{account}.blob.core.windows.net;SharedAccessSignature={token}"
        return ["TYPE azure", f"CONNECTION_STRING {literal(text)}"]
    terms = ["TYPE azure", f"ACCOUNT_NAME {literal(account)}"]
    if client := options.get("azure_client_id"):
        return [
            *terms,
            "PROVIDER service_principal",
            f"TENANT_ID {literal(options.get('azure_tenant_id') or '')}",
            f"CLIENT_ID {literal(client)}",
            f"CLIENT_SECRET {literal(options.get('azure_client_secret') or '')}",
        ]
    return [*terms, f"PROVIDER {'config' if options.is_set('azure_skip_signature') else 'credential_chain'}"]


def for_clickhouse(options: StorageOptions, location: str) -> list[str]:
    """Arguments of ClickHouse's `deltaLake` and `iceberg` table functions for an S3 table: URL, key, secret.

    Args:
        options: How the store is reached.
        location: `s3://bucket/path` of the table.

    Returns:
        One argument for anonymous access, else three, or four with a session token.

    Example:
        >>> for_clickhouse(StorageOptions({"aws_endpoint_url": "http://minio:9000"}), "s3://lake/default/t")
        ['http://minio:9000/lake/default/t/']
    """
    parts = urlsplit(location)
    endpoint = (options.get("aws_endpoint_url") or "").rstrip("/")
    if not endpoint:
        url = f"https://{parts.netloc}.s3.{options.get('aws_region')}.amazonaws.com{parts.path}/"
    elif options.path_style:
        url = f"{endpoint}/{parts.netloc}{parts.path}/"
    else:
        scheme, _, host = endpoint.partition("://")
        url = f"{scheme}://{parts.netloc}.{host}{parts.path}/"
    keys = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    return [url, *(value for key in keys if (value := options.get(key)))]


def for_hadoop(location: str, options: StorageOptions) -> str:
    """The location as Hadoop and Trino spell it: `az://` has no account and is unknown to them.

    Example:
        >>> for_hadoop("az://lake/a", StorageOptions({"azure_storage_account_name": "prod"}))
        'abfss://lake@prod.dfs.core.windows.net/a'
    """
    if SCHEMES.get(location.partition("://")[0]) != "azure" or azure_account(location):
        return location
    parts = urlsplit(location)
    return f"abfss://{parts.netloc}@{_account(options, location)}.dfs.core.windows.net{parts.path}"


def _account(options: StorageOptions, location: str) -> str:
    account = azure_account(location) or options.get("azure_storage_account_name")
    if not account:
        raise ConfigError(
            "the storage account is not known",
            place=location,
            hint="Give azure_storage_account_name, or write abfss://container@account.dfs.core.windows.net/….",
        )
    return account
