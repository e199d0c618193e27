"""Tells a load that is repeated after a crash from a load of new rows.

A load without a cursor has no position: when a recorded load is completed by the next run, that run may
bring the same rows again, or others. Then, and only then, the files of both are read and compared, value by
value over all rows, so that a repetition adds nothing and no other load is taken for one. Left out are
lakeload's own columns, which differ from load to load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

import pyarrow as pa
import pyarrow.parquet as pq

from lakeload.model.files import DataFile
from lakeload.model.schema import without_ids
from lakeload.model.table import SYSTEM_COLUMNS
from lakeload.write.conform import convert
from lakeload.write.rewrite import batches
from lakeload.write.store import Store

_ROWS = 16_384
"""Rows compared at a time; as many of either load are in memory."""


def same_rows(store: Store, ours: Sequence[DataFile], theirs: Sequence[DataFile], schema: pa.Schema) -> bool:
    """Whether two loads of a table wrote the same rows, in the same order within every partition.

    Args:
        store: Rooted at the table.
        ours: Files of one load, in the order they were written.
        theirs: Files of the other.
        schema: Columns the table has once all rows are in. The first time some rows come before a column
            or a wider type shows; when they come again, the table has both from the start.

    Raises:
        StorageError: A file cannot be read.
    """
    left, right = _by_partition(ours), _by_partition(theirs)
    if _counts(left) != _counts(right):
        return False
    return all(_equal(store, files, right[key], schema) for key, files in left.items())


def _by_partition(files: Sequence[DataFile]) -> dict[str, list[DataFile]]:
    found: dict[str, list[DataFile]] = {}
    for file in files:
        found.setdefault(repr(file.partition), []).append(file)  # NaN is not equal to itself
    return found


def _counts(partitions: Mapping[str, Sequence[DataFile]]) -> dict[str, int]:
    return {key: sum(file.rows for file in files) for key, files in partitions.items()}


def _equal(store: Store, ours: Sequence[DataFile], theirs: Sequence[DataFile], schema: pa.Schema) -> bool:
    pairs = zip_longest(_parts(store, ours, schema), _parts(store, theirs, schema))
    return all(left == right for left, right in pairs)


def _parts(store: Store, files: Sequence[DataFile], schema: pa.Schema) -> Iterator[pa.Buffer]:
    """The rows a fixed number at a time, as bytes that depend on nothing but their values."""
    waiting: list[pa.RecordBatch] = []
    for file in files:
        for batch in batches(store, file.path):
            waiting.append(convert(batch, schema))
            while sum(map(len, waiting)) >= _ROWS:
                table = pa.Table.from_batches(waiting)
                yield _exact_bytes(table.slice(0, _ROWS))
                waiting = table.slice(_ROWS).to_batches()
    if waiting:
        yield _exact_bytes(pa.Table.from_batches(waiting))


def _exact_bytes(table: pa.Table) -> pa.Buffer:
    """The rows as uncompressed Parquet, which depends on the values alone and not on Arrow's buffers."""
    kept = table.drop_columns([name for name in table.column_names if name in SYSTEM_COLUMNS])
    sink = pa.BufferOutputStream()
    pq.write_table(
        kept.cast(without_ids(kept.schema)),
        sink,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
    )
    return sink.getvalue()
