"""Manifests and manifest lists as Avro files. Part of commit.

Fields are found by the ids the specification gives them, whatever a writer calls them. Values are kept as
they are stored: a date is a number of days and a decimal its digits at the column's scale, so that none is
out of a range that Python's own types have.

Rules: Iceberg specification v2, sections "Manifests", "Manifest Lists", and appendix A "Avro".
"""

from __future__ import annotations

import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Context, Decimal
from typing import Any, NamedTuple

import pyarrow as pa

from lakeload.errors import StorageError
from lakeload.formats.iceberg_types import PartitionSpec, decimal_of, width_of

_EXACT = Context(prec=76)

_MAPS = {108: "long", 109: "long", 110: "long", 137: "long", 125: "bytes", 128: "bytes"}
_KEYS = {108: 117, 109: 119, 110: 121, 137: 138, 125: 126, 128: 129}
"""Maps by column number: the field, its values, and the id of its keys, which that of its values follows."""


class DataFile(NamedTuple):
    """A data file or delete file, field by field as a manifest has it."""

    content: int
    file_path: str
    file_format: str
    partition: tuple[Any, ...]
    record_count: int
    file_size_in_bytes: int
    column_sizes: Mapping[int, int] | None = None
    value_counts: Mapping[int, int] | None = None
    null_value_counts: Mapping[int, int] | None = None
    nan_value_counts: Mapping[int, int] | None = None
    lower_bounds: Mapping[int, bytes] | None = None
    upper_bounds: Mapping[int, bytes] | None = None
    key_metadata: bytes | None = None
    split_offsets: Sequence[int] | None = None
    equality_ids: Sequence[int] | None = None
    sort_order_id: int | None = None
    spec_id: int = 0


class Summary(NamedTuple):
    """What a manifest list says of one partition field of a manifest."""

    contains_null: bool
    contains_nan: bool | None = None
    lower_bound: bytes | None = None
    upper_bound: bytes | None = None


class ManifestFile(NamedTuple):
    """A manifest, field by field as a manifest list has it."""

    manifest_path: str
    manifest_length: int
    partition_spec_id: int
    content: int
    sequence_number: int
    min_sequence_number: int
    added_snapshot_id: int
    added_files_count: int | None = None
    existing_files_count: int | None = None
    deleted_files_count: int | None = None
    added_rows_count: int | None = None
    existing_rows_count: int | None = None
    deleted_rows_count: int | None = None
    partitions: tuple[Summary, ...] | None = None
    key_metadata: bytes | None = None


class ManifestEntry(NamedTuple):
    """A file in a manifest, and what became of it."""

    status: int
    snapshot_id: int | None
    sequence_number: int | None
    file_sequence_number: int | None
    data_file: DataFile


EXISTING, ADDED, DELETED = range(3)
"""`ManifestEntry.status`."""
DATA, POSITION_DELETES, EQUALITY_DELETES = range(3)
"""`DataFile.content`; of a manifest 0 is data and 1 is deletes."""

_FILE_IDS = (134, 100, 101, 102, 103, 104, 108, 109, 110, 137, 125, 128, 131, 132, 135, 140)
_SUMMARY_IDS = (509, 518, 510, 511)
_MANIFEST_IDS = (500, 501, 502, 517, 515, 516, 503, 504, 505, 506, 512, 513, 514, 507, 519)


def read_list(data: bytes, place: str) -> list[ManifestFile]:
    """The manifests of a manifest list.

    Raises:
        StorageError: The file is damaged.
    """
    found = []
    for record in _records(data, place):
        values: dict[int, Any] = {number: record.get(number) for number in _MANIFEST_IDS}
        parts = values[507]
        if parts is not None:
            values[507] = tuple(Summary(*(part.get(number) for number in _SUMMARY_IDS)) for part in parts)
        for number in (517, 515, 516):  # lists of format version 1 have none of them
            values[number] = values[number] or 0
        found.append(ManifestFile._make(values.values()))
    return found


def read_entries(data: bytes, manifest: ManifestFile) -> Iterator[ManifestEntry]:
    """The entries of a manifest, what they inherit from it filled in.

    Raises:
        StorageError: The file is damaged.
    """
    for record in _records(data, manifest.manifest_path):
        file = record[2]
        values = [file.get(number) for number in _FILE_IDS]
        values[0] = values[0] or DATA
        values[3] = tuple(file[102].values())
        for place, number in enumerate(_FILE_IDS):
            if number in _MAPS and values[place] is not None:
                values[place] = {pair["key"]: pair["value"] for pair in values[place]}
        status, snapshot = record[0], record.get(1)
        inherited = manifest.sequence_number == 0 or status == ADDED
        sequence, file_sequence = record.get(3), record.get(4)
        yield ManifestEntry(
            status,
            manifest.added_snapshot_id if snapshot is None else snapshot,
            manifest.sequence_number if sequence is None and inherited else sequence,
            manifest.sequence_number if file_sequence is None and inherited else file_sequence,
            DataFile._make([*values, manifest.partition_spec_id]),
        )


def write_list(manifests: Iterable[ManifestFile], facts: Mapping[str, str], codec: str) -> bytes:
    """The bytes of a manifest list of format version 2.

    Args:
        manifests: What it lists.
        facts: Metadata of the file.
        codec: Compression, as the table property names it.
    """
    records = []
    for manifest in manifests:
        record: dict[str, Any] = manifest._asdict()
        if manifest.partitions is not None:
            record["partitions"] = [part._asdict() for part in manifest.partitions]
        records.append(record)
    return _write(_list_schema(), records, facts, codec)


def write_entries(
    entries: Iterable[ManifestEntry],
    spec: PartitionSpec,
    kinds: Sequence[str],
    facts: Mapping[str, str],
    codec: str,
) -> bytes:
    """The bytes of a manifest of format version 2.

    Args:
        entries: What it holds.
        spec: Partition spec of its files.
        kinds: Types of the partition values.
        facts: Metadata of the file.
        codec: Compression, as the table property names it.
    """
    names = _avro_names(spec)
    widths = [_decimal_bytes(kind) for kind in kinds]

    def record(entry: ManifestEntry) -> dict[str, Any]:
        file = entry.data_file._asdict()
        del file["spec_id"]
        values = [
            _stored(value, width) for value, width in zip(entry.data_file.partition, widths, strict=True)
        ]
        file["partition"] = dict(zip(names, values, strict=True))
        for name in _FILE_MAPS:
            if file[name] is not None:
                file[name] = [{"key": key, "value": value} for key, value in file[name].items()]
        return {**entry._asdict(), "data_file": file}

    return _write(_entry_schema(spec, names, kinds), map(record, entries), facts, codec)


_FILE_MAPS = [name for name, number in zip(DataFile._fields, _FILE_IDS, strict=False) if number in _MAPS]


def _records(data: bytes, place: str) -> Iterator[dict[int, Any]]:
    """The records of a file, fields by id at every depth. What a writer left out is missing."""
    from fastavro import parse_schema, schemaless_reader

    try:
        stream = io.BytesIO(data)
        written, blocks = _opened(stream)
        stored, number = parse_schema(_physical(written, set())), _Numbered(written)
        for count, content in blocks:
            for _ in range(count):
                yield number(schemaless_reader(content, stored, None))
    except Exception as error:  # damaged files fail in as many ways as there are decoders
        raise StorageError(
            f"a manifest of the table cannot be read: {str(error) or type(error).__name__}",
            place=place,
            hint="Restore it, or roll the table back to a version without it.",
        ) from error


def _opened(stream: io.BytesIO) -> tuple[Any, Iterator[tuple[int, io.BytesIO]]]:
    """The schema of a file as written, and its blocks: how many records, and their bytes.

    Avro's libraries refuse a schema that defines one name twice, as pyiceberg writes it for two decimals of
    one type. So the file is opened here.
    """
    from fastavro import schemaless_reader

    if stream.read(4) != b"Obj\x01":
        raise ValueError("it is no Avro file")
    facts: Any = schemaless_reader(stream, {"type": "map", "values": "bytes"}, None)
    sync, codec = stream.read(16), facts.get("avro.codec", b"null").decode()

    def blocks() -> Iterator[tuple[int, io.BytesIO]]:
        while stream.tell() < len(stream.getbuffer()):
            count: Any = schemaless_reader(stream, "long", None)
            content: Any = schemaless_reader(stream, "bytes", None)
            if stream.read(16) != sync:
                raise ValueError("a block ends too early or too late")
            yield count, io.BytesIO(_decompressed(content, codec))

    return json.loads(facts["avro.schema"]), blocks()


def _decompressed(data: bytes, codec: str) -> bytes:
    match codec:
        case "null":
            return data
        case "deflate":
            return zlib.decompress(data, -zlib.MAX_WBITS)
        case "zstandard":
            return bytes(pa.CompressedInputStream(pa.BufferReader(data), "zstd").read())
        case "snappy":
            size = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(_varint(data)))
            return bytes(pa.decompress(data[:-4], size, "snappy", asbytes=True))  # a checksum follows
    raise ValueError(f"it is compressed by {codec}")


def _varint(data: bytes) -> bytes:
    """The bytes of the number data begins with."""
    return data[: next(place for place, byte in enumerate(data) if byte < 0x80) + 1]  # noqa: PLR2004 - its last byte


def _physical(schema: Any, named: set[str]) -> Any:
    """The schema without logical types, which would turn what is stored into Python's own types.

    Args:
        schema: As written.
        named: Names given so far; one that is given twice becomes another.
    """
    if isinstance(schema, list):
        return [_physical(part, named) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key != "logicalType"}
    if kept.get("type") in ("record", "fixed", "enum"):
        while kept["name"] in named:
            kept["name"] += "_"
        named.add(kept["name"])
    parts = ("type", "items", "values", "fields")
    return {key: _physical(value, named) if key in parts else value for key, value in kept.items()}


class _Numbered:
    """Gives the fields of a record their ids instead of their names; decimals their scale."""

    def __init__(self, schema: Any) -> None:
        self._scales: dict[str, int] = {}
        self._convert = self._of(schema)

    def __call__(self, record: Any) -> Any:
        return record if self._convert is None else self._convert(record)

    def _of(self, schema: Any) -> Any:
        """How a value of the schema is converted; `None` when it stays."""
        if isinstance(schema, list):
            found = [convert for part in schema if (convert := self._of(part)) is not None]
            return None if not found else lambda value: None if value is None else found[0](value)
        if isinstance(schema, str):
            return self._decimal(self._scales[schema]) if schema in self._scales else None
        kind = schema["type"]
        if schema.get("logicalType") == "decimal":
            scale = self._scales[schema.get("name", "")] = schema.get("scale", 0)
            return self._decimal(scale)
        if kind == "array":
            inner = None if schema.get("logicalType") == "map" else self._of(schema["items"])
            return None if inner is None else lambda values: [inner(value) for value in values]
        if kind == "record":
            fields = [
                (f.get("field-id", f["name"]), f["name"], self._of(f["type"])) for f in schema["fields"]
            ]
            return lambda record: {
                number: record[name] if convert is None else convert(record[name])
                for number, name, convert in fields
            }
        return self._of(kind) if isinstance(kind, dict | list) else None

    @staticmethod
    def _decimal(scale: int) -> Any:
        return lambda data: Decimal(int.from_bytes(data, "big", signed=True)).scaleb(-scale, _EXACT)


def _write(schema: Any, records: Iterable[Any], facts: Mapping[str, str], codec: str) -> bytes:
    import fastavro

    output = io.BytesIO()
    # Whatever else the table property asks for needs a library of its own, and saves nothing.
    named = "null" if codec.lower() == "uncompressed" else "deflate"
    fastavro.writer(output, fastavro.parse_schema(schema), records, codec=named, metadata=dict(facts))
    return output.getvalue()


def _field(number: int, name: str, kind: Any, *, optional: bool = False) -> dict[str, Any]:
    if optional:
        return {"name": name, "field-id": number, "type": ["null", kind], "default": None}
    return {"name": name, "field-id": number, "type": kind}


def _list_schema() -> dict[str, Any]:
    parts = {
        "type": "record",
        "name": "r508",
        "fields": [
            _field(509, "contains_null", "boolean"),
            _field(518, "contains_nan", "boolean", optional=True),
            _field(510, "lower_bound", "bytes", optional=True),
            _field(511, "upper_bound", "bytes", optional=True),
        ],
    }
    kinds: dict[int, Any] = dict.fromkeys(_MANIFEST_IDS, "int")
    kinds |= dict.fromkeys((501, 515, 516, 503, 512, 513, 514), "long")
    kinds |= {500: "string", 507: {"type": "array", "items": parts, "element-id": 508}, 519: "bytes"}
    fields = [
        _field(number, name, kinds[number], optional=number in (507, 519))
        for number, name in zip(_MANIFEST_IDS, ManifestFile._fields, strict=True)
    ]
    return {"type": "record", "name": "manifest_file", "fields": fields}


def _entry_schema(spec: PartitionSpec, names: Sequence[str], kinds: Sequence[str]) -> dict[str, Any]:
    named: set[str] = set()
    partition = {
        "type": "record",
        "name": "r102",
        "fields": [
            _field(field.field_id, name, _avro_type(kind, named), optional=True)
            for field, name, kind in zip(spec.fields, names, kinds, strict=True)
        ],
    }
    types: dict[int, Any] = {
        134: "int",
        100: "string",
        101: "string",
        102: partition,
        103: "long",
        104: "long",
    }
    types |= {number: _avro_map(_KEYS[number], value) for number, value in _MAPS.items()}
    types |= {
        131: "bytes",
        132: {"type": "array", "items": "long", "element-id": 133},
        135: {"type": "array", "items": "int", "element-id": 136},
        140: "int",
    }
    required = (134, 100, 101, 102, 103, 104)
    fields = [
        _field(number, name, types[number], optional=number not in required)
        for number, name in zip(_FILE_IDS, DataFile._fields, strict=False)
    ]
    return {
        "type": "record",
        "name": "manifest_entry",
        "fields": [
            _field(0, "status", "int"),
            _field(1, "snapshot_id", "long", optional=True),
            _field(3, "sequence_number", "long", optional=True),
            _field(4, "file_sequence_number", "long", optional=True),
            _field(2, "data_file", {"type": "record", "name": "r2", "fields": fields}),
        ],
    }


def _avro_map(key: int, value: str) -> dict[str, Any]:
    """Avro's own maps have texts as keys."""
    pair = {
        "type": "record",
        "name": f"k{key}_v{key + 1}",
        "fields": [_field(key, "key", "int"), _field(key + 1, "value", value)],
    }
    return {"type": "array", "logicalType": "map", "items": pair}


def _avro_type(kind: str, named: set[str]) -> Any:
    """A partition value's type in Avro; `named` holds the names given so far: none may be given twice."""
    micros = {"type": "long", "logicalType": "timestamp-micros"}
    known: dict[str, Any] = {
        "binary": "bytes",
        "date": {"type": "int", "logicalType": "date"},
        "time": {"type": "long", "logicalType": "time-micros"},
        "timestamp": {**micros, "adjust-to-utc": False},
        "timestamptz": {**micros, "adjust-to-utc": True},
        "uuid": {"type": "fixed", "name": "uuid_fixed", "size": 16, "logicalType": "uuid"},
        "unknown": "string",
    }
    exact, width = decimal_of(kind), width_of(kind)
    if exact is not None:
        precision, scale = exact
        found: Any = {
            "type": "fixed", "name": f"decimal_{precision}_{scale}", "size": _decimal_bytes(kind),
            "logicalType": "decimal", "precision": precision, "scale": scale,
        }  # fmt: skip
    elif width is not None:
        found = {"type": "fixed", "name": f"fixed_{width}", "size": width}
    else:
        found = known.get(kind, kind)
    if not isinstance(found, dict) or "name" not in found:
        return found
    while found["name"] in named:  # pyiceberg reads no reference to a type named before
        found["name"] += "_"
    named.add(found["name"])
    return found


def _decimal_bytes(kind: str) -> int | None:
    """Bytes every value of a decimal type fits into; `None` for another type."""
    exact = decimal_of(kind)
    return None if exact is None else (10 ** exact[0]).bit_length() // 8 + 1


def _stored(value: Any, width: int | None) -> Any:
    if width is None or not isinstance(value, Decimal):
        return value
    sign, digits, _ = value.as_tuple()
    whole = int("".join(map(str, digits)) or "0")
    return (-whole if sign else whole).to_bytes(width, "big", signed=True)


def _avro_names(spec: PartitionSpec) -> list[str]:
    """Names of partition fields as Avro allows them, which is how Java's library writes them too."""
    found: list[str] = []
    for field in spec.fields:
        name = re.sub(r"[^A-Za-z0-9_]", lambda match: f"_x{ord(match[0]):X}", field.name)
        name = f"_{name}" if name[:1].isdigit() else name
        found.append(name if name and name not in found else f"{name}_{field.field_id}")
    return found
