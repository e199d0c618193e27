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
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from lakeload.config import StorageOptions
from lakeload.errors import CatalogError, ConfigError
from lakeload.formats.iceberg import IcebergTable
from lakeload.formats.iceberg_document import Change, Document
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
        from pyiceberg.exceptions import NoSuchNamespaceError

        with self.guarded():
            try:
                return sorted(identifier[-1] for identifier in self.library.list_tables(namespace))
            except NoSuchNamespaceError:
                return []

    def drop(self, namespace: str, name: str) -> None:
        """Forget the table. Its files stay, as far as the server lets them.

        Raises:
            CatalogError: There is no such table, or the catalog refused.
        """
        from pyiceberg.exceptions import NoSuchTableError

        with self.guarded():
            try:
                self.library.drop_table((namespace, name))
            except NoSuchTableError as error:
                raise CatalogError(
                    "there is no such table", table=f"{namespace}.{name}", place=self._place
                ) from error

    @property
    def library(self) -> LibraryCatalog:
        """pyiceberg's client of the same server."""
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
                f"the catalog refused the credentials: {self._clean(error)}", place=self._place,
                hint="Check credential or token in the catalog URI.",
            ) from None
        except RESTError as error:
            raise CatalogError(
                f"the catalog refused: {self._clean(error)}", place=self._place,
                hint="Check warehouse and prefix in the catalog URI; the table is as it was.",
            ) from None
        except OSError as error:  # what the HTTP client raises for every failure of the connection
            raise CatalogError(
                f"the catalog did not answer ({type(error).__name__})", place=self._place,
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

    def __init__(self, catalog: RestCatalog, namespace: str, name: str) -> None:
        self._catalog, self._identifier = catalog, (namespace, name)

    def load(self, cached: Document | None) -> Document | None:
        from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

        with self._catalog.guarded():
            try:
                table = self._catalog.library.load_table(self._identifier)
            except (NoSuchTableError, NoSuchNamespaceError):
                return None
        if cached is not None and cached.location == table.metadata_location:
            return cached
        return _document(table.metadata_location, table.metadata)

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
        return _document(answer.metadata_location, answer.metadata)

    def _send(self, base: Document | None, change: Change) -> Any:
        from pyiceberg.io.pyarrow import PyArrowFileIO
        from pyiceberg.table import Table

        library = self._catalog.library
        handle = Table(self._identifier, base.model if base is not None else None, "", PyArrowFileIO(), library)  # type: ignore[arg-type]  # only its name is used
        return library.commit_table(handle, _requirements(base), _updates(base, change))

    def _after_failure(self, base: Document | None, change: Change, error: Exception) -> Document | None:
        try:
            found = self.load(None)
        except CatalogError as unreachable:
            raise CatalogError(
                "it is not known whether the commit landed: the catalog stopped answering",
                table=".".join(self._identifier), place=unreachable.place,
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

    def _make_namespace(self) -> None:
        from pyiceberg.exceptions import NamespaceAlreadyExistsError

        with self._catalog.guarded():
            namespace = self._identifier[0]
            if not self._catalog.library.namespace_exists(namespace):
                try:
                    self._catalog.library.create_namespace(namespace)
                except NamespaceAlreadyExistsError:
                    return


def _document(location: str, metadata: Any) -> Document:
    return Document.parse(location, metadata.model_dump_json(by_alias=True, exclude_none=True).encode())


def _requirements(base: Document | None) -> tuple[Any, ...]:
    """What must still be true of the table: everything the change was decided by."""
    from pyiceberg.table import update

    if base is None:
        return (update.AssertCreate(),)
    model = base.model
    return (
        update.AssertTableUUID(uuid=model.table_uuid),
        update.AssertRefSnapshotId(ref="main", **{"snapshot-id": base.head}),  # type: ignore[arg-type]  # alias
        update.AssertCurrentSchemaId(**{"current-schema-id": model.current_schema_id}),
        update.AssertLastAssignedFieldId(**{"last-assigned-field-id": model.last_column_id}),
        update.AssertDefaultSpecId(**{"default-spec-id": model.default_spec_id}),
        update.AssertDefaultSortOrderId(**{"default-sort-order-id": model.default_sort_order_id}),
    )


def _updates(base: Document | None, change: Change) -> tuple[Any, ...]:
    from pyiceberg.table import update

    found: list[Any] = []
    if change.create is not None:
        found += [
            update.AssignUUIDUpdate(uuid=change.create.uuid),  # type: ignore[arg-type]  # parsed from text
            update.UpgradeFormatVersionUpdate(**{"format-version": 2}),
        ]
    if change.schema is not None:
        found += [
            update.AddSchemaUpdate(schema=change.schema),
            update.SetCurrentSchemaUpdate(**{"schema-id": -1}),
        ]
    if change.create is not None:
        found += [
            update.AddPartitionSpecUpdate(spec=change.create.spec),
            update.SetDefaultSpecUpdate(**{"spec-id": -1}),
            update.AddSortOrderUpdate(**{"sort-order": change.create.order}),
            update.SetDefaultSortOrderUpdate(**{"sort-order-id": -1}),
            update.SetLocationUpdate(location=change.create.location),
        ]
    if change.properties:
        found.append(update.SetPropertiesUpdate(updates=dict(change.properties)))
    if change.snapshot is not None:
        found += _snapshot_updates(base, change.snapshot)
    return tuple(found)


def _snapshot_updates(base: Document | None, snapshot: dict[str, Any]) -> list[Any]:
    from pyiceberg.table import update
    from pyiceberg.table.snapshots import Snapshot

    kept = (base.get("refs", {}) if base is not None else {}).get("main", {})
    retention = {name: value for name, value in kept.items() if name not in ("type", "snapshot-id")}
    reference = {"ref-name": "main", "type": "branch", "snapshot-id": snapshot["snapshot-id"], **retention}
    return [
        update.AddSnapshotUpdate(snapshot=Snapshot.model_validate(snapshot)),
        update.SetSnapshotRefUpdate.model_validate(reference),
    ]


def _read_uri(uri: str) -> tuple[str, dict[str, str]]:
    """The server's address without query, and the properties the query holds."""
    parts = urlsplit(uri.removeprefix("rest+"))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ConfigError(
            "the catalog URI cannot be read",
            hint="Write rest+https://host/path?warehouse=name&credential=id:secret, secrets in the query only.",
        )
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", "")), dict(parse_qsl(parts.query))
