"""What a field says about itself besides its name and type. Shared by all exports."""

from __future__ import annotations

import pyarrow as pa

from lakeload.model.naming import source_of, source_parts


def source_path(field: pa.Field) -> tuple[str, ...] | None:
    """The column's name in the source, where it is another; several names when flattening moved it.

    Example:
        >>> source_path(pa.field("user_id", pa.int64(), metadata={"lakeload.source": "userId"}))
        ('userId',)
        >>> source_path(pa.field("home__zip", pa.string(), metadata={"lakeload.source": ".home.zip"}))
        ('home', 'zip')
    """
    text = source_of(field)
    if not text:  # empty: another engine wrote over it
        return None
    found = source_parts(text)
    return None if found == (field.name,) else found


def description(field: pa.Field) -> str | None:
    """One line about the column for people; `None` when there is nothing to say.

    Example:
        >>> description(pa.field("user_id", pa.int64(), metadata={"lakeload.source": "userId"}))
        'userId in the source'
    """
    path = source_path(field)
    return None if path is None else f"{' '.join('.'.join(path).split())} in the source"
