"""What an earlier run has learned, read back from a schema: the second run infers nothing.

Part of extract. A decoder that is told the table's columns begins with them, and decodes the first row the
fast way. Types come back as the kinds of values they were made from; where a type does not say how the source
spells its values, nothing is known and the first batch shows.
"""

from __future__ import annotations

import pyarrow as pa

from lakeload.model.nesting import Nesting
from lakeload.model.types import is_list
from lakeload.sources.decode.infer import Observed


def seeded(known: pa.Schema | None, nesting: Nesting, *, text_only: bool = False) -> Observed:
    """Observations that have the types of a schema.

    Integers of any size are integers, all floats are doubles; text may be the text of mixed values and is
    just text. Dates, times, timestamps and bytes may be spelled as text or be values of their own.

    Args:
        known: Columns as they were decoded before, in the source's names; `None` for nothing.
        nesting: Paths kept as text or maps, depth of types, and how many keys make a map.
        text_only: The source has no dates, times or bytes, as JSON: such columns are text there. Otherwise
            nothing is known of them.

    Example:
        >>> str(seeded(pa.schema([("id", pa.int32())]), Nesting()).type())
        'struct<id: int64>'
    """
    root = Observed(nesting)
    if known is not None:
        _seed(root, pa.struct(list(known)), text_only=text_only)
    return root


def _seed(seen: Observed, kind: pa.DataType, *, text_only: bool) -> None:
    if pa.types.is_nested(kind):
        if seen.is_text:
            seen.kinds.add("json")
        else:
            _seed_nested(seen, kind, text_only=text_only)
        return
    if pa.types.is_decimal(kind):
        # The digits before the point are learned from the values: all 38 would leave none behind it.
        seen.kinds.add("decimal")
        seen.scale = max(0, kind.scale)
        return
    for test, name in _LEAVES:
        if test(kind):
            seen.kinds.add(name)
            return
    if text_only and (pa.types.is_temporal(kind) or pa.types.is_binary(kind)):
        seen.kinds.add("string")


def _seed_nested(seen: Observed, kind: pa.DataType, *, text_only: bool) -> None:
    if pa.types.is_struct(kind):
        seen.kinds.add("struct")
        for field in kind:
            _seed(seen.member(field.name), field.type, text_only=text_only)
    elif pa.types.is_map(kind):
        _seed(seen.to_map(), kind.item_type, text_only=text_only)
    elif is_list(kind):
        seen.kinds.add("list")
        _seed(seen.element(), kind.value_type, text_only=text_only)


_LEAVES = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "number"),
    (pa.types.is_string, "string"),
    (pa.types.is_large_string, "string"),
    (pa.types.is_string_view, "string"),
)
