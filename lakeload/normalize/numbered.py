"""`NumberedBatch`: rows of a source, with the number each has in its load.

Messages and the quarantine name rows by number. A decoder that regroups rows sends the numbers along; for all
other sources rows are counted as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.rejection import FLAWS, GIVEN, MISFITS, NUMBERED, SOURCE_ROW, TRIMMED
from lakeload.normalize.payload import plain


@dataclass(frozen=True, slots=True)
class NumberedBatch:
    """A batch as the source delivered it, or what is left of it.

    Args:
        batch: The rows.
        before: Rows of the load before it.
        numbers: Number of each row, from 1, where they do not follow one another.
        given: The rows as the source gave them, as JSON, where a decoder took values out; null for others.
        misfits: What it took out, as JSON.
        flaws: What the intake found wrong with each row, if anything.

    Example:
        >>> rows = NumberedBatch.of(pa.record_batch({"a": ["x", "y", "z"]}), 100)
        >>> rows.without(pa.array([0], pa.int64())).number(0)
        102
    """

    batch: pa.RecordBatch
    before: int
    numbers: pa.Array | None
    given: pa.Array | None = None
    misfits: pa.Array | None = None
    flaws: pa.Array | None = None

    @classmethod
    def of(cls, batch: pa.RecordBatch, before: int) -> NumberedBatch:
        """The batch without its hidden columns, if it has some."""
        batch, numbers = _taken(batch, SOURCE_ROW, NUMBERED)
        batch, given = _taken(batch, GIVEN, TRIMMED)
        batch, misfits = _taken(batch, MISFITS, TRIMMED)
        batch, flaws = _taken(batch, FLAWS, NUMBERED)
        return cls(batch, before, numbers, given, misfits, flaws)

    @property
    def indices(self) -> pa.Array:
        """Of all rows, as int64."""
        return pa.arange(0, self.batch.num_rows)

    def number(self, index: int) -> int:
        """The number of a row, by its index."""
        return self.before + index + 1 if self.numbers is None else int(self.numbers[index].as_py())

    def numbering(self, origin: pa.Array | None) -> Callable[[int], int]:
        """From the index of a row in a part to the number of the row of the source it came from."""
        if origin is None:
            return self.number
        return lambda index: self.number(int(origin[index].as_py()))

    def without(self, rows: pa.Array) -> NumberedBatch:
        """The other rows, with the numbers they had."""
        everything = self.indices
        kept = everything.filter(pc.invert(pc.is_in(everything, rows)))
        numbers = pc.add(everything, self.before + 1) if self.numbers is None else self.numbers
        hidden = [None if column is None else column.take(kept) for column in (self.given, self.misfits)]
        return NumberedBatch(plain(self.batch).take(kept), self.before, numbers.take(kept), *hidden)

    @property
    def excerpts(self) -> pa.Array:
        """The first value taken out of each row, as JSON; null where none was."""
        found: dict[int, str] = {}
        for row, _, _, value in self.taken_out():
            found.setdefault(row, value)
        return pa.array([found.get(row) for row in range(self.batch.num_rows)], pa.string())

    def taken_out(self) -> Iterator[tuple[int, tuple[str, ...], str, str]]:
        """Values a decoder took out: row, path in the source's names, kind, and value as JSON."""
        for row, text in enumerate(() if self.misfits is None else self.misfits.to_pylist()):
            for path, kind, value in msgspec.json.decode(text or "[]", type=list[_Misfit]):
                yield row, tuple(path), kind, bytes(value).decode()


_Misfit = tuple[list[str], str, msgspec.Raw]


def _taken(
    batch: pa.RecordBatch, name: str, mark: Mapping[bytes, bytes]
) -> tuple[pa.RecordBatch, pa.Array | None]:
    """The batch without a hidden column, and the column."""
    found = batch.schema.get_field_index(name)
    if found < 0 or not mark.items() <= (batch.schema.field(found).metadata or {}).items():
        return batch, None  # a column of the source's own, which its name will refuse
    return batch.drop_columns([name]), batch.column(found)
