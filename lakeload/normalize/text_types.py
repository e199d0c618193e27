"""`TextTypes`: the types of columns that come as text and nothing else, as those of CSV do.

Stands before the rest of normalize, so that all that follows sees the typed columns that JSON and rows give
it. A text has a type only if it can be got back from the value:

| texts of a column | type |
|---|---|
| integers without `+` or leading zeros, up to 64 bits | int64 |
| such integers, of up to 38 digits | decimal128(38, 0) |
| plain decimals, each the shortest or the 17-digit form of a double; integers up to 2⁵³ | double |
| any other plain decimals (`1.10`), and such with integers, up to 38 digits in all | decimal128(18 or 38, most digits after the point) |
| `true`, `false` | boolean |
| ISO 8601 dates; timestamps of one sort, with zone or without (`iso8601`) | date32; timestamp[us] |
| everything else: exponents, `007`, `+1`, `1.`, `-0.00`, empty texts, kinds that meet | string |

What a column is, is a property of all its texts: where a later one widens the type so that an earlier one
could not be got back from its value, `ReadAgain` is raised, and the source is read twice more, first for the
types alone. A column the table has keeps its type where it cannot become text; a row whose text is none of
that type comes in a batch of its own, typed by itself, for the contract to judge. Where contracts do not let
types evolve, the first rows of the source decide on new columns.
"""  # noqa: E501 - a table

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.naming import TEXT_ONLY
from lakeload.model.rejection import NUMBERED, SOURCE_ROW
from lakeload.normalize.text_values import Asked, Read, Seen, kinds_of, observe, read, seen_of

if TYPE_CHECKING:
    import polars as pl

FIRST_ROWS = 1_000
"""Rows that decide on types where types are not to evolve."""

_CANONICAL = (pa.int64(), pa.bool_(), pa.date32(), pa.decimal128(38, 0))
"""Types whose canonical text is the text they were read from."""
_NUMBER = pa.field(SOURCE_ROW, pa.int64(), metadata=NUMBERED)


class ReadAgain(Exception):  # noqa: N818 - a signal within a load, answered by reading the source again
    """Texts that were typed and written cannot be got back from their values, but must be.

    Args:
        column: Where.
    """


@dataclass(slots=True)
class Learned:
    """What is known of a source's texts because it has been read before, and whether it can be read again.

    Args:
        able: Whether the source can be read again from its start.
        learning: Whether this reading is only for what can be learned.
        seen: All texts of columns that come as nothing but text, by name in the source.
        texts: Places of tables, each with its table's name, whose texts are no moments.
    """

    able: bool = False
    learning: bool = False
    seen: dict[str, Seen] = field(default_factory=dict)
    texts: set[tuple[str, tuple[str, ...]]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Target:
    """What a column of text may become.

    Args:
        stored: Type of the table's column; `None` when it has none.
        hinted: The user asks for a type, which is read where hints are.
        grows: Its type follows the data, up to text.
    """

    stored: pa.DataType | None = None
    hinted: bool = False
    grows: bool = False


@dataclass(slots=True)
class _Column:
    """What is known of one column.

    Args:
        target: What it may become.
        seen: Its texts, as far as types tell of them.
        asked: What it is read as; `None` for text, or as long as nothing is known.
        written: Whether values were given out that are read as that.
    """

    target: Target
    seen: Seen = field(default_factory=Seen)
    asked: Asked | None = None
    written: bool = False

    @property
    def open(self) -> bool:
        """Whether its type is not known yet."""
        return self.asked is None and not self.seen.kinds


class TextTypes:
    """Types batches of text; others pass. For one load, and one thread.

    Args:
        target: What a column may become, by its name in the source.
        dates: Whether text may be dates.
        learned: What was learned of the source when it was read before.

    Example:
        >>> texts = pa.record_batch({"n": ["1", "2"], "code": ["007", "8"]})
        >>> types = TextTypes(lambda name: Target(grows=True))
        >>> [batch] = types.typed([texts.replace_schema_metadata({TEXT_ONLY: b"csv"})])
        >>> batch.to_pylist()
        [{'n': 1, 'code': '007'}, {'n': 2, 'code': '8'}]
    """

    def __init__(
        self, target: Callable[[str], Target], *, dates: bool = True, learned: Learned | None = None
    ) -> None:
        self._target, self._dates = target, dates
        self._learned = learned or Learned(able=True)
        self._columns: dict[str, _Column] = {}
        self._rows = 0

    def typed(self, batches: Iterable[pa.RecordBatch]) -> Generator[pa.RecordBatch, None, None]:
        """The batches with types; while learning only those that have some.

        Raises:
            ReadAgain: What was given out so far cannot stay.
        """
        if self._learned.learning:
            yield from self._learning(batches)
            return
        held: list[pa.RecordBatch] = []
        waiting = True
        for batch in batches:
            if waiting and self._waits(batch):
                held.append(batch)
                if sum(one.num_rows for one in held) < FIRST_ROWS:
                    continue
                waiting = False
                self._decide(held)
                for one in held:
                    yield from self._batch(one)
                continue
            yield from self._batch(batch)
        if waiting and held:
            self._decide(held)
            for one in held:
                yield from self._batch(one)

    def _learning(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not _is_text(batch):
                yield batch
                continue
            for name, texts in _texts(batch).items():
                if self._target(name).grows:
                    before = self._learned.seen.get(name, Seen())
                    self._learned.seen[name] = before.merged(self._observed(texts))

    def _waits(self, batch: pa.RecordBatch) -> bool:
        """Whether the batch has columns on which the first rows decide."""
        return _is_text(batch) and any(_is_decided_first(self._column(name).target) for name in _texts(batch))

    def _decide(self, batches: list[pa.RecordBatch]) -> None:
        """Types of columns that shall not evolve, from the first rows, or from the first value after them."""
        left = FIRST_ROWS
        for batch in filter(_is_text, batches):
            for name, texts in _texts(batch.slice(0, left)).items():
                column = self._column(name)
                if _is_decided_first(column.target):
                    column.seen = column.seen.merged(self._observed(texts))
            left -= min(left, batch.num_rows)
        for column in self._columns.values():
            if _is_decided_first(column.target):
                column.asked = _asked(column.seen.type(), by_value=True)

    def _batch(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        before, self._rows = self._rows, self._rows + batch.num_rows
        if not _is_text(batch):
            yield batch
            return
        texts = _texts(batch)
        for name, array in texts.items():
            if self._column(name).open and array.null_count < len(array):
                self._begin(self._column(name), array)
        asked = {name: one for name in texts if (one := self._columns[name].asked) is not None}
        made = read({name: texts[name] for name in asked}, asked)
        for name in [name for name, one in made.items() if self._columns[name].target.grows]:
            again = self._grown(name, texts[name], made[name])
            made.pop(name)
            if again is not None:
                made[name] = again
        yield from _apart(batch, texts, made, before, self._observed)

    def _begin(self, column: _Column, texts: pa.Array) -> None:
        """Settle what a column is read as, by its first texts."""
        if column.target.grows:  # what the first texts are, is only a guess
            column.seen = self._observed(texts.drop_null().slice(0, FIRST_ROWS))
        else:
            column.seen = self._observed(texts.drop_null().slice(0, 1))
        column.asked = _asked(column.seen.type(), by_value=not column.target.grows)

    def _grown(self, name: str, texts: pa.Array, found: Read) -> Read | None:
        """The column in the type it has now; `None` when that is text."""
        column = self._columns[name]
        column.seen.large |= found.large
        if found.wrong is not None:
            old, column.seen = column.asked, column.seen.merged(self._observed(texts))
            kind = column.seen.type()
            stored = column.target.stored
            if stored is not None and pa.types.is_floating(stored) and pa.types.is_decimal(kind):
                kind = pa.string()  # how many digits the doubles have that lie there, nobody knows
            if column.written and old is not None and not _holds(old.kind, kind):
                raise ReadAgain(name)
            column.asked, column.written = _asked(kind), False
            if column.asked is None:
                return None
            found = read({name: texts}, {name: column.asked})[name]
            if found.wrong is not None:  # it has been read before, and was another then
                raise ReadAgain(name)
        column.written |= texts.null_count < len(texts)
        return found

    def _column(self, name: str) -> _Column:
        found = self._columns.get(name)
        if found is None:
            target = self._target(name)
            found = self._columns[name] = _Column(target)
            if target.hinted:
                found.seen = Seen({"string"})
            elif name in self._learned.seen:
                self._know(found, self._learned.seen[name])
            elif target.stored is not None:
                found.seen = seen_of(target.stored) or Seen({"string"})
                found.asked = _stored(target.stored)
        return found

    def _know(self, column: _Column, learned: Seen) -> None:
        """Begin with what all texts of the column are, and those the table has."""
        stored = column.target.stored
        column.seen = learned if stored is None else learned.merged(seen_of(stored) or Seen({"string"}))
        column.asked = _asked(column.seen.type())
        if stored is not None and learned.kinds and not pa.types.is_string(column.seen.type()):
            column.asked = _stored(stored)  # as long as it holds them

    def _observed(self, texts: pa.Array) -> Seen:
        import polars as pl

        found = observe(pl.Series(texts, dtype=pl.String))
        if not self._dates and found.kinds & _DATES:
            found.kinds = found.kinds - _DATES | {"string"}
        return found


_DATES = frozenset(("date", "timestamp", "naive timestamp"))


def _is_text(batch: pa.RecordBatch) -> bool:
    return bool(_texts(batch)) or _all_text(batch.schema)


def _all_text(schema: pa.Schema) -> bool:
    return TEXT_ONLY in (schema.metadata or {})


def _texts(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    everything = _all_text(batch.schema)
    return {
        f.name: column
        for f, column in zip(batch.schema, batch.columns, strict=True)
        if pa.types.is_string(f.type) and (everything or TEXT_ONLY in (f.metadata or {}))
    }


def _is_decided_first(target: Target) -> bool:
    return not target.grows and not target.hinted and target.stored is None


def _asked(kind: pa.DataType, *, by_value: bool = False) -> Asked | None:
    return None if pa.types.is_string(kind) or pa.types.is_null(kind) else Asked(kind, by_value)


def _stored(kind: pa.DataType) -> Asked | None:
    """How texts for a table's column are read: in the widest type of its kind."""
    if pa.types.is_integer(kind):
        return Asked(pa.int64())
    return Asked(pa.float64(), by_value=True) if pa.types.is_floating(kind) else _asked(kind, by_value=True)


def _holds(old: pa.DataType, new: pa.DataType) -> bool:
    """Whether values given out become, by widening, what the texts would have been at once."""
    if old == new or (pa.types.is_int64(old) and pa.types.is_float64(new)):
        return True
    return pa.types.is_string(new) and old in _CANONICAL


def _apart(
    batch: pa.RecordBatch,
    texts: dict[str, pa.Array],
    made: dict[str, Read],
    before: int,
    observed: Callable[[pa.Array], Seen],
) -> Iterator[pa.RecordBatch]:
    """The rows that fit, then those that do not, by what their texts are, all with their numbers."""
    columns = {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
    columns |= {name: pa.nulls(len(array)) for name, array in texts.items() if array.null_count == len(array)}
    columns |= {name: one.values for name, one in made.items() if texts[name].null_count < len(texts[name])}
    odd = {name: one.wrong for name, one in made.items() if one.wrong is not None}
    fields = [
        field if columns[field.name].type == field.type else field.with_type(columns[field.name].type)
        for field in batch.schema
    ]
    facts = {key: value for key, value in (batch.schema.metadata or {}).items() if key != TEXT_ONLY}
    schema = pa.schema([_plain(field) for field in fields], facts or None)
    whole = pa.RecordBatch.from_arrays([columns[f.name] for f in fields], schema=schema)
    if not odd:
        yield whole
        return
    if SOURCE_ROW not in columns:
        numbers = pa.arange(before + 1, before + 1 + batch.num_rows)
        whole = whole.append_column(_NUMBER, numbers)
    groups = _groups(texts, odd)
    strays = pa.concat_arrays([rows for rows, _ in groups])
    fitting = pc.invert(pc.is_in(pa.arange(0, batch.num_rows), strays))
    if pc.any(fitting).as_py():
        yield whole.filter(fitting)
    for rows, names in groups:
        group = whole.take(rows)
        for name in names:
            own = texts[name].take(rows)
            kind = _asked(observed(own).type())
            values = own if kind is None else read({name: own}, {name: kind})[name].values
            i = group.schema.get_field_index(name)
            group = group.set_column(i, group.schema.field(i).with_type(values.type), values)
        yield group


def _plain(field: pa.Field) -> pa.Field:
    """The field without a mark that has done its work."""
    left = {key: value for key, value in (field.metadata or {}).items() if key != TEXT_ONLY}
    return field if len(left) == len(field.metadata or {}) else field.with_metadata(left or None)


def _groups(texts: dict[str, pa.Array], odd: dict[str, pl.Series]) -> list[tuple[pa.Array, list[str]]]:
    """Rows with texts that are not of their column's type, alike in which they are and of which kind."""
    import polars as pl

    strays = pl.DataFrame(odd).select(pl.any_horizontal(pl.all())).to_series().arg_true()
    frame = pl.DataFrame({"row": strays.cast(pl.Int64)})
    for i, (name, wrong) in enumerate(odd.items()):
        kinds = kinds_of(pl.Series(texts[name], dtype=pl.String).gather(strays))
        frame = frame.with_columns(kinds.set(~wrong.gather(strays), None).alias(f"kind{i}"))
    kinds_by = [f"kind{i}" for i in range(len(odd))]
    found = []
    for key, group in frame.group_by(kinds_by, maintain_order=True):
        names = [name for name, kind in zip(odd, key, strict=True) if kind is not None]
        found.append((group["row"].to_arrow(), names))
    return found
