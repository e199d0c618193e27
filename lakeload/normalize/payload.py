"""Rows as JSON text that comes back as the same rows: what quarantine keeps and a replay reads.

The text is for people and for SQL: numbers are numbers of all their digits, times are ISO 8601, bytes are
Base64, maps are objects. Together with the Arrow types, which are kept beside it, it gives the very rows
again, but for the sign of zero and for Arrow's layouts: dictionaries, run ends and views come back plain.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypedDict

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SourceError
from lakeload.model.leaf_text import uuid_text
from lakeload.model.nested_arrays import as_list, dense, members
from lakeload.model.text import to_json
from lakeload.model.types import is_list, is_uuid

_NANOSECONDS = 1_000_000_000
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode(batch: pa.RecordBatch) -> pa.Array:
    """Every row as a JSON object, without its columns that are null.

    Returns:
        An array of `string`.

    Example:
        >>> encode(pa.record_batch({"id": [1, 2], "tags": [["a", None], None]})).to_pylist()
        ['{"id":1,"tags":["a",null]}', '{"id":2}']
    """
    members = [
        pc.binary_join_element_wise(f",{msgspec.json.encode(name).decode()}:", value_text(column), "")
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    # The empty text stands first because Arrow leaves out rows in which it skips everything.
    start = pa.array([""] * batch.num_rows, pa.string())
    joined = pc.binary_join_element_wise(start, *members, "", null_handling="skip")
    return pc.binary_join_element_wise(pc.binary_replace_slice(joined, 0, 1, "{"), "}", "")


def value_text(column: pa.Array) -> pa.Array:
    """Every value as JSON text; null stays null."""
    kind = column.type
    if _holds(kind, pa.types.is_duration):
        return to_json(_counted(column), canonical=False)
    try:
        return to_json(column, canonical=False)
    except pa.ArrowInvalid:  # a year that ISO 8601 does not have
        return to_json(_counted(column), canonical=False)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The types `decode` gives back: the same without encodings around the values, UUIDs as text."""
    return pa.schema([field.with_type(_plain(field.type)) for field in schema], schema.metadata)


def decode(payloads: Sequence[str], schema: pa.Schema) -> pa.RecordBatch:
    """The rows that `encode` wrote.

    Args:
        payloads: JSON objects; a member that is not there is null.
        schema: Their types, as of `plain_schema`.

    Raises:
        SourceError: A payload does not have these types; it says which, counted from 1.

    Example:
        >>> kept = pa.schema([("id", pa.int64()), ("at", pa.timestamp("us"))])
        >>> decode(['{"id":1,"at":"2024-05-01T12:30:00"}'], kept).to_pylist()
        [{'id': 1, 'at': datetime.datetime(2024, 5, 1, 12, 30)}]
    """
    if not len(schema):
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(payloads), pa.struct([])))
    kind = pa.struct(list(schema))
    expected, convert = _decoded(kind)
    decoder = msgspec.json.Decoder(expected)
    rows: list[Any] = []
    try:
        for payload in payloads:
            row = decoder.decode(payload)
            rows.append(row if convert is None else convert(row))
    except (msgspec.DecodeError, ValueError, TypeError, ArithmeticError) as error:
        raise _unlike(len(rows) + 1, error) from error
    try:
        array = pa.array(rows, type=kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        for number, row in enumerate(rows, start=1):
            try:
                pa.array([row], type=kind)
            except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
                raise _unlike(number, error) from error
        raise
    return pa.RecordBatch.from_arrays(array.flatten(), schema=schema)


def plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch in the types of `plain_schema`, in which Arrow can take and filter rows."""
    schema = plain_schema(batch.schema)
    if schema.equals(batch.schema):
        return batch
    columns = [_plain_column(column, field) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _plain_column(column: pa.Array, field: pa.Field) -> pa.Array:
    kind = column.type
    if kind == field.type:
        return column
    if pa.types.is_dictionary(kind):
        return _plain_column(column.dictionary, field).take(column.indices)
    if pa.types.is_run_end_encoded(kind):
        return _plain_column(pc.run_end_decode(column), field)
    if isinstance(kind, pa.BaseExtensionType) and not is_uuid(kind):
        return _plain_column(column.storage, field)
    if pa.types.is_nested(kind) and not pa.types.is_union(kind):
        return _plain_nested(column, field.type)
    try:
        return uuid_text(column) if is_uuid(kind) else column.cast(field.type)
    except pa.ArrowNotImplementedError:  # encodings deep inside: by way of the text
        single = pa.RecordBatch.from_arrays([column], [field.name])
        return decode(encode(single).to_pylist(), pa.schema([field])).column(0)


def _plain_nested(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The same part by part: Arrow's own cast of views of lists loses elements."""
    mask = column.is_null() if column.null_count else None
    if pa.types.is_struct(kind):
        parts = [_plain_column(part, inner) for part, inner in zip(members(column), kind, strict=True)]
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=mask)
    offsets, values = dense(as_list(column) if pa.types.is_map(kind) else column)
    offsets = offsets.cast(pa.int32())
    if pa.types.is_map(kind):
        keys = _plain_column(values.field(0), kind.key_field)
        items = _plain_column(values.field(1), kind.item_field)
        return pa.MapArray.from_arrays(offsets, keys, items, kind, mask=mask)
    return pa.ListArray.from_arrays(offsets, _plain_column(values, kind.value_field), kind, mask=mask)


def _unlike(row: int, error: Exception) -> SourceError:
    return SourceError(
        f"a payload does not have the types kept with it: {str(error).splitlines()[0]}",
        row=row,
        hint="If it was edited, set its types to null: it is then read like a row of JSON lines.",
    )


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _plain(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return pa.string() if is_uuid(kind) else _plain(kind.storage_type)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return pa.string() if pa.types.is_string_view(kind) else pa.binary()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind])
    if is_list(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)))
    if pa.types.is_map(kind):
        key, item = kind.key_field, kind.item_field
        return pa.map_(key.with_type(_plain(key.type)), item.with_type(_plain(item.type)))
    return kind


def _counted(column: pa.Array) -> pa.Array:
    """Dates, times and durations as the numbers they are counted by."""
    return column.cast(_counts(column.type))


def _counts(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_counts(field.type)) for field in kind])
    if is_list(kind):
        return pa.list_(kind.value_field.with_type(_counts(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(kind.key_type, kind.item_field.with_type(_counts(kind.item_type)))
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return pa.int32()
    return pa.int64() if pa.types.is_temporal(kind) else kind


def _holds(kind: pa.DataType, test: Callable[[pa.DataType], bool]) -> bool:
    inner = [kind.field(i).type for i in range(kind.num_fields)]
    return test(kind) or any(_holds(part, test) for part in inner)


_Convert = Callable[[Any], Any]


def _decoded(kind: pa.DataType) -> tuple[Any, _Convert | None]:
    """The type msgspec decodes a value to, and what makes of that what Arrow takes; `None`: nothing."""
    if pa.types.is_struct(kind):
        return _decoded_struct(kind)
    if is_list(kind):
        expected, convert = _decoded(kind.value_type)
        every = None if convert is None else lambda items: [None if v is None else convert(v) for v in items]
        return list[_or_null(expected)], every  # type: ignore[misc]  # a type at run time
    if pa.types.is_map(kind):
        return _decoded_map(kind)
    for test, expected, make in _LEAVES:
        if test(kind):
            return expected, make(kind) if make else None
    raise SourceError(f"a payload cannot hold the type {kind}")


def _or_null(expected: Any) -> Any:
    return None if expected is None else expected | None


def _decoded_struct(kind: pa.DataType) -> tuple[Any, _Convert | None]:
    found = {field.name: _decoded(field.type) for field in kind}
    # msgspec finds keys by the UTF-8 form Python keeps of them, and looks only: encoding makes it.
    msgspec.json.encode(list(found))
    expected = TypedDict("Row", {name: _or_null(one) for name, (one, _) in found.items()}, total=False)  # type: ignore[misc]  # built at run time
    converts = {name: convert for name, (_, convert) in found.items() if convert is not None}
    if not converts:
        return expected, None

    def convert_members(row: dict[str, Any]) -> dict[str, Any]:
        for name, convert in converts.items():
            if row.get(name) is not None:
                row[name] = convert(row[name])
        return row

    return expected, convert_members


def _decoded_map(kind: pa.DataType) -> tuple[Any, _Convert]:
    read_key = _key_reader(kind.key_type)
    expected, convert = _decoded(kind.item_type)

    def pairs(found: dict[str, Any]) -> list[tuple[Any, Any]]:
        return [
            (read_key(key), value if convert is None or value is None else convert(value))
            for key, value in found.items()
        ]

    return dict[str, _or_null(expected)], pairs  # type: ignore[misc]  # a type at run time


def _key_reader(kind: pa.DataType) -> _Convert:
    """Keys of JSON objects are text, whatever the map's type."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return str
    if pa.types.is_integer(kind):
        return int
    if pa.types.is_boolean(kind):
        return lambda text: text == "true"
    if pa.types.is_floating(kind):
        return float
    if pa.types.is_decimal(kind):
        return Decimal
    _, convert = _decoded(kind)
    return base64.b64decode if convert is None else convert


def _double(_kind: pa.DataType) -> _Convert:
    return lambda value: _SPECIAL[value] if isinstance(value, str) else value


def _date(_kind: pa.DataType) -> _Convert:
    return lambda value: value if isinstance(value, int) else dt.date.fromisoformat(value)


def _time(kind: pa.DataType) -> _Convert:
    per_second = _PER_SECOND[kind.unit]

    def count(value: str | int) -> int:
        if isinstance(value, int):
            return value
        whole, _, fraction = value.partition(".")
        hours, minutes, seconds = map(int, whole.split(":"))
        parts = int(fraction.ljust(9, "0")) * per_second // _NANOSECONDS if fraction else 0
        return (hours * 3600 + minutes * 60 + seconds) * per_second + parts

    return count


def _timestamp(kind: pa.DataType) -> _Convert:
    per_second = _PER_SECOND[kind.unit]

    def count(value: str | int) -> int:
        if isinstance(value, int):
            return value
        whole, _, fraction = value.removesuffix("Z").partition(".")
        moment = dt.datetime.fromisoformat(whole).replace(tzinfo=dt.UTC)
        since = moment - _EPOCH
        parts = int(fraction.ljust(9, "0")) * per_second // _NANOSECONDS if fraction else 0
        return (since.days * 86_400 + since.seconds) * per_second + parts

    return count


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": _NANOSECONDS}

_Leaf = tuple[Callable[[pa.DataType], bool], Any, "Callable[[pa.DataType], _Convert] | None"]
_LEAVES: tuple[_Leaf, ...] = (
    (pa.types.is_null, None, None),
    (pa.types.is_boolean, bool, None),
    (pa.types.is_integer, int, None),
    (pa.types.is_floating, float | str, _double),
    (pa.types.is_decimal, Decimal, None),
    (lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind), str, None),
    (
        lambda kind: (
            pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
        ),
        bytes,
        None,
    ),
    (pa.types.is_date, str | int, _date),
    (pa.types.is_time, str | int, _time),
    (pa.types.is_timestamp, str | int, _timestamp),
    (pa.types.is_duration, int, None),
)
