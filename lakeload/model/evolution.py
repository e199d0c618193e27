"""Replaying schema changes on a table that may have moved on since they were planned.

A load plans its changes against one version of a table and publishes them against another. What somebody
else already did is skipped, what is still missing is applied, and anything else is a conflict: data files
are stamped with field ids, so a column of the same name with another id is not the same column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from lakeload.errors import ConflictError
from lakeload.model.changes import Changeset, SchemaChange
from lakeload.model.naming import source_of, source_text
from lakeload.model.schema import FIELD_ID, apply_changes, children, field_id, walk, with_children
from lakeload.model.table import TableState


def find(schema: pa.Schema, path: Sequence[str]) -> pa.Field | None:
    """The field at a path of logical names, or `None`.

    Example:
        >>> find(pa.schema([("a", pa.list_(pa.int32()))]), ("a", "element")).type
        DataType(int32)
    """
    # Of thousands of columns the schema knows the place.
    top = schema.get_field_index(path[0]) if path else -1
    fields = [schema.field(top)] if top >= 0 else []
    found = None
    for name in path:
        found = next((field for field in fields if field.name == name), None)
        if found is None:
            return None
        fields = children(found.type)
    return found


def rebase(changeset: Changeset, state: TableState | None, *, table: str) -> Changeset:
    """The changeset as it must be published on `state`.

    Args:
        changeset: Planned against an earlier version, or for a table that did not exist.
        state: The version it will be published on; `None` when the table does not exist.
        table: Table name, for messages.

    Raises:
        ConflictError: The newer version contradicts the plan: a column has another type or identity,
            or the table was created or dropped meanwhile in another shape.
    """
    if state is None:
        if changeset.create is None:
            raise _moved(table, "was dropped")
        return changeset
    planned = _as_additions(changeset, state) if changeset.create else changeset.schema_changes
    pending = [change for change in planned if _is_pending(change, state.schema, table)]
    if changeset.create and pending:
        raise _moved(table, "was created by somebody else with other columns")
    if changeset.create and changeset.create.layout.partition_by != state.layout.partition_by:
        raise _moved(table, "was created by somebody else with another partitioning")
    schema = evolved(state, pending, changeset.schema, table=table)
    _check_columns(changeset.schema, schema, table)
    return replace(changeset, schema=schema, schema_changes=tuple(pending), create=None)


def evolved(
    state: TableState, changes: Sequence[SchemaChange], written: pa.Schema, *, table: str
) -> pa.Schema:
    """The table's schema after changes whose files are written: new columns have the ids they have there.

    Args:
        state: The version the changes are made to.
        changes: As a load logged them.
        written: Schema of the load's files.
        table: Table name, for messages.

    Raises:
        ConflictError: The table has given such an id to another column meanwhile.
    """
    schema, _ = apply_changes(state.schema, state.last_column_id, changes)
    known: set[int | None] = set()
    walk(state.schema, lambda _path, field: known.add(field_id(field)))
    schema = pa.schema([_as_written(field, (field.name,), written, known) for field in schema])
    found: list[int] = []
    walk(schema, lambda _path, field: found.extend([] if (own := field_id(field)) is None else [own]))
    if len(set(found)) < len(found):
        raise _moved(table, "got other columns")
    return schema


def _as_written(
    field: pa.Field, path: tuple[str, ...], written: pa.Schema, known: set[int | None]
) -> pa.Field:
    inner = [_as_written(child, (*path, child.name), written, known) for child in children(field.type)]
    kind = with_children(field.type, inner) if inner else field.type
    there = find(written, path)
    own = None if there is None else field_id(there)
    metadata = dict(field.metadata or {})
    if field_id(field) not in known and own is not None:
        metadata[FIELD_ID] = str(own).encode()
    return pa.field(field.name, kind, field.nullable, metadata or None)


def _as_additions(changeset: Changeset, state: TableState) -> list[SchemaChange]:
    return [
        SchemaChange("add", (field.name,), None, field.type, source=source_of(field))
        for field in changeset.schema
        if find(state.schema, (field.name,)) is None
    ]


def _is_pending(change: SchemaChange, schema: pa.Schema, table: str) -> bool:
    current = find(schema, change.path)
    if change.kind == "add":
        if current is not None and not same_type(current.type, change.new):
            raise _moved(table, f"got a column {'.'.join(change.path)} of type {current.type}")
        if current is not None and _other_source(current, change):
            raise _moved(
                table, f"got a column {'.'.join(change.path)} that is called otherwise in its source"
            )
        return current is None
    if current is None:
        raise _moved(table, f"lost its column {'.'.join(change.path)}")
    if change.kind == "relax":
        return not current.nullable
    if same_type(current.type, change.new):
        return False
    if change.old is not None and not same_type(current.type, change.old):
        raise _moved(table, f"changed its column {'.'.join(change.path)} to {current.type}")
    return True


def _other_source(current: pa.Field, change: SchemaChange) -> bool:
    """Whether both are known to come from fields of different names."""
    there = source_of(current)
    return bool(there) and there != (change.source or source_text(change.path[-1:]))


def _check_columns(written: pa.Schema, published: pa.Schema, table: str) -> None:
    """Every column of the files must mean the same column of the table."""

    def visit(path: tuple[str, ...], field: pa.Field) -> None:
        there = find(published, path)
        if there is None:
            raise _moved(table, f"lost its column {'.'.join(path)}")
        if field_id(there) != field_id(field):
            raise _moved(table, f"has another column {'.'.join(path)}")
        if not children(field.type) and there.type != field.type:
            raise _moved(table, f"changed its column {'.'.join(path)} to {there.type}")

    walk(written, visit)


def same_type(one: pa.DataType, other: pa.DataType) -> bool:
    """Equality of types by names and leaves, without field ids and nullability."""
    left, right = children(one), children(other)
    if not left and not right:
        return bool(one.equals(other))
    # A struct of `key` and `value` has the members of a map.
    alike = len(left) == len(right) and one.id == other.id
    return alike and all(
        a.name == b.name and same_type(a.type, b.type) for a, b in zip(left, right, strict=True)
    )


def _moved(table: str, what: str) -> ConflictError:
    return ConflictError(
        f"the table {what} while this load ran",
        table=table,
        hint="Nothing of this load was published; run it again.",
    )
