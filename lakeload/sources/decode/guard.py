"""A check in C that rows have just the types learned: what makes the fast path of reading rows safe.

`pa.array` with a known type cuts floats to integers, drops keys it does not know and forgets zones. msgspec
knows the exact types of Python values, so rows pass a type compiled for it from what was learned before
they go to Arrow. Values that Arrow would change are not expressible here and take the other path (`lift`).
"""

from __future__ import annotations

import datetime as dt
import functools
import operator
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Optional
from uuid import UUID

import msgspec
import pyarrow as pa

from lakeload.sources.decode.infer import Observed

_NATIVE = (bytes, bytearray, dt.datetime, dt.date, dt.time, dt.timedelta, UUID)
_PYTHON: dict[str, Any] = {
    "boolean": bool,
    "integer": int,
    "number": float,
    "string": str,
    "binary": bytes,
    "decimal": Decimal,
    "date": dt.date,
    "time": Annotated[dt.time, msgspec.Meta(tz=False)],
    "duration": dt.timedelta,
    "naive timestamp": Annotated[dt.datetime, msgspec.Meta(tz=False)],
    "timestamp": Annotated[dt.datetime, msgspec.Meta(tz=True)],
}
_PLAIN = {"boolean", "integer", "string", "list", "map"}
_TOGETHER = (frozenset({"integer", "number"}), frozenset({"integer", "decimal"}))
"""Kinds of one type that Arrow converts exactly."""


class Guard:
    """Accepts rows whose columns have the types learned, and nothing else.

    Args:
        columns: What was learned of each column.
        odd: Columns that anything may stand in.
    """

    def __init__(self, columns: Mapping[str, Observed], odd: frozenset[str]) -> None:
        judged = [seen for name, seen in columns.items() if name not in odd]
        # As a built-in type, decimals would pass for floats.
        native = _NATIVE if any(map(_has_floats, judged)) else (*_NATIVE, Decimal)
        kinds = {name: Any if name in odd else _or_null(seen) for name, seen in columns.items()}
        self._kind: Any = list[_struct(kinds)]  # type: ignore[misc]  # built at run time
        self._convert = functools.partial(msgspec.convert, type=self._kind, strict=True, builtin_types=native)
        # msgspec prepares types on their first use without a lock: two threads at once end the process.
        self._convert([])

    def accepts(self, rows: Sequence[object]) -> bool:
        """Whether all rows are as expected."""
        try:
            self._convert(rows)
        except (msgspec.ValidationError, ValueError, TypeError, RecursionError):
            return False
        return True


def is_usual(seen: Observed) -> bool:
    """Whether a guard can tell values of the type, and Arrow builds them without changing any."""
    return is_judged(seen) and _goes_as_it_is(seen)


def is_judged(seen: Observed) -> bool:
    """Whether values the guard accepts have the type learned; not all of them may go to Arrow as they are."""
    if seen.foreign:
        return False
    if _is_text_for_good(seen):
        return True
    kinds = seen.kinds
    if (len(kinds) > 1 and kinds not in _TOGETHER) or not all(map(is_sayable, seen.fields)):
        return False
    return not (_has_floats(seen) and _has_decimals(seen)) and all(map(is_judged, _below(seen)))


def _goes_as_it_is(seen: Observed) -> bool:
    return not _is_text_for_good(seen) and "map" not in seen.kinds and all(map(_goes_as_it_is, _below(seen)))


def _is_text_for_good(seen: Observed) -> bool:
    """Whether values of every kind are written as text, and no value can change that."""
    return seen.kinds != {"string"} and pa.types.is_string(seen.type())


def json_kind(seen: Observed) -> Any:
    """The type msgspec decodes JSON values with that need no guard then; `Any` where the values need one.

    It rounds numbers into floats, takes text for decimals, and makes objects of its own of structs.
    """
    return _or_null(seen) if _is_plain(seen) else Any


def _is_plain(seen: Observed) -> bool:
    return len(seen.kinds) <= 1 and seen.kinds <= _PLAIN and all(map(_is_plain, _below(seen)))


def is_sayable(name: str) -> bool:
    """Whether msgspec accepts it as the name of a member."""
    return name.isprintable() and '"' not in name and "\\" not in name


def _has_floats(seen: Observed) -> bool:
    return "number" in seen.kinds or any(map(_has_floats, _below(seen)))


def _has_decimals(seen: Observed) -> bool:
    return "decimal" in seen.kinds or any(map(_has_decimals, _below(seen)))


def _below(seen: Observed) -> list[Observed]:
    return [*seen.fields.values(), *filter(None, (seen.item, seen.value))]


def _or_null(seen: Observed) -> Any:
    return Optional[_expected(seen)]  # noqa: UP045 - a type built at run time, perhaps of None


def _expected(seen: Observed) -> Any:
    kinds = seen.kinds
    if _is_text_for_good(seen):
        return Any
    if "map" in kinds:
        return dict[str, _or_null(seen.value or Observed())]  # type: ignore[misc]  # built at run time
    if "struct" in kinds:
        return _struct({name: _or_null(member) for name, member in seen.fields.items()})
    if "list" in kinds:
        return list[_or_null(seen.item or Observed())]  # type: ignore[misc]  # built at run time
    if kinds == {"integer", "number"}:
        return float
    return functools.reduce(operator.or_, [_PYTHON[kind] for kind in sorted(kinds)]) if kinds else None


def _struct(members: dict[str, Any]) -> Any:
    rename = {f"f{i}": name for i, name in enumerate(members)}
    fields = [(f"f{i}", kind, None) for i, kind in enumerate(members.values())]
    return msgspec.defstruct("Row", fields, rename=rename, forbid_unknown_fields=True, gc=False)
