"""One version of an Iceberg table's metadata, and the change that leads to the next. Part of commit.

The metadata file lists every snapshot, so it grows with each load; parsing and printing all of it for
every commit would make the thousandth load slower than the first. A `Document` therefore keeps the JSON
text of the parts nobody asks for, and a commit splices one more snapshot into it. What other engines
wrote and lakeload does not know is kept as it is.

Rules: Iceberg specification v2, section "Table Metadata".
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import msgspec

from lakeload.errors import StorageError, TableError
from lakeload.formats.iceberg_types import (
    PartitionSpec,
    Schema,
    SortOrder,
    order_json,
    read_order,
    read_schema,
    read_spec,
    schema_json,
    spec_json,
)

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata

FORMAT_VERSION = 2
"""The version of the specification that is read and written."""
KEEP_VERSIONS = "write.metadata.previous-versions-max"
DELETE_OLD = "write.metadata.delete-after-commit.enabled"
METADATA_PATH = "write.metadata.path"

FIRST_PARTITION_ID = 1000
"""The specification counts partition fields from here."""

_Read = TypeVar("_Read")
_EMPTY_LIST = msgspec.Raw(b"[]")


@dataclass(frozen=True, slots=True)
class NewTable:
    """What a create needs besides schema, properties and snapshot."""

    uuid: str
    location: str
    spec: PartitionSpec
    order: SortOrder


@dataclass(frozen=True, slots=True)
class Change:
    """One atomic change of a table's metadata.

    Args:
        at_ms: When, milliseconds since the epoch.
        schema: The new current schema with its new schema id; `None` keeps the current one.
        properties: Properties to set.
        snapshot: The snapshot as the specification's JSON object, to become the head of `main`.
        create: Set when the table is to be created.
    """

    at_ms: int
    schema: Schema | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    snapshot: dict[str, Any] | None = None
    create: NewTable | None = None

    def landed_in(self, found: Document | None) -> bool:
        """Whether this very change is part of that version: asked after a lost answer."""
        if found is None:
            return False
        if self.create is not None and found.get("table-uuid") != self.create.uuid:
            return False
        if self.snapshot is not None:
            return found.snapshot(self.snapshot["snapshot-id"]) is not None
        known = found.properties
        schema_there = self.schema is None or any(map(self.schema.same_columns, found.schemas))
        return schema_there and all(known.get(key) == value for key, value in self.properties.items())


class Register(Protocol):
    """What a catalog must do for one table: tell its metadata, and compare-and-swap it."""

    @property
    def creates_whole(self) -> bool:
        """Whether a table can be created together with its first snapshot.

        Servers number schemas and partition specs themselves, and manifests name the spec: behind such a
        server a table is created empty, and its first snapshot follows.
        """
        ...

    def load(self, cached: Document | None) -> Document | None:
        """The newest metadata, `cached` itself when it still is; `None` when there is no such table."""
        ...

    def publish(self, base: Document | None, change: Change) -> Document | None:
        """Publish the change if the table still is at `base`; `None` when it is not.

        Raises:
            CatalogError: The catalog refused, or it is not known whether the change landed.
        """
        ...


class Document:
    """The metadata of one table version.

    Args:
        location: Where the metadata file is; identifies the version.
        parts: Top-level members of the metadata as JSON text.
    """

    def __init__(self, location: str, parts: dict[str, msgspec.Raw]) -> None:
        self.location = location
        self._parts = parts

    @classmethod
    def parse(cls, location: str, data: bytes) -> Document:
        """Read the bytes of a metadata file, compressed or not.

        Raises:
            StorageError: They are no metadata.
        """
        try:
            text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
            return cls(location, msgspec.json.decode(text, type=dict[str, msgspec.Raw]))
        except (msgspec.DecodeError, EOFError, OSError) as error:
            raise StorageError(
                "the table's metadata file is damaged",
                place=location,
                hint="Restore it, or point the catalog to an older metadata file.",
            ) from error

    def encode(self) -> bytes:
        """The bytes of the metadata file."""
        return msgspec.json.encode(self._parts)

    def get(self, name: str, default: Any = None) -> Any:
        """One member of the metadata, decoded."""
        raw = self._parts.get(name)
        found = None if raw is None else msgspec.json.decode(raw)
        return default if found is None else found

    @cached_property
    def properties(self) -> dict[str, str]:
        """Table properties."""
        return cast("dict[str, str]", self.get("properties", {}))

    @cached_property
    def head(self) -> int | None:
        """Id of the current snapshot; `None` when there is none (some engines write -1)."""
        found = self.get("current-snapshot-id")
        return None if found in (None, -1) else int(found)

    @cached_property
    def metadata_root(self) -> str:
        """Directory of metadata files and manifests."""
        return metadata_folder(self.properties, self.get("location"))

    @cached_property
    def _snapshots(self) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", self.get("snapshots", []))

    @cached_property
    def _by_id(self) -> dict[int, dict[str, Any]]:
        return {snapshot["snapshot-id"]: snapshot for snapshot in self._snapshots}

    def snapshot(self, number: int | None) -> dict[str, Any] | None:
        """The snapshot of that id."""
        newest = self._snapshots[-1] if self._snapshots else None
        if newest is not None and newest["snapshot-id"] == number:
            return newest
        return self._by_id.get(number) if number is not None else None

    def ancestors(self) -> Iterator[dict[str, Any]]:
        """The current snapshot, its parent, and so on as far as they are kept."""
        found = self.snapshot(self.head)
        while found is not None:
            yield found
            found = self.snapshot(found.get("parent-snapshot-id"))

    @cached_property
    def schemas(self) -> tuple[Schema, ...]:
        """Every schema the table has had, the current one first."""
        return self._read("schemas", read_schema, "current-schema-id", "schema-id")

    @property
    def schema(self) -> Schema:
        """The current schema."""
        return self.schemas[0]

    @cached_property
    def _specs(self) -> tuple[PartitionSpec, ...]:
        return self._read("partition-specs", read_spec, "default-spec-id", "spec-id")

    @property
    def spec(self) -> PartitionSpec:
        """How new files are partitioned."""
        return self._specs[0]

    @property
    def specs(self) -> dict[int, PartitionSpec]:
        """Every partition spec by its id."""
        return {spec.spec_id: spec for spec in self._specs}

    @cached_property
    def order(self) -> SortOrder:
        """How new files are sorted."""
        if not self.get("default-sort-order-id"):
            return SortOrder()
        return self._read("sort-orders", read_order, "default-sort-order-id", "order-id")[0]

    def _read(
        self, name: str, read: Callable[[dict[str, Any]], _Read], current: str, key: str
    ) -> tuple[_Read, ...]:
        """A list of the metadata, the current item first."""
        try:
            number = self.get(current, 0)
            items = sorted(self.get(name, []), key=lambda item: item.get(key, 0) != number)
            items[0 if any(item.get(key, 0) == number for item in items) else len(items)]
            return tuple(map(read, items))
        except (IndexError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(
                f"the table's metadata file is damaged: {name} cannot be read",
                place=self.location,
                hint="Restore it, or point the catalog to an older metadata file.",
            ) from error

    @cached_property
    def model(self) -> TableMetadata:
        """This version as pyiceberg models it; of the snapshots it knows the current one only."""
        from pyiceberg.table.metadata import TableMetadataUtil

        current = self.snapshot(self.head)
        lists = ("snapshots", "snapshot-log", "metadata-log", "statistics", "partition-statistics")
        facts = {name: msgspec.json.decode(raw) for name, raw in self._parts.items() if name not in lists}
        facts["snapshots"] = [current] if current is not None else []
        return TableMetadataUtil.parse_raw(msgspec.json.encode(facts).decode())

    def next(self, location: str, change: Change) -> Document:
        """The version after the change; see `created` for a table that does not exist.

        Args:
            location: Where the new metadata file will be.
            change: What changes.
        """
        before = self.get("last-updated-ms", 0)
        at_ms = max(change.at_ms, before)
        parts = dict(self._parts)

        def put(name: str, value: Any) -> None:
            parts[name] = msgspec.Raw(msgspec.json.encode(value))

        put("last-updated-ms", at_ms)
        if change.schema is not None:
            put("schemas", [*self.get("schemas", []), schema_json(change.schema)])
            put("current-schema-id", change.schema.schema_id)
            put("last-column-id", max(self.get("last-column-id"), change.schema.highest_field_id))
        if change.properties:
            put("properties", {**self.properties, **change.properties})
        keep = max(1, int({**self.properties, **change.properties}.get(KEEP_VERSIONS, "100")))
        log = [*self.get("metadata-log", []), {"metadata-file": self.location, "timestamp-ms": before}]
        put("metadata-log", log[-keep:])
        if change.snapshot is None:
            return Document(location, parts)
        return self._with_snapshot(location, parts, change.snapshot, at_ms)

    def _with_snapshot(
        self, location: str, parts: dict[str, msgspec.Raw], snapshot: dict[str, Any], at_ms: int
    ) -> Document:
        number = snapshot["snapshot-id"]
        refs = self.get("refs", {})
        refs["main"] = {"type": "branch", **refs.get("main", {}), "snapshot-id": number}
        for name, value in (
            ("current-snapshot-id", number),
            ("last-sequence-number", snapshot["sequence-number"]),
            ("refs", refs),
        ):
            parts[name] = msgspec.Raw(msgspec.json.encode(value))
        parts["snapshots"] = _spliced(parts.get("snapshots"), snapshot)
        parts["snapshot-log"] = _spliced(
            parts.get("snapshot-log"), {"snapshot-id": number, "timestamp-ms": at_ms}
        )
        result = Document(location, parts)
        if "_snapshots" in self.__dict__:  # decoded already: hand it on instead of decoding once more
            result.__dict__["_snapshots"] = [*self._snapshots, snapshot]
        return result

    def forgotten(self, after: Document) -> list[str]:
        """Metadata files the next version no longer lists and the table's properties say to delete."""
        if after.properties.get(DELETE_OLD) != "true":
            return []
        listed = {entry["metadata-file"] for entry in after.get("metadata-log", [])} | {after.location}
        known = [entry["metadata-file"] for entry in self.get("metadata-log", [])]
        return [path for path in known if path not in listed]


def metadata_folder(properties: Mapping[str, str], location: str) -> str:
    """Directory of metadata files and manifests of a table with these properties.

    Example:
        >>> metadata_folder({}, "s3://lake/default/events")
        's3://lake/default/events/metadata'
    """
    return (properties.get(METADATA_PATH) or f"{location.rstrip('/')}/metadata").rstrip("/")


def created(location: str, change: Change) -> Document:
    """The first version of a table, in format version 2.

    Args:
        location: Where the metadata file will be.
        change: A change with `create` and `schema`.
    """
    new, schema = change.create, change.schema
    assert new is not None  # noqa: S101 - callers check; narrows the type
    assert schema is not None  # noqa: S101 - as above
    facts = {
        "format-version": FORMAT_VERSION,
        "table-uuid": new.uuid,
        "location": new.location,
        "last-sequence-number": 0,
        "last-updated-ms": change.at_ms,
        "last-column-id": schema.highest_field_id,
        "schemas": [schema_json(schema)],
        "current-schema-id": schema.schema_id,
        "partition-specs": [spec_json(new.spec)],
        "default-spec-id": new.spec.spec_id,
        "last-partition-id": max(
            (field.field_id for field in new.spec.fields), default=FIRST_PARTITION_ID - 1
        ),
        "properties": dict(change.properties),
        "current-snapshot-id": None,
        "snapshots": [],
        "snapshot-log": [],
        "metadata-log": [],
        "sort-orders": [order_json(new.order)],
        "default-sort-order-id": new.order.order_id,
        "refs": {},
        "statistics": [],
        "partition-statistics": [],
    }
    if change.snapshot is None:
        del facts["current-snapshot-id"]
    parts = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in facts.items()}
    empty = Document(location, parts)
    if change.snapshot is None:
        return empty
    return empty._with_snapshot(location, parts, change.snapshot, change.at_ms)  # noqa: SLF001 - same module


def same_place(one: str, other: str) -> bool:
    """Whether two locations name one place: `file:` or not, `s3a` or `s3`, with or without a last slash.

    Example:
        >>> same_place("s3a://b/t/", "s3://b/t"), same_place("file:///t", "/t"), same_place("/t", "/u")
        (True, True, False)
    """
    return _bare(one) == _bare(other)


def _bare(location: str) -> str:
    plain = "/" + location[5:].lstrip("/") if location.startswith("file:") else location
    return plain.replace("s3a://", "s3://", 1).replace("s3n://", "s3://", 1).rstrip("/")


def unsupported_version(version: object, table: str) -> TableError:
    """What to say of a table in another format version."""
    older = isinstance(version, int) and version < FORMAT_VERSION
    way_out = (
        f"Upgrade it with another engine (set the table property 'format-version' to '{FORMAT_VERSION}')"
        if older
        else "A table cannot go back to an older version: copy it with another engine"
    )
    return TableError(
        f"the table has Iceberg format version {version}; version {FORMAT_VERSION} is supported",
        table=table,
        hint=f"{way_out}, or load into another table.",
    )


def _spliced(items: msgspec.Raw | None, item: dict[str, Any]) -> msgspec.Raw:
    # Appending to the text costs a copy; decoding a thousand snapshots costs milliseconds.
    text = bytes(items or _EMPTY_LIST).rstrip()
    if text == b"null":
        text = b"[]"
    inner = text[1:-1].strip()
    separator = b"," if inner else b""
    return msgspec.Raw(b"[" + inner + separator + msgspec.json.encode(item) + b"]")
