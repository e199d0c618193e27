"""The logical table: what a resource declares, and what a table is found to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from lakeload.errors import ConfigError
from lakeload.model.contract import Contract
from lakeload.model.layout import Layout
from lakeload.model.mode import Append, WriteMode
from lakeload.model.naming import MAX_NAME_BYTES, Naming
from lakeload.model.nesting import Nesting

if TYPE_CHECKING:
    import datetime as dt

    import pyarrow as pa

    from lakeload.model.cursor import Cursor
    from lakeload.model.rules import Rule

LOAD_ID = "_lakeload_id"
LOADED_AT = "_lakeload_at"
LOAD_COLUMNS = (LOAD_ID, LOADED_AT)

ROW_ID = "_lakeload_row_id"
"""Identifies a row of a table with child tables, or of a child table."""
PARENT_ID = "_lakeload_parent_id"
"""In a child table: the `_lakeload_row_id` of the row the list was in."""
ROOT_ID = "_lakeload_root_id"
"""In a child table: the `_lakeload_row_id` of the row of the resource's own table."""
INDEX = "_lakeload_index"
"""In a child table: position in the list, from 0."""
SYSTEM_COLUMNS = (*LOAD_COLUMNS, ROW_ID, PARENT_ID, ROOT_ID, INDEX)

OWNER_PROPERTY = "lakeload.created"
"""Set to `"true"` on tables lakeload created; their schema and layout are ours to evolve."""
PARTITION_PROPERTY = "lakeload.partition-by"
"""Delta: the partition fields as JSON list of texts, because Delta records only columns."""
SORT_PROPERTY = "lakeload.sort-by"
"""The sort order as JSON list of texts (Delta; Iceberg has a sort order of its own)."""
PARENT_PROPERTY = "lakeload.parent-table"
"""On child and quarantine tables: the table of the resource."""
PATH_PROPERTY = "lakeload.parent-path"
"""On child tables: where their rows are in the rows of the resource, as JSON list of source names."""
QUARANTINE = "__quarantine"
"""Ends the name of the table that rejected rows of a table are kept in."""
TARGET_SIZE_PROPERTY = "write.target-file-size-bytes"
"""Per-table target size in bytes. Delta spells it `delta.targetFileSize`."""

Encoding: TypeAlias = Literal["compat", "modern"]
"""How values are encoded in Parquet; `write.encode` says what the words mean."""


def checked_encoding(text: object) -> Encoding:
    """The word itself, if it is one.

    Raises:
        ConfigError: It is something else.

    Example:
        >>> checked_encoding("modern")
        'modern'
    """
    if text not in get_args(Encoding):
        raise ConfigError(f"{text!r} is no encoding", hint='Use "compat" (the default) or "modern".')
    return text  # type: ignore[return-value]  # checked above


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What a resource wants its table to be.

    Args:
        name: Table name as the user gave it.
        schema: Hints by column: types (and nullability) that win over what is inferred. May be partial.
        primary_key: Columns that identify a row; ids of rows in child tables are made of them.
        layout: Partitioning and sort order, used when the table is created.
        mode: How a load changes the table.
        cursor: Incremental column.
        load_columns: Add `_lakeload_id` and `_lakeload_at` to a table this load creates.
        target_file_size: Bytes; `None` takes the table's own property, then the default of 128 MiB.
        encoding: How the files of this load, and those folded after it, are encoded.
        fold: Fold small files after the load.
        properties: Table properties set when the table is created.
        nesting: What becomes of objects and lists.
        contract: What may change in the table; completed by the pipeline's and the run's.
        rules: What every row must meet; in the table's column names.
        naming: How columns are named: `snake_case`, `preserve`, `sql_safe`, or a function from the source's
            name to the lake's that `pickle` can carry.
        max_name_length: Longest column name, in bytes of UTF-8.
        detect_dates: Whether columns of text in JSON and Python rows that hold nothing but ISO 8601 dates or
            timestamps become such columns.
    """

    name: str
    schema: pa.Schema | None = None
    primary_key: tuple[str, ...] = ()
    layout: Layout = field(default_factory=Layout)
    mode: WriteMode = field(default_factory=Append)
    cursor: Cursor | None = None
    load_columns: bool = True
    target_file_size: int | None = None
    encoding: Encoding = "compat"
    fold: bool = True
    properties: Mapping[str, str] = field(default_factory=dict)
    nesting: Nesting = field(default_factory=Nesting)
    contract: Contract = field(default_factory=Contract)
    rules: tuple[Rule, ...] = ()
    detect_dates: bool = True
    naming: Naming = "snake_case"
    max_name_length: int = MAX_NAME_BYTES


@dataclass(frozen=True, slots=True)
class TableState:
    """One version of a table, as read: immutable, cheap to keep, the base a commit is compared with.

    Args:
        version: Delta version, or Iceberg snapshot id (`None`: an Iceberg table without a snapshot).
        schema: Columns with `PARQUET:field_id` in every field's metadata, nested ones included.
            Generated partition columns of Delta are not part of it.
        last_column_id: Largest field id ever used.
        layout: Partitioning and sort order new files must follow.
        properties: Table properties.
        sequences: Last committed sequence number of every pipeline that wrote here.
        handle: The format library's own object, for the format's module alone.
        sides: The states by format behind a table published in both; one is missing while the creation
            of the table is unfinished. Empty for a table of one format.
    """

    version: int | None
    schema: pa.Schema
    last_column_id: int
    layout: Layout
    properties: Mapping[str, str]
    sequences: Mapping[str, int]
    handle: Any = None
    sides: Mapping[str, TableState] = field(default_factory=dict)

    @property
    def owned(self) -> bool:
        """True when lakeload created the table."""
        return self.properties.get(OWNER_PROPERTY) == "true"


@dataclass(frozen=True, slots=True)
class Version:
    """One entry of a table's history.

    Args:
        version: Delta version or Iceberg snapshot id.
        at: When it was committed, UTC.
        operation: `append`, `overwrite`, `replace` (no rows changed), `create`, or another engine's word.
        load_id: lakeload's load id; `None` for commits of others.
        summary: The remaining facts the log keeps, as text.
    """

    version: int
    at: dt.datetime
    operation: str
    load_id: str | None = None
    summary: Mapping[str, str] = field(default_factory=dict)
