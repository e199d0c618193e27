"""Number literals that say more than a double holds.

Part of extract. JSON has one kind of number, of any length; parsers make doubles of those with a point or an
exponent and drop what does not fit. The rule here: a literal is a double if it is the double's shortest form
or its form of 17 significant digits (`repr` and `%.17g`; what programs print so that a double can be read
back, see Steele and White, "How to print floating-point numbers accurately"), whatever the notation; else it
is a decimal, up to 38 digits; else it becomes text. So `0.1` and `0.10000000000000001` are doubles,
`0.1234567890123456789` and `1e400` are not. Whole literals without exponent are integers of any size. What a
literal is depends on it alone, never on its neighbours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from decimal import Decimal

import msgspec

_ALWAYS_EXACT = 16
"""Characters of a literal without exponent that always survive: a point and 15 digits (DBL_DIG of C)."""
_LONG = b"0" * _ALWAYS_EXACT
_RUNS = bytes.maketrans(b".123456789", b"0000000000")
_DENSE = 512
"""Long literals in a piece from which looking at all of it at once is faster than visiting each."""
_DENSE_LITERAL = r"[:,\[\s-][0-9][0-9.]{15,}(?:[eE][+-]?[0-9]+)?"
# Signs do not matter here. What stands around tells most digits of text, such as those of hashes, apart.
_BEFORE, _AFTER = b":,[ \t\r\n-", rb"(?=[,}\]\s]|$)"
_LONG_LITERAL = re.compile(rb"[0-9][0-9.]{15,}+(?:[eE][+-]?[0-9]+)?" + _AFTER)
_LITERAL = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_TINY_LITERAL = re.compile(rb"[0-9.][eE]-[0-9]{3}")


def exact_number(literal: str) -> float | Decimal:
    """The number of a literal with a point or an exponent.

    Example:
        >>> exact_number("0.1"), exact_number("43.420273000000009")
        (0.1, 43.42027300000001)
        >>> exact_number("0.12345678901234567890")
        Decimal('0.12345678901234567890')
    """
    number = float(literal)
    if len(literal) <= _ALWAYS_EXACT and "e" not in literal and "E" not in literal:
        return number
    exact = Decimal(literal)
    return number if math.isfinite(number) and exact in _forms(number) else exact


def _forms(number: float) -> tuple[Decimal, Decimal]:
    """The numbers a double is written as: the shortest that is read as it, and the one of 17 digits."""
    return Decimal(repr(number)), Decimal(f"{number:.17g}")


def rounds(text: bytes) -> tuple[bool, bool]:
    """What doubles would do to the long number literals in JSON text: cheap where all of them are short.

    Literals too small or too large for a double are not told here: they show in the double, see `underflows`.

    Returns:
        Whether one with a point or an exponent would be rounded, and whether there are whole ones of 16
        digits or more. Digits inside of text count too, so both may be said in vain.

    Example:
        >>> rounds(b'{"v": 0.10000000000000001}'), rounds(b'{"v": 0.100000000000000012}')
        ((False, False), (True, False))
    """
    runs = text.translate(_RUNS)
    start = runs.find(_LONG)
    if start < 0:
        return False, False
    if runs.count(_LONG, start) > _DENSE and (whole := _all_double(text)) is not None:
        return False, whole
    found = _long_literals(text, runs, start)
    broken = [word for word in found if b"." in word or b"e" in word or b"E" in word]
    return _rounded(broken), len(broken) < len(found)


def underflows(text: bytes) -> bool:
    """Whether JSON text may hold a literal that a double can only hold as zero or with fewer digits.

    Example:
        >>> underflows(b"[1e-400]"), underflows(b"[1e-40, 0]")
        (True, False)
    """
    return _TINY_LITERAL.search(text) is not None


def _long_literals(text: bytes, runs: bytes, start: int) -> list[bytes]:
    """Number literals of 16 characters or more, and little else; far faster than searching by expression."""
    found = []
    while start >= 0:
        literal = _LONG_LITERAL.match(text, start)
        if literal and (not start or text[start - 1] in _BEFORE):
            found.append(literal.group())
        end = start + _ALWAYS_EXACT
        while runs[end : end + 1] == b"0":
            end += 1
        start = runs.find(_LONG, end)
    return found


def _all_double(text: bytes) -> bool | None:
    """`None` where long literals may be rounded, else whether there are whole ones; sees less context."""
    import polars as pl

    # One byte of context each: a second one would be lacking where the next literal begins.
    words = pl.Series([text.decode()]).str.extract_all(_DENSE_LITERAL).explode().str.slice(1)
    fractions = words.str.contains("[.eE]")
    written = words.filter(fractions)
    numbers = written.cast(pl.Float64, strict=False)
    odd = (written != numbers.cast(pl.String)).fill_null(True)
    rest = zip(written.filter(odd), numbers.filter(odd), strict=True)
    return None if _any_rounded(rest) else not fractions.all()


def _rounded(literals: list[bytes]) -> bool:
    try:
        numbers = _doubles(literals)
    except msgspec.MsgspecError:
        # Digits inside of text, such as dates and versions, are no numbers. Or out of a double's range.
        literals = [word for word in literals if _LITERAL.fullmatch(word)]
        try:
            numbers = _doubles(literals)
        except msgspec.MsgspecError:
            return True
    return _any_rounded((word.decode(), number) for word, number in zip(literals, numbers, strict=True))


def _any_rounded(literals: Iterable[tuple[str, float | None]]) -> bool:
    return any(
        number is None
        or (f"{number:.17g}" != text and repr(number) != text and Decimal(text) not in _forms(number))
        for text, number in literals
    )


def _doubles(literals: list[bytes]) -> list[float]:
    numbers: list[float] = msgspec.json.decode(b"[" + b",".join(literals) + b"]", type=list[float])
    return numbers
