"""What a field says about itself besides its name and type. Shared by all exports."""

from __future__ import annotations

import pyarrow as pa

SOURCE = b"lakeload.source"
"""Field metadata: the column's name in the source, where it differs."""


def source_name(field: pa.Field) -> str | None:
    """The column's name in the source; `None` when it is the column's own.

    Example:
        >>> source_name(pa.field("user_id", pa.int64(), metadata={"lakeload.source": "userId"}))
        'userId'
    """
    raw = (field.metadata or {}).get(SOURCE)
    found = None if raw is None else raw.decode("utf-8", "replace")
    return None if found == field.name else found


def description(field: pa.Field) -> str | None:
    """One line about the column for people; `None` when there is nothing to say.

    Example:
        >>> description(pa.field("user_id", pa.int64(), metadata={"lakeload.source": "userId"}))
        'userId in the source'
    """
    name = source_name(field)
    return None if name is None else f"{' '.join(name.split())} in the source"
