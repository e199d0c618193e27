"""File statistics as Delta writes them: one JSON text per `add` action.

Part of commit. Readers skip files by these numbers, so a bound may be loose but never wrong (Delta
protocol, section "Per-file Statistics"):

| type | bound |
|---|---|
| integers, dates, booleans | exact |
| float, double | finite only; -0.0 below, 0.0 above; no maximum with NaN in the file, which sorts last |
| decimal | a JSON number; exact, unless its nearest double, which Trino reads, would lie inside the bound |
| string | first 32 characters; a maximum that was cut ends in U+10FFFF, or is left out if that is too small |
| timestamp | milliseconds, minimum rounded down, maximum rounded up |
| binary, lists, maps | none |
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any

import msgspec
import pyarrow as pa

from lakeload.model.files import ColumnPath, ColumnStats, DataFile, Value

STRING_LENGTH = 32
"""Characters kept of a string bound."""
INDEXED_COLUMNS = 32
"""Leaf columns that get statistics unless the table says otherwise."""

_LAST_CHARACTER = "\U0010ffff"
_EXACT = Context(prec=76)
_MILLISECOND = dt.timedelta(milliseconds=1)


def stats_json(file: DataFile, columns: Sequence[ColumnPath]) -> str:
    """The `stats` text of a file, for the leaf columns given.

    Example:
        >>> file = DataFile("a.parquet", 4, 2, stats={("n",): ColumnStats(2, 0, min=1, max=2)})
        >>> stats_json(file, [("n",)])
        '{"numRecords":2,"minValues":{"n":1},"maxValues":{"n":2},"nullCount":{"n":0}}'
    """
    lows: dict[str, Any] = {}
    highs: dict[str, Any] = {}
    nulls: dict[str, Any] = {}
    for path in columns:
        found = file.stats.get(path)
        if found is None:
            continue
        _put(nulls, path, found.nulls)
        low, high = _low(found.min), _high(found)
        if low is not None:
            _put(lows, path, low)
        if high is not None:
            _put(highs, path, high)
    facts = {"numRecords": file.rows, "minValues": lows, "maxValues": highs, "nullCount": nulls}
    return msgspec.json.encode(facts).decode()


def _put(tree: dict[str, Any], path: ColumnPath, value: Any) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = value


def _low(value: Value | None) -> Any:
    match value:
        case float():
            return (value or -0.0) if math.isfinite(value) else None
        case str():
            return value[:STRING_LENGTH]
        case Decimal():
            return _decimal(value, below=True)
        case _:
            return _exact(value)


def _high(found: ColumnStats) -> Any:
    value = found.max
    match value:
        case float():
            # Unknown counts as present: a maximum below a NaN would hide the NaN's row.
            known = found.nans == 0 and math.isfinite(value)
            return (value or 0.0) if known else None
        case str():
            return _string_above(value)
        case Decimal():
            return _decimal(value, below=False)
        case dt.datetime():
            return _timestamp_above(value)
        case _:
            return _exact(value)


def _exact(value: Value | None) -> Any:
    match value:
        case None | bytes() | dt.time():
            return None
        case dt.datetime():
            return _timestamp(value)
        case dt.date():
            return value.isoformat()
        case _:
            return value


def _decimal(value: Decimal, *, below: bool) -> msgspec.Raw | None:
    """A number that bounds the value, read digit by digit or as the nearest double."""
    bound = value
    while not _bounds(_as_double(bound), value, below=below):
        further = Decimal(repr(math.nextafter(float(bound), -math.inf if below else math.inf)))
        # No more digits after the point than the column has: a reader may refuse them.
        step = Decimal((0, (1,), int(value.as_tuple().exponent)))
        bound = further.quantize(step, ROUND_FLOOR if below else ROUND_CEILING, context=_EXACT)
    if bound.adjusted() > value.adjusted():
        return None  # it may have more digits than the column, and readers fail on these
    return msgspec.Raw(format(bound, "f").encode())


def _bounds(bound: Decimal, value: Decimal, *, below: bool) -> bool:
    return bound <= value if below else bound >= value


def _as_double(value: Decimal) -> Decimal:
    return Decimal(repr(float(value)))


def _string_above(value: str) -> str | None:
    if len(value) <= STRING_LENGTH:
        return value
    if value[STRING_LENGTH] == _LAST_CHARACTER:
        return None
    return value[:STRING_LENGTH] + _LAST_CHARACTER


def _timestamp(value: dt.datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat(timespec="milliseconds")
    return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _timestamp_above(value: dt.datetime) -> str | None:
    if value.microsecond % 1000 == 0:
        return _timestamp(value)
    try:
        return _timestamp(value + _MILLISECOND)
    except OverflowError:
        return None


def indexed_columns(
    schema: pa.Schema, partition_columns: Sequence[str], properties: Mapping[str, str]
) -> tuple[ColumnPath, ...]:
    """Leaf columns that get statistics.

    `delta.dataSkippingStatsColumns` names them; otherwise they are the first
    `delta.dataSkippingNumIndexedCols` leaves (default 32, -1 for all). Lists and maps count as one leaf
    and get none; partition columns do not count, their values are exact already.
    """
    named = properties.get("delta.dataSkippingStatsColumns", "")
    leaves = [leaf for field in schema if field.name not in partition_columns for leaf in _leaves((), field)]
    if named.strip():
        wanted = [_split_name(text) for text in re.findall(r"(?:`[^`]*`|[^,`])+", named)]
        return tuple(
            path for path, plain in leaves if plain and any(path[: len(name)] == name for name in wanted)
        )
    limit = whole_number(properties, "delta.dataSkippingNumIndexedCols", INDEXED_COLUMNS)
    return tuple(path for path, plain in (leaves if limit < 0 else leaves[:limit]) if plain)


def _leaves(above: ColumnPath, field: pa.Field) -> Iterator[tuple[ColumnPath, bool]]:
    path = (*above, field.name)
    if pa.types.is_struct(field.type):
        for child in field.type:
            yield from _leaves(path, child)
    else:
        yield path, not pa.types.is_nested(field.type)


def _split_name(text: str) -> ColumnPath:
    parts = re.findall(r"`([^`]*)`|([^.`\s][^.`]*)", text.strip())
    return tuple(quoted or plain.strip() for quoted, plain in parts)


def whole_number(properties: Mapping[str, str], key: str, default: int) -> int:
    """A table property as a number; `default` when it is not set, or is none (other engines set them too).

    Example:
        >>> whole_number({"delta.checkpointInterval": "10"}, "delta.checkpointInterval", 50)
        10
    """
    try:
        return int(properties.get(key, default))
    except ValueError:
        return default
