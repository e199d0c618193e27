"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Sequence


def count(number: int, noun: str) -> str:
    """A number with its noun.

    Example:
        >>> count(1, "file"), count(12345, "row")
        ('1 file', '12,345 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(number: int) -> str:
    """Bytes in the unit that suits them, powers of 1024.

    Example:
        >>> size(512), size(2048), size(134217728)
        ('512 B', '2.0 KiB', '128.0 MiB')
    """
    value, unit = float(number), "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:  # noqa: PLR2004 - the step from unit to unit
            break
        value, unit = value / 1024, bigger
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def seconds(number: float) -> str:
    """A duration.

    Example:
        >>> seconds(0.0421), seconds(3.21), seconds(125)
        ('42 ms', '3.2 s', '2 min 5 s')
    """
    if number < 1:
        return f"{number * 1000:.0f} ms"
    if number < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{number:.1f} s"
    return f"{int(number) // 60} min {int(number) % 60} s"


def columns(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Rows of text as aligned lines.

    Args:
        rows: Cells, the same number in every row.
        right: Positions of columns to align on the right.

    Example:
        >>> columns([("a", "1"), ("bc", "10")], right=(1,))
        ['a    1', 'bc  10']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if position in right else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
