"""`SchemaEvent`: a change of a table's schema as something that happened, for people and programs to hear of.

Part of the model. A `SchemaChange` says what a commit must do; an event adds who asked for it, in which load
and when. Runs make events of the changes of their tables (`events`), reports list them, and `lakeload.hooks`
passes them on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from lakeload.model.changes import SchemaChange
from lakeload.model.files import DataFile
from lakeload.model.type_text import type_text

EventKind: TypeAlias = Literal["create_table", "add", "widen", "relax"]

EXCERPT = 80
"""Characters of a value an event shows at most."""


@dataclass(frozen=True, slots=True)
class SchemaEvent:
    """One change of one table's schema.

    Args:
        table: Table name.
        column: Column path, dotted; elements of lists are called `element`, keys and values of maps `key`
            and `value`. Empty for `create_table`.
        kind: `create_table`; `add` a column; `widen` its type; `relax` it from required to optional.
        old: Type before, in the words of `lakeload.model.type_text`; `None` for `create_table` and `add`.
        new: Type after; for `create_table` the columns, as a struct.
        cause: What asked for it, such as `rows of the data, first row 17: "abc"`.
        rows: Rows of the load that asked for it; `None` when nobody counted them.
        load_id: The load that made it, as in `_lakeload_id`.
        at: When that load began, UTC.
        pipeline: The pipeline that ran.

    Example:
        >>> at = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
        >>> print(SchemaEvent("t", "a.b", "widen", "int32", "int64", None, None, "load-a", at, "p"))
        t: widened a.b from int32 to int64
    """

    table: str
    column: str
    kind: EventKind
    old: str | None
    new: str
    cause: str | None
    rows: int | None
    load_id: str
    at: dt.datetime
    pipeline: str

    def to_dict(self) -> dict[str, Any]:
        """The event as JSON-able values; the time as ISO 8601 text.

        Example:
            >>> at = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
            >>> SchemaEvent("t", "a", "add", None, "string", None, 2, "l", at, "p").to_dict()["at"]
            '2024-05-01T00:00:00+00:00'
        """
        return {
            "table": self.table,
            "column": self.column,
            "kind": self.kind,
            "old": self.old,
            "new": self.new,
            "cause": self.cause,
            "rows": self.rows,
            "load_id": self.load_id,
            "at": self.at.isoformat(),
            "pipeline": self.pipeline,
        }

    def __str__(self) -> str:
        count = "" if self.rows is None else f", in {self.rows:,} row{'' if self.rows == 1 else 's'}"
        why = f" ({self.cause}{count})" if self.cause else ""
        return f"{self.table}: {self._what()}{why}"

    def _what(self) -> str:
        match self.kind:
            case "create_table":
                return f"created as {self.new}"
            case "add":
                return f"added {self.column} {self.new}"
            case "widen":
                return f"widened {self.column} from {self.old} to {self.new}"
            case _:
                return f"made {self.column} optional"


def events(
    table: str,
    changes: Iterable[SchemaChange],
    *,
    created: pa.Schema | None = None,
    cause: str | None = "rows of the data",
    files: Sequence[DataFile] = (),
    load_id: str,
    at: dt.datetime,
    pipeline: str,
) -> tuple[SchemaEvent, ...]:
    """What a load changed in one table, as events.

    Args:
        table: Table name.
        changes: Changes of an existing table, in order.
        created: Columns of the table when this load creates it: one event says so, and `changes` are part
            of it.
        cause: What asked for changes that do not say so themselves.
        files: The files of the load. Their statistics tell how many rows have a value in an added column,
            unless it is nested or inside a list or map.
        load_id: Load id.
        at: When the load began, UTC.
        pipeline: Pipeline name.

    Returns:
        One event per change, in order; or the one event of a table that was created.

    Example:
        >>> change = SchemaChange("add", ("address", "zip"), None, pa.string(), rows=3)
        >>> at = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
        >>> for event in events("people", [change], load_id="load-a", at=at, pipeline="p"):
        ...     print(event)
        people: added address.zip string (rows of the data, in 3 rows)
    """
    if created is not None:
        new = type_text(pa.struct(list(created)))
        return (SchemaEvent(table, "", "create_table", None, new, cause, None, load_id, at, pipeline),)
    return tuple(
        SchemaEvent(
            table=table,
            column=".".join(change.path),
            kind=change.kind,
            old=None if change.old is None else type_text(change.old),
            new=type_text(change.new),
            cause=change.cause or cause,
            rows=_filled(change, files) if change.rows is None else change.rows,
            load_id=load_id,
            at=at,
            pipeline=pipeline,
        )
        for change in changes
    )


def _filled(change: SchemaChange, files: Sequence[DataFile]) -> int | None:
    """Rows with a value in an added column; `None` where files do not tell."""
    found = [file.stats[change.path] for file in files if change.path in file.stats]
    if change.kind != "add" or not found:
        return None
    return sum(stats.values - stats.nulls for stats in found)  # files from before the column came have none


def cause_text(what: str, *, row: int | None = None, value: object = None) -> str:
    """What asked for a change, in one line.

    Args:
        what: Such as `rows of the data`, or `the schema hints`.
        row: Number of the first such row, counted from 1.
        value: Its value; shown shortened to `EXCERPT` characters.

    Example:
        >>> cause_text("rows of the data", row=17, value="abc")
        'rows of the data, first row 17: "abc"'
    """
    if row is None:
        return what
    shown = "" if value is None else f": {_excerpt(value)}"
    return f"{what}, first row {row:,}{shown}"


def _excerpt(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT else f"{line[: EXCERPT - 1]}…"
