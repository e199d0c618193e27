"""`Tables`: the tables of a family, which join it as the data asks for them.

Part of the normalize stage, for one `Family`. The resource's own table is there from the start, and so are
the child tables that exist. Others join with their first row, if the contract lets tables be created.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from lakeload.errors import SchemaError
from lakeload.model.contract import Contract
from lakeload.model.layout import Layout
from lakeload.model.mode import Append
from lakeload.model.nesting import Nesting
from lakeload.model.table import PARENT_PROPERTY, PATH_PROPERTY, QUARANTINE, TableSpec, TableState
from lakeload.normalize.hints import hints_by_table
from lakeload.normalize.naming import child_table_name
from lakeload.normalize.normalizer import Normalizer
from lakeload.normalize.outline import SourcePath
from lakeload.normalize.quarantine import QUARANTINE_SCHEMA
from lakeload.normalize.text_types import Learned

_ASIDE: SourcePath = (QUARANTINE,)
"""Key of the quarantine among the members; no path of a child begins so, because names are not empty."""


@dataclass(frozen=True, slots=True)
class Member:
    """One table of a family.

    Args:
        path: Where its rows are in the source's rows, as source names; `()` is the resource's own table.
        spec: What the table shall be.
        state: The table as it is; `None` when it does not exist.
        normalizer: Gives batches the table's names and types.
        properties: Set on the table when this load creates it.
    """

    path: SourcePath
    spec: TableSpec
    state: TableState | None
    normalizer: Normalizer
    properties: Mapping[str, str]


class Tables:
    """The tables of a family that this load knows.

    Args:
        spec: What the resource wants its table to be; its name is the table's.
        formats: Formats the tables are published in.
        state: Finds a table by its name; `None` when there is none.
        children: Names of the child tables that exist.
        load_id: Load id.
        loaded_at: Time of the load, UTC.
        learned: What is known of the source's texts.

    Raises:
        SchemaError: The hints contradict themselves or cannot be stored.
    """

    def __init__(
        self,
        spec: TableSpec,
        *,
        formats: Sequence[str],
        state: Callable[[str], TableState | None],
        children: Sequence[str],
        load_id: str,
        loaded_at: dt.datetime,
        learned: Learned | None = None,
    ) -> None:
        self._learned = learned
        self._spec, self._formats, self._state = spec, tuple(formats), state
        self._load_id, self._loaded_at = load_id, loaded_at
        self._joined: dict[SourcePath, Member] = {}
        self._hints = hints_by_table(spec)
        self.root = self._join((), replace(spec, schema=self._hints.get(())), state(spec.name), {})
        for name in children:
            there = state(name)
            if there is not None:
                self._join_child(tuple(json.loads(there.properties[PATH_PROPERTY])), name, there)

    def __contains__(self, path: object) -> bool:
        return path in self._joined

    def __iter__(self) -> Iterator[Member]:
        """In the order to publish them: what is put aside, children, the root."""
        return iter(sorted(self._joined.values(), key=lambda m: (m.path != _ASIDE, -len(m.path))))

    @property
    def loaded(self) -> Iterator[Member]:
        """Those that hold rows of the source in columns: all but the quarantine."""
        return (member for member in self if member.path != _ASIDE)

    def at(self, path: SourcePath) -> Member | None:
        """The table at a path, which joins if need be; `None` where the contract lets no table be created.

        Raises:
            SchemaError: A table of its name is something else.
        """
        if path in self._joined:
            return self._joined[path]
        name, state = self._child_name(path)
        if state is not None and state.properties.get(PARENT_PROPERTY) != self._spec.name:
            raise SchemaError(
                f"the list would become the table {name}, which is something else",
                table=self._spec.name,
                column=".".join(path),
                hint="Rename the resource's table, or keep the list in its row with nesting.",
            )
        if state is None and self._spec.contract.outcome("tables") != "evolve":
            return None
        return self._join_child(path, name, state)

    def quarantine(self) -> Member:
        """The table of what is put aside, which joins if need be, whatever the contract says of tables."""
        if _ASIDE in self._joined:
            return self._joined[_ASIDE]
        name = f"{self._spec.name}{QUARANTINE}"
        spec = TableSpec(
            name,
            schema=QUARANTINE_SCHEMA,
            mode=Append(),
            nesting=Nesting(),
            contract=Contract(),
            detect_dates=False,
            fold=self._spec.fold,
            encoding=self._spec.encoding,
        )
        return self._join(_ASIDE, spec, self._state(name), {PARENT_PROPERTY: self._spec.name})

    def _child_name(self, path: SourcePath) -> tuple[str, TableState | None]:
        """Name of the child table at a path, and the table; two paths that fall into one get a tail."""
        name = child_table_name(self._spec.name, path)
        state = self._state(name)
        told = state.properties.get(PATH_PROPERTY) if state else None
        taken = name == f"{self._spec.name}{QUARANTINE}" or any(m.spec.name == name for m in self)
        if taken or (told and json.loads(told) != list(path)):
            name = f"{name}_{sha256(json.dumps(path).encode()).hexdigest()[:8]}"
            state = self._state(name)
        return name, state

    def _join_child(self, path: SourcePath, name: str, state: TableState | None) -> Member:
        hints = self._hints.get(path)
        spec = replace(
            self._spec, name=name, schema=hints, primary_key=(), layout=Layout(), cursor=None, rules=()
        )
        place = {PARENT_PROPERTY: self._spec.name, PATH_PROPERTY: json.dumps(list(path))}
        return self._join(path, spec, state, place)

    def _join(
        self, path: SourcePath, spec: TableSpec, state: TableState | None, properties: Mapping[str, str]
    ) -> Member:
        normalizer = Normalizer(
            spec,
            formats=self._formats,
            state=state,
            load_id=self._load_id,
            loaded_at=self._loaded_at,
            learned=self._learned,
        )
        member = Member(path, spec, state, normalizer, {**spec.properties, **properties})
        self._joined[path] = member
        return member
