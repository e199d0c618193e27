"""The exact type of a column, learned from the values themselves.

First step of extract: before JSON or Python rows become Arrow, every path of the nested values is given
the least type that holds all of them without change. Libraries infer too, but turn large integers into
doubles, text that looks like a date into timestamps, or drop what comes late. The result does not depend
on the order of the values nor on how they were cut into parts, because only what was *seen* is kept and
the type is computed from it.

The lattice: null < everything; bool; int64 < decimal of 38 digits for integers beyond 64 bits; integers and
floats give double only while every integer is exact in a double (up to 2**53); integers and decimals give
a decimal; dates and naive datetimes give a timestamp without zone. Whatever else meets is text: each value
is then written in its canonical form (`lakeload.model.text`). An object below the row with too many keys is
a map, whose values have one type by the same rules. Nested values at paths kept as JSON, or too deep, are
text.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

import pyarrow as pa

from lakeload.model.nesting import Nesting
from lakeload.model.rejection import SOURCE_ROW
from lakeload.sources.decode.conflict import Conflict, excerpt
from lakeload.sources.decode.values import known, text_key

EXACT_IN_DOUBLE = 1 << 53
"""Every integer up to this magnitude has a double of its own."""
MAX_COLUMNS = 10_000
"""Distinct keys accepted in the rows themselves: beyond it keys are data, and no table has such columns."""

_SHOWN = 100
_INT64 = (-(1 << 63), (1 << 63) - 1)
_DECIMAL_DIGITS = 38
_LONG = 10**_DECIMAL_DIGITS
_TOO_LONG = 1000

_KINDS: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    bytes: "binary",
    Decimal: "decimal",
    dt.date: "date",
    dt.time: "time",
    dt.timedelta: "duration",
    dt.datetime: "datetime",
    list: "list",
    tuple: "list",
    dict: "struct",
}
"""Names of the kinds of values, by exact type: `known` turns all others into these."""
_ZONED = {"datetime": ("timestamp", "naive timestamp"), "time": ("zoned time", "time")}
"""Names of values with a zone, and of those without. A time of day with a zone has no type but text."""
_SIMPLE: dict[frozenset[str], pa.DataType] = {
    frozenset(): pa.null(),
    frozenset({"boolean"}): pa.bool_(),
    frozenset({"number"}): pa.float64(),
    frozenset({"string"}): pa.string(),
    frozenset({"json"}): pa.string(),
    frozenset({"zoned time"}): pa.string(),
    frozenset({"binary"}): pa.binary(),
    frozenset({"date"}): pa.date32(),
    frozenset({"time"}): pa.time64("us"),
    frozenset({"duration"}): pa.duration("us"),
    frozenset({"naive timestamp"}): pa.timestamp("us"),
    frozenset({"date", "naive timestamp"}): pa.timestamp("us"),
    frozenset({"timestamp"}): pa.timestamp("us", "UTC"),
}


class Observed:
    """What was seen at one path: kinds of values, and the extent of the numbers.

    `kinds` holds words of the lattice: boolean, integer, number, string, binary, decimal, date, time,
    zoned time, duration, timestamp, naive timestamp, struct, list, map, and `json` for nested values that
    are kept as text. `fields` are the members of structs, `item` the elements of lists, `value` those of
    maps. `foreign` says that some values were of other classes than Arrow knows.

    Args:
        nesting: Paths kept as text or maps, depth of types, and how many keys make a map.
        path: Names that lead here from the row; elements of lists add nothing.
        depth: Levels below the row, which is 0; lists and maps count.

    Example:
        >>> seen = Observed()
        >>> seen.observe([{"id": 1}, {"id": 2.5, "tags": ["a"]}])
        >>> str(seen.type())
        'struct<id: double, tags: list<item: string>>'
        >>> seen.observe([{"id": "x"}])
        >>> str(seen.type().field("id").type)
        'string'
    """

    __slots__ = (
        "depth",
        "digits",
        "fields",
        "foreign",
        "high",
        "item",
        "kinds",
        "limit",
        "low",
        "nesting",
        "path",
        "policy",
        "scale",
        "value",
    )

    def __init__(self, nesting: Nesting | None = None, path: tuple[str, ...] = (), depth: int = 0) -> None:
        self.nesting = nesting or Nesting()
        self.path = path
        self.depth = depth
        self.policy = self.nesting.policy(path) if path else "native"
        self.limit = MAX_COLUMNS if self._is_led_through() else self.nesting.map_keys
        self.kinds: set[str] = set()
        self.foreign = False
        self.low = 0
        self.high = 0
        self.digits = 0
        self.scale = 0
        self.fields: dict[str, Observed] = {}
        self.item: Observed | None = None
        self.value: Observed | None = None

    @property
    def column(self) -> str:
        """The path for messages, cut where nobody would read on."""
        path = ".".join(self.path)
        return path if len(path) <= _SHOWN else f"{path[:_SHOWN]}…"

    @property
    def is_text(self) -> bool:
        """Whether nested values here are kept as text: by policy, or because they lie too deep."""
        return self.depth >= self.nesting.max_depth or (self.policy == "json" and self.depth > 0)

    @property
    def is_mixed(self) -> bool:
        """Whether values are text only because they met others they have no type in common with."""
        return (
            frozenset(self.kinds) not in _SIMPLE
            and not self.kinds <= {"string", "json"}
            and pa.types.is_string(self.type())
        )

    @property
    def exact_in_double(self) -> bool:
        """Whether every integer seen has a double of its own."""
        return max(-self.low, self.high) <= EXACT_IN_DOUBLE

    def observe(self, values: Sequence[object]) -> None:
        """Take all values at this path into account, column by column.

        Raises:
            Conflict: A value is of no known kind, or the rows have too many keys.
        """
        kinds = set(map(type, values))
        if not kinds <= _PLAIN:
            self.foreign = True
            values = [known(value, self.column) for value in values]
            kinds = set(map(type, values))
        kinds.discard(type(None))
        alone = len(kinds) == 1
        for kind in kinds:
            part: Any = values
            if not alone or None in values:
                part = [value for value in values if type(value) is kind]
            self._observe_kind(_KINDS[kind], part)

    def _observe_kind(self, name: str, values: Any) -> None:
        if name in ("struct", "list") and self.is_text:
            self.kinds.add("json")
        elif name == "struct":
            self._observe_objects(values)
        elif name == "list":
            self.kinds.add(name)
            self.element().observe(list(chain.from_iterable(values)))
        elif name in _ZONED:
            self.kinds.update(_ZONED[name][value.tzinfo is None] for value in values)
        else:
            self.kinds.add(name)
            if name == "integer":
                self.low = min(self.low, *values, 0)
                self.high = max(self.high, *values, 0)
            elif name == "decimal":
                self._observe_decimals(values)

    def _observe_objects(self, rows: Sequence[dict[Any, object]]) -> None:
        keys = dict.fromkeys(chain.from_iterable(rows))
        if not set(map(type, keys)) <= {str}:
            self._check_keys(keys)
        if self._is_map(keys):
            self.to_map().observe(list(chain.from_iterable(map(dict.values, rows))))
            return
        self.kinds.add("struct")
        for key, column in columns(rows, keys):
            self.member(key).observe(column)

    def _check_keys(self, keys: dict[Any, None]) -> None:
        for key in keys:
            text_key(key, self.column)

    def _is_led_through(self) -> bool:
        """Whether members are spoken of by name, so that their names are no data."""
        start = f"{'.'.join(self.path)}."
        return not self.depth or any(path.startswith(start) for path in self.nesting.paths)

    def _is_map(self, keys: dict[str, None]) -> bool:
        if self.depth and (self.policy == "map" or "map" in self.kinds):
            return True
        few = len(keys) + len(self.fields) <= self.limit
        if few or len(self.fields.keys() | keys.keys()) <= self.limit:
            return False
        if not self.depth:
            raise Conflict(
                "",
                f"the rows have more than {MAX_COLUMNS} different keys",
                "Such keys are data: put them below one key, as a map, or make each a row of its own.",
            )
        return True

    def to_map(self) -> Observed:
        """The common values of all keys, seen before or later."""
        self.kinds.discard("struct")
        self.kinds.add("map")
        value = self.value or self._child((*self.path, "*"))
        for field in self.fields.values():
            value.take(field)
        self.fields = {}
        self.value = value
        return value

    def _observe_decimals(self, numbers: list[Decimal]) -> None:
        for number in numbers:
            _, digits, exponent = number.as_tuple()
            if isinstance(exponent, int):
                self.scale = max(self.scale, -exponent)
                self.digits = max(self.digits, len(digits) + exponent)
            else:
                # NaN and infinities are decimals in Python only.
                self.digits = _TOO_LONG

    def member(self, name: str) -> Observed:
        """What was seen at a member of the objects here."""
        found = self.fields.get(name)
        if found is None:
            name = _column_name(name, self.column)
            if name == SOURCE_ROW and not self.depth:
                what = f"the column name {name!r} is reserved"
                raise Conflict("", what, "Rename or drop it: it is where lakeload notes the rows' numbers.")
            found = self.fields[name] = self._child((*self.path, name))
        return found

    def element(self) -> Observed:
        """What was seen in the lists here."""
        if self.item is None:
            self.item = self._child(self.path)
        return self.item

    def _child(self, path: tuple[str, ...]) -> Observed:
        return Observed(self.nesting, path, self.depth + 1)

    def merge(self, other: Observed) -> Observed:
        """Both observations as one; neither is changed."""
        merged = Observed(self.nesting, self.path, self.depth)
        merged.take(self)
        merged.take(other)
        return merged

    def take(self, other: Observed) -> None:
        """Add what another one has seen to this one."""
        self.kinds |= other.kinds
        self.foreign |= other.foreign
        if other.policy == "map":
            self.policy = "map"
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.digits, self.scale = max(self.digits, other.digits), max(self.scale, other.scale)
        if "struct" in other.kinds or "map" in other.kinds:
            if "map" in self.kinds or self._is_map(dict.fromkeys(other.fields)):
                value = self.to_map()
                for field in other.fields.values():
                    value.take(field)
                if other.value is not None:
                    value.take(other.value)
            else:
                for name, field in other.fields.items():
                    self.member(name).take(field)
        if other.item is not None:
            self.element().take(other.item)

    def type(self) -> pa.DataType:
        """The least Arrow type that holds every value seen; text where there is none but text."""
        kinds = frozenset(self.kinds)
        simple = _SIMPLE.get(kinds)
        if simple is not None:
            return simple
        if kinds == {"struct"}:
            return pa.struct([pa.field(name, seen.type()) for name, seen in self.fields.items()])
        if kinds == {"map"}:
            return pa.map_(pa.string(), (self.value or Observed()).type())
        if kinds == {"list"}:
            return pa.list_((self.item or Observed()).type())
        if kinds <= {"integer", "number", "decimal"}:
            return self._number(kinds)
        return pa.string()

    def _number(self, kinds: frozenset[str]) -> pa.DataType:
        widest = max(-self.low, self.high)
        if kinds == {"integer"}:
            if _INT64[0] <= self.low and self.high <= _INT64[1]:
                return pa.int64()
            return _decimal(_digits(widest), 0)
        if "number" not in kinds:
            return _decimal(max(self.digits, _digits(widest)) + self.scale, self.scale)
        exact = kinds == {"integer", "number"} and self.exact_in_double
        return pa.float64() if exact else pa.string()


_PLAIN = frozenset((*_KINDS, type(None)))


def kind_of(value: object) -> str | None:
    """The name of the kind of a value that `known` has made known; `None` for null.

    Example:
        >>> kind_of(1.5)
        'number'
    """
    found = _KINDS.get(type(value))
    if found in _ZONED:
        return _ZONED[found][value.tzinfo is None]  # type: ignore[attr-defined]  # a time or datetime
    return found


def columns(rows: Sequence[dict[str, object]], keys: dict[str, None]) -> list[tuple[str, Sequence[object]]]:
    """The values of each key, without those that are missing or null, whichever way is faster."""
    if len(keys) * len(rows) <= 8 * sum(map(len, rows)):
        return [(key, [v for row in rows if (v := row.get(key)) is not None]) for key in keys]
    found: dict[str, list[object]] = {key: [] for key in keys}
    for row in rows:
        for key, value in row.items():
            if value is not None:
                found[key].append(value)
    return list(found.items())


def _column_name(name: str, path: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        what = f"the key {excerpt(name)} holds half of a surrogate pair, which is no character"
        raise Conflict(path, what, "Replace such keys in the source.") from None
    return str.__str__(name)


def _digits(number: int) -> int:
    # Python refuses to spell very long integers.
    return _TOO_LONG if number >= _LONG else len(str(number)) if number else 0


def _decimal(digits: int, scale: int) -> pa.DataType:
    if digits > _DECIMAL_DIGITS:
        return pa.string()
    # Two sizes only, so that a batch with one digit more is not another type: 18 digits fit 64 bits.
    small = 18
    return pa.decimal128(small if digits <= small and scale else _DECIMAL_DIGITS, scale)
