"""A `Changeset` as entries of Delta's log: what to write, decided without writing anything.

Part of commit. One writer and one rule for everything: creation, schema change, files and the pipeline's
position become the lines of one JSON entry, so that a reader sees all of them or none (Delta protocol,
section "Actions").
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import pyarrow as pa

from lakeload import __version__
from lakeload.errors import TableError
from lakeload.formats.delta_definition import changed, created
from lakeload.formats.delta_features import check_removal
from lakeload.formats.delta_log import Action, LogFile
from lakeload.formats.delta_partition import PartitionColumn, contradiction, partition_columns
from lakeload.formats.delta_state import APP_ID, View
from lakeload.formats.delta_stats import indexed_columns, stats_json
from lakeload.model.changes import Changeset, RemoveAll, RemoveFiles, RemovePartitions
from lakeload.model.files import ColumnPath, DataFile

LOAD_ID_KEY = "lakeload.load-id"
OPERATION_KEY = "lakeload.operation"


class Gone(Exception):  # noqa: N818 - an outcome on its way to `Conflict`, no error
    """A file to remove is not live any more."""


def plan(changeset: Changeset, base: View | None, *, table: str, at: int) -> list[Action]:
    """The actions of the commit, `commitInfo` first; none when nothing would change.

    Args:
        changeset: The change.
        base: The table as it is; `None` to create it.
        table: Table name for messages.
        at: Time of the commit, milliseconds since the epoch.

    Raises:
        TableError: The change is not possible in Delta, or not on this table.
        SchemaError: A column cannot be stored.
        Gone: A file to remove is not there.
    """
    removed = _removed(changeset, base)
    if base:
        _check_removed(changeset, base, removed, table)
    definition = changed(changeset, base, table=table) if base else created(changeset, table=table, at=at)
    # A position without rows is a change too: that of a load whose rows were all put aside.
    moves = changeset.token is not None and changeset.remove is None
    if not (definition or removed or changeset.add or moves):
        return []
    files = _files_in(changeset, base, definition, table)
    actions = [_commit_info(changeset, base, files.columns, len(removed), at), *definition]
    if changeset.token:
        token = {"appId": APP_ID + changeset.token.pipeline, "version": changeset.token.sequence}
        actions.append({"txn": {**token, "lastUpdated": at}})
    rows_change = changeset.operation != "replace"
    actions.extend(_remove(file, rows_change=rows_change, at=at) for file in removed)
    present = set(base.snapshot.files) if base else set()
    for file in changeset.add:
        files.check(file, present)
        present.add(file.path)
        actions.append(files.add(file, rows_change=rows_change, at=at))
    return actions


def _removed(changeset: Changeset, base: View | None) -> list[LogFile]:
    files = base.snapshot.files if base else {}
    match changeset.remove:
        case None:
            return []
        case RemoveAll():
            return list(files.values())
        case RemovePartitions(partitions):
            live = base.files() if base else ()
            return [files[file.path] for file in live if file.partition in partitions]
        case RemoveFiles(paths):
            gone = sorted(paths - files.keys())
            if gone:
                raise Gone(gone[0])
            return [files[path] for path in sorted(paths)]


def _check_removed(changeset: Changeset, base: View, removed: Sequence[LogFile], table: str) -> None:
    if removed:
        check_removal(base.properties, changes_rows=changeset.operation != "replace", table=table)
    left = len(base.snapshot.files) - len(removed)
    for change in changeset.schema_changes:
        if change.kind == "widen" and left:
            raise TableError(
                f"the column cannot become {change.new} while {left} files hold it as {change.old}",
                table=table,
                column=".".join(change.path),
                hint="Delta changes a type only together with every file; rewrite or replace them all.",
            )


def _remove(file: LogFile, *, rows_change: bool, at: int) -> Action:
    found: Action = {
        "path": file.raw,
        "deletionTimestamp": at,
        "dataChange": rows_change,
        "extendedFileMetadata": True,
        "partitionValues": file.partition,
        "size": file.size,
    }
    if file.vector:
        # The file and its deletion vector are one entry of the log; removing only half removes nothing.
        found["deletionVector"] = file.vector
    return {"remove": found}


@dataclass(frozen=True, slots=True)
class _FilesIn:
    """How the table takes new files: its columns after the change."""

    schema: pa.Schema
    columns: Sequence[PartitionColumn]
    indexed: Sequence[ColumnPath]
    table: str

    def check(self, file: DataFile, present: set[str]) -> None:
        """Refuse what the log would accept and readers could not read."""
        what = None
        if file.path in present:
            what = "a file to add is in the table already"
        elif len(file.partition) != len(self.columns):
            what = f"a file has {len(file.partition)} partition values, the table has {len(self.columns)}"
        elif file.size < 1 or file.rows < 0:
            what = "a file to add has no size"
        if what:
            raise TableError(what, table=self.table, place=file.path, hint="Run the load again.")
        for field in self.schema:
            found = file.stats.get((field.name,))
            if not field.nullable and found and found.nulls:
                raise TableError(
                    f"the column must not be null, and {found.nulls} rows are",
                    table=self.table,
                    column=field.name,
                    place=file.path,
                    hint="Fill the nulls, or make the column optional.",
                )

    def add(self, file: DataFile, *, rows_change: bool, at: int) -> Action:
        """The `add` action."""
        pairs = zip(self.columns, file.partition, strict=True)
        values = {column.name: column.encode(value) for column, value in pairs}
        wrong = contradiction(file.path, values)
        if wrong:
            raise TableError(
                f"the folder {wrong} tells another partition value than {values[wrong.split('=')[0]]!r}",
                table=self.table,
                place=file.path,
                hint="Readers that take values from paths would be misled; name the folder otherwise.",
            )
        return {
            "add": {
                "path": quote(file.path, safe="/="),
                "partitionValues": values,
                "size": file.size,
                "modificationTime": at,
                "dataChange": rows_change,
                "stats": stats_json(file, self.indexed),
            }
        }


def _files_in(changeset: Changeset, base: View | None, definition: Sequence[Action], table: str) -> _FilesIn:
    if base is None:
        fields = changeset.create.layout.partition_by if changeset.create else ()
    else:
        fields = base.layout.partition_by
    if changeset.partition_by and changeset.add and changeset.partition_by != fields:
        raise TableError(
            "the files are partitioned in another way than the table",
            table=table,
            hint="The table was partitioned anew after the files were written; run the load again.",
        )
    schema = changeset.schema if base is None or changeset.schema_changes else base.schema
    columns = partition_columns(fields, schema, table=table)
    indexed = indexed_columns(schema, [column.name for column in columns], _properties(definition, base))
    return _FilesIn(schema, columns, indexed, table)


def _properties(definition: Sequence[Action], base: View | None) -> Mapping[str, str]:
    for action in definition:
        if "metaData" in action:
            found: Mapping[str, str] = action["metaData"]["configuration"]
            return found
    return base.properties if base else {}


def _commit_info(
    changeset: Changeset, base: View | None, columns: Sequence[PartitionColumn], removed: int, at: int
) -> Action:
    info: Action = {
        "timestamp": at,
        "operation": _operation(changeset, base, removed),
        "operationParameters": {
            "mode": "Overwrite" if changeset.operation == "overwrite" else "Append",
            "partitionBy": json.dumps([column.name for column in columns]),
        },
        "operationMetrics": {
            "numFiles": str(len(changeset.add)),
            "numRemovedFiles": str(removed),
            "numOutputRows": str(sum(file.rows for file in changeset.add)),
            "numOutputBytes": str(sum(file.size for file in changeset.add)),
        },
        "engineInfo": f"lakeload/{__version__}",
        "isBlindAppend": changeset.operation == "append" and not removed,
        "txnId": str(uuid.uuid4()),
        LOAD_ID_KEY: changeset.load_id,
        OPERATION_KEY: changeset.operation,
    }
    if base:
        info["readVersion"] = base.snapshot.version
    return {"commitInfo": info}


def _operation(changeset: Changeset, base: View | None, removed: int) -> str:
    if changeset.operation == "replace":
        return "OPTIMIZE"
    if changeset.add or removed:
        return "WRITE"
    if base is None:
        return "CREATE TABLE"
    return "CHANGE COLUMN" if changeset.schema_changes else "SET TBLPROPERTIES"
