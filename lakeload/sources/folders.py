"""Columns of folders: the value of `country` for all rows of a file in `country=IS/`.

Part of extract. The values are text, as a path knows nothing else, and are typed where those of CSV are. A
column that the file has itself is the one that counts.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

import pyarrow as pa

from lakeload.model.naming import TEXT_ONLY
from lakeload.model.rejection import REJECTED
from lakeload.sources.parallel import close

Folders = tuple[tuple[str, str | None], ...]


def with_folders(
    batches: Iterable[pa.RecordBatch], folders: Folders
) -> Generator[pa.RecordBatch, None, None]:
    """The batches with a column for each folder.

    Args:
        batches: Rows of files that lie in these folders.
        folders: Name and value of each.

    Example:
        >>> rows = (batch for batch in [pa.record_batch({"id": [1, 2]})])
        >>> [batch.to_pylist() for batch in with_folders(rows, (("country", "IS"),))]
        [[{'id': 1, 'country': 'IS'}, {'id': 2, 'country': 'IS'}]]
    """
    source = iter(batches)
    try:
        for batch in source:
            yield _with(batch, folders) if folders else batch
    finally:
        close(source)


def _with(batch: pa.RecordBatch, folders: Iterable[tuple[str, str | None]]) -> pa.RecordBatch:
    if REJECTED in (batch.schema.metadata or {}):
        return batch  # of lines that are no rows
    there = set(batch.schema.names)
    for name, value in folders:
        if name not in there:
            field = pa.field(name, pa.string(), metadata={TEXT_ONLY: b"folder"})
            batch = batch.append_column(field, pa.repeat(pa.scalar(value, pa.string()), batch.num_rows))
    return batch
