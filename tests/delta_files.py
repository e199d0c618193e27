"""Data files made by hand for the Delta tests: Parquet with exact statistics, and nothing of lakeload's writer."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakeload.formats.delta import DeltaFormatTable
from lakeload.model.changes import Changeset, CommitResult, Creation, SchemaChange, Token
from lakeload.model.files import ColumnStats, DataFile
from lakeload.model.layout import Layout
from lakeload.model.schema import apply_changes, assign_ids
from lakeload.model.table import TableState
from lakeload.write.store import Store

NOW = dt.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=dt.UTC)


def open_table(root: Path | str, name: str = "t") -> DeltaFormatTable:
    return DeltaFormatTable(name, Store(str(root)), now=lambda: NOW)


def write_file(
    root: Path | str,
    rows: pa.Table,
    schema: pa.Schema | None = None,
    partition: tuple = (),
    path: str | None = None,
) -> DataFile:
    """One data file below `root`, with statistics computed from the values themselves."""
    schema = schema or assign_ids(rows.schema)[0]
    rows = rows.cast(schema)
    relative = path or f"data/{uuid.uuid4().hex}.parquet"
    target = Path(root) / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, target, store_schema=False)
    stats = dict(
        leaf
        for i, field in enumerate(rows.schema)
        for leaf in _leaves((field.name,), rows.column(i).combine_chunks())
    )
    return DataFile(relative, target.stat().st_size, rows.num_rows, partition, stats)


def _leaves(path: tuple[str, ...], values: pa.Array) -> Iterator[tuple[tuple[str, ...], ColumnStats]]:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_struct(values.type):
        for i, child in enumerate(values.type):
            yield from _leaves((*path, child.name), values.flatten()[i])
    elif not pa.types.is_nested(values.type):
        yield path, facts(values.to_pylist(), floating=pa.types.is_floating(values.type))


def facts(values: list[Any], *, floating: bool) -> ColumnStats:
    present = [value for value in values if value is not None]
    numbers = [value for value in present if not (floating and math.isnan(value))]
    return ColumnStats(
        values=len(values),
        nulls=len(values) - len(present),
        nans=len(present) - len(numbers) if floating else None,
        min=min(numbers, default=None),
        max=max(numbers, default=None),
    )


def created(
    root: Path | str,
    rows: pa.Table,
    *,
    layout: Layout | None = None,
    partition: tuple = (),
    properties: Mapping[str, str] | None = None,
    token: Token | None = None,
) -> DeltaFormatTable:
    """A new table holding `rows` in one file."""
    table = open_table(root)
    schema, _ = assign_ids(rows.schema)
    file = write_file(root, rows, schema, partition)
    creation = Creation(layout or Layout(), properties or {})
    result = table.commit(Changeset("load-1", "append", schema, (file,), create=creation, token=token), None)
    assert type(result).__name__ == "Committed", result
    return table


def append(
    table: DeltaFormatTable,
    rows: pa.Table,
    *,
    partition: tuple = (),
    token: Token | None = None,
    state: TableState | None = None,
    path: str | None = None,
    **more: Any,
) -> CommitResult:
    """One more file with `rows`, on the newest version or on `state`."""
    state = state or table.load()
    file = write_file(table.location, rows, state.schema, partition, path)
    return table.commit(Changeset("load-n", "append", state.schema, (file,), token=token, **more), state)


def evolve(
    table: DeltaFormatTable, changes: tuple[SchemaChange, ...], rows: pa.Table | None = None, **more: Any
) -> CommitResult:
    """The changes, and `rows` in the new schema, in one commit."""
    state = table.load()
    schema, _ = apply_changes(state.schema, state.last_column_id, changes)
    files = (write_file(table.location, rows, schema),) if rows is not None else ()
    return table.commit(Changeset("load-n", "append", schema, files, schema_changes=changes, **more), state)
