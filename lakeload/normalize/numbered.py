"""`NumberedBatch`: rows of a source, with the number each has in its load.

Messages and the quarantine name rows by number. A decoder that regroups rows sends the numbers along; for all
other sources rows are counted as they come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.rejection import NUMBERED, SOURCE_ROW
from lakeload.normalize.payload import plain


@dataclass(frozen=True, slots=True)
class NumberedBatch:
    """A batch as the source delivered it, or what is left of it.

    Args:
        batch: The rows.
        before: Rows of the load before it.
        numbers: Number of each row, from 1, where they do not follow one another.

    Example:
        >>> rows = NumberedBatch.of(pa.record_batch({"a": ["x", "y", "z"]}), 100)
        >>> rows.without(pa.array([0], pa.int64())).number(0)
        102
    """

    batch: pa.RecordBatch
    before: int
    numbers: pa.Array | None

    @classmethod
    def of(cls, batch: pa.RecordBatch, before: int) -> NumberedBatch:
        """The batch without the hidden column of numbers, if it has one."""
        found = batch.schema.get_field_index(SOURCE_ROW)
        if found < 0 or not NUMBERED.items() <= (batch.schema.field(found).metadata or {}).items():
            return cls(batch, before, None)  # a column of the source's own, which its name will refuse
        return cls(batch.drop_columns([SOURCE_ROW]), before, batch.column(found))

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
        return NumberedBatch(plain(self.batch).take(kept), self.before, numbers.take(kept))
