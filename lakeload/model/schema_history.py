"""The schemas a table has had, and what changed from one to the next.

Part of the model. Formats tell the schemas their own logs remember (`Table.schemas`); notes kept beside the
table (`write.schema_notes`) tell what logs have forgotten since; `history` puts both together. Other engines
can do to a schema what a load never does, so differences are found by comparing, not by what lakeload noted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from lakeload.model.evolution import same_type
from lakeload.model.schema import children, field_id
from lakeload.model.type_text import type_text
from lakeload.model.types import widen

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between two schemas.

    Args:
        kind: `add` or `drop` a column; `rename` it; `widen` its type to one that holds every value of the
            old; `retype` it in any other way; `relax` it from required to optional; `require` it.
        path: The column in the newer schema, in the older one for `drop`; elements of lists are called
            `element`, keys and values of maps `key` and `value`.
        old: Before: a type, for `rename` a name; `None` for `add`.
        new: After: a type, for `rename` a name; `None` for `drop`.
    """

    kind: Literal["add", "drop", "rename", "widen", "retype", "relax", "require"]
    path: Path
    old: str | None
    new: str | None

    def __str__(self) -> str:
        name = ".".join(self.path)
        match self.kind:
            case "add":
                return f"added {name} {self.new}"
            case "drop":
                return f"dropped {name} {self.old}"
            case "rename":
                return f"renamed {self.old} to {name}"
            case "relax":
                return f"made {name} optional"
            case "require":
                return f"made {name} required"
            case _:
                verb = "widened" if self.kind == "widen" else "changed"
                return f"{verb} {name} from {self.old} to {self.new}"


@dataclass(frozen=True, slots=True)
class SchemaRecord:
    """A schema a table had from some moment on.

    Args:
        version: Number of the schema: Delta's table version that brought it, Iceberg's schema id; `None`
            when only a note is left of an Iceberg schema.
        schema: Columns, with field ids where they are known.
        at: When it came; `None` when nobody remembers.
        load_id: The load that brought it; `None` for other engines, and when nobody remembers.
        first: True when the table was created with it.
    """

    version: int | None
    schema: pa.Schema
    at: dt.datetime | None = None
    load_id: str | None = None
    first: bool = False


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """One entry of a table's schema history.

    Args:
        version: Delta's table version from which the schema holds; Iceberg's schema id. `None` for an
            Iceberg schema whose id is not known any more.
        at: Since when, UTC; `None` when nobody remembers.
        load_id: The load that brought it; `None` for other engines, and when nobody remembers.
        schema: The columns.
        changes: Differences from the entry before; empty for the oldest.
        created: True when the table was created with this schema; the oldest entry of a table whose
            earlier history is lost has false here.
    """

    version: int | None
    at: dt.datetime | None
    load_id: str | None
    schema: pa.Schema
    changes: tuple[Difference, ...]
    created: bool


def diff(old: pa.Schema, new: pa.Schema) -> tuple[Difference, ...]:
    """What differs from one schema to another, in the order of the newer one; dropped columns come last.

    A column is the same column when its field id is, and its name where one side has no ids. The order of
    columns and their metadata do not count.

    Example:
        >>> a = pa.schema([("n", pa.int32()), ("s", pa.struct([("x", pa.string())]))])
        >>> b = pa.schema([("n", pa.int64()), ("s", pa.struct([("x", pa.string()), ("y", pa.bool_())]))])
        >>> [str(one) for one in diff(a, b)]
        ['widened n from int32 to int64', 'added s.y bool']
    """
    return tuple(_fields(list(old), list(new), ()))


def _fields(old: list[pa.Field], new: list[pa.Field], path: Path) -> Iterator[Difference]:
    pairs, dropped = _matched(old, new)
    for before, after in pairs:
        here = (*path, after.name)
        if before is None:
            yield Difference("add", here, None, type_text(after.type))
            continue
        if before.name != after.name:
            yield Difference("rename", here, ".".join((*path, before.name)), after.name)
        yield from _types(before.type, after.type, here)
        if before.nullable != after.nullable:
            text = type_text(after.type)
            yield Difference("relax" if after.nullable else "require", here, text, text)
    for field in dropped:
        yield Difference("drop", (*path, field.name), type_text(field.type), None)


def _matched(
    old: list[pa.Field], new: list[pa.Field]
) -> tuple[list[tuple[pa.Field | None, pa.Field]], list[pa.Field]]:
    """Newer fields with the older ones they come from, and older ones nothing comes from."""
    ids = all(field_id(field) is not None for field in (*old, *new))
    known = {field_id(field) if ids else field.name: field for field in old}
    pairs = [(known.pop(field_id(field) if ids else field.name, None), field) for field in new]
    return pairs, list(known.values())


def _types(old: pa.DataType, new: pa.DataType, path: Path) -> Iterator[Difference]:
    below, above = children(old), children(new)
    if below and above and _kind(old) == _kind(new):
        yield from _fields(below, above, path)
    elif not same_type(old, new):
        held = not below and not above and _widens(old, new)
        yield Difference("widen" if held else "retype", path, type_text(old), type_text(new))


def _widens(old: pa.DataType, new: pa.DataType) -> bool:
    # Text holds every value of any leaf (as its canonical text), which the lattice of pairs may not say.
    wide = widen(old, new)
    return bool(pa.types.is_string(new) or (wide is not None and new.equals(wide)))


def _kind(kind: pa.DataType) -> str:
    return "struct" if pa.types.is_struct(kind) else "map" if pa.types.is_map(kind) else "list"


def history(told: Sequence[SchemaRecord], notes: Iterable[SchemaRecord] = ()) -> tuple[SchemaVersion, ...]:
    """The schemas of a table, newest first.

    Args:
        told: What the format's log remembers, oldest first.
        notes: What was noted beside the table, in any order: it fills in times and loads, and goes before
            the oldest entry of a log that forgot what was before.

    Example:
        >>> a, b = pa.schema([("a", pa.int64())]), pa.schema([("a", pa.int64()), ("b", pa.string())])
        >>> for found in history([SchemaRecord(0, a, first=True), SchemaRecord(3, b)]):
        ...     print(found.version, found.created, [str(change) for change in found.changes])
        3 False ['added b string']
        0 True []
    """
    noted = sorted(notes, key=lambda note: note.at or dt.datetime.min.replace(tzinfo=dt.UTC))
    filled = [_filled(record, noted) for record in told]
    records = [*_forgotten(filled, noted), *filled]
    found: list[SchemaVersion] = []
    before: pa.Schema | None = None
    for record in records:
        changes = () if before is None else diff(before, record.schema)
        if before is not None and not changes and not record.first:
            continue  # a property changed, or a comment
        made = record.first and before is None
        found.append(
            SchemaVersion(record.version, record.at, record.load_id, record.schema, changes, created=made)
        )
        before = record.schema
    return tuple(reversed(found))


def _filled(record: SchemaRecord, notes: Sequence[SchemaRecord]) -> SchemaRecord:
    """The record with what the note of the same schema knows more."""
    if record.at is not None and record.load_id is not None:
        return record
    note = next((note for note in notes if _same(note, record)), None)
    if note is None or record.at is not None:
        return record  # a log that knows the time would know the load
    version = record.version if note.version is None else note.version
    return replace(
        record, version=version, at=note.at, load_id=note.load_id, first=record.first or note.first
    )


def _same(note: SchemaRecord, record: SchemaRecord) -> bool:
    return not diff(note.schema, record.schema)


def _forgotten(told: Sequence[SchemaRecord], notes: Sequence[SchemaRecord]) -> list[SchemaRecord]:
    """Notes from before the oldest record, when that is not the table's creation."""
    if not told or told[0].first:
        return []
    oldest = told[0]
    if oldest.at is None:
        return [note for note in notes if _earlier(note, oldest, told)]
    return [note for note in notes if note.at and note.at < oldest.at and not _same(note, oldest)]


def _earlier(note: SchemaRecord, oldest: SchemaRecord, told: Sequence[SchemaRecord]) -> bool:
    if note.version is not None and oldest.version is not None:
        return note.version < oldest.version
    return not any(_same(note, record) for record in told)
