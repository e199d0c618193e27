"""What comes in as Arrow is checked here, once for all sources, before any other stage touches it.

Part of extract. JSON, CSV and Python rows are decoded by us and can hold nothing a table cannot. Arrow data,
Parquet files and frames are taken as they are, and may hold text that is no UTF-8, maps with one key twice,
offsets that point nowhere: some of it ends the process, some is published and no engine can read it. What is
broken is refused; single values are too, unless the contract for types puts them aside or drops them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SchemaError, SourceError
from lakeload.model.contract import Outcome
from lakeload.model.nested_arrays import as_list, bare, dense, elements, members
from lakeload.model.rejection import FLAWS, NUMBERED, SOURCE_ROW
from lakeload.model.schema import children
from lakeload.model.types import is_list, is_text
from lakeload.sources.decode.conflict import excerpt
from lakeload.sources.parallel import close

Path = tuple[str, ...]

_FLAW_TYPE = pa.list_(pa.struct([("path", pa.list_(pa.string())), ("what", pa.string())]))
_INTERVALS = (21, 22)
_VALUES = re.compile(r"UTF8|does not fit in precision|whole number of days")
"""What Arrow says of values; the normalizer judges those that are not text."""
_NO_TEXT = "text that is no UTF-8"
_TWICE = "a map with one key twice"
_HINTS = {
    _NO_TEXT: "Decode it in the source by its encoding, or put such rows aside by a contract for types.",
    _TWICE: "Keep one of the entries in the source, or put such rows aside by a contract for types.",
}


@dataclass(frozen=True, slots=True)
class _Flaw:
    """Values of one place that no table can hold: in which rows of the batch."""

    path: Path
    what: str
    rows: pa.Array


class Intake:
    """Checks the batches of one load, and counts their rows.

    Args:
        outcome: What the contract says of values that do not fit their type.

    Example:
        >>> batches = Intake().checked([pa.record_batch({"a": ["x"]})])
        >>> [batch.to_pylist() for batch in batches]
        [[{'a': 'x'}]]
    """

    def __init__(self, outcome: Outcome = "evolve") -> None:
        self._outcome = outcome
        self._rows = 0

    def checked(
        self, batches: Iterable[pa.RecordBatch], place: str | None = None, before: int = 0
    ) -> Generator[pa.RecordBatch, None, None]:
        """The batches, those with flawed values as the contract wants them.

        Args:
            batches: Of Arrow data that nobody has looked at.
            place: Their file.
            before: Rows of the place that came earlier.

        Raises:
            SourceError: The data is broken, or holds a value no table can.
            SchemaError: A column is of a type whose meaning the data does not tell.
        """
        source = iter(batches)
        schema: pa.Schema | None = None
        try:
            for batch in source:
                if schema is None or not batch.schema.equals(schema, check_metadata=True):
                    schema = batch.schema
                    refuse_types(schema, place)
                flaws = _found(batch, place)
                if flaws:
                    yield from self._judged(batch, flaws, place, before)
                else:
                    yield batch
                before += batch.num_rows
                self._rows += batch.num_rows
        finally:
            close(source)

    def _judged(
        self, batch: pa.RecordBatch, flaws: list[_Flaw], place: str | None, before: int
    ) -> Iterator[pa.RecordBatch]:
        """The rows of a batch with flaws, numbered: flawed ones marked and apart, or their values gone."""
        if self._outcome in ("evolve", "freeze"):
            raise _refusal(batch, min(flaws, key=lambda flaw: flaw.rows[0].as_py()), place, before)
        paths = {flaw.path for flaw in flaws}
        numbers = pc.add(pa.arange(0, batch.num_rows), (self._rows if place else before) + 1)
        told = _told(flaws, batch.num_rows)
        if self._outcome == "discard_value":
            blanked = _changed_batch(batch, paths, _blank)
            yield _with_hidden(blanked, numbers, told)
            return
        bad = pc.is_valid(told)
        good = pc.indices_nonzero(pc.invert(bad))
        if len(good):
            yield _with_hidden(_taken(batch, good), numbers.take(good), None)
        rows = pc.indices_nonzero(bad)
        yield _with_hidden(
            _changed_batch(_taken(batch, rows), paths, _as_given), numbers.take(rows), told.take(rows)
        )


def _found(batch: pa.RecordBatch, place: str | None) -> list[_Flaw]:
    flaws: list[_Flaw] = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if _is_plain(field.type):
            continue
        try:
            column.validate(full=True)
            if not holds(field.type, pa.types.is_map):
                continue
        except pa.ArrowInvalid as error:
            if not _VALUES.search(str(error)):
                raise _broken(field.name, error, place) from None
        except (pa.ArrowException, IndexError) as error:
            raise _broken(field.name, error, place) from None
        flaws += _flaws(column, (field.name,), pa.arange(0, len(column)))
    return flaws


def _is_plain(kind: pa.DataType) -> bool:
    """Whether values of the type are all bytes of one width, each of which means something."""
    return (pa.types.is_primitive(kind) and not pa.types.is_time(kind)) or pa.types.is_null(kind)


def holds(kind: pa.DataType, test: Callable[[pa.DataType], bool]) -> bool:
    """Whether the type, or one inside of it, passes the test."""
    return bool(test(kind)) or any(holds(field.type, test) for field in _inside(kind))


def _inside(kind: pa.DataType) -> list[pa.Field]:
    """The fields inside a type, encodings and extensions looked through."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return [pa.field("", kind.value_type)]
    if isinstance(kind, pa.BaseExtensionType):
        return [pa.field("", kind.storage_type)]
    return children(kind) or [kind.field(i) for i in range(kind.num_fields)]


def refuse_types(schema: pa.Schema, place: str | None, *, unions: bool = True) -> None:
    """Refuse columns of types that cannot be looked at.

    Args:
        schema: Of what comes.
        place: Its file.
        unions: Whether unions may come; a later stage refuses those that have rows.

    Raises:
        SchemaError: There is such a column.
    """
    for field in schema:
        if holds(field.type, _is_interval) or (not unions and holds(field.type, pa.types.is_union)):
            raise SchemaError(
                "unions and intervals cannot be stored",
                column=field.name,
                place=place,
                hint="Split unions into one column per type, and intervals into numbers, before.",
            )
        if _holds_period(field):
            raise SchemaError(
                "it holds periods of pandas, numbers that only pandas can tell",
                column=field.name,
                place=place,
                hint="Make them text with .astype(str), or moments with .dt.to_timestamp(), before.",
            )


def _is_interval(kind: pa.DataType) -> bool:
    """Whether these are intervals of months, or of days and milliseconds, for which pyarrow has no arrays."""
    return kind.id in _INTERVALS


def _holds_period(field: pa.Field) -> bool:
    name = (field.metadata or {}).get(b"ARROW:extension:name")
    period = name == b"pandas.period" or getattr(field.type, "extension_name", "") == "pandas.period"
    return period or any(map(_holds_period, _inside(field.type)))


def _flaws(array: pa.Array, path: Path, rows: pa.Array) -> Iterator[_Flaw]:
    """The flaws at a place and below it.

    Args:
        array: What lies there.
        path: The place.
        rows: Row of the batch that each value belongs to.
    """
    array = bare(array)
    kind = array.type
    if is_text(kind):
        bad = _no_text(array)
        if bad is not None:
            yield _Flaw(path, _NO_TEXT, pc.unique(rows.filter(bad)))
    elif pa.types.is_struct(kind):
        for field, part in zip(kind, members(array), strict=True):
            yield from _flaws(part, (*path, field.name), rows)
    elif pa.types.is_map(kind):
        inside = elements(as_list(array))
        above = rows.take(inside.parents)
        for flaw in _flaws(inside.values.field(0), path, above):
            yield _Flaw(path, flaw.what, flaw.rows)
        twice = _twice(inside.values.field(0), inside.parents)
        if len(twice):
            yield _Flaw(path, _TWICE, pc.unique(rows.take(twice)))
        yield from _flaws(inside.values.field(1), (*path, "value"), above)
    elif is_list(kind):
        inside = elements(array)
        yield from _flaws(inside.values, (*path, "element"), rows.take(inside.parents))


def _no_text(array: pa.Array) -> pa.Array | None:
    """Which values are no UTF-8; `None` when all are."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        # A loop over values, of the few arrays that were found to hold such a value.
        return pa.array([not _is_utf8(value) for value in array.view(_bytes_of(array.type)).to_pylist()])
    return None


def _is_utf8(value: bytes | None) -> bool:
    try:
        return value is None or bool(value.decode()) or True
    except UnicodeDecodeError:
        return False


def _bytes_of(kind: pa.DataType) -> pa.DataType:
    return pa.large_binary() if pa.types.is_large_string(kind) else pa.binary()


def _twice(keys: pa.Array, parents: pa.Array) -> pa.Array:
    """The maps in which a key stands twice, ascending."""
    nothing = pa.array([], pa.int64())
    if not len(keys) or len(keys) == len(pc.unique(parents)):
        return nothing
    keys = bare(keys)
    if is_text(keys.type):
        keys = keys.view(_bytes_of(keys.type))
    try:
        codes = pc.dictionary_encode(keys, null_encoding="encode")
    except pa.ArrowNotImplementedError:  # keys that are nested themselves
        texts = [repr(key) for key in keys.to_pylist()]
        codes = pc.dictionary_encode(pa.array(texts))
    entries = pc.add(
        pc.multiply(parents.cast(pa.int64()), len(codes.dictionary)), codes.indices.cast(pa.int64())
    )
    if pc.count_distinct(entries).as_py() == len(entries):
        return nothing
    counts = pc.value_counts(entries)
    again = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    return pc.unique(parents.filter(pc.is_in(entries, again))).cast(pa.int64())


def _told(flaws: list[_Flaw], rows: int) -> pa.Array:
    """For every row its flaws, null where there are none."""
    told: dict[int, list[dict[str, object]]] = {}
    for flaw in flaws:
        for row in flaw.rows.to_pylist():
            told.setdefault(row, []).append({"path": list(flaw.path), "what": flaw.what})
    return pa.array([told.get(row) for row in range(rows)], _FLAW_TYPE)


def _with_hidden(batch: pa.RecordBatch, numbers: pa.Array, told: pa.Array | None) -> pa.RecordBatch:
    hidden = [(pa.field(SOURCE_ROW, pa.int64(), metadata=NUMBERED), numbers)]
    if told is not None:
        hidden.append((pa.field(FLAWS, _FLAW_TYPE, metadata=NUMBERED), told))
    for field, values in hidden:
        batch = batch.append_column(field, values)
    return batch


def _taken(batch: pa.RecordBatch, rows: pa.Array) -> pa.RecordBatch:
    columns = [bare(column).take(rows) for column in batch.columns]
    fields = [field.with_type(column.type) for field, column in zip(batch.schema, columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, batch.schema.metadata))


_Change = Callable[[pa.Array], pa.Array]


def _changed_batch(batch: pa.RecordBatch, paths: set[Path], change: _Change) -> pa.RecordBatch:
    columns = [
        _changed(column, (field.name,), paths, change)
        for field, column in zip(batch.schema, batch.columns, strict=True)
    ]
    fields = [field.with_type(column.type) for field, column in zip(batch.schema, columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, batch.schema.metadata))


def _changed(array: pa.Array, path: Path, paths: set[Path], change: _Change) -> pa.Array:
    """The column with the values at these places changed."""
    if path in paths:
        return change(bare(array))
    if not any(place[: len(path)] == path for place in paths):
        return array
    array = bare(array)
    kind, mask = array.type, array.is_null() if array.null_count else None
    if pa.types.is_struct(kind):
        parts = [
            _changed(part, (*path, field.name), paths, change)
            for field, part in zip(kind, members(array), strict=True)
        ]
        fields = [
            field.with_type(part.type).with_nullable(True) for field, part in zip(kind, parts, strict=True)
        ]
        return pa.StructArray.from_arrays(parts, fields=fields, mask=mask)
    offsets, values = dense(as_list(array) if pa.types.is_map(kind) else array)
    if pa.types.is_map(kind):
        items = _changed(values.field(1), (*path, "value"), paths, change)
        made = pa.map_(kind.key_field, kind.item_field.with_type(items.type).with_nullable(True))
        return pa.MapArray.from_arrays(offsets.cast(pa.int32()), values.field(0), items, made, mask=mask)
    return pa.LargeListArray.from_arrays(
        offsets, _changed(values, (*path, "element"), paths, change), mask=mask
    )


def _blank(array: pa.Array) -> pa.Array:
    """The values without those that are flawed."""
    flawed = list(_flaws(array, (), pa.arange(0, len(array))))
    own = [flaw.rows for flaw in flawed if not flaw.path]
    if not own:
        return array
    bad = pc.is_in(pa.arange(0, len(array)), pa.concat_arrays(own))
    kept = pc.if_else(bad, pa.scalar(None, pa.int64()), pa.arange(0, len(array)))
    return array.take(kept)


def _as_given(array: pa.Array) -> pa.Array:
    """The values in a type that holds them all: text as bytes, a map as a list of its entries."""
    if is_text(array.type):
        return array.view(_bytes_of(array.type))
    entries = as_list(array)
    offsets, values = dense(entries)
    key, value = (bare(values.field(i)) for i in range(2))
    if is_text(key.type) and _no_text(key) is not None:
        key = key.view(_bytes_of(key.type))
    pairs = pa.StructArray.from_arrays([key, value], names=["key", "value"])
    return pa.LargeListArray.from_arrays(offsets, pairs, mask=array.is_null() if array.null_count else None)


def _refusal(batch: pa.RecordBatch, flaw: _Flaw, place: str | None, before: int) -> SourceError:
    row = flaw.rows[0].as_py()
    column = bare(batch.column(batch.schema.get_field_index(flaw.path[0])).slice(row, 1))
    shown = ""
    if is_text(column.type):
        shown = f" {excerpt(column.view(_bytes_of(column.type))[0].as_py())}"
    return SourceError(
        f"{flaw.what}{shown}",
        column=".".join(flaw.path),
        row=before + row + 1,
        place=place,
        hint=_HINTS[flaw.what],
    )


def _broken(column: str, error: Exception, place: str | None) -> SourceError:
    return SourceError(
        f"broken Arrow data: {str(error).splitlines()[0].rstrip('.')}",
        column=column,
        place=place,
        hint="Fetch or make it again.",
    )
