"""Shaking a column through its sieve: it comes out without the values the table has no place for.

Part of enforcing contracts, and done without a loop over rows at any depth. Only a batch that a plan
refused, or that brings a column the table shall not get, is looked at like this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.nested_arrays import as_list, bare, dense, elements, members
from lakeload.model.types import is_list
from lakeload.normalize.incoming import Path
from lakeload.normalize.misfits import blank, misfits
from lakeload.normalize.sieve import Elements, Entries, Exact, Members, Sieve, Unfit, Unknown


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


def shake(array: pa.Array, sieve: Sieve | None, found: list[Finding]) -> pa.Array:
    """The column without the values that do not pass; what was taken out is appended to `found`.

    Args:
        array: A column as it came, encodings and member names included.
        sieve: Compiled for its type.
        found: Gets a finding per place.
    """
    return _shake(array, sieve, _Level(), found)


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


def _shake(array: pa.Array, sieve: Sieve | None, level: _Level, found: list[Finding]) -> pa.Array:
    if sieve is None:
        return array
    array = bare(array)
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
    made = [_shake(part, sieve, level, found) for part, sieve in zip(members(array), inner, strict=True)]
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


def _tells(array: pa.Array) -> pa.Array:
    """Which rows hold a value of some type: objects and lists of nothing but nulls show none."""
    array = bare(array)
    if pa.types.is_struct(array.type):
        told = pa.repeat(False, len(array))
        for part in members(array):
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
