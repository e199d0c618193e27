"""Iceberg tables registered with a server that speaks the Iceberg REST catalog protocol.

A commit sends requirements and updates; the server compares and swaps. It is the end of
extract → normalize → write → commit for lakes whose tables other engines share.

URIs: `rest+http://host:port/path` or `rest+https://…`. The query holds what the server wants to know:

- `warehouse`: the server's name or location of the warehouse; without it the lake's root is sent.
- `credential`: `id:secret` of an OAuth2 client; `oauth2-server-uri` where it is exchanged for a token
  (default: the catalog's own `/v1/oauth/tokens`), `scope` what for. A token that expires is renewed.
- `token`: a bearer token, instead of a credential.
- `access-delegation`: `vended-credentials` or `remote-signing` lets the server into the tables' storage for
  us, `none` never asks for it. Without it the server is asked when there is no key in `storage_options`.
- `prefix`, `header.<name>` and other properties of pyiceberg's REST catalog go through as they are.

`credential` and `token` are secrets: no message and no `repr` shows the query.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from lakeload.catalogs.names import drop_name, list_names, register_name
from lakeload.catalogs.rest_access import TableLender
from lakeload.catalogs.rest_server import Server
from lakeload.catalogs.rest_table import RemoteTable, RemoteTogether
from lakeload.formats.iceberg import IcebergTable
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

if TYPE_CHECKING:
    from pyiceberg.catalog.rest import RestCatalog as LibraryCatalog

_OWN = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_profile")
"""The user's identity, of which nothing may be mixed with a lent one."""


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
        self._server = Server(uri, warehouse, options)
        self._joined = RemoteTogether(self._server)
        self._options, self._now = options, now

    def __repr__(self) -> str:
        return f"RestCatalog({self.place!r})"

    def open(self, namespace: str, name: str, location: str) -> IcebergTable:
        """A handle on the table; it need not exist. `location` is where it would be created."""
        options = self.storage(namespace, name, location)
        learn = options.lender.learn if isinstance(options.lender, TableLender) else _unheard
        register = RemoteTable(self._server, (namespace, name), self._joined, learn)
        return IcebergTable(name, namespace, register, Store(location, options), now=self._now)

    @property
    def lends(self) -> bool:
        """Whether the server lets us into storage because the user gave no keys."""
        return self._server.delegation is not None and "aws_access_key_id" not in self._options.values

    def storage(self, namespace: str, name: str, location: str) -> StorageOptions:
        """How the storage of a table is reached: with the user's keys, or with what the server lends."""
        if self._server.delegation is None or not location.startswith(("s3://", "s3a://")):
            return self._options
        values = {key: value for key, value in self._options.values.items() if key not in _OWN}
        lender = TableLender(self._server, (namespace, name), location, self._now)
        return StorageOptions(values, lender)

    def list(self, namespace: str) -> Sequence[str]:
        """Names of the tables in the namespace, sorted; empty when the namespace does not exist."""
        return list_names(self, namespace)

    def register(self, namespace: str, name: str, metadata_location: str) -> None:
        """Give an existing table a name, by its current metadata file.

        Raises:
            CatalogError: The name is taken, or the catalog refused or did not answer.
        """
        register_name(self, namespace, name, metadata_location)

    def drop(self, namespace: str, name: str) -> None:
        """Forget the table. Its files stay, as far as the server lets them.

        Raises:
            CatalogError: There is no such table, or the catalog refused.
        """
        drop_name(self, namespace, name)

    @property
    def place(self) -> str:
        """Where the server is, without secrets."""
        return self._server.place

    @property
    def library(self) -> LibraryCatalog:
        """The same server as pyiceberg's catalog."""
        return self._server.library

    def guarded(self) -> AbstractContextManager[None]:
        """Turns the library's failures inside into `CatalogError`."""
        return self._server.guarded()


def _unheard(_: Mapping[str, Any]) -> None:
    """What the server says of a table's storage while the user's own keys are used."""
