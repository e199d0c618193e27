"""Publish a load's changes of several tables in one request, where their catalog can do that.

It is the commit step of extract → normalize → write → commit for tables that share such a catalog: readers
see all of them with the load, or none. Every table still carries the load's token, so a load whose answer was
lost is recognised table by table, and the protocol of the journal stays as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, cast

from lakeload.commit.transaction import ATTEMPTS, carries, wait
from lakeload.model.changes import AlreadyApplied, Changeset, CommitResult, Committed, Conflict
from lakeload.model.evolution import rebase

if TYPE_CHECKING:
    from lakeload.model.protocols import Joinable, Prepared, Table, Together
    from lakeload.model.table import TableState

_Step: TypeAlias = "tuple[Joinable, Changeset, TableState | None]"


def groups(names: Sequence[str], open_table: Callable[[str], Table]) -> list[list[str]]:
    """The names in order, those together that one request can publish.

    Args:
        names: Table names.
        open_table: Gives the table behind a name.

    Raises:
        CatalogError: A catalog did not answer.
    """
    found: list[tuple[Together | None, list[str]]] = []
    for name in names:
        # Asked only when there are two: what a server can do costs a request.
        joint = getattr(open_table(name), "together", None) if len(names) > 1 else None
        there = next((group for known, group in found if joint is not None and known is joint), None)
        if there is None:
            found.append((joint, [name]))
        else:
            there.append(name)
    return [group for _, group in found]


def publish_together(
    changes: Mapping[str, Changeset],
    open_table: Callable[[str], Table],
    *,
    attempts: int = ATTEMPTS,
    sleep: Callable[[float], None] = time.sleep,
) -> CommitResult:
    """Publish every change on whatever versions are newest, exactly once, all or none.

    A table that does not exist is created empty first: no request creates several tables with their rows.
    Where an empty table would not be safe from another first writer, it is created with its rows instead.

    Args:
        changes: Per table its change, with a token; a table that carries it already is left alone.
        open_table: Gives the table behind a name.
        attempts: How often to try when other writers get in first.
        sleep: Waits so many seconds.

    Returns:
        `Conflict` when other writers won every attempt; the changes can still be published later.

    Raises:
        ConflictError: Another writer changed what the load relied on; nothing was published.
        TableError: A table cannot take its change; nothing was published.
        CatalogError: The catalog refused, or it is not known whether the changes landed.
    """
    tables = {name: cast("Joinable", open_table(name)) for name in changes}
    result: CommitResult = Conflict("no attempt was made")
    for attempt in range(attempts):
        steps = _steps(tables, changes)
        if not steps:
            return AlreadyApplied(None)
        result = _publish(steps)
        if not isinstance(result, Conflict):
            return result
        if attempt + 1 < attempts:
            sleep(wait(attempt))
    return result


def _steps(tables: Mapping[str, Joinable], changes: Mapping[str, Changeset]) -> list[_Step]:
    """What is still missing, planned on the newest versions; what exists first, for it may refuse."""
    states = {name: table.load() for name, table in tables.items()}
    steps: list[_Step] = [
        (tables[name], rebase(change, states[name], table=name), states[name])
        for name, change in changes.items()
        if not carries(states[name], change.token)
    ]
    return sorted(steps, key=lambda step: step[2] is None)


def _publish(steps: Sequence[_Step]) -> CommitResult:
    if len(steps) == 1:
        table, changeset, state = steps[0]
        return table.commit(changeset, state)
    prepared: list[Prepared] = []
    lost: Conflict | None = None
    try:
        for table, changeset, state in steps:
            found = _prepare(table, changeset, state)
            if isinstance(found, Conflict):
                lost = found
                break
            if found is not None:
                prepared.append(found)
    except BaseException:
        _discard(prepared)
        raise
    joint = steps[0][0].together
    # Not within the `try`: a request that fails may have been carried out, and then the files are needed.
    if lost is None and prepared and joint is not None:
        landed = joint.publish(prepared)
        prepared = [change for change, done in zip(prepared, landed, strict=True) if not done]
        if prepared:
            lost = Conflict("a table was changed by somebody else")
    if lost is not None:
        _discard(prepared)
        return lost
    return Committed(None)


def _prepare(table: Joinable, changeset: Changeset, state: TableState | None) -> Prepared | Conflict | None:
    if state is None:
        whole = getattr(table, "creates_whole", False)
        made = table.commit(changeset if whole else replace(changeset, add=(), token=None), None)
        if isinstance(made, Conflict):
            return made
        if whole:
            return None
        state = table.load()
        if state is None:
            return Conflict("the table was dropped by somebody else")
        changeset = rebase(changeset, state, table=table.name)
    return table.prepare(changeset, state)


def _discard(prepared: Sequence[Prepared]) -> None:
    for change in prepared:
        change.discard()
