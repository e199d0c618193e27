"""Exact column statistics of row groups and files, as typed values.

Minimum, maximum and null count come from the footer the encoder wrote (`Statistics` in parquet.thrift),
so the data is not read twice. What the encoder leaves out is computed: NaN counts always, bounds of
values longer than its limit of 4 KiB. Parquet's rules apply: NaN is in no bound, and a bound of zero is
stored as -0.0 for the minimum and +0.0 for the maximum.

A maximum that leaves NaN out is true to the letter, and yet engines that sort NaN last (DuckDB) skip by it
the rows that `x > 5` should find. So footers give no bounds of a column with NaN, as Parquet's Java
implementation gives none; `ColumnStats` keeps them, and formats leave out the maximum.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.files import ColumnPath, ColumnStats, Value
from lakeload.write import thrift

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LONGEST_BOUND = 64 << 10
"""Bytes; a longer text is no use as a bound and would bloat everything that carries it."""
_NULLS, _MAX, _MIN, _MAX_EXACT, _MIN_EXACT = 3, 5, 6, 7, 8
"""Fields of `Statistics` in parquet.thrift."""
_BOUNDS = (1, 2, _MAX, _MIN, _MAX_EXACT, _MIN_EXACT)
"""All that speak of bounds, the deprecated ones too."""
_FORMATS = {0: "<?", 1: "<i", 2: "<q", 4: "<f", 5: "<d"}
"""Physical types of Parquet that have a fixed width, as `struct` formats."""


def of_row_group(table: pa.Table, group: thrift.Structure) -> dict[ColumnPath, ColumnStats]:
    """Statistics per leaf column outside lists and maps, from a `RowGroup` structure and its rows."""
    chunks = {_path(chunk): chunk[3][1] for chunk in group[1][1][1]}
    return {path: _of_chunk(chunks[path], kind, path, table) for path, kind in leaves(table.schema)}


def without_bounds(
    chunks: Sequence[thrift.Structure], found: Mapping[ColumnPath, ColumnStats]
) -> frozenset[int]:
    """Take the bounds out of `ColumnChunk` structures whose column holds NaN.

    Args:
        chunks: Changed in place; counts of nulls stay.
        found: Statistics of their row group.

    Returns:
        Positions of the chunks whose column index must go too.
    """
    unsafe = set()
    for position, chunk in enumerate(chunks):
        column = found.get(_path(chunk))
        if column is not None and column.nans:
            unsafe.add(position)
            for number in _BOUNDS:
                chunk[3][1].get(12, (0, {}))[1].pop(number, None)
    return frozenset(unsafe)


def _path(chunk: thrift.Structure) -> ColumnPath:
    return tuple(name.decode() for name in chunk[3][1][3][1][1])


def leaves(schema: pa.Schema) -> Iterator[tuple[ColumnPath, pa.DataType]]:
    """Leaf columns outside lists and maps."""

    def descend(prefix: ColumnPath, field: pa.Field) -> Iterator[tuple[ColumnPath, pa.DataType]]:
        path, kind = (*prefix, field.name), field.type
        if pa.types.is_struct(kind):
            for position in range(kind.num_fields):
                yield from descend(path, kind.field(position))
        elif not pa.types.is_nested(kind):
            yield path, kind.value_type if pa.types.is_dictionary(kind) else kind

    for field in schema:
        yield from descend((), field)


def merge(parts: list[Mapping[ColumnPath, ColumnStats]]) -> dict[ColumnPath, ColumnStats]:
    """Statistics of a file from those of its row groups, all of one schema."""
    return {path: _merge_column([part[path] for part in parts]) for path in parts[0]} if parts else {}


def _merge_column(parts: list[ColumnStats]) -> ColumnStats:
    nans = None if parts[0].nans is None else sum(part.nans or 0 for part in parts)
    filled = [part for part in parts if part.values > part.nulls + (part.nans or 0)]
    known = bool(filled) and all(part.min is not None and part.max is not None for part in filled)
    return ColumnStats(
        values=sum(part.values for part in parts),
        nulls=sum(part.nulls for part in parts),
        nans=nans,
        min=min((part.min for part in filled), key=_order) if known else None,
        max=max((part.max for part in filled), key=_order) if known else None,
        size=sum(part.size for part in parts),
    )


def _order(value: Any) -> Any:
    # Parquet orders text by its UTF-8 bytes, which is the order of code points, as Python's is.
    return value


def _of_chunk(chunk: thrift.Structure, kind: pa.DataType, path: ColumnPath, table: pa.Table) -> ColumnStats:
    facts = chunk.get(12, (0, {}))[1]
    values, nulls = chunk[5][1], facts[_NULLS][1] if _NULLS in facts else _leaf(table, path).null_count
    nans = _nans(table, path) if pa.types.is_floating(kind) else None
    low, high = facts.get(_MIN), facts.get(_MAX)
    exact = facts.get(_MIN_EXACT, (0, True))[1] and facts.get(_MAX_EXACT, (0, True))[1]
    if low is not None and high is not None and exact:
        bounds = _typed(low[1], chunk[1][1], kind), _typed(high[1], chunk[1][1], kind)
    elif values > nulls + (nans or 0):
        bounds = _computed(table, path)
    else:
        bounds = (None, None)
    if bounds[0] is None or bounds[1] is None:
        bounds = (None, None)
    return ColumnStats(values, nulls, nans, bounds[0], bounds[1], chunk[7][1])


def _leaf(table: pa.Table, path: ColumnPath) -> pa.ChunkedArray:
    column = table.column(path[0])
    for name in path[1:]:
        column = pc.struct_field(column, name)
    return column


def _nans(table: pa.Table, path: ColumnPath) -> int:
    return pc.sum(pc.is_nan(_leaf(table, path))).as_py() or 0


def _computed(table: pa.Table, path: ColumnPath) -> tuple[Value | None, Value | None]:
    column = _leaf(table, path)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    text = not pa.types.is_binary(kind) and not pa.types.is_large_binary(kind)
    column = column.cast(pa.large_string() if text else pa.large_binary())
    found = pc.min_max(column)
    bounds = found["min"].as_py(), found["max"].as_py()
    return (None, None) if max(map(len, bounds)) > _LONGEST_BOUND else bounds


def _typed(raw: bytes, physical: int, kind: pa.DataType) -> Value | None:
    """A plain-encoded bound as the Python value of its logical type; `None` when Python has none."""
    plain: Any = struct.unpack(_FORMATS[physical], raw)[0] if physical in _FORMATS else raw
    try:
        return _logical(plain, kind)
    except (OverflowError, ValueError):
        return None


def _logical(plain: Any, kind: pa.DataType) -> Value | None:
    if pa.types.is_decimal(kind):
        unscaled = plain if isinstance(plain, int) else int.from_bytes(plain, "big", signed=True)
        return Decimal((unscaled < 0, tuple(map(int, str(abs(unscaled)))), -kind.scale))
    if pa.types.is_date(kind):
        return _EPOCH.date() + dt.timedelta(days=plain)
    if pa.types.is_timestamp(kind):
        moment = _EPOCH + dt.timedelta(microseconds=plain)
        return moment if kind.tz else moment.replace(tzinfo=None)
    if pa.types.is_time(kind):
        return (_EPOCH + dt.timedelta(microseconds=plain)).time()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return bytes(plain).decode()
    return plain if isinstance(plain, bool | int | float) else bytes(plain)
