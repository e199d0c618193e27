"""Rows of data files in the shape of the table: how a scan reads. The way back from extract → … → commit.

Columns are matched by field id, at every depth. pyiceberg's reader does the same but turns a missing list
or map of structs into an empty one, so it is used only for what is rare: files with deleted rows, and
files without field ids or without a partition column, as migrations leave them.

Rules: Iceberg specification v2, section "Column Projection".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakeload.errors import TableError
from lakeload.formats.projection import members
from lakeload.model.schema import field_id, walk, without_ids

if TYPE_CHECKING:
    from lakeload.formats.iceberg_document import Document

_BATCH_ROWS = 65_536


def library_table(identifier: tuple[str, str], document: Document, files: Any) -> Any:
    """The table at one version as pyiceberg knows tables: for planning, and for other libraries to read.

    Args:
        identifier: Namespace and name.
        document: The version.
        files: pyiceberg's access to the place.
    """
    from pyiceberg.catalog.noop import NoopCatalog
    from pyiceberg.table import Table

    return Table(identifier, document.model, document.location, files, NoopCatalog("lakeload"))


def scanned(table: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of a table, file by file.

    Args:
        table: From `library_table`.
        schema: Wanted columns, with field ids.

    Raises:
        TableError: A file is in a format nobody here reads.
    """
    name = table.name()[-1]
    scan, specs = table.scan(selected_fields=tuple(schema.names)), table.metadata.specs()
    for task in scan.plan_files():
        if str(task.file.file_format.value) != "PARQUET":
            yield from _other_rows(scan, task, schema, name)
            continue
        fields = specs[task.file.spec_id].fields
        constants = frozenset(field.source_id for field in fields if str(field.transform) == "identity")
        with table.io.new_input(task.file.file_path).open() as source:
            rows = None if task.delete_files else _parquet_rows(source, schema, constants, name)
            yield from _library_rows(scan, task, schema) if rows is None else rows


def _other_rows(scan: Any, task: Any, schema: pa.Schema, table: str) -> Iterator[pa.RecordBatch]:
    """ORC, which the library reads; Avro, which nobody here does."""
    kind = str(task.file.file_format.value)
    if kind != "ORC":
        raise TableError(
            f"a file of the table is in the format {kind.title()}, which cannot be read here",
            table=table,
            place=task.file.file_path,
            hint="Rewrite the table's files as Parquet with another engine, or read them with it.",
        )
    yield from _library_rows(scan, task, schema)


def _library_rows(scan: Any, task: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    from pyiceberg.io.pyarrow import ArrowScan

    plain = without_ids(schema)
    reader = ArrowScan(scan.table_metadata, scan.io, scan.projection(), scan.row_filter)
    for batch in reader.to_record_batches([task]):
        yield batch.select(plain.names).cast(plain)


def _parquet_rows(
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
