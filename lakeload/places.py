"""Where a lake can be: the URLs users write, and the one spelling that goes into table metadata."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from lakeload.errors import ConfigError

SCHEMES = {
    "s3": "aws",
    "s3a": "aws",
    "gs": "google",
    "gcs": "google",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
}
"""URL scheme → first word of the keys that speak of it."""


def azure_account(location: str) -> str | None:
    """The storage account a URL names, if it does.

    Example:
        >>> azure_account("abfss://lake@prod.dfs.core.windows.net/a"), azure_account("az://lake/a")
        ('prod', None)
    """
    host = urlsplit(location).netloc
    return host.partition("@")[2].partition(".")[0] or None


def is_plain(location: str) -> bool:
    """Whether a location is the same as path and as URL, and no folder in it looks like a partition's.

    Example:
        >>> is_plain("s3://lake/prod"), is_plain("/lake/env=prod"), is_plain("/lake/a b")
        (True, False, False)
    """
    path = location.partition("://")[2].partition("/")[2] if "://" in location else location
    return quote(path) == path


_PLACES = "Give a local path, s3://bucket/prefix, gs://bucket/prefix or abfss://container@account…/prefix."


def lake_root(url: str, options: Mapping[str, str]) -> str:
    """The root of a lake in the one spelling that goes into table metadata, so that every engine reads it.

    `s3a://` and `gcs://` become `s3://` and `gs://`; every Azure spelling names its account, because Hadoop
    and Trino know no other.

    Args:
        url: What the user wrote.
        options: Storage options: keys as of `lakeload.storage_options.STORAGE_KEYS`.

    Raises:
        ConfigError: The URL names no place for tables, or one where commits could be lost.

    Example:
        >>> lake_root("az://lake/prod/", {"azure_storage_account_name": "acme"})
        'abfss://lake@acme.dfs.core.windows.net/prod'
    """
    scheme, _, rest = url.partition("://")
    family, rest = SCHEMES.get(scheme), rest.strip("/")
    if family is None or not rest:
        raise ConfigError(f"cannot keep tables at {url!r}", hint=_PLACES)
    if set(rest) & set("?#"):
        raise ConfigError(
            "tables cannot be kept below a name with ? or #",
            place=url,
            hint="Readers take what follows for a query: choose another prefix.",
        )
    if family == "azure":
        return _azure_root(url, rest, options)
    host = urlsplit(options.get("aws_endpoint_url", "")).hostname or ""
    if family == "aws" and host.endswith("storage.googleapis.com"):
        raise ConfigError(
            "Google's S3-compatible API ignores conditional puts: commits could overwrite one another",
            place=url,
            hint=f"Write gs://{rest} with google_service_account; see docs/guides/object-stores.md.",
        )
    return f"{'s3' if family == 'aws' else 'gs'}://{rest}"


def _azure_root(url: str, rest: str, options: Mapping[str, str]) -> str:
    if azure_account(url):
        return f"abfss://{rest}"
    account = options.get("azure_storage_account_name")
    if account is None:
        raise ConfigError(
            "the storage account is not known",
            place=url,
            hint="Give azure_storage_account_name, or abfss://container@account.dfs.core.windows.net/prefix.",
        )
    container, _, path = rest.partition("/")
    return f"abfss://{container}@{account}.dfs.core.windows.net/{path}".rstrip("/")
