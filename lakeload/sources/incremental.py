"""Only what is new: rows after the stored position, each once.

Last step of extract. The lower bound is closed, because more rows with the last value may have appeared
since; those already loaded are told apart by hash. With a lag the bound lies further back and every row
within the lag is remembered. Filters run over Arrow; rows are looked at one by one only at the boundary.
"""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import ConfigError
from lakeload.model.cursor import Checkpoint, Cursor, CursorValue, parse_lag
from lakeload.model.rejection import NUMBERED, SOURCE_ROW
from lakeload.sources.cursor_values import CursorValues, column_at, plainly
from lakeload.sources.row_hash import row_hashes

_WINDOW_BYTES = 32 << 20
"""Rows kept whole for hashing at the end; beyond it they are hashed as they come."""
_NUMBER = pa.field(SOURCE_ROW, pa.int64(), metadata=NUMBERED)


class Incremental:
    """Filters batches by a cursor and keeps the position for the next run.

    Args:
        cursor: What orders the rows, in the source's spelling.
        checkpoint: Where the last run stopped; `None` on the first.
        kind: Type of the cursor's column, where one was declared or the table has one.
        lenient: A value that is none of the cursor's kind is judged by the contract: its row passes, is
            remembered by its hash, and moves no position. Otherwise it is refused.
        refresh: Read from the initial value and let every row pass; the position does not go back.

    Raises:
        ConfigError: The lag does not suit the cursor's values, or the position is of another column.

    Example:
        >>> incremental = Incremental(Cursor("id"), Checkpoint(value=2))
        >>> incremental.filter(pa.record_batch({"id": [1, 2, 3]})).column("id").to_pylist()
        [2, 3]
        >>> incremental.checkpoint().value
        3
    """

    def __init__(
        self,
        cursor: Cursor,
        checkpoint: Checkpoint | None,
        kind: pa.DataType | None = None,
        *,
        lenient: bool = False,
        refresh: bool = False,
    ) -> None:
        self._path, self._refresh = cursor.path, refresh
        self._lag: Any = parse_lag(cursor.lag)
        self._old = old = checkpoint or Checkpoint()
        if old.cursor is not None and plainly(old.cursor) != plainly(cursor.path):
            raise ConfigError(
                f"the position is of the cursor {old.cursor}, not of {cursor.path}",
                column=cursor.path,
                hint="Keep the cursor, or load with another pipeline name, which starts from the beginning.",
            )
        self._values = CursorValues(cursor, old.value, kind, lenient=lenient)
        self._reached = None if old.value is None else self._values.position(old.value)
        self._value: Any = self._reached
        self._initial = cursor.initial if refresh or old.value is None else None
        self._bound: Any = None if refresh else self._later(self._behind(self._reached), old.since)
        self._window: list[_Piece] = []
        self._unplaced = set[str]()
        self._touched = False
        self.rows = 0
        """Rows that came."""
        self.seen = 0
        """Rows that did not pass."""
        self.start: CursorValue | None = self._bound if self._initial is None else cursor.initial

    def filter(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of the batch at or after the start that no earlier run has loaded.

        Raises:
            SourceError: The cursor column is missing, null, NaN, or of another kind than the position.
        """
        batch = _without_views(batch)
        values = self._values.read(column_at(batch, self._path), self.rows)
        before, self.rows = self.rows, self.rows + batch.num_rows
        if not batch.num_rows:
            return batch
        passing = self._passing(batch, values)
        self.seen += batch.num_rows - len(passing)
        if not self.seen:
            return batch
        # Messages and the quarantine name rows by number, and from here on those are not in a row.
        if SOURCE_ROW not in batch.schema.names:
            batch = batch.append_column(_NUMBER, pa.arange(before + 1, before + 1 + batch.num_rows))
        return batch if len(passing) == batch.num_rows else batch.take(passing)

    def checkpoint(self) -> Checkpoint:
        """Where this run stopped."""
        if not self._touched and not self._unplaced:
            return self._old
        self._trim()
        old, reached = self._old, self._behind(self._value)
        boundary = frozenset(digest for piece in self._window for digest in piece.digests())
        if self._reached is not None and self._values.lifted(self._reached) >= reached:
            boundary |= old.boundary
        unplaced = old.unplaced | self._unplaced
        if (self._value, boundary, unplaced) == (self._reached, old.boundary, old.unplaced):
            return old
        return Checkpoint(
            self._value,
            boundary,
            old.positions,
            cursor=self._path,
            since=self._later(reached, old.since),
            unplaced=unplaced,
        )

    def _passing(self, batch: pa.RecordBatch, values: pa.Array) -> pa.Array:
        """Indices of the rows that pass, in order."""
        after = values.is_valid()
        start = self._start()
        if start is not None:
            after = pc.and_(
                after, pc.fill_null(pc.greater_equal(values, self._scalar(start, values.type)), False)
            )
        indices = pc.indices_nonzero(after)
        there = values if len(indices) == len(values) else values.take(indices)
        if len(indices):
            self._remember(batch if there is values else batch.take(indices), there)
        fresh = indices.filter(self._unseen(batch, indices, there))
        if not values.null_count:
            return fresh
        lost = pc.indices_nonzero(values.is_null())
        hashes = row_hashes(batch.take(lost))
        self._unplaced.update(hashes)
        known = pa.array(
            [not self._refresh and digest in self._old.unplaced for digest in hashes], pa.bool_()
        )
        return pa.concat_arrays([fresh, lost.filter(pc.invert(known))]).sort()

    def _start(self) -> Any:
        if self._initial is not None:
            return self._values.initial(self._initial)
        return self._values.lifted(self._bound)

    def _unseen(self, batch: pa.RecordBatch, indices: pa.Array, values: pa.Array) -> pa.Array:
        """Which of these rows no earlier run has loaded."""
        everything = pa.repeat(pa.scalar(value=True), len(indices))
        if self._refresh or self._reached is None or not self._old.boundary:
            return everything
        maybe = pc.less_equal(values, self._scalar(self._values.lifted(self._reached), values.type))
        if not pc.any(maybe).as_py():
            return everything
        hashes = row_hashes(batch.take(indices.filter(maybe)))
        return pc.replace_with_mask(
            everything, maybe, pa.array([h not in self._old.boundary for h in hashes])
        )

    def _remember(self, batch: pa.RecordBatch, values: pa.Array) -> None:
        self._touched = True
        largest = _python(pc.max(values))
        self._value = self._values.lifted(self._value)
        if self._value is None or largest > self._value:
            self._value = largest
        near = pc.greater_equal(values, self._scalar(self._behind(self._value), values.type))
        if pc.any(near).as_py():
            self._window.append(_Piece(values.filter(near), rows=batch.filter(near)))
        self._trim()

    def _trim(self) -> None:
        """Drop rows that have fallen behind the boundary; hash those that weigh too much."""
        kept = []
        for piece in self._window:
            values = piece.values
            if pa.types.is_date(values.type) and isinstance(self._value, dt.datetime):
                values = values.cast(pa.timestamp("us"))
            near = pc.greater_equal(values, self._scalar(self._behind(self._value), values.type))
            if pc.all(near).as_py():
                kept.append(piece)
            elif pc.any(near).as_py():
                kept.append(piece.filter(near))
        self._window = kept
        if sum(piece.nbytes for piece in kept) > _WINDOW_BYTES:
            self._window = [piece.hashed() for piece in kept]

    def _later(self, one: Any, other: Any) -> Any:
        """The later of two places, either of which may not be known."""
        if one is None or other is None:
            return other if one is None else one
        other = self._values.position(other)
        return max(self._values.lifted(one), self._values.lifted(other))

    def _behind(self, value: Any) -> Any:
        """The value minus the lag."""
        if self._lag is None or value is None:
            return value
        suits = isinstance(value, dt.date) == isinstance(self._lag, dt.timedelta)
        if not suits or isinstance(value, str):
            hint = "Durations suit dates and timestamps, numbers suit numbers; text cannot have a lag."
            raise ConfigError(f"a lag of {self._lag} does not suit the cursor value {value!r}", hint=hint)
        try:
            return self._minus_lag(value)
        except OverflowError as error:
            raise ConfigError(
                f"a lag of {self._lag} reaches before the earliest date there is from {value}",
                column=self._path,
                hint="Give a shorter lag.",
            ) from error

    def _minus_lag(self, value: Any) -> Any:
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            return value - dt.timedelta(days=math.ceil(self._lag / dt.timedelta(days=1)))
        if isinstance(value, Decimal) or isinstance(self._lag, Decimal):
            return Decimal(str(value)) - Decimal(str(self._lag))
        if isinstance(value, int):
            return max(value - self._lag, -(2**63))
        return value - self._lag

    def _scalar(self, value: object, kind: pa.DataType) -> pa.Scalar:
        try:
            # Not in the column's own type, which may be narrower than the position.
            return pa.scalar(
                value, None if pa.types.is_integer(kind) and not isinstance(value, int) else kind
            )
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            huge = isinstance(value, int) and value >= 2**63
            return pa.scalar(value, pa.uint64() if huge else None)


class _Piece:
    """Rows near the position: whole, or only their hashes."""

    def __init__(
        self, values: pa.Array, *, rows: pa.RecordBatch | None, hashes: pa.Array | None = None
    ) -> None:
        self.values = values
        self._rows = rows
        self._hashes = hashes

    @property
    def nbytes(self) -> int:
        return 0 if self._rows is None else self._rows.nbytes

    def filter(self, keep: pa.Array) -> _Piece:
        rows = None if self._rows is None else self._rows.filter(keep)
        hashes = None if self._hashes is None else self._hashes.filter(keep)
        return _Piece(self.values.filter(keep), rows=rows, hashes=hashes)

    def hashed(self) -> _Piece:
        return _Piece(self.values, rows=None, hashes=pa.array(self.digests(), pa.string()))

    def digests(self) -> list[str]:
        if self._rows is not None:
            return row_hashes(self._rows)
        return [] if self._hashes is None else self._hashes.to_pylist()


def _without_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with plain strings and bytes: pyarrow cannot filter views, which Polars exports."""
    schema = pa.schema([field.with_type(_plain(field.type)) for field in batch.schema])
    return batch if schema == batch.schema else batch.cast(schema)


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        make = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_plain(kind.value_type)))
    return kind


def _python(value: pa.Scalar) -> Any:
    found = value.as_py()
    return found.astimezone(dt.UTC) if isinstance(found, dt.datetime) and found.tzinfo else found
