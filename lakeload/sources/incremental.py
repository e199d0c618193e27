"""Only what is new: rows after the stored position, each once.

Last step of extract. The lower bound is closed, because more rows with the last value may have appeared
since; those already loaded are told apart by hash. With a lag the bound lies further back and every row
within the lag is remembered. Filters run over Arrow; rows are looked at one by one only at the boundary.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import ConfigError, SourceError
from lakeload.model.cursor import HASH_DIGITS, Checkpoint, Cursor, CursorValue
from lakeload.model.naming import nearest
from lakeload.model.rejection import SOURCE_ROW
from lakeload.model.text import text_of
from lakeload.sources.decode.conflict import excerpt

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LAG = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*")
_WINDOW_BYTES = 32 << 20
"""Rows kept whole for hashing at the end; beyond it they are hashed as they come."""


class Incremental:
    """Filters batches by a cursor and keeps the position for the next run.

    Args:
        cursor: What orders the rows, in the source's spelling.
        checkpoint: Where the last run stopped; `None` on the first.
        kind: Type of the cursor's column, where one was declared. Text is compared as that, or as what the
            position is, or, with a lag in time, as the ISO 8601 date or timestamp it is.

    Raises:
        ConfigError: The lag cannot be read, or does not suit the cursor's values.

    Example:
        >>> incremental = Incremental(Cursor("id"), Checkpoint(value=2))
        >>> incremental.filter(pa.record_batch({"id": [1, 2, 3]})).to_pylist()
        [{'id': 2}, {'id': 3}]
        >>> incremental.checkpoint().value
        3
    """

    def __init__(
        self,
        cursor: Cursor,
        checkpoint: Checkpoint | None,
        kind: pa.DataType | None = None,
        *,
        refresh: bool = False,
    ) -> None:
        self._kind = kind
        self._refresh = refresh
        self._initial = cursor.initial
        self._path = cursor.path
        self._lag: Any = _lag(cursor.lag)
        self._old = checkpoint or Checkpoint()
        self._value = self._old.value
        self._rows = 0
        self._window: list[_Piece] = []
        self.start: CursorValue | None = (
            cursor.initial if refresh or self._old.value is None else self._behind(self._old.value)
        )

    def filter(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of the batch at or after the start that no earlier run has loaded.

        Raises:
            SourceError: The cursor column is missing, null, NaN, or of another type than the position.
        """
        batch = _without_views(batch)
        values = self._values(batch)
        before, self._rows = self._rows, self._rows + batch.num_rows
        self._refuse_gaps(values, before)
        if not batch.num_rows:
            return batch
        if self.start is not None:
            keep = pc.greater_equal(values, self._scalar(self.start, values.type))
            if not pc.all(keep).as_py():
                batch, values = batch.filter(keep), values.filter(keep)
        if not batch.num_rows:
            return batch
        self._remember(batch, values)
        return self._unseen(batch, values)

    def checkpoint(self) -> Checkpoint:
        """Where this run stopped."""
        if self._value is None:
            return self._old
        self._trim()
        boundary = {digest for piece in self._window for digest in piece.digests()}
        if self._old.value is not None and self._old.value >= self._behind(self._value):
            boundary |= self._old.boundary
        return Checkpoint(self._value, frozenset(boundary), self._old.positions)

    def _unseen(self, batch: pa.RecordBatch, values: pa.Array) -> pa.RecordBatch:
        if self._refresh or self._old.value is None or not self._old.boundary:
            return batch
        maybe = pc.less_equal(values, self._scalar(self._old.value, values.type))
        if not pc.any(maybe).as_py():
            return batch
        indices = pc.indices_nonzero(maybe)
        rows = _rows(batch.take(indices))
        known = [row_hash(row)[:HASH_DIGITS] in self._old.boundary for row in rows]
        seen = indices.filter(pa.array(known, pa.bool_()))
        if not len(seen):
            return batch
        everything = pa.arange(0, batch.num_rows)
        return batch.filter(pc.invert(pc.is_in(everything, seen.cast(everything.type))))

    def _remember(self, batch: pa.RecordBatch, values: pa.Array) -> None:
        largest = _python(pc.max(values))
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
            bound = self._scalar(self._behind(self._value), piece.values.type)
            near = pc.greater_equal(piece.values, bound)
            if pc.all(near).as_py():
                kept.append(piece)
            elif pc.any(near).as_py():
                kept.append(piece.filter(near))
        self._window = kept
        if sum(piece.nbytes for piece in kept) > _WINDOW_BYTES:
            self._window = [piece.hashed() for piece in kept]

    def _values(self, batch: pa.RecordBatch) -> pa.Array:
        values = _column(batch, self._path)
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if pa.types.is_string_view(values.type) or pa.types.is_large_string(values.type):
            values = values.cast(pa.string())
        if pa.types.is_string(values.type):
            values = self._of_text(values)
        if pa.types.is_timestamp(values.type) and values.type.unit != "us":
            # Positions are kept in µs; finer rows that share one are told apart by hash.
            values = values.cast(pa.timestamp("us", values.type.tz), safe=False)
        return values

    def _of_text(self, values: pa.Array) -> pa.Array:
        """Text as the moments it tells, where moments are what is compared."""
        position = self._initial if self._value is None else self._value
        if position is not None:
            families = [_family(position)]
        elif self._kind is not None:
            families = [_family_of(self._kind)]
        else:
            families = list(_MOMENTS) if isinstance(self._lag, dt.timedelta) else []
        for family in families:
            if family in _MOMENTS:
                with suppress(pa.ArrowInvalid):
                    return values.cast(_MOMENTS[family])
        return values

    def _refuse_gaps(self, values: pa.Array, before: int) -> None:
        for what, holes in (("null", values.is_null()), ("NaN", _nan(values))):
            if holes is not None and pc.any(holes).as_py():
                row = before + pc.index(holes, pa.scalar(True)).as_py() + 1
                hint = "Filter such rows out in the source, or choose a cursor that every row has."
                raise SourceError(f"the cursor is {what}", column=self._path, row=row, hint=hint)

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
        if isinstance(value, Decimal):
            return value - Decimal(str(self._lag))
        if isinstance(value, int):
            return max(value - self._lag, -(2**63))
        return value - self._lag

    def _scalar(self, value: object, kind: pa.DataType) -> pa.Scalar:
        if _family(value) != _family_of(kind):
            raise SourceError(
                f"the cursor column is {kind}, the position is {_family(value)} {excerpt(value)}",
                column=self._path,
                hint="Make the column what it was when the position was stored, or declare its type.",
            )
        try:
            # Not in the column's own type, which may be narrower than the position.
            return pa.scalar(value, _comparable(kind, value))
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            huge = isinstance(value, int) and value >= 2**63
            return pa.scalar(value, pa.uint64() if huge else None)


_MOMENTS: dict[str, pa.DataType] = {
    "timestamp with zone": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
    "timestamp without zone": pa.timestamp("us"),
}
"""Types of moments by the family of their values; each reads less text than the next."""


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
            return [row_hash(row)[:HASH_DIGITS] for row in _rows(self._rows)]
        return [] if self._hashes is None else self._hashes.to_pylist()


def row_hash(row: Mapping[str, object]) -> str:
    """Hash of a row's content: the same for the same values whatever the order of keys and machine.

    Nulls do not count, so that a row keeps its hash when columns are added later. Values count by their
    canonical text (`model.text`), so that it does when a column is widened, or becomes text or a map.

    Example:
        >>> row_hash({"a": 1, "b": None}) == row_hash({"a": 1.0}) == row_hash({"a": "1"})
        True
    """
    text = json.dumps(_canonical(row), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _canonical(value: object) -> object:
    if isinstance(value, str):
        value = _nested(value)
    if isinstance(value, Mapping):
        items = ((str(key), _canonical(item)) for key, item in value.items())
        return {key: item for key, item in items if item is not None and item != {}}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return value if value is None or isinstance(value, str) else text_of(value)


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows as Python values, without their numbers, which change from run to run."""
    if SOURCE_ROW in batch.schema.names:
        batch = batch.drop_columns([SOURCE_ROW])
    rows: list[dict[str, Any]] = batch.to_pylist(maps_as_pydicts="lossy")
    return rows


def _nested(text: str) -> object:
    """The object or list whose canonical text this is; any other text as it is."""
    if text[:1] not in ("{", "["):
        return text
    try:
        value = json.loads(text)
        return value if text_of(value) == text else text
    except (ValueError, RecursionError):
        return text


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


def _column(batch: pa.RecordBatch, path: str) -> pa.Array:
    found = batch.schema.get_all_field_indices(path)
    if len(found) == 1:
        return batch.column(found[0])
    head, _, rest = path.partition(".")
    indices = batch.schema.get_all_field_indices(head) if rest else []
    if len(indices) == 1:
        values = batch.column(indices[0])
        for name in rest.split("."):
            if not pa.types.is_struct(values.type) or values.type.get_field_index(name) < 0:
                break
            values = pc.struct_field(values, name)
        else:
            return values
    alike = [name for name in batch.schema.names if _plainly(name) == _plainly(path)]
    if len(alike) == 1 and alike[0] != path:  # spelled as in the table
        return _column(batch, alike[0])
    names = ", ".join(batch.schema.names[:20])
    hint = f"{nearest(path, batch.schema.names)} The columns are {names}."
    raise SourceError("the cursor column is missing", column=path, hint=hint.strip())


def _plainly(name: str) -> str:
    """The name without what naming adds and takes."""
    return "".join(filter(str.isalnum, name)).lower()


def _nan(values: pa.Array) -> pa.Array | None:
    return pc.fill_null(pc.is_nan(values), False) if pa.types.is_floating(values.type) else None


def _lag(lag: str | float | None) -> dt.timedelta | float | None:
    if lag is None or isinstance(lag, int | float):
        return lag
    parts = _LAG.fullmatch(lag)
    if parts is None:
        raise ConfigError(f"cannot read the lag {lag!r}", hint="Write 90s, 15m, 1h, 2d, or a number.")
    return dt.timedelta(**{_UNITS[parts[2]]: float(parts[1])})


def _python(value: pa.Scalar) -> Any:
    found = value.as_py()
    return found.astimezone(dt.UTC) if isinstance(found, dt.datetime) and found.tzinfo else found


def _family(value: object) -> str:
    if isinstance(value, dt.datetime):
        return "timestamp with zone" if value.tzinfo else "timestamp without zone"
    if isinstance(value, dt.date):
        return "date"
    return "number" if isinstance(value, int | float | Decimal) else type(value).__name__


def _family_of(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamp with zone" if kind.tz else "timestamp without zone"
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return "str" if pa.types.is_string(kind) else str(kind)


def _comparable(kind: pa.DataType, value: object) -> pa.DataType | None:
    if pa.types.is_integer(kind) and not isinstance(value, int):
        return None
    return kind
