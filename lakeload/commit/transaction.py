"""Publish one change of one table: reload, check the token, rebase, compare-and-swap, again.

Retries are ours, never the format library's: theirs would replay a change on a table it was not planned
for. Waiting between attempts follows "full jitter" exponential backoff (AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from lakeload.model.changes import AlreadyApplied, Changeset, CommitResult, Conflict, Token
from lakeload.model.evolution import rebase
from lakeload.model.protocols import Table
from lakeload.model.table import TableState

ATTEMPTS = 25
_FIRST_WAIT = 0.02
_LONGEST_WAIT = 2.0


def publish(
    table: Table,
    changeset: Changeset,
    *,
    attempts: int = ATTEMPTS,
    sleep: Callable[[float], None] = time.sleep,
) -> CommitResult:
    """Publish the change on whatever version is newest, exactly once.

    Args:
        table: The table; it may not exist yet.
        changeset: The change. With a token, a table that already carries it is left alone.
        attempts: How often to try when other writers get in first.
        sleep: Waits so many seconds.

    Returns:
        `Conflict` when other writers won every attempt; the change can still be published later.

    Raises:
        ConflictError: Another writer changed what the load relied on; the change can never be published.
    """
    result: CommitResult = Conflict("no attempt was made")
    for attempt in range(attempts):
        state = table.load()
        if state and carries(state, changeset.token):
            return AlreadyApplied(state.version)
        whole = table.formats == ("delta", "iceberg")  # rebases each side for itself
        planned = changeset if whole else rebase(changeset, state, table=table.name)
        result = table.commit(planned, state)
        if not isinstance(result, Conflict):
            return result
        if attempt + 1 == attempts:
            break
        sleep(wait(attempt))
    return result


def carries(state: TableState | None, token: Token | None) -> bool:
    """Whether that version has the load of the token already."""
    return bool(state and token and state.sequences.get(token.pipeline, 0) >= token.sequence)


def wait(attempt: int) -> float:
    """Seconds to wait after an attempt others won; attempts count from 0."""
    return random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt))  # noqa: S311 - jitter, not a secret
