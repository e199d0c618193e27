"""The rows of one partition on their way to files that are sorted as a whole.

The counterpart of `PlainLane` for tables with a sort order: rows are kept as sorted runs until they are
enough for a file, then merged into it.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from lakeload.model.layout import SortField
from lakeload.write.conform import row_bytes, unify
from lakeload.write.encode import RowGroup
from lakeload.write.lane import SAMPLE_ROWS, Press, Waiting
from lakeload.write.rolling import ENOUGH, Rest, Rolling
from lakeload.write.sorting import Merge, Run, Runs, delete_run, sorted_table, write_run

_SURPLUS = 1.12
"""Collect this share of a file before merging, so that the file fills; the surplus waits for the next."""


class SortedLane:
    """A partition with sort order.

    Args:
        press: Shared by all lanes.
        rolling: The partition's files.
        order: The sort order.
        runs: Where runs are kept.
    """

    def __init__(self, press: Press, rolling: Rolling, order: Sequence[SortField], runs: Runs) -> None:
        self.rolling = rolling
        self.waiting = Waiting()
        self._press = press
        self._order = order
        self._folder = runs
        self._runs: list[Run] = []
        self._writing = 0
        self._least = 0.0

    def advance(self) -> None:
        """Sort what waits into a run if it is much, and merge if the runs make a file."""
        if self.waiting.bytes >= self._press.sizes.arrow:
            self.spill()
        if self._enough(self.waiting.bytes + self._writing + sum(run.bytes for run in self._runs)):
            self.spill()
            self._press.crew.drain()
            self._merge(last=False)

    def spill(self) -> None:
        """Sort what waits into a run on disk."""
        if not self.waiting.rows:
            return
        size = self.waiting.bytes
        table = unify(self.waiting.take(self.waiting.rows), self._press.schema)
        path = self._folder.new_path()
        self._writing += size

        def land(run: Run) -> None:
            self._writing -= size
            self._runs.append(run)

        self._press.crew.submit(size, lambda: write_run(sorted_table(table, self._order), size, path), land)

    def finish(self) -> None:
        """Merge everything into files."""
        if not self._runs and not self._writing and self.waiting.bytes <= self._press.sizes.group:
            self._finish_small()
            return
        self._press.crew.drain()
        if self.waiting.rows:
            size = self.waiting.bytes
            table = unify(self.waiting.take(self.waiting.rows), self._press.schema)
            self._runs.append(Run(table.num_rows, size, table=sorted_table(table, self._order)))
        while self._runs:
            self._merge(last=True)

    def _finish_small(self) -> None:
        """One row group holds everything: sort and encode it beside those of other partitions."""
        if not self.waiting.rows:
            return
        size = self.waiting.bytes
        table = unify(self.waiting.take(self.waiting.rows), self._press.schema)

        def work() -> Rest:
            ordered = sorted_table(table, self._order)
            return Rest(ordered, self._press.encode(ordered))

        def land(found: Rest) -> None:
            rest: Rest | None = found
            while rest is not None:
                rest = self.rolling.land(rest.group or self._press.encode(rest.table), rest.table)

        self._press.crew.submit(size, work, land)

    def close(self) -> None:
        """Complete the open file."""
        self.rolling.close()

    def rows(self) -> Sequence[pa.RecordBatch]:
        """Take back what no file holds."""
        back = self.waiting.take(self.waiting.rows)
        for run in self._runs:
            back += run.open().to_batches()
        self._runs = []
        return back

    def _enough(self, collected: int) -> bool:
        if collected < max(self._press.sizes.group, self._least):
            return False
        return collected * self._ratio() >= _SURPLUS * self._press.sizes.target

    def _ratio(self) -> float:
        return self.rolling.ratio or self._press.guess(self._sample())

    def _sample(self) -> Sequence[pa.RecordBatch]:
        if self.waiting.rows:
            rows = unify(self.waiting.first(SAMPLE_ROWS), self._press.schema)
            return sorted_table(rows, self._order).to_batches()
        if not self._runs:
            self._press.crew.drain()
        return self._runs[0].open().slice(0, SAMPLE_ROWS).to_batches()

    def _merge(self, *, last: bool) -> None:
        """Write one file from the runs. Without enough rows for it, they stay runs unless `last`."""
        merge = Merge(self._runs, self._order)
        done = len(self.rolling.files)
        over: list[pa.Table] = []
        while merge.rows and len(self.rolling.files) == done:
            if self.rolling.full(self._ratio()):
                self._press.crew.drain()
                continue
            self._submit(merge.take(self._planned(merge)), done, over)
        self._press.crew.drain()
        size = self.rolling.size
        if len(self.rolling.files) == done and not last and size < ENOUGH * self._press.sizes.target:
            self.rolling.discard()
            self._least = merge.bytes * _SURPLUS * self._press.sizes.target / max(size, 1)
            return
        self._least = 0.0
        self.rolling.close()
        self._runs = merge.left()
        for run in merge.finished():
            delete_run(run)
        if over:
            table = pa.concat_tables(over)
            size = row_bytes(table)
            self._runs.append(write_run(table, size, self._folder.new_path()))

    def _planned(self, merge: Merge) -> int:
        sizes = self._press.sizes
        per_row = max(merge.bytes / max(sum(run.rows for run in self._runs), 1), 1e-3)
        ratio = self._ratio()
        wanted = min(self.rolling.next_group(ratio) / ratio, sizes.arrow)
        return max(1, min(int(wanted / per_row), sizes.rows))

    def _submit(self, table: pa.Table, done: int, over: list[pa.Table]) -> None:
        size = row_bytes(table)
        self.rolling.coming += size

        def land(group: RowGroup) -> None:
            self.rolling.coming -= size
            if len(self.rolling.files) > done:
                over.append(table)
                return
            rest = self.rolling.land(group, table)
            if rest is not None:
                over.append(rest.table)
            self._press.ratio = self.rolling.ratio

        self._press.crew.submit(size, lambda: self._press.encode(table), land)
