"""The AWS Glue Data Catalog as lakeload talks to it: a few calls, and its refusals in our words.

Shared by `glue` (Iceberg) and `glue_delta`, the end of extract → normalize → write → commit for lakes that
Athena, Redshift, EMR, Spark and Trino read by name. The client is botocore's, which speaks to S3 already.

URIs: `glue://` is the catalog of the account the credentials belong to, `glue://123456789012` that of another
account. The query may hold `region` (default: the storage options', then AWS's own configuration) and
`endpoint` (an address to use instead of AWS's, such as a VPC endpoint).

Rules: AWS Glue web API reference, "Catalog API".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from lakeload.errors import CatalogError, ConfigError
from lakeload.storage_options import StorageOptions

_ATTEMPTS = 4
"""How often a call is made in all when Glue is busy or away; up to 1, 2 and 4 seconds lie between."""
_CREDENTIALS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
"""Keys of storage options; botocore calls them the same."""
_KEPT = (
    "Description",
    "Owner",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "Parameters",
    "TableType",
)
"""Members of an entry that an update must repeat, or they are lost; all others Glue keeps itself."""
_MOST_COMMENT = 255
_MOST_TEXT = 300

Table = dict[str, Any]


class Glue:
    """One Data Catalog.

    Args:
        uri: Which one; see the module's text.
        options: Credentials and region; the endpoint in them is the object store's and not used.

    Raises:
        ConfigError: The URI cannot be read.

    Example:
        >>> Glue("glue://123456789012?region=eu-north-1", StorageOptions()).place
        'glue://123456789012?region=eu-north-1'
    """

    def __init__(self, uri: str, options: StorageOptions) -> None:
        self._catalog_id, given = _read_uri(uri)
        self._endpoint = given.get("endpoint")
        self._region = given.get("region") or options.values.get("aws_region")
        self._credentials = {key: options.values[key] for key in _CREDENTIALS if key in options.values}
        self._profile = None if self._credentials else options.values.get("aws_profile")
        self._opened: Any = None

    @property
    def place(self) -> str:
        """Which catalog this is. The URI holds no secrets."""
        region = f"?region={self._region}" if self._region else ""
        return f"glue://{self._catalog_id or ''}{region}"

    def table(self, namespace: str, name: str) -> Table | None:
        """The entry of that name as Glue tells it; `None` when there is none.

        Raises:
            CatalogError: Glue refused or did not answer.
        """
        answer = self._call(
            "get_table", unless=("EntityNotFoundException",), DatabaseName=namespace, Name=name
        )
        return None if answer is None else dict(answer["Table"])

    def tables(self, namespace: str) -> list[Table]:
        """All entries of the namespace; none when there is no such namespace.

        Raises:
            CatalogError: Glue refused or did not answer.
        """
        found: list[Table] = []
        more: dict[str, str] = {}
        while True:
            answer = self._call(
                "get_tables", unless=("EntityNotFoundException",), DatabaseName=namespace, **more
            )
            if answer is None:
                return found
            found += answer["TableList"]
            if not answer.get("NextToken"):
                return found
            more = {"NextToken": answer["NextToken"]}

    def create(self, namespace: str, entry: Table) -> bool:
        """Make the entry; `False` when the name is taken. Makes the namespace if there is none.

        Raises:
            CatalogError: Glue refused or did not answer; it may have made the entry all the same.
        """
        made = self._create(namespace, entry)
        if made is None:  # asked for last: who may make tables need not be allowed to make databases
            self._call(
                "create_database", unless=("AlreadyExistsException",), DatabaseInput={"Name": namespace}
            )
            made = self._create(namespace, entry)
        if made is None:
            raise CatalogError(
                "the database disappeared while a table was made in it",
                table=f"{namespace}.{entry['Name']}",
                place=self.place,
                hint="Run the load again.",
            )
        return made

    def _create(self, namespace: str, entry: Table) -> bool | None:
        try:
            answer = self._call(
                "create_table",
                unless=("EntityNotFoundException",),
                DatabaseName=namespace,
                TableInput=entry,
            )
        except _Taken:
            return False
        return None if answer is None else True

    def update(self, namespace: str, entry: Table, version: str | None) -> bool:
        """Replace the entry if it still is at that version; `False` when it is not, or is gone.

        Raises:
            CatalogError: Glue refused or did not answer; it may have replaced the entry all the same.
        """
        condition = {} if version is None else {"VersionId": version}
        answer = self._call(
            "update_table",
            unless=("ConcurrentModificationException", "EntityNotFoundException"),
            DatabaseName=namespace,
            TableInput=entry,
            SkipArchive=True,  # one archived version per load would soon meet Glue's limit
            **condition,
        )
        return answer is not None

    def delete(self, namespace: str, name: str) -> bool:
        """Remove the entry; `False` when there is none.

        Raises:
            CatalogError: Glue refused or did not answer.
        """
        answer = self._call(
            "delete_table", unless=("EntityNotFoundException",), DatabaseName=namespace, Name=name
        )
        return answer is not None

    def _call(self, operation: str, *, unless: tuple[str, ...] = (), **arguments: Any) -> Any:
        """The answer; `None` when Glue refuses with one of the codes `unless`."""
        from botocore.exceptions import ClientError

        whose = {} if self._catalog_id is None else {"CatalogId": self._catalog_id}
        with self._guarded():
            try:
                return getattr(self._client(), operation)(**whose, **arguments)
            except ClientError as error:
                code = error.response["Error"].get("Code", "")
                if code in unless:
                    return None
                if code == "AlreadyExistsException":
                    raise _Taken from None
                raise

    def _client(self) -> Any:
        if self._opened is None:
            from botocore.config import Config
            from botocore.session import Session

            self._opened = Session(profile=self._profile).create_client(
                "glue",
                region_name=self._region,
                endpoint_url=self._endpoint,
                config=Config(
                    retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                    connect_timeout=10,
                    read_timeout=60,
                ),
                **self._credentials,
            )
            self._region = self._opened.meta.region_name
        return self._opened

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn Glue's refusals and silence into `CatalogError` with the way out."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            said = error.response["Error"]
            code = said.get("Code", "")
            raise CatalogError(
                f"AWS Glue refused ({code}): {self._clean(said.get('Message') or error)}",
                place=self.place,
                hint=_remedy(code),
            ) from None  # the cause holds request and answer
        except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint or a region that is none
            name = type(error).__name__
            raise CatalogError(
                f"AWS Glue cannot be asked ({name}): {self._clean(error)}",
                place=self.place,
                hint=_remedy(name),
            ) from None

    def _clean(self, said: object) -> str:
        text = (str(said).strip().splitlines() or [""])[0][:_MOST_TEXT].rstrip(".: ")
        for secret in self._credentials.values():
            text = text.replace(secret, "***")
        return text


class _Taken(Exception):  # noqa: N818 - an outcome, not an error
    """An entry of that name exists."""


def refreshed(found: Mapping[str, Any], changes: Mapping[str, Any]) -> Table:
    """An entry as it is to be after an update: the one found, as far as it may be repeated, with changes.

    `Parameters` and `StorageDescriptor` are changed member by member: what others put there stays.

    Args:
        found: The entry as Glue told it.
        changes: Members to set.

    Example:
        >>> refreshed({"Name": "t", "Owner": "me", "Parameters": {"a": "1"}}, {"Parameters": {"b": "2"}})
        {'Name': 't', 'Owner': 'me', 'Parameters': {'a': '1', 'b': '2'}}
    """
    entry: Table = {"Name": found["Name"], **{key: found[key] for key in _KEPT if key in found}}
    for key, value in changes.items():
        entry[key] = {**entry.get(key, {}), **value} if isinstance(value, Mapping) else value
    return entry


def comment(text: str) -> str:
    """A column's comment as Glue takes it: one line of at most 255 characters.

    Example:
        >>> comment("first line" + chr(10) + "second line")
        'first line second line'
    """
    plain = " ".join(text.split())
    return plain if len(plain) <= _MOST_COMMENT else plain[: _MOST_COMMENT - 1] + "…"


def _remedy(code: str) -> str:
    for words, hint in _REMEDIES:
        if any(word in code for word in words):
            return hint
    return "The table is as it was; check the catalog URI and run again."


_REMEDIES = (
    (
        ("UnrecognizedClient", "Signature", "Token", "Credential", "403"),
        "Check aws_access_key_id, aws_secret_access_key and aws_session_token, or the profile AWS tools use.",
    ),
    (
        ("AccessDenied", "NotAuthorized"),
        "Allow glue:GetTable(s), CreateTable, UpdateTable, DeleteTable and CreateDatabase on the database.",
    ),
    (("NoRegion", "InvalidRegion"), "Name the region: glue://?region=eu-central-1."),
    (
        ("Connect", "Timeout", "Endpoint", "Proxy", "SSL"),
        "Check region and endpoint in the catalog URI, and that this machine reaches them.",
    ),
    (("Validation", "InvalidInput"), "Glue cannot hold such a table; check its names and columns."),
    (("LimitExceeded", "Throttling"), "Run again later, or ask AWS for a higher limit."),
)


def _read_uri(uri: str) -> tuple[str | None, dict[str, str]]:
    """The catalog's id, if one is named, and what the query holds."""
    parts = urlsplit(uri)
    given = dict(parse_qsl(parts.query))
    endpoint = urlsplit(given.get("endpoint", "https://aws"))
    if (
        parts.scheme != "glue"
        or not re.fullmatch(r"(\d{12})?", parts.netloc)
        or parts.path not in ("", "/")
        or set(given) - {"region", "endpoint"}
        or endpoint.scheme not in ("http", "https")
        or not endpoint.hostname
        or endpoint.username is not None
    ):
        raise ConfigError(
            "the catalog URI cannot be read",
            hint="Write glue://, glue://123456789012 or glue://?region=eu-central-1&endpoint=https://host; "
            "keys go into storage_options.",
        )
    return parts.netloc or None, given
