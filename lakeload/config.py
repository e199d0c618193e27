"""Settings, secrets and the environment: the only module that reads them.

`storage_options` use one vocabulary for every library underneath, the lower-case AWS names that
delta-rs, Polars and object_store share. Other spellings are refused rather than ignored.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lakeload.errors import ConfigError

STORAGE_KEYS = {
    "aws_access_key_id": "access key",
    "aws_secret_access_key": "secret key",
    "aws_session_token": "session token of temporary credentials",
    "aws_region": "region, default us-east-1",
    "aws_endpoint_url": "endpoint of an S3-compatible server; an http:// endpoint is allowed as such",
}
"""Keys of `storage_options` and what they mean."""

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """Credentials and endpoint of an object store, in the spelling of each library that needs them.

    Values not given are taken from the environment; keys then from where AWS tools look, shared credentials
    files and instance metadata (by botocore). The repr shows no secret.
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, options: Mapping[str, str] | None, *, remote: bool) -> StorageOptions:
        """Check the user's options and complete them from the environment when `remote`.

        Raises:
            ConfigError: A key is not one of `STORAGE_KEYS`.
        """
        given = {str(key).lower(): str(value) for key, value in (options or {}).items()}
        unknown = sorted(set(given) - set(STORAGE_KEYS))
        if unknown:
            raise ConfigError(
                f"unknown storage option {unknown[0]!r}", hint=f"Known ones: {', '.join(STORAGE_KEYS)}."
            )
        if not remote:
            return cls(given)
        found = {**_from_environment(), **given}
        if "aws_access_key_id" not in found:
            found.update(_from_botocore())
        found.setdefault("aws_region", "us-east-1")
        return cls(found)

    def for_s3fs(self) -> dict[str, object]:
        """Arguments of `s3fs.S3FileSystem`."""
        client = {
            "endpoint_url": self.values.get("aws_endpoint_url"),
            "region_name": self.values.get("aws_region"),
        }
        return {
            "key": self.values.get("aws_access_key_id"),
            "secret": self.values.get("aws_secret_access_key"),
            "token": self.values.get("aws_session_token"),
            "client_kwargs": {key: value for key, value in client.items() if value},
        }

    def for_object_store(self) -> dict[str, str]:
        """Options of delta-rs and Polars."""
        allow = {"aws_allow_http": "true"} if self._plain_http else {}
        return {**self.values, **allow}

    def for_pyiceberg(self) -> dict[str, str]:
        """Properties of a pyiceberg FileIO."""
        names = {
            "aws_access_key_id": "s3.access-key-id",
            "aws_secret_access_key": "s3.secret-access-key",
            "aws_session_token": "s3.session-token",
            "aws_region": "s3.region",
            "aws_endpoint_url": "s3.endpoint",
        }
        return {names[key]: value for key, value in self.values.items()}

    @property
    def _plain_http(self) -> bool:
        return self.values.get("aws_endpoint_url", "").startswith("http://")


def _from_environment() -> dict[str, str]:
    found = {key: os.environ[key.upper()] for key in STORAGE_KEYS if os.environ.get(key.upper())}
    for key, name in (("aws_region", "AWS_DEFAULT_REGION"), ("aws_endpoint_url", "AWS_ENDPOINT_URL_S3")):
        if os.environ.get(name):
            found.setdefault(key, os.environ[name])
    return found


def _from_botocore() -> dict[str, str]:
    from botocore.session import Session

    credentials = Session().get_credentials()
    if credentials is None:
        return {}
    frozen = credentials.get_frozen_credentials()
    found = {"aws_access_key_id": frozen.access_key, "aws_secret_access_key": frozen.secret_key}
    return {**found, "aws_session_token": frozen.token} if frozen.token else found


def machine_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_budget() -> int:
    """Bytes a load may hold at once: `LAKELOAD_MEMORY_BUDGET`, else 1 GiB or a quarter of the machine.

    The environment variable takes bytes or a size such as `512MB`.

    Raises:
        ConfigError: The variable cannot be read.
    """
    text = os.environ.get("LAKELOAD_MEMORY_BUDGET")
    if text:
        return parse_size(text)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(1024 * _MIB, machine // 4)


_UNITS = {
    "": 1,
    "b": 1,
    "kb": 1 << 10,
    "kib": 1 << 10,
    "mb": _MIB,
    "mib": _MIB,
    "gb": 1 << 30,
    "gib": 1 << 30,
}


def parse_size(text: str | int) -> int:
    """Bytes in `"128MB"`, `"16MiB"`, `"1gb"` or `4096`; units are powers of 1024.

    Raises:
        ConfigError: The text is no size, or not positive.

    Example:
        >>> parse_size("128MB")
        134217728
    """
    digits = str(text).strip().lower()
    number = digits.rstrip("bgikm ")
    unit = digits[len(number) :].strip()
    try:
        size = int(float(number) * _UNITS[unit])
    except (KeyError, ValueError):
        size = 0
    if size < 1:
        raise ConfigError(f"cannot read {str(text)!r} as a size", hint="Write bytes, or 128MB.")
    return size


_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def resolve_references(text: str) -> str:
    """The text with every `${NAME}` replaced by that environment variable, for settings files.

    Raises:
        ConfigError: A variable is not set.

    Example:
        >>> resolve_references("no reference")
        'no reference'
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise ConfigError(
                f"the environment variable {match[1]} is not set", hint="Set it, or write the value itself."
            )
        return found

    return _REFERENCE.sub(value, text)
