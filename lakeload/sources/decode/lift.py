"""Python values to exact Arrow arrays of types that were learned from them.

Part of reading rows, for what `pa.array` would change, refuse or not notice: values that are text because
kinds met, objects that are maps, nested values kept as JSON, and values of other libraries. Works column by
column: one list of Python values per path, made into an array at its leaf.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import accumulate, chain, count
from typing import Any

import msgspec
import pyarrow as pa

from lakeload.model.text import text_of
from lakeload.sources.decode.conflict import Conflict, excerpt, first_failure
from lakeload.sources.decode.infer import Observed
from lakeload.sources.decode.values import known, plain

REFUSALS = (pa.ArrowException, OverflowError, ValueError, TypeError)
"""What Arrow raises for values it cannot hold; surrogates in text are a ValueError."""

_NATIVE = frozenset(
    (type(None), bool, int, float, str, bytes, Decimal, dt.date, dt.datetime, dt.time, dt.timedelta)
)
_JSON = msgspec.json.Encoder(decimal_format="number")


class TooLargeError(Exception):
    """The values take more than the 2 GiB that one array of text or bytes can hold."""


def lift(values: Sequence[object], seen: Observed, kind: pa.DataType) -> pa.Array:
    """The values as an array of the type.

    Args:
        values: Values at one path, all of which were observed.
        seen: What was observed at the path.
        kind: Type of the array: `seen.type()`, or what was declared instead.

    Raises:
        Conflict: A value is none the type holds: text with half a surrogate pair, a duration of thousands
            of centuries.
        TooLargeError: Fewer values at a time would do.
    """
    if pa.types.is_string(kind):
        return _leaf([_text(value, seen) for value in values], seen, kind)
    if pa.types.is_struct(kind):
        return _struct(_known(values, seen, dict), seen, kind)
    if pa.types.is_map(kind):
        return _map(_known(values, seen, dict), seen, kind)
    if pa.types.is_list(kind):
        return _list(_known(values, seen, list), seen, kind)
    values = _known(values, seen)
    if pa.types.is_timestamp(kind):
        values = [_moment(value) if type(value) is dt.date else value for value in values]
    elif pa.types.is_decimal(kind):
        values = [Decimal(repr(value)) if type(value) is float else value for value in values]
    return _leaf(values, seen, kind)


def _known(values: Sequence[object], seen: Observed, kind: type | None = None) -> Sequence[Any]:
    kinds = set(map(type, values))
    if kinds <= (_NATIVE if kind is None else {kind, type(None)}):
        return values
    return [known(value, seen.column) for value in values]


def _moment(date: dt.date) -> dt.datetime:
    return dt.datetime(date.year, date.month, date.day)  # noqa: DTZ001 - the column has no zone


def _text(value: object, seen: Observed) -> str | None:
    if value is None or type(value) is str:
        return value
    try:
        if type(value) in _NATIVE:
            return text_of(value)
        value = known(value, seen.column)
        if value is None or type(value) is str:
            return value
        nested = type(value) in (dict, list, tuple)
        value = plain(value, seen.column)
        return json_of(value) if nested and seen.policy == "json" else text_of(value)
    except RecursionError:
        raise Conflict(seen.column, "nested too deeply", "Send such a value as text.") from None
    except (ValueError, OverflowError) as error:
        raise _refusal(value, seen, pa.string(), error) from None


def json_of(value: object) -> str:
    """Compact JSON text of plain values: keys in their order, nulls written out, numbers unchanged.

    What JSON has no word for is a string: dates, bytes (Base64), NaN and the infinities.

    Example:
        >>> json_of({"b": None, "a": [1.0, float("nan")]})
        '{"b":null,"a":[1.0,"NaN"]}'
    """
    text = _JSON.encode(value)
    if b"null" in text:
        # Which may also stand for a float that is no number.
        text = _JSON.encode(_finite(value))
    return text.decode()


def _finite(value: object) -> object:
    if type(value) is dict:
        return {key: _finite(item) for key, item in value.items()}
    if type(value) is list:
        return [_finite(item) for item in value]
    return text_of(value) if type(value) is float and not math.isfinite(value) else value


def _struct(values: Sequence[dict[str, object] | None], seen: Observed, kind: pa.DataType) -> pa.Array:
    rows, places = _present(values)
    arrays = [
        lift([row.get(field.name) for row in rows], seen.fields[field.name], field.type) for field in kind
    ]
    if not arrays:
        return pa.array(values, kind)
    array = pa.StructArray.from_arrays(arrays, fields=list(kind))
    return array if places is None else array.take(places)


def _map(values: Sequence[dict[str, object] | None], seen: Observed, kind: pa.DataType) -> pa.Array:
    rows, missing = _filled(values, {})
    inside = _items(rows, seen, kind)
    if inside.null_count and seen.policy != "map":
        # Where nobody asked for a map, null means missing, as in the struct it could have been.
        rows = [{key: item for key, item in row.items() if item is not None} for row in rows]
        inside = _items(rows, seen, kind)
    keys = _leaf(list(chain.from_iterable(rows)), seen, kind.key_type)
    # Given the type at once: Arrow's cast of maps to their own type spoils members that are null throughout.
    return pa.MapArray.from_arrays(_offsets(rows), keys, inside, type=kind, mask=missing)


def _items(rows: Sequence[dict[str, object]], seen: Observed, kind: pa.DataType) -> pa.Array:
    return lift(list(chain.from_iterable(map(dict.values, rows))), seen.value or Observed(), kind.item_type)


def _list(values: Sequence[Any], seen: Observed, kind: pa.DataType) -> pa.Array:
    rows, missing = _filled(values, ())
    items = lift(list(chain.from_iterable(rows)), seen.item or Observed(), kind.value_type)
    return pa.ListArray.from_arrays(_offsets(rows), items, type=kind, mask=missing)


def _present(values: Sequence[Any]) -> tuple[Sequence[Any], pa.Array | None]:
    """The values that are there, and for each place which of them stands there, if any are missing."""
    present = [value for value in values if value is not None]
    if len(present) == len(values):
        return values, None
    numbers = count()
    places = [None if value is None else next(numbers) for value in values]
    return present, pa.array(places, pa.int64())


def _filled(values: Sequence[Any], empty: Any) -> tuple[Sequence[Any], pa.Array | None]:
    """The values with an empty one where one is missing, and a mask of these places, if there are any.

    Taking the present ones to their places would copy everything inside once per level.
    """
    if not any(value is None for value in values):
        return values, None
    return [empty if value is None else value for value in values], pa.array([v is None for v in values])


def _offsets(rows: Sequence[Any]) -> pa.Array:
    return pa.array(list(accumulate(map(len, rows), initial=0)), pa.int32())


def _leaf(values: Sequence[object], seen: Observed, kind: pa.DataType) -> pa.Array:
    try:
        array = pa.array(values, type=kind)
    except REFUSALS as error:
        place = first_failure(len(values), _fits(values, kind))
        raise _refusal(values[place - 1], seen, kind, error) from None
    if isinstance(array, pa.ChunkedArray):
        raise TooLargeError
    return array


def _fits(values: Sequence[object], kind: pa.DataType) -> Callable[[int], bool]:
    def fits(length: int) -> bool:
        try:
            pa.array(values[:length], type=kind)
        except REFUSALS:
            return False
        return True

    return fits


def _refusal(value: object, seen: Observed, kind: pa.DataType, error: Exception) -> Conflict:
    reason = str(error).splitlines()[0]
    what = f"{excerpt(value)} is no {kind} ({reason[:200]})"
    return Conflict(
        seen.column, what, "Change the value, or declare another type for the column.", shown=True
    )
