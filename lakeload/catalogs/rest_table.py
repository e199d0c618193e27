"""One table on an Iceberg REST server: requirements and updates instead of metadata files. Part of commit.

A commit says what must still be true of the table and what shall change; the server compares and swaps.
Several tables can go into one request where the server offers it: all of them change, or none.

Rules: the Iceberg REST Catalog API, operations loadTable, updateTable and commitTransaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from lakeload.catalogs.rest_server import TOGETHER, Server, decoded
from lakeload.errors import CatalogError, TableError
from lakeload.formats.iceberg_document import (
    FORMAT_VERSION,
    Change,
    Document,
    same_place,
    unsupported_version,
)
from lakeload.formats.iceberg_types import order_json, schema_json, spec_json

if TYPE_CHECKING:
    from lakeload.formats.iceberg import Prepared


class RemoteTable:
    """The `Register` of one Iceberg table behind a REST server.

    Args:
        server: The server.
        identifier: Namespace and name.
        joined: Publishes changes of several tables of this server.
        learn: Told the rest of every answer about the table: what the server says of its storage.
    """

    def __init__(
        self,
        server: Server,
        identifier: tuple[str, str],
        joined: RemoteTogether,
        learn: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._server, self._identifier = server, identifier
        self._joined, self._learn = joined, learn

    @property
    def creates_whole(self) -> bool:
        """Only behind Nessie: it keeps our numbers, and lets a second first snapshot replace the first."""
        with self._server.guarded():
            return self._server.is_nessie

    @property
    def together(self) -> RemoteTogether | None:
        """What publishes changes of several tables in one request; `None` when the server does not."""
        with self._server.guarded():
            return self._joined if self._server.publishes_together else None

    def load(self, cached: Document | None) -> Document | None:
        """The newest metadata, `cached` itself when it still is; `None` when there is no such table."""
        from pyiceberg.exceptions import NoSuchTableError

        with self._server.guarded(self._name):
            try:
                path = self._server.table_path(self._identifier)
                answer = decoded(self._server.send("GET", path, refusals={404: NoSuchTableError}))
            except NoSuchTableError:
                answer = None
        if answer is None:
            # SeaweedFS cannot make a namespace once files lie below it, and files come before the commit.
            with suppress(CatalogError):
                self._make_namespace()
            self._refuse_view()
            return None
        if cached is not None and cached.location == answer.get("metadata-location"):
            self._learn(answer)
            return cached
        return self._document(answer)

    def _refuse_view(self) -> None:
        # To a server, creating a table under a view's name is a conflict, this time and every time.
        taken = False
        with suppress(CatalogError), self._server.guarded(self._name):  # not every server knows views
            taken = self._server.library.view_exists(self._identifier)
        if taken:
            raise TableError(
                "the name belongs to a view",
                table=self._name,
                place=self._server.place,
                hint="Load under another name, or drop the view with the engine that made it.",
            )

    def publish(self, base: Document | None, change: Change) -> Document | None:
        """Publish the change if the table still is at `base`; `None` when it is not."""
        from pyiceberg.exceptions import CommitFailedException

        if base is None:
            self._make_namespace()
        body = self.request(base, change)
        try:
            path = self._server.table_path(self._identifier)
            # Some servers say 404 of a table that was dropped meanwhile, which is a conflict too.
            answer = self._server.send("POST", path, body, {409: CommitFailedException})
        except CommitFailedException:
            return None
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the server may have done it
            return self._after_failure(base, change, error)
        return self._checked(self._document(decoded(answer)), change)

    def request(self, base: Document | None, change: Change) -> dict[str, Any]:
        """The change as the server is asked for it."""
        namespace, name = self._identifier
        return {
            "identifier": {"namespace": [namespace], "name": name},
            "requirements": _requirements(base),
            "updates": _updates(base, change),
        }

    @property
    def _name(self) -> str:
        return ".".join(self._identifier)

    def _after_failure(self, base: Document | None, change: Change, error: Exception) -> Document | None:
        found = self.after(error)
        if found is not None and change.landed_in(found):
            return self._checked(found, change)
        expected = base.location if base is not None else None
        if (found.location if found is not None else None) != expected:
            return None
        with self._server.guarded(self._name):
            raise error
        return None

    def after(self, error: Exception | None) -> Document | None:
        """The table as it is after a request whose answer was lost.

        Raises:
            CatalogError: That cannot be found out.
        """
        try:
            return self.load(None)
        except CatalogError as unreachable:
            raise CatalogError(
                "it is not known whether the commit landed: the catalog stopped answering",
                table=self._name,
                place=unreachable.place,
                hint="Run the load again: it looks for its own commit before it repeats it.",
            ) from error

    def _checked(self, found: Document, change: Change) -> Document:
        """Refuse a table the server created somewhere else: its files are where it was told to be."""
        new = change.create
        if new is None or same_place(found.get("location"), new.location):
            return found
        with suppress(CatalogError), self._server.guarded(self._name):
            self._server.send("DELETE", self._server.table_path(self._identifier))
        raise TableError(
            f"the catalog puts the table at {found.get('location')}, not at {new.location}",
            table=self._name,
            place=self._server.place,
            hint="Choose the lake's root so that <root>/<namespace>/<table> is that place, or let the "
            "catalog's own engine create the table and load into it then. Nothing was registered.",
        )

    def _document(self, answer: Mapping[str, Any]) -> Document:
        self._learn(answer)
        location = str(answer.get("metadata-location"))
        found = Document.parse(location, bytes(answer.get("metadata", b"")))
        version = found.get("format-version")
        if version != FORMAT_VERSION:
            raise unsupported_version(version, self._identifier[-1])
        return found

    def _make_namespace(self) -> None:
        from pyiceberg.exceptions import NamespaceAlreadyExistsError

        with self._server.guarded(self._name), suppress(NamespaceAlreadyExistsError):
            self._server.library.create_namespace(self._identifier[0])


class RemoteTogether:
    """Publishes changes of several tables of one server in one request.

    Args:
        server: The server.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def publish(self, changes: Sequence[Prepared]) -> Sequence[bool]:
        """Publish every change if each table still is at its base, and look what became of each.

        Servers differ in what they do when somebody else commits at that moment: some publish table by
        table, and some say yes to a change they dropped. So the tables are asked.

        Returns:
            For each change whether it is part of its table now.

        Raises:
            CatalogError: The server refused, or it is not known whether the changes landed.
        """
        from pyiceberg.exceptions import CommitFailedException

        tables = [cast("RemoteTable", prepared.register) for prepared in changes]
        bodies = [
            table.request(prepared.base, prepared.change)
            for table, prepared in zip(tables, changes, strict=True)
        ]
        failure: Exception | None = None
        try:
            self._server.send("POST", TOGETHER, {"table-changes": bodies}, {409: CommitFailedException})
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the server may have done it
            failure = error
        found = [table.after(failure) for table in tables]
        landed = [p.change.landed_in(now) for p, now in zip(changes, found, strict=True)]
        refused = failure is not None and not isinstance(failure, CommitFailedException)
        same = all(
            now is not None and now.location == p.base.location for p, now in zip(changes, found, strict=True)
        )
        if refused and same and failure is not None:
            with self._server.guarded():
                raise failure
        return landed


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
        # The specification dropped the column number; Nessie and older servers insist on it.
        highest = max(change.schema.highest_field_id, base.get("last-column-id") if base else 0)
        found.append(
            {"action": "add-schema", "schema": schema_json(change.schema), "last-column-id": highest}
        )
        found.append({"action": "set-current-schema", "schema-id": -1})
    if new is not None:
        found.append({"action": "add-spec", "spec": spec_json(new.spec)})
        found.append({"action": "set-default-spec", "spec-id": -1})
        found.append({"action": "add-sort-order", "sort-order": order_json(new.order)})
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
