"""Sieves: where in a column values may be that the table has no place for.

A sieve is compiled once per column and plan from two types, what comes and what is stored, and is a tree of
the places where a value may not pass: a column the table does not have, data of another kind than the
column's, or a conversion that is exact for some values only. `shake` finds the values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.schema import children
from lakeload.model.types import is_list, storage_type, widen
from lakeload.normalize.coerce import Convert
from lakeload.normalize.incoming import Path, incoming_type
from lakeload.normalize.nested import conversion
from lakeload.normalize.type_parts import fields_by_name, inner_types, is_written_as_text, kind_of, unwrap


@dataclass(frozen=True, slots=True)
class Unknown:
    """The table has no such column or member."""

    path: Path


@dataclass(frozen=True, slots=True)
class Unfit:
    """The data is of another kind than the column: no value passes."""

    path: Path
    target: pa.DataType


@dataclass(frozen=True, slots=True)
class Exact:
    """Each value passes that converts without a change."""

    path: Path
    target: pa.DataType
    convert: Convert


@dataclass(frozen=True, slots=True)
class Members:
    """Members of a struct, in the order of the data."""

    inner: tuple[Sieve | None, ...]


@dataclass(frozen=True, slots=True)
class Elements:
    """Elements of a list."""

    inner: Sieve


@dataclass(frozen=True, slots=True)
class Entries:
    """Keys and values of a map. A key that does not fit takes the whole map with it."""

    key: Sieve | None
    value: Sieve | None


Sieve: TypeAlias = Unknown | Unfit | Exact | Members | Elements | Entries


def compile_sieve(
    source: pa.DataType,
    target: pa.DataType | None,
    hint: pa.DataType | None,
    path: Path,
    *,
    untyped: bool,
    top: bool = True,
) -> Sieve | None:
    """What may not pass from one type to the other; `None` when everything does.

    Values pass that convert exactly within one kind: numbers to numbers, dates to timestamps, anything to
    text. Text is parsed where a hint asks for it, and, from sources that have no such types, where the
    column holds dates, times, decimals or bytes; never as a number, because `"1"` and `1` differ.

    Args:
        source: Type of the data, its members named as in the table.
        target: Storage type; `None` when the table has no such column.
        hint: Type the user asks for, members named as in the table, with the user's units.
        path: Where this is in the table.
        untyped: The source has no types but text and numbers.
        top: Whether this is a top-level column.
    """
    source = unwrap(source)
    if pa.types.is_null(source):
        return None
    if target is None:
        return Unknown(path) if _has_content(source) else None
    if pa.types.is_struct(source) and (pa.types.is_struct(target) or pa.types.is_map(target)):
        return _members(source, target, hint, path, untyped=untyped)
    if is_list(source) and pa.types.is_list(target):
        inner = _inner(source, target, hint, path, untyped=untyped)[0]
        return None if inner is None else Elements(inner)
    if pa.types.is_map(source) and pa.types.is_map(target):
        key, value = _inner(source, target, hint, path, untyped=untyped)
        return None if key is None and value is None else Entries(key, value)
    if hint is not None and pa.types.is_null(hint):
        hint = None
    if hint is None and not _of_one_kind(source, target, untyped=untyped):
        return Unfit(path, target)
    try:
        convert = conversion(source, target, path, top=top, given=hint)
    except SchemaError:
        return Unfit(path, target)
    return None if convert is None else Exact(path, target, convert)


def _has_content(kind: pa.DataType) -> bool:
    try:
        return incoming_type(kind, None, ("iceberg",), ()) is not None
    except SchemaError:  # a type nothing stores has values all the same
        return True


def _members(
    source: pa.DataType, target: pa.DataType, hint: pa.DataType | None, path: Path, *, untyped: bool
) -> Sieve | None:
    there, hinted = fields_by_name(target), fields_by_name(hint)
    found: list[Sieve | None] = []
    for field in (source.field(i) for i in range(source.num_fields)):
        if pa.types.is_map(target):
            name, kind, asked = "value", target.item_type, None
        else:
            name = field.name
            kind, asked = (part[name].type if name in part else None for part in (there, hinted))
        found.append(compile_sieve(field.type, kind, asked, (*path, name), untyped=untyped, top=False))
    return Members(tuple(found)) if any(found) else None


def _inner(
    source: pa.DataType, target: pa.DataType, hint: pa.DataType | None, path: Path, *, untyped: bool
) -> list[Sieve | None]:
    targets = [field.type for field in children(target)]
    asked: list[pa.DataType | None] = [None] * len(targets)
    if hint is not None and kind_of(hint) == kind_of(target):
        asked = [kind for _, kind in inner_types(hint)]
    return [
        compile_sieve(kind, wanted, known, (*path, name), untyped=untyped, top=False)
        for (name, kind), wanted, known in zip(inner_types(source), targets, asked, strict=True)
    ]


def _of_one_kind(source: pa.DataType, target: pa.DataType, *, untyped: bool) -> bool:
    if pa.types.is_string(target):
        return True
    if children(target) or pa.types.is_nested(source):
        return False
    try:
        stored, wanted = storage_type(source, ("iceberg",)), storage_type(target, ("iceberg",))
    except SchemaError:
        return False
    if stored is None or wanted is None:
        return True
    if untyped and pa.types.is_string(stored) and is_written_as_text(wanted):
        return True
    return (_is_number(stored) and _is_number(wanted)) or widen(stored, wanted) is not None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def refusing(sieve: Sieve | None) -> Sieve | None:
    """The part of a sieve that lets no value pass: it must be looked at in every batch."""
    match sieve:
        case Unknown() | Unfit():
            return sieve
        case Members(inner):
            parts = tuple(refusing(part) for part in inner)
            return Members(parts) if any(parts) else None
        case Elements(inner):
            part = refusing(inner)
            return None if part is None else Elements(part)
        case Entries(key, value):
            left, right = refusing(key), refusing(value)
            return Entries(left, right) if left or right else None
    return None


def refused_places(sieve: Sieve | None) -> Iterator[Unknown | Unfit]:
    """The places where no value passes, in the order of the data."""
    match sieve:
        case Unknown() | Unfit():
            yield sieve
        case Members(inner):
            for part in inner:
                yield from refused_places(part)
        case Elements(inner):
            yield from refused_places(inner)
        case Entries(key, value):
            yield from refused_places(key)
            yield from refused_places(value)


def emptied(source: pa.DataType, sieve: Sieve | None) -> pa.DataType:
    """The type of what `shake` returns where the sieve lets nothing pass: no values there, so no type."""
    match sieve:
        case Unknown() | Unfit():
            return pa.null()
        case Members(inner):
            kind = unwrap(source)
            fields = [kind.field(i) for i in range(kind.num_fields)]
            return pa.struct(
                [
                    field.with_type(emptied(field.type, part))
                    for field, part in zip(fields, inner, strict=True)
                ]
            )
        case Elements(inner):
            return pa.large_list(emptied(unwrap(source).value_type, inner))
        case Entries(key, value):
            kind = unwrap(source)
            if isinstance(key, Unfit):
                return pa.null()
            return pa.map_(kind.key_field, kind.item_field.with_type(emptied(kind.item_type, value)))
    return source
