"""What a Parquet file says about its values: statistics of row groups, and the page index.

Decodes `parquet.thrift` down to the bytes; where a page lies and how much it holds is taken from the page's own
header, which no index can make up.
"""

from __future__ import annotations

import math
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from file_facts import Facts, Leaf, leaves, rank, scan, slots

from lakeload.write import thrift

_FORMATS = {0: "<?", 1: "<i", 2: "<q", 4: "<f", 5: "<d"}
_ASCENDING, _DESCENDING = 1, 2
_LONGEST = 4096


def check_footer(path: Path, *, indexed: bool = True) -> int:
    """Fail unless everything the footer and the page index say is true; the number of pages compared.

    Args:
        path: A local Parquet file.
        indexed: Every column has an offset index.
    """
    data = path.read_bytes()
    table = scan(path)
    rows, kinds = slots(table), dict(_all_leaves(table.schema))
    length = int.from_bytes(data[-8:-4], "little")
    footer = thrift.decode(data[-8 - length : -8])
    groups, start, pages = footer[4][1][1], 0, 0
    assert footer[3][1] == table.num_rows == sum(group[3][1] for group in groups)
    for number, group in enumerate(groups):
        count = group[3][1]
        assert (
            group[7][1] if 7 in group else len(groups) - 1
        ) == number  # optional; left out of a single one
        chunks = group[1][1][1]
        assert group[2][1] == sum(chunk[3][1][6][1] for chunk in chunks)
        assert group[6][1] == sum(chunk[3][1][7][1] for chunk in chunks)
        for chunk in chunks:
            leaf = tuple(name.decode() for name in chunk[3][1][3][1][1])
            part = rows[leaf][start : start + count]
            _check_chunk(chunk, leaf, kinds[leaf], part)
            assert not indexed or 4 in chunk
            pages += _check_pages(data, chunk, kinds[leaf], part) if 4 in chunk else 0
        start += count
    _check_layout(path, data, length)
    return pages


def _all_leaves(schema: pa.Schema) -> list[tuple[Leaf, pa.DataType]]:
    return [pair for field in schema for pair in leaves((field.name,), field.type)]


def _check_chunk(chunk: thrift.Structure, leaf: Leaf, kind: pa.DataType, rows: list[list[Any]]) -> None:
    metadata = chunk[3][1]
    facts = Facts.of(rows)
    assert metadata[5][1] == facts.values
    stats = metadata[12][1]
    assert stats[3][1] == facts.nulls
    assert 4 not in stats or stats[4][1] == len({key for row in rows for key in row} - {None})
    physical = metadata[1][1]
    for field, key, zero in (
        (6, facts.low, -0.0),
        (5, facts.high, 0.0),
        (2, facts.low, -0.0),
        (1, facts.high, 0.0),
    ):
        assert field not in stats or _decoded(stats[field][1], physical, kind) == _zero(key, zero)
        assert field < 5 or (field in stats) == (key is not None) or _long(key) or facts.nans, (
            "a bound is missing"
        )
    if facts.nans and "list" not in leaf and "key_value" not in leaf:
        assert not {1, 2, 5, 6} & stats.keys(), "a NaN would be above the maximum"
        assert 6 not in chunk, "a NaN would be above the maximum of a page"
    if 16 in metadata:
        _check_sizes(metadata[16][1], facts, rows, physical)


def _check_sizes(sizes: thrift.Structure, facts: Facts, rows: list[list[Any]], physical: int) -> None:
    """`SizeStatistics`: levels are counted, and the bytes of texts without their lengths."""
    if 1 in sizes and physical == 6:
        assert sizes[1][1] == sum(len(key) for row in rows for key in row if key is not None)
    if 3 in sizes and sizes[3][1][1]:
        levels = sizes[3][1][1]
        assert (sum(levels), levels[-1]) == (facts.values, facts.values - facts.nulls)


def _check_pages(data: bytes, chunk: thrift.Structure, kind: pa.DataType, rows: list[list[Any]]) -> int:
    metadata, physical = chunk[3][1], chunk[3][1][1][1]
    index = thrift.decode(data[chunk[4][1] : chunk[4][1] + chunk[5][1]])
    places = index[1][1][1]
    first = [place[3][1] for place in places]
    parts = [rows[a:b] for a, b in pairwise([*first, len(rows)])]
    assert first[0] == 0
    assert all(parts)
    assert places[0][1][1] == metadata[9][1]
    for place, part in zip(places, parts, strict=True):
        header, end = thrift._read_struct(data, place[1][1])
        assert end - place[1][1] + header[3][1] == place[2][1]
        body = header[5][1] if 5 in header else header[8][1]
        assert body[1][1] == Facts.of(part).values
    if 6 in chunk:
        column = thrift.decode(data[chunk[6][1] : chunk[6][1] + chunk[7][1]])
        _check_column_index(column, physical, kind, [Facts.of(part) for part in parts])
    return len(places)


def _check_column_index(
    index: thrift.Structure, physical: int, kind: pa.DataType, pages: list[Facts]
) -> None:
    empty = index[1][1][1]
    assert empty == [page.nulls == page.values for page in pages]
    if 5 in index:
        assert index[5][1][1] == [page.nulls for page in pages]
    bounds = []
    for at, page in enumerate(pages):
        if not empty[at]:
            low, high = (_decoded(index[field][1][1][at], physical, kind) for field in (2, 3))
            assert rank(low[0] if isinstance(low, tuple) else low) <= rank(page.low)
            assert rank(high[0] if isinstance(high, tuple) else high) >= rank(page.high)
            bounds.append((low, high))
    order = index[4][1]
    if order in (_ASCENDING, _DESCENDING):
        for side in (0, 1):
            found = [bound[side] for bound in bounds]
            assert found == sorted(found, reverse=order == _DESCENDING)


def _check_layout(path: Path, data: bytes, length: int) -> None:
    """Row groups follow each other without gaps, and everything an index points at lies behind them."""
    metadata = pq.read_metadata(path)
    at = 4
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            start = column.dictionary_page_offset or column.data_page_offset
            assert start == at
            at += column.total_compressed_size
    assert at <= len(data) - 8 - length


def _decoded(raw: bytes, physical: int, kind: pa.DataType) -> Any:
    if physical in _FORMATS:
        value = struct.unpack(_FORMATS[physical], raw)[0]
        return (value, math.copysign(1, value)) if isinstance(value, float) else value
    return int.from_bytes(raw, "big", signed=True) if pa.types.is_decimal(kind) else raw


def _zero(key: Any, zero: float) -> Any:
    """The bound Parquet asks for: a minimum of zero is written negative, a maximum positive."""
    return rank(zero if isinstance(key, float) and key == 0 else key)


def _long(key: Any) -> bool:
    """Texts the encoder leaves out of its statistics."""
    return isinstance(key, bytes) and len(key) > _LONGEST
