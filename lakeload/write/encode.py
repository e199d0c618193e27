"""One row group: an Arrow table in, Parquet bytes out.

This is where the write stage spends its time, so it is a pure function that threads run side by side;
`assemble` then joins row groups into files. Dictionary encoding is chosen per column and row group from a
sample, because a dictionary of mostly distinct values costs twice the time and a third more space.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakeload.errors import SchemaError
from lakeload.model.files import ColumnPath, ColumnStats
from lakeload.model.memory import pool
from lakeload.model.schema import children
from lakeload.model.table import Encoding
from lakeload.write import stats, thrift
from lakeload.write.conform import with_settled_members, without_views

_SAMPLE_ROWS = 4_096
_DICTIONARY_BYTES = 768 << 10
"""Stay clear of parquet-cpp's limit of 1 MiB, where it gives up the dictionary half way."""
_DICTIONARY_SHARE = 0.2
"""Most distinct values per row for which a dictionary pays."""
_ZSTD_LEVEL = 1
_CHOICE_USES = 16
"""Row groups of one size class and schema that share a choice of encodings before it is made anew."""
_BATCH_ROWS = 1 << 16
"""Values handed to a column's encoder at a time; the default of 1,024 costs 3 % more time."""
_MAGIC = 4
_TAIL = 8


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Bytes of one row group and what a file's footer must say about them.

    Args:
        data: The column chunks, without the magic number in front.
        rows: Number of rows.
        footer: `RowGroup` of parquet.thrift; offsets count from the first byte of `data`.
        file: The other fields of `FileMetaData`: version, schema, writer, column orders.
        column_indexes: One `ColumnIndex` per column, as bytes; empty where there is none.
        offset_indexes: One `OffsetIndex` per column, as bytes; offsets as if `data` stood behind `PAR1`.
        stats: Facts per leaf column.
        size: Bytes it adds to a file.
        tail: What a file of this row group alone ends with, after `data`; empty when that must be made.
    """

    data: memoryview
    rows: int
    footer: thrift.Structure
    file: thrift.Structure
    column_indexes: tuple[bytes, ...]
    offset_indexes: tuple[bytes, ...]
    stats: Mapping[ColumnPath, ColumnStats]
    size: int
    tail: bytes = b""


class Encoder:
    """Encodes row groups of one table; threads may share it.

    Args:
        encoding: `compat` uses PLAIN and dictionaries, which every engine vectorises; `modern` uses the
            delta encodings of Parquet 2 where no dictionary pays.

    Example:
        >>> Encoder()(pa.table({"a": [1, 2]})).rows
        2
    """

    def __init__(self, encoding: Encoding = "compat") -> None:
        self._encoding = encoding
        self._schema = pa.schema([])
        self._chosen: dict[int, tuple[list[str], dict[str, str], int]] = {}

    def __call__(self, table: pa.Table) -> RowGroup:
        """Encode the table, of at least one row, as one row group.

        Raises:
            SchemaError: A required column holds a null, or Parquet cannot store a type.
        """
        table = with_settled_members(without_views(table))
        try:
            file = _written(table.schema, *self._choice(table), table)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise SchemaError(f"cannot store these rows as Parquet: {str(error).splitlines()[0]}") from error
        return _take_apart(file, table)

    def _choice(self, table: pa.Table) -> tuple[list[str], dict[str, str]]:
        """The encodings; row groups of like size share a choice for a while."""
        chosen, key = self._chosen, table.num_rows.bit_length()
        if not table.schema.equals(self._schema):  # hashing a schema takes longer than comparing it
            self._schema, self._chosen = table.schema, (chosen := {})
        dictionary, encodings, uses = chosen.get(key, ([], {}, 0))
        if not uses:
            dictionary, encodings = choose_encodings(table, self._encoding)
            uses = _CHOICE_USES
        chosen[key] = dictionary, encodings, uses - 1
        return dictionary, encodings


def file_metadata(schema: pa.Schema) -> thrift.Structure:
    """`FileMetaData` of a file without rows, as `Encoder` writes files of the schema."""
    file = _written(schema, [], {}, None)
    return thrift.decode(file[_footer_start(file) : len(file) - _TAIL])


def _written(
    schema: pa.Schema, dictionary: list[str], encodings: dict[str, str], table: pa.Table | None
) -> memoryview:
    sink = pa.BufferOutputStream(pool())
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=_ZSTD_LEVEL,
        use_dictionary=dictionary or False,
        column_encoding=encodings or None,
        store_schema=False,
        store_decimal_as_integer=True,
        write_page_index=True,
        write_batch_size=_BATCH_ROWS,
        memory_pool=pool(),
    ) as writer:
        if table is not None:
            writer.write_table(table, row_group_size=table.num_rows)
    return memoryview(sink.getvalue())


def choose_encodings(table: pa.Table, encoding: Encoding) -> tuple[list[str], dict[str, str]]:
    """Columns to dictionary-encode, and the encodings of the others, both by Parquet column path."""
    dictionary: list[str] = []
    others: dict[str, str] = {}
    for name, column in zip(table.column_names, _sample(table), strict=True):
        for path, leaf in _leaves(name, column):
            if _repeats(leaf, table.num_rows):
                dictionary.append(path)
            elif encoding == "modern" and (chosen := _modern(leaf.type)):
                others[path] = chosen
    return dictionary, others


def _sample(table: pa.Table) -> list[pa.Array]:
    # Rows far apart: neighbours of a clustered column would look like many repeats.
    step = max(1, table.num_rows // _SAMPLE_ROWS)
    if step == 1:
        return [_joined(column) for column in table.columns]
    picked = [
        batch.take(pa.array(range(0, batch.num_rows, step), pa.int64())) for batch in table.to_batches()
    ]
    return [_joined(column) for column in pa.Table.from_batches(picked).columns]


def _joined(column: pa.ChunkedArray) -> pa.Array:
    chunks = [chunk for chunk in column.chunks if len(chunk)]
    if len(chunks) == 1:
        return chunks[0]
    if pa.types.is_dictionary(column.type):
        return pa.concat_arrays([chunk.dictionary_decode() for chunk in chunks])
    return pa.concat_arrays(chunks)


def _leaves(path: str, array: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    kind = array.type
    if pa.types.is_struct(kind):
        for position in range(kind.num_fields):
            yield from _leaves(f"{path}.{kind.field(position).name}", array.field(position))
    elif pa.types.is_map(kind):
        yield from _leaves(f"{path}.key_value.key", array.keys)
        yield from _leaves(f"{path}.key_value.value", array.items)
    elif children(kind):
        yield from _leaves(f"{path}.list.element", array.flatten())
    else:
        yield path, array


def _repeats(leaf: pa.Array, rows: int) -> bool:
    if pa.types.is_dictionary(leaf.type):
        return True
    if pa.types.is_boolean(leaf.type) or len(leaf) == 0:
        return False
    seen = len(leaf)
    if pa.types.is_string_view(leaf.type) or pa.types.is_binary_view(leaf.type):
        leaf = leaf.cast(pa.large_binary())
    distinct = pc.count_distinct(leaf).as_py()
    expected = _distinct_in(rows * seen // max(seen, 1) if seen >= rows else rows, seen, distinct)
    width = max(leaf.nbytes / seen, 1)
    return expected <= _DICTIONARY_SHARE * rows and expected * width <= _DICTIONARY_BYTES


def _distinct_in(rows: int, seen: int, distinct: int) -> float:
    """Distinct values to expect in `rows` rows when `seen` evenly picked ones had `distinct`.

    Assumes equally frequent values: n draws from D show D * (1 - exp(-n/D)) of them; solved for D.
    """
    if distinct == 0:  # nulls only
        return 0.0
    if distinct >= seen * 0.98:
        return math.inf
    low, high = float(distinct), float(distinct) * 1000
    for _ in range(40):
        middle = (low + high) / 2
        if middle * -math.expm1(-seen / middle) < distinct:
            low = middle
        else:
            high = middle
    return low * -math.expm1(-rows / low) if rows > seen else distinct


def _modern(kind: pa.DataType) -> str | None:
    if pa.types.is_integer(kind) or pa.types.is_temporal(kind):
        return "DELTA_BINARY_PACKED"
    # Spark's vectorised reader, which Delta has no way around, refuses BYTE_STREAM_SPLIT: floats stay plain.
    if pa.types.is_floating(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_decimal(kind):
        return None
    return None if pa.types.is_boolean(kind) else "DELTA_LENGTH_BYTE_ARRAY"


def _take_apart(file: memoryview, table: pa.Table) -> RowGroup:
    """Separate pages, indexes and footer of a file with one row group (field numbers: parquet.thrift)."""
    footer_start = _footer_start(file)
    metadata = thrift.decode(file[footer_start : len(file) - _TAIL])
    _, (_, (group,)) = metadata.pop(4)
    chunks = group[1][1][1]
    found = stats.of_row_group(table, group)
    column_indexes = tuple(bytes(_pop_range(file, chunk, 6, 7)) for chunk in chunks)
    offset_indexes = tuple(bytes(_pop_range(file, chunk, 4, 5)) for chunk in chunks)
    end = footer_start - sum(map(len, column_indexes)) - sum(map(len, offset_indexes))
    shift_group(group, -_MAGIC)
    unsafe = stats.without_bounds(chunks, found)
    return RowGroup(
        data=file[_MAGIC:end],
        rows=table.num_rows,
        footer=group,
        file=metadata,
        column_indexes=tuple(b"" if at in unsafe else index for at, index in enumerate(column_indexes)),
        offset_indexes=offset_indexes,
        stats=found,
        size=len(file) - _MAGIC - _TAIL,
        tail=b"" if unsafe else bytes(file[end:]),
    )


def _footer_start(file: memoryview) -> int:
    return len(file) - _TAIL - int.from_bytes(file[-_TAIL : -_TAIL + 4], "little")


def _pop_range(file: memoryview, chunk: thrift.Structure, offset: int, length: int) -> memoryview:
    start = chunk.pop(offset, (0, 0))[1]
    return file[start : start + chunk.pop(length, (0, 0))[1]]


def shift_group(group: thrift.Structure, by: int) -> thrift.Structure:
    """Move every offset in a `RowGroup` structure, in place."""
    _shift(group, 5, by)
    for chunk in group[1][1][1]:
        shift_chunk(chunk, by)
    return group


def shift_chunk(chunk: thrift.Structure, by: int) -> thrift.Structure:
    """Move the pages of a `ColumnChunk` structure, in place."""
    metadata = chunk[3][1]
    for field in (9, 10, 11):  # data, index and dictionary page
        _shift(metadata, field, by)
    return chunk


def moved_offset_index(index: bytes | memoryview, by: int) -> bytes:
    """An `OffsetIndex`, as bytes, with every page location moved; free where nothing moves."""
    if not by:
        return bytes(index)
    structure = thrift.decode(index)
    for page in structure[1][1][1]:
        _shift(page, 1, by)
    return thrift.encode(structure)


def _shift(structure: thrift.Structure, field: int, by: int) -> None:
    if field in structure:
        kind, offset = structure[field]
        structure[field] = (kind, offset + by)
