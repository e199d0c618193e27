"""Columns of a file in another type, all other columns copied as the bytes they are.

When a late row widens a column, the files written so far hold it in the narrower type. Only that column is
read, converted and encoded; the pages of the others go to the new file unread, and only where they begin is
noted anew (Apache Parquet format: `ColumnChunk`, `OffsetIndex`). Files of other writers are not for this:
what they note in footers may point to places that move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from lakeload.model.files import DataFile
from lakeload.model.schema import without_sources
from lakeload.write import thrift
from lakeload.write.assemble import MAGIC, Assembly
from lakeload.write.conform import convert, counterpart, narrower, sourced
from lakeload.write.encode import RowGroup, file_metadata, moved_offset_index, shift_chunk, shift_group
from lakeload.write.sink import Sinks
from lakeload.write.store import Store

_TAIL = 8
_ROW_GROUPS = 4
"""Field of `FileMetaData` in parquet.thrift."""
_COLUMNS, _UNCOMPRESSED, _ROWS, _OFFSET, _COMPRESSED = 1, 2, 3, 5, 6
"""Fields of `RowGroup`."""
_METADATA, _OFFSET_INDEX, _COLUMN_INDEX = 3, (4, 5), (6, 7)
"""Fields of `ColumnChunk`; where the indexes are, and their lengths."""
_PATH, _PLAIN_BYTES, _BYTES, _PAGES, _DICTIONARY = 3, 6, 7, 9, 11
"""Fields of `ColumnMetaData`."""


@dataclass(frozen=True, slots=True)
class Graft:
    """What a file's columns become.

    Args:
        before: Columns of the file as it is, with the names their sources give the members of objects.
        after: Columns of the new file: the same in number and order, some in another type.
        changed: Names of those.
    """

    before: pa.Schema
    after: pa.Schema
    changed: tuple[str, ...]

    @classmethod
    def of(cls, before: pa.Schema, schema: pa.Schema) -> Graft:
        """The columns a file has, in the types of a later schema of the table; it may lack new columns.

        Example:
            >>> later = pa.schema([("a", pa.float64()), ("b", pa.string()), ("c", pa.int64())])
            >>> Graft.of(pa.schema([("a", pa.int64()), ("b", pa.string())]), later).changed
            ('a',)
        """
        later = list(without_sources(schema))
        fields, changed = [], []
        for place, field in enumerate(without_sources(before)):
            position = counterpart(field, later, place)
            if position is not None and narrower(field.type, later[position].type):
                fields.append(later[position])
                changed.append(field.name)
            else:
                fields.append(field)
        return cls(before, pa.schema(fields), tuple(changed))


def graft(
    store: Store,
    file: DataFile,
    change: Graft,
    encode: Callable[[pa.Table], RowGroup],
    *,
    sinks: Sinks,
    path: str,
) -> DataFile:
    """Write the file anew with the changed columns; the old one stays.

    Args:
        store: Rooted at the table.
        file: Complete, and written by this version of lakeload.
        change: What the columns become.
        encode: Encodes the changed columns of one row group.
        sinks: Where bytes go.
        path: Of the new file.

    Raises:
        SchemaError: A value does not survive the change.
        StorageError: A file cannot be read or written.
    """
    assembly, metadata = Assembly(), file_metadata(change.after)
    with store.guarded(file.path), _opened(store, file.path) as source, pq.ParquetFile(source) as reader:
        for number, old in enumerate(_row_groups(source, file)):
            table = reader.read_row_group(number, columns=list(change.changed)).select(change.changed)
            fresh = encode(_converted(table, change))
            sinks.append(path, assembly.add(_spliced(old, fresh, change, metadata)))
    sinks.append(path, [assembly.finish()])
    sinks.finish(path)
    kept = {at: facts for at, facts in file.stats.items() if at[0] not in change.changed}
    stats = {**kept, **assembly.stats()}
    offsets = tuple(assembly.offsets)
    return DataFile(path, assembly.size, assembly.rows, file.partition, stats, offsets, file.sorted)


@contextmanager
def _opened(store: Store, path: str) -> Iterator[pa.NativeFile]:
    if store.local:
        with pa.OSFile(store.uri(path)) as source:
            yield source
    else:
        with store.filesystem.open(store.uri(path), "rb") as stream, pa.PythonFile(stream, "r") as source:
            yield source


def _converted(table: pa.Table, change: Graft) -> pa.Table:
    wanted = pa.schema([change.after.field(name) for name in change.changed])
    rows = [convert(sourced(batch, change.before, wanted), wanted) for batch in table.to_batches()]
    return pa.Table.from_batches(rows, wanted)


def _row_groups(source: pa.NativeFile, file: DataFile) -> Iterator[RowGroup]:
    """The row groups of a complete file, as if each had just been encoded."""
    length = int.from_bytes(source.read_at(_TAIL, file.size - _TAIL)[:4], "little")
    footer = thrift.decode(source.read_at(length, file.size - _TAIL - length))
    groups = footer[_ROW_GROUPS][1][1]
    begin = _end_of_pages(groups[-1])
    indexes = memoryview(source.read_at(file.size - _TAIL - length - begin, begin))
    for group in groups:
        start, end = min(map(_start, _chunks(group))), _end_of_pages(group)
        columns, offsets = [], []
        for chunk in _chunks(group):
            columns.append(bytes(_popped(indexes, chunk, _COLUMN_INDEX, begin)))
            index = _popped(indexes, chunk, _OFFSET_INDEX, begin)
            offsets.append(moved_offset_index(index, len(MAGIC) - start))
        yield RowGroup(
            data=memoryview(source.read_at(end - start, start)),
            rows=group[_ROWS][1],
            footer=shift_group(group, -start),
            file=footer,
            column_indexes=tuple(columns),
            offset_indexes=tuple(offsets),
            stats={},
            size=end - start,
        )


def _spliced(old: RowGroup, fresh: RowGroup, change: Graft, metadata: thrift.Structure) -> RowGroup:
    """The row group with the fresh columns in place of the old ones."""
    donors = {True: _by_column(fresh), False: _by_column(old)}
    pages: list[memoryview] = []
    chunks, columns, offsets, position = [], [], [], 0
    for name in change.after.names:
        donor = fresh if name in change.changed else old
        for at in donors[donor is fresh][name]:
            chunk = _chunks(donor.footer)[at]
            start, size = _start(chunk), chunk[_METADATA][1][_BYTES][1]
            pages.append(donor.data[start : start + size])
            chunks.append(shift_chunk(chunk, position - start))
            columns.append(donor.column_indexes[at])
            offsets.append(moved_offset_index(donor.offset_indexes[at], position - start))
            position += size
    facts = [chunk[_METADATA][1] for chunk in chunks]
    footer = {
        **old.footer,
        _COLUMNS: (thrift.LIST, (thrift.STRUCT, chunks)),
        _UNCOMPRESSED: (thrift.I64, sum(fact[_PLAIN_BYTES][1] for fact in facts)),
        _COMPRESSED: (thrift.I64, position),
        _OFFSET: (thrift.I64, 0),
    }
    data = memoryview(b"".join(pages))
    return RowGroup(data, old.rows, footer, metadata, tuple(columns), tuple(offsets), fresh.stats, position)


def _by_column(group: RowGroup) -> dict[str, list[int]]:
    """Positions of the chunks of each top-level column."""
    columns: dict[str, list[int]] = {}
    for position, chunk in enumerate(_chunks(group.footer)):
        name = chunk[_METADATA][1][_PATH][1][1][0].decode()
        columns.setdefault(name, []).append(position)
    return columns


def _chunks(group: thrift.Structure) -> list[thrift.Structure]:
    return list(group[_COLUMNS][1][1])


def _start(chunk: thrift.Structure) -> int:
    facts = chunk[_METADATA][1]
    return min(int(facts[field][1]) for field in (_PAGES, _DICTIONARY) if field in facts)


def _end_of_pages(group: thrift.Structure) -> int:
    return max(_start(chunk) + int(chunk[_METADATA][1][_BYTES][1]) for chunk in _chunks(group))


def _popped(indexes: memoryview, chunk: thrift.Structure, fields: tuple[int, int], begin: int) -> memoryview:
    start = chunk.pop(fields[0], (0, begin))[1] - begin
    return indexes[start : start + chunk.pop(fields[1], (0, 0))[1]]
