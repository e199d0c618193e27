"""Rows of data files in the shape of the table: how a scan reads. The way back from extract → … → commit.

Columns are matched by field id, at every depth. pyiceberg's reader does the same but turns a missing list
or map of structs into an empty one, so it is used only for what is rare: files with deleted rows, and
files without field ids or without a partition column, as migrations leave them.

Rules: Iceberg specification v2, section "Column Projection".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakeload.formats.projection import members
from lakeload.model.schema import field_id, walk, without_ids

_BATCH_ROWS = 65_536


def read_rows(
    source: Any, schema: pa.Schema, constants: frozenset[int], table: str
) -> Iterator[pa.RecordBatch] | None:
    """The rows of one Parquet file, or `None` when it cannot be read by field id alone.

    Args:
        source: A seekable file.
        schema: Wanted columns, with field ids.
        constants: Field ids that the file's partition values stand for when the file has no such column.
        table: Table name, for messages.
    """
    file = pq.ParquetFile(source, coerce_int96_timestamp_unit="us", pre_buffer=True)
    found = file.schema_arrow
    numbers: list[int | None] = []
    walk(found, lambda _, field: numbers.append(field_id(field)))
    top = {field_id(field): field.name for field in found}
    absent = {field_id(field) for field in schema} - set(top)
    if None in numbers or absent & constants:
        return None
    names = [top[number] for number in (field_id(field) for field in schema) if number in top]
    return _batches(file, names, schema, table)


def _batches(file: Any, names: list[str], schema: pa.Schema, table: str) -> Iterator[pa.RecordBatch]:
    plain = without_ids(schema)
    with file:
        if not names:
            yield from _nulls(file.metadata.num_rows, plain)
            return
        for batch in file.iter_batches(_BATCH_ROWS, columns=names):
            columns = members(list(batch.schema), batch.columns, list(schema), len(batch), table)
            yield pa.RecordBatch.from_arrays(columns, schema=plain)


def _nulls(rows: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for start in range(0, rows, _BATCH_ROWS):
        count = min(_BATCH_ROWS, rows - start)
        yield pa.RecordBatch.from_arrays([pa.nulls(count, field.type) for field in schema], schema=schema)
