"""Rows written to a lake and read back in the words of their source, for tests that compare the two.

Lakes are small and replaced often, so that the thousandth table costs what the first did.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from rebuild import Pairs, put, raw_value, source_path

import lakeload as ll
from lakeload.model.table import PATH_PROPERTY

_TABLES_PER_LAKE = 25

Rows = list[dict[str, Any]]


class Ground:
    """Where tables of one format go.

    Args:
        folder: For this object alone.
        form: The format.
    """

    def __init__(self, folder: Path, form: str) -> None:
        self.form = form
        self._folder = folder
        self._made = 0

    def fresh(self) -> Spot:
        """A table that does not exist yet."""
        number, used = divmod(self._made, _TABLES_PER_LAKE)
        if not used:
            shutil.rmtree(self._folder / str(number - 2), ignore_errors=True)
            self._lake = ll.Lakehouse(self._folder / str(number), format=self.form)
        self._made += 1
        return Spot(self._lake, f"t{self._made}")


class Spot:
    """One table, and what it is to be filled with.

    Args:
        lake: Where it is.
        name: Its name.
    """

    def __init__(self, lake: ll.Lakehouse, name: str) -> None:
        self.lake, self.name = lake, name

    def load(self, data: Any, *, detect_dates: bool = False, **options: Any) -> Spot:
        """Load into it; text stays text unless asked otherwise."""
        report = ll.load(data, self.lake, table=self.name, detect_dates=detect_dates, **options)
        self.tables = list(report.tables)
        return self

    def arrow(self, name: str | None = None) -> pa.Table:
        """The table with the stored schema, in which source names are."""
        found = self.lake.table(name or self.name)
        schema = found.schema()
        return found.to_arrow().select(schema.names).cast(schema)

    def family(self) -> dict[tuple[str, ...], pa.Table]:
        """All tables the last load went to, by the path of their list."""
        return {self._way(name): self.arrow(name) for name in self.tables}

    def _way(self, name: str) -> tuple[str, ...]:
        state = self.lake.open(name).load()
        assert state is not None
        return tuple(json.loads(state.properties.get(PATH_PROPERTY, "[]")))

    def rows(self) -> Rows:
        """Rows in the source's names without nulls, flattened columns in the objects they came from."""
        table = self.arrow()
        fields = [field for field in table.schema if not field.name.startswith("_lakeload")]
        found: Rows = []
        for row in table.to_pylist():
            record: dict[str, Any] = {}
            for field in fields:
                if row[field.name] is not None:
                    put(record, source_path(field), without_nulls(raw_value(row[field.name], field.type)))
            found.append(record)
        return found

    def columns(self) -> dict[tuple[str, ...], str]:
        """Types by the path of the source, members named as there."""
        fields = [field for field in self.arrow().schema if not field.name.startswith("_lakeload")]
        return {source_path(field): source_type(field.type) for field in fields}


def source_type(kind: pa.DataType) -> str:
    """A type in words, with the source's names of members in the order of their names."""
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        inside = sorted(f"{source_path(field)!r} {source_type(field.type)}" for field in fields)
        return f"struct<{', '.join(inside)}>"
    if pa.types.is_map(kind):
        return f"map<{source_type(kind.item_type)}>"
    return f"list<{source_type(kind.value_type)}>" if pa.types.is_list(kind) else str(kind)


def without_nulls(value: Any) -> Any:
    """The value without members that are null, with maps as objects."""
    if isinstance(value, Pairs):
        assert len(dict(value)) == len(value)
        value = dict(value)
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def agree(found: Iterable[Any], expected: Iterable[Any]) -> bool:
    """Whether the same rows are in both, in any order; numbers are compared by value."""
    assert sorted(map(canonical, found)) == sorted(map(canonical, expected))
    return True


def canonical(value: Any) -> str:
    """A text that equal values share; equal are 1, 1.0 and the decimal 1, but not true."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(member) for name, member in value.items()}
        case list():
            return [_plain(one) for one in value]
        case Decimal():
            return int(value) if value == value.to_integral_value() else f"decimal {value.normalize()}"
        case float() if value.is_integer():
            return int(value)
        case dt.date() | dt.time():
            return f"{type(value).__name__} {value.isoformat()}"
        case bytes():
            return f"bytes {value.hex()}"
        case _:
            return value


def hollow(value: Any) -> Any:
    """What is left without objects and lists that hold nothing a type could be told from; else `None`.

    Whether such a value is kept depends on what came before it. Elements of lists keep their place.
    """
    if isinstance(value, dict):
        kept = {name: hollow(member) for name, member in value.items()}
        return {name: member for name, member in kept.items() if member is not None} or None
    if isinstance(value, list):
        inner = [hollow(one) for one in value]
        return inner if any(one is not None for one in inner) else None
    return value


def unquoted(value: Any) -> Any:
    """The value with JSON texts read, however often they were quoted.

    What was text already when the column around it became text stays quoted in it, so how often depends on
    the order in which things were met.
    """
    if isinstance(value, dict):
        return {name: unquoted(member) for name, member in value.items()}
    if isinstance(value, list):
        return [unquoted(one) for one in value]
    if not isinstance(value, str):
        return value
    try:
        return unquoted(json.loads(value))
    except (ValueError, RecursionError):
        return value


def loose(rows: Rows) -> Rows:
    """Rows without what depends on where the cuts between batches and loads are."""
    return [hollow(unquoted(row)) or {} for row in rows]
