"""Finding the values of a batch that the table has no place for, at any depth, without a loop over rows.

A sieve is compiled per column from two types, what comes and what is stored, and is a tree of the places
where a value may not pass: a column the table does not have, data of another kind than the column's, or a
conversion that is exact for some values only. Shaking a column through it gives the column without those
values, and where they were. Only a batch that a plan refused, or that brings a column the table shall not
get, is looked at like this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SchemaError
from lakeload.model.nested_arrays import dense, elements
from lakeload.model.nested_arrays import members as parts_of
from lakeload.model.relabel import relabel
from lakeload.model.schema import children
from lakeload.model.types import is_list, storage_type, widen
from lakeload.normalize.coerce import Convert, Misfit
from lakeload.normalize.incoming import Path, incoming_type, inner_types, kind_of, members, unwrap
from lakeload.normalize.nested import conversion


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


@dataclass(frozen=True, slots=True)
class Finding:
    """Values of one place that do not pass.

    Args:
        rule: `columns` or `types`.
        path: Column path in the table's names.
        source: Type of the values.
        target: Type they had to fit; `None` where there is no column.
        rows: int64 indices of their rows, ascending, each once.
        first: The first of them, an array of one value.
    """

    rule: Literal["columns", "types"]
    path: Path
    source: pa.DataType
    target: pa.DataType | None
    rows: pa.Array
    first: pa.Array


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
    there, hinted = members(target), members(hint)
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


_WRITTEN_AS_TEXT = (
    pa.types.is_timestamp,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_decimal,
    pa.types.is_binary,
)


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
    if untyped and pa.types.is_string(stored) and any(test(wanted) for test in _WRITTEN_AS_TEXT):
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


@dataclass(frozen=True, slots=True)
class _Level:
    """Which row each element of an array at some depth belongs to; resolved only when something is found."""

    parents: pa.Array | None = None
    above: _Level | None = None

    def rows(self, bad: pa.Array) -> pa.Array:
        found, level = pc.indices_nonzero(bad), self
        while level.parents is not None and level.above is not None:
            found, level = pc.unique(level.parents.take(found)), level.above
        return found.cast(pa.int64())


def shake(array: pa.Array, sieve: Sieve | None, found: list[Finding]) -> pa.Array:
    """The column without the values that do not pass; what was taken out is appended to `found`.

    Args:
        array: A column as it came, encodings and member names included.
        sieve: Compiled for its type.
        found: Gets a finding per place.
    """
    return _shake(array, sieve, _Level(), found)


def _shake(array: pa.Array, sieve: Sieve | None, level: _Level, found: list[Finding]) -> pa.Array:
    if sieve is None:
        return array
    array = plain(array)
    match sieve:
        case Unknown():
            found += _noted(sieve, array, _tells(array), level)
            return pa.nulls(len(array))
        case Unfit():
            found += _noted(sieve, array, array.is_valid(), level)
            return pa.nulls(len(array))
        case Exact():
            return _exact(array, sieve, level, found)
        case Members(inner):
            return _struct(array, inner, level, found)
        case Elements(inner):
            offsets, values, parents = _parts(array)
            values = _shake(values, inner, _Level(parents, level), found)
            return pa.LargeListArray.from_arrays(offsets, values, mask=_mask(array))
        case Entries():
            return _map(array, sieve, level, found)


def _noted(sieve: Unknown | Unfit | Exact, array: pa.Array, bad: pa.Array, level: _Level) -> list[Finding]:
    first = pc.index(bad, True).as_py()
    if first < 0:
        return []
    rows, value = level.rows(bad), array.slice(first, 1)
    if isinstance(sieve, Unknown):
        return [Finding("columns", sieve.path, array.type, None, rows, value)]
    return [Finding("types", sieve.path, array.type, sieve.target, rows, value)]


def _exact(array: pa.Array, sieve: Exact, level: _Level, found: list[Finding]) -> pa.Array:
    bad = misfits(array, sieve.convert, sieve.target)
    if bad is None:
        return array
    found += _noted(sieve, array, bad, level)
    return blank(array, bad)


def _struct(
    array: pa.Array, inner: tuple[Sieve | None, ...], level: _Level, found: list[Finding]
) -> pa.Array:
    # What lies under a null parent is null here, and so is not judged.
    made = [_shake(part, sieve, level, found) for part, sieve in zip(parts_of(array), inner, strict=True)]
    names = [array.type.field(i).name for i in range(len(inner))]
    return pa.StructArray.from_arrays(made, names=names, mask=_mask(array))


def _map(array: pa.Array, sieve: Entries, level: _Level, found: list[Finding]) -> pa.Array:
    offsets, entries, parents = _parts(as_list(array))
    wrong: list[Finding] = []
    keys = _shake(entries.field(0), sieve.key, _Level(parents, _Level()), wrong)
    if wrong:
        bad = pc.is_in(pa.arange(0, len(array)), value_set=wrong[0].rows)
        found.append(replace(wrong[0], rows=level.rows(bad)))
        array = blank(array, bad)
        if isinstance(sieve.key, Unfit):
            return pa.nulls(len(array))
        offsets, entries, parents = _parts(as_list(array))
        keys = entries.field(0)
    elif isinstance(sieve.key, Unfit):
        return pa.nulls(len(array))
    values = _shake(entries.field(1), sieve.value, _Level(parents, level), found)
    kind = pa.map_(pa.field("key", keys.type, nullable=False), pa.field("value", values.type))
    return pa.MapArray.from_arrays(offsets.cast(pa.int32()), keys, values, kind, mask=_mask(array))


def as_list(array: pa.MapArray) -> pa.ListArray:
    """A map as the list of structs of `key` and `value` that it is in memory."""
    fields = [array.type.key_field.with_name("key"), array.type.item_field.with_name("value")]
    return relabel(array, pa.list_(pa.field("element", pa.struct(fields), nullable=False)))


def _tells(array: pa.Array) -> pa.Array:
    """Which rows hold a value of some type: objects and lists of nothing but nulls show none."""
    array = plain(array)
    if pa.types.is_struct(array.type):
        told = pa.repeat(False, len(array))
        for part in parts_of(array):
            told = pc.or_(told, _tells(part))
        return told
    if pa.types.is_map(array.type) or is_list(array.type):
        inside = elements(as_list(array) if pa.types.is_map(array.type) else array)
        return pc.is_in(pa.arange(0, len(array)), value_set=inside.parents.filter(_tells(inside.values)))
    return array.is_valid()


def _mask(array: pa.Array) -> pa.Array | None:
    return array.is_null() if array.null_count else None


def _parts(array: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Offsets from zero, exactly the elements they refer to, and the index of each element's list."""
    offsets, values = dense(array)
    return offsets, values, elements(array).parents


def plain(array: pa.Array) -> pa.Array:
    """The values themselves, in a type Arrow's kernels know: no encodings, no views."""
    while True:
        kind = array.type
        if pa.types.is_run_end_encoded(kind):
            array = pc.run_end_decode(array)
        elif pa.types.is_dictionary(kind):
            array = plain(array.dictionary).take(array.indices)
        elif isinstance(kind, pa.BaseExtensionType) and kind.extension_name != "arrow.uuid":
            array = array.storage
        elif pa.types.is_string_view(kind):
            return array.cast(pa.large_string())
        elif pa.types.is_binary_view(kind):
            return array.cast(pa.large_binary())
        else:
            return array


def blank(array: pa.Array, bad: pa.Array) -> pa.Array:
    """The array with null where `bad` says so."""
    kept = pc.if_else(bad, pa.scalar(None, pa.int64()), pa.arange(0, len(array)))
    return array.take(kept)


def misfits(array: pa.Array, convert: Convert, target: pa.DataType) -> pa.Array | None:
    """Which values the conversion refuses, as booleans without nulls; `None` when it takes all.

    First those that do not come back from the target's type: one pass over the array finds nearly all.
    What is wrong for another reason is cornered by halving, each distinct value once.
    """
    if not _refuses(convert, array):
        return None
    suspects = _changed(array, target)
    rest = array if suspects is None else blank(array, suspects)
    if suspects is not None and not _refuses(convert, rest):
        return suspects
    others = _halved(rest, convert)
    return others if suspects is None else pc.or_(suspects, others)


_BEGINS_AS_DATE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
"""All that can be read as a moment begins so."""


def _changed(array: pa.Array, target: pa.DataType) -> pa.Array | None:
    source = array.type
    if pa.types.is_string(source) and (pa.types.is_date(target) or pa.types.is_timestamp(target)):
        return pc.fill_null(pc.invert(pc.match_substring_regex(array, _BEGINS_AS_DATE)), False)
    if pa.types.is_nested(source) or pa.types.is_string(target):
        return None
    try:
        back = array.cast(target, safe=False).cast(source, safe=False)
        same = pc.equal(back, array)
    except pa.ArrowException:
        return None
    if pa.types.is_floating(source):
        same = pc.or_(same, pc.is_nan(array)) if pa.types.is_floating(target) else same
    return pc.invert(pc.fill_null(same, True))


def _halved(array: pa.Array, convert: Convert) -> pa.Array:
    try:
        encoded = array.dictionary_encode()
    except (pa.ArrowException, NotImplementedError):
        return _at(first_rows(array, lambda part: _refuses(convert, part)), len(array))
    distinct = encoded.dictionary
    bad = _at(first_rows(distinct, lambda part: _refuses(convert, part)), len(distinct))
    return pc.fill_null(bad.take(encoded.indices), False)


def _at(indices: Iterable[int], length: int) -> pa.Array:
    marks = bytearray(length)
    for i in indices:
        marks[i] = 1
    return pa.Array.from_buffers(pa.uint8(), length, [None, pa.py_buffer(marks)]).cast(pa.bool_())


def first_rows(array: pa.Array, bad: Callable[[pa.Array], bool]) -> list[int]:
    """Indices of all rows that are bad; asks about O(k log n) slices for k of them."""
    found: list[int] = []
    pending = [(0, len(array))]
    while pending:
        low, high = pending.pop()
        if high == low or not bad(array.slice(low, high - low)):
            continue
        if high - low == 1:
            found.append(low)
            continue
        middle = (low + high) // 2
        pending += [(middle, high), (low, middle)]
    return found


def _refuses(convert: Convert, array: pa.Array) -> bool:
    try:
        convert(array)
    except Misfit:
        return True
    return False
