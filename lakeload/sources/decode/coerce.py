"""What declared types mean to decoders.

Part of extract. Rows and JSON are parsed as a type that loses nothing (`carrier`); what becomes of it is up
to the normalizer, which knows the table and its contract.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from lakeload.sources.decode.infer import Observed

Hint = Callable[[str], "pa.DataType | None"]
"""Type a top-level column must have, by its raw name, if known."""


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


def is_text(kind: pa.DataType | None) -> bool:
    """Whether it is a type of text."""
    return kind is not None and (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _parsable(kind: pa.DataType) -> bool:
    return pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_float64(kind)


def _is_leaf(kind: pa.DataType) -> bool:
    return not pa.types.is_nested(kind) and not pa.types.is_null(kind)
