"""Publish one recorded load: several tables, one or two formats, one descriptor.

Write all files → write the descriptor → commit each table → mark done. A run that dies in between is
completed by the next one, which starts here. Between the commits a reader can see the first tables of a
load before the last ones; each table by itself is always whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from lakeload.commit.descriptor import Descriptor
from lakeload.commit.journal import Journal
from lakeload.commit.transaction import publish
from lakeload.errors import ConflictError, StorageError, TableError
from lakeload.model.changes import Conflict
from lakeload.model.protocols import Table
from lakeload.write.store import Store


class Tables(Protocol):
    """Where tables are found by name. Implemented by the lakehouse."""

    def open(self, name: str) -> Table:
        """The table, existing or not."""
        ...

    def store(self, name: str) -> Store:
        """The store rooted at the table."""
        ...


@dataclass(frozen=True, slots=True)
class Recovered:
    """An unfinished load this run completed first."""

    sequence: int
    load_id: str
    tables: tuple[str, ...]
    fingerprints: Mapping[str, str]


def recover(journal: Journal, tables: Tables) -> Recovered | None:
    """Complete the pipeline's unfinished load, if there is one.

    Raises:
        ConflictError: A table contradicts the unfinished load. It is given up for that table, whose
            position stays where it was.
        StorageError: Files of the unfinished load are gone.
    """
    descriptor = journal.unfinished()
    if descriptor is None:
        return None
    for name in descriptor.changes:
        _check_files(descriptor, name, tables)
    publish_load(journal, descriptor, tables)
    return Recovered(
        descriptor.sequence, descriptor.load_id, tuple(descriptor.changes), descriptor.fingerprints
    )


def _check_files(descriptor: Descriptor, name: str, tables: Tables) -> None:
    """Neither format checks that an added file exists, so a lost one would break the table for good."""
    state = tables.open(name).load()
    if state and state.sequences.get(descriptor.pipeline, 0) >= descriptor.sequence:
        return
    store = tables.store(name)
    for file in descriptor.changes[name].add:
        if store.size(file.path) != file.size:
            raise StorageError(
                f"a data file of the unfinished load {descriptor.load_id} is gone or cut short",
                table=name,
                place=store.uri(file.path),
                hint="Restore it, or delete the load's descriptor from the journal to give it up.",
            )


def publish_load(journal: Journal, descriptor: Descriptor, tables: Tables) -> None:
    """Publish every table of a recorded load; tables that have it already are skipped.

    Raises:
        ConflictError: A table contradicts the load, which is then given up for that table; or other
            writers won every attempt, and the next run completes the load.
        TableError: A table cannot take the change; the load is given up for it.
    """
    late: list[str] = []
    refused: dict[str, ConflictError | TableError] = {}
    for name, changeset in descriptor.changes.items():
        try:
            if isinstance(publish(tables.open(name), changeset), Conflict):
                late.append(name)
        except (ConflictError, TableError) as error:
            if _half_published(descriptor, name, tables):
                raise  # one format has it: the load cannot be given up, only completed
            refused[name] = error
    if late:
        raise ConflictError(
            "other writers got in first at every attempt",
            table=late[0],
            hint="The load is recorded; the next run of this pipeline completes it.",
        )
    if refused:
        journal.fail(descriptor.sequence, list(refused))
        for name in refused:
            for file in descriptor.changes[name].add:
                tables.store(name).delete(file.path)
        raise next(iter(refused.values()))
    journal.finish(descriptor.sequence)


def _half_published(descriptor: Descriptor, name: str, tables: Tables) -> bool:
    state = tables.open(name).load()
    # The table itself too: another run may have completed the load while this one was refused.
    sides = [state, *state.sides.values()] if state else []
    return any(side.sequences.get(descriptor.pipeline, 0) >= descriptor.sequence for side in sides)
