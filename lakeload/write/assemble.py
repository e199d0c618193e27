"""Row groups → one Parquet file, byte by byte.

Row groups come encoded from `encode`, each as if it were alone. A file is their bytes in order between the
magic numbers, then all column indexes, all offset indexes and one footer whose offsets point to where the
bytes now are (Apache Parquet format, "File format" and "Page index"). The size of the file is known
exactly after each row group, which is what rolling by measured bytes rests on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lakeload.model.files import ColumnPath, ColumnStats
from lakeload.write import stats, thrift
from lakeload.write.encode import RowGroup, moved_offset_index, shift_group

MAGIC = b"PAR1"
_MOST_ORDINALS = 1 << 15
_TAIL = 8
# Fields of FileMetaData, RowGroup and ColumnChunk in parquet.thrift.
_NUM_ROWS, _ROW_GROUPS = 3, 4
_ORDINAL = 7
_CHUNK_METADATA = 3


@dataclass(frozen=True, slots=True)
class _Footer:
    """What the footer keeps of one row group, as bytes: thousands of them may be waiting.

    Args:
        chunks: `ColumnChunk` structures up to their metadata, without the stop byte.
        rest: The other fields of `RowGroup`.
        columns: Column indexes.
        offsets: Offset indexes.
    """

    chunks: list[bytes]
    rest: bytes
    columns: tuple[bytes, ...]
    offsets: list[bytes]


class Assembly:
    """One file in the making. Pure: it says which bytes to write and remembers what the footer needs.

    Example:
        >>> import pyarrow as pa
        >>> from lakeload.write.encode import Encoder
        >>> file = Assembly()
        >>> body = file.add(Encoder()(pa.table({"a": [1, 2]})))
        >>> data = b"".join([*body, file.finish()])
        >>> data[:4] == data[-4:] == MAGIC, file.size == len(data)
        (True, True)
    """

    def __init__(self) -> None:
        self.rows = 0
        self.size = 0
        self.offsets: list[int] = []
        self._position = 0
        self._file: thrift.Structure = {}
        self._only: RowGroup | None = None
        self._groups: list[_Footer] = []
        self._stats: list[Mapping[ColumnPath, ColumnStats]] = []

    def add(self, group: RowGroup) -> list[bytes | memoryview]:
        """Append a row group; returns the bytes to write. The row group must not be used again."""
        out: list[bytes | memoryview] = [group.data]
        if not self.offsets:
            self._file = group.file
            self._position = len(MAGIC)
            self.size = len(MAGIC) + _TAIL
            out.insert(0, MAGIC)
            # Most files of small loads have one row group, whose own end serves as it is.
            self._only = replace(group, data=memoryview(b"")) if group.tail else None
        elif self._only is not None:
            self._keep(self._only, len(MAGIC))
            self._only = None
        if self._only is None:
            self._keep(group, self._position)
        self._stats.append(group.stats)
        self.offsets.append(self._position)
        self.rows += group.rows
        self._position += len(group.data)
        self.size += group.size
        return out

    def _keep(self, group: RowGroup, position: int) -> None:
        """Remember what the footer needs of a row group whose bytes begin at a position."""
        footer = shift_group(group.footer, position)
        _, (_, chunks) = footer.pop(1)
        footer.pop(_ORDINAL, None)
        if len(self._groups) < _MOST_ORDINALS:
            footer[_ORDINAL] = (thrift.I16, len(self._groups))
        self._groups.append(
            _Footer(
                [thrift.encode(chunk)[:-1] for chunk in chunks],
                thrift.encode(footer, after=1),
                group.column_indexes,
                [moved_offset_index(index, position - len(MAGIC)) for index in group.offset_indexes],
            )
        )

    def finish(self) -> bytes:
        """The end of the file: page indexes, footer, magic number. Sets `size` to the exact size."""
        if self._only is not None:
            self.size = self._position + len(self._only.tail)
            return self._only.tail
        columns, offsets = bytearray(), bytearray()
        start = self._position
        end = start + sum(len(part) for group in self._groups for part in group.columns)
        groups = []
        for group in self._groups:
            chunks = []
            for chunk, column, offset in zip(group.chunks, group.columns, group.offsets, strict=True):
                pointers = {4: (thrift.I64, end + len(offsets)), 5: (thrift.I32, len(offset))}
                if column:
                    pointers |= {6: (thrift.I64, start + len(columns)), 7: (thrift.I32, len(column))}
                chunks.append(chunk + thrift.encode(pointers, after=_CHUNK_METADATA))
                offsets += offset
                columns += column
            groups.append(thrift.list_field(1, chunks) + group.rest)
        footer = self._footer(groups)
        tail = bytes(columns) + bytes(offsets) + footer + len(footer).to_bytes(4, "little") + MAGIC
        self.size = self._position + len(tail)
        return tail

    def stats(self) -> dict[ColumnPath, ColumnStats]:
        """Statistics of the whole file."""
        return stats.merge(self._stats)

    def _footer(self, groups: list[bytes]) -> bytes:
        head = {number: value for number, value in self._file.items() if number < _NUM_ROWS}
        head[_NUM_ROWS] = (thrift.I64, self.rows)
        rest = {number: value for number, value in self._file.items() if number > _ROW_GROUPS}
        return (
            thrift.encode(head)[:-1]
            + thrift.list_field(_ROW_GROUPS - _NUM_ROWS, groups)
            + thrift.encode(rest, after=_ROW_GROUPS)
        )
