"""Which Delta tables may be loaded into, and what a new one needs.

Part of commit. A writer has to honour every feature a table's protocol names (Delta protocol, section
"Table Features"); what cannot be honoured is refused by name before anything is written, because a wrong
commit would be accepted by the log and break the table for everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lakeload.errors import TableError

_HONOURED = frozenset(
    {
        "appendOnly",
        "invariants",
        "checkConstraints",
        "changeDataFeed",
        "generatedColumns",
        "columnMapping",
        "identityColumns",
        "allowColumnDefaults",
        "deletionVectors",
        "timestampNtz",
        "v2Checkpoint",
        "vacuumProtocolCheck",
        "variantType",
        "variantType-preview",
        "materializePartitionColumns",
        "inCommitTimestamp",
    }
)
"""Features whose mere presence asks nothing of us; `_in_use` looks at their use."""

_LEGACY = {
    2: ("appendOnly", "invariants"),
    3: ("checkConstraints",),
    4: ("changeDataFeed", "generatedColumns"),
    5: ("columnMapping",),
    6: ("identityColumns",),
}
"""Features a writer version before 7 brings with it, by the version that introduced them."""

_FEATURE_WRITER = 7
_FEATURE_READER = 3
_MAPPING_READER = 2

_SWITCHES = {
    "delta.columnMapping.mode": ("columnMapping", ("", "none")),
    "delta.enableInCommitTimestamps": ("inCommitTimestamp", ("", "false")),
}
_NEW_TABLE_SWITCHES = (
    "delta.setTransactionRetentionDuration",
    "delta.columnMapping.mode",
    "delta.enableChangeDataFeed",
    "delta.enableDeletionVectors",
    "delta.enableIcebergCompat",
    "delta.enableInCommitTimestamps",
    "delta.enableRowTracking",
    "delta.enableTypeWidening",
    "delta.checkpointPolicy",
    "delta.constraints.",
    "delta.feature.",
)
_OFF = ("", "false", "none", "classic")

_FORGETS = "delta.setTransactionRetentionDuration"
"""Lets checkpoints leave out `txn` actions of that age (Spark), and with them where a pipeline stands."""

_FIELD_KEYS = {
    "delta.generationExpression": "generatedColumns",
    "delta.invariants": "invariants",
    "delta.identity.": "identityColumns",
    "CURRENT_DEFAULT": "allowColumnDefaults",
}


def check_table(
    protocol: Mapping[str, Any],
    properties: Mapping[str, str],
    fields: Iterable[Mapping[str, Any]],
    *,
    table: str,
) -> None:
    """Refuse a table that needs a feature we cannot honour.

    Args:
        protocol: The `protocol` action in force.
        properties: The table's configuration.
        fields: Struct fields of its schema.
        table: Table name for messages.

    Raises:
        TableError: Naming the feature.
    """
    reader, writer = protocol["minReaderVersion"], protocol["minWriterVersion"]
    if reader > _FEATURE_READER or writer > _FEATURE_WRITER:
        raise TableError(
            f"the table's Delta protocol {reader}/{writer} is newer than lakeload knows",
            table=table,
            hint="Update lakeload, or load into another table.",
        )
    named = {*(protocol.get("readerFeatures") or ()), *(protocol.get("writerFeatures") or ())}
    for feature in sorted(named - _HONOURED):
        raise _refused(feature, table)
    for feature, column in _in_use(properties, fields):
        raise _refused(feature, table, column)
    if _FORGETS in properties:
        raise TableError(
            f"the table lets engines forget the positions of loads ({_FORGETS})",
            table=table,
            hint=f"ALTER TABLE … UNSET TBLPROPERTIES ('{_FORGETS}'); else a load could come twice.",
        )


def _in_use(
    properties: Mapping[str, str], fields: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, str | None]]:
    for key, (feature, off) in _SWITCHES.items():
        if properties.get(key, "").lower() not in off:
            yield feature, None
    for key in properties:
        if key.startswith("delta.constraints."):
            yield f"checkConstraints ({key.removeprefix('delta.constraints.')})", None
    for path, metadata in _metadata(fields, ()):
        for key in metadata:
            for start, feature in _FIELD_KEYS.items():
                if key.startswith(start):
                    yield feature, path


def _metadata(
    fields: Iterable[Mapping[str, Any]], above: tuple[str, ...]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for field in fields:
        path = (*above, field["name"])
        yield ".".join(path), field.get("metadata") or {}
        yield from _metadata(_structs(field["type"]), path)


def _structs(kind: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(kind, dict):
        yield from kind.get("fields", ())
        for key in ("elementType", "keyType", "valueType"):
            yield from _structs(kind.get(key))


def _refused(feature: str, table: str, column: str | None = None) -> TableError:
    return TableError(
        f"the table uses the Delta feature {feature}, which lakeload cannot honour",
        table=table,
        column=column,
        hint="Drop the feature with the engine that owns the table, or load into another table.",
    )


def check_removal(properties: Mapping[str, str], *, changes_rows: bool, table: str) -> None:
    """Refuse to remove files where the table forbids it or wants a record of every removed row.

    Args:
        properties: The table's configuration.
        changes_rows: False when the same rows are added again in other files.
        table: Table name for messages.

    Raises:
        TableError: Naming the property.
    """
    if not changes_rows:
        return
    for key in ("delta.appendOnly", "delta.enableChangeDataFeed"):
        if properties.get(key, "").lower() == "true":
            raise TableError(
                f"rows cannot be replaced while the table has {key}=true",
                table=table,
                hint="Append instead, or unset the property with the engine that owns the table.",
            )


def check_properties(properties: Mapping[str, str], *, table: str) -> None:
    """Refuse properties that would switch on a feature; set alone they would only pretend.

    Raises:
        TableError: Naming the property.
    """
    for key, value in properties.items():
        if value.lower() not in _OFF and key.startswith(_NEW_TABLE_SWITCHES):
            raise TableError(
                f"the property {key} needs a Delta feature lakeload does not switch on",
                table=table,
                hint="Leave it out, and switch the feature on with an engine that supports it.",
            )


def new_protocol(*, ntz: bool) -> dict[str, Any]:
    """The lowest protocol for a new table; timestamps without zone are a feature of their own."""
    plain: dict[str, Any] = {"minReaderVersion": 1, "minWriterVersion": 2}
    return with_ntz(plain) if ntz else plain


def with_ntz(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """The protocol with `timestampNtz` added, and every feature the old version numbers implied.

    Example:
        >>> with_ntz({"minReaderVersion": 1, "minWriterVersion": 2})["writerFeatures"]
        ['appendOnly', 'invariants', 'timestampNtz']
    """
    reader, writer = protocol["minReaderVersion"], protocol["minWriterVersion"]
    readers = set(protocol.get("readerFeatures") or ())
    writers = set(protocol.get("writerFeatures") or ())
    if writer < _FEATURE_WRITER:
        writers |= {name for version, names in _LEGACY.items() if version <= writer for name in names}
    if reader == _MAPPING_READER:
        readers.add("columnMapping")
    return {
        "minReaderVersion": _FEATURE_READER,
        "minWriterVersion": _FEATURE_WRITER,
        "readerFeatures": sorted(readers | {"timestampNtz"}),
        "writerFeatures": sorted(writers | {"timestampNtz"}),
    }


def knows_ntz(protocol: Mapping[str, Any]) -> bool:
    """True when the protocol already allows timestamps without zone."""
    return "timestampNtz" in (protocol.get("readerFeatures") or ())
