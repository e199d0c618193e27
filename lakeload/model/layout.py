"""How a table is laid out: partitioning and sort order.

Partition transforms are those of the Iceberg specification, section "Partition Transforms".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from lakeload.errors import ConfigError

Transform: TypeAlias = Literal["identity", "year", "month", "day", "hour", "bucket", "truncate"]
TRANSFORMS: tuple[str, ...] = get_args(Transform)

_CALL = re.compile(r"^\s*(?P<name>[a-z]+)\s*\(\s*(?:(?P<param>\d+)\s*,\s*)?(?P<source>[^,()]+?)\s*\)\s*$")


@dataclass(frozen=True, slots=True)
class PartitionField:
    """One partition column: a source column and the transform applied to it.

    Args:
        source: Column name, top level, as stored in the table.
        transform: One of `TRANSFORMS`.
        param: Number of buckets, or truncation width; `None` for the other transforms.
        alias: Name of the partition field, when a table made elsewhere calls it something else.

    Example:
        >>> PartitionField.parse("bucket(16, user_id)").name
        'user_id_bucket'
    """

    source: str
    transform: Transform = "identity"
    param: int | None = None
    alias: str | None = None

    @property
    def name(self) -> str:
        """Name of the partition field; for Delta also the name of its generated column."""
        if self.alias is not None:
            return self.alias
        if self.transform == "identity":
            return self.source
        suffix = "trunc" if self.transform == "truncate" else self.transform
        return f"{self.source}_{suffix}"

    @classmethod
    def parse(cls, text: str) -> PartitionField:
        """Read `"country"`, `"day(created_at)"`, `"bucket(16, id)"` or `"truncate(4, zip)"`.

        Raises:
            ConfigError: The text is not one of these forms.
        """
        match = _CALL.match(text)
        if match is None:
            if "(" in text or not text.strip():
                raise _bad_partition(text)
            return cls(text.strip())
        name, param = match["name"], match["param"]
        width = int(param) if param else None
        if name not in TRANSFORMS or (name in ("bucket", "truncate")) != bool(width) or param == "0":
            raise _bad_partition(text)
        return cls(match["source"], name, width)  # type: ignore[arg-type]  # checked above

    def __str__(self) -> str:
        if self.transform == "identity":
            return self.source
        return f"{self.transform}({f'{self.param}, ' if self.param is not None else ''}{self.source})"


def _bad_partition(text: str) -> ConfigError:
    return ConfigError(
        f"cannot read the partition field {text!r}",
        hint="Write a column, or year(c), month(c), day(c), hour(c), bucket(16, c), truncate(4, c).",
    )


@dataclass(frozen=True, slots=True)
class SortField:
    """One column of the sort order within a file. Nulls come first when ascending, last when descending.

    Example:
        >>> SortField.parse("created_at desc")
        SortField(column='created_at', descending=True)
    """

    column: str
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> SortField:
        """Read `"column"`, `"column asc"` or `"column desc"`.

        Raises:
            ConfigError: The text is not one of these forms.
        """
        column, _, order = text.strip().rpartition(" ")
        if order.lower() in ("asc", "desc") and column:
            return cls(column.strip(), order.lower() == "desc")
        if not text.strip():
            raise ConfigError("a sort column has no name", hint='Write "column" or "column desc".')
        return cls(text.strip())

    def __str__(self) -> str:
        return f"{self.column} desc" if self.descending else self.column


@dataclass(frozen=True, slots=True)
class Layout:
    """Partitioning and sort order of a table."""

    partition_by: tuple[PartitionField, ...] = ()
    sort_by: tuple[SortField, ...] = ()

    @classmethod
    def parse(cls, partition_by: str | Iterable[str] = (), sort_by: str | Iterable[str] = ()) -> Layout:
        """Read the forms users write, a single string or several.

        Raises:
            ConfigError: One of them cannot be read.
        """
        partitions = (partition_by,) if isinstance(partition_by, str) else partition_by
        sorts = (sort_by,) if isinstance(sort_by, str) else sort_by
        return cls(
            tuple(PartitionField.parse(text) for text in partitions),
            tuple(SortField.parse(text) for text in sorts),
        )
