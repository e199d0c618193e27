"""`NormalizePlan`: what must be done to every batch of one incoming schema, compiled once.

A plan only moves and converts arrays; deciding names, types and schema changes happened before. Columns
whose bytes are right already are passed through, so a batch that needs nothing costs a few microseconds
per column and copies nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.schema import children
from lakeload.normalize.coerce import Convert, Misfit, same_bytes
from lakeload.normalize.incoming import Path
from lakeload.normalize.nested import conversion, relabel

Filler = Callable[[int], pa.Array]
"""Makes a column of so many rows that does not come from the data."""

_EXCERPT = 60


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of the result: where it comes from, and how."""

    source: int | None
    convert: Convert | None
    fill: Filler | None


@dataclass(frozen=True, slots=True)
class NormalizePlan:
    """How batches of one incoming schema become batches of the table's.

    Args:
        source: Schema of the incoming batches.
        schema: Schema of the results: the table's, save that text and bytes at top level may keep their
            physical kind (large, view, dictionary-encoded).
        columns: One per column of `schema`.
        required: Paths of the fields that must not be null.
    """

    source: pa.Schema
    schema: pa.Schema
    columns: tuple[_Column, ...]
    required: tuple[Path, ...]

    @classmethod
    def compile(
        cls, source: pa.Schema, names: Mapping[str, str], target: pa.Schema, fillers: Mapping[str, Filler]
    ) -> NormalizePlan:
        """Find what each column of `target` needs.

        Args:
            source: Schema of the incoming batches.
            names: Column of the table by incoming name.
            target: The table's schema, in which every incoming column that has a type has a place.
            fillers: Columns that are made here, by name.

        Raises:
            SchemaError: A column's type cannot be converted.
        """
        positions = {names[field.name]: i for i, field in enumerate(source)}
        columns, fields = [], []
        for field in target:
            i = positions.get(field.name)
            if field.name in fillers:
                fill = fillers[field.name]
                columns.append(_Column(None, None, fill))
                fields.append(field.with_type(fill(0).type))
            elif i is None:
                columns.append(_Column(None, None, _nulls(field.type)))
                fields.append(field)
            else:
                kind = source.field(i).type
                convert = conversion(kind, field.type, (field.name,))
                columns.append(_Column(i, convert, None))
                fields.append(field.with_type(_physical(kind, field.type)) if convert is None else field)
        required = tuple(path for field in target for path in _required(field, ()))
        return cls(source, pa.schema(fields), tuple(columns), required)

    def convert(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """The columns of the result, names inside nested ones not set yet.

        Raises:
            Misfit: A value does not fit.
        """
        rows = batch.num_rows
        arrays: list[pa.Array] = []
        for column in self.columns:
            if column.fill is not None:
                arrays.append(column.fill(rows))
            elif column.convert is None:
                arrays.append(batch.column(column.source))
            else:
                arrays.append(column.convert(batch.column(column.source)))
        return arrays

    def assemble(self, arrays: list[pa.Array]) -> pa.RecordBatch:
        """The finished batch: converted arrays under the names and ids of `schema`."""
        # Column by column: parts of a relabelled batch would each keep the whole of it in memory.
        columns = [
            relabel(array, field.type) if children(field.type) else array
            for array, field in zip(arrays, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def null_where_required(self, batch: pa.RecordBatch) -> Iterator[tuple[Path, pa.Array]]:
        """Required fields of the finished batch that hold a null, with their top-level column."""
        for path in self.required:
            column = batch.column(self.schema.get_field_index(path[0]))
            if holds_null(column, path[1:]):
                yield path, column

    def misfit(self, batch: pa.RecordBatch, row: int) -> SchemaError:
        """The error for a batch that `convert` refused.

        Args:
            batch: The batch.
            row: Rows of the load before it.
        """
        for column in self.columns:
            if column.convert is None or column.source is None:
                continue
            array = batch.column(column.source)
            convert = column.convert
            if not _refuses(convert, array):
                continue
            index = first_row(array, lambda part, convert=convert: _refuses(convert, part))  # type: ignore[misc]  # binds the loop variable
            try:
                convert(array.slice(index, 1))
            except Misfit as found:
                return _explain(found, row + index + 1)
        raise AssertionError("the batch fits")


def first_row(array: pa.Array, bad: Callable[[pa.Array], bool]) -> int:
    """Index of the first row that is bad, given that one is; asks about O(log n) slices."""
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        if bad(array.slice(low, middle - low)):
            high = middle
        else:
            low = middle
    return low


def holds_null(array: pa.Array, path: Path) -> bool:
    """Whether the field at `path` inside the array is null anywhere under parents that are not."""
    if not path:
        if pa.types.is_dictionary(array.type) and array.dictionary.null_count:
            return bool(array.dictionary_decode().null_count)
        return bool(array.null_count)
    alive = array.drop_null() if array.null_count else array
    if len(alive) == 0:
        return False
    if pa.types.is_struct(alive.type):
        return holds_null(alive.field(path[0]), path[1:])
    if pa.types.is_map(alive.type):
        first, last = alive.offsets[0].as_py(), alive.offsets[-1].as_py()
        return holds_null(alive.items.slice(first, last - first), path[1:])
    return holds_null(alive.flatten(), path[1:])


def _refuses(convert: Convert, array: pa.Array) -> bool:
    try:
        convert(array)
    except Misfit:
        return True
    return False


def _explain(found: Misfit, row: int) -> SchemaError:
    def refuses(part: pa.Array) -> bool:
        try:
            found.convert(part)
        except (pa.ArrowException, OverflowError):
            return True
        return False

    value = found.array[first_row(found.array, refuses)]
    try:
        text = str(value.as_py())
    except (ValueError, OverflowError):  # Python's own dates are narrower than Arrow's
        text = str(value.value)
    text = text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…"
    return SchemaError(
        f"the {found.array.type} value {text} cannot be stored exactly as {found.target}",
        column=".".join(found.path),
        row=row,
        hint=_remedy(found),
    )


def _remedy(found: Misfit) -> str:
    kind = found.target
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind) or pa.types.is_date(kind):
        return "Bring it to whole microseconds within the years 1 to 9999, or hint the column as string."
    if pa.types.is_floating(kind):
        return "Hint the column as a decimal or as string."
    return "Correct it in the source, or hint the column with a type that holds it."


def _nulls(kind: pa.DataType) -> Filler:
    return lambda rows: pa.nulls(rows, kind)


def _physical(source: pa.DataType, target: pa.DataType) -> pa.DataType:
    """The type a passed-through column keeps: its own if it is another kind of text or bytes."""
    leaf = not children(target) and not pa.types.is_timestamp(target)
    return source if leaf and same_bytes(source, target, top=True) else target


def _required(field: pa.Field, path: Path) -> Iterator[Path]:
    here = (*path, field.name)
    if not field.nullable:
        yield here
    for child in children(field.type):
        # A map's keys are never null by its type.
        if not (pa.types.is_map(field.type) and child.name == "key"):
            yield from _required(child, here)
