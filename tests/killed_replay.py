"""A replay that kills its own process at a named step."""

from __future__ import annotations

from typing import Any

import killed_load

import lakeload as ll
from lakeload import rules
from lakeload.replays import replay

TABLE = "orders"
ROWS: list[dict[str, Any]] = [{"id": i, "amount": i if i % 3 else -i} for i in range(1, 31)]
"""Ten rows have a negative amount, which the first load puts aside; the replay mends nine of them."""
HOPELESS = 30


def rule() -> rules.Rule:
    """What keeps rows out."""
    return rules.between("amount", 0)


def mended(row: dict[str, Any]) -> dict[str, Any]:
    """The row with a positive amount, but for one."""
    return row if row["id"] == HOPELESS else row | {"amount": abs(row["amount"])}


def load(root: str, formats: str) -> ll.RunReport:
    """The load that puts rows aside."""
    return ll.load(ROWS, _lake(root, formats), table=TABLE, rules=rule())


def again(root: str, formats: str) -> ll.RunReport:
    """The replay."""
    return replay(_lake(root, formats), TABLE, rules=rule(), transform=mended)


def _lake(root: str, formats: str) -> ll.Lakehouse:
    return ll.Lakehouse(root, format=tuple(formats.split("+")))


def die_in_replay(step: str, root: str, formats: str) -> None:
    """Run the replay, to the death; meant for a process of its own, see `doomed`."""
    killed_load.die_at(step)
    again(root, formats)
