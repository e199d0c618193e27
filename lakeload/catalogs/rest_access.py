"""What an Iceberg REST server lends for the storage of one table: keys for a while, or signatures.

Needed from the first written file to the commit. A table that does not exist yet is staged: the server says
what it would lend and registers nothing.

Rules: the Iceberg REST Catalog API, `LoadTableResult` (config, storage-credentials), operations
loadCredentials and signRequest; AWS names as in Iceberg's S3FileIO.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin

import msgspec

from lakeload.catalogs.rest_server import Server, decoded
from lakeload.errors import CatalogError
from lakeload.formats.iceberg_document import Document, same_place
from lakeload.loans import Loan

_NAMES = {
    "s3.access-key-id": "aws_access_key_id",
    "s3.secret-access-key": "aws_secret_access_key",
    "s3.session-token": "aws_session_token",
    "s3.endpoint": "aws_endpoint_url",
    "client.region": "aws_region",
    "s3.region": "aws_region",
}
_UNTIL = "s3.session-token-expires-at-ms"
_MARGIN = 60.0
"""Seconds before their end at which lent keys are not used any more."""
_SIGNER = "v1/aws/s3/sign"


class TableLender:
    """The `Lender` of one table behind a REST server.

    Args:
        server: The server.
        identifier: Namespace and name.
        location: Where the table would be created.
        now: The clock.
    """

    def __init__(
        self,
        server: Server,
        identifier: tuple[str, str],
        location: str,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._server, self._identifier, self._location, self._now = server, identifier, location, now
        self._config: dict[str, str] | None = None
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[object, ...]:
        """Ask anew in the other process; connections do not travel."""
        return (TableLender, (self._server, self._identifier, self._location, self._now))

    def learn(self, answer: Mapping[str, Any]) -> None:
        """Take what the server says of storage from an answer about the table."""
        lent = answer.get("storage-credentials") or []
        with self._lock:
            fitting = [one for one in lent if self._location.startswith(one["prefix"])]
            best = max(fitting, key=lambda one: len(one["prefix"]), default=None)
            keys = best["config"] if best else {}
            self._config = {**(self._config or {}), **(answer.get("config") or {}), **keys}

    def lend(self) -> Loan:
        """What is lent now; the server is asked when there is nothing, or when it is about to end.

        Raises:
            CatalogError: The server lends nothing, refused or did not answer.
        """
        with self._lock:
            config = self._config
            if config is None or self._ends(config):
                self._ask()
                config = self._config or {}
            if self._signs(config):
                return Loan(self._places(config), signs=True)
            if "s3.access-key-id" not in config:
                raise CatalogError(
                    "the catalog lends no access to the table's storage",
                    table=".".join(self._identifier),
                    place=self._server.place,
                    hint="Give storage_options with keys, or let the server vend credentials.",
                )
            until = int(config[_UNTIL]) / 1000 if _UNTIL in config else None
            return Loan(self._places(config), until)

    def sign(
        self, method: str, url: str, region: str, headers: Mapping[str, list[str]]
    ) -> tuple[str, Mapping[str, list[str]]]:
        """Have a request to the storage signed.

        Args:
            method: Its HTTP method.
            url: Its address.
            region: Region of the storage.
            headers: What it sends.

        Returns:
            Address and headers to send.

        Raises:
            CatalogError: The server refused or did not answer.
        """
        config = self._config or {}
        address = config.get("s3.signer.uri") or self._server.library.uri
        place = urljoin(address.rstrip("/") + "/", config.get("s3.signer.endpoint", _SIGNER))
        body = {"method": method, "uri": url, "region": region, "headers": headers}
        with self._server.guarded(".".join(self._identifier)):
            answer = msgspec.json.decode(self._server.send("POST", place, body))
        return answer["uri"], answer["headers"]

    def _places(self, config: Mapping[str, str]) -> dict[str, str]:
        found = {ours: config[theirs] for theirs, ours in _NAMES.items() if config.get(theirs)}
        if own := self._server.options.get("aws_endpoint_url"):
            found["aws_endpoint_url"] = own  # the server may know the storage by an inner address
        return found

    def _signs(self, config: Mapping[str, str]) -> bool:
        return config.get("s3.remote-signing-enabled") == "true" and "s3.access-key-id" not in config

    def _ends(self, config: Mapping[str, str]) -> bool:
        return _UNTIL in config and int(config[_UNTIL]) / 1000 - _MARGIN < self._now().timestamp()

    def _ask(self) -> None:
        from pyiceberg.exceptions import NoSuchTableError

        path = self._server.table_path(self._identifier)
        known = self._config is not None
        if known and self._server.lends_again():
            path += "/credentials"
        with self._server.guarded(".".join(self._identifier)):
            try:
                self.learn(decoded(self._server.send("GET", path, refusals={404: NoSuchTableError})))
            except NoSuchTableError:
                self.learn(self._staged())

    def _staged(self) -> dict[str, Any]:
        """What the server would say of the table if it existed."""
        from pyiceberg.exceptions import NamespaceAlreadyExistsError

        namespace, name = self._identifier
        field = {"id": 1, "name": "id", "type": "long", "required": False}
        body = {
            "name": name,
            "location": self._location,
            "stage-create": True,
            "schema": {"type": "struct", "schema-id": 0, "fields": [field]},
        }
        with suppress(NamespaceAlreadyExistsError):
            self._server.library.create_namespace(namespace)
        path = self._server.table_path(self._identifier).rpartition("/")[0]
        answer = decoded(self._server.send("POST", path, body))
        place = Document.parse("", bytes(answer["metadata"])).get("location")
        if not same_place(place, self._location):
            raise CatalogError(
                f"the catalog would put the table at {place} and lends no access to {self._location}",
                table=".".join(self._identifier),
                place=self._server.place,
                hint="Let an engine of the catalog create the table and load into it then, or give "
                "storage_options with keys and access-delegation=none in the catalog URI.",
            )
        return answer
