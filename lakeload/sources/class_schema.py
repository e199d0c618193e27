"""`schema=` given as a class: the fields of a pydantic model, dataclass or msgspec struct as column types.

Declared types win over what a source's values look like; this is one more way to declare them. Part of
extract: resources are declared with it, and normalize sees the Arrow schema alone.

| annotation | column |
|---|---|
| `bool`, `int`, `float`, `str`, `bytes` | bool, int64, double, string, binary |
| `Decimal` with `max_digits` and `decimal_places` | decimal128 of these |
| `datetime`, `AwareDatetime` | timestamp[us, UTC] |
| `NaiveDatetime` | timestamp[us] |
| `date`, `time` | date32, time64[us] |
| `UUID`, URLs, paths | string |
| `Enum`, `Literal` | the type of its values; string when they differ |
| `X | None` | X, nullable |
| other unions | what holds all of them, in the end string |
| `list`, `set`, `frozenset`, `tuple[X, ...]`, `Sequence`, `Iterable` of X | list of X |
| `dict[str, X]`, `Mapping[str, X]` | map from string to X |
| another such class | struct |
| `Any`, a bare `dict` or `list`, `Decimal` without digits, anything else | left to the data |

A column is required when its field has no default and may not be `None`. It is called by its alias, if
there is one. (Python typing, pydantic 2 `model_fields`, msgspec `structs.fields`.)
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime as dt
import enum
import pathlib
import types
import typing
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa

from lakeload.errors import ConfigError
from lakeload.model.types import widen

_LEAVES: dict[type, pa.DataType] = {
    # In this order: a bool is an int, a datetime is a date.
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
    dt.datetime: pa.timestamp("us", "UTC"),
    dt.date: pa.date32(),
    dt.time: pa.time64("us"),
    dt.timedelta: pa.duration("us"),
    uuid.UUID: pa.string(),
    pathlib.PurePath: pa.string(),
}
# Pydantic's own types by name, so that it need not be imported here.
_NAMED = {
    **dict.fromkeys(("AwareDatetime", "PastDatetime", "FutureDatetime"), pa.timestamp("us", "UTC")),
    "NaiveDatetime": pa.timestamp("us"),
    **dict.fromkeys(("PastDate", "FutureDate"), pa.date32()),
    **dict.fromkeys(("AnyUrl", "AnyHttpUrl", "HttpUrl", "EmailStr", "Url", "SecretStr"), pa.string()),
}
_LISTS = (list, set, frozenset, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Set)
_MAPS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


@dataclasses.dataclass(frozen=True, slots=True)
class _Member:
    """A field of a class: its name in the source, its annotation, and whether a value must be given."""

    name: str
    annotation: Any
    required: bool
    digits: tuple[int, int] | None = None


def is_model(given: object) -> bool:
    """Whether it is a class whose fields say what a row has.

    Example:
        >>> is_model(dict), is_model(dataclasses.make_dataclass("Row", ["a"]))
        (False, True)
    """
    return isinstance(given, type) and (
        hasattr(given, "model_fields")
        or hasattr(given, "__struct_fields__")
        or dataclasses.is_dataclass(given)
    )


def class_schema(model: type) -> pa.Schema:
    """Columns of a class, as far as its annotations say what they are.

    Args:
        model: A pydantic model, a dataclass or a msgspec struct.

    Raises:
        ConfigError: The class contains itself, or an annotation cannot be found.

    Example:
        >>> Row = dataclasses.make_dataclass("Row", [("id", int), ("tags", list[str], None)])
        >>> class_schema(Row)
        id: int64 not null
        tags: list<item: string>
          child 0, item: string
    """
    return pa.schema(_fields(model, ()))


def _fields(model: type, above: tuple[type, ...]) -> list[pa.Field]:
    if model in above:
        raise ConfigError(
            f"{model.__name__} contains itself, so its columns have no end",
            hint="Give the schema of such a column as a pyarrow type, or leave it out.",
        )
    found = []
    for member in _members(model):
        kind, optional = _kind(member.annotation, member.digits, (*above, model))
        if kind is not None:
            found.append(pa.field(member.name, kind, nullable=optional or not member.required))
    return found


def _members(model: Any) -> Iterator[_Member]:
    if hasattr(model, "model_fields"):
        for name, info in model.model_fields.items():
            yield _Member(_alias(info) or name, info.annotation, info.is_required(), _digits(info.metadata))
        return
    try:
        hints = typing.get_type_hints(model, include_extras=True)
    except NameError as error:
        raise ConfigError(
            f"an annotation of {model.__name__} cannot be read: {error}",
            hint="Define what it names at module level.",
        ) from error
    if dataclasses.is_dataclass(model):
        for field in dataclasses.fields(model):
            none = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            yield _Member(field.name, hints[field.name], none)
        return
    import msgspec

    for one in msgspec.structs.fields(model):
        yield _Member(one.encode_name, hints[one.name], one.required)


def _alias(info: Any) -> str | None:
    """The name a pydantic field has in the data; the first of several."""
    given = info.validation_alias if info.validation_alias is not None else info.alias
    choices = getattr(given, "choices", [given])
    return choices[0] if choices and isinstance(choices[0], str) else None


def _digits(metadata: Any) -> tuple[int, int] | None:
    """Digits of a decimal in all and after the point, as pydantic's constraints give them."""
    metadata = [part for one in metadata for part in (one, *getattr(one, "metadata", ()))]
    whole = next((m.max_digits for m in metadata if getattr(m, "max_digits", None) is not None), None)
    places = next(
        (m.decimal_places for m in metadata if getattr(m, "decimal_places", None) is not None), None
    )
    return None if whole is None else (whole, places or 0)


def _kind(
    annotation: Any, digits: tuple[int, int] | None, above: tuple[type, ...]
) -> tuple[pa.DataType | None, bool]:
    """The type, `None` if the data has to say it, and whether `None` is a value, too."""
    if isinstance(annotation, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
        return _kind(annotation.__value__, digits, above)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0], _digits(inner[1:]) or digits, above)
    if origin in (Union, types.UnionType):
        return _union(inner, digits, above)
    if origin is Literal:
        return _of_values(inner), None in inner
    if origin is not None:
        return _container(origin, inner, above), False
    if annotation is None or annotation is type(None):
        return None, True
    return (_class(annotation, digits, above) if isinstance(annotation, type) else None), False


def _class(annotation: type, digits: tuple[int, int] | None, above: tuple[type, ...]) -> pa.DataType | None:
    if is_model(annotation):
        fields = _fields(annotation, above)
        return pa.struct(fields) if fields else None
    if issubclass(annotation, enum.Enum):
        return _of_values(tuple(member.value for member in annotation))
    if issubclass(annotation, Decimal):
        return None if digits is None else pa.decimal128(*digits)
    if annotation.__name__ in _NAMED:
        return _NAMED[annotation.__name__]
    return next((kind for base, kind in _LEAVES.items() if issubclass(annotation, base)), None)


def _container(origin: Any, inner: tuple[Any, ...], above: tuple[type, ...]) -> pa.DataType | None:
    if origin in _MAPS and len(inner) == 2:  # noqa: PLR2004 - key and value
        (key, _), (value, _) = (_kind(part, None, above) for part in inner)
        return None if key is None or value is None else pa.map_(key, value)
    same = origin is tuple and len(inner) == 2 and inner[1] is Ellipsis  # noqa: PLR2004 - tuple[X, ...]
    if (origin in _LISTS and len(inner) == 1) or same:
        element, _ = _kind(inner[0], None, above)
        return None if element is None else pa.list_(element)
    return None


def _union(
    parts: tuple[Any, ...], digits: tuple[int, int] | None, above: tuple[type, ...]
) -> tuple[pa.DataType | None, bool]:
    optional = type(None) in parts
    kinds = [_kind(part, digits, above) for part in parts if part is not type(None)]
    found: pa.DataType | None = None
    for kind, also in kinds:
        optional = optional or also
        if kind is None:
            return None, optional
        found = kind if found is None else widen(found, kind, text=True)
    return found, optional


def _of_values(values: tuple[object, ...]) -> pa.DataType | None:
    kinds = {_class(type(value), None, ()) for value in values if value is not None}
    return kinds.pop() if len(kinds) == 1 else pa.string()
