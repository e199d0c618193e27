"""What a number literal means: the one rule for JSON, for CSV, and for text that is hinted to be a number.

A literal *is* a double if it is one of the two forms in which programs print a double so that it can be read
back: the shortest one (`repr`) or that of 17 significant digits (`%.17g`), whatever the notation. Every other
literal with a point says something else than a double holds, so it is a decimal while 38 digits hold it.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

LITERAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?")
"""Digits with a point and an exponent or without: what a hint reads as a number."""

SPECIAL = {
    "nan": math.nan,
    **dict.fromkeys(("inf", "infinity", "+inf", "+infinity"), math.inf),
    **dict.fromkeys(("-inf", "-infinity"), -math.inf),
}
"""Words that are doubles, in lower case."""


def double_of(literal: str) -> float | None:
    """The double a literal is; `None` when it says more or less than a double holds.

    Example:
        >>> double_of("0.1"), double_of("43.420273000000009"), double_of("9007199254740993")
        (0.1, 43.42027300000001, None)
    """
    number = float(literal)
    if not math.isfinite(number):
        return None
    return number if Decimal(literal) in double_forms(number) else None


def double_forms(number: float) -> tuple[Decimal, Decimal]:
    """The numbers a double is written as: the shortest that is read as it, and the one of 17 digits."""
    return Decimal(repr(number)), Decimal(f"{number:.17g}")


def single_of(literal: str, single: float) -> bool:
    """Whether a literal is this float of 32 bits: its form of nine digits or its own value.

    Args:
        literal: Digits.
        single: The nearest float of 32 bits, as the double that equals it.
    """
    exact = Decimal(literal)
    return exact in (Decimal(single), Decimal(f"{single:.9g}"))
