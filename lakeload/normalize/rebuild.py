"""Steps that remake a nested column which stays one: parts of it as JSON text or maps, or taken out.

Compiled by `outline` for columns a nesting policy touches inside; columns it leaves alone never come here.
Steps are plain data, so that a compiled shape can be sent to another process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.maps import struct_to_map
from lakeload.model.nested_arrays import as_list, bare, dense, members
from lakeload.model.text import to_json


class Rebuild(Protocol):
    """One step: a column in, the remade column of as many rows out."""

    def __call__(self, array: pa.Array) -> pa.Array:
        """The remade column."""
        ...


@dataclass(frozen=True, slots=True)
class AsText:
    """Nested values become compact JSON text: members in their order, null ones left out."""

    def __call__(self, array: pa.Array) -> pa.Array:
        """The column as text."""
        return to_json(array, canonical=False)

    def __str__(self) -> str:
        return "JSON text"


@dataclass(frozen=True, slots=True)
class Members:
    """A struct with some members remade, or left out.

    Args:
        kept: Position, name and step of the members that stay.
    """

    kept: tuple[tuple[int, str, Rebuild | None], ...]

    def __call__(self, array: pa.Array) -> pa.Array:
        """The struct of the members that stay; null where it was."""
        array = bare(array)
        parts = members(array)
        made = [remade(step, parts[i]) for i, _, step in self.kept]
        fields = [
            array.type.field(i).with_name(name).with_type(part.type).with_nullable(True)
            for (i, name, _), part in zip(self.kept, made, strict=True)
        ]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(made, fields=fields, mask=mask)

    def __str__(self) -> str:
        inner = ", ".join(name if step is None else f"{name}: {step}" for _, name, step in self.kept)
        return f"struct of {inner}"


@dataclass(frozen=True, slots=True)
class AsMap:
    """A struct becomes a map from its members' names; null members are left out.

    Args:
        inner: Step of each member.
    """

    inner: tuple[Rebuild | None, ...]

    def __call__(self, array: pa.Array) -> pa.Array:
        """The struct as a map."""
        array = bare(array)
        if any(step is not None for step in self.inner):
            names = [array.type.field(i).name for i in range(array.type.num_fields)]
            array = Members(tuple(zip(range(len(names)), names, self.inner, strict=True)))(array)
        return struct_to_map(array)

    def __str__(self) -> str:
        return "map"


@dataclass(frozen=True, slots=True)
class Each:
    """A list with its elements remade; large lists stay large, all other kinds become lists.

    Args:
        step: What is done to the elements.
    """

    step: Rebuild

    def __call__(self, array: pa.Array) -> pa.Array:
        """The list of remade elements; null where it was."""
        array = bare(array)
        offsets, values = dense(array)
        mask = array.is_null() if array.null_count else None
        values = self.step(values)
        if pa.types.is_large_list(array.type) or pa.types.is_large_list_view(array.type):
            return pa.LargeListArray.from_arrays(offsets, values, mask=mask)
        return pa.ListArray.from_arrays(offsets.cast(pa.int32()), values, mask=mask)

    def __str__(self) -> str:
        return f"list of {self.step}"


@dataclass(frozen=True, slots=True)
class Values:
    """A map with its values remade.

    Args:
        step: What is done to the values.
    """

    step: Rebuild

    def __call__(self, array: pa.Array) -> pa.Array:
        """The map to remade values; null where it was."""
        array = bare(array)
        offsets, entries = dense(as_list(array))
        values = self.step(entries.field(1))
        mask = array.is_null() if array.null_count else None
        return pa.MapArray.from_arrays(offsets.cast(pa.int32()), entries.field(0), values, mask=mask)

    def __str__(self) -> str:
        return f"map to {self.step}"


def remade(step: Rebuild | None, array: pa.Array) -> pa.Array:
    """The column after a step, if there is one."""
    return array if step is None else step(array)


@contextmanager
def refused_as(column: str, reason: str, remedy: str) -> Iterator[None]:
    """Turns what Arrow says of a value it cannot convert into an error that names the column.

    Raises:
        SchemaError: The conversion failed.
    """
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, RecursionError) as error:
        hint = f"Correct the value in the source, or {remedy}."
        raise SchemaError(f"{reason}: {error}", column=column, hint=hint) from error


def first_refused(step: Rebuild, array: pa.Array) -> int | None:
    """The first row a step refuses; `None` when it refuses the type, whatever the rows hold."""
    if _refuses(step, array.slice(0, 0)):
        return None
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        if _refuses(step, array.slice(low, middle - low)):
            high = middle
        else:
            low = middle
    return low


def _refuses(step: Rebuild, array: pa.Array) -> bool:
    try:
        with refused_as("", "", ""):
            step(array)
    except SchemaError:
        return True
    return False
