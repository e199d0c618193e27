"""What tells a load that is repeated after a crash from a load of new rows.

A load without a cursor has no position: when a recorded load is completed by the next run, that run may
bring the same rows again, or others. The fingerprint of what it brings is compared with the recorded one,
so that a repetition adds nothing. It covers the number of rows, each column's nulls, NaNs, least and
greatest value over all of them, and the exact values of the first and last 16,384. Left out are lakeload's
own columns, which differ from load to load.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakeload.model.files import ColumnPath, ColumnStats, DataFile
from lakeload.model.schema import without_ids
from lakeload.model.table import SYSTEM_COLUMNS
from lakeload.write.conform import convert

WINDOW = 16_384
"""Rows at either end that are compared value by value."""


class Fingerprint:
    """Sees every batch of one load, keeps the two ends of it.

    Example:
        >>> one, two = Fingerprint(), Fingerprint()
        >>> for part in (pa.record_batch({"a": [1, 2]}), pa.record_batch({"a": [3]})):
        ...     one.add(part)
        >>> two.add(pa.record_batch({"a": [1, 2, 3]}))
        >>> schema = pa.schema([("a", pa.int64())])
        >>> one.digest(schema, []) == two.digest(schema, [])
        True
    """

    def __init__(self) -> None:
        self._rows = 0
        self._head: list[pa.RecordBatch] = []
        self._head_rows = 0
        self._tail: deque[pa.RecordBatch] = deque()
        self._tail_rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the next batch; holds on to at most the ends, without copying."""
        if not batch.num_rows:
            return
        self._rows += batch.num_rows
        if self._head_rows < WINDOW:
            part = batch.slice(0, WINDOW - self._head_rows)
            self._head.append(part)
            self._head_rows += part.num_rows
        part = batch.slice(max(0, batch.num_rows - WINDOW))
        self._tail.append(part)
        self._tail_rows += part.num_rows
        while self._tail_rows - self._tail[0].num_rows >= WINDOW:
            self._tail_rows -= self._tail.popleft().num_rows

    def digest(self, schema: pa.Schema, files: Sequence[DataFile]) -> str:
        """Hexadecimal fingerprint of everything added.

        Args:
            schema: Columns the table has once all rows are in. The first time some rows come before a
                column or a wider type shows; when they come again, the table has both from the start.
            files: The data files the rows went to, for the facts about each column over all rows.
        """
        facts = sorted(_column_facts(files).items())
        hashed = hashlib.blake2b(repr((self._rows, facts)).encode(), digest_size=16)
        excess = max(0, self._tail_rows - WINDOW)
        for part, skip in ((self._head, 0), (list(self._tail), excess)):
            if part:
                hashed.update(_exact_bytes(part, skip, schema))
        return hashed.hexdigest()


def _column_facts(files: Sequence[DataFile]) -> dict[ColumnPath, tuple[object, ...]]:
    """Nulls, NaNs, least and greatest value of each column over all files."""
    found: dict[ColumnPath, list[ColumnStats]] = {}
    for file in files:
        for path, stats in file.stats.items():
            if path[0] not in SYSTEM_COLUMNS:
                found.setdefault(path, []).append(stats)
    return {
        path: (
            sum(part.nulls for part in parts),
            sum(part.nans or 0 for part in parts),
            *_extent(parts),
        )
        for path, parts in found.items()
    }


def _extent(parts: Sequence[ColumnStats]) -> tuple[object, object]:
    """Least and greatest value, or `None` twice when a file with values does not tell."""
    telling: list[Any] = [part for part in parts if part.values > part.nulls + (part.nans or 0)]
    if not telling or any(part.min is None or part.max is None for part in telling):
        return None, None
    return min(part.min for part in telling), max(part.max for part in telling)


def _exact_bytes(batches: list[pa.RecordBatch], skip: int, schema: pa.Schema) -> pa.Buffer:
    """The rows as uncompressed Parquet, which depends on the values alone and not on Arrow's buffers."""
    table = pa.Table.from_batches([convert(batch, schema) for batch in batches]).slice(skip)
    kept = table.drop_columns([name for name in table.column_names if name in SYSTEM_COLUMNS])
    sink = pa.BufferOutputStream()
    pq.write_table(
        kept.cast(without_ids(kept.schema)),
        sink,
        row_group_size=2 * WINDOW,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
    )
    return sink.getvalue()
