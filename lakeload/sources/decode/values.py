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

from lakeload.sources.decode.conflict import Conflict, excerpt

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


def known(value: object, path: str) -> object:
    """The value as a dict, list, tuple or atom; what it holds is left as it is.

    Args:
        value: Any value.
        path: Dotted path of its column, for messages.

    Raises:
        Conflict: The value cannot be stored.

    Example:
        >>> known(UUID(int=1), "id")
        '00000000-0000-0000-0000-000000000001'
    """
    kind = type(value)
    if kind in _ATOMS or kind is dict or kind is list or kind is tuple:
        return value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, enum.Enum):
        return known(value.value, path)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        items = ((name, getattr(value, own)) for name, own in names)
        return {name: item for name, item in items if item is not msgspec.UNSET}
    if is_record(value):
        return _members(value)
    return _foreign(value, path)


def _members(value: Any) -> dict[str, object]:
    if hasattr(value, "model_dump"):
        return dict(value.model_dump(by_alias=True))
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def plain(value: object, path: str) -> object:
    """The value with everything in it as dicts, lists and atoms; keys of dicts are strings.

    Raises:
        Conflict: Something in it cannot be stored, or it is nested beyond Python's stack.
    """
    try:
        return _plain(value, path)
    except RecursionError:
        raise Conflict(path, "nested too deeply", "Send such a value as text, or cut it short.") from None


def _plain(value: object, path: str) -> object:
    value = known(value, path)
    if type(value) is dict:
        return {text_key(key, path): _plain(item, path) for key, item in value.items()}
    if type(value) is list or type(value) is tuple:
        return [_plain(item, path) for item in value]
    return value


def text_key(key: object, path: str) -> str:
    """A key of an object as a string of no other type.

    Raises:
        Conflict: It is no string.
    """
    if isinstance(key, str):
        return str.__str__(key)
    raise Conflict(path, f"the key {excerpt(key)} is not a string", "Use strings as column and field names.")


def _foreign(value: Any, path: str) -> object:
    """Values of numpy and pandas values, and subclasses of atoms."""
    library = type(value).__module__.split(".")[0]
    if library == "numpy":
        if value.dtype.kind in "mM":
            exact = value.astype(f"{'timedelta' if value.dtype.kind == 'm' else 'datetime'}64[us]")
            if ((exact != value) & (value == value)).any():  # noqa: PLR0124 - NaT is not itself
                raise Conflict(path, f"{value!r} is finer than microseconds", "Round it first.")
            value = exact
        return known(value.tolist(), path)
    if library == "pandas":
        if type(value).__name__ in ("NAType", "NaTType"):
            return None
        if getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0):
            raise Conflict(path, f"{value!r} is finer than microseconds", "Round it first.")
        convert = getattr(value, "to_pydatetime", None) or getattr(value, "to_pytimedelta", None)
        if convert is not None:
            return convert()
    for atom in (str, int, float, Decimal, dt.datetime, dt.date, dt.time, dt.timedelta):
        if isinstance(value, atom):
            return _bare(value, atom)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise Conflict(path, f"cannot store a {type(value).__name__}", "Convert it before yielding the row.")


def _bare(value: Any, atom: type) -> object:
    """A value of a subclass as one of the class itself."""
    if atom is str:
        return str.__str__(value)
    if atom is int:
        return int.__int__(value)
    if atom is float:
        return float.__float__(value)
    if atom is Decimal:
        return Decimal(value)
    if atom is dt.datetime:
        fields = (value.year, value.month, value.day, value.hour, value.minute, value.second)
        return dt.datetime(*fields, value.microsecond, value.tzinfo, fold=value.fold)  # noqa: DTZ001 - the value's zone
    if atom is dt.date:
        return dt.date(value.year, value.month, value.day)
    if atom is dt.time:
        return dt.time(
            value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold
        )
    return dt.timedelta(days=value.days, seconds=value.seconds, microseconds=value.microseconds)
