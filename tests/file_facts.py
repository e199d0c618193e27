"""What a data file truly holds, found by reading every value of it; and what is published about it.

Shares no code with lakeload's statistics. Values become *keys*, which order as the formats order values: texts
as their UTF-8 bytes, times as counts since the epoch, decimals as their unscaled digits.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Context, Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from lakes import Place
from readers import static_table

Leaf = tuple[str, ...]
"""Names of Parquet's `path_in_schema`: leaves in lists and maps have one too."""
Slots = dict[Leaf, list[list[Any]]]
"""Per leaf and row the keys of its values; a null, or an empty list, is one `None`."""


@dataclass(frozen=True)
class Facts:
    """What is true of some values."""

    values: int
    nulls: int
    nans: int
    low: Any
    high: Any

    @classmethod
    def of(cls, rows: Iterable[list[Any]]) -> Facts:
        keys = [key for row in rows for key in row]
        nulls = sum(key is None for key in keys)
        nans = sum(isinstance(key, float) and math.isnan(key) for key in keys)
        filled = [key for key in keys if key is not None and key == key]  # noqa: PLR0124 - NaN differs from itself
        low, high = min(filled, key=rank, default=None), max(filled, key=rank, default=None)
        return cls(len(keys), nulls, nans, low, high)


def rank(key: Any) -> Any:
    """Something to compare keys by: -0.0 comes before 0.0."""
    return (key, math.copysign(1, key)) if isinstance(key, float) else key


def slots(table: pa.Table) -> Slots:
    """Every value of the table."""
    found: Slots = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        for leaf, _ in leaves((name,), kind):
            found[leaf] = []
        plain = _plain(kind)
        rows = [value for chunk in column.chunks for value in chunk.view(plain).to_pylist()]
        for row in rows:
            for leaf, _ in leaves((name,), kind):
                found[leaf].append([])
            _collect(row, kind, (name,), found)
    return found


def leaves(path: Leaf, kind: pa.DataType) -> Iterator[tuple[Leaf, pa.DataType]]:
    """Leaves below a column, with their types."""
    below = _children(kind)
    if not below:
        yield path, kind
    for steps, inner in below:
        yield from leaves((*path, *steps), inner)


def plain_leaves(schema: pa.Schema) -> dict[Leaf, pa.DataType]:
    """Leaves outside lists and maps: those that tables keep bounds of."""
    found: dict[Leaf, pa.DataType] = {}

    def descend(path: Leaf, kind: pa.DataType) -> None:
        if pa.types.is_struct(kind):
            for field in kind:
                descend((*path, field.name), field.type)
        elif not pa.types.is_nested(kind):
            found[path] = kind

    for field in schema:
        descend((field.name,), field.type)
    return found


def _children(kind: pa.DataType) -> list[tuple[Leaf, pa.DataType]]:
    if pa.types.is_struct(kind):
        return [((field.name,), field.type) for field in kind]
    if pa.types.is_map(kind):
        return [(("key_value", "key"), kind.key_type), (("key_value", "value"), kind.item_type)]
    return [(("list", "element"), kind.value_type)] if pa.types.is_list(kind) else []


def _collect(value: Any, kind: pa.DataType, path: Leaf, found: Slots) -> None:
    if pa.types.is_struct(kind):
        for field in kind:
            _collect(value and value[field.name], field.type, (*path, field.name), found)
    elif not pa.types.is_nested(kind):
        found[path][-1].append(_key(value))
    elif not value:
        for leaf, _ in leaves(path, kind):
            found[leaf][-1].append(None)
    else:
        for element in value:
            parts = element if pa.types.is_map(kind) else (element,)
            for (steps, inner), part in zip(_children(kind), parts, strict=True):
                _collect(part, inner, (*path, *steps), found)


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type with the same memory whose values Python can always hold."""
    if pa.types.is_timestamp(kind) or pa.types.is_time64(kind):
        return pa.int64()
    if pa.types.is_date32(kind):
        return pa.int32()
    if pa.types.is_string(kind):
        return pa.binary()
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _plain(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_plain(kind.key_type), _plain(kind.item_type))
    return pa.list_(pa.field("element", _plain(kind.value_type))) if pa.types.is_list(kind) else kind


def _key(value: Any) -> Any:
    return unscaled(value) if isinstance(value, Decimal) else value


def unscaled(value: Decimal, scale: int | None = None) -> int:
    """The digits of a decimal without its point."""
    shift = -int(value.as_tuple().exponent) if scale is None else scale
    return int(value.scaleb(shift, Context(prec=100)))


@dataclass(frozen=True)
class DeltaFile:
    """A live file as Delta's log has it."""

    path: Path
    size: int
    stats: dict[str, Any]
    partition: dict[str, str | None]


def delta_files(place: Place, table: str = "t") -> list[DeltaFile]:
    """Live files, read from the entries of the log as the protocol says."""
    root, live = Path(place.location(table)), {}
    for entry in sorted((root / "_delta_log").glob("*.json")):
        for line in entry.read_text().splitlines():
            action = json.loads(line)
            if "add" in action:
                add = action["add"]
                stats = json.loads(add["stats"], parse_float=Decimal)
                live[add["path"]] = DeltaFile(
                    root / unquote(add["path"]), add["size"], stats, add["partitionValues"]
                )
            elif "remove" in action:
                live.pop(action["remove"]["path"], None)
    return list(live.values())


def delta_key(value: Any, kind: pa.DataType) -> Any:
    """A bound of Delta's statistics as a key (protocol, "Per-file Statistics")."""
    if pa.types.is_decimal(kind):
        return unscaled(Decimal(value), kind.scale)
    if pa.types.is_floating(kind):
        return float(value)
    if pa.types.is_timestamp(kind):
        assert value.endswith("Z") == (kind.tz is not None)
        at = dt.datetime.fromisoformat(value).replace(tzinfo=None)
        return (at - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
    if pa.types.is_date(kind):
        return (dt.date.fromisoformat(value) - dt.date(1970, 1, 1)).days
    return value.encode() if pa.types.is_string(kind) else value


def at_leaf(tree: Any, leaf: Leaf) -> Any:
    """The entry of nested objects for a leaf; `None` when there is none."""
    for name in leaf:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def iceberg_files(place: Place, table: str = "t") -> list[Any]:
    """Live data files as the manifests have them."""
    return [
        task.file for task in static_table(place.metadata_location(table), place.storage).scan().plan_files()
    ]


def iceberg_key(raw: bytes, kind: Any) -> Any:
    """A bound of a manifest as a key, decoded by pyiceberg."""
    from pyiceberg.conversions import from_bytes

    value = from_bytes(kind, raw)
    if isinstance(value, Decimal):
        return unscaled(value, kind.scale)
    return value.encode() if isinstance(value, str) else value


def scan(path: Path) -> pa.Table:
    """All rows of one data file, without columns a folder of its path may suggest."""
    return pq.ParquetFile(path, page_checksum_verification=True).read()
