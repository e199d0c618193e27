"""What a catalog says of a Delta table: a name that points to a location.

A Delta table is whole without a catalog; engines that know tables by name need an entry for it. The table's
own log stays the truth: an entry is derived from it after every load, and may be behind it, never ahead.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a catalog.

    Args:
        location: Root of the table, as the catalog spells it.
        columns: Names and types of the columns in table order, in the catalog's own language of types.
        partition_by: Names of the partition columns.
        provider: What the entry says the table is: `delta`, or another word for a foreign one.

    Example:
        >>> Entry("s3://lake/default/events", (("id", "bigint"),)).provider
        'delta'
    """

    location: str
    columns: tuple[tuple[str, str], ...] = ()
    partition_by: tuple[str, ...] = field(default=())
    provider: str = "delta"


def plain(location: str) -> str:
    """A location spelled one way: `s3://`, no `file:`, no slash at the end.

    Example:
        >>> plain("s3a://lake/default/events/"), plain("file:///lake/t")
        ('s3://lake/default/events', '/lake/t')
    """
    found = location.rstrip("/")
    if found.startswith("file:"):
        return "/" + found.removeprefix("file:").lstrip("/")
    scheme, divider, rest = found.partition("://")
    return f"s3://{rest}" if divider and scheme in ("s3a", "s3n") else found
