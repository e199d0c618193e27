"""Rules as Polars expressions: what it takes for a value of a column of a certain type to pass.

Part of checking rows (`rules`). Bounds and allowed values are brought into the column's own type first, with
rounding towards the inside, so that comparisons are exact: 0.5 is below no integer but 0, and 2⁵³ + 1 is not
above itself because a double came in between.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from lakeload.errors import ConfigError
from lakeload.model.text import text_of

if TYPE_CHECKING:
    import polars as pl

    from lakeload.model.rules import Rule


_MOMENTS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f")
"""How the canonical text of timestamps, and text that was about to become one, is written."""


def passes(rule: Rule, kind: pl.DataType) -> pl.Expr:
    """Whether a row passes a rule about one column; null where the column is.

    Args:
        rule: Of kind `not_null`, `between`, `matches` or `one_of`.
        kind: The column's type.

    Raises:
        ConfigError: The rule does not suit the type.

    Example:
        >>> import polars as pl
        >>> from lakeload.model.rules import between
        >>> test = passes(between("n", 0.5, "7"), pl.Int64())
        >>> pl.DataFrame({"n": [0, 1, 7, 8, None]}).select(test).to_series().to_list()
        [False, True, True, False, None]
    """
    import polars as pl

    column = pl.col(rule.columns[0])
    match rule.kind:
        case "not_null":
            return column.is_not_null()
        case "matches":
            if kind != pl.String:
                raise _unsuited(rule, kind, "Patterns are for text.")
            return column.str.contains(rule.given)
        case "one_of":
            return _one_of(rule, column, kind)
        case _:
            return _between(rule, column, kind)


def _between(rule: Rule, column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    import polars as pl

    low, high = rule.given
    try:
        if kind == pl.String and not any(isinstance(bound, str) for bound in rule.given):
            return _text_between(column, low, high)
        if kind.is_integer() or kind.is_decimal():
            return _steps_between(column, kind, low, high)
        if kind.is_float():
            return _floats_between(column, low, high)
        if kind in (pl.Boolean, pl.Binary):
            raise TypeError  # noqa: TRY301 - handled like every bound that does not suit
        read = _reader(kind)
        bounds = [None if bound is None else read(bound) for bound in rule.given]
        if kind == pl.Date:
            bounds = [_day(bounds[0], up=True), _day(bounds[1], up=False)]
    except (ValueError, TypeError, ArithmeticError, OverflowError) as error:
        raise _unsuited(rule, kind, "Give bounds of the column's type.") from error
    return _within(column, *(None if b is None else pl.lit(b, dtype=kind) for b in bounds))


def _within(column: pl.Expr, low: pl.Expr | None, high: pl.Expr | None) -> pl.Expr:
    tests = [column >= low] if low is not None else []
    tests += [column <= high] if high is not None else []
    return tests[0] & tests[-1]


def _steps_between(column: pl.Expr, kind: pl.DataType, low: object, high: object) -> pl.Expr:
    """Integers and decimals: values that are whole steps of the type."""
    import polars as pl

    scale = kind.scale if isinstance(kind, pl.Decimal) else 0
    smallest, largest = _range(kind)
    start = None if low in (None, -math.inf) else _step(low, scale, math.ceil, smallest, largest)
    end = None if high in (None, math.inf) else _step(high, scale, math.floor, smallest, largest)
    start, end = smallest if start is None else start, largest if end is None else end
    if start > largest or end < smallest or start > end:
        return _never(column)
    ends = (start if start > smallest else None, end if end < largest else None)
    if ends == (None, None):
        return _always(column)
    return _within(column, *(None if n is None else _literal(n, kind, scale) for n in ends))


def _step(value: object, scale: int, rounded: Callable[[Fraction], int], smallest: int, largest: int) -> int:
    if value in (math.inf, -math.inf):
        return largest + 1 if value == math.inf else smallest - 1
    return rounded(_number(value) * 10**scale)


def _literal(steps: int, kind: pl.DataType, scale: int) -> pl.Expr:
    import polars as pl

    return pl.lit(
        Decimal((int(steps < 0), tuple(map(int, str(abs(steps)))), -scale)) if scale else steps, kind
    )


def _range(kind: pl.DataType) -> tuple[int, int]:
    import polars as pl

    if isinstance(kind, pl.Decimal):
        most = 10 ** (kind.precision or 38) - 1
        return -most, most
    bounds = pl.select(low=kind.min(), high=kind.max()).row(0)  # type: ignore[attr-defined]  # integers have them
    return int(bounds[0]), int(bounds[1])


def _floats_between(column: pl.Expr, low: object, high: object) -> pl.Expr:
    import polars as pl

    column = column.cast(pl.Float64)
    ends = [None if low is None else _float(low, math.inf), None if high is None else _float(high, -math.inf)]
    bounds = (None if end is None else pl.lit(end, dtype=pl.Float64) for end in ends)
    return _within(column, *bounds) & column.is_not_nan()


def _float(value: object, towards: float) -> float:
    """The double nearest to the value that is not beyond it on the outside."""
    if isinstance(value, float):
        return value
    exact = _number(value)
    found = float(exact)
    inside = Fraction(found) >= exact if towards > 0 else Fraction(found) <= exact
    return found if inside else math.nextafter(found, towards)


def _text_between(column: pl.Expr, low: object, high: object) -> pl.Expr:
    """Text whose bounds are none: it is read as what they are; text that cannot be read does not pass."""
    import polars as pl

    bounds = [bound for bound in (low, high) if bound is not None]
    if all(isinstance(bound, dt.date) for bound in bounds):
        clock = [None if b is None else pl.lit(_moment(b), dtype=pl.Datetime("us")) for b in (low, high)]
        text = column.str.strip_suffix("Z")
        read = [text.str.to_datetime(form, strict=False, time_unit="us") for form in _MOMENTS]
        day = text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
        test = _within(pl.coalesce(day, *read), *clock)
    else:
        test = _floats_between(column.cast(pl.Float64, strict=False), low, high)
    return pl.when(column.is_not_null()).then(test.fill_null(False))


def _one_of(rule: Rule, column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    import polars as pl

    read = _reader(kind)
    values = []
    for value in rule.given:
        try:
            found = read(value)
        except (ValueError, TypeError, ArithmeticError, OverflowError) as error:
            raise _unsuited(rule, kind, f"{value!r} can be no value of the column.") from error
        if kind == pl.Date:
            found = found.date() if found.time() == dt.time() else None
        if found is not None:
            values.append(found)
    if not values:
        return _never(column)
    if kind.is_float():
        column, kind = column.cast(pl.Float64), pl.Float64()  # values would be rounded to a narrower type
    return column.is_in(pl.lit(pl.Series(values, dtype=kind, strict=True)).implode())


def _reader(kind: pl.DataType) -> Callable[[Any], Any]:
    """What makes a value of the column's type of a user's; `None` when the type has no value equal to it.

    Dates come as midnights.
    """
    import polars as pl

    if kind.is_integer() or kind.is_decimal():
        return lambda value: _whole(value, kind)
    if kind.is_float():
        return _same_float
    if kind == pl.String:
        return text_of
    if kind == pl.Boolean:
        return _truth
    if kind == pl.Date:
        return _moment
    if isinstance(kind, pl.Datetime):
        return _moment if kind.time_zone is None else lambda value: _moment(value, aware=True)
    if kind == pl.Time:
        return _time
    if kind == pl.Binary:
        return bytes
    raise TypeError


def _whole(value: object, kind: pl.DataType) -> int | Decimal | None:
    import polars as pl

    if isinstance(value, float) and not math.isfinite(value):
        return None
    scale = kind.scale if isinstance(kind, pl.Decimal) else 0
    steps = _number(value) * 10**scale
    smallest, largest = _range(kind)
    if steps.denominator != 1 or not smallest <= steps <= largest:
        return None
    whole = int(steps)
    digits = tuple(map(int, str(abs(whole))))
    return Decimal((int(whole < 0), digits, -scale)) if isinstance(kind, pl.Decimal) else whole


def _same_float(value: object) -> float | None:
    if isinstance(value, float):
        return value
    exact = _number(value)
    found = float(exact)
    return found if Fraction(found) == exact else None


def _number(value: object) -> Fraction:
    if isinstance(value, str):
        value = Decimal(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | Fraction):
        raise TypeError
    return Fraction(value)


def _truth(value: object) -> bool:
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    if not isinstance(value, bool):
        raise TypeError
    return value


def _moment(value: object, *, aware: bool = False) -> dt.datetime:
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value.strip())
    if not isinstance(value, dt.date):
        raise TypeError
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a date has no zone
    if value.tzinfo is None:
        return value.replace(tzinfo=dt.UTC) if aware else value
    if not aware:
        raise TypeError
    return value.astimezone(dt.UTC)


def _day(moment: dt.datetime | None, *, up: bool) -> dt.date | None:
    if moment is None:
        return None
    later = up and moment.time() != dt.time()
    return moment.date() + dt.timedelta(days=1) if later else moment.date()


def _time(value: object) -> dt.time:
    if isinstance(value, str):
        value = dt.time.fromisoformat(value.strip())
    if not isinstance(value, dt.time) or value.tzinfo is not None:
        raise TypeError
    return value


def _never(column: pl.Expr) -> pl.Expr:
    return column.is_null()


def _always(column: pl.Expr) -> pl.Expr:
    return column.is_null() | column.is_not_null()


def _unsuited(rule: Rule, kind: pl.DataType, hint: str) -> ConfigError:
    return ConfigError(
        f"the rule {rule.name} does not suit a column of type {kind}", column=rule.columns[0], hint=hint
    )
