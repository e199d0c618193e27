"""`Load → Changeset`: what has to happen to the table. Pure: nothing is read or written here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

from lakeload.errors import ConfigError
from lakeload.model.changes import (
    Changeset,
    Creation,
    Removal,
    RemoveAll,
    RemovePartitions,
    SchemaChange,
    Token,
)
from lakeload.model.files import DataFile
from lakeload.model.layout import Layout
from lakeload.model.mode import Overwrite, WriteMode
from lakeload.model.table import OWNER_PROPERTY, TableState


@dataclass(frozen=True, slots=True)
class Load:
    """What a pipeline hands over for one table.

    Args:
        table: Table name.
        mode: How the rows change the table.
        files: Data files, written and closed.
        schema: Columns after the load, with field ids.
        changes: How they differ from the table's.
        layout: Partitioning and sort order.
        load_id: Load id.
        properties: Properties of a table this load creates.
        moved: The position changed, so that there must be a commit to carry it, rows or not.
        keep: No row came that could replace those of the table, so they stay.
    """

    table: str
    mode: WriteMode
    files: tuple[DataFile, ...]
    schema: pa.Schema
    changes: tuple[SchemaChange, ...]
    layout: Layout
    load_id: str
    properties: Mapping[str, str] = field(default_factory=dict)
    moved: bool = False
    keep: bool = False


def plan(load: Load, state: TableState | None, token: Token) -> Changeset | None:
    """The change this load makes, or `None` when it makes none.

    A load without rows still creates a table whose schema is known, evolves one, and empties one whose rows
    it was told not to keep.

    Raises:
        ConfigError: Partitions of a table without partitions shall be overwritten.

    Example:
        >>> from lakeload.model.mode import Append
        >>> nothing = Load("t", Append(), (), pa.schema([]), (), Layout(), "id")
        >>> plan(nothing, None, Token("p", 1)) is None
        True
    """
    if state is None and not len(load.schema):
        return None
    removal = _removal(load, state)
    if state is not None and not (load.files or load.changes or removal or load.moved):
        return None
    changeset = Changeset(
        load_id=load.load_id,
        operation="overwrite" if removal else "append",
        schema=load.schema,
        add=load.files,
        remove=removal,
        schema_changes=load.changes,
        token=token,
        partition_by=load.layout.partition_by,
    )
    if state is None:
        properties = {**load.properties, OWNER_PROPERTY: "true"}
        return replace(changeset, create=Creation(load.layout, properties))
    return changeset


def _removal(load: Load, state: TableState | None) -> Removal | None:
    if state is None or not isinstance(load.mode, Overwrite) or load.keep:
        return None
    if load.mode.partitions is None:
        return RemoveAll()
    if not load.layout.partition_by:
        raise ConfigError(
            "only a partitioned table can have its partitions overwritten",
            table=load.table,
            hint="Use Overwrite() for the whole table.",
        )
    touched = frozenset(file.partition for file in load.files)
    return RemovePartitions(touched) if touched else None
