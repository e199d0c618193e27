"""The journal of a pipeline: its load descriptors, one object each, beside the tables they load.

```
<lake>/<namespace>/_lakeload/_journal/<pipeline>/
  00000000000000000007.json    what load 7 publishes
  00000000000000000007.done    every table has it
  00000000000000000007.failed  tables that will never have it
```
Objects are only ever created, never changed; creating number N is what makes a run the owner of load N.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from lakeload.commit.descriptor import Descriptor, Position, decode, encode
from lakeload.errors import ConflictError, StorageError
from lakeload.model.cursor import Checkpoint
from lakeload.model.table import TableState
from lakeload.write.store import Store

KEEP = 50
"""Finished descriptors kept, so that a table rolled back a little can still be resumed."""


class Journal:
    """Load descriptors of one pipeline.

    Args:
        store: Rooted at the pipeline's own folder.
        pipeline: Pipeline name.
    """

    def __init__(self, store: Store, pipeline: str) -> None:
        self._store = store
        self._pipeline = pipeline
        self._names = set(store.names(""))

    @property
    def last(self) -> int:
        """Highest sequence number ever begun here; 0 when there is none."""
        return max((int(name.split(".")[0]) for name in self._names if name.endswith(".json")), default=0)

    def unfinished(self) -> Descriptor | None:
        """The load whose writer did not live to finish it, or `None`."""
        last = self.last
        if not last or self._has(last, "done") or self._has(last, "failed"):
            return None
        return self.read(last)

    def read(self, sequence: int) -> Descriptor | None:
        """One descriptor; `None` when it is not there (any more)."""
        path = _name(sequence, "json")
        data = self._store.read(path)
        return None if data is None else decode(data, place=self._store.uri(path))

    def begin(self, descriptor: Descriptor) -> bool:
        """Write the descriptor durably; `False` when another run took the number first."""
        path = _name(descriptor.sequence, "json")
        if not self._store.create(path, encode(descriptor)):
            return False
        self._names.add(path)
        return True

    def finish(self, sequence: int, unregistered: Iterable[str] = ()) -> None:
        """Note that every table has the load, and forget the oldest descriptors.

        Args:
            sequence: The load.
            unregistered: Tables whose catalog entry could not be brought up to date.
        """
        names = sorted(unregistered)
        self._mark(sequence, "done", msgspec.json.encode(names) if names else b"")
        for old in sorted(int(n.split(".")[0]) for n in self._names if n.endswith(".json"))[:-KEEP]:
            for suffix in ("json", "done", "failed"):
                if self._has(old, suffix):
                    self._store.delete(_name(old, suffix))
                    self._names.discard(_name(old, suffix))

    def fail(self, sequence: int, tables: list[str]) -> None:
        """Note that these tables will never have the load: they contradict it."""
        self._mark(sequence, "failed", msgspec.json.encode(tables))

    def unregistered(self) -> list[str]:
        """Tables whose catalog entry the newest finished load left behind."""
        done = max((name for name in self._names if name.endswith(".done")), default=None)
        found: list[str] = msgspec.json.decode((self._store.read(done) if done else None) or b"[]")
        return found

    def positions(self) -> dict[str, Position]:
        """Where the pipeline stands in each of its tables, by the newest descriptor."""
        descriptor = self.read(self.last) if self.last else None
        if descriptor is None:
            return {}
        positions = dict(descriptor.positions)
        if self._has(self.last, "failed"):
            failed = msgspec.json.decode(self._store.read(_name(self.last, "failed")) or b"[]")
            for table in failed:
                positions.pop(table, None)
                if table in descriptor.before:
                    positions[table] = descriptor.before[table]
        return positions

    def checkpoint(self, table: str, state: TableState | None) -> Checkpoint | None:
        """Where to go on in `table`, by the token the table itself carries.

        A table that does not exist, or never saw this pipeline, starts from the beginning.

        Raises:
            StorageError: The table carries a token whose descriptor is gone.
        """
        token = state.sequences.get(self._pipeline, 0) if state else 0
        if not token:
            return None
        position = self.positions().get(table)
        if position is None or position.sequence != token:
            descriptor = self.read(token)
            position = descriptor.positions.get(table) if descriptor else None
        if position is None:
            raise StorageError(
                f"the table is at load {token} of pipeline {self._pipeline!r}, whose descriptor is gone",
                table=table,
                place=self._store.uri(_name(token, "json")),
                hint="Restore it, or load with another pipeline name and an initial cursor value.",
            )
        return position.checkpoint

    def _has(self, sequence: int, suffix: str) -> bool:
        return _name(sequence, suffix) in self._names

    def _mark(self, sequence: int, suffix: str, data: bytes) -> None:
        self._store.create(_name(sequence, suffix), data)
        self._names.add(_name(sequence, suffix))


def _name(sequence: int, suffix: str) -> str:
    return f"{sequence:020d}.{suffix}"


def taken(pipeline: str) -> ConflictError:
    """Another run of the pipeline got there first."""
    return ConflictError(
        f"another run of pipeline {pipeline!r} is under way or just ended",
        hint="Nothing of this run was published; run it again.",
    )
