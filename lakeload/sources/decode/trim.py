"""Which values have the types learned, and rows without those that do not.

Part of reading rows, for contracts that judge single values: `[1, "x", 3]` in a column of lists of integers
is a list of two of them. What is taken out goes along, and so does the row as it came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

from lakeload.sources.decode.infer import EXACT_IN_DOUBLE, Observed, kind_of
from lakeload.sources.decode.values import known


@dataclass(frozen=True, slots=True)
class Misfit:
    """A value that was taken out.

    Args:
        path: Where, in the source's names; `element` and `value` lead into lists and maps.
        kind: What it is.
        value: The value.
    """

    path: tuple[str, ...]
    kind: str
    value: object


@dataclass(frozen=True, slots=True)
class Trimmed:
    """A row without the values that do not fit.

    Args:
        row: What is left.
        misfits: What is not.
    """

    row: dict[str, Any]
    misfits: tuple[Misfit, ...]


def trim(row: dict[str, Any], learned: Observed) -> Trimmed:
    """The row with null for each value of another type than learned, at any depth.

    Example:
        >>> learned = Observed()
        >>> learned.observe([{"l": [1]}])
        >>> found = trim({"l": [2, "x"]}, learned)
        >>> found.row, found.misfits
        ({'l': [2, None]}, (Misfit(path=('l', 'element'), kind='string', value='x'),))
    """
    misfits: list[Misfit] = []
    return Trimmed(_trimmed(row, learned, (), misfits), tuple(misfits))


def _trimmed(value: Any, seen: Observed, path: tuple[str, ...], misfits: list[Misfit]) -> Any:
    value = known(value, seen.column)
    if value is None or not seen.kinds or pa.types.is_string(seen.type()):
        return value  # anything becomes text
    kind = kind_of(value) or ""
    nested = not seen.is_text
    if kind == "list" and kind in seen.kinds and nested:
        return [_trimmed(one, seen.element(), (*path, "element"), misfits) for one in value]
    if kind == "struct" and seen.value is not None and nested:
        inner = seen.value
        return {key: _trimmed(one, inner, (*path, "value"), misfits) for key, one in value.items()}
    if kind == "struct" and kind in seen.kinds and nested:
        fields = seen.fields
        return {
            key: _trimmed(one, fields[key], (*path, key), misfits) if key in fields else one
            for key, one in value.items()
        }
    if judge(seen)(kind, value):
        return value
    misfits.append(Misfit(path, kind, value))
    return None


def judge(seen: Observed) -> Callable[[str, Any], bool]:
    """Whether a value of a kind has the type learned."""
    kinds, kind = seen.kinds, seen.type()

    def fits(name: str, value: Any) -> bool:
        if name == "integer" and "number" in kinds and pa.types.is_float64(kind):
            return abs(value) <= EXACT_IN_DOUBLE
        if name in ("integer", "decimal") and kinds <= {"integer", "decimal"}:
            return _fits_number(value, name, kind)
        if name == "date" and kinds & {"date", "naive timestamp"}:
            return kinds <= {"date", "naive timestamp"}
        return name in kinds or (name in ("struct", "list") and "json" in kinds)

    return fits


def _fits_number(value: int | Decimal, name: str, kind: pa.DataType) -> bool:
    if pa.types.is_int64(kind):
        return name == "integer" and -(1 << 63) <= value < 1 << 63
    alone = Observed()
    alone.observe([value])
    if not pa.types.is_decimal(kind):
        return True
    own = alone.type()
    if pa.types.is_string(own):
        return False
    scale = alone.scale
    whole = max(alone.digits, len(str(abs(value))) if name == "integer" else 0)
    return scale <= kind.scale and whole <= kind.precision - kind.scale
