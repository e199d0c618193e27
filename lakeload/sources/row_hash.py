"""Hashes that tell rows apart from one load to the next, whatever types their columns have by then.

Part of extract, for cursors: rows at the position are remembered by them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from lakeload.model.cursor import HASH_DIGITS
from lakeload.model.rejection import SOURCE_ROW
from lakeload.model.text import text_of, to_text


def row_hashes(batch: pa.RecordBatch) -> list[str]:
    """The digits that are kept of every row's hash.

    Example:
        >>> row_hashes(pa.record_batch({"a": [1, 2]})) == [row_hash({"a": i})[:HASH_DIGITS] for i in (1, 2)]
        True
    """
    return [row_hash(row)[:HASH_DIGITS] for row in _rows(batch)]


def row_hash(row: Mapping[str, object]) -> str:
    """Hash of a row's content: the same for the same values whatever the order of keys and machine.

    Nulls do not count, so that a row keeps its hash when columns are added later. Values count by their
    canonical text (`model.text`), so that it does when a column is widened, or becomes text or a map.

    Example:
        >>> row_hash({"a": 1, "b": None}) == row_hash({"a": 1.0}) == row_hash({"a": "1"})
        True
    """
    text = json.dumps(_canonical(row), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _canonical(value: object) -> object:
    if isinstance(value, str):
        value = _nested(value)
    if isinstance(value, Mapping):
        items = ((str(key), _canonical(item)) for key, item in value.items())
        return {key: item for key, item in items if item is not None and item != {}}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return value if value is None or isinstance(value, str) else text_of(value)


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows as Python values, without their numbers, which change from run to run."""
    if SOURCE_ROW in batch.schema.names:
        batch = batch.drop_columns([SOURCE_ROW])
    # Python has no nanoseconds; the text of a value counts as the value itself.
    fields = [
        (name, to_text(c) if _is_fine(c.type) else c)
        for name, c in zip(batch.schema.names, batch.columns, strict=True)
    ]
    batch = pa.RecordBatch.from_arrays([c for _, c in fields], names=[name for name, _ in fields])
    rows: list[dict[str, Any]] = batch.to_pylist(maps_as_pydicts="lossy")
    return rows


def _nested(text: str) -> object:
    """The object or list whose canonical text this is; any other text as it is."""
    if text[:1] not in ("{", "["):
        return text
    try:
        value = json.loads(text)
        return value if text_of(value) == text else text
    except (ValueError, RecursionError):
        return text


def _is_fine(kind: pa.DataType) -> bool:
    """Whether values are finer than what Python has, at any depth."""
    if pa.types.is_timestamp(kind) or pa.types.is_time64(kind) or pa.types.is_duration(kind):
        return bool(kind.unit == "ns")
    inner = getattr(kind, "value_type", None)
    if inner is not None:
        return _is_fine(inner)
    return any(_is_fine(kind.field(i).type) for i in range(kind.num_fields))
