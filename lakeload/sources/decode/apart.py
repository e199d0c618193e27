"""Rows that do not have the types decoded so far, sorted out into groups with types of their own.

Part of reading rows, for tables whose contract judges values of another type. There, one bad row must not
turn a column into text for its neighbours: rows that fit keep the types learned, and the others are grouped
so that no value changes because of another row. What is new in a row that fits is learned as always.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pyarrow as pa

from lakeload.sources.decode.infer import Observed, kind_of
from lakeload.sources.decode.trim import Trimmed, judge, trim
from lakeload.sources.decode.values import known

_Row = dict[str, Any]
_Path = tuple[str, ...]


@dataclass(slots=True)
class Group:
    """Rows that can be one batch.

    Args:
        seen: What was observed in them, and in earlier rows for the first group.
        rows: Their indices, ascending.
        array: The rows in the types learned, if nothing about them was new.
        trimmed: Those of the rows that values were taken out of, by index.
    """

    seen: Observed
    rows: list[int] = field(default_factory=list)
    array: pa.Array | None = None
    trimmed: dict[int, Trimmed] = field(default_factory=dict)


def sort_out(
    rows: Sequence[_Row],
    learned: Observed,
    observe: Callable[[Sequence[_Row]], Observed],
    is_text: Callable[[str], bool],
    fast: Callable[[Sequence[_Row]], pa.Array | None] = lambda _rows: None,
    *,
    trims: bool = False,
) -> list[Group]:
    """The rows in groups; the first one has the types learned and may be empty.

    Args:
        rows: Rows of one batch.
        learned: What was seen in earlier rows.
        observe: Observes rows.
        is_text: Whether a column was declared to hold text, so that everything fits it.
        fast: Decodes rows in which nothing is new, and gives `None` for others.
        trims: Take the values that do not fit out of rows that mix them with others.

    Raises:
        Conflict: A value cannot be stored at all.

    Example:
        >>> def observe(rows):
        ...     seen = Observed()
        ...     seen.observe(rows)
        ...     return seen
        >>> rows = [{"a": 1}, {"a": "x"}, {"a": 2, "b": 0}, {"a": "y"}]
        >>> [group.rows for group in sort_out(rows, observe([{"a": 0}]), observe, lambda name: False)]
        [[0, 2], [1, 3]]
    """
    strays = _strays(rows, learned, is_text)
    groups = [Group(learned)]
    sorter = _Sorter(rows, groups, observe, is_text, trims=trims)
    fitting = [i for i in range(len(rows)) if i not in strays]
    groups[0].array = fast([rows[i] for i in fitting]) if fitting and strays else None
    if groups[0].array is None:
        sorter.fit(fitting)
    else:
        groups[0].rows = fitting
    alike: dict[frozenset[tuple[_Path, str]], list[int]] = {}
    for index, signs in sorted(strays.items()):
        alike.setdefault(frozenset(signs), []).append(index)
    for indices in alike.values():
        sorter.place(indices)
    for group in groups:
        group.rows.sort()
    return [groups[0], *sorted(groups[1:], key=lambda group: group.rows[0])]


@dataclass(slots=True)
class _Sorter:
    rows: Sequence[_Row]
    groups: list[Group]
    observe: Callable[[Sequence[_Row]], Observed]
    is_text: Callable[[str], bool]
    trims: bool = False
    trimmed: Group | None = None

    def fit(self, indices: list[int]) -> None:
        """Put rows that have the types learned into the first group, as far as their news agree."""
        if not indices:
            return
        first = self.groups[0]
        merged = first.seen.merge(self.observe([self.rows[i] for i in indices]))
        if _keeps(first.seen, merged) and self._mixed(merged) <= self._mixed(first.seen):
            first.seen = merged
            first.rows += indices
        elif len(indices) == 1:
            self.place(indices)
        else:
            half = len(indices) // 2
            self.fit(indices[:half])
            self.fit(indices[half:])

    def place(self, indices: list[int]) -> None:
        """Put rows into the first of the other groups that agrees with them, or into one more."""
        seen = self.observe([self.rows[i] for i in indices])
        mixed = self._mixed(seen)
        if mixed and len(indices) > 1:
            half = len(indices) // 2
            self.place(indices[:half])
            self.place(indices[half:])
            return
        if mixed:
            _as_text(seen, self.groups[0].seen)
            mixed = self._mixed(seen)
        if mixed and self.trims and self._trim(indices[0]):
            return
        for group in self.groups[1:]:
            if group is self.trimmed:
                continue
            merged = group.seen.merge(seen)
            # A row that is mixed in itself is text by itself, and makes others text in the same place.
            if self._mixed(merged) == mixed == self._mixed(group.seen):
                group.seen = merged
                group.rows += indices
                return
        self.groups.append(Group(seen, list(indices)))

    def _trim(self, index: int) -> bool:
        """Put a row into the group of those without the values that do not fit, if that is what it takes."""
        trimmed = trim(self.rows[index], self.groups[0].seen)
        seen = self.observe([trimmed.row])
        if not trimmed.misfits or self._mixed(seen):
            return False
        if self.trimmed is None:
            self.trimmed = Group(Observed(seen.nesting))
            self.groups.append(self.trimmed)
        self.trimmed.seen = self.trimmed.seen.merge(seen)
        self.trimmed.rows.append(index)
        self.trimmed.trimmed[index] = trimmed
        return True

    def _mixed(self, seen: Observed) -> frozenset[_Path]:
        """Paths that hold text only because of kinds that met, but for the values of maps."""
        found: set[_Path] = set()
        todo: list[tuple[_Path, Observed]] = [
            ((name,), column) for name, column in seen.fields.items() if not self.is_text(name)
        ]
        while todo:
            path, column = todo.pop()
            if column.is_mixed:
                found.add(path)
            todo += [((*path, name), member) for name, member in column.fields.items()]
            if column.item is not None:
                todo.append(((*path, "[]"), column.item))
        return frozenset(found)


def _as_text(seen: Observed, learned: Observed) -> None:
    """Make text as a whole of objects and lists that hold several kinds, where single values are stored."""
    if learned.kinds and not pa.types.is_nested(learned.type()):
        if any(part.is_mixed for part in _below(seen)):
            seen.kinds.add("string")
        return
    for name, member in seen.fields.items():
        there = learned.value or learned.fields.get(name)
        if there is not None:
            _as_text(member, there)
    for inner, there in ((seen.item, learned.item), (seen.value, learned.value)):
        if inner is not None and there is not None:
            _as_text(inner, there)


def _below(seen: Observed) -> Iterator[Observed]:
    for part in (*seen.fields.values(), seen.item, seen.value):
        if part is not None:
            yield part
            yield from _below(part)


def _keeps(old: Observed, new: Observed) -> bool:
    """Whether everything that had a type has it still; an object may have become a map."""
    if not old.kinds:
        return True
    if old.kinds == {"struct"} == new.kinds:
        return all(_keeps(member, new.fields[name]) for name, member in old.fields.items())
    if old.kinds == {"list"} == new.kinds:
        return old.item is None or _keeps(old.item, new.item or Observed())
    return new.kinds == {"map"} or old.type() == new.type()


def _strays(
    rows: Sequence[_Row], learned: Observed, is_text: Callable[[str], bool]
) -> dict[int, set[tuple[_Path, str]]]:
    """The rows with values of other types than learned, and at which paths they are of which kind."""
    strays: dict[int, set[tuple[_Path, str]]] = {}
    for name, seen in learned.fields.items():
        if is_text(name):
            continue
        values = [row.get(name) for row in rows]
        _mark(values, range(len(rows)), seen, (name,), strays)
    return strays


def _mark(
    values: Sequence[object],
    owners: Sequence[int],
    seen: Observed,
    path: _Path,
    strays: dict[int, set[tuple[_Path, str]]],
) -> None:
    if not seen.kinds or not (set(map(type, values)) - _NULL):
        return
    values, owners = _present(values, owners, seen)
    fits = judge(seen)
    for name in {kind_of(value) or "" for value in _samples(values)}:
        theirs, inner = owners, values
        if len(_samples(values)) > 1:
            places = [place for place, value in enumerate(values) if kind_of(value) == name]
            theirs, inner = [owners[place] for place in places], [values[place] for place in places]
        if name in ("struct", "list") and not seen.is_text:
            if name in seen.kinds or (name == "struct" and "map" in seen.kinds):
                _mark_inner(inner, theirs, seen, path, strays)
                continue
        elif all(fits(name, value) for value in _extremes(name, inner)):
            continue
        for owner, value in zip(theirs, inner, strict=True):
            if name in ("struct", "list") or not fits(name, value):
                strays.setdefault(owner, set()).add((path, name))


_NULL = {type(None)}


def _present(
    values: Sequence[object], owners: Sequence[int], seen: Observed
) -> tuple[list[Any], Sequence[int]]:
    """The values that are not null, as known kinds, and the rows they are from."""
    plain = [known(value, seen.column) for value in values] if seen.foreign or _is_foreign(values) else values
    if None not in plain:
        return list(plain), owners
    pairs = [(value, owner) for value, owner in zip(plain, owners, strict=True) if value is not None]
    return [value for value, _ in pairs], [owner for _, owner in pairs]


def _is_foreign(values: Sequence[object]) -> bool:
    return any(kind_of(value) is None and value is not None for value in _samples(values))


def _samples(values: Sequence[object]) -> list[object]:
    """A value of each class, and of each kind of times."""
    found = {type(value): value for value in values}
    if not found.keys() & _BY_VALUE:
        return list(found.values())
    return list({(type(value), getattr(value, "tzinfo", None) is None): value for value in values}.values())


_BY_VALUE = {dt.datetime, dt.time}


def _extremes(name: str, values: list[Any]) -> list[Any]:
    """Values that fit only if all do."""
    if name == "integer":
        return [min(values), max(values)]
    return values if name == "decimal" else values[:1]


def _mark_inner(
    values: list[Any],
    owners: Sequence[int],
    seen: Observed,
    path: _Path,
    strays: dict[int, set[tuple[_Path, str]]],
) -> None:
    if type(values[0]) is not dict:
        theirs = [owner for owner, items in zip(owners, values, strict=True) for _ in items]
        _mark(list(chain.from_iterable(values)), theirs, seen.element(), (*path, "[]"), strays)
    elif seen.value is not None:
        theirs = [owner for owner, items in zip(owners, values, strict=True) for _ in items]
        _mark(list(chain.from_iterable(map(dict.values, values))), theirs, seen.value, (*path, "*"), strays)
    else:
        for name, member in seen.fields.items():
            column = [value.get(name) for value in values]
            _mark(column, owners, member, (*path, name), strays)
