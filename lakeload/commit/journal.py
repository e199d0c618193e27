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

from collections.abc import Iterable, Mapping

import msgspec

from lakeload.commit.descriptor import Descriptor, decode, encode
from lakeload.commit.position import Position, Standing, own
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

    def finish(self, descriptor: Descriptor, unregistered: Iterable[str] = ()) -> None:
        """Note that every table has the load, and forget the oldest descriptors.

        Args:
            descriptor: The load, which is the newest. Descriptors that hold a checkpoint it names stay.
            unregistered: Tables whose catalog entry could not be brought up to date.
        """
        names = sorted(unregistered)
        self._mark(descriptor.sequence, "done", msgspec.json.encode(names) if names else b"")
        held = {one.load for position in descriptor.positions.values() for one in position.resources.values()}
        numbers = sorted(int(name.split(".")[0]) for name in self._names if name.endswith(".json"))
        for old in numbers[:-KEEP]:
            if old in held:
                continue
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

    def standings(
        self, table: str, state: TableState | None, aside: TableState | None = None
    ) -> Mapping[str, Standing] | None:
        """Where the resources of the pipeline stand in `table`, by the token the table itself carries.

        Args:
            table: Table name.
            state: The table as it is.
            aside: Its quarantine, which knows the position while everything that came was put aside.

        Returns:
            By resource; empty for a table that does not exist or never saw this pipeline, `None` for one
            that carries a token whose descriptor is gone.
        """
        token = self._token(state, aside)
        if not token:
            return {}
        position = self.positions().get(table)
        if position is None or position.sequence != token or state is None:
            descriptor = self.read(token)
            if state is None and descriptor is not None and table in descriptor.changes:
                return {}  # the table was there with that load, and was dropped since
            position = descriptor.positions.get(table) if descriptor else None
        return None if position is None else position.resources

    def checkpoint(
        self, table: str, resource: str, state: TableState | None, aside: TableState | None = None
    ) -> Checkpoint | None:
        """Where a resource goes on in `table`; `None` at the beginning. Arguments are those of `standings`.

        Raises:
            StorageError: The descriptor that holds it is gone.
        """
        standings = self.standings(table, state, aside)
        if standings is None:
            raise self._gone(table, self._token(state, aside))
        standing = own(standings, resource)
        if standing is None or standing.checkpoint is not None:
            return standing.checkpoint if standing else None
        descriptor = self.read(standing.load)
        there = descriptor.positions.get(table) if descriptor else None
        found = own(there.resources, resource) if there else None
        if found is None or found.checkpoint is None:
            raise self._gone(table, standing.load)
        return found.checkpoint

    def _token(self, state: TableState | None, aside: TableState | None) -> int:
        anchor = aside if state is None else state
        return anchor.sequences.get(self._pipeline, 0) if anchor else 0

    def _gone(self, table: str, sequence: int) -> StorageError:
        return StorageError(
            f"the table is at load {sequence} of pipeline {self._pipeline!r}, whose descriptor is gone",
            table=table,
            place=self._store.uri(_name(sequence, "json")),
            hint="Restore it, or load with another pipeline name and an initial cursor value.",
        )

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
