"""Iceberg tables registered with a server that speaks the Iceberg REST catalog protocol.

A commit sends requirements and updates; the server compares and swaps. It is the end of
extract → normalize → write → commit for lakes whose tables other engines share.

URIs: `rest+http://host:port/path` or `rest+https://…`. The query holds what the server wants to know:

- `warehouse`: the server's name or location of the warehouse; without it the lake's root is sent.
- `credential`: `id:secret` of an OAuth2 client; `oauth2-server-uri` where it is exchanged for a token
  (default: the catalog's own `/v1/oauth/tokens`), `scope` what for.
- `token`: a bearer token, instead of a credential.
- `prefix`, `header.<name>` and other properties of pyiceberg's REST catalog go through as they are.

`credential` and `token` are secrets: no message and no `repr` shows the query.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from lakeload.catalogs.names import drop_name, list_names
from lakeload.errors import CatalogError, ConfigError
from lakeload.formats.iceberg import IcebergTable
from lakeload.formats.iceberg_document import FORMAT_VERSION, Change, Document, plain, unsupported_version
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

if TYPE_CHECKING:
    from pyiceberg.catalog.rest import RestCatalog as LibraryCatalog

_SECRETS = ("credential", "token")


class RestCatalog:
    """Names to Iceberg tables, kept by an Iceberg REST server.

    Args:
        uri: Where the server is; see the module's text.
        warehouse: Sent when the URI names no warehouse.
        options: Credentials and endpoint of the object store that holds the tables.
        now: The clock; must return aware times.

    Raises:
        ConfigError: The URI cannot be read.

    Example:
        >>> import datetime
        >>> now = lambda: datetime.datetime.now(datetime.UTC)
        >>> RestCatalog("rest+http://localhost:8181?credential=a:b", "s3://lake", StorageOptions(), now=now)
        RestCatalog('http://localhost:8181')
    """

    def __init__(
        self, uri: str, warehouse: str, options: StorageOptions, *, now: Callable[[], dt.datetime]
    ) -> None:
        self._place, given = _read_uri(uri)
        self._properties = {"warehouse": warehouse, **given}
        if "credential" in given:
            self._properties.setdefault("oauth2-server-uri", f"{self._place}/v1/oauth/tokens")
        self._options, self._now = options, now
        self._opened: LibraryCatalog | None = None

    def __repr__(self) -> str:
        return f"RestCatalog({self._place!r})"

    def open(self, namespace: str, name: str, location: str) -> IcebergTable:
        """A handle on the table; it need not exist. `location` is where it would be created."""
        register = _Remote(self, namespace, name)
        return IcebergTable(name, namespace, register, Store(location, self._options), now=self._now)

    def list(self, namespace: str) -> Sequence[str]:
        """Names of the tables in the namespace, sorted; empty when the namespace does not exist."""
        return list_names(self, namespace)

    def drop(self, namespace: str, name: str) -> None:
        """Forget the table. Its files stay, as far as the server lets them.

        Raises:
            CatalogError: There is no such table, or the catalog refused.
        """
        drop_name(self, namespace, name)

    @property
    def place(self) -> str:
        """Where the server is, without secrets."""
        return self._place

    @property
    def library(self) -> LibraryCatalog:
        """The same server as pyiceberg's catalog."""
        if self._opened is None:
            from pyiceberg.catalog.rest import RestCatalog as LibraryCatalog

            with self.guarded():
                self._opened = LibraryCatalog(
                    "lakeload", uri=self._place, **self._properties, **self._options.for_pyiceberg()
                )
        return self._opened

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn refusals and silence of the server into `CatalogError` with the way out."""
        from pyiceberg.exceptions import ForbiddenError, OAuthError, RESTError, UnauthorizedError

        try:
            yield
        except (OAuthError, UnauthorizedError, ForbiddenError) as error:
            raise CatalogError(
                f"the catalog refused the credentials: {self._clean(error)}",
                place=self._place,
                hint="Check credential or token in the catalog URI.",
            ) from None
        except RESTError as error:
            raise CatalogError(
                f"the catalog refused: {self._clean(error)}",
                place=self._place,
                hint="Check warehouse and prefix in the catalog URI; the table is as it was.",
            ) from None
        except OSError as error:  # what the HTTP client raises for every failure of the connection
            raise CatalogError(
                f"the catalog did not answer ({type(error).__name__})",
                place=self._place,
                hint="Check that the server runs and that the address is right.",
            ) from None

    def _clean(self, error: BaseException) -> str:
        text = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        for name in _SECRETS:
            secret = self._properties.get(name, "")
            for part in (secret, secret.rpartition(":")[2]):
                text = text.replace(part, "***") if part else text
        return text


class _Remote:
    """One table on the server: the `Register` of an Iceberg table in a REST catalog."""

    creates_whole = False

    def __init__(self, catalog: RestCatalog, namespace: str, name: str) -> None:
        self._catalog, self._identifier = catalog, (namespace, name)

    def load(self, cached: Document | None) -> Document | None:
        from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

        with self._catalog.guarded():
            try:
                table = self._catalog.library.load_table(self._identifier)
            except (NoSuchTableError, NoSuchNamespaceError):
                table = None
        if table is None:
            # SeaweedFS cannot make a namespace once files lie below it, and files come before the commit.
            with suppress(CatalogError):
                self._make_namespace()
            return None
        if cached is not None and cached.location == table.metadata_location:
            return cached
        return self._document(table.metadata_location, table.metadata)

    def publish(self, base: Document | None, change: Change) -> Document | None:
        from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError

        if base is None:
            self._make_namespace()
        try:
            answer = self._send(base, change)
        except (CommitFailedException, TableAlreadyExistsError):
            return None
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the server may have done it
            return self._after_failure(base, change, error)
        return self._document(answer.metadata_location, answer.metadata)

    def _send(self, base: Document | None, change: Change) -> Any:
        from pyiceberg.table import CommitTableRequest, Table

        library = self._catalog.library
        namespace, name = self._identifier
        request = CommitTableRequest.model_validate(
            {
                "identifier": {"namespace": [namespace], "name": name},
                "requirements": _requirements(base),
                "updates": _updates(base, change),
            }
        )
        nothing: Any = None  # of the table only its name is asked for
        handle = Table(self._identifier, nothing, "", nothing, library)
        return library.commit_table(handle, request.requirements, request.updates)

    def _after_failure(self, base: Document | None, change: Change, error: Exception) -> Document | None:
        try:
            found = self.load(None)
        except CatalogError as unreachable:
            raise CatalogError(
                "it is not known whether the commit landed: the catalog stopped answering",
                table=".".join(self._identifier),
                place=unreachable.place,
                hint="Run the load again: it looks for its own commit before it repeats it.",
            ) from error
        if change.landed_in(found):
            return found
        expected = base.location if base is not None else None
        if (found.location if found is not None else None) != expected:
            return None
        with self._catalog.guarded():
            raise error
        return None

    def _document(self, location: str, metadata: Any) -> Document:
        if metadata.format_version != FORMAT_VERSION:  # pyiceberg cannot even print the others
            raise unsupported_version(metadata.format_version, self._identifier[-1])
        return Document.parse(location, metadata.model_dump_json(by_alias=True, exclude_none=True).encode())

    def _make_namespace(self) -> None:
        from pyiceberg.exceptions import NamespaceAlreadyExistsError

        with self._catalog.guarded(), suppress(NamespaceAlreadyExistsError):
            self._catalog.library.create_namespace(self._identifier[0])


def _requirements(base: Document | None) -> list[dict[str, Any]]:
    """What must still be true of the table: everything the change was decided by."""
    if base is None:
        return [{"type": "assert-create"}]
    return [
        {"type": "assert-table-uuid", "uuid": base.get("table-uuid")},
        {"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": base.head},
        {"type": "assert-current-schema-id", "current-schema-id": base.get("current-schema-id")},
        {"type": "assert-last-assigned-field-id", "last-assigned-field-id": base.get("last-column-id")},
        {"type": "assert-default-spec-id", "default-spec-id": base.get("default-spec-id")},
        {"type": "assert-default-sort-order-id", "default-sort-order-id": base.get("default-sort-order-id")},
    ]


def _updates(base: Document | None, change: Change) -> list[dict[str, Any]]:
    new = change.create
    found: list[dict[str, Any]] = []
    if new is not None:
        found.append({"action": "assign-uuid", "uuid": new.uuid})
        found.append({"action": "upgrade-format-version", "format-version": FORMAT_VERSION})
    if change.schema is not None:
        found.append({"action": "add-schema", "schema": plain(change.schema)})
        found.append({"action": "set-current-schema", "schema-id": -1})
    if new is not None:
        found.append({"action": "add-spec", "spec": plain(new.spec)})
        found.append({"action": "set-default-spec", "spec-id": -1})
        found.append({"action": "add-sort-order", "sort-order": plain(new.order)})
        found.append({"action": "set-default-sort-order", "sort-order-id": -1})
        found.append({"action": "set-location", "location": new.location})
    if change.properties:
        found.append({"action": "set-properties", "updates": dict(change.properties)})
    if change.snapshot is not None:
        kept = (base.get("refs", {}) if base is not None else {}).get("main", {})
        head = {"type": "branch", **kept, "snapshot-id": change.snapshot["snapshot-id"]}
        found.append({"action": "add-snapshot", "snapshot": change.snapshot})
        found.append({"action": "set-snapshot-ref", "ref-name": "main", **head})
    return found


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
