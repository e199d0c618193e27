"""Iceberg tables registered in the AWS Glue Data Catalog, where Athena, Spark and Trino find them.

A commit writes a metadata file and swaps the entry's `metadata_location` to it, by Glue's own optimistic
lock: an update names the version of the entry it was made for. It is the end of
extract → normalize → write → commit. URIs: see `glue_client`.

Rules: the entry is what Iceberg's own Glue catalog writes: Iceberg documentation, "AWS Integrations".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lakeload.catalogs.delta_entry import provider
from lakeload.catalogs.glue_client import Glue, comment, refreshed
from lakeload.catalogs.hive_types import hive_type
from lakeload.catalogs.pointer import Pointer
from lakeload.errors import CatalogError, LakeloadError, TableError
from lakeload.formats.iceberg import IcebergTable
from lakeload.formats.iceberg_document import Document
from lakeload.formats.iceberg_schema import to_arrow
from lakeload.formats.iceberg_types import Schema
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

_KIND = "table_type"
_POINTER = "metadata_location"
_PREVIOUS = "previous_metadata_location"


class GlueCatalog:
    """Names to Iceberg tables, kept by AWS Glue.

    Args:
        uri: Which Data Catalog; see `glue_client`.
        warehouse: Root of the lake. Not told to Glue: every table has its location.
        options: Credentials and region of Glue, and credentials and endpoint of the object store.
        now: The clock; must return aware times.

    Raises:
        ConfigError: The URI cannot be read.

    Example:
        >>> import datetime
        >>> now = lambda: datetime.datetime.now(datetime.UTC)
        >>> GlueCatalog("glue://?region=eu-north-1", "s3://lake", StorageOptions(), now=now)
        GlueCatalog('glue://?region=eu-north-1')
    """

    def __init__(
        self,
        uri: str,
        warehouse: str,  # noqa: ARG002 - all catalogs are made alike
        options: StorageOptions,
        *,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._glue = Glue(uri, options)
        self._options, self._now = options, now

    def __repr__(self) -> str:
        return f"GlueCatalog({self.place!r})"

    @property
    def place(self) -> str:
        """Which Data Catalog, without secrets."""
        return self._glue.place

    def open(self, namespace: str, name: str, location: str) -> IcebergTable:
        """A handle on the table; it need not exist. `location` is where it would be created."""
        store = Store(location, self._options)
        register = Pointer(_Entry(self._glue, namespace, name), namespace, name, store)
        return IcebergTable(name, namespace, register, store, now=self._now)

    def register(self, namespace: str, name: str, metadata_location: str) -> None:
        """Give an existing table a name. Makes the namespace if there is none.

        Raises:
            CatalogError: The name is taken, or Glue refused or did not answer.
            StorageError: The metadata file cannot be read.
        """
        store = Store(metadata_location.rpartition("/")[0], self._options)
        if not Pointer(_Entry(self._glue, namespace, name), namespace, name, store).adopt(metadata_location):
            raise CatalogError(
                "the name is taken",
                table=f"{namespace}.{name}",
                place=self.place,
                hint="Drop that entry first, or register under another namespace.",
            )

    def list(self, namespace: str) -> Sequence[str]:
        """Names of the Iceberg tables in the namespace, sorted; empty when the namespace does not exist."""
        return sorted(
            found["Name"] for found in self._glue.tables(namespace) if _provider(found) == "iceberg"
        )

    def drop(self, namespace: str, name: str) -> None:
        """Forget the table. Its files stay.

        Raises:
            CatalogError: There is no such table, it is of another kind, or Glue refused.
        """
        found = self._glue.table(namespace, name)
        if found is not None:
            _refuse_others(found, namespace, self.place, CatalogError)
        if found is None or not self._glue.delete(namespace, name):
            raise CatalogError(
                "there is no such table",
                table=f"{namespace}.{name}",
                place=self.place,
                hint="Check namespace and name; list() gives the names there are.",
            )


class _Entry:
    """One table's entry: the `Pointing` of Glue."""

    def __init__(self, glue: Glue, namespace: str, name: str) -> None:
        self._glue, self._namespace, self._name = glue, namespace, name

    def location(self) -> str | None:
        found = self._glue.table(self._namespace, self._name)
        if found is None:
            return None
        _refuse_others(found, self._namespace, self._glue.place, TableError)
        location = found["Parameters"].get(_POINTER)
        if location is None:
            raise CatalogError(
                "the entry is an Iceberg table's but names no metadata file",
                table=f"{self._namespace}.{self._name}",
                place=self._glue.place,
                hint="Drop the entry, or let the engine that makes the table finish.",
            )
        return str(location)

    def swap(self, base: Document | None, after: Document) -> bool:
        if base is None:
            entry = {"Name": self._name, "TableType": "EXTERNAL_TABLE", **_members(after, {})}
            return self._glue.create(self._namespace, entry)
        found = self._glue.table(self._namespace, self._name)
        if found is None or found.get("Parameters", {}).get(_POINTER) != base.location:
            return False
        # What was just read is known to be at `base`; its version is the condition of the update.
        changes = _members(after, found)
        changes["Parameters"] = {**changes["Parameters"], _PREVIOUS: base.location}
        return self._glue.update(self._namespace, refreshed(found, changes), found.get("VersionId"))


def _members(document: Document, found: Mapping[str, Any]) -> dict[str, Any]:
    """What the entry of a table version says besides its name."""
    return {
        "Parameters": {_KIND: "ICEBERG", _POINTER: document.location},
        "StorageDescriptor": {
            "Columns": list(_columns(document, found)),
            "Location": document.get("location"),
        },
    }


def _columns(document: Document, found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The columns of the current schema, then those only older ones have, marked so.

    Comments are the schema's; a column without one keeps what somebody wrote in Glue.
    """
    noted = {
        column["Name"]: column["Comment"]
        for column in found.get("StorageDescriptor", {}).get("Columns", ())
        if column.get("Comment")
    }
    seen: set[str] = set()
    for schema in document.schemas:
        types = _types(schema)
        for field in schema.fields:
            if field.name in seen:
                continue
            seen.add(field.name)
            text = comment(field.doc or noted.get(field.name, ""))
            yield {
                "Name": field.name,
                "Type": types[field.name],
                "Parameters": {
                    "iceberg.field.id": str(field.field_id),
                    "iceberg.field.optional": str(not field.required).lower(),
                    "iceberg.field.current": str(schema is document.schema).lower(),
                },
                **({"Comment": text} if text else {}),
            }


def _types(schema: Schema) -> dict[str, str]:
    return {field.name: hive_type(field.type) for field in to_arrow(schema, "")}


def _provider(found: Mapping[str, Any]) -> str:
    return provider(found.get("Parameters", {}), found.get("TableType", ""))


def _refuse_others(found: Mapping[str, Any], namespace: str, place: str, error: type[LakeloadError]) -> None:
    kind = _provider(found)
    if kind != "iceberg":
        raise error(
            f"the name belongs to a table of another kind ({kind})",
            table=f"{namespace}.{found['Name']}",
            place=place,
            hint="Choose another name or namespace, or drop that table from the catalog.",
        )
