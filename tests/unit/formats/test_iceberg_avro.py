"""Manifests beside pyiceberg's: the same schema in the header, the same values, read by both."""

from __future__ import annotations

import io
import json
import math
import random
import zlib
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from pyiceberg import manifest as library
from pyiceberg import types
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.partitioning import PartitionField as LibraryField
from pyiceberg.partitioning import PartitionSpec as LibrarySpec
from pyiceberg.schema import Schema as LibrarySchema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record

from lakeload.errors import StorageError
from lakeload.formats.iceberg_avro import (
    ADDED,
    DATA,
    DataFile,
    ManifestEntry,
    ManifestFile,
    Summary,
    _decompressed,
    read_entries,
    read_list,
    write_entries,
    write_list,
)
from lakeload.formats.iceberg_types import PartitionField, PartitionSpec

COLUMNS: list[tuple[str, Any, str, Any]] = [
    ("double", types.DoubleType(), "double", 0.1),
    ("float", types.FloatType(), "float", 0.5),
    ("decimal", types.DecimalType(9, 2), "decimal(9, 2)", Decimal("-1.28")),
    ("again", types.DecimalType(9, 2), "decimal(9, 2)", None),
    ("long_decimal", types.DecimalType(38, 10), "decimal(38, 10)", Decimal("-9999999999999999999999999999.9999999999")),
    ("date", types.DateType(), "date", 10**7),
    ("local", types.TimestampType(), "timestamp", 2**62),
    ("at", types.TimestamptzType(), "timestamptz", -(2**62)),
    ("time", types.TimeType(), "time", 7),
    ("text", types.StringType(), "string", "é"),
    ("raw", types.BinaryType(), "binary", b"\x00"),
    ("fixed", types.FixedType(3), "fixed[3]", b"abc"),
    ("flag", types.BooleanType(), "boolean", False),
    ("long", types.LongType(), "long", -(2**63)),
    ("int", types.IntegerType(), "int", -1),
]  # fmt: skip
SPEC = PartitionSpec(
    tuple(PartitionField(n, 999 + n, "identity", c[0]) for n, c in enumerate(COLUMNS, start=1))
)
KINDS = [kind for _, _, kind, _ in COLUMNS]
FILE = DataFile(
    DATA, "/x/a.parquet", "PARQUET", tuple(value for *_, value in COLUMNS), 3, 9,
    {1: 2}, {1: 3}, {1: 0}, {1: 0}, {1: b"a"}, {1: b"b"}, None, [4],
)  # fmt: skip
MANIFEST = ManifestFile("/m.avro", 1, 0, 0, 5, 5, 77)
FACTS = {"schema": "{}"}


def ours(file: DataFile = FILE) -> bytes:
    return write_entries([ManifestEntry(ADDED, 77, None, None, file)], SPEC, KINDS, FACTS, "gzip")


def theirs(place: Path) -> tuple[bytes, Any]:
    fields = [types.NestedField(n, c[0], c[1], required=False) for n, c in enumerate(COLUMNS, start=1)]
    parts = [LibraryField(n, 999 + n, IdentityTransform(), c[0]) for n, c in enumerate(COLUMNS, start=1)]
    names = DataFile._fields[:-1]
    values = dict(zip(names, FILE, strict=False)) | {
        "content": library.DataFileContent.DATA,
        "file_format": library.FileFormat.PARQUET,
        "partition": Record(*FILE.partition),
    }
    output = PyArrowFileIO().new_output(str(place))
    with library.write_manifest(
        2, LibrarySpec(*parts), LibrarySchema(*fields), output, 77, "deflate"
    ) as writer:
        writer.add_entry(
            library.ManifestEntry.from_args(
                status=library.ManifestEntryStatus.ADDED,
                snapshot_id=77,
                data_file=library.DataFile.from_args(**values),
            )
        )
    return place.read_bytes(), writer.to_manifest_file()


def header(data: bytes) -> Any:
    stream = io.BytesIO(data[4:])
    facts: Any = fastavro.schemaless_reader(stream, {"type": "map", "values": "bytes"}, None)
    return plain(json.loads(facts["avro.schema"]))


def plain(part: Any) -> Any:
    """Without comments, and without the names of types, of which none may be given twice."""
    if isinstance(part, list):
        return [plain(item) for item in part]
    if not isinstance(part, dict):
        return part
    hidden = ("doc", "name") if part.get("type") == "fixed" else ("doc",)
    return {key: plain(value) for key, value in part.items() if key not in hidden}


def test_a_manifest_has_the_schema_the_library_gives_it_and_holds_the_same(tmp_path: Path) -> None:
    written, _ = theirs(tmp_path / "theirs.avro")
    expected = header(written)
    # The specification says int; pyiceberg's long is read as well.
    (equality,) = [f for f in expected["fields"][-1]["type"]["fields"] if f["name"] == "equality_ids"]
    equality["type"][1]["items"] = "int"
    assert header(ours()) == expected
    found = list(read_entries(written, MANIFEST))
    assert found == list(read_entries(ours(), MANIFEST))
    assert found == [ManifestEntry(ADDED, 77, 5, 5, FILE)]


def test_the_library_reads_our_manifests_and_lists(tmp_path: Path) -> None:
    (tmp_path / "m.avro").write_bytes(ours())
    listed = MANIFEST._replace(
        manifest_path=str(tmp_path / "m.avro"),
        **dict.fromkeys(ManifestFile._fields[7:13], 1),
        partitions=(Summary(False, True, b"a", None),),
    )
    (tmp_path / "l.avro").write_bytes(write_list([listed], {"format-version": "2"}, "uncompressed"))
    files = PyArrowFileIO()
    (manifest,) = library.read_manifest_list(files.new_input(str(tmp_path / "l.avro")))
    assert (manifest.added_files_count, manifest.partitions[0].contains_nan) == (1, True)
    (entry,) = manifest.fetch_manifest_entry(files)
    assert tuple(entry.data_file.partition)[1:] == FILE.partition[1:]  # of doubles it keeps a float
    assert (entry.data_file.lower_bounds, entry.sequence_number) == ({1: b"a"}, 5)


def test_our_lists_are_the_librarys(tmp_path: Path) -> None:
    _, manifest = theirs(tmp_path / "m.avro")
    with library.write_manifest_list(
        2, PyArrowFileIO().new_output(str(tmp_path / "l.avro")), 77, None, 5, "deflate"
    ) as writer:
        writer.add_manifests([manifest])
    written = (tmp_path / "l.avro").read_bytes()
    (found,) = read_list(written, "l.avro")
    assert header(write_list([found], {}, "gzip")) == header(written)
    assert read_list(write_list([found], {}, "zstd"), "l.avro") == [found]


@pytest.mark.parametrize("value", [math.nan, -0.0, 0.1, 1e300, 5e-324, -math.inf])
def test_doubles_of_other_writers_are_read_bit_by_bit(value: float) -> None:
    (entry,) = read_entries(ours(FILE._replace(partition=(value, *FILE.partition[1:]))), MANIFEST)
    assert float.hex(entry.data_file.partition[0]) == float.hex(value)


def test_a_damaged_manifest_is_named_and_nothing_else_is_raised() -> None:
    whole, chance = ours(), random.Random(0)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        end = chance.choice([len(data), chance.randrange(len(data))])
        with suppress(StorageError):
            list(read_entries(bytes(data[:end]), MANIFEST))
    with pytest.raises(StorageError, match=r"cannot be read.*/m\.avro"):
        list(read_entries(whole[:-20], MANIFEST))


@pytest.mark.parametrize("codec", ["null", "deflate", "zstandard", "snappy"])
def test_other_compressions_are_read(codec: str) -> None:
    data = b"abc" * 1000
    packed = {
        "null": data,
        "deflate": zlib.compress(data, wbits=-15),
        "zstandard": bytes(pa.compress(data, "zstd", asbytes=True)),
        "snappy": bytes(pa.compress(data, "snappy", asbytes=True)) + b"\x00" * 4,
    }
    assert _decompressed(packed[codec], codec) == data
