"""The load descriptor: everything needed to finish a load whose writer died, as one JSON document.

Written durably before the first table is committed, so that from then on the load can only be completed,
never half-applied for good. Values are kept exact by their column's type (`lakeload.model.values`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from lakeload.commit.position import Position, position_in, position_out
from lakeload.errors import StorageError
from lakeload.model.changes import (
    Changeset,
    Creation,
    Removal,
    RemoveAll,
    RemoveFiles,
    RemovePartitions,
    SchemaChange,
    Token,
)
from lakeload.model.evolution import find
from lakeload.model.files import ColumnStats, DataFile
from lakeload.model.layout import Layout, PartitionField
from lakeload.model.values import from_json, schema_from_text, schema_to_text, to_json

VERSION = 2
_READ = (1, VERSION)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One load of one pipeline.

    Args:
        pipeline: Pipeline name.
        sequence: Number of the load, counted from 1 per pipeline.
        load_id: Load id.
        at: When the load started, UTC.
        changes: Per table the change to publish, in the order of publishing.
        positions: Per table of the pipeline where it stands once this load is complete.
        before: The same for the tables of this load, before it.
    """

    pipeline: str
    sequence: int
    load_id: str
    at: dt.datetime
    changes: Mapping[str, Changeset]
    positions: Mapping[str, Position] = field(default_factory=dict)
    before: Mapping[str, Position] = field(default_factory=dict)


def encode(descriptor: Descriptor) -> bytes:
    """The descriptor as JSON."""
    return msgspec.json.encode(
        {
            "version": VERSION,
            "pipeline": descriptor.pipeline,
            "sequence": descriptor.sequence,
            "load_id": descriptor.load_id,
            "at": descriptor.at.isoformat(),
            "tables": {name: _changeset_out(change) for name, change in descriptor.changes.items()},
            "positions": _positions_out(descriptor.positions, descriptor.sequence),
            "before": _positions_out(descriptor.before, descriptor.sequence),
        }
    )


def decode(data: bytes, *, place: str) -> Descriptor:
    """Read a descriptor back.

    Raises:
        StorageError: It is damaged, or from a newer release.
    """
    try:
        raw = msgspec.json.decode(data)
        if raw["version"] not in _READ:
            raise StorageError(
                f"the load descriptor has version {raw['version']}, this release reads {VERSION}",
                place=place,
                hint="Upgrade lakeload.",
            )
        token = Token(raw["pipeline"], raw["sequence"])
        return Descriptor(
            pipeline=raw["pipeline"],
            sequence=raw["sequence"],
            load_id=raw["load_id"],
            at=dt.datetime.fromisoformat(raw["at"]),
            changes={
                name: _changeset_in(change, raw["load_id"], token) for name, change in raw["tables"].items()
            },
            positions=_positions_in(raw["positions"], raw["sequence"]),
            before=_positions_in(raw["before"], raw["sequence"]),
        )
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, pa.ArrowInvalid) as error:
        raise StorageError(
            "the load descriptor is damaged",
            place=place,
            hint="Restore it from a backup; without it the position of this pipeline is unknown.",
        ) from error


def _positions_out(positions: Mapping[str, Position], sequence: int) -> dict[str, Any]:
    return {name: position_out(position, sequence) for name, position in positions.items()}


def _positions_in(raw: Mapping[str, Any], sequence: int) -> dict[str, Position]:
    return {name: position_in(position, sequence) for name, position in raw.items()}


def _changeset_out(change: Changeset) -> dict[str, Any]:
    schema = change.schema
    types = _partition_types(change)
    return {
        "operation": change.operation,
        "schema": schema_to_text(schema),
        "add": [_file_out(file, schema, types) for file in change.add],
        "remove": _removal_out(change.remove, types),
        "schema_changes": [_change_out(c) for c in change.schema_changes],
        "partition_by": [str(f) for f in _fields(change)],
        "create": None
        if change.create is None
        else {
            "partition_by": [str(f) for f in change.create.layout.partition_by],
            "sort_by": [str(f) for f in change.create.layout.sort_by],
            "properties": dict(change.create.properties),
        },
        "properties": dict(change.properties),
    }


def _changeset_in(raw: dict[str, Any], load_id: str, token: Token) -> Changeset:
    schema = schema_from_text(raw["schema"])
    fields = Layout.parse(raw["partition_by"]).partition_by
    types = [partition_type(f, schema) for f in fields]
    create = raw["create"]
    return Changeset(
        load_id=load_id,
        operation=raw["operation"],
        schema=schema,
        add=tuple(_file_in(file, schema, types) for file in raw["add"]),
        remove=_removal_in(raw["remove"], types),
        schema_changes=tuple(_change_in(c) for c in raw["schema_changes"]),
        create=Creation(Layout.parse(create["partition_by"], create["sort_by"]), create["properties"])
        if create
        else None,
        token=token,
        partition_by=fields,
        properties=raw["properties"],
    )


def _fields(change: Changeset) -> tuple[PartitionField, ...]:
    return change.create.layout.partition_by if change.create else change.partition_by


def _partition_types(change: Changeset) -> list[pa.DataType]:
    return [partition_type(field, change.schema) for field in _fields(change)]


def partition_type(field: PartitionField, schema: pa.Schema) -> pa.DataType:
    """Type of the partition values of a field (Iceberg specification, "Partition Transforms")."""
    if field.transform in ("identity", "truncate"):
        return schema.field(field.source).type
    return pa.date32() if field.transform == "day" else pa.int32()


def _file_out(file: DataFile, schema: pa.Schema, types: list[pa.DataType]) -> dict[str, Any]:
    return {
        "path": file.path,
        "size": file.size,
        "rows": file.rows,
        "partition": _values_out(file.partition, types),
        "offsets": list(file.offsets),
        "sorted": file.sorted,
        "stats": [_stats_out(path, stats, schema) for path, stats in file.stats.items()],
    }


def _file_in(raw: dict[str, Any], schema: pa.Schema, types: list[pa.DataType]) -> DataFile:
    return DataFile(
        path=raw["path"],
        size=raw["size"],
        rows=raw["rows"],
        partition=_values_in(raw["partition"], types),
        stats=dict(_stats_in(entry, schema) for entry in raw["stats"]),
        offsets=tuple(raw["offsets"]),
        sorted=raw["sorted"],
    )


def _stats_out(path: tuple[str, ...], stats: ColumnStats, schema: pa.Schema) -> list[Any]:
    kind = _leaf(schema, path)
    low = None if stats.min is None else to_json(stats.min, kind)
    high = None if stats.max is None else to_json(stats.max, kind)
    return [list(path), stats.values, stats.nulls, stats.nans, low, high, stats.size]


def _stats_in(raw: list[Any], schema: pa.Schema) -> tuple[tuple[str, ...], ColumnStats]:
    path, values, nulls, nans, low, high, size = raw
    kind = _leaf(schema, tuple(path))
    low = None if low is None else from_json(low, kind)
    high = None if high is None else from_json(high, kind)
    return tuple(path), ColumnStats(values, nulls, nans, low, high, size)


def _leaf(schema: pa.Schema, path: tuple[str, ...]) -> pa.DataType:
    field = find(schema, path)
    if field is None:
        raise KeyError(".".join(path))
    return field.type


def _values_out(values: tuple[object, ...], types: list[pa.DataType]) -> list[Any]:
    return [None if v is None else to_json(v, kind) for v, kind in zip(values, types, strict=True)]


def _values_in(values: list[Any], types: list[pa.DataType]) -> tuple[object, ...]:
    return tuple(None if v is None else from_json(v, kind) for v, kind in zip(values, types, strict=True))


def _removal_out(removal: Removal | None, types: list[pa.DataType]) -> dict[str, Any] | None:
    match removal:
        case None:
            return None
        case RemoveAll():
            return {"kind": "all"}
        case RemoveFiles(paths):
            return {"kind": "files", "paths": sorted(paths)}
        case RemovePartitions(partitions):
            return {"kind": "partitions", "values": [_values_out(p, types) for p in partitions]}


def _removal_in(raw: dict[str, Any] | None, types: list[pa.DataType]) -> Removal | None:
    if raw is None:
        return None
    if raw["kind"] == "all":
        return RemoveAll()
    if raw["kind"] == "files":
        return RemoveFiles(frozenset(raw["paths"]))
    return RemovePartitions(frozenset(_values_in(values, types) for values in raw["values"]))


def _change_out(change: SchemaChange) -> dict[str, Any]:
    types = [pa.field("old", change.old or pa.null()), pa.field("new", change.new)]
    found = {"kind": change.kind, "path": list(change.path), "types": schema_to_text(pa.schema(types))}
    told = {"cause": change.cause, "rows": change.rows, "source": change.source}
    return found | {name: value for name, value in told.items() if value is not None}


def _change_in(raw: dict[str, Any]) -> SchemaChange:
    types = schema_from_text(raw["types"])
    old = types.field("old").type
    return SchemaChange(
        raw["kind"],
        tuple(raw["path"]),
        None if pa.types.is_null(old) else old,
        types.field("new").type,
        cause=raw.get("cause"),  # descriptors of earlier releases say nothing of it
        rows=raw.get("rows"),
        source=raw.get("source"),
    )
