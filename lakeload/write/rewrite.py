"""Existing files of a table → new files of one schema: for folding small files and widening columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pyarrow as pa
import pyarrow.parquet as pq

from lakeload.errors import StorageError
from lakeload.model.files import DataFile
from lakeload.write.conform import convert
from lakeload.write.store import Store
from lakeload.write.writer import TableWriter, WriteOptions

_BATCH_ROWS = 65_536


def rewrite(
    store: Store, paths: Sequence[str], schema: pa.Schema, options: WriteOptions
) -> tuple[DataFile, ...]:
    """Write the rows of these files anew, in order; the old files stay.

    Args:
        store: Rooted at the table.
        paths: Relative to the root.
        schema: Columns of the new files. Matched by field id, else by name; missing ones become null.
        options: How to write.

    Returns:
        The new files.

    Raises:
        SchemaError: A value does not survive its cast.
        StorageError: A file cannot be read or written.
    """
    writer = TableWriter(store, schema, options)
    try:
        for path in paths:
            for batch in _batches(store, path):
                writer.write(convert(batch, schema))
        return writer.close()
    except BaseException:
        writer.abort()
        raise


def _batches(store: Store, path: str) -> Iterator[pa.RecordBatch]:
    place = store.uri(path)
    try:
        with store.guarded(path), ExitStack() as opened:
            source = place
            if not store.local:
                source = opened.enter_context(store.filesystem.open(place, "rb"))
            file = opened.enter_context(pq.ParquetFile(source, pre_buffer=True))
            yield from file.iter_batches(_BATCH_ROWS)
    except pa.ArrowInvalid as error:
        text = str(error).splitlines()[0]
        raise StorageError(f"cannot read the Parquet file: {text}", place=place) from error
