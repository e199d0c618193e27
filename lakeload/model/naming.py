"""Source names: what a column is called where it comes from, kept beside its name in the lake.

Every stage from normalize to commit passes `pyarrow` fields on, so a source name travels in the field's
metadata, and only when it differs from the name in the lake. Delta keeps it in the metadata of the logged
field, Iceberg in the field's `doc`.

| in the source | text under `lakeload.source` |
|---|---|
| a column or member `userId` | `userId` |
| a member `city` of `address`, moved to the top by flattening | `.address.city` |
| the same with a `.` or a backslash inside a part | a backslash before it |
| a name that is empty, or itself begins with `.` or a backslash | a backslash before it |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from lakeload.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

Policy: TypeAlias = Literal["snake_case", "preserve", "sql_safe"]
Naming: TypeAlias = Policy | Callable[[str], str]
"""How columns are named; a function must be one that `pickle` can carry to other processes."""

SOURCE = b"lakeload.source"
"""Field metadata: the source's name as text. Empty: somebody wrote over it, so it is not known any more."""
PATH = b"lakeload.path"
"""Metadata of an incoming field: names from the record down, as a JSON list, where flattening moved it."""
UNTYPED = b"lakeload.untyped"
"""Metadata of an incoming schema whose data has no types of its own: JSON and Python rows."""
TEXT_ONLY = b"lakeload.text"
"""Metadata of an incoming schema that is all text because its format knows nothing else, such as `csv`."""
SYSTEM = b"lakeload.system"
"""Metadata of an incoming field that lakeload made itself: its name is kept, reserved or not."""

HINTS = b"lakeload.hints"
"""Metadata of a schema that hints at columns of the data, each of which has to come. Other schemas declare
columns, which may come later."""

MAX_NAME_BYTES = 127
"""Longest name, in bytes of UTF-8: it fits wherever it may become a directory or an identifier."""
_SHORTEST, _LONGEST = 24, 255

_STEP = re.compile(r"\\(.)|(\.)|(.)", re.DOTALL)

Parts: TypeAlias = tuple[str, ...]


def checked_naming(naming: object) -> Naming:
    """The policy itself, if it is one.

    Raises:
        ConfigError: It is neither a known word nor a function.

    Example:
        >>> checked_naming("preserve")
        'preserve'
    """
    if callable(naming) or naming in get_args(Policy):
        return naming  # type: ignore[return-value]  # checked here
    raise ConfigError(
        f"{naming!r} is no way of naming columns",
        hint='Use "snake_case" (the default), "preserve", "sql_safe", or a function from text to text.',
    )


def checked_length(length: int) -> int:
    """The limit itself, if names of that length can be told apart and stored.

    Raises:
        ConfigError: It is not between 24 and 255 bytes.
    """
    if isinstance(length, bool) or not isinstance(length, int) or not _SHORTEST <= length <= _LONGEST:
        raise ConfigError(
            f"names cannot be limited to {length!r} bytes",
            hint=f"Use a whole number from {_SHORTEST} to {_LONGEST}; {MAX_NAME_BYTES} is the default.",
        )
    return length


def nearest(name: str, known: Iterable[str]) -> str:
    """A question for a hint: the names most like one that nothing answers to; empty when none is like it.

    Example:
        >>> nearest("totl", ["id", "total"])
        'Did you mean total?'
    """
    from difflib import get_close_matches

    by_lower = {other.lower(): other for other in reversed(list(known))}
    found = [by_lower[near] for near in get_close_matches(name.lower(), by_lower, n=3, cutoff=0.7)]
    return f"Did you mean {' or '.join(found)}?" if found else ""


def source_text(parts: Sequence[str]) -> str:
    """A source name as the one text that is kept of it; `source_parts` is the way back.

    Example:
        >>> source_text(["userId"]), source_text(["address", "city"])
        ('userId', '.address.city')
    """
    if len(parts) == 1:
        name = parts[0]
        return f"\\{name}" if not name or name[0] in ".\\" else name
    return "".join("." + part.replace("\\", "\\\\").replace(".", "\\.") for part in parts)


def source_parts(text: str) -> Parts:
    """The names from the record down: one, unless flattening moved the column.

    Example:
        >>> source_parts("user.id"), source_parts(".address.city")
        (('user.id',), ('address', 'city'))
    """
    if not text.startswith("."):
        return (text.removeprefix("\\"),)
    parts: list[str] = []
    for escaped, dot, plain in _STEP.findall(text):
        if dot:
            parts.append("")
        else:
            parts[-1] += escaped or plain
    return tuple(parts)


def source_of(field: pa.Field) -> str | None:
    """The kept text of a field's source name; `None` when none is kept, empty when it is not known."""
    found = (field.metadata or {}).get(SOURCE)
    return None if found is None else found.decode()


def incoming_parts(field: pa.Field) -> Parts:
    """Source name of an incoming field: where flattening took it from, else its own name."""
    raw = (field.metadata or {}).get(PATH)
    return (field.name,) if raw is None else tuple(json.loads(raw))


def source_metadata(parts: Parts, name: str) -> dict[bytes, bytes] | None:
    """Metadata that keeps a source name; `None` when the column is called the same in the lake."""
    return None if parts == (name,) else {SOURCE: source_text(parts).encode()}


def only_source(field: pa.Field) -> dict[bytes, bytes] | None:
    """What of a field's metadata goes into a table: its source name, if one is kept."""
    found = source_of(field)
    return None if found is None else {SOURCE: found.encode()}


def source_names(schema: pa.Schema) -> Mapping[str, str]:
    """What each column was called in its source; members of structs with dots between the names.

    Args:
        schema: A table's schema, such as `lake.table("sales").schema()`.

    Returns:
        Source name by column, for every column. A column somebody else made has its own name.

    Example:
        >>> import pyarrow as pa
        >>> kept = {"lakeload.source": "userId"}
        >>> source_names(pa.schema([pa.field("user_id", pa.int64(), metadata=kept), ("n", pa.int32())]))
        {'user_id': 'userId', 'n': 'n'}
    """
    from lakeload.model.schema import walk

    found: dict[str, str] = {}
    shown: dict[tuple[str, ...], str] = {}

    def visit(path: tuple[str, ...], field: pa.Field) -> None:
        text = source_of(field)
        own = ".".join(source_parts(text)) if text else field.name
        above = shown.get(path[:-1])
        shown[path] = own if above is None else f"{above}.{own}"
        found[".".join(path)] = shown[path]

    walk(schema, visit)
    return found
