"""Row groups → one Parquet file, byte by byte.

Row groups come encoded from `encode`, each as if it were alone. A file is their bytes in order between the
magic numbers, then all column indexes, all offset indexes and one footer whose offsets point to where the
bytes now are (Apache Parquet format, "File format" and "Page index"). The size of the file is known
exactly after each row group, which is what rolling by measured bytes rests on.
"""

from __future__ import annotations

from collections.abc import Mapping

from lakeload.model.files import ColumnPath, ColumnStats
from lakeload.write import stats, thrift
from lakeload.write.encode import RowGroup, shift_group, shift_offset_index

MAGIC = b"PAR1"
_MOST_ORDINALS = 1 << 15


class Assembly:
    """One file in the making. Pure: it says which bytes to write and remembers what the footer needs.

    Example:
        >>> import pyarrow as pa
        >>> from lakeload.write.encode import encode_row_group
        >>> file = Assembly()
        >>> body = file.add(encode_row_group(pa.table({"a": [1, 2]})))
        >>> data = b"".join([*body, file.finish()])
        >>> data[:4] == data[-4:] == MAGIC, file.size >= len(data)
        (True, True)
    """

    def __init__(self) -> None:
        self.rows = 0
        self.size = 0
        self.offsets: list[int] = []
        self._position = 0
        self._file: thrift.Structure = {}
        self._groups: list[bytes] = []
        self._indexes: list[tuple[tuple[bytes, ...], tuple[bytes, ...]]] = []
        self._stats: list[Mapping[ColumnPath, ColumnStats]] = []

    def add(self, group: RowGroup) -> list[bytes | memoryview]:
        """Append a row group; returns the bytes to write. The row group must not be used again."""
        out: list[bytes | memoryview] = []
        if not self._groups:
            self._file = dict(group.file)
            self._position = self.size = len(MAGIC)
            self.size += 8
            out.append(MAGIC)
        footer = shift_group(group.footer, self._position)
        footer.pop(7, None)
        if len(self._groups) < _MOST_ORDINALS:
            footer[7] = (thrift.I16, len(self._groups))
        indexes = [
            thrift.encode(shift_offset_index(index, self._position)) for index in group.offset_indexes
        ]
        self._indexes.append((group.column_indexes, tuple(indexes)))
        self._groups.append(thrift.encode(footer))
        self._stats.append(group.stats)
        self.offsets.append(self._position)
        self.rows += group.rows
        self._position += len(group.data)
        self.size += group.size
        return [*out, group.data]

    def finish(self) -> bytes:
        """The end of the file: page indexes, footer, magic number. Sets `size` to the exact size."""
        columns, offsets = bytearray(), bytearray()
        start = self._position
        end = start + sum(len(part) for indexes, _ in self._indexes for part in indexes)
        groups = []
        for raw, (column_indexes, offset_indexes) in zip(self._groups, self._indexes, strict=True):
            group = thrift.decode(raw)
            for chunk, column, offset in zip(group[1][1][1], column_indexes, offset_indexes, strict=True):
                _point(chunk, 4, end + len(offsets), len(offset))
                offsets += offset
                if column:
                    _point(chunk, 6, start + len(columns), len(column))
                    columns += column
            groups.append(thrift.encode(group))
        footer = self._footer(groups)
        tail = bytes(columns) + bytes(offsets) + footer + len(footer).to_bytes(4, "little") + MAGIC
        self.size = self._position + len(tail)
        return tail

    def stats(self) -> dict[ColumnPath, ColumnStats]:
        """Statistics of the whole file."""
        return stats.merge(self._stats)

    def _footer(self, groups: list[bytes]) -> bytes:
        # Field 4 (row groups) lies between 3 and the rest; it is spliced in as bytes.
        head = {number: value for number, value in self._file.items() if number < 3}  # noqa: PLR2004
        head[3] = (thrift.I64, self.rows)
        rest = {number - 4: value for number, value in self._file.items() if number > 4}  # noqa: PLR2004
        row_groups = bytes([1 << 4 | thrift.LIST]) + thrift.encode_list(thrift.STRUCT, groups)
        return thrift.encode(head)[:-1] + row_groups + thrift.encode(rest)


def _point(chunk: thrift.Structure, field: int, offset: int, length: int) -> None:
    chunk[field] = (thrift.I64, offset)
    chunk[field + 1] = (thrift.I32, length)
