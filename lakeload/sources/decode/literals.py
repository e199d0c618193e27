"""Number literals of JSON that no double holds.

Part of extract. JSON has one kind of number, of any length; parsers make doubles of those with a point or an
exponent and drop what does not fit. The rule here: a literal is a double if the double, written as short as
possible, is the same number; else it is a decimal, up to 38 digits; else it becomes text. So `0.1` is a
double, `0.1234567890123456789` and `1e400` are not. Whole literals without exponent are integers of any size.
What a literal is depends on it alone, never on its neighbours.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

import msgspec

_ALWAYS_EXACT = 16
"""Characters of a literal without exponent that always survive: a point and 15 digits (DBL_DIG of C)."""
_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_LONG = b"0" * _ALWAYS_EXACT
_TINY = b"0e-000"
_RUNS = bytes.maketrans(b".123456789", b"0000000000")
# Signs do not matter here. What stands around tells most digits of text, such as those of hashes, apart.
_BEFORE, _AFTER = b":,[ \t\r\n-", rb"(?=[,}\]\s]|$)"
_LONG_LITERAL = re.compile(rb"[0-9][0-9.]{15,}+(?:[eE][+-]?[0-9]+)?" + _AFTER)
_DATE = re.compile(rb"\.[0-9]*\.|\.,|\.$|(?:^|,)0[0-9]")
_TINY_LITERAL = re.compile(rb"(?:^|[:,\[\s-])([0-9][0-9.]*+[eE]-[0-9]{3,}+)" + _AFTER)


def exact_number(literal: str) -> float | Decimal:
    """The number of a literal with a point or an exponent.

    Example:
        >>> exact_number("0.1"), exact_number("0.12345678901234567890")
        (0.1, Decimal('0.12345678901234567890'))
    """
    number = float(literal)
    if len(literal) <= _ALWAYS_EXACT and "e" not in literal and "E" not in literal:
        return number
    exact = Decimal(literal)
    return number if math.isfinite(number) and Decimal(repr(number)) == exact else exact


def rounds(text: bytes) -> tuple[bool, bool]:
    """What doubles would do to the number literals in JSON text: cheap where all of them are short.

    Returns:
        Whether one with a point or an exponent would be rounded, and whether there are whole ones of 16
        digits or more. Digits inside of text count too, so both may be said in vain.
    """
    digits = text.translate(_DIGITS, b".")
    long, tiny = _LONG in digits, _TINY in digits
    if not long and not tiny:
        return False, False
    found = _long_literals(text) if long else []
    broken = [word for word in found if b"." in word or b"e" in word or b"E" in word]
    whole = len(broken) < len(found)
    if tiny:
        broken += _TINY_LITERAL.findall(text)
    return _rounded(broken), whole


def _long_literals(text: bytes) -> list[bytes]:
    """Number literals of 16 characters or more, and little else; far faster than searching by expression."""
    runs, found = text.translate(_RUNS), []
    start = runs.find(_LONG)
    while start >= 0:
        literal = _LONG_LITERAL.match(text, start)
        if literal and (not start or text[start - 1] in _BEFORE):
            found.append(literal.group())
        end = start + _ALWAYS_EXACT
        while runs[end : end + 1] == b"0":
            end += 1
        start = runs.find(_LONG, end)
    return found


def _rounded(literals: list[bytes]) -> bool:
    joined = b",".join(literals)
    if b".." in joined or _DATE.search(joined):
        # Dates and versions within text are no numbers.
        literals = [word for word in literals if word.count(b".") <= 1 and word[-1:] != b"."]
        joined = b",".join(literals)
    try:
        numbers = msgspec.json.decode(b"[" + joined + b"]", type=list[float])
    except msgspec.MsgspecError:
        # Out of a double's range, or digits inside of text.
        return True
    shortest = msgspec.json.encode(numbers)[1:-1]
    return shortest != joined and any(
        short != literal and Decimal(repr(number)) != Decimal(literal.decode())
        for short, literal, number in zip(shortest.split(b","), literals, numbers, strict=False)
    )
