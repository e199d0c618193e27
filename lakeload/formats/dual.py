"""Both formats over one set of data files.

No commit spans two logs, so a change is published to Delta first and to Iceberg second; each side skips
what its own token says it has. A crash in between leaves Iceberg one load behind until the descriptor of
that load is completed, which the next run does before anything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from lakeload.errors import TableError
from lakeload.formats.iceberg_document import METADATA_PATH, same_place
from lakeload.model.changes import AlreadyApplied, Changeset, CommitResult, Committed, Conflict
from lakeload.model.evolution import rebase
from lakeload.model.files import LiveFile
from lakeload.model.protocols import Table
from lakeload.model.schema_history import SchemaRecord
from lakeload.model.table import TableState, Version


class DualTable:
    """A table published as Delta and as Iceberg. Implements `lakeload.model.protocols.Table`."""

    def __init__(self, delta: Table, iceberg: Table) -> None:
        self._delta = delta
        self._iceberg = iceberg

    @property
    def name(self) -> str:
        """Table name without namespace."""
        return self._delta.name

    @property
    def location(self) -> str:
        """Root of the table."""
        return self._delta.location

    @property
    def formats(self) -> tuple[str, ...]:
        """Both."""
        return ("delta", "iceberg")

    @property
    def store(self) -> Any:
        """Rooted at the table."""
        return self._delta.store

    def load(self) -> TableState | None:
        """Both sides as one state: Iceberg's schema and ids, the lower of the two sequence numbers.

        Raises:
            TableError: The two lie at different places, or one cannot be honoured.
        """
        delta, iceberg = self._delta.load(), self._iceberg.load()
        if iceberg is not None and not same_place(self._iceberg.location, self._delta.location):
            raise TableError(
                f"the Iceberg table lies at {self._iceberg.location}, the Delta side at "
                f"{self._delta.location}",
                table=self.name,
                hint="One set of files needs one place: load into a lake whose root leads to the Iceberg "
                "table, or under another name.",
            )
        whole = iceberg or delta
        if whole is None:
            return None
        return replace(
            whole,
            version=delta.version if delta else None,
            sequences=_Lower(delta, iceberg),
            sides=_present(delta, iceberg),
        )

    def commit(self, changeset: Changeset, base: TableState | None) -> CommitResult:
        """Publish to Delta, then to Iceberg, each against its own side of `base`."""
        sides = base.sides if base else {}
        # Both plans are made before either is published: what contradicts one side stops both.
        delta = self._plan(changeset, sides.get("delta"))
        iceberg = self._iceberg_plan(changeset, sides.get("iceberg"))
        first = self._commit_side(self._delta, delta, sides.get("delta"))
        if isinstance(first, Conflict):
            return first
        second = self._commit_side(self._iceberg, iceberg, sides.get("iceberg"))
        if isinstance(second, Conflict):
            # A change without token moves no row: one side having it and the other not is correct.
            return first if changeset.token is None else second
        applied = isinstance(first, AlreadyApplied) and isinstance(second, AlreadyApplied)
        return AlreadyApplied(first.version) if applied else Committed(first.version)

    def check_overwrite(self, state: TableState, *, partitions: bool) -> None:
        """Refuse what either side refuses.

        Raises:
            TableError: By one of the sides.
        """
        for name, table in zip(self.formats, (self._delta, self._iceberg), strict=True):
            if name in state.sides:
                table.check_overwrite(state.sides[name], partitions=partitions)

    def files(self, state: TableState) -> Sequence[LiveFile]:
        """Live files both sides refer to."""
        if len(state.sides) < len(self.formats):
            return []
        iceberg = {file.path: file for file in self._iceberg.files(state.sides["iceberg"])}
        return [
            replace(
                file,
                deletes=file.deletes or iceberg[file.path].deletes,
                current=file.current and iceberg[file.path].current,
            )
            for file in self._delta.files(state.sides["delta"])
            if file.path in iceberg
        ]

    def scan(self, state: TableState, columns: Sequence[str] | None) -> pa.RecordBatchReader:
        """Stream the rows of the Iceberg side."""
        return self._iceberg.scan(self._side(state), columns)

    def lazy(self, state: TableState) -> Any:
        """A `polars.LazyFrame` over the Iceberg side."""
        return self._iceberg.lazy(self._side(state))

    def history(self) -> Sequence[Version]:
        """Versions of the Delta side, newest first."""
        return self._delta.history()

    def schemas(self) -> Sequence[SchemaRecord]:
        """Schemas of the Delta side, oldest first."""
        return self._delta.schemas()

    def _side(self, state: TableState) -> TableState:
        if "iceberg" not in state.sides:
            raise TableError(
                "the table is only half created",
                table=self.name,
                hint="Run the pipeline that creates it again; it completes what is missing.",
            )
        return state.sides["iceberg"]

    def _plan(self, changeset: Changeset, base: TableState | None) -> Changeset | None:
        """The side's own plan; `None` when its token says it has the change."""
        token = changeset.token
        if base and token and base.sequences.get(token.pipeline, 0) >= token.sequence:
            return None
        return rebase(changeset, base, table=self.name)

    def _iceberg_plan(self, changeset: Changeset, base: TableState | None) -> Changeset | None:
        plan = self._plan(changeset, base)
        if plan is None or base is not None:
            return plan
        # Delta's vacuum deletes what its log does not name, but nothing below a name that begins with `_`.
        return replace(plan, properties={**plan.properties, METADATA_PATH: f"{self.location}/_iceberg"})

    def _commit_side(self, table: Table, plan: Changeset | None, base: TableState | None) -> CommitResult:
        if plan is None:
            return AlreadyApplied(base.version if base else None)
        return table.commit(plan, base)


def _present(delta: TableState | None, iceberg: TableState | None) -> Mapping[str, TableState]:
    found = {"delta": delta, "iceberg": iceberg}
    return {name: side for name, side in found.items() if side is not None}


class _Lower(Mapping[str, int]):
    """Per pipeline the lower sequence number of the two sides: what both have for certain."""

    def __init__(self, delta: TableState | None, iceberg: TableState | None) -> None:
        self._delta: Mapping[str, int] = delta.sequences if delta else {}
        self._iceberg: Mapping[str, int] = iceberg.sequences if iceberg else {}

    def __getitem__(self, pipeline: str) -> int:
        return min(self._delta.get(pipeline, 0), self._iceberg.get(pipeline, 0))

    def __iter__(self) -> Iterator[str]:
        return iter(self._iceberg)

    def __len__(self) -> int:
        return len(self._iceberg)
