"""Types of columns in few words: what events, exports and the command line call them.

Part of the model, below every stage. The words are those pipeline files use (`docs/concepts/schema.md`), so
what a message shows can be written back as a hint.
"""

from __future__ import annotations

import pyarrow as pa

from lakeload.model.schema import children

MEMBERS_SHOWN = 8
"""Members of a struct a text lists before it counts the rest."""

_WORDS: dict[pa.DataType, str] = {
    pa.float32(): "float32",
    pa.float64(): "float64",
    pa.date32(): "date",
    pa.time64("us"): "time",
    pa.timestamp("us"): "timestamp_ntz",
    pa.timestamp("us", "UTC"): "timestamp",
}


def type_text(kind: pa.DataType, *, members: int | None = MEMBERS_SHOWN) -> str:
    """The type in the words of pipeline files.

    Args:
        kind: A storage type; of any other type Arrow's own words are used.
        members: Members of a struct that are listed at most; `None` lists all.

    Returns:
        Such as `int64`, `decimal(10, 2)`, `timestamp` (an instant), `timestamp_ntz` (without zone),
        `list<string>`, `map<string, int64>`, `struct<a: int64, b: string>`.

    Example:
        >>> type_text(pa.list_(pa.struct([("at", pa.timestamp("us", "UTC")), ("n", pa.int64())])))
        'list<struct<at: timestamp, n: int64>>'
        >>> type_text(pa.struct([(name, pa.int32()) for name in "abc"]), members=1)
        'struct<a: int32, … 2 more>'
    """
    if kind in _WORDS:
        return _WORDS[kind]
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision}, {kind.scale})"
    inner = children(kind)
    if pa.types.is_struct(kind):
        shown = inner if members is None else inner[:members]
        texts = [f"{field.name}: {type_text(field.type, members=members)}" for field in shown]
        rest = len(inner) - len(shown)
        return f"struct<{', '.join([*texts, *([f'… {rest} more'] if rest else [])])}>"
    if not inner:
        return str(kind)
    word = "map" if pa.types.is_map(kind) else "list"
    return f"{word}<{', '.join(type_text(field.type, members=members) for field in inner)}>"
