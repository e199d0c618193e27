"""The exact type of a column, learned from the values themselves.

First step of extract: before JSON or Python rows become Arrow, every path of the nested values is given
the least type that holds all of them without change. Libraries infer too, but turn large integers into
doubles, text that looks like a date into timestamps, or drop what comes late. The result does not depend
on the order of the values, because only what was *seen* is kept and the type is computed from it.

The lattice: null < everything; bool; int64 < decimal128(38, 0) for integers beyond 64 bits; integers and
floats give double only while every integer is exact in a double (up to 2**53); integers and decimals give
a decimal; dates and naive datetimes give a timestamp without zone. Whatever else meets is a conflict.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

import pyarrow as pa

from lakeload.errors import SchemaError

EXACT_IN_DOUBLE = 1 << 53
"""Every integer up to this magnitude has a double of its own."""
MAX_DEPTH = 64
"""Levels of nesting accepted; deeper values are an attack or a mistake, and crash parsers."""

_INT64 = (-(1 << 63), (1 << 63) - 1)
_DECIMAL_DIGITS = 38

_LEAVES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    bytes: "binary",
    bytearray: "binary",
    Decimal: "decimal",
    dt.date: "date",
    dt.time: "time",
    dt.timedelta: "duration",
}
_SEQUENCES = (list, tuple, set, frozenset)
_SIMPLE: dict[frozenset[str], pa.DataType] = {
    frozenset(): pa.null(),
    frozenset({"boolean"}): pa.bool_(),
    frozenset({"number"}): pa.float64(),
    frozenset({"string"}): pa.string(),
    frozenset({"binary"}): pa.binary(),
    frozenset({"date"}): pa.date32(),
    frozenset({"time"}): pa.time64("us"),
    frozenset({"duration"}): pa.duration("us"),
    frozenset({"naive timestamp"}): pa.timestamp("us"),
    frozenset({"date", "naive timestamp"}): pa.timestamp("us"),
    frozenset({"timestamp"}): pa.timestamp("us", "UTC"),
}


class Conflict(Exception):  # noqa: N818 - a finding that is handled, not an error a user sees
    """Values at one path have no common type."""

    def __init__(self, path: str, what: str, hint: str) -> None:
        super().__init__(what)
        self.path = path
        self.what = what
        self.hint = hint

    def error(self, *, row: int | None = None, place: str | None = None, value: object = None) -> SchemaError:
        """The error a user sees, with the row that cannot be reconciled."""
        shown = "" if row is None else f": {excerpt(value)}"
        return SchemaError(
            f"{self.what}{shown}", column=self.path or None, row=row, place=place, hint=self.hint
        )


class Observed:
    """What was seen at one path: kinds of values, and the extent of the numbers.

    Example:
        >>> seen = Observed()
        >>> seen.observe([{"id": 1}, {"id": 2.5, "tags": ["a"]}])
        >>> str(seen.type())
        'struct<id: double, tags: list<item: string>>'
    """

    __slots__ = ("digits", "fields", "high", "item", "kinds", "low", "scale")

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.low = 0
        self.high = 0
        self.digits = 0
        self.scale = 0
        self.fields: dict[str, Observed] = {}
        self.item: Observed | None = None

    def observe(self, values: Sequence[object], path: str = "", depth: int = 0) -> None:
        """Take all values at this path into account, column by column.

        Raises:
            Conflict: A value is of no known kind, or nested too deeply.
        """
        if depth > MAX_DEPTH:
            raise Conflict(
                path.split("[", 1)[0][:60],
                f"nested deeper than {MAX_DEPTH} levels",
                "Store such a column as text.",
            )
        for kind in set(map(type, values)):
            if kind is not type(None):
                self._observe_kind(kind, values, path, depth)

    def _observe_kind(self, kind: type, values: Sequence[object], path: str, depth: int) -> None:
        name = _kind_name(kind)
        if name == "struct":
            self.kinds.add(name)
            self._observe_structs((v for v in values if type(v) is kind), path, depth)
        elif name == "list":
            self.kinds.add(name)
            self.item = self.item or Observed()
            lists: Any = (v for v in values if type(v) is kind)
            nested = chain.from_iterable(lists)
            self.item.observe(list(nested), f"{path}[]", depth + 1)
        elif name == "datetime":
            zones = {v.tzinfo is None for v in values if type(v) is kind}  # type: ignore[attr-defined]  # kind is datetime
            self.kinds.update("naive timestamp" if naive else "timestamp" for naive in zones)
        elif name is None:
            raise Conflict(path, f"cannot store a {kind.__name__}", "Convert it before yielding the row.")
        else:
            self.kinds.add(name)
            if name == "integer":
                numbers = [int(v) for v in values if type(v) is kind]  # type: ignore[call-overload]  # kind is int
                self.low = min(self.low, *numbers, 0)
                self.high = max(self.high, *numbers, 0)
            elif name == "decimal":
                self._observe_decimals([v for v in values if isinstance(v, Decimal)], path)

    def _observe_structs(self, rows: Iterable[object], path: str, depth: int) -> None:
        columns: dict[object, list[object]] = {}
        for row in rows:
            for key, value in row.items():  # type: ignore[attr-defined]  # only mappings get here
                try:
                    columns[key].append(value)
                except KeyError:
                    columns[key] = [value]
        for key, column in columns.items():
            if not isinstance(key, str):
                what = f"the key {key!r} is not a string"
                raise Conflict(path, what, "Use strings as column and field names.")
            field = self.fields.get(key)
            if field is None:
                field = self.fields[key] = Observed()
            field.observe(column, f"{path}.{key}" if path else key, depth + 1)

    def _observe_decimals(self, numbers: list[Decimal], path: str) -> None:
        for number in numbers:
            _, digits, exponent = number.as_tuple()
            if not isinstance(exponent, int):
                raise Conflict(path, f"a decimal cannot hold {number}", "Use None, or floats for the column.")
            self.scale = max(self.scale, -exponent)
            self.digits = max(self.digits, len(digits) + exponent)

    def merge(self, other: Observed) -> Observed:
        """Both observations as one; neither is changed."""
        merged = Observed()
        merged.kinds = self.kinds | other.kinds
        merged.low, merged.high = min(self.low, other.low), max(self.high, other.high)
        merged.digits, merged.scale = max(self.digits, other.digits), max(self.scale, other.scale)
        nothing = Observed()
        merged.fields = {
            name: self.fields.get(name, nothing).merge(other.fields.get(name, nothing))
            for name in dict.fromkeys((*self.fields, *other.fields))
        }
        if self.item or other.item:
            merged.item = (self.item or nothing).merge(other.item or nothing)
        return merged

    def type(self, path: str = "") -> pa.DataType:
        """The least Arrow type that holds every value seen.

        Raises:
            Conflict: There is none.
        """
        kinds = frozenset(self.kinds)
        simple = _SIMPLE.get(kinds)
        if simple is not None:
            return simple
        if kinds == {"struct"}:
            return pa.struct(
                [
                    pa.field(name, seen.type(f"{path}.{name}" if path else name))
                    for name, seen in self.fields.items()
                ]
            )
        if kinds == {"list"}:
            return pa.list_((self.item or Observed()).type(f"{path}[]"))
        if kinds <= {"integer", "number", "decimal"}:
            return self._number(kinds, path)
        names = " and ".join(sorted(kinds))
        hint = "Declare the type of the column in the schema, or make the values alike."
        raise Conflict(path, f"{names} values have no common type", hint)

    @property
    def exact_in_double(self) -> bool:
        """Whether every integer seen has a double of its own."""
        return max(-self.low, self.high) <= EXACT_IN_DOUBLE

    def _number(self, kinds: frozenset[str], path: str) -> pa.DataType:
        widest = max(-self.low, self.high)
        if kinds == {"integer"}:
            if _INT64[0] <= self.low and self.high <= _INT64[1]:
                return pa.int64()
            return _decimal(len(str(widest)), 0, path)
        if "number" not in kinds:
            whole = max(self.digits, len(str(widest)) if widest else 0)
            return _decimal(whole + self.scale, self.scale, path)
        if kinds == {"integer", "number"} and self.exact_in_double:
            return pa.float64()
        what = "integers beyond 2**53 and floats" if "integer" in kinds else "decimals and floats"
        raise Conflict(
            path, f"{what} have no common exact type", "Declare the type, or send the numbers as text."
        )


def _decimal(digits: int, scale: int, path: str) -> pa.DataType:
    if digits > _DECIMAL_DIGITS:
        what = f"a number has {digits} digits; a decimal holds {_DECIMAL_DIGITS}"
        raise Conflict(path, what, "Send such numbers as text.")
    # Two sizes only, so that a batch with one digit more is not another type: 18 digits fit 64 bits.
    small = 18
    return pa.decimal128(small if digits <= small and scale else _DECIMAL_DIGITS, scale)


def _kind_name(kind: type) -> str | None:
    name = _LEAVES.get(kind)
    if name is not None:
        return name
    if issubclass(kind, Mapping):
        return "struct"
    if issubclass(kind, _SEQUENCES):
        return "list"
    if issubclass(kind, dt.datetime):
        return "datetime"
    return next((name for leaf, name in _LEAVES.items() if issubclass(kind, leaf)), None)


def locate(rows: Sequence[object]) -> tuple[int, object, Conflict] | None:
    """The first row, counted from 1, after which the rows have no common type, with the value at fault."""
    good = Observed()
    low, high = 0, len(rows)
    found: Conflict | None = None
    while low < high:
        # Halving: the rows before `low` agree, those before `high` do not (once that is known).
        middle = high if found is None else max(low + 1, (low + high) // 2)
        try:
            part = Observed()
            part.observe(rows[low:middle])
            together = good.merge(part)
            together.type()
        except Conflict as conflict:
            found, high = conflict, middle
            if high - low == 1:
                return high, _reach(rows[low], conflict.path), conflict
        else:
            good, low = together, middle
    return None


def first_failure(size: int, fits: Callable[[int], bool]) -> int:
    """The length of the shortest prefix that does not fit, when the whole (of `size`) does not.

    Example:
        >>> first_failure(100, lambda length: length < 7)
        7
    """
    low, high = 0, size
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return high


def _reach(row: object, path: str) -> object:
    """The value at a path such as `a.b[].c`; the row itself where names with dots lead astray."""
    value = row
    for part in path.split("."):
        name = part.removesuffix("[]")
        if not isinstance(value, Mapping) or name not in value:
            return value
        value = value[name]
    return value


def excerpt(value: object, limit: int = 60) -> str:
    """A value for an error message: its repr, cut short."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
