"""Delta tables registered in the AWS Glue Data Catalog, so that Athena, Spark and Trino know them by name.

The entry is a native one: engines read the table's log themselves and need no manifest files. It follows the
table after every load, the end of extract → normalize → write → commit. URIs: see `glue_client`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lakeload.catalogs import delta_entry
from lakeload.catalogs.glue_client import Glue, refreshed
from lakeload.errors import CatalogError
from lakeload.model.registration import Entry, plain
from lakeload.model.table import TableState
from lakeload.storage_options import StorageOptions

_ATTEMPTS = 3
"""How often an entry is read and replaced when others change it at the same time."""
_STORED_AS = {
    # Nobody reads through these; Hive clients want some, and Spark and AWS's crawlers write these.
    "InputFormat": "org.apache.hadoop.mapred.SequenceFileInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
}
_SERDE = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"


class GlueDeltaCatalog:
    """Names for Delta tables, kept by AWS Glue.

    Args:
        uri: Which Data Catalog; see `glue_client`.
        warehouse: Root of the lake. Not told to Glue: every entry has its location.
        options: Credentials and region.
        now: The clock; Glue has its own.

    Raises:
        ConfigError: The URI cannot be read.

    Example:
        >>> import datetime
        >>> now = lambda: datetime.datetime.now(datetime.UTC)
        >>> GlueDeltaCatalog("glue://123456789012", "s3://lake", StorageOptions(), now=now).place
        'glue://123456789012'
    """

    def __init__(
        self,
        uri: str,
        warehouse: str,  # noqa: ARG002 - all catalogs are made alike
        options: StorageOptions,
        *,
        now: Callable[[], dt.datetime],  # noqa: ARG002 - as above
    ) -> None:
        self._glue = Glue(uri, options)

    def __repr__(self) -> str:
        return f"GlueDeltaCatalog({self.place!r})"

    @property
    def place(self) -> str:
        """Which Data Catalog, without secrets."""
        return self._glue.place

    def describe(self, location: str, state: TableState) -> Entry:
        """The entry a table of that version should have; partition columns come last.

        Raises:
            SchemaError: Glue has no word for the type of a column.
        """
        return delta_entry.describe(location, state)

    def find(self, namespace: str, name: str) -> Entry | None:
        """The entry there is, its location in lakeload's spelling; `None` when the name is not known.

        Raises:
            CatalogError: Glue refused or did not answer.
        """
        found = self._glue.table(namespace, name)
        return None if found is None else _entry(found)

    def put(self, namespace: str, name: str, entry: Entry) -> None:
        """Make the entry, or bring the one of that name up to date. Makes the namespace if there is none.

        What others noted in it stays: description, owner, parameters and comments of columns.

        Raises:
            CatalogError: The name is another kind of table's, Glue refused, or it did not answer.
        """
        for _ in range(_ATTEMPTS):
            if self._put(namespace, name, entry):
                return
        raise CatalogError(
            "others keep changing the entry",
            table=f"{namespace}.{name}",
            place=self.place,
            hint="Run the load again: the next one brings the entry up to date.",
        )

    def _put(self, namespace: str, name: str, entry: Entry) -> bool:
        """True when the entry is as it should be, by us or already."""
        found = self._glue.table(namespace, name)
        if found is None:
            new = {"Name": name, "TableType": "EXTERNAL_TABLE", **_members(entry, {})}
            return self._glue.create(namespace, new)
        known = _entry(found)
        if known == entry:
            return True
        if known.provider != entry.provider:
            raise self._taken(namespace, name, known.provider)
        changed = refreshed(found, _members(entry, found))
        return self._glue.update(namespace, changed, found.get("VersionId"))

    def list(self, namespace: str) -> Sequence[str]:
        """Names of the Delta tables in the namespace, sorted; empty when there is no namespace."""
        found = self._glue.tables(namespace)
        return sorted(table["Name"] for table in found if _entry(table).provider == "delta")

    def drop(self, namespace: str, name: str) -> None:
        """Forget the entry. The table's files stay.

        Raises:
            CatalogError: There is no such entry, it is another kind of table's, or Glue refused.
        """
        known = self.find(namespace, name)
        if known is not None and known.provider != "delta":
            raise self._taken(namespace, name, known.provider)
        if known is None or not self._glue.delete(namespace, name):
            raise CatalogError(
                "there is no such entry",
                table=f"{namespace}.{name}",
                place=self.place,
                hint="Check namespace and name; list() gives the names there are.",
            )

    def _taken(self, namespace: str, name: str, provider: str) -> CatalogError:
        return CatalogError(
            f"the name belongs to a table of another kind ({provider})",
            table=f"{namespace}.{name}",
            place=self.place,
            hint="Choose another name or namespace, or drop that table from the catalog.",
        )


def _entry(found: Mapping[str, Any]) -> Entry:
    """What Glue tells, in lakeload's terms."""
    storage = found.get("StorageDescriptor", {})
    serde = storage.get("SerdeInfo", {}).get("Parameters", {})
    keys = found.get("PartitionKeys", [])
    return Entry(
        # Spark's own entries have a placeholder as location, and the place in the serde's path.
        location=plain(serde.get("path") or storage.get("Location", "")),
        columns=tuple(
            (column["Name"], column.get("Type", "")) for column in [*storage.get("Columns", []), *keys]
        ),
        partition_by=tuple(column["Name"] for column in keys),
        provider=delta_entry.provider(found.get("Parameters", {}), found.get("TableType", "")),
    )


def _members(entry: Entry, found: Mapping[str, Any]) -> dict[str, Any]:
    """What Glue is told besides the name, over what it says now."""
    storage = found.get("StorageDescriptor", {})
    noted = {
        column["Name"]: {"Comment": column["Comment"]}
        for column in [*storage.get("Columns", []), *found.get("PartitionKeys", [])]
        if column.get("Comment")
    }

    def column(name: str, kind: str) -> dict[str, str]:
        return {"Name": name, "Type": kind, **noted.get(name, {})}

    apart = dict(entry.columns)
    serde = storage.get("SerdeInfo", {})
    return {
        "Parameters": dict(delta_entry.PARAMETERS),
        "PartitionKeys": [column(name, apart[name]) for name in entry.partition_by],
        "StorageDescriptor": {
            **{key: storage.get(key, value) for key, value in _STORED_AS.items()},
            "Columns": [column(*pair) for pair in entry.columns if pair[0] not in entry.partition_by],
            "Location": _spelled(storage.get("Location"), entry.location),
            "SerdeInfo": {
                "SerializationLibrary": _SERDE,
                **serde,
                "Parameters": {
                    "serialization.format": "1",
                    **serde.get("Parameters", {}),
                    "path": _spelled(serde.get("Parameters", {}).get("path"), entry.location),
                },
            },
        },
    }


def _spelled(known: str | None, location: str) -> str:
    """The location; as the entry spells it already, say `s3a://`, if that is the same place."""
    return known if known and plain(known) == location else location
