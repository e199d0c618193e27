"""Rows of the types learned, straight to Arrow: all of a list, or none where any row is a surprise.

Part of reading rows, used by `rows` and, for what the JSON parser has no types for, by `parsing`. A guard
judges the rows in C; then `pa.array` builds the columns whose values it takes as they are. Columns that hold
maps, or text of mixed values, are lifted without another look at their values, and those no guard can judge
are observed first, column by column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lakeload.model.memory import pool
from lakeload.sources.decode.coerce import carrier, is_text
from lakeload.sources.decode.conflict import Conflict
from lakeload.sources.decode.guard import Guard, is_judged, is_sayable, is_usual
from lakeload.sources.decode.infer import Observed
from lakeload.sources.decode.lift import REFUSALS, TooLargeError, lift

Wanted = Callable[[str, Observed], "pa.DataType | None"]
"""Type a column must have, by its name and what was seen in it, if any was declared."""

_CHUNK = 1000
"""Rows checked and converted at a time: msgspec builds objects on the way, and more of them wake the garbage
collector; both steps hold the interpreter's lock until they are done, and the other stages wait for it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows of the types learned become Arrow; for any number of threads. Equal if the types are.

    Args:
        kind: Struct of all columns.
        usual: Struct of the columns that pass the guard and go to Arrow as they are.
        columns: What was learned of each column.
        odd: Columns that the guard lets pass whatever they hold.
        guard: `None` if a column's name cannot be checked.
        wanted: Types declared.

    Example:
        >>> seen = Observed()
        >>> seen.observe([{"a": 1}])
        >>> plan = Plan.of(seen.fields, lambda name, column: None)
        >>> plan.decode([{"a": 2}]).to_pylist(), plan.decode([{"a": 2.5}])
        ([{'a': 2}], None)
    """

    kind: pa.DataType
    usual: pa.DataType = field(compare=False)
    columns: Mapping[str, Observed] = field(compare=False)
    odd: frozenset[str] = field(compare=False)
    guard: Guard | None = field(compare=False)
    wanted: Wanted = field(compare=False)

    @classmethod
    def of(cls, columns: Mapping[str, Observed], wanted: Wanted) -> Plan:
        """The plan for columns of which this much was learned."""
        kind = struct_of(columns, wanted)
        usual = {name for name, column in columns.items() if _is_usual(column, wanted(name, column))}
        odd = frozenset(
            name
            for name, column in columns.items()
            if name not in usual and not _is_judged(column, wanted(name, column))
        )
        guard = Guard(columns, odd) if all(map(is_sayable, columns)) else None
        return cls(
            kind, pa.struct([field for field in kind if field.name in usual]), columns, odd, guard, wanted
        )

    def decode(self, rows: Sequence[dict[str, Any]], *, judged: bool = False) -> pa.Array | None:
        """The rows as structs of the types learned; `None` if they are a surprise.

        Args:
            rows: Dicts.
            judged: The guard has nothing to say: the rows were decoded with its types.

        Raises:
            TooLargeError: Fewer rows at a time would do.
        """
        if self.guard is None:
            return None
        try:
            usual = _guarded(rows, None if judged else self.guard, self.usual)
            if usual is None or len(self.usual) == len(self.kind):
                return usual
            arrays = [
                usual.field(field.name)
                if self.usual.get_field_index(field.name) >= 0
                else self._lifted(rows, field)
                for field in self.kind
            ]
        except (*REFUSALS, RecursionError, Conflict):
            return None
        return None if None in arrays else pa.StructArray.from_arrays(arrays, fields=list(self.kind))

    def _lifted(self, rows: Sequence[dict[str, Any]], field: pa.Field) -> pa.Array | None:
        values = [row.get(field.name) for row in rows]
        learned = self.columns[field.name]
        if field.name in self.odd:
            seen = Observed(learned.nesting, learned.path, learned.depth)
            seen.observe(values)
            if carrier(learned.merge(seen), self.wanted(field.name, seen)) != field.type:
                return None
        return lift(values, learned, field.type)


def struct_of(columns: Mapping[str, Observed], wanted: Wanted) -> pa.DataType:
    """The struct of the types columns are decoded as."""
    return pa.struct(
        [pa.field(name, carrier(column, wanted(name, column))) for name, column in columns.items()]
    )


def _is_usual(seen: Observed, wanted: pa.DataType | None) -> bool:
    if not is_usual(seen):
        return False
    if is_text(wanted):
        return seen.kinds <= {"string"}
    return not (wanted is not None and pa.types.is_decimal(wanted) and "number" in seen.kinds)


def _is_judged(seen: Observed, wanted: pa.DataType | None) -> bool:
    return (wanted is None or pa.types.is_nested(wanted)) and is_judged(seen)


def _guarded(rows: Sequence[dict[str, Any]], guard: Guard | None, kind: pa.DataType) -> pa.Array | None:
    """The rows as structs; `None` if the guard refuses any."""
    parts = []
    for start in range(0, len(rows) or 1, _CHUNK):
        part = rows[start : start + _CHUNK]
        if guard is not None and not guard.accepts(part):
            return None
        parts.append(pa.array(part, type=kind, memory_pool=pool()))
        if isinstance(parts[-1], pa.ChunkedArray):
            raise TooLargeError
    if len(parts) == 1:
        return parts[0]
    try:
        return pa.concat_arrays(parts, memory_pool=pool())
    except pa.ArrowInvalid as error:  # more text than offsets of 32 bits can count
        raise TooLargeError from error
