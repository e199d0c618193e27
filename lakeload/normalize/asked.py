"""`Asked`: names in a resource's options, and whether anything answers to them.

Part of the normalize stage, for one `Family`. Keys, nesting paths, rules and hints name columns, in the
source's spelling or the table's. A name spelled wrong would do nothing, or put every row aside. So what
comes is compared with what was asked, and a name nothing answered to is an error before anything is
published. Of a load that read no rows nothing can be said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa

from lakeload.errors import ConfigError
from lakeload.model.naming import HINTS, incoming_parts, nearest
from lakeload.model.nesting import Nesting
from lakeload.model.table import TableSpec
from lakeload.model.types import is_list
from lakeload.normalize.naming import column_name
from lakeload.normalize.type_parts import unwrap


class Asked:
    """What a resource's options name, and what came of it so far.

    Args:
        spec: The resource's table, with its options.
        known: What the tables have, in the source's names; `None` when they are not there.

    Example:
        >>> asked = Asked(TableSpec("t", primary_key=("idd",)), None)
        >>> asked.see(pa.schema([("id", pa.int64())]))
        >>> [str(error) for error in asked.unanswered(["id"])]
        ["primary_key names 'idd', which neither the data nor the table has (table t). Did you mean id?"]
    """

    def __init__(self, spec: TableSpec, known: pa.Schema | None) -> None:
        self._spec = spec
        self._columns: dict[str, str] = {}
        self._paths: dict[str, str | None] = {path: None for path in spec.nesting.paths if path}
        self._own: set[str] = set()
        self._near: dict[str, Iterable[str]] = {}
        if known is not None:
            self.see(known)

    def see(self, schema: pa.Schema) -> None:
        """Columns that came, in the source's names."""
        for field in schema:
            parts = incoming_parts(field)
            self._columns.update({name: name for name in (field.name, ".".join(parts), *parts[:1])})
            self._columns.setdefault(self._spelled(field.name), field.name)
        for path in self._paths:
            if self._paths[path] is None:
                self._paths[path] = self._answer(path, list(schema))

    def see_columns(self, fields: Iterable[pa.Field]) -> None:
        """Columns of the resource's own table, shaped by its nesting, under the names they came with."""
        for field in fields:
            self._own |= {field.name, self._spelled(field.name), ".".join(incoming_parts(field))}

    def is_column(self, name: str) -> bool:
        """Whether the data has a column of the resource's own table, with values or without."""
        return name in self._own or self._spelled(name) in self._own

    def nesting(self) -> Nesting:
        """The resource's nesting, its paths in the source's spelling as far as they are known."""
        nesting = self._spec.nesting
        if all(found in (None, path) for path, found in self._paths.items()):
            return nesting
        paths = {self._paths.get(path) or path: policy for path, policy in nesting.paths.items()}
        return Nesting(nesting.default, paths, nesting.max_depth, nesting.map_keys)

    def unanswered(self, columns: Iterable[str]) -> Iterator[ConfigError]:
        """One error for each name nothing answered to.

        Args:
            columns: The table's columns before this load.
        """
        there = {**{name: name for name in columns}, **self._columns}
        shown = [name for name in self._columns if self._columns[name] == name]
        for key in self._spec.primary_key:
            if key not in there and self._spelled(key) not in there:
                yield self._error("primary_key", key, shown)
        hints = self._spec.schema if self._spec.schema is not None else pa.schema([])
        for field in hints:
            if field.name not in there and self._spelled(field.name) not in there:
                free = [name for name in shown if not self._hinted(name)]
                if HINTS in (hints.metadata or {}) or nearest(field.name, free):
                    yield self._error("schema", field.name, free)
        for path, found in self._paths.items():
            if found is None:
                yield self._error("nesting", path, self._near.get(path, shown))

    def _error(self, option: str, name: str, known: Iterable[str]) -> ConfigError:
        names = list(known)
        others = f"There are {', '.join(names[:20])}." if names else "There is nothing by a name like it."
        return ConfigError(
            f"{option} names {name!r}, which neither the data nor the table has",
            table=self._spec.name,
            hint=nearest(name, names) or others,
        )

    def _hinted(self, name: str) -> bool:
        return any(self._spelled(field.name) == self._spelled(name) for field in self._spec.schema or ())

    def _spelled(self, name: str) -> str:
        return column_name(name, self._spec.naming, self._spec.max_name_length) if name else name

    def _answer(self, path: str, fields: list[pa.Field]) -> str | None:
        """The path as the source spells it; `None` where nothing is called so."""
        rest, taken = path, list[str]()
        while rest:
            by_name = {field.name: field for field in fields}
            name = next(self._steps(rest, by_name), None)
            if name is None:
                self._near[path] = [".".join((*taken, other)) for other in by_name]
                return None
            step, rest = name
            taken.append(step)
            inner = _members(by_name[step].type)
            if inner is None:  # what lies below cannot be seen
                return ".".join([*taken, *([rest] if rest else [])])
            fields = inner
        return ".".join(taken)

    def _steps(self, rest: str, fields: Mapping[str, pa.Field]) -> Iterator[tuple[str, str]]:
        """Ways to begin the path: a name, which may have dots of its own, and what is left."""
        spelled = {self._spelled(name): name for name in fields}
        parts = rest.split(".")
        for length in range(1, len(parts) + 1):
            head, left = ".".join(parts[:length]), ".".join(parts[length:])
            if head in fields or head in spelled:
                yield (head if head in fields else spelled[head]), left


def _members(kind: pa.DataType) -> list[pa.Field] | None:
    """What a path can go on to; `None` where that cannot be seen, as below text or null."""
    kind = unwrap(kind)
    while is_list(kind):
        kind = unwrap(kind.value_type)
    if pa.types.is_struct(kind) and kind.num_fields:
        return list(kind)
    return [] if pa.types.is_primitive(kind) and not pa.types.is_null(kind) else None
