"""What JSON rows must look like in a lake, by the documented rules, worked out value by value in plain Python.

Shares no code with lakeload. `modelled` gives the rows as they must come back under the `native` policy:
members that are null or missing are left out, columns in which kinds met are text.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

EXACT = 1 << 53
MAP_KEYS = 256
ALWAYS_MAPS = -1
"""As `map_keys`: every object becomes a map."""

_DATE = r"(?!0000)\d{4}-\d\d-\d\d"
_CLOCK = r"[T ]\d\d:\d\d:\d\d(\.\d{1,6})?"
_ZONE = r"(Z|[+-]\d\d:?\d\d)"
_FORMS = tuple(re.compile(form, re.ASCII) for form in (_DATE, _DATE + _CLOCK, _DATE + _CLOCK + _ZONE))


@dataclass
class Seen:
    """Everything that was found at one path."""

    kinds: set[str] = field(default_factory=set)
    low: int = 0
    high: int = 0
    texts: list[str] = field(default_factory=list)
    members: dict[str, Seen] = field(default_factory=dict)
    element: Seen | None = None

    def see(self, value: Any) -> None:
        match value:
            case None:
                return
            case bool():
                self.kinds.add("bool")
            case int():
                self.kinds.add("int")
                self.low, self.high = min(self.low, value), max(self.high, value)
            case float():
                self.kinds.add("float")
            case str():
                self.kinds.add("text")
                self.texts.append(value)
            case list():
                self.kinds.add("list")
                self.element = self.element or Seen()
                for one in value:
                    self.element.see(one)
            case dict():
                self.kinds.add("object")
                for name, member in value.items():
                    self.members.setdefault(name, Seen()).see(member)

    def column(self, map_keys: int) -> str:
        """The kind of column: `none` while nothing shows what it could be."""
        largest = max(-self.low, self.high)
        match sorted(self.kinds):
            case []:
                return "none"
            case ["int"]:
                return "value" if largest < 10**38 else "text"
            case ["float", "int"]:
                return "value" if largest <= EXACT else "text"
            case ["bool"] | ["float"] | ["text"]:
                return "value"
            case ["list"]:
                assert self.element is not None
                return "none" if self.element.column(map_keys) == "none" else "list"
            case ["object"]:
                if len(self.members) > map_keys:
                    return "none" if self.common().column(map_keys) == "none" else "map"
                kinds = {seen.column(map_keys) for seen in self.members.values()}
                return "none" if kinds <= {"none"} else "object"
            case _:
                return "text"

    def common(self) -> Seen:
        """What was found at all members together."""
        found = Seen()
        for part in self.members.values():
            found = _merged(found, part)
        return found

    def moment(self) -> re.Pattern[str] | None:
        """The form all texts have, if it is that of dates, or of timestamps with or without an offset."""
        if self.kinds != {"text"}:
            return None
        forms = [form for form in _FORMS if all(map(form.fullmatch, self.texts))]
        return forms[0] if forms and all(map(_is_moment, self.texts)) else None


def seen_in(rows: list[dict[str, Any]]) -> Seen:
    """Everything found in the rows, under one object."""
    seen = Seen()
    for row in rows:
        seen.see(row)
    return seen


@dataclass(frozen=True)
class Rules:
    """The settings that say what becomes of values.

    Args:
        map_keys: Keys beyond which an object is a map.
        dates: Whether texts that are moments become such.
        as_text: Columns the user wants as text.
    """

    map_keys: int = MAP_KEYS
    dates: bool = False
    as_text: Collection[str] = ()


def modelled(rows: list[dict[str, Any]], rules: Rules | None = None) -> list[dict[str, Any]]:
    """The rows as the lake must give them back."""
    seen, rules = seen_in(rows), rules or Rules()
    kept = [{name: _column(row.get(name), name, seen, rules) for name in seen.members} for row in rows]
    return [{name: value for name, value in row.items() if value is not None} for row in kept]


def _column(value: Any, name: str, seen: Seen, rules: Rules) -> Any:
    if name in rules.as_text:
        return None if value is None else text(value)
    return _stored(value, seen.members[name], rules)


def _stored(value: Any, seen: Seen, rules: Rules) -> Any:
    kind = seen.column(rules.map_keys)
    if value is None or kind == "none":
        return None
    if kind == "text":
        return text(value)
    if kind == "list":
        assert seen.element is not None
        return [_stored(one, seen.element, rules) for one in value]
    if kind in {"map", "object"}:
        parts = seen.members if kind == "object" else dict.fromkeys(seen.members, seen.common())
        members = {name: _stored(member, parts[name], rules) for name, member in value.items()}
        return {name: member for name, member in members.items() if member is not None}
    if rules.dates and seen.moment():
        return _moment(value)
    return value


def _merged(one: Seen, other: Seen) -> Seen:
    both = Seen(
        one.kinds | other.kinds, min(one.low, other.low), max(one.high, other.high), one.texts + other.texts
    )
    for name in (*one.members, *other.members):
        both.members[name] = _merged(one.members.get(name, Seen()), other.members.get(name, Seen()))
    if one.element or other.element:
        both.element = _merged(one.element or Seen(), other.element or Seen())
    return both


def _moment(value: str) -> dt.date | dt.datetime:
    if len(value) == len("2024-05-01"):
        return dt.date.fromisoformat(value)
    moment = dt.datetime.fromisoformat(value)
    return moment if moment.tzinfo is None else moment.astimezone(dt.UTC)


def _is_moment(value: str) -> bool:
    try:
        _moment(value)
    except (ValueError, OverflowError):
        return False
    return True


def text(value: Any) -> str:
    """The text of a value whose column became text."""
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            whole = value.is_integer() and abs(value) <= EXACT
            return str(int(value)) if whole else repr(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{','.join(map(_json, value))}]"
        case _:
            inside = [f"{_json(k)}:{_json(v)}" for k, v in sorted(value.items()) if v is not None]
            return f"{{{','.join(inside)}}}"
