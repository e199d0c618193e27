"""How a table's schema must change so that incoming types fit, and whether it may.

| in the table | change | Iceberg | Delta |
|---|---|---|---|
| no such column, member or element member | add, optional | in place | in place |
| int32, data int64 | widen to int64 | in place | files are rewritten |
| float32, data float64 | widen to float64 | in place | files are rewritten |
| decimal, data with more digits before the point | widen | in place | files are rewritten |
| any other wider type of the lattice | widen | no: each value must fit as it is | files are rewritten |
| a type with no common one | refused | | |

A table in both formats follows the Iceberg column. Columns this very load adds widen freely. A table
somebody else made keeps its types as long as the values fit them, because text and Python numbers come as
int64 and float64 whatever the table has; it is widened when one does not fit. (Iceberg specification,
section "Schema Evolution"; a map's key is never widened there.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.changes import SchemaChange
from lakeload.model.evolution import find
from lakeload.model.naming import source_of
from lakeload.model.schema import children, with_children
from lakeload.model.types import storage_type, widen
from lakeload.normalize.incoming import Path


class Evolution:
    """Compares incoming columns with a table's and keeps the log of changes.

    The log replays: `apply_changes(state.schema, state.last_column_id, log)` gives the schema with the
    same ids. Columns added during the load carry their latest type in the log.

    Args:
        base: The table's schema when the load began; `None` for a new table.
        formats: Formats the table is published in.
        owned: Whether lakeload made the table.
    """

    def __init__(self, base: pa.Schema | None, formats: Sequence[str], *, owned: bool = True) -> None:
        self._base = base
        self._owned = owned
        self._iceberg = "iceberg" in formats
        self._log: list[SchemaChange] = []

    @property
    def changes(self) -> tuple[SchemaChange, ...]:
        """What changed since the load began."""
        return tuple(self._log)

    def needed(
        self, known: Iterable[pa.Field], incoming: Iterable[pa.Field], path: Path = ()
    ) -> Iterator[SchemaChange]:
        """Changes after which every incoming column has a place.

        Raises:
            SchemaError: Two types have nothing in common.
        """
        there = {field.name: field for field in known}
        for field in incoming:
            here = (*path, field.name)
            if field.name in there:
                yield from self._differences(there[field.name].type, field.type, here)
            else:
                yield SchemaChange("add", here, None, field.type, source=source_of(field))

    def record(self, change: SchemaChange) -> None:
        """Note that the schema changed."""
        origin = self._origin(change) if change.kind == "widen" else None
        if origin is None:
            self._log.append(change)
            return
        earlier = self._log[origin]
        new = _replace(earlier.new, change.path[len(earlier.path) :], change.new)
        self._log[origin] = replace(earlier, new=new)

    def _origin(self, change: SchemaChange) -> int | None:
        """Where the log added or widened what is now widened: the deepest entry that covers it."""
        covering = [
            i
            for i, earlier in enumerate(self._log)
            if (earlier.kind == "add" and change.path[: len(earlier.path)] == earlier.path)
            or (earlier.kind == "widen" and change.path == earlier.path)
        ]
        return max(covering, key=lambda i: len(self._log[i].path), default=None)

    def _differences(self, known: pa.DataType, incoming: pa.DataType, path: Path) -> Iterator[SchemaChange]:
        inner, others = children(known), children(incoming)
        if inner and others and _kind(known) == _kind(incoming):
            yield from self.needed(inner, others, path)
            return
        wide = None if inner or others else widen(_stored(known), incoming)
        if wide is None:
            raise self._conflict(known, incoming, path)
        patient = not self._owned and self._before(path) is not None
        if not wide.equals(_stored(known)) and not patient and self._may_widen(wide, path):
            yield SchemaChange("widen", path, known, wide)

    def rescue(self, schema: pa.Schema, path: Path, source: pa.DataType) -> SchemaChange | None:
        """The widening that lets in a value which did not fit, if it was put off and is possible.

        Args:
            schema: The table's schema now.
            path: The leaf column.
            source: Type of the leaf's data.
        """
        field = find(schema, path)
        if self._owned or field is None or self._before(path) is None:
            return None
        known, incoming = _stored(field.type), storage_type(source, ("iceberg",))
        wide = None if incoming is None else widen(known, incoming)
        if wide is None or wide.equals(known) or not self._may_widen(wide, path):
            return None
        return SchemaChange("widen", path, field.type, wide)

    def _before(self, path: Path) -> pa.Field | None:
        """The field as it was when the load began."""
        return None if self._base is None else find(self._base, path)

    def _may_widen(self, wide: pa.DataType, path: Path) -> bool:
        """Whether the table can take the wider type; if not, values have to fit the type it has."""
        before = self._before(path)
        if before is None or not self._iceberg:
            return True
        if "key" in path and _is_map_key(self._base, path):
            return False
        promotions = {(pa.int32(), pa.int64()), (pa.float32(), pa.float64())}
        if pa.types.is_decimal(before.type) and pa.types.is_decimal(wide):
            return bool(before.type.scale == wide.scale)
        return (before.type, wide) in promotions

    def _conflict(self, known: pa.DataType, incoming: pa.DataType, path: Path) -> SchemaError:
        if self._before(path) is not None:
            return SchemaError(
                f"the column is {describe(known)} in the table and {describe(incoming)} in the data",
                column=".".join(path),
                hint="Cast it in the source, or rename it there to load it as a new column.",
            )
        return SchemaError(
            f"the column is {describe(known)} in some rows and {describe(incoming)} in others",
            column=".".join(path),
            hint="Hint its type with schema=, for instance as string, or correct the source.",
        )


def describe(kind: pa.DataType) -> str:
    """The type in a message: nested ones by their kind alone."""
    return _kind(kind) if children(kind) else str(kind)


def _stored(kind: pa.DataType) -> pa.DataType:
    """The storage type of a table's column: tables made elsewhere may have int16, say."""
    stored = None if children(kind) else storage_type(kind, ("iceberg",))
    return kind if stored is None else stored


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return "struct"
    return "map" if pa.types.is_map(kind) else "list"


def _is_map_key(schema: pa.Schema | None, path: Path) -> bool:
    """Whether some step of the path is the key of a map."""
    if schema is None:
        return False
    for i, name in enumerate(path):
        parent = find(schema, path[:i]) if i else None
        if name == "key" and parent is not None and pa.types.is_map(parent.type):
            return True
    return False


def _replace(kind: pa.DataType, path: Path, new: pa.DataType) -> pa.DataType:
    """The type with the one at `path` replaced."""
    if not path:
        return new
    fields = [
        field.with_type(_replace(field.type, path[1:], new)) if field.name == path[0] else field
        for field in children(kind)
    ]
    return with_children(kind, fields)
