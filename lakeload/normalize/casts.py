"""Exact casts: every value arrives unchanged, or the array is refused.

The one place where normalize turns single values of one type into another; `coerce` says which pairs there
are. Numbers out of text are Polars expressions, the cast beside its check, compiled once per type: Polars
reads fast, but rounds what has too many digits, so what it read is written back and compared. The few texts
that are written in another way (`1e3`, `007`, `1.50`) are looked at one by one. What Polars cannot hold
exactly stays with Arrow, whose own checks are used where it has them, and whose result is cast back and
compared where it rounds.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.numbers import LITERAL, SPECIAL, double_of, single_of
from lakeload.model.types import MAX_PRECISION

if TYPE_CHECKING:
    import polars as pl

EXACT_IN_DOUBLE = 1 << 53
"""Every integer up to this magnitude has a double of its own."""

_PLAIN_LITERAL = r"^[+-]?[0-9]+(\.[0-9]+)?$"


def cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """By Arrow, for pairs of types whose cast it checks.

    Raises:
        pa.ArrowInvalid: A value would change.
    """
    return array.cast(kind)


def cast_and_compare(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """By Arrow, for pairs whose cast rounds: there and back.

    Raises:
        pa.ArrowInvalid: A value would change.
    """
    result = array.cast(kind)
    same = pc.equal(result.cast(array.type, safe=False), array)
    if pa.types.is_floating(array.type):
        same = pc.or_(same, pc.is_nan(array))
    if pc.all(same).as_py() is False:
        raise pa.ArrowInvalid("values would be rounded")
    return result


def int_to_decimal(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Integers, which Arrow gives only to decimals with room for any of their type.

    Raises:
        pa.ArrowInvalid: A value has too many digits.
    """
    return array.cast(pa.decimal256(2 * MAX_PRECISION, kind.scale)).cast(kind)


def number_of_text(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Texts that were declared to be numbers, each as exactly the number it says.

    Any notation is read: `007` is 7, `1e3` is 1000. A double is read by the rule of `lakeload.model.numbers`.

    Args:
        array: Of text in any layout that is not encoded.
        kind: An integer, floating or decimal type.

    Raises:
        pa.ArrowInvalid: Some text is no number, or one the type does not hold.

    Example:
        >>> number_of_text(pa.array(["1.10", "2e1"]), pa.decimal128(4, 2)).to_pylist()
        [Decimal('1.10'), Decimal('20.00')]
    """
    numbers, wrong = _read(array, kind)
    if len(wrong):
        raise pa.ArrowInvalid(f"no such {kind}")
    return numbers.to_arrow().cast(kind)


def no_number(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Which texts `number_of_text` refuses, as booleans without nulls."""
    import polars as pl

    wrong = _read(array, kind)[1]
    marks = pl.repeat(value=False, n=len(array), eager=True)
    return marks.scatter(wrong, values=True).to_arrow().cast(pa.bool_())


def _read(array: pa.Array, kind: pa.DataType) -> tuple[pl.Series, pl.Series]:
    """The numbers, and the indices of texts that are none, as which something else stands there."""
    import polars as pl

    frame = pl.DataFrame({"text": pl.Series(array, dtype=pl.String)})
    value, sure = _reading(kind)
    read = frame.select(value=value, odd=~sure.fill_null(value=False) & pl.col("text").is_not_null())
    numbers, odd = read["value"], read["odd"].arg_true()
    if not len(odd):
        return numbers, odd
    texts = frame["text"].gather(odd)
    with localcontext(prec=2 * MAX_PRECISION):
        found = {text: _number(text, kind) for text in texts.unique().to_list()}
    mended = [found[text] for text in texts.to_list()]
    numbers = numbers.scatter(odd, pl.Series(pa.array(mended, _carrier(kind))))
    return numbers, odd.filter(pl.Series([number is None for number in mended], dtype=pl.Boolean))


@cache
def _reading(kind: pa.DataType) -> tuple[pl.Expr, pl.Expr]:
    """The number each text is read as, and whether it surely is that number."""
    import polars as pl

    text = pl.col("text")
    if pa.types.is_integer(kind):
        number = text.cast(getattr(pl, f"Int{kind.bit_width}"), strict=False)
        return number, number.cast(pl.String) == text
    if pa.types.is_floating(kind):
        number = text.cast(pl.Float64, strict=False)
        if pa.types.is_float64(kind):
            return number, is_double(text)
        single = number.cast(pl.Float32)
        return single, single.cast(pl.String) == text
    number = text.cast(pl.Decimal(MAX_PRECISION, kind.scale), strict=False)
    return number, text.str.contains(_PLAIN_LITERAL) & number.is_not_null() & has_digits(text, kind)


def is_double(text: pl.Expr) -> pl.Expr:
    """Whether a text is a double's shortest form, or an integer that has a double of its own.

    A null for what is no number; `False` for numbers that need a second look.
    """
    import polars as pl

    whole = text.cast(pl.Int64, strict=False)
    small = (whole.cast(pl.String) == text) & whole.is_between(-EXACT_IN_DOUBLE, EXACT_IN_DOUBLE)
    shortest = text.cast(pl.Float64, strict=False).cast(pl.String) == text
    # Of words such as `nan` there is no way back to how they were written.
    return small.fill_null(value=False) | (shortest & text.str.contains("[0-9]"))


def has_digits(text: pl.Expr, kind: pa.DataType) -> pl.Expr:
    """Whether a plain literal has no more digits before and after the point than a decimal type."""
    import polars as pl

    digits = text.str.strip_chars_start("+-").str.strip_chars_start("0")
    point = digits.str.find(".", literal=True)
    before = pl.coalesce(point, digits.str.len_bytes())
    after = digits.str.strip_chars_end("0").str.len_bytes().cast(pl.Int64) - point.cast(pl.Int64) - 1
    return (before <= kind.precision - kind.scale) & (after.fill_null(0) <= kind.scale)


def _carrier(kind: pa.DataType) -> pa.DataType:
    return pa.decimal128(MAX_PRECISION, kind.scale) if pa.types.is_decimal(kind) else kind


def _number(text: str, kind: pa.DataType) -> int | float | Decimal | None:
    """What one text of any notation is as a value of the type; `None` for nothing it holds."""
    if pa.types.is_floating(kind) and text.lower() in SPECIAL:
        return SPECIAL[text.lower()]
    if not LITERAL.fullmatch(text):
        return None
    if pa.types.is_float64(kind):
        number = float(text)
        exact = math.isfinite(number) and Decimal(number) == Decimal(text)
        return number if exact else double_of(text)
    if pa.types.is_floating(kind):
        single = pa.scalar(float(text), pa.float64()).cast(pa.float32(), safe=False).as_py()
        shortest = pa.scalar(single, pa.float32()).cast(pa.string()).as_py()
        same = math.isfinite(single) and (Decimal(shortest) == Decimal(text) or single_of(text, single))
        return single if same else None
    exact_number = Decimal(text)
    if not exact_number:
        return 0 if pa.types.is_integer(kind) else exact_number.quantize(Decimal(1).scaleb(-kind.scale))
    sign, digits, exponent = exact_number.as_tuple()
    whole = len(digits) + int(exponent)
    if pa.types.is_integer(kind):
        return _integer(exact_number, kind) if 0 < whole <= MAX_PRECISION else None
    while digits and not digits[-1] and -int(exponent) > kind.scale:
        digits, exponent = digits[:-1], int(exponent) + 1
    fits = whole <= kind.precision - kind.scale and -int(exponent) <= kind.scale
    return Decimal((sign, digits, int(exponent))) if fits else None


def _integer(number: Decimal, kind: pa.DataType) -> int | None:
    beyond = 1 << (kind.bit_width - 1)
    inside = -beyond <= number < beyond
    return int(number) if inside and number == number.to_integral_value() else None
