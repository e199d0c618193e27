"""`NormalizePlan`: what must be done to every batch of one incoming schema, compiled once.

A plan only moves and converts arrays; deciding names, types and schema changes happened before. Columns
whose bytes are right already are passed through, so a batch that needs nothing costs a few microseconds
per column and copies nothing. A plan is data: it can be pickled, printed, and run in several threads at
once, because nothing in it changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.naming import UNTYPED
from lakeload.model.nested_arrays import as_list, elements, nulls, settled
from lakeload.model.relabel import relabel
from lakeload.model.schema import children
from lakeload.normalize.coerce import Convert, same_bytes
from lakeload.normalize.incoming import Path
from lakeload.normalize.nested import conversion
from lakeload.normalize.shake import Finding, shake
from lakeload.normalize.sieve import Sieve, Unfit, Unknown, compile_sieve, emptied, refused_places, refusing


class Refused(Exception):  # noqa: N818 - a signal within this package, answered by widening or by the contract
    """Some values have no place in the table whatever they are.

    Args:
        path: Where the first of them are.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(".".join(path))


@dataclass(frozen=True, slots=True)
class Constant:
    """A column that is the same in every row of a load.

    Args:
        value: An array of one value.
        coded: Keep it as a dictionary of one entry, so that text costs a byte per row.
    """

    value: pa.Array
    coded: bool = False

    def __call__(self, rows: int) -> pa.Array:
        """The column for so many rows."""
        if self.coded:
            return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), rows), self.value)
        return pa.repeat(self.value[0], rows)


@dataclass(frozen=True, slots=True)
class Empty:
    """A column the data does not have."""

    kind: pa.DataType

    def __call__(self, rows: int) -> pa.Array:
        """The column for so many rows."""
        return nulls(rows, self.kind)


Filler: TypeAlias = Constant | Empty
"""Makes a column of so many rows that does not come from the data."""


@dataclass(frozen=True, slots=True)
class Step:
    """One column: where it comes from, and how.

    Args:
        raw: Name in the source; `None` when it does not come from there.
        name: Name in the table; `None` when the table has no such column.
        index: Position in the incoming batch.
        given: Type in the source.
        kind: Type of the result.
        sieve: What may not pass; `None` when everything does.
        barred: The part of it that lets no value pass.
        convert: What is done to each array; `None` passes it through.
        fill: Makes the column when it does not come from the source.
    """

    raw: str | None = None
    name: str | None = None
    index: int | None = None
    given: pa.DataType | None = None
    kind: pa.DataType | None = None
    sieve: Sieve | None = None
    barred: Sieve | None = None
    convert: Convert | None = None
    fill: Filler | None = None

    def take(self, batch: pa.RecordBatch, found: list[Finding]) -> pa.Array:
        """The column without what is barred, which is appended to `found`."""
        column = batch.column(self.index)
        return column if self.barred is None else shake(column, self.barred, found)


@dataclass(frozen=True, slots=True)
class NormalizePlan:
    """How batches of one incoming schema become batches of the table's.

    Args:
        source: Schema of the incoming batches.
        schema: Schema of the results: the table's, save that text and bytes at top level may keep their
            physical kind (large, view, dictionary-encoded).
        steps: One per column of `schema`.
        strays: Incoming columns that hold values but have no place.
        required: Paths of the fields that must not be null.
    """

    source: pa.Schema
    schema: pa.Schema
    steps: tuple[Step, ...]
    strays: tuple[Step, ...]
    required: tuple[Path, ...]

    @classmethod
    def compile(
        cls,
        source: pa.Schema,
        renamed: pa.Schema,
        target: pa.Schema,
        fillers: Mapping[str, Filler],
        hints: Mapping[str, pa.DataType] | None = None,
    ) -> NormalizePlan:
        """Find what each column of `target` needs.

        Args:
            source: Schema of the incoming batches.
            renamed: The same fields under the names of the lake.
            target: The table's schema.
            fillers: Columns that are made here, by name.
            hints: Types the user asked for, by name in the lake, with the user's units.

        Example:
            >>> source, target = pa.schema([("n", pa.int32())]), pa.schema([("n", pa.int64())])
            >>> plan = NormalizePlan.compile(source, source, target, {})
            >>> plan.assemble(plan.convert(pa.record_batch({"n": pa.array([1], pa.int32())}))).schema.types
            [DataType(int64)]
        """
        compiler = _Compiler(source, hints or {}, untyped=UNTYPED in (source.metadata or {}))
        positions = {field.name: i for i, field in enumerate(renamed)}
        steps, fields = [], []
        for field in target:
            i = positions.pop(field.name, None)
            if field.name in fillers:
                fill = fillers[field.name]
                step = Step(name=field.name, kind=fill(0).type, fill=fill)
            elif i is None:
                step = Step(name=field.name, kind=field.type, fill=Empty(field.type))
            else:
                step = compiler.step(i, renamed.field(i).type, field)
            steps.append(step)
            fields.append(field.with_type(step.kind))
        strays = [compiler.stray(i, renamed.field(i)) for i in positions.values()]
        required = tuple(path for field in target for path in _required(field, ()))
        held = tuple(stray for stray in strays if stray.sieve is not None)
        return cls(source, pa.schema(fields), tuple(steps), held, required)

    def convert(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """The columns of the result, names inside nested ones not set yet.

        Raises:
            Misfit: A value does not fit.
            Refused: Values have no place in the table.
        """
        rows = batch.num_rows
        arrays: list[pa.Array] = []
        found: list[Finding] = []
        for step in self.steps:
            if step.fill is not None:
                arrays.append(step.fill(rows))
                continue
            array = step.take(batch, found)
            arrays.append(array if step.convert is None else step.convert(array))
        for stray in self.strays:
            stray.take(batch, found)
        if found:
            raise Refused(found[0].path)
        return arrays

    def assemble(self, arrays: list[pa.Array]) -> pa.RecordBatch:
        """The finished batch: converted arrays under the names and ids of `schema`."""
        # Column by column: parts of a relabelled batch would each keep the whole of it in memory.
        columns = [
            settled(relabel(array, field.type)) if children(field.type) else array
            for array, field in zip(arrays, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def null_where_required(self, batch: pa.RecordBatch) -> Iterator[tuple[Path, pa.Array]]:
        """Required fields of the finished batch that hold a null, with the rows that do."""
        for path in self.required:
            column = batch.column(self.schema.get_field_index(path[0]))
            rows = null_rows(column, path[1:])
            if len(rows):
                yield path, rows

    def explain(self) -> str:
        """The plan as a table for people: what comes from where, and what is done to it.

        Example:
            >>> source = pa.schema([("userId", pa.uint8()), ("x", pa.string())])
            >>> renamed = pa.schema([("user_id", pa.uint8()), ("x", pa.string())])
            >>> target = pa.schema([("user_id", pa.int32())])
            >>> print(NormalizePlan.compile(source, renamed, target, {}).explain())
            source | table   | type          | how
            -------|---------|---------------|---------------------------------------
            userId | user_id | uint8 → int32 | cast
            x      |         | string        | kept out: the table has no such column
        """
        lines = [("source", "table", "type", "how"), *(_line(step) for step in (*self.steps, *self.strays))]
        widths = [max(len(line[i]) for line in lines) for i in range(3)]
        text = [
            " | ".join((*(cell.ljust(width) for cell, width in zip(line[:3], widths, strict=True)), line[3]))
            for line in lines
        ]
        rule = "-|-".join("-" * width for width in (*widths, max(len(line[3]) for line in lines)))
        return "\n".join((text[0], rule, *text[1:]))


@dataclass(frozen=True, slots=True)
class _Compiler:
    """What is the same for all columns of a plan."""

    source: pa.Schema
    hints: Mapping[str, pa.DataType]
    untyped: bool

    def step(self, i: int, kind: pa.DataType, field: pa.Field) -> Step:
        raw, path = self.source.field(i), (field.name,)
        given = self.hints.get(field.name)
        sieve = compile_sieve(kind, field.type, given, path, untyped=self.untyped)
        barred = refusing(sieve)
        left = kind if barred is None else emptied(kind, barred)
        convert = conversion(left, field.type, path, given=given)
        result = _physical(left, field.type) if convert is None else field.type
        return Step(raw.name, field.name, i, raw.type, result, sieve, barred, convert)

    def stray(self, i: int, field: pa.Field) -> Step:
        sieve = compile_sieve(field.type, None, None, (field.name,), untyped=self.untyped)
        return Step(self.source.field(i).name, None, i, field.type, None, sieve, sieve)


def fingerprint(schema: pa.Schema) -> str:
    """16 hex digits that identify a schema, metadata included."""
    return hashlib.blake2b(schema.serialize(), digest_size=8).hexdigest()


def null_rows(array: pa.Array, path: Path) -> pa.Array:
    """Rows, as int64 indices, whose field at `path` inside is null under parents that are not."""
    rows = pa.arange(0, len(array))
    for name in path:
        rows, array = rows.filter(array.is_valid()), array.drop_null()
        if pa.types.is_struct(array.type):
            array = array.field(name)
            continue
        inside = elements(as_list(array) if pa.types.is_map(array.type) else array)
        rows, values = rows.take(inside.parents), inside.values
        array = values.field(name) if pa.types.is_map(array.type) else values
    if pa.types.is_dictionary(array.type) and array.dictionary.null_count:
        array = array.dictionary_decode()
    return pc.unique(rows.filter(array.is_null()))


def _line(step: Step) -> tuple[str, str, str, str]:
    if step.raw is None:
        return "", step.name or "", str(step.kind), "filled" if isinstance(step.fill, Constant) else "null"
    if step.name is None:
        return step.raw, "", str(step.given), "kept out: the table has no such column"
    same = step.given is not None and step.given.equals(step.kind)
    types = str(step.given) if same else f"{step.given} → {step.kind}"
    how = "pass" if step.convert is None else getattr(step.convert, "how", "convert")
    kept_out = [_kept_out(place) for place in refused_places(step.barred)]
    return step.raw, step.name, types, "; ".join((how, *kept_out))


def _kept_out(place: Unknown | Unfit) -> str:
    why = "the table has no such member" if isinstance(place, Unknown) else "of another kind"
    return f"kept out: {'.'.join(place.path)} ({why})"


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
