"""`Changeset`: what every write reduces to, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

    from lakeload.model.files import DataFile, Value
    from lakeload.model.layout import Layout, PartitionField


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One change of a table's schema.

    Args:
        kind: `add` a column, `widen` its type, or `relax` it from required to optional.
        path: Names from the top-level column down; list elements are called `element`, map keys and
            values `key` and `value`.
        old: Type before; `None` for `add`.
        new: Type after, in storage types.
        cause: What asked for it, as `model.events.cause_text` words it; `None` when nobody said. No part of
            what the change is: two changes that differ in it are equal.
        source: For `add`: what the source calls the column, in the words of `model.naming.source_text`, if it
            differs from its name. Members inside `new` carry theirs in the metadata of their fields.
        rows: How many rows of the load ask for it; `None` when nobody counted. No part of it either.
    """

    kind: Literal["add", "widen", "relax"]
    path: tuple[str, ...]
    old: pa.DataType | None
    new: pa.DataType
    cause: str | None = field(default=None, compare=False)
    rows: int | None = field(default=None, compare=False)
    source: str | None = None

    def __str__(self) -> str:
        name = ".".join(self.path)
        match self.kind:
            case "add":
                return f"added {name} {self.new}"
            case "widen":
                return f"widened {name} {self.old} → {self.new}"
            case _:
                return f"made {name} optional"


@dataclass(frozen=True, slots=True)
class Token:
    """Position of a pipeline: the sequence number of its load, starting at 1."""

    pipeline: str
    sequence: int


@dataclass(frozen=True, slots=True)
class RemoveAll:
    """Remove every live file, whatever they are at the moment of the commit."""


@dataclass(frozen=True, slots=True)
class RemovePartitions:
    """Remove every live file of these partitions (values as in `DataFile.partition`)."""

    partitions: frozenset[tuple[Value | None, ...]]


@dataclass(frozen=True, slots=True)
class RemoveFiles:
    """Remove exactly these files (paths as in `LiveFile.path`); a conflict when one is gone."""

    paths: frozenset[str]


Removal: TypeAlias = RemoveAll | RemovePartitions | RemoveFiles


@dataclass(frozen=True, slots=True)
class Creation:
    """What a table that does not exist yet shall be."""

    layout: Layout
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changeset:
    """One atomic change of one table.

    Args:
        load_id: The load this belongs to; recorded in the commit.
        operation: `append` adds rows, `overwrite` replaces rows, `replace` rewrites files and changes no row.
        schema: Columns after the change, with field ids: exactly those the added files were written with.
        add: Files to add.
        remove: Files to remove.
        schema_changes: How `schema` differs from the table's; empty when it does not.
        create: Set when the table is expected not to exist.
        token: Recorded with the commit; `None` for changes that carry no position (folding).
        partition_by: Partition fields the values in `add` and `remove` belong to.
        properties: Properties to set on an existing table.
    """

    load_id: str
    operation: Literal["append", "overwrite", "replace"]
    schema: pa.Schema
    add: tuple[DataFile, ...] = ()
    remove: Removal | None = None
    schema_changes: tuple[SchemaChange, ...] = ()
    create: Creation | None = None
    token: Token | None = None
    partition_by: tuple[PartitionField, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Committed:
    """The change is visible to readers as this version."""

    version: int | None


@dataclass(frozen=True, slots=True)
class Conflict:
    """The table moved on since `base`; nothing was published. Reload and decide again."""

    reason: str


@dataclass(frozen=True, slots=True)
class AlreadyApplied:
    """The table already carries the change's token; nothing was published."""

    version: int | None


CommitResult: TypeAlias = Committed | Conflict | AlreadyApplied
