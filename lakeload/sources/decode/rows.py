"""Python rows to Arrow: exact, and fast once the shape is known.

Part of extract. `pa.array` with a known type is fast but cuts floats, drops unknown keys and forgets time
zones. So each batch of rows first passes a guard compiled from the schema learned so far: msgspec checks
in C that every value has exactly the expected Python type and every key is known. Rows that fail it are
turned into plain values, walked, and the schema and the guard widen.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import operator
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Any, Union
from uuid import UUID

import msgspec
import pyarrow as pa

from lakeload.errors import LakeloadError, SchemaError, SourceError
from lakeload.sources.decode.coerce import Hint, carrier, coerce, is_text
from lakeload.sources.columnar import arrow_batches, speaks_arrow
from lakeload.sources.decode.documents import decode_bytes
from lakeload.sources.decode.infer import Conflict, Observed, excerpt, locate
from lakeload.sources.parallel import close
from lakeload.sources.decode.values import is_record, plain

_NATIVE = (bytes, bytearray, dt.datetime, dt.date, dt.time, dt.timedelta, Decimal, UUID)
_MAX_ROWS = 1 << 16
_FIRST_ROWS = 256


def read_rows(items: Iterable[object], *, hint: Hint, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Batches from rows, lists of rows, JSON bytes and anything that speaks Arrow, in their order.

    What the iterable itself raises passes through unchanged. Rows are counted from 1 for messages.

    Raises:
        SourceError: An item is no row.
        SchemaError: Values of one column have no common type.
    """
    decoder = RowDecoder(hint)
    pending: list[object] = []
    limit = _FIRST_ROWS
    count = 0

    def flush() -> Iterator[pa.RecordBatch]:
        nonlocal limit, count
        for start in range(0, len(pending), limit):
            part = pending[start : start + limit]
            batch = decoder.decode(part, count)
            count += len(part)
            yield batch
            by_size = int(batch_bytes * len(part) / max(1, batch.nbytes))
            limit = max(1, min(_MAX_ROWS, by_size, limit * 16))
        pending.clear()

    source = iter(items)
    try:
        for item in source:
            if _is_row(item):
                pending.append(item)
            elif isinstance(item, list | tuple) and all(map(_is_row, item)):
                pending.extend(item)
            else:
                yield from flush()
                with closing(_other(item, hint, batch_bytes, count)) as batches:
                    for batch in batches:
                        count += batch.num_rows
                        yield batch
            if len(pending) >= limit:
                yield from flush()
        yield from flush()
    finally:
        close(source)


def _other(item: object, hint: Hint, batch_bytes: int, count: int) -> Generator[pa.RecordBatch, None, None]:
    if isinstance(item, bytes | bytearray | memoryview):
        yield from decode_bytes(bytes(item), hint=hint, batch_bytes=batch_bytes)
    elif speaks_arrow(item):
        yield from arrow_batches(item)
    elif isinstance(item, list | tuple):
        for part in item:
            if _is_row(part):
                yield from read_rows([part], hint=hint, batch_bytes=batch_bytes)
            else:
                yield from _other(part, hint, batch_bytes, count)
    else:
        raise SourceError(
            f"expected a row, found {type(item).__name__} {excerpt(item)}",
            row=count + 1,
            hint="Yield dictionaries, lists of dictionaries, JSON bytes, or Arrow data.",
        )


def _is_row(item: object) -> bool:
    return type(item) is dict or isinstance(item, Mapping) or is_record(item)


class RowDecoder:
    """Turns lists of rows into batches, remembering what it learned.

    Args:
        hint: Type a top-level column must have, if known.
    """

    def __init__(self, hint: Hint) -> None:
        self._hint = hint
        self._learned = Observed()
        self._guard: Any = None
        self._type = pa.struct([])

    def decode(self, rows: Sequence[object], before: int = 0) -> pa.RecordBatch:
        """The rows as one batch.

        Args:
            rows: Mappings, dataclasses, msgspec structs or pydantic models.
            before: Rows that came earlier, for messages.
        """
        try:
            array = self._fast(rows)
            if array is None:
                array = self._exact(rows)
            table = pa.Table.from_batches([pa.RecordBatch.from_struct_array(array)])
            return _only_batch(coerce(table, self._hint, None))
        except LakeloadError as error:
            if error.row is not None:
                error.row += before
            raise

    def _fast(self, rows: Sequence[object]) -> pa.Array | None:
        if self._guard is None:
            return None
        try:
            msgspec.convert(rows, self._guard, strict=True, builtin_types=_NATIVE)
            return pa.array(rows, type=self._type)
        except (
            msgspec.ValidationError,
            pa.ArrowException,
            OverflowError,
            ValueError,
            TypeError,
            RecursionError,
        ):
            return None

    def _exact(self, given: Sequence[object]) -> pa.Array:
        rows = [self._plain_row(row, number) for number, row in enumerate(given, 1)]
        array = self._fast(rows)
        if array is not None:
            return array
        seen = Observed()
        try:
            seen.observe(rows)
            alone = self._struct(seen)
        except Conflict as conflict:
            raise _located(rows, conflict) from None
        try:
            merged = self._learned.merge(seen)
            kind = self._struct(merged)
            self._learned, self._type, self._guard = merged, kind, _guard(merged)
        except Conflict:
            # Earlier batches disagree: this one gets its own types, the next stage widens or refuses.
            kind = alone
        return _build(rows, kind)

    def _struct(self, seen: Observed) -> pa.DataType:
        fields = [
            pa.field(name, carrier(column, name, self._hint(name))) for name, column in seen.fields.items()
        ]
        return pa.struct(fields)

    def _plain_row(self, row: object, number: int) -> dict[str, object]:
        try:
            values = plain(row, "", 0)
        except Conflict as conflict:
            raise conflict.error(row=number, value=row) from None
        if not isinstance(values, dict):
            raise SourceError(
                f"expected a row, found {excerpt(row)}",
                row=number,
                hint='Yield dicts, such as {"id": 1}, or lists of dicts.',
            )
        for name, value in values.items():
            if value is not None and not isinstance(value, str) and is_text(self._hint(name)):
                values[name] = _text(value)
        return values


def _text(value: object) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, default=str, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _build(rows: Sequence[Mapping[str, object]], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(rows, type=kind)
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        lifted = [_lift(row, kind) for row in rows]
        if lifted != rows:
            return _build(lifted, kind)
        for number, row in enumerate(rows, 1):
            for field in kind:
                _check(row.get(field.name), field, number)
        raise


def _lift(value: Any, kind: pa.DataType) -> Any:
    """The value with dates made midnights where the column holds timestamps."""
    if isinstance(value, Mapping):
        return {field.name: _lift(value.get(field.name), field.type) for field in kind}
    if isinstance(value, list):
        return [_lift(item, kind.value_type) for item in value]
    if type(value) is dt.date and pa.types.is_timestamp(kind):
        return dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the column has no zone
    return value


def _check(value: object, field: pa.Field, row: int) -> None:
    try:
        pa.array([value], type=field.type)
    except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
        raise SchemaError(
            f"{excerpt(value)} is no {field.type} ({str(error).splitlines()[0]})",
            column=field.name,
            row=row,
            hint="Change the value, or declare another type for the column.",
        ) from None


def _located(rows: Sequence[object], conflict: Conflict) -> LakeloadError:
    found = locate(rows)
    if found is None:
        return conflict.error()
    row, value, first = found
    return first.error(row=row, value=value)


def _only_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    if len(batches) == 1:
        return batches[0]
    return pa.RecordBatch.from_arrays([c.combine_chunks() for c in table.columns], schema=table.schema)


def _guard(seen: Observed) -> Any:
    """A type msgspec can check rows against; `None` when the schema cannot be expressed."""
    try:
        return list[_expected(seen)]  # type: ignore[misc]  # built at run time
    except (TypeError, ValueError):
        return None


_PYTHON: dict[str, Any] = {
    "boolean": bool,
    "integer": int,
    "number": float,
    "string": str,
    "binary": bytes,
    "decimal": Decimal,
    "date": dt.date,
    "time": dt.time,
    "duration": dt.timedelta,
    "naive timestamp": msgspec.Meta(tz=False),
    "timestamp": msgspec.Meta(tz=True),
}


def _expected(seen: Observed) -> Any:
    from typing import Annotated

    kinds = seen.kinds
    if "struct" in kinds:
        names = list(seen.fields)
        fields = [(f"f{i}", Union[_expected(seen.fields[n]), None], None) for i, n in enumerate(names)]  # noqa: UP007 - run-time types
        rename = {f"f{i}": name for i, name in enumerate(names)}
        return msgspec.defstruct("Row", fields, rename=rename, forbid_unknown_fields=True, gc=False)
    if "list" in kinds:
        return list[Union[_expected(seen.item or Observed()), None]]  # type: ignore[misc]  # noqa: UP007 - run-time types
    if kinds == {"integer", "number"}:
        return float
    options: list[Any] = []
    for kind in sorted(kinds):
        python = _PYTHON[kind]
        options.append(Annotated[dt.datetime, python] if isinstance(python, msgspec.Meta) else python)
    if not options:
        return None
    if len(options) > 1 and "date" in kinds:
        raise TypeError
    return functools.reduce(operator.or_, options)
