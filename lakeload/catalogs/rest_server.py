"""One Iceberg REST server: its address and tokens, what it can do, what its refusals mean. Part of commit.

pyiceberg's client knows how to authenticate (OAuth2, tokens, AWS signatures, headers) and where requests go.
The requests that read and change tables are sent here over its session, because servers want and say more
than its models keep: credentials for storage, a column number older servers insist on, changes of several
tables in one request.

Rules: the Iceberg REST Catalog API, open-api/rest-catalog-open-api.yaml of Apache Iceberg.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import msgspec

from lakeload.errors import CatalogError, ConfigError
from lakeload.storage_options import StorageOptions

if TYPE_CHECKING:
    from pyiceberg.catalog.rest import RestCatalog as LibraryCatalog

DELEGATION = "access-delegation"
"""Name, in the URI's query, of how the server shall let its clients into storage."""
DELEGATIONS = ("vended-credentials", "remote-signing", "none")
TOGETHER = "transactions/commit"
"""The request that changes several tables or none."""

_DELEGATION_HEADER = "header.X-Iceberg-Access-Delegation"
_SECRETS = ("credential", "token")
_SECONDS = (10.0, 300.0)
"""How long to wait for a connection, and for an answer."""


class Server:
    """The server behind one catalog URI.

    Args:
        uri: Where it is; see `lakeload.catalogs.rest`.
        warehouse: Sent when the URI names no warehouse.
        options: Credentials and endpoint of the object store that holds the tables.

    Raises:
        ConfigError: The URI cannot be read.
    """

    def __init__(self, uri: str, warehouse: str, options: StorageOptions) -> None:
        self.uri, self.warehouse, self.options = uri, warehouse, options
        self.place, given = _read_uri(uri)
        self.asked = given.pop(DELEGATION, None)
        if self.asked not in (None, *DELEGATIONS):
            raise ConfigError(
                f"{DELEGATION}={self.asked} is no way into storage",
                place=self.place,
                hint=f"Choose one of {', '.join(DELEGATIONS)}.",
            )
        self._given = given
        self._opened: LibraryCatalog | None = None
        self._opening = threading.Lock()

    def __repr__(self) -> str:
        return f"Server({self.place!r})"

    def __reduce__(self) -> tuple[object, ...]:
        """Connect anew in the other process."""
        return (Server, (self.uri, self.warehouse, self.options))

    @property
    def delegation(self) -> str | None:
        """How the server is asked to let us into storage; `None` when we have keys of our own to use.

        Keys the user gave win, unless the URI asks for something else.
        """
        if self.asked == "none":
            return None
        own = any(key in self.options.values for key in ("aws_access_key_id", "aws_skip_signature"))
        return self.asked or (None if own else ",".join(DELEGATIONS[:2]))

    @property
    def library(self) -> LibraryCatalog:
        """The same server as pyiceberg's catalog."""
        with self._opening:
            if self._opened is None:
                with self.guarded():
                    self._opened = self._open()
            return self._opened

    def _open(self) -> LibraryCatalog:
        from pyiceberg.catalog.rest import RestCatalog as LibraryCatalog

        properties = {"warehouse": self.warehouse, **self._given}
        if "credential" in properties:
            properties.setdefault("oauth2-server-uri", f"{self.place}/v1/oauth/tokens")
        # pyiceberg would ask for credentials; a server that has none to lend may refuse every request then.
        properties.setdefault(_DELEGATION_HEADER, self.delegation or "")
        found = LibraryCatalog("lakeload", uri=self.place, **properties, **self.options.for_pyiceberg())
        if not found.properties.get(_DELEGATION_HEADER):
            found._session.headers.pop(_DELEGATION_HEADER.partition(".")[2], None)  # noqa: SLF001 - it always asks
        return found

    @property
    def publishes_together(self) -> bool:
        """Whether the server changes several tables in one request: it says so, or is known to."""
        library = self.library
        said = any(str(endpoint).endswith(TOGETHER) for endpoint in library._supported_endpoints)  # noqa: SLF001 - no public way
        return said or self.is_nessie

    @property
    def is_nessie(self) -> bool:
        """Whether the server says it is Nessie, which differs from others here and there."""
        return self.library.properties.get("nessie.is-nessie-catalog") == "true"

    def lends_again(self) -> bool:
        """Whether credentials of a table can be asked for without the table."""
        found = self.library._supported_endpoints  # noqa: SLF001 - no public way
        return any(str(endpoint).endswith("/tables/{table}/credentials") for endpoint in found)

    def table_path(self, identifier: tuple[str, str]) -> str:
        """Where the requests about one table go, below version and prefix."""
        parts = self.library._split_identifier_for_path(identifier)  # noqa: SLF001 - encodes as the server wants
        return f"namespaces/{parts['namespace']}/tables/{parts['table']}"

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        refusals: Mapping[int, type[Exception]] | None = None,
    ) -> bytes:
        """Send one request, once more with a new token when the old one has expired.

        Args:
            method: HTTP method.
            path: Below version and prefix, or a whole URL.
            body: Sent as JSON.
            refusals: Exceptions for status codes, besides pyiceberg's own.

        Returns:
            The answer's body.

        Raises:
            Exception: As pyiceberg's client would; see `guarded`.
        """
        from pyiceberg.catalog.rest.response import _handle_non_200_response
        from requests import HTTPError

        library = self.library
        url = path if "://" in path else library.url(path)
        data = None if body is None else msgspec.json.encode(body)
        session = library._session  # noqa: SLF001 - has the tokens
        response = session.request(method, url, data=data, timeout=_SECONDS)
        if response.status_code in (401, 419) and "credential" in self._given:
            library._refresh_token()  # noqa: SLF001 - what its own requests do
            response = session.request(method, url, data=data, timeout=_SECONDS)
        try:
            response.raise_for_status()
        except HTTPError as error:
            _handle_non_200_response(error, dict(refusals or {}))
        return response.content

    @contextmanager
    def guarded(self, table: str | None = None) -> Iterator[None]:
        """Turn refusals and silence of the server into `CatalogError` with the way out."""
        try:
            yield
        except CatalogError:
            raise
        except OSError as error:  # what the HTTP client raises for every failure of the connection
            request = getattr(error, "request", None)  # may be one for a token, to another server
            raise CatalogError(
                f"the catalog did not answer ({type(error).__name__})",
                table=table,
                place=_without_query(str(request.url)) if request is not None else self.place,
                hint="Check that the server runs and that the address is right.",
            ) from None
        except Exception as error:
            if type(error).__module__.startswith("pydantic"):  # the answer is not what its models say
                raise CatalogError(
                    "what answers there is no Iceberg REST catalog",
                    place=self.place,
                    hint="Give the address that is followed by /v1/config.",
                ) from None
            if not type(error).__module__.startswith("pyiceberg.") and not isinstance(
                error, NotImplementedError
            ):
                raise
            what, hint = _meaning(error, renewable="credential" in self._given)
            text = f"{what}: {self._clean(error)}"
            raise CatalogError(text, table=table, place=self.place, hint=hint) from None

    def _clean(self, error: BaseException) -> str:
        text = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:300]
        for name in _SECRETS:
            secret = self._given.get(name, "")
            for part in (secret, secret.rpartition(":")[2]):
                text = text.replace(part, "***") if part else text
        return text


def _meaning(error: BaseException, *, renewable: bool) -> tuple[str, str]:
    """What a refusal means, and the way out."""
    from pyiceberg import exceptions as kinds

    if isinstance(error, kinds.OAuthError):
        return (
            "the catalog refused the credentials",
            "Check credential, scope and oauth2-server-uri in its URI.",
        )
    if isinstance(error, kinds.UnauthorizedError | kinds.AuthorizationExpiredError):
        way = "Check the credential in the catalog URI."
        if not renewable:
            way = (
                "The token in the catalog URI is wrong or has expired: give a new one, or give "
                "credential=id:secret, which is exchanged for a new token whenever one expires."
            )
        return "the catalog refused the token", way
    if isinstance(error, kinds.ForbiddenError):
        return "the catalog forbids it", "Ask for the right to do this, or give another credential."
    if isinstance(error, NotImplementedError):
        return "the server cannot do this", "Use a server that has this request, or another catalog."
    if isinstance(error, kinds.NoSuchNamespaceError):
        return (
            "the catalog has no such namespace",
            "Make it, or check warehouse and prefix in the catalog URI.",
        )
    if isinstance(error, kinds.ServiceUnavailableError | kinds.TooManyRequestsError):
        return "the catalog is overloaded", "Run again later; the table is as it was."
    return "the catalog refused", "Check warehouse and prefix in the catalog URI; the table is as it was."


def _read_uri(uri: str) -> tuple[str, dict[str, str]]:
    """The server's address without query, and the properties the query holds."""
    parts = urlsplit(uri.removeprefix("rest+"))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ConfigError(
            "the catalog URI cannot be read",
            hint="Write rest+https://host/path?warehouse=name&credential=id:secret; no user before the host.",
        )
    place = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    return place, dict(parse_qsl(parts.query))


def _without_query(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def decoded(data: bytes) -> dict[str, Any]:
    """The members of an answer, the table's metadata left as JSON text."""
    from pyiceberg.exceptions import RESTError

    try:
        found = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        return {name: raw if name == "metadata" else msgspec.json.decode(raw) for name, raw in found.items()}
    except msgspec.DecodeError as error:
        raise RESTError("the answer is no JSON") from error
