"""What JSON rows must look like in a lake, by the documented rules, worked out value by value in plain Python.

Shares no code with lakeload. `modelled` gives the rows as they must come back under the `native` policy:
members that are null or missing are left out, columns in which kinds met are text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

EXACT = 1 << 53


@dataclass
class Seen:
    """Everything that was found at one path."""

    kinds: set[str] = field(default_factory=set)
    widest: int = 0
    low: int = 0
    high: int = 0
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
                inner = {name: seen.column(map_keys) for name, seen in self.members.items()}
                if all(kind == "none" for kind in inner.values()):
                    return "none"
                return "map" if len(self.members) > map_keys else "object"
            case _:
                return "text"


def modelled(rows: list[dict[str, Any]], *, map_keys: int = 256) -> list[dict[str, Any]]:
    """The rows as the lake must give them back."""
    seen = Seen()
    for row in rows:
        seen.see(row)
    kept = [
        {name: _stored(row.get(name), part, map_keys) for name, part in seen.members.items()} for row in rows
    ]
    return [{name: value for name, value in row.items() if value is not None} for row in kept]


def _stored(value: Any, seen: Seen, map_keys: int) -> Any:
    kind = seen.column(map_keys)
    if value is None or kind == "none":
        return None
    if kind == "text":
        return text(value)
    if kind == "list":
        assert seen.element is not None
        return [_stored(one, seen.element, map_keys) for one in value]
    if kind == "map":
        common = Seen()
        for part in seen.members.values():
            common = _merged(common, part)
        members = {name: _stored(member, common, map_keys) for name, member in value.items()}
        return {name: member for name, member in members.items() if member is not None}
    if kind == "object":
        members = {name: _stored(value.get(name), part, map_keys) for name, part in seen.members.items()}
        return {name: member for name, member in members.items() if member is not None}
    return value


def _merged(one: Seen, other: Seen) -> Seen:
    both = Seen(one.kinds | other.kinds, low=min(one.low, other.low), high=max(one.high, other.high))
    for name in (*one.members, *other.members):
        both.members[name] = _merged(one.members.get(name, Seen()), other.members.get(name, Seen()))
    if one.element or other.element:
        both.element = _merged(one.element or Seen(), other.element or Seen())
    return both


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
