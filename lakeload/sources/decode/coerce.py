"""What declared types mean to decoders.

Part of extract. Rows and JSON are parsed as a type that loses nothing (`carrier`); what becomes of it is up
to the normalizer, which knows the table and its contract. CSV is text throughout: its columns are converted
here to the dates, times, decimals or bytes they were declared to have, or an error names the value.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SchemaError
from lakeload.sources.decode.conflict import excerpt, first_failure
from lakeload.sources.decode.infer import Observed

Hint = Callable[[str], "pa.DataType | None"]
"""Type a top-level column must have, by its raw name, if known."""

_HINT = "Fix the value, or declare the column as string."


def carrier(seen: Observed, wanted: pa.DataType | None) -> pa.DataType:
    """The type to parse a column as: its own, or one the declared type can be made from without loss.

    Args:
        seen: What was seen in the column.
        wanted: Type the column was declared to have, if any.
    """
    if is_text(wanted):
        # Whatever is no text fails to parse as text, and is then written verbatim.
        return pa.string()
    own = seen.type()
    if wanted is None:
        return own
    if pa.types.is_null(own) and _is_leaf(wanted):
        return wanted if _parsable(wanted) else pa.string()
    if pa.types.is_decimal(wanted) and seen.kinds <= {"integer", "number", "decimal"}:
        return wanted
    if pa.types.is_floating(wanted) and pa.types.is_integer(own) and seen.exact_in_double:
        return pa.float64()
    return own


def coerce(table: pa.Table, hint: Hint) -> pa.Table:
    """Convert text columns to their declared temporal, binary or decimal types.

    Raises:
        SchemaError: A value does not fit; `row` counts from 1 within the table.
    """
    for index, field in enumerate(table.schema):
        wanted = hint(field.name)
        if wanted is None or wanted == field.type or not pa.types.is_string(field.type):
            continue
        if from_text(wanted):
            column = _convert(table.column(index), wanted, field.name)
            table = table.set_column(index, pa.field(field.name, wanted), column)
    return table


def _convert(column: pa.ChunkedArray, wanted: pa.DataType, name: str) -> pa.ChunkedArray:
    try:
        return _cast(column, wanted)
    except pa.ArrowInvalid:
        row = first_failure(len(column), lambda length: _casts(column.slice(0, length), wanted))
        what = f"{excerpt(column[row - 1].as_py())} is no {wanted}"
        raise SchemaError(what, column=name, row=row, hint=_HINT) from None


def _casts(column: pa.ChunkedArray, wanted: pa.DataType) -> bool:
    try:
        _cast(column, wanted)
    except pa.ArrowInvalid:
        return False
    return True


def _cast(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    if not pa.types.is_time(wanted):
        return pc.cast(column, wanted)
    try:
        times = [None if text is None else dt.time.fromisoformat(text) for text in column.to_pylist()]
    except ValueError as error:
        raise pa.ArrowInvalid(str(error)) from None
    return pa.chunked_array([pa.array(times, pa.time64("us")).cast(wanted)])


def is_text(kind: pa.DataType | None) -> bool:
    """Whether it is a type of text."""
    return kind is not None and (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _parsable(kind: pa.DataType) -> bool:
    return pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_float64(kind)


def _is_leaf(kind: pa.DataType) -> bool:
    return not pa.types.is_nested(kind) and not pa.types.is_null(kind)


def from_text(kind: pa.DataType) -> bool:
    """Whether values of the type are written as text in JSON and CSV."""
    return (
        pa.types.is_temporal(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_decimal(kind)
    )
