"""One load of two tables that kills its own process at a named step.

The steps are put in from outside, by wrapping the functions that do them: lakeload has no hook for it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

import lakeload as ll

TABLES = ("orders", "visits")

STEPS = (
    "while writing the first table",
    "while writing the second table",
    "after the data files",
    "after the descriptor",
    "before the first table",
    "before the catalog knows",
    "after the first format of the first table",
    "after the first table",
    "after the first format of the second table",
    "after all tables",
    "after the load is marked done",
)
"""Where the process dies, in the order of a load. Besides them there is "after one format of a rewrite": of the
commits that change no row, which widen columns of a Delta table or fold small files."""


def rows(table: str, load: int) -> list[pa.Table]:
    """The batches load number `load` brings: the second has a new column and a wider type."""
    start = load * 1000
    ids = pa.array(range(start, start + 60), pa.int64())
    if load == 1:
        whole = pa.table({"id": ids, "n": pa.array(range(60), pa.int32()), "table": [table] * 60})
    else:
        wide = pa.array([2**40 + i for i in range(60)], pa.int64())
        whole = pa.table(
            {"id": ids, "n": wide, "table": [table] * 60, "load": pa.array([load] * 60, pa.int32())}
        )
    return [whole.slice(0, 30), whole.slice(30)]


def expected(table: str, loads: int) -> pa.Table:
    """All rows of the first so many loads."""
    parts = [batch for load in range(1, loads + 1) for batch in rows(table, load)]
    return pa.concat_tables(parts, promote_options="permissive")


def pipeline(
    root: str, formats: str, *, catalog: str | None = None, storage: dict[str, str] | None = None
) -> ll.Pipeline:
    """The pipeline under test."""
    lake = ll.Lakehouse(root, format=tuple(formats.split("+")), catalog=catalog, storage_options=storage)
    return ll.Pipeline("shop", lake)


def resources(load: int, *, cursor: bool, mode: Any = None, die_in: str | None = None) -> list[ll.Resource]:
    """Both tables as resources. With a cursor the source offers every row up to this load, else only its own."""
    return [_resource(table, load, cursor, mode or ll.Append(), die_in) for table in TABLES]


def _resource(table: str, load: int, cursor: bool, mode: Any, die_in: str | None) -> ll.Resource:
    @ll.resource(name=table, cursor=ll.Cursor("id") if cursor else None, mode=mode, sort_by="id")
    def source(since: Any) -> Iterator[pa.Table]:
        for number in range(1 if cursor else load, load + 1):
            first, second = rows(table, number)
            yield first
            if die_in == table and number == load:
                die()
            yield second

    return source


def die() -> None:
    """End at once: no handler, no cleanup, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(step: str) -> str | None:
    """Arrange for the death at `step`; returns the table whose source does it, if it is a source."""
    from lakeload.catalogs import sqlite
    from lakeload.commit import lake
    from lakeload.commit.journal import Journal
    from lakeload.formats.delta import DeltaFormatTable
    from lakeload.formats.iceberg import IcebergTable

    first, second = TABLES
    match step:
        case "while writing the first table":
            return first
        case "while writing the second table":
            return second
        case "after the data files":
            _wrap(Journal, "begin", before=True)
        case "after the descriptor":
            _wrap(Journal, "begin")
        case "before the first table":
            _wrap(lake, "publish", before=True)
        case "before the catalog knows":
            _wrap(sqlite._Row, "swap", before=True)
        case "after the first format of the first table":
            for kind in (DeltaFormatTable, IcebergTable):
                _wrap(kind, "commit", when=lambda _, change, *__: change.token is not None)
        case "after the first table":
            _wrap(lake, "publish")
        case "after the first format of the second table":
            for kind in (DeltaFormatTable, IcebergTable):
                _wrap(
                    kind,
                    "commit",
                    when=lambda table, change, *_: change.token is not None and table.name == second,
                )
        case "after all tables":
            _wrap(Journal, "finish", before=True)
        case "after the load is marked done":
            _wrap(Journal, "finish")
        case "after one format of a rewrite":
            for kind in (DeltaFormatTable, IcebergTable):
                _wrap(kind, "commit", when=lambda _, change, *__: change.operation == "replace")
        case _:
            raise ValueError(step)
    return None


def _wrap(
    owner: Any, name: str, *, before: bool = False, when: Callable[..., bool] = lambda *_: True
) -> None:
    real = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not when(*args):
            return real(*args, **kwargs)
        if before:
            die()
        found = real(*args, **kwargs)
        die()
        return found

    setattr(owner, name, wrapped)


def die_in_load(
    step: str, root: str, formats: str, load: int, *,
    cursor: bool, overwrite: bool = False, catalog: str | None = None, storage: dict[str, str] | None = None,
) -> None:  # fmt: skip
    """Run the load, to the death; meant for a process of its own, see `doomed`."""
    mode = ll.Overwrite() if overwrite else ll.Append()
    sources = resources(load, cursor=cursor, mode=mode, die_in=die_at(step))
    pipeline(root, formats, catalog=catalog, storage=storage).run(sources)
