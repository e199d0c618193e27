"""Reading a published table with Snowflake: SQL written after its documentation, not run by tests."""

from __future__ import annotations

from urllib.parse import urlsplit

from lakeload.connect.target import Target
from lakeload.places import azure_account


def snippet(target: Target) -> str:
    """SQL that makes an external volume, a catalog integration and an Iceberg table over the files.

    Example:
        >>> print(snippet(Target("t", "default", "delta", "s3://lake/default/t")).splitlines()[1])
        CREATE EXTERNAL VOLUME IF NOT EXISTS lake_volume
    """
    volume = _volume(target)
    path = urlsplit(target.location).path.strip("/")
    if target.format == "delta":
        integration = ["CATALOG_SOURCE = OBJECT_STORE", "TABLE_FORMAT = DELTA"]
        table = [f"BASE_LOCATION = '{path}'"]
    elif target.place and target.place.kind == "rest":
        warehouse = target.place.settings.get("warehouse", "")
        integration = [
            "CATALOG_SOURCE = ICEBERG_REST",
            "TABLE_FORMAT = ICEBERG",
            f"CATALOG_NAMESPACE = '{target.namespace}'",
            f"REST_CONFIG = (CATALOG_URI = '{target.place.address}' WAREHOUSE = '{warehouse}')",
            "REST_AUTHENTICATION = (TYPE = BEARER BEARER_TOKEN = '${LAKE_CATALOG_TOKEN}')",
        ]
        table = [f"CATALOG_TABLE_NAME = '{target.name}'"]
    else:
        inside = (target.metadata or "").removeprefix(f"{target.location}/")
        integration = ["CATALOG_SOURCE = OBJECT_STORE", "TABLE_FORMAT = ICEBERG"]
        # Without a catalog to ask, Snowflake's table stays at this version until it is refreshed.
        table = [f"METADATA_FILE_PATH = '{path}/{inside}'"]
    return "\n".join(
        [
            "-- Replace what stands in <…> and ${…}; not run by lakeload's tests.",
            "CREATE EXTERNAL VOLUME IF NOT EXISTS lake_volume",
            f"  STORAGE_LOCATIONS = (({volume}));",
            "CREATE CATALOG INTEGRATION IF NOT EXISTS lake_catalog",
            *(f"  {line}" for line in integration),
            "  ENABLED = TRUE;",
            f'CREATE ICEBERG TABLE IF NOT EXISTS "{target.name}"',
            "  EXTERNAL_VOLUME = 'lake_volume'",
            "  CATALOG = 'lake_catalog'",
            *(f"  {line}" for line in table[:-1]),
            f"  {table[-1]};",
            f'SELECT * FROM "{target.name}";',
        ]
    )


def _volume(target: Target) -> str:
    match target.family:
        case "aws":
            if endpoint := target.options.get("aws_endpoint_url"):
                host = endpoint.partition("://")[2]
                return (
                    "NAME = 'lake' STORAGE_PROVIDER = 'S3COMPAT' "
                    f"STORAGE_BASE_URL = 's3compat://{target.bucket}/' STORAGE_ENDPOINT = '{host}' "
                    "CREDENTIALS = (AWS_KEY_ID = '${AWS_ACCESS_KEY_ID}' "
                    "AWS_SECRET_KEY = '${AWS_SECRET_ACCESS_KEY}')"
                )
            return (
                f"NAME = 'lake' STORAGE_PROVIDER = 'S3' STORAGE_BASE_URL = 's3://{target.bucket}/' "
                "STORAGE_AWS_ROLE_ARN = '<arn of a role that may read the bucket>'"
            )
        case "google":
            return f"NAME = 'lake' STORAGE_PROVIDER = 'GCS' STORAGE_BASE_URL = 'gcs://{target.bucket}/'"
        case "azure":
            account = azure_account(target.location) or target.options.get("azure_storage_account_name")
            return (
                "NAME = 'lake' STORAGE_PROVIDER = 'AZURE' STORAGE_BASE_URL = "
                f"'azure://{account}.blob.core.windows.net/{target.bucket}/' AZURE_TENANT_ID = '<tenant>'"
            )
    raise target.refuse("Snowflake", "reads object stores only", "Keep the lake on S3, GCS or Azure.")
