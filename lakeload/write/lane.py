"""The rows of one partition on their way to its files, in the order they came.

Rows wait here until they make a row group of the planned size, or until memory runs short.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from lakeload.write.conform import row_bytes, unify
from lakeload.write.crew import Crew
from lakeload.write.encode import RowGroup
from lakeload.write.rolling import Rest, Rolling, Sizes

SAMPLE_ROWS = 8_192
_PIECE_BYTES = 768
"""Measured memory of an Arrow array besides its values: small pieces are mostly that."""
_NEARLY = 1.25
"""A last row group may exceed the plan by this much rather than leave a tiny one behind."""


@dataclass(slots=True)
class Press:
    """What all lanes of a writer share.

    Args:
        crew: Threads.
        sizes: Bounds of files and row groups.
        schema: Columns of the files.
        encode: One row group.
        ratio: Compressed bytes per Arrow byte, as last measured; the guess for lanes without their own.
    """

    crew: Crew
    sizes: Sizes
    schema: pa.Schema
    encode: Callable[[pa.Table], RowGroup]
    ratio: float | None = None

    def guess(self, sample: Sequence[pa.RecordBatch]) -> float:
        """The ratio; measured on a row group that is thrown away if there was none yet."""
        if self.ratio is None:
            table = unify(sample, self.schema)
            self.ratio = self.encode(table).size / max(row_bytes(table), 1)
        return self.ratio


class Lane(Protocol):
    """What the writer asks of a partition (`PlainLane`, `SortedLane`)."""

    rolling: Rolling
    waiting: Waiting

    def advance(self) -> None:
        """Give out the work there is enough rows for."""
        ...

    def spill(self) -> None:
        """Give out work for all rows that wait, to free memory."""
        ...

    def finish(self) -> None:
        """Give out work for all rows; no more will come."""
        ...

    def close(self) -> None:
        """Complete the files; all work has landed."""
        ...

    def rows(self) -> Sequence[pa.RecordBatch]:
        """Hand back rows no file holds; all work has landed."""
        ...


class Waiting:
    """Batches in order, taken from the front by rows."""

    def __init__(self) -> None:
        self.rows = 0
        self.bytes = 0
        self._columns = 0
        self._batches: deque[tuple[pa.RecordBatch, int]] = deque()

    @property
    def held(self) -> int:
        """Memory the rows take."""
        return self.bytes + _PIECE_BYTES * self._columns * len(self._batches)

    def add(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        size = row_bytes(batch)
        self._columns = batch.num_columns
        self._batches.append((batch, size))
        self.rows += batch.num_rows
        self.bytes += size

    def take(self, rows: int) -> list[pa.RecordBatch]:
        """Remove the first `rows` rows."""
        taken: list[pa.RecordBatch] = []
        while self._batches and rows:
            batch, size = self._batches.popleft()
            self.bytes -= size
            if batch.num_rows > rows:
                left = batch.slice(rows)
                left_size = size * left.num_rows // batch.num_rows
                self._batches.appendleft((left, left_size))
                self.bytes += left_size
                batch = batch.slice(0, rows)
            taken.append(batch)
            rows -= batch.num_rows
            self.rows -= batch.num_rows
        return taken

    def first(self, rows: int) -> list[pa.RecordBatch]:
        """The first `rows` rows, which stay."""
        found: list[pa.RecordBatch] = []
        for batch, _ in self._batches:
            if rows <= 0:
                break
            found.append(batch.slice(0, rows))
            rows -= batch.num_rows
        return found


class PlainLane:
    """A partition without sort order.

    Args:
        press: Shared by all lanes.
        rolling: The partition's files.
    """

    def __init__(self, press: Press, rolling: Rolling) -> None:
        self.rolling = rolling
        self.waiting = Waiting()
        self._press = press

    def advance(self) -> None:
        """Give out the row groups there are enough rows for."""
        sizes = self._press.sizes
        # Rows rarely compress to more than they are, so fewer bytes than this cannot be enough.
        while self.waiting.bytes >= min(sizes.group, sizes.arrow):
            planned = self._planned()
            if planned > self.waiting.rows:
                return
            self._submit(planned)

    def spill(self) -> None:
        """Make a row group of what waits, small as it may be."""
        self._submit(min(self.waiting.rows, self._press.sizes.rows))

    def finish(self) -> None:
        """Make row groups of all that waits."""
        most = self._press.sizes.rows
        while self.waiting.rows:
            small = self.waiting.bytes <= self._press.sizes.group // 4
            planned = self.waiting.rows if small else self._planned()
            if self.waiting.rows <= min(planned * _NEARLY, most):
                share = self._share(self.waiting.rows)
                while self.waiting.rows:
                    self._submit(min(share, self.waiting.rows))
                return
            self._submit(min(planned, most))

    def close(self) -> None:
        """Complete the open file."""
        self.rolling.close()

    def rows(self) -> Sequence[pa.RecordBatch]:
        """Take back what waits."""
        return self.waiting.take(self.waiting.rows)

    def _share(self, rows: int) -> int:
        """The last rows in equal parts for all threads, so that none waits for another; or all at once."""
        parts = self._press.crew.workers
        least = self._press.sizes.group // 4 * parts
        # What is too little as it is need not be measured for it.
        enough = self.waiting.bytes >= least and self.waiting.bytes * self._ratio() >= least
        return -(-rows // parts) if enough else rows

    def _planned(self) -> int:
        """Rows of the next row group."""
        sizes = self._press.sizes
        ratio = self._ratio()
        if self.rolling.ratio is None and self.rolling.coming and self.rolling.last_group(ratio):
            # All of the file rests on one guess so far; see first what came of it.
            self._press.crew.drain()
            ratio = self._ratio()
        wanted = min(self.rolling.next_group(ratio) / ratio, sizes.arrow)
        per_row = max(self.waiting.bytes / self.waiting.rows, 1e-3)
        return max(1, min(int(wanted / per_row), sizes.rows))

    def _ratio(self) -> float:
        return self.rolling.ratio or self._press.guess(self.waiting.first(SAMPLE_ROWS))

    def _submit(self, rows: int) -> None:
        table = unify(self.waiting.take(rows), self._press.schema)
        size = row_bytes(table)
        self.rolling.coming += size

        def land(group: RowGroup) -> None:
            self.rolling.coming -= size
            self._land(group, table)

        self._press.crew.submit(size, lambda: self._press.encode(table), land)

    def _land(self, group: RowGroup, table: pa.Table) -> None:
        rest: Rest | None = Rest(table, group)
        while rest is not None:
            rest = self.rolling.land(rest.group or self._press.encode(rest.table), rest.table)
        self._press.ratio = self.rolling.ratio
