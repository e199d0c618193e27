"""Widen columns of a Delta table that has rows: rewrite its files, in a commit that changes no row.

The Delta protocol lets a column's type change only together with every file that holds it, unless the
type-widening feature is on, which few readers know. So the live files are rewritten with the wider type
and swapped in one commit with `dataChange=false`. Iceberg promotes types in place and needs none of this;
a table in both formats takes the new files in both, so that the two go on sharing them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from lakeload.errors import ConflictError, SchemaError, TableError
from lakeload.model.changes import Changeset, Conflict, RemoveFiles, SchemaChange
from lakeload.model.evolution import evolved, find, same_type
from lakeload.model.files import DataFile, LiveFile
from lakeload.model.protocols import Table
from lakeload.model.table import TableState
from lakeload.write.rewrite import rewrite_live
from lakeload.write.store import Store
from lakeload.write.writer import WriteOptions

_ATTEMPTS = 5
_KEPT = ("identity", "truncate")


def widen_files(
    table: Table,
    delta: Table,
    store: Store,
    changes: tuple[SchemaChange, ...],
    options: WriteOptions,
    *,
    written: pa.Schema,
) -> None:
    """Give the table the wider types; idempotent, and invisible in the rows.

    A table published in both formats gets the new files in both, so that they go on sharing them. Should
    the run die between the two, Iceberg keeps its narrower files, which it may, and promotes the type
    with the load.

    Args:
        table: The table, in Delta or in both formats.
        delta: Its Delta side, or the same table.
        store: Rooted at the table.
        changes: Schema changes of the load; those that do not widen are left for the load's own commit.
        options: How to write the new files.
        written: Schema of the load's files, with the ids of what an object became when it became a map.

    Raises:
        ConflictError: Other writers kept changing the table, or its columns.
        SchemaError: A value of the table does not survive, or a partition column would change.
        TableError: Some rows are marked deleted, or files lie outside the table.
    """
    for _ in range(_ATTEMPTS):
        state = table.load()
        side = state.sides.get("delta", state) if state else None
        pending = _pending(changes, side) if side else ()
        if state is None or side is None or not pending:
            return
        _check_partitions(table.name, state, pending)
        schema = evolved(state, pending, written, table=table.name)
        files = _files(delta, side, pending)
        layout = replace(options, layout=state.layout)
        added = _rewritten(table.name, store, files, (state.schema, schema), layout) if files else ()
        changeset = Changeset(
            load_id=options.load_id,
            operation="replace",
            schema=schema,
            add=tuple(added),
            remove=RemoveFiles(frozenset(file.path for file in files)),
            schema_changes=pending,
            partition_by=state.layout.partition_by,
        )
        if not isinstance(table.commit(changeset, state), Conflict):
            return
        for file in added:
            store.delete(file.path)
    raise ConflictError(
        "other writers kept changing the table while its columns were widened",
        table=table.name,
        hint="Run again when fewer writers are at work.",
    )


def _rewritten(
    table: str,
    store: Store,
    files: Sequence[LiveFile],
    schemas: tuple[pa.Schema, pa.Schema],
    options: WriteOptions,
) -> Sequence[DataFile]:
    before, after = schemas
    try:
        return rewrite_live(store, files, after, options, before=before)
    except SchemaError as error:  # integers beyond 2**53 in a column to be double, say
        error.table = error.table or table
        error.hint = error.hint or "Hint the column as string with schema=, or correct the new rows."
        raise


def _check_partitions(table: str, state: TableState, pending: tuple[SchemaChange, ...]) -> None:
    """Delta keeps the values of these partitions as text in the type they have."""
    kept = {field.source for field in state.layout.partition_by if field.transform in _KEPT}
    for change in pending:
        whole = change.old == pa.int32() and change.new == pa.int64()
        truncated = any(
            f.transform == "truncate" and f.source in change.path for f in state.layout.partition_by
        )
        if change.path[0] in kept and (truncated or not whole):
            raise SchemaError(
                f"a Delta table is partitioned by the column, so it cannot become {change.new}",
                table=table,
                column=".".join(change.path),
                hint="Cast it in the source, or load into a new table.",
            )


def _pending(changes: tuple[SchemaChange, ...], state: TableState) -> tuple[SchemaChange, ...]:
    found = []
    for change in changes:
        field = find(state.schema, change.path)
        if change.kind == "widen" and field is not None and not same_type(field.type, change.new):
            found.append(change)
    return tuple(found)


def _files(table: Table, state: TableState, pending: tuple[SchemaChange, ...]) -> Sequence[LiveFile]:
    files = table.files(state)
    if any(file.deletes or "://" in file.path or file.path.startswith("/") for file in files):
        raise TableError(
            "the column cannot be widened: rows are marked deleted, or files lie outside the table",
            table=table.name,
            column=".".join(pending[0].path),
            hint="Run OPTIMIZE or VACUUM with the engine that owns the table, or load into a new column.",
        )
    return files
