"""Rows of a Delta table read file by file: for what the library, and Polars, would read wrong.

The way back from extract → … → commit. Spark keeps timestamps as INT96 in the files of its Delta tables;
deltalake and Polars take these for nanoseconds, so the year 9999 becomes another year without a word. Also
for tables whose reader features Polars does not know. Columns are matched by name, as Delta does where no
column mapping is on; partition values come from the log (Delta protocol, section "Partition Value
Serialization"), deleted rows from the library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakeload.formats.delta_log import LogFile
from lakeload.formats.delta_partition import PartitionColumn
from lakeload.formats.delta_state import View
from lakeload.formats.projection import members
from lakeload.model.schema import children, with_children, without_ids
from lakeload.write.store import Store

_BATCH_ROWS = 65_536
_OURS = re.compile(r"(?:^|/)[A-Za-z0-9._-]+-[0-9a-f]{10}-\d{4,}\.parquet$")
"""File names lakeload gives (`write.location`)."""
_POLARS = frozenset({"deletionVectors", "timestampNtz"})
"""Reader features Polars has."""


def is_needed(known: View) -> bool:
    """Whether the library would misread timestamps of this version."""
    foreign = any(_OURS.search(path) is None for path in known.snapshot.files)
    return foreign and any(_has_instant(field.type) for field in known.schema)


def polars_reads(known: View) -> bool:
    """Whether Polars itself can be let loose on this version."""
    features = set(known.snapshot.protocol.get("readerFeatures") or ())
    # It loses names with spaces, which only others give, forgets the deleted rows of escaped names, and
    # looks for the files of a clone below the clone.
    escaped = any(
        (file.raw != path and (file.vector is not None or _OURS.search(path) is None)) or _outside(path)
        for path, file in known.snapshot.files.items()
    )
    return features <= _POLARS and not escaped and not is_needed(known)


def _outside(path: str) -> bool:
    return "://" in path or path.startswith("/")


def _has_instant(kind: pa.DataType) -> bool:
    below = children(kind)
    return any(_has_instant(field.type) for field in below) or (pa.types.is_timestamp(kind) and bool(kind.tz))


def read_rows(
    known: View, store: Store, schema: pa.Schema, kept: Mapping[str, pa.Array], table: str
) -> Iterator[pa.RecordBatch]:
    """Stream the rows.

    Args:
        known: The version.
        store: Rooted at the table.
        schema: Wanted columns, with field ids.
        kept: Of files with deleted rows, by path: which rows are still there.
        table: Table name, for messages.
    """
    constants = {column.name: column for column in known.columns if not column.generated}
    for file in known.snapshot.files.values():
        start = 0
        for batch in _batches(file, store, [name for name in schema.names if name not in constants]):
            rows = batch.num_rows
            columns = _columns(batch, file, schema, constants, table)
            found = pa.RecordBatch.from_arrays(columns, schema=without_ids(schema))
            if file.path in kept:
                found = found.filter(_part(kept[file.path], start, rows))
            start += rows
            yield found


def _batches(file: LogFile, store: Store, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Batches of the file with those of the columns it has."""
    outside = _outside(file.path)
    root, _, name = file.path.rpartition("/")
    place = store.at(root) if outside else store
    uri = place.uri(name if outside else file.path)
    with ExitStack() as opened:
        source: Any = uri if place.local else opened.enter_context(place.filesystem.open(uri, "rb"))
        parquet = pq.ParquetFile(source, pre_buffer=True, coerce_int96_timestamp_unit="us")
        opened.enter_context(parquet)
        there = [name for name in names if name in parquet.schema_arrow.names]
        if there:
            yield from parquet.iter_batches(_BATCH_ROWS, columns=there)
            return
        left = parquet.metadata.num_rows
        while left:  # nothing but partition columns is wanted
            rows = min(left, _BATCH_ROWS)
            left -= rows
            yield pa.RecordBatch.from_struct_array(pa.nulls(rows, pa.struct([])).fill_null({}))


def _columns(
    batch: pa.RecordBatch,
    file: LogFile,
    schema: pa.Schema,
    constants: Mapping[str, PartitionColumn],
    table: str,
) -> list[pa.Array]:
    stamped = [
        _stamped(field, schema.field(field.name)) for field in batch.schema if field.name not in constants
    ]
    arrays = [batch.column(field.name) for field in stamped]
    found = members(stamped, arrays, list(schema), batch.num_rows, table)
    for position, field in enumerate(schema):
        column = constants.get(field.name)
        if column is not None:
            value = column.decode(file.partition.get(column.name))
            found[position] = pa.repeat(pa.scalar(value, field.type), batch.num_rows)
    return found


def _stamped(field: pa.Field, want: pa.Field) -> pa.Field:
    """The file's field with the field ids the table's fields of the same names have."""
    ours, theirs = children(field.type), children(want.type)
    if not ours or type(field.type) is not type(want.type):
        return pa.field(field.name, field.type, field.nullable, want.metadata)
    if pa.types.is_struct(field.type):
        names = {inner.name: inner for inner in theirs}
        inside = [
            _stamped(inner, names[inner.name]) if inner.name in names else inner.remove_metadata()
            for inner in ours
        ]
    else:
        inside = [_stamped(inner, wanted) for inner, wanted in zip(ours, theirs, strict=True)]
    return pa.field(field.name, with_children(field.type, inside), field.nullable, want.metadata)


def _part(kept: pa.Array, start: int, rows: int) -> pa.Array:
    """The flags of one batch; rows past the end of the list are kept."""
    found = kept.slice(start, rows)
    missing = rows - len(found)
    return pa.concat_arrays([found, pa.repeat(pa.scalar(True), missing)]) if missing else found
