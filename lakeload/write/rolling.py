"""One partition's row groups → its files, rolled by measured bytes.

Row groups are planned from what earlier ones really took, so that the last one lands its file on the
target size. Where the plan was wrong because the data changed its nature, the row group is divided and
encoded again: the bounds hold for measured bytes, not for guesses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from lakeload.model.files import DataFile, Value
from lakeload.write.assemble import Assembly
from lakeload.write.encode import RowGroup
from lakeload.write.sink import Sinks

FULL = 0.96
"""Share of the target from which a file is closed."""
_ENOUGH = 0.92
"""Share from which a file is closed rather than divide the row group that would overfill it."""
_OVERFULL = 1.06

MIB = 1 << 20


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
    def of(cls, target: int, memory: int, workers: int) -> Sizes:
        """Eight row groups per file, of 4 to 16 MiB; all in flight take no more than half of `memory`."""
        group = max(min(16 * MIB, target // 8), min(4 * MIB, target // 4), 1)
        return cls(target, group, max(min(128 * MIB, memory // (2 * (workers + 2))), 64 << 10))


class Rolling:
    """The files of one partition.

    Args:
        key: Partition values.
        sizes: Bounds.
        sinks: Where bytes go.
        new_path: Gives the path of the next file.
        encode: Encodes a table again when its row group does not fit.
    """

    def __init__(
        self,
        key: tuple[Value | None, ...],
        sizes: Sizes,
        sinks: Sinks,
        new_path: Callable[[], str],
        encode: Callable[[pa.Table], RowGroup],
    ) -> None:
        self.key = key
        self.files: list[DataFile] = []
        self.ratio: float | None = None
        """Compressed bytes per Arrow byte, as last measured."""
        self.coming = 0.0
        """Compressed bytes expected of row groups in flight."""
        self._sizes = sizes
        self._sinks = sinks
        self._new_path = new_path
        self._encode = encode
        self._file: Assembly | None = None
        self._path = ""

    def next_group(self) -> float:
        """Compressed bytes the next row group should have."""
        target = self._sizes.target
        filled = (self._file.size if self._file else 0) + self.coming
        remaining = target - filled % target
        if remaining < (1 - FULL) * target:
            remaining += target
        return remaining / max(1, round(remaining / self._sizes.group))

    def remaining(self) -> float:
        """Compressed bytes until the file, with what is in flight, is full."""
        filled = (self._file.size if self._file else 0) + self.coming
        return self._sizes.target - filled % self._sizes.target

    def land(self, group: RowGroup, table: pa.Table) -> None:
        """Append a row group to the file it belongs to.

        Raises:
            StorageError: The place cannot be written.
        """
        target = self._sizes.target
        size = self._file.size if self._file else 0
        if size and size + group.size > _OVERFULL * target and size >= _ENOUGH * target:
            self.close()
            size = 0
        if size + group.size > _OVERFULL * target and table.num_rows > 1:
            self._land_divided(group, table, (target - size) / group.size)
            return
        self.ratio = group.size / max(table.nbytes, 1)
        if self._file is None:
            self._file, self._path = Assembly(), self._new_path()
        self._sinks.append(self._path, self._file.add(group))
        if self._file.size >= FULL * target:
            self.close()

    def _land_divided(self, group: RowGroup, table: pa.Table, share: float) -> None:
        rows = min(max(1, int(table.num_rows * share)), table.num_rows - 1)
        del group
        for part in (table.slice(0, rows), table.slice(rows)):
            self.land(self._encode(part), part)

    def close(self) -> None:
        """Complete the open file, if there is one."""
        file, path = self._file, self._path
        if file is None:
            return
        self._sinks.append(path, [file.finish()])
        self._sinks.finish(path)
        self.files.append(
            DataFile(path, file.size, file.rows, self.key, file.stats(), tuple(file.offsets))
        )
        self._file = None
