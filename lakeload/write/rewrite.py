"""Existing files of a table → new files of one schema: for folding small files and widening columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack

import pyarrow as pa
import pyarrow.parquet as pq

from lakeload.errors import StorageError
from lakeload.model.files import DataFile, LiveFile, Value
from lakeload.model.layout import Layout
from lakeload.model.schema import children, field_id, without_sources
from lakeload.write.conform import convert, sourced
from lakeload.write.store import Store
from lakeload.write.writer import TableWriter, WriteOptions

_BATCH_ROWS = 65_536


def rewrite(
    store: Store,
    paths: Sequence[str],
    schema: pa.Schema,
    options: WriteOptions,
    *,
    before: Mapping[str, pa.Schema] | None = None,
) -> tuple[DataFile, ...]:
    """Write the rows of these files anew, in order; the old files stay.

    Args:
        store: Rooted at the table.
        paths: Relative to the root. Files lakeload wrote: they hold every column they have values for.
        schema: Columns of the new files. Matched by field id, else by name; missing ones become null.
        options: How to write.
        before: The schema each file was written with, which tells what its source calls the members of
            objects that become text or maps now; files do not.

    Returns:
        The new files.

    Raises:
        SchemaError: A value does not survive its cast.
        StorageError: A file cannot be read or written.
    """
    return _rewrite(store, {path: {} for path in paths}, schema, options, before or {})


def rewrite_live(
    store: Store,
    files: Iterable[LiveFile],
    schema: pa.Schema,
    options: WriteOptions,
    *,
    before: pa.Schema | None = None,
) -> tuple[DataFile, ...]:
    """Write the rows of a table's live files anew, whoever wrote them; every row stays in its partition.

    Many engines leave partition columns out of their files, because the table's log has the values.

    Args:
        store: Rooted at the table.
        files: Files below the root, without deleted rows, of the present partitioning.
        schema: Columns of the new files, as for `rewrite`.
        options: How to write; `options.layout` is the table's.
        before: The table's schema so far, as for `rewrite`.

    Returns:
        The new files.

    Raises:
        SchemaError: A value does not survive its cast.
        StorageError: A file cannot be read or written, or its rows belong to another partition than the
            log says.
    """
    found = list(files)
    known = {file.path: _partition_values(file, options.layout) for file in found}
    added = _rewrite(store, known, schema, options, dict.fromkeys(known, before) if before else {})
    if not _same_rows(found, added):
        for file in added:
            store.delete(file.path)
        raise StorageError(
            "files to rewrite hold other rows, or other partitions, than the log says",
            place=store.uri(found[0].path),
            hint="Rewrite them with the engine that wrote them.",
        )
    return added


def _rewrite(
    store: Store,
    files: Mapping[str, Mapping[str, Value | None]],
    schema: pa.Schema,
    options: WriteOptions,
    before: Mapping[str, pa.Schema],
) -> tuple[DataFile, ...]:
    schema = without_sources(schema)  # files do not tell them: types would look different all over
    writer = TableWriter(store, schema, options)
    try:
        for path, values in files.items():
            for batch in batches(store, path):
                rows = _completed(batch, values, schema, options.layout)
                rows = sourced(rows, before[path], schema) if path in before else rows
                writer.write(convert(rows, schema))
        return writer.close()
    except BaseException:
        writer.abort()
        raise


def _partition_values(file: LiveFile, layout: Layout) -> dict[str, Value | None]:
    pairs = zip(layout.partition_by, file.partition, strict=True)
    return {field.source: value for field, value in pairs if field.transform == "identity"}


def _same_rows(before: Iterable[LiveFile], after: Iterable[DataFile]) -> bool:
    """Whether every partition has as many rows as it had, as far as the log tells."""
    wanted: dict[tuple[object, ...], int | None] = {}
    for file in before:
        place, rows = _place(file.partition), wanted.get(_place(file.partition), 0)
        wanted[place] = None if rows is None or file.rows is None else rows + file.rows
    found = Counter[tuple[object, ...]]()
    for new in after:
        found[_place(new.partition)] += new.rows
    told = all(found[place] == rows for place, rows in wanted.items() if rows is not None)
    return told and found.keys() <= wanted.keys()


def _place(partition: tuple[Value | None, ...]) -> tuple[object, ...]:
    """The partition as a key: NaN equals nothing, not even itself."""
    return tuple("nan" if value != value else value for value in partition)  # noqa: PLR0124 - only NaN differs from itself


def _completed(
    batch: pa.RecordBatch, values: Mapping[str, Value | None], schema: pa.Schema, layout: Layout
) -> pa.RecordBatch:
    """The batch with the partition columns its file leaves out.

    Raises:
        StorageError: A column of the file would be lost, as when a migrated table's column was renamed.
    """
    kept = {field.name for field in layout.partition_by}  # some engines write what Delta alone knows
    lost = _unknown([field for field in batch.schema if field.name not in kept], list(schema))
    if lost:
        raise StorageError(f"a file has a column {lost!r} that the table does not know")
    present = {field_id(field) for field in batch.schema} - {None}
    for name, value in values.items():
        field = schema.field(name)
        if name not in batch.schema.names and field_id(field) not in present:
            column = pa.repeat(pa.scalar(value, field.type), batch.num_rows)
            batch = batch.append_column(field, column)
    return batch


def _unknown(have: Sequence[pa.Field], want: Sequence[pa.Field]) -> str | None:
    """The first column, at any depth, that has no field id and no namesake in the table."""
    names = {field.name: field for field in want}
    for field in have:
        if field_id(field) is not None:
            continue  # told by its id, and if that is gone, so is the column
        there = names.get(field.name)
        if there is None:
            return field.name
        if field.type.id != there.type.id:
            continue  # the whole of it becomes text, or entries of a map
        below, wanted = children(field.type), children(there.type)
        if below and not pa.types.is_struct(field.type):
            wanted = [new.with_name(old.name) for old, new in zip(below, wanted, strict=False)]
        found = _unknown(below, wanted)
        if found is not None:
            return f"{field.name}.{found}"
    return None


def batches(store: Store, path: str) -> Iterator[pa.RecordBatch]:
    """The rows of a data file, in order.

    Args:
        store: Rooted at the table.
        path: Relative to the root.

    Raises:
        StorageError: The file cannot be read.
    """
    place = store.uri(path)
    try:
        with store.guarded(path), ExitStack() as opened:
            source = place
            if not store.local:
                source = opened.enter_context(store.filesystem.open(place, "rb"))
            # Older timestamps (INT96) would not fit the nanoseconds Arrow reads them as by default.
            file = pq.ParquetFile(source, pre_buffer=True, coerce_int96_timestamp_unit="us")
            opened.enter_context(file)
            yield from file.iter_batches(_BATCH_ROWS)
    except pa.ArrowInvalid as error:
        text = str(error).splitlines()[0]
        raise StorageError(f"cannot read the Parquet file: {text}", place=place) from error
