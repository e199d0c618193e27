"""`storage_options`: one vocabulary of credentials and endpoints, translated for every library that needs it.

The vocabulary is the one of object_store, which delta-rs and Polars share: lower case, `aws_…`, `azure_…`,
`google_…`. Everything that reads or writes an object store, from the extraction of `s3://` files to the
commit, takes what it needs from here; other spellings are refused rather than ignored. Those of engines
outside this process (Spark, Trino, DuckDB) are in `lakeload.connect.dialects`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from lakeload import config
from lakeload.errors import ConfigError
from lakeload.loans import Lender
from lakeload.places import SCHEMES, azure_account

STORAGE_KEYS = {
    "aws_access_key_id": "access key",
    "aws_secret_access_key": "secret key",
    "aws_session_token": "session token of temporary credentials",
    "aws_profile": "profile of the shared credentials file, instead of keys",
    "aws_region": "region; default that of the AWS profile, then us-east-1",
    "aws_endpoint_url": "address of an S3-compatible server",
    "aws_virtual_hosted_style_request": "bucket in the host name; default: only without aws_endpoint_url",
    "aws_allow_http": "unencrypted connections; default: only to an http:// endpoint",
    "aws_skip_signature": "anonymous requests, for public buckets",
    "azure_storage_account_name": "account; not needed when the URL names it",
    "azure_storage_account_key": "account key",
    "azure_storage_sas_token": "shared access signature",
    "azure_client_id": "service principal, with azure_client_secret and azure_tenant_id",
    "azure_client_secret": "secret of the service principal",
    "azure_tenant_id": "tenant of the service principal",
    "azure_storage_endpoint": "address of the blob service, such as an emulator's",
    "azure_skip_signature": "anonymous requests, for public containers",
    "google_service_account": "path of a service account's JSON key file",
    "google_service_account_key": "text of a service account's JSON key",
    "google_application_credentials": "path of application default credentials",
    "google_base_url": "address of a server that speaks the JSON API, such as an emulator's",
    "google_skip_signature": "anonymous requests, for public buckets",
}
"""Keys of `storage_options` and what they mean."""

SECRET_KEYS = frozenset(
    {
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "azure_storage_account_key",
        "azure_storage_sas_token",
        "azure_client_secret",
        "google_service_account_key",
    }
)
"""Keys whose values are never shown. An access key is no secret, but belongs to one."""

_FLAGS = frozenset(key for key in STORAGE_KEYS if key.endswith(("_request", "_http", "_signature")))

_CREDENTIALS = {
    "aws": ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_skip_signature"),
    "azure": (
        "azure_storage_account_key",
        "azure_storage_sas_token",
        "azure_client_id",
        "azure_client_secret",
        "azure_tenant_id",
        "azure_skip_signature",
    ),
    "google": (
        "google_service_account",
        "google_service_account_key",
        "google_application_credentials",
        "google_skip_signature",
    ),
}
"""What says who is asking. Parts of it from two places would be one identity's key with another's token."""


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """Credentials and endpoint of an object store, in the spelling of each library that needs them.

    Args:
        values: Checked options; use `read` for those of a user. The repr does not show them.
        lender: Who lends keys or signatures, where the user gave none.

    Example:
        >>> StorageOptions.read({"aws_region": "eu-west-1"}, remote=False).for_pyiceberg()
        {'s3.region': 'eu-west-1'}
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    lender: Lender | None = field(default=None, repr=False, compare=False)

    @classmethod
    def read(cls, options: Mapping[str, Any] | None, *, remote: bool, scheme: str = "s3") -> StorageOptions:
        """Check the user's options and complete them from the environment when `remote`.

        Variables are called as the keys, in capitals. AWS keys are then looked for where AWS tools look:
        shared credentials files and instance metadata (by botocore). An identity comes from one place
        only: a user's own key is never completed with an ambient session token.

        Args:
            options: Keys of `STORAGE_KEYS`, in any case.
            remote: Whether a place on the network will be asked at all.
            scheme: Of that place's URL: which cloud to look for in the environment.

        Raises:
            ConfigError: A key is not one of `STORAGE_KEYS`, or a value cannot be read.
        """
        given = _checked({} if options is None else options)
        family = SCHEMES.get(scheme)
        if not remote or family is None:
            return cls(given)
        ambient = config.ambient_storage(key for key in STORAGE_KEYS if key.startswith(f"{family}_"))
        identity = (*_CREDENTIALS[family], f"{family}_profile")
        if any(key in given for key in identity):
            ambient = {key: value for key, value in ambient.items() if key not in identity}
        found = {**ambient, **given}
        if family == "aws":
            anonymous = found.get("aws_skip_signature") == "true"
            if "aws_access_key_id" not in found and not anonymous:
                found = config.aws_credentials(found.get("aws_profile")) | found
            found.setdefault("aws_region", "us-east-1")
        return cls(found)

    def with_secrets(self, spelled: Callable[[str], str]) -> StorageOptions:
        """The same options with every secret replaced, such as by a reference to a variable.

        Args:
            spelled: From the key of a secret to what stands for it.
        """
        return StorageOptions(
            {key: spelled(key) if key in SECRET_KEYS else value for key, value in self.values.items()}
        )

    def settled(self, reader: str) -> StorageOptions:
        """The same options, with the keys lent right now as if they were the user's.

        Args:
            reader: What needs them, for the message.

        Raises:
            ConfigError: The catalog lends signatures, which `reader` cannot use.
            CatalogError: The catalog did not answer.
        """
        if self.lender is None:
            return self
        loan = self.lender.lend()
        if loan.signs:
            raise ConfigError(
                f"{reader} cannot have every request signed by the catalog",
                hint="Ask for access-delegation=vended-credentials in the catalog URI, or give "
                "storage_options with keys and access-delegation=none.",
            )
        return StorageOptions({**self.values, **loan.values})

    def get(self, key: str) -> str | None:
        """The value of a key of `STORAGE_KEYS`, if there is one."""
        return self.values.get(key)

    def is_set(self, key: str) -> bool:
        """Whether a yes-or-no option says yes."""
        return self.values.get(key) == "true"

    @property
    def path_style(self) -> bool:
        """Whether the bucket stands in the path of an address: so with an endpoint, unless it was said."""
        said = self.values.get("aws_virtual_hosted_style_request")
        return said == "false" if said else "aws_endpoint_url" in self.values

    @property
    def allow_http(self) -> bool:
        """Whether S3 may be asked without encryption: so when the endpoint says it, unless it was said."""
        said = self.values.get("aws_allow_http")
        return said == "true" if said else self.values.get("aws_endpoint_url", "").startswith("http://")

    def for_fsspec(self, location: str) -> dict[str, Any]:
        """Arguments of the fsspec filesystem behind a URL; empty for other schemes than `SCHEMES`."""
        match SCHEMES.get(location.partition("://")[0]):
            case "aws":
                return self.for_s3fs()
            case "google":
                return self.for_gcsfs()
            case "azure":
                return self.for_adlfs(location)
        return {}

    def for_s3fs(self) -> dict[str, Any]:
        """Arguments of `s3fs.S3FileSystem`."""
        client = {
            "endpoint_url": self.values.get("aws_endpoint_url"),
            "region_name": self.values.get("aws_region"),
        }
        # Only what differs from botocore's own choice is said: two handles on one place share a connection.
        style = {} if self._default_style else {"s3": {"addressing_style": self._style}}
        return {
            "key": self.values.get("aws_access_key_id"),
            "secret": self.values.get("aws_secret_access_key"),
            "token": self.values.get("aws_session_token"),
            **({"anon": True} if self.is_set("aws_skip_signature") else {}),
            "client_kwargs": {key: value for key, value in client.items() if value},
            **({"config_kwargs": style} if style else {}),
        }

    def for_gcsfs(self) -> dict[str, Any]:
        """Arguments of `gcsfs.GCSFileSystem`; without credentials, the application default ones."""
        import json

        token: object = "google_default"  # noqa: S105 - the library's word for "find them yourself"
        if self.is_set("google_skip_signature"):
            token = "anon"  # noqa: S105 - the library's word for "without"
        elif text := self.values.get("google_service_account_key"):
            try:
                token = json.loads(text)
            except ValueError:
                raise ConfigError(
                    "google_service_account_key is no JSON",
                    hint="Give the text of the key file, or its path as google_service_account.",
                ) from None
        else:
            for key in ("google_service_account", "google_application_credentials"):
                token = self.values.get(key, token)
        endpoint = self.values.get("google_base_url")
        return {"token": token, **({"endpoint_url": endpoint} if endpoint else {})}

    def for_adlfs(self, location: str = "") -> dict[str, Any]:
        """Arguments of `adlfs.AzureBlobFileSystem` for `location`, which may name the account."""
        account = azure_account(location) or self.values.get("azure_storage_account_name")
        names = {
            "account_key": "azure_storage_account_key",
            "sas_token": "azure_storage_sas_token",
            "client_id": "azure_client_id",
            "client_secret": "azure_client_secret",
            "tenant_id": "azure_tenant_id",
        }
        given = {name: self.values[key] for name, key in names.items() if key in self.values}
        anonymous = self.is_set("azure_skip_signature")
        endpoint = self.values.get("azure_storage_endpoint", "").rstrip("/")
        if endpoint and "client_id" not in given and not anonymous:
            # The library takes an address of one's own only this way.
            return {"connection_string": _connection_string(account, endpoint, given)}
        host = {"account_host": endpoint.partition("://")[2]} if endpoint else {}
        return {"account_name": account, **given, "anon": anonymous, **host}

    def for_object_store(self, location: str = "s3://") -> dict[str, str]:
        """Options of delta-rs and Polars for `location`."""
        if self.lender is not None:
            return self.settled("Polars and delta-rs").for_object_store(location)
        family = SCHEMES.get(location.partition("://")[0], "aws")
        found = {key: value for key, value in self.values.items() if key.startswith(f"{family}_")}
        found.pop("aws_profile", None)  # keys of the profile were looked up
        endpoint = found.get("aws_endpoint_url", "")
        if self.allow_http and family == "aws":
            found["aws_allow_http"] = "true"
        bucket = urlsplit(location).netloc
        if endpoint and bucket and not self.path_style:
            # object_store wants the bucket in the address where others put it there themselves.
            scheme, _, host = endpoint.partition("://")
            found["aws_endpoint_url"] = f"{scheme}://{bucket}.{host}"
        for key in ("azure_storage_endpoint", "google_base_url"):
            if found.get(key, "").startswith("http://"):
                found[f"{family}_allow_http"] = "true"
        return found

    def for_pyiceberg(self) -> dict[str, str]:
        """Properties of a pyiceberg FileIO, of whatever clouds the options speak of."""
        names = {
            "aws_access_key_id": "s3.access-key-id",
            "aws_secret_access_key": "s3.secret-access-key",
            "aws_session_token": "s3.session-token",
            "aws_region": "s3.region",
            "aws_endpoint_url": "s3.endpoint",
            "aws_skip_signature": "s3.anonymous",
            "azure_storage_account_name": "adls.account-name",
            "azure_storage_account_key": "adls.account-key",
            "azure_storage_sas_token": "adls.sas-token",
            "azure_client_id": "adls.client-id",
            "azure_client_secret": "adls.client-secret",
            "azure_tenant_id": "adls.tenant-id",
            "google_base_url": "gcs.service.host",
        }
        found = {names[key]: value for key, value in self.values.items() if key in names}
        if not self._default_style:
            found["s3.force-virtual-addressing"] = "false" if self.path_style else "true"
        if endpoint := self.values.get("azure_storage_endpoint"):
            given = self.for_adlfs()
            found["adls.blob-storage-authority"] = urlsplit(endpoint).netloc
            found["adls.blob-storage-scheme"] = urlsplit(endpoint).scheme
            if "connection_string" in given:
                found["adls.connection-string"] = given["connection_string"]
        for key in ("google_service_account", "google_application_credentials"):
            if key in self.values:
                found["gcs.oauth2.token"] = self.values[key]
        if self.is_set("google_skip_signature"):
            found["gcs.oauth2.token"] = "anon"
        if any(key.startswith(("azure_", "google_")) for key in self.values):
            # pyarrow's own clients know neither key files nor connection strings; fsspec's do.
            found["py-io-impl"] = "pyiceberg.io.fsspec.FsspecFileIO"
        return found

    def for_pyarrow(self) -> dict[str, Any]:
        """Arguments of `pyarrow.fs.S3FileSystem`."""
        names = {
            "access_key": "aws_access_key_id",
            "secret_key": "aws_secret_access_key",
            "session_token": "aws_session_token",
            "region": "aws_region",
        }
        found: dict[str, Any] = {name: self.values[key] for name, key in names.items() if key in self.values}
        if self.is_set("aws_skip_signature"):
            found["anonymous"] = True
        if endpoint := self.values.get("aws_endpoint_url"):
            scheme, _, host = endpoint.partition("://")
            found |= {"endpoint_override": host, "scheme": scheme}
        if not self._default_style:
            found["force_virtual_addressing"] = not self.path_style
        return found

    @property
    def _default_style(self) -> bool:
        """Whether libraries address buckets as they should without being told."""
        return self.path_style == ("aws_endpoint_url" in self.values)

    @property
    def _style(self) -> str:
        return "path" if self.path_style else "virtual"


def _connection_string(account: str | None, endpoint: str, given: Mapping[str, str]) -> str:
    parts = {"DefaultEndpointsProtocol": urlsplit(endpoint).scheme}
    if account:
        parts["AccountName"] = account
    if "account_key" in given:
        parts["AccountKey"] = given["account_key"]
    parts["BlobEndpoint"] = endpoint
    if "sas_token" in given:
        parts["SharedAccessSignature"] = given["sas_token"].removeprefix("?")
    return "".join(f"{name}={value};" for name, value in parts.items())


def _checked(options: object) -> dict[str, str]:
    if not isinstance(options, Mapping):
        raise ConfigError("storage_options are no keys and values", hint='Write {"aws_region": "eu-west-1"}.')
    given = {str(key).lower(): _text(value) for key, value in options.items() if value is not None}
    unknown = sorted(set(given) - set(STORAGE_KEYS))
    if unknown:
        family = unknown[0].partition("_")[0]
        near = [key for key in STORAGE_KEYS if key.startswith(f"{family}_")] or list(STORAGE_KEYS)
        raise ConfigError(f"unknown storage option {unknown[0]!r}", hint=f"Known ones: {', '.join(near)}.")
    for key in _FLAGS & given.keys():
        given[key] = given[key].lower()
        if given[key] not in ("true", "false"):
            raise ConfigError(f"{key} is {given[key]!r}", hint="Write true or false.")
    return given


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
