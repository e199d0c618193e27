"""Python values to the few kinds Arrow and the type lattice know.

Part of reading rows: enumerations, UUIDs, dataclasses, structs, pydantic models and the scalars of numpy and
pandas become dicts, lists and atoms of the same content, or are refused.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from lakeload.sources.decode.infer import MAX_DEPTH, Conflict

_ATOMS = frozenset(
    (type(None), bool, int, float, str, bytes, Decimal, dt.date, dt.datetime, dt.time, dt.timedelta)
)


def is_record(item: object) -> bool:
    """Whether it is an object with named fields: a dataclass, a msgspec struct, a pydantic model."""
    return (
        (dataclasses.is_dataclass(item) and not isinstance(item, type))
        or isinstance(item, msgspec.Struct)
        or (hasattr(item, "model_dump") and not isinstance(item, type))
    )


def plain(value: object, path: str, depth: int) -> object:
    """Values Arrow and the type lattice know: dicts, lists and atoms.

    Raises:
        Conflict: The value cannot be represented.
    """
    kind = type(value)
    if kind in _ATOMS:
        return value
    if depth > MAX_DEPTH:
        raise Conflict(
            path.split("[", 1)[0][:60],
            f"nested deeper than {MAX_DEPTH} levels",
            "Store such a column as text.",
        )
    if isinstance(value, Mapping):
        return {
            key: plain(item, f"{path}.{key}" if path else str(key), depth + 1) for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, f"{path}[]", depth + 1) for item in value]
    if isinstance(value, enum.Enum):
        return plain(value.value, path, depth)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, msgspec.Struct):
        return plain(msgspec.structs.asdict(value), path, depth)
    if is_record(value):
        fields = value.model_dump() if hasattr(value, "model_dump") else _shallow(value)
        return plain(fields, path, depth)
    return _plain_foreign(value, path, depth)


def _shallow(value: Any) -> dict[str, object]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _plain_foreign(value: Any, path: str, depth: int) -> object:
    """Values of numpy and pandas values, and subclasses of atoms."""
    library = type(value).__module__.split(".")[0]
    if library == "numpy":
        if value.dtype.kind in "mM":
            exact = value.astype(f"{'timedelta' if value.dtype.kind == 'm' else 'datetime'}64[us]")
            if (exact != value).any():
                raise Conflict(path, f"{value!r} is finer than microseconds", "Round it first.")
            value = exact
        return plain(value.tolist(), path, depth)
    if library == "pandas":
        if type(value).__name__ in ("NAType", "NaTType"):
            return None
        if getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0):
            raise Conflict(path, f"{value!r} is finer than microseconds", "Round it first.")
        convert = getattr(value, "to_pydatetime", None) or getattr(value, "to_pytimedelta", None)
        if convert is not None:
            return convert()
    for atom in (str, int, float, dt.datetime, dt.date):
        if isinstance(value, atom):
            return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    raise Conflict(path, f"cannot store a {type(value).__name__}", "Convert it before yielding the row.")
