"""`Load → Changeset`: what has to happen to the table. Pure: nothing is read or written here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

from lakeload.errors import ConfigError, SchemaError
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
        ConfigError: Partitions of a table without any shall be overwritten, or a field is given twice.
        SchemaError: Two columns, or a column and a partition field, have one name.

    Example:
        >>> from lakeload.model.mode import Append
        >>> nothing = Load("t", Append(), (), pa.schema([]), (), Layout(), "id")
        >>> plan(nothing, None, Token("p", 1)) is None
        True
    """
    if state is None and not len(load.schema):
        return None
    _check_names(load, state)
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


def _check_names(load: Load, state: TableState | None) -> None:
    """Refuse now what no format could publish, before the load is recorded."""
    there = set() if state is None else {name.casefold() for name in state.schema.names}
    taken = dict[str, str]()
    for name in load.schema.names:
        other = taken.setdefault(name.casefold(), name)
        if other is not name and name.casefold() not in there:
            raise SchemaError(
                f"two columns differ only in upper and lower case: {other} and {name}",
                table=load.table,
                column=name,
                hint="Rename one of them.",
            )
    fields = set[str]()
    for partition in load.layout.partition_by:
        name = partition.name.casefold()
        if state is None and name in fields:
            raise ConfigError(
                f"the table would be partitioned by {partition} twice",
                table=load.table,
                hint="Leave out the partition field that is given twice.",
            )
        fields.add(name)
        if partition.transform != "identity" and name in taken and name not in there:
            raise SchemaError(
                f"the column has the name of the partition field {partition}",
                table=load.table,
                column=taken[name],
                hint="Rename the column in the source, or partition by another one.",
            )


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
