"""`Conflict`: what cannot be decoded at all, found by its column and, in the end, by its row.

Part of extract. Decoders find such values column by column or block by block; the row is looked for
afterwards, by halving, because it is needed only for the message.
"""

from __future__ import annotations

from collections.abc import Callable

from lakeload.errors import SchemaError


class Conflict(Exception):  # noqa: N818 - a finding that is handled, not an error a user sees
    """A value that no column can hold.

    Args:
        path: Dotted path of the column, empty for the row itself.
        what: What is wrong, as a sentence without a full stop.
        hint: What the reader can do about it.
        shown: Whether `what` already shows the value.
    """

    def __init__(self, path: str, what: str, hint: str, *, shown: bool = False) -> None:
        super().__init__(what)
        self.shown = shown
        self.path = path
        self.what = what
        self.hint = hint

    def error(self, *, row: int | None = None, place: str | None = None, value: object = None) -> SchemaError:
        """The error a user sees, with the row that cannot be stored."""
        shown = "" if row is None or self.shown else f": {excerpt(value)}"
        return SchemaError(
            f"{self.what}{shown}", column=self.path or None, row=row, place=place, hint=self.hint
        )


def excerpt(value: object, limit: int = 60) -> str:
    """A value for a message: its repr, cut short.

    Large values are cut before they are spelled out, and what has no repr (a list that holds itself a
    thousand levels down, an integer of more digits than Python writes) is named by its type.

    Example:
        >>> excerpt("x" * 1000, limit=8)
        "'xxxxxx…"
    """
    if isinstance(value, str | bytes) and len(value) > limit:
        value = value[:limit]
    try:
        text = repr(value)
    except (RecursionError, ValueError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


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


def reach(row: object, path: str) -> object:
    """The value at a path such as `a.b.c`; what is nearest where lists or names with dots lead astray.

    Example:
        >>> reach({"a": {"b": 1}}, "a.b")
        1
    """
    value = row
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return value
        value = value[name]
    return value
