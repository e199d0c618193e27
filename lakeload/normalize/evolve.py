"""How a table's schema must change so that incoming types fit, and whether it may.

| in the table | change | Iceberg | Delta |
|---|---|---|---|
| no such column, member or element member | add, optional | in place | in place |
| int32, data int64 | widen to int64 | in place | files are rewritten |
| float32, data float64 | widen to float64 | in place | files are rewritten |
| decimal, data with more digits before the point | widen | in place | files are rewritten |
| any other wider type of the lattice, text and maps included | widen | no | files are rewritten |

The lattice is that of `lakeload.model.types.widen`. Where the table cannot follow, nothing changes: each
value must fit the type there is, and what does not is refused or goes by the contract. A table in both
formats follows the Iceberg column. Columns this very load adds widen freely. A table somebody else made
keeps its types as long as the values fit them, because text and Python numbers come as int64 and float64
whatever the table has; it is widened when one does not fit, but never to text or maps. (Iceberg
specification, section "Schema Evolution"; a map's key is never widened there.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.changes import SchemaChange
from lakeload.model.evolution import find
from lakeload.model.layout import PartitionField
from lakeload.model.leaf_text import EXACT_IN_DOUBLE
from lakeload.model.naming import source_of
from lakeload.model.nested_arrays import dense, members
from lakeload.model.schema import children, with_children
from lakeload.model.types import map_type, storage_type, widen
from lakeload.normalize.incoming import Path
from lakeload.normalize.type_parts import kind_of


class Evolution:
    """Compares incoming columns with a table's and keeps the log of changes.

    The log replays: `apply_changes(state.schema, state.last_column_id, log)` gives the schema, with the same
    ids unless objects became maps or text. Columns added during the load carry their latest type in the log.

    Args:
        base: The table's schema when the load began; `None` for a new table.
        formats: Formats the table is published in.
        owned: Whether lakeload made the table.
        partition_by: The table's partition fields. Files stay in the partitions they are in, so their
            columns do not become text.
    """

    def __init__(
        self,
        base: pa.Schema | None,
        formats: Sequence[str],
        *,
        owned: bool = True,
        partition_by: Sequence[PartitionField] = (),
    ) -> None:
        self._base = base
        self._partitioned = frozenset(field.source for field in partition_by)
        self._owned = owned
        self._iceberg = "iceberg" in formats
        self._log: list[SchemaChange] = []
        self._large: set[Path] = set()

    @property
    def changes(self) -> tuple[SchemaChange, ...]:
        """What changed since the load began."""
        return tuple(self._log)

    def needed(
        self, known: Iterable[pa.Field], incoming: Iterable[pa.Field], path: Path = ()
    ) -> Iterator[SchemaChange]:
        """Changes after which every incoming column has a place, as far as the table can follow."""
        there = {field.name: field for field in known}
        for field in incoming:
            here = (*path, field.name)
            if field.name in there:
                yield from self._differences(there[field.name].type, field.type, here)
            else:
                yield SchemaChange("add", here, None, field.type, source=source_of(field))

    def observe(self, batch: pa.RecordBatch) -> None:
        """Note which columns of the load hold integers that have no double of their own.

        Such a column becomes text, not double, should fractions come later.

        Args:
            batch: In the table's columns, as it goes to the writer.
        """
        for field, column in zip(batch.schema, batch.columns, strict=True):
            self._observe(column, field.type, (field.name,))

    def _observe(self, array: pa.Array, kind: pa.DataType, path: Path) -> None:
        if pa.types.is_int64(kind):
            if path not in self._large:
                found = pc.min_max(array)
                low, high = found["min"].as_py(), found["max"].as_py()
                if low is not None and max(-low, high) > EXACT_IN_DOUBLE:
                    self._large.add(path)
        elif children(kind) and _has_int64(kind):
            for field, part in zip(children(kind), _inside(array), strict=True):
                self._observe(part, field.type, (*path, field.name))

    def record(self, change: SchemaChange) -> None:
        """Note that the schema changed."""
        if change.kind != "widen":
            self._log.append(change)
            return
        if not children(change.new) or pa.types.is_map(change.new):
            size = len(change.path)  # what was inside is no column any more
            self._log = [e for e in self._log if e.path[:size] != change.path or len(e.path) == size]
        origin = self._origin(change)
        if origin is None:
            before = self._before(change.path)
            self._log.append(change if before is None else replace(change, old=before.type))
            return
        earlier = self._log[origin]
        new = _replace(earlier.new, change.path[len(earlier.path) :], change.new)
        self._log[origin] = replace(
            earlier, new=new, cause=earlier.cause or change.cause, rows=_sum(earlier.rows, change.rows)
        )

    def _origin(self, change: SchemaChange) -> int | None:
        """Where the log added or widened what is now widened: the deepest entry that covers it."""
        covering = [
            i
            for i, earlier in enumerate(self._log)
            if (earlier.kind == "add" and change.path[: len(earlier.path)] == earlier.path)
            or (earlier.kind == "widen" and _inside_of(change.path, earlier))
        ]
        return max(covering, key=lambda i: len(self._log[i].path), default=None)

    def _differences(self, known: pa.DataType, incoming: pa.DataType, path: Path) -> Iterator[SchemaChange]:
        if pa.types.is_map(known) and pa.types.is_struct(incoming):
            incoming = map_type(incoming)
        inner, others = children(known), children(incoming)
        if inner and others and kind_of(known) == kind_of(incoming):
            yield from self.needed(inner, others, path)
            return
        wide = self._wide(_stored(known), incoming, path)
        patient = not self._owned and self._before(path) is not None
        if wide is None or wide.equals(_stored(known)) or patient or not self._may_widen(wide, path):
            return
        yield SchemaChange("widen", path, known, wide)

    def rescue(self, schema: pa.Schema, path: Path, source: pa.DataType) -> SchemaChange | None:
        """The widening that lets in a value which did not fit, if there is one and the table can take it.

        Values that do not fit although the types say so, such as integers beyond doubles, make text of
        their column; those that are wrong in their own type, such as a year 10000, do not.

        Args:
            schema: The table's schema now.
            path: The leaf column.
            source: Type of the leaf's data.
        """
        field = find(schema, path)
        incoming = storage_type(source, ("iceberg",))
        if incoming is None and pa.types.is_nested(source):
            incoming = pa.string()  # an empty object or list shows no type, but that it is no scalar
        if field is None or incoming is None:
            return None
        known = _stored(field.type)
        if known.equals(incoming):
            return None
        wide = self._wide(known, incoming, path)
        if wide is not None and wide.equals(known) and self._free(path):
            wide = pa.string()
        if wide is None or wide.equals(known) or not self._may_widen(wide, path):
            return None
        return SchemaChange("widen", path, field.type, wide)

    def _wide(self, known: pa.DataType, incoming: pa.DataType, path: Path) -> pa.DataType | None:
        wide = widen(known, incoming, text=self._free(path))
        inexact = wide is not None and pa.types.is_floating(wide) and path in self._large
        return pa.string() if inexact and self._free(path) else wide

    def _free(self, path: Path) -> bool:
        """Whether the column may become text or a map, as far as its owner is concerned."""
        return self._owned or self._before(path) is None

    def takes_text(self, path: Path) -> bool:
        """Whether the column may become text, as far as its owner and the table are concerned."""
        return self._free(path) and self._may_widen(pa.string(), path)

    def _before(self, path: Path) -> pa.Field | None:
        """The field as it was when the load began."""
        return None if self._base is None else find(self._base, path)

    def _may_widen(self, wide: pa.DataType, path: Path) -> bool:
        """Whether the table can take the wider type; if not, values have to fit the type it has."""
        before = self._before(path)
        if before is None:
            return True
        if path[0] in self._partitioned and pa.types.is_string(wide):
            return False
        if not self._iceberg:
            return True
        if "key" in path and _is_map_key(self._base, path):
            return False
        promotions = {(pa.int32(), pa.int64()), (pa.float32(), pa.float64())}
        if pa.types.is_decimal(before.type) and pa.types.is_decimal(wide):
            return bool(before.type.scale == wide.scale)
        return (before.type, wide) in promotions


def _stored(kind: pa.DataType) -> pa.DataType:
    """The storage type of a table's column: tables made elsewhere may have int16, say."""
    stored = None if children(kind) else storage_type(kind, ("iceberg",))
    return kind if stored is None else stored


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


def _inside_of(path: Path, earlier: SchemaChange) -> bool:
    """Whether an earlier widening made what is at the path: it is it, or inside the map it became."""
    same = path == earlier.path
    return same or (bool(children(earlier.new)) and path[: len(earlier.path)] == earlier.path)


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else one + other


def _has_int64(kind: pa.DataType) -> bool:
    return pa.types.is_int64(kind) or any(_has_int64(field.type) for field in children(kind))


def _inside(array: pa.Array) -> list[pa.Array]:
    """What is inside a nested array, in the order of `children`."""
    if pa.types.is_struct(array.type):
        return members(array)
    if pa.types.is_map(array.type):
        return [array.keys, array.items]
    return [dense(array)[1]]
