"""One partition's row groups → its files, rolled by measured bytes.

Row groups are planned from what earlier ones really took, so that the last one lands its file on the
target size. Where the plan was wrong because the data changed its nature, a row group is divided and
encoded again: the bounds hold for measured bytes, not for guesses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from lakeload.model.files import DataFile, Value
from lakeload.write.assemble import Assembly
from lakeload.write.conform import row_bytes
from lakeload.write.encode import RowGroup
from lakeload.write.sink import Sinks

MIB = 1 << 20

FULL = 0.96
"""Share of the target from which a file is closed."""
ENOUGH = 0.92
"""Share from which a file is closed rather than divide the row group that would overfill it."""
OVERFULL = 1.06
"""Share above which a file never grows, single rows aside."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bounds of files and row groups.

    Args:
        target: Bytes of a file.
        group: Compressed bytes a row group should have.
        arrow: Most Arrow bytes of a row group.
        rows: Most rows of a row group.
    """

    target: int
    group: int
    arrow: int
    rows: int = 1 << 20

    @classmethod
    def of(cls, target: int, arrow: int) -> Sizes:
        """Eight row groups per file, but of 4 to 16 MiB where the target allows."""
        group = max(1, min(16 * MIB, target // 4, max(4 * MIB, target // 8)))
        return cls(target, group, min(128 * MIB, arrow))


@dataclass(frozen=True, slots=True)
class Rest:
    """Rows that belong in the next file, and their row group if it can be used as it is."""

    table: pa.Table
    group: RowGroup | None = None


class Rolling:
    """The files of one partition, one open at a time.

    Args:
        key: Partition values.
        sizes: Bounds.
        sinks: Where bytes go.
        new_path: Gives the path of the next file.
        encode: Encodes a part of a table whose row group does not fit.
        in_order: Rows come in the layout's sort order.
    """

    def __init__(
        self,
        key: tuple[Value | None, ...],
        sizes: Sizes,
        sinks: Sinks,
        *,
        new_path: Callable[[], str],
        encode: Callable[[pa.Table], RowGroup],
        in_order: bool,
    ) -> None:
        self.files: list[DataFile] = []
        self.ratio: float | None = None
        """Compressed bytes per Arrow byte, as last measured."""
        self.coming = 0
        """Arrow bytes of row groups in flight."""
        self._key = key
        self._sizes = sizes
        self._sinks = sinks
        self._new_path = new_path
        self._encode = encode
        self._in_order = in_order
        self._file: Assembly | None = None
        self._path = ""

    @property
    def size(self) -> int:
        """Bytes of the open file; 0 when none is open."""
        return self._file.size if self._file else 0

    def next_group(self, ratio: float) -> float:
        """Compressed bytes the next row group should have.

        Args:
            ratio: Compressed bytes to expect per Arrow byte in flight.
        """
        return self._left(ratio) / self._groups_left(ratio)

    def last_group(self, ratio: float) -> bool:
        """True when the next row group should fill the file."""
        return self._groups_left(ratio) == 1

    def full(self, ratio: float) -> bool:
        """True when the file will be full with what is in flight."""
        return self.size + self.coming * ratio >= FULL * self._sizes.target

    def _left(self, ratio: float) -> float:
        target = self._sizes.target
        left = target - (self.size + self.coming * ratio) % target
        return left + target if left < (1 - FULL) * target else left

    def _groups_left(self, ratio: float) -> int:
        return max(1, round(self._left(ratio) / self._sizes.group))

    def land(self, group: RowGroup, table: pa.Table) -> Rest | None:
        """Append a row group, or as much of it as the file can take.

        Returns:
            What is left over; the file is closed then.

        Raises:
            StorageError: The place cannot be written.
        """
        target, size = self._sizes.target, self.size
        self.ratio = group.size / max(row_bytes(table), 1)
        if size + group.size > OVERFULL * target and table.num_rows > 1:
            if size >= ENOUGH * target:
                self.close()
                return Rest(table, group)
            return self._divide(group, table)
        self._append(group)
        return None

    def _divide(self, group: RowGroup, table: pa.Table) -> Rest | None:
        share = (self._sizes.target - self.size) / group.size
        rows = min(max(1, int(table.num_rows * share)), table.num_rows - 1)
        head, tail = table.slice(0, rows), table.slice(rows)
        rest = self.land(self._encode(head), head)
        if rest is None:
            return Rest(tail)
        return Rest(pa.concat_tables([rest.table, tail]))

    def _append(self, group: RowGroup) -> None:
        if self._file is None:
            self._file, self._path = Assembly(), self._new_path()
        self._sinks.append(self._path, self._file.add(group))
        if self._file.size >= FULL * self._sizes.target:
            self.close()

    def close(self) -> None:
        """Complete the open file, if there is one."""
        file, path = self._file, self._path
        if file is None:
            return
        self._file = None
        self._sinks.append(path, [file.finish()])
        self._sinks.finish(path)
        offsets = tuple(file.offsets)
        self.files.append(
            DataFile(path, file.size, file.rows, self._key, file.stats(), offsets, self._in_order)
        )

    def discard(self) -> None:
        """Delete the open file, if there is one."""
        if self._file is not None:
            self._file = None
            self._sinks.forget(self._path)
