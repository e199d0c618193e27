"""Finding the values a conversion refuses, without a loop over rows.

A conversion takes an array or refuses it as a whole. Which of its values are to blame is asked only of the
few arrays that are refused.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.types import is_text
from lakeload.normalize.casts import no_number
from lakeload.normalize.coerce import Convert, Misfit


def misfits(array: pa.Array, convert: Convert, target: pa.DataType) -> pa.Array | None:
    """Which values the conversion refuses, as booleans without nulls; `None` when it takes all.

    First those that do not come back from the target's type: one pass over the array finds nearly all.
    What is wrong for another reason is cornered by halving, each distinct value once.
    """
    if not _refuses(convert, array):
        return None
    suspects = _changed(array, target)
    rest = array if suspects is None else blank(array, suspects)
    if suspects is not None and not _refuses(convert, rest):
        return suspects
    others = _halved(rest, convert)
    return others if suspects is None else pc.or_(suspects, others)


_BEGINS_AS_DATE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
"""All that can be read as a moment begins so."""


def _changed(array: pa.Array, target: pa.DataType) -> pa.Array | None:
    source = array.type
    if pa.types.is_string(source) and (pa.types.is_date(target) or pa.types.is_timestamp(target)):
        return pc.fill_null(pc.invert(pc.match_substring_regex(array, _BEGINS_AS_DATE)), False)
    if is_text(source) and (
        pa.types.is_integer(target) or pa.types.is_floating(target) or pa.types.is_decimal(target)
    ):
        return no_number(array, target)
    if pa.types.is_nested(source) or pa.types.is_string(target) or is_text(source):
        return None
    try:
        back = array.cast(target, safe=False).cast(source, safe=False)
        same = pc.equal(back, array)
    except pa.ArrowException:
        return None
    if pa.types.is_floating(source):
        same = pc.or_(same, pc.is_nan(array)) if pa.types.is_floating(target) else same
    return pc.invert(pc.fill_null(same, True))


def _halved(array: pa.Array, convert: Convert) -> pa.Array:
    try:
        encoded = array.dictionary_encode()
    except (pa.ArrowException, NotImplementedError):
        return _at(_refused(array, convert), len(array))
    distinct = encoded.dictionary
    bad = _at(_refused(distinct, convert), len(distinct))
    return pc.fill_null(bad.take(encoded.indices), False)


def _at(indices: Iterable[int], length: int) -> pa.Array:
    marks = bytearray(length)
    for i in indices:
        marks[i] = 1
    return pa.Array.from_buffers(pa.uint8(), length, [None, pa.py_buffer(marks)]).cast(pa.bool_())


def _refused(array: pa.Array, convert: Convert) -> list[int]:
    """Indices of all values that are refused; asks about O(k log n) slices for k of them."""
    found: list[int] = []
    pending = [(0, len(array))]
    while pending:
        low, high = pending.pop()
        if high == low or not _refuses(convert, array.slice(low, high - low)):
            continue
        if high - low == 1:
            found.append(low)
            continue
        middle = (low + high) // 2
        pending += [(middle, high), (low, middle)]
    return found


def _refuses(convert: Convert, array: pa.Array) -> bool:
    try:
        convert(array)
    except Misfit:
        return True
    return False


def blank(array: pa.Array, bad: pa.Array) -> pa.Array:
    """The array with null where `bad` says so."""
    kept = pc.if_else(bad, pa.scalar(None, pa.int64()), pa.arange(0, len(array)))
    return array.take(kept)
