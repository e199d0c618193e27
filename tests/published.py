"""What tables publish about their files, compared with the files: a bound may be wider, never narrower."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from file_facts import (
    Facts,
    at_leaf,
    delta_files,
    delta_key,
    iceberg_files,
    iceberg_key,
    plain_leaves,
    rank,
    scan,
    slots,
)
from footers import check_footer
from lakes import Place

_LAST_MILLISECOND = 253402300799999000
"""The last moment that rounds up to one ISO 8601 can write."""
_INDEXED = 20
"""Leaves a table may have for all of them to be among the first 32, lists counted too."""


def check(place: Place, table: str = "t", *, footers: bool = True) -> int:
    """Fail unless all that is published about the live files is true; the number of files."""
    counts = set()
    if "delta" in place.formats:
        files = delta_files(place, table)
        counts.add(len(files))
        for file in files:
            _check_delta(file)
    if "iceberg" in place.formats:
        schema = place.iceberg(table).schema()
        files = iceberg_files(place, table)
        counts.add(len(files))
        for file in files:
            _check_iceberg(file, schema)
    if footers:
        for path in place.data_files(table):
            check_footer(Path(path))
    (count,) = counts
    return count


def facts_of(path: Path) -> tuple[dict[tuple[str, ...], Facts], dict[tuple[str, ...], pa.DataType], int]:
    table = scan(path)
    kinds = plain_leaves(table.schema)
    rows = slots(table)
    return {leaf: Facts.of(rows[leaf]) for leaf in kinds}, kinds, table.num_rows


def _check_delta(file: Any) -> None:
    facts, kinds, rows = facts_of(file.path)
    stats, indexed = file.stats, len(facts) <= _INDEXED
    assert file.size == file.path.stat().st_size
    assert stats["numRecords"] == rows
    for leaf, true in facts.items():
        if leaf[0] in file.partition:
            continue
        where, kind = f"{leaf} of {file.path.name}", kinds[leaf]
        nulls = at_leaf(stats["nullCount"], leaf)
        assert nulls == true.nulls or (nulls is None and not indexed), where
        low, high = at_leaf(stats["minValues"], leaf), at_leaf(stats["maxValues"], leaf)
        if true.low is None:
            assert (low, high) == (None, None), where
        if low is not None:
            assert rank(delta_key(low, kind)) <= rank(true.low), where
        if high is not None:
            assert true.nans == 0, f"a NaN would be above the maximum of {where}"
            assert rank(delta_key(high, kind)) >= rank(true.high), where
        if indexed and true.low is not None and _bounded_in_delta(kind, true.low):
            assert low is not None, f"no minimum for {where}"
            assert _near(delta_key(low, kind), true.low, kind), where
        if indexed and true.low is not None and not true.nans and _bounded_in_delta(kind, true.high):
            assert high is not None, f"no maximum for {where}"
            assert _near(delta_key(high, kind), true.high, kind), where


def _bounded_in_delta(kind: pa.DataType, key: Any) -> bool:
    """Whether readers may count on a bound."""
    if pa.types.is_floating(kind):
        return math.isfinite(key)
    if pa.types.is_decimal(kind):  # widened for readers of doubles, unless that needs one digit more
        return len(str(abs(key) + _double_step(key))) == len(str(abs(key)))
    if pa.types.is_string(kind):
        return len(key.decode()) <= 32 or "\U0010ffff" not in key.decode()
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return key <= _LAST_MILLISECOND
    return not (pa.types.is_boolean(kind) or pa.types.is_binary(kind))


def _double_step(key: int) -> int:
    """How far a bound of so many digits may lie from the value: nothing for what a double holds exactly."""
    return abs(key) >> 50


def _near(bound: Any, key: Any, kind: pa.DataType) -> bool:
    """A bound is the value itself, or begins as it does."""
    if pa.types.is_decimal(kind):
        return bool(abs(bound - key) <= _double_step(key))
    if pa.types.is_string(kind):
        return bound.decode()[:32] == key.decode()[:32]
    return abs(bound - key) < 1000 if pa.types.is_timestamp(kind) else bool(bound == key)


def _check_iceberg(file: Any, schema: Any) -> None:
    path = Path(file.file_path.removeprefix("file://"))
    facts, _, rows = facts_of(path)
    metadata = pq.read_metadata(path)
    assert file.record_count == rows
    assert file.file_size_in_bytes == path.stat().st_size
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    firsts = [group.column(0) for group in groups]
    assert list(file.split_offsets) == [
        first.dictionary_page_offset or first.data_page_offset for first in firsts
    ]
    for leaf, true in facts.items():
        where, field = f"{leaf} of {path.name}", schema.find_field(".".join(leaf))
        number, kind = field.field_id, field.field_type
        assert file.value_counts[number] == true.values == rows, where
        assert file.null_value_counts[number] == true.nulls, where
        assert file.nan_value_counts.get(number, 0) == true.nans, where
        assert (number in file.nan_value_counts) == (str(kind) in ("float", "double")), where
        columns = [group.column(at) for group in groups for at in range(group.num_columns)]
        sizes = [
            column.total_compressed_size for column in columns if column.path_in_schema == ".".join(leaf)
        ]
        assert file.column_sizes[number] == sum(sizes), where
        low, high = file.lower_bounds.get(number), file.upper_bounds.get(number)
        if true.low is None:
            assert (low, high) == (None, None), where
            continue
        if low is not None:
            assert rank(iceberg_key(low, kind)) <= rank(true.low), where
        if high is not None:
            assert rank(iceberg_key(high, kind)) >= rank(true.high), where
        assert low is not None, where
        if true.nans:
            assert high is None, f"a NaN would be above the maximum of {where}"
        elif str(kind) not in ("string", "binary"):
            assert high is not None, where
            zero = lambda key: key or 0  # noqa: E731 - -0.0 and 0.0 are one value
            assert (zero(iceberg_key(low, kind)), zero(iceberg_key(high, kind))) == (
                zero(true.low),
                zero(true.high),
            )
