"""Where the resources of a pipeline stand in a table, and how descriptors write it down.

A checkpoint can be large: it remembers every row at the cursor's last value by a hash. It is written once, in
the descriptor of the load that moved it. Later descriptors of the pipeline name that load instead.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lakeload.model.cursor import HASH_DIGITS, Checkpoint, CursorValue
from lakeload.model.values import from_json, schema_from_text, schema_to_text, to_json

ANY = ""
"""Stands for the resource in positions of earlier releases, which did not tell resources apart."""

_WIDTH = HASH_DIGITS // 2


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one resource stands.

    Args:
        load: Number of the load whose descriptor holds the checkpoint.
        value: The cursor value reached, for those who only show it.
        checkpoint: The checkpoint itself; `None` when it has to be read there.
    """

    load: int
    value: CursorValue | None = None
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a pipeline stands in one table.

    Args:
        sequence: Number of the load that wrote the table last.
        resources: By resource that loads into the table with a position.
    """

    sequence: int
    resources: Mapping[str, Standing] = field(default_factory=dict)


def own(standings: Mapping[str, Standing], resource: str) -> Standing | None:
    """Where a resource stands; what an earlier release left is everybody's."""
    return standings.get(resource) or standings.get(ANY)


def position_out(position: Position, sequence: int) -> dict[str, Any]:
    """The position as JSON-able values, in the descriptor of a load.

    Args:
        position: What to write.
        sequence: Number of that load: checkpoints of other loads are only named.
    """
    resources = {name: _standing_out(standing, sequence) for name, standing in position.resources.items()}
    return {"sequence": position.sequence, "resources": resources}


def position_in(raw: Mapping[str, Any], sequence: int) -> Position:
    """The position that `position_out` wrote, now or in an earlier release."""
    if "resources" in raw:
        return Position(
            raw["sequence"], {name: _standing_in(own, sequence) for name, own in raw["resources"].items()}
        )
    boundary = frozenset(digest[:HASH_DIGITS] for digest in raw["boundary"])
    checkpoint = Checkpoint(_value_in(raw), boundary, raw["positions"])
    known = checkpoint != Checkpoint()
    return Position(raw["sequence"], {ANY: Standing(sequence, checkpoint.value, checkpoint)} if known else {})


def pack(hashes: Iterable[str]) -> str:
    """Hashes of rows as short text: about seven characters each.

    Example:
        >>> sorted(unpack(pack(["00000000000001", "ffffffffffffff"])))
        ['00000000000001', 'ffffffffffffff']
    """
    joined = bytes.fromhex("".join(sorted(hashes)))
    # Sorted, the first bytes of many are alike; byte by byte they all but vanish.
    planes = b"".join(joined[i::_WIDTH] for i in range(_WIDTH))
    return base64.b64encode(zlib.compress(planes)).decode() if planes else ""


def unpack(text: str) -> frozenset[str]:
    """The hashes that `pack` wrote.

    Raises:
        ValueError: The text is damaged.
    """
    try:
        planes = zlib.decompress(base64.b64decode(text, validate=True)) if text else b""
    except zlib.error as error:
        raise ValueError("damaged hashes") from error
    count = len(planes) // _WIDTH
    if count * _WIDTH != len(planes):
        raise ValueError("damaged hashes")
    rows = zip(*(planes[i * count : (i + 1) * count] for i in range(_WIDTH)), strict=True)
    return frozenset(bytes(row).hex() for row in rows)


def _standing_out(standing: Standing, sequence: int) -> dict[str, Any]:
    found = {"load": standing.load, **_value_out(standing.value)}
    checkpoint = standing.checkpoint
    if standing.load != sequence or checkpoint is None:
        return found
    return found | {
        "cursor": checkpoint.cursor,
        "since": _value_out(checkpoint.since),
        "boundary": pack(checkpoint.boundary),
        "unplaced": pack(checkpoint.unplaced),
        "positions": dict(checkpoint.positions),
    }


def _standing_in(raw: Mapping[str, Any], sequence: int) -> Standing:
    value = _value_in(raw)
    if raw["load"] != sequence:
        return Standing(raw["load"], value)
    checkpoint = Checkpoint(
        value,
        unpack(raw["boundary"]),
        raw["positions"],
        cursor=raw["cursor"],
        since=_value_in(raw["since"]),
        unplaced=unpack(raw["unplaced"]),
    )
    return Standing(sequence, value, checkpoint)


def _value_out(value: CursorValue | None) -> dict[str, Any]:
    kind = _cursor_type(value)
    if kind is None:
        return {"type": None, "value": None}
    return {"type": schema_to_text(pa.schema([("value", kind)])), "value": to_json(value, kind)}


def _value_in(raw: Mapping[str, Any]) -> CursorValue | None:
    if raw["type"] is None:
        return None
    return from_json(raw["value"], schema_from_text(raw["type"]).field("value").type)


def _cursor_type(value: object) -> pa.DataType | None:
    if value is None:
        return None
    if isinstance(value, int) and value >= 2**63:
        return pa.uint64()
    kind = pa.scalar(value).type
    return pa.timestamp("us", "UTC") if pa.types.is_timestamp(kind) and kind.tz else kind
