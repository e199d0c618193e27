"""Which partition each row belongs to: the transforms of the Iceberg specification, on whole columns.

Rules: Apache Iceberg table specification, "Partition Transforms" and "Appendix B: 32-bit Hash
Requirements". A null source value gives a null partition value. Floating-point partition columns: -0.0
counts as 0.0; NaN is refused, because it equals no partition, not even its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SchemaError
from lakeload.model.files import Value
from lakeload.model.layout import PartitionField
from lakeload.write.murmur import murmur3

_HOUR = 3_600_000_000
_EXACT = Context(prec=76)
"""Twice the digits a decimal can have; the default of 28 would round."""


def split(
    batch: pa.RecordBatch, fields: Sequence[PartitionField]
) -> list[tuple[tuple[Value | None, ...], pa.RecordBatch]]:
    """Rows of each partition in `batch`, in their order, with the partition's values.

    Raises:
        SchemaError: A partition column holds NaN, or its type does not suit the transform.

    Example:
        >>> rows = pa.record_batch({"c": ["x", None, "x"], "v": [1, 2, 3]})
        >>> [(key, part.num_rows) for key, part in split(rows, [PartitionField("c")])]
        [(('x',), 2), ((None,), 1)]
    """
    if not batch.num_rows:
        return []
    encoded = [apply(field, batch.column(field.source)).dictionary_encode() for field in fields]
    codes = _combine(encoded)
    distinct = codes.dictionary_encode()
    order = pc.sort_indices(distinct.indices)
    first, found = 0, []
    counts = {row["values"]: row["counts"] for row in pc.value_counts(distinct.indices).to_pylist()}
    for code in range(len(counts)):
        rows = order.slice(first, counts[code])
        first += counts[code]
        row = rows[0].as_py()
        key = tuple(_value(field, column[row]) for field, column in zip(fields, encoded, strict=True))
        found.append((key, batch if len(counts) == 1 else batch.take(rows)))
    return found


def apply(field: PartitionField, column: pa.Array) -> pa.Array:
    """The transform's result for each value, in the types `DataFile.partition` documents.

    Raises:
        SchemaError: The source type does not suit the transform, or the column holds NaN.
    """
    transform = {"identity": _identity, "bucket": _bucket, "truncate": _truncate}.get(
        field.transform, _calendar
    )
    try:
        return transform(field, _plain(column))
    except pa.ArrowInvalid as error:
        raise _out_of_range(field) from error


def _value(field: PartitionField, value: pa.Scalar) -> Value | None:
    try:
        found: Value | None = value.as_py()
    except (OverflowError, ValueError) as error:
        raise _out_of_range(field) from error
    return found


def _out_of_range(field: PartitionField) -> SchemaError:
    return SchemaError(
        f"a value is too large to be partitioned by {field}",
        column=field.source,
        hint="Times must lie between the years 1 and 9999; other values far enough from the type's limits.",
    )


def _plain(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.dictionary_decode())
    if pa.types.is_string_view(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.string())
    if pa.types.is_binary_view(kind) or pa.types.is_large_binary(kind):
        return column.cast(pa.binary())
    return column


def _refuse(field: PartitionField, kind: pa.DataType) -> SchemaError:
    return SchemaError(f"cannot partition by {field}: the column is {kind}", column=field.source)


def _combine(columns: Sequence[pa.Array]) -> pa.Array:
    """One integer per row that is equal where all the columns are; null is a value like others."""
    combined: pa.Array | None = None
    for column in columns:
        size = len(column.dictionary)
        codes = column.indices.fill_null(size).cast(pa.int64())
        if combined is None:
            combined = codes
        else:  # encoded anew each time, so that the numbers stay small
            combined = combined.dictionary_encode().indices.cast(pa.int64())
            combined = pc.add(pc.multiply(combined, size + 1), codes)
    if combined is None:
        raise ValueError("no partition fields")
    return combined


def _identity(field: PartitionField, column: pa.Array) -> pa.Array:
    if pa.types.is_nested(column.type):
        raise _refuse(field, column.type)
    if not pa.types.is_floating(column.type):
        return column
    if pc.any(pc.is_nan(column)).as_py():
        raise SchemaError(
            "NaN cannot be a partition value",
            column=field.source,
            hint="Replace it by null, or partition by another column.",
        )
    return pc.add(column, pa.scalar(0.0, column.type))  # -0.0 + 0.0 = 0.0


def _calendar(field: PartitionField, column: pa.Array) -> pa.Array:
    kind = column.type
    if not (pa.types.is_timestamp(kind) or (pa.types.is_date(kind) and field.transform != "hour")):
        raise _refuse(field, kind)
    if field.transform == "day":
        return _days(column).cast(pa.date32())
    if field.transform == "hour":
        return _floor_divide(column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64()), _HOUR).cast(
            pa.int32()
        )
    dates = _days(column).cast(pa.date32())
    years = pc.subtract(pc.year(dates), 1970)
    if field.transform == "year":
        return years.cast(pa.int32())
    return pc.add(pc.multiply(years, 12), pc.subtract(pc.month(dates), 1)).cast(pa.int32())


def _days(column: pa.Array) -> pa.Array:
    """Days since the epoch, rounded down, in UTC."""
    if pa.types.is_date(column.type):
        return column.cast(pa.date32()).cast(pa.int32())
    micros = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    return _floor_divide(micros, 24 * _HOUR).cast(pa.int32())


def _floor_divide(column: pa.Array, by: int) -> pa.Array:
    # Arrow divides towards zero.
    quotient = pc.divide(column, by)
    short = pc.less(pc.subtract(column, pc.multiply(quotient, by)), 0)
    return pc.subtract(quotient, short.cast(pa.int64()))


def _bucket(field: PartitionField, column: pa.Array) -> pa.Array:
    hashes = murmur3(_hashable(field, column))
    positive = pc.bit_wise_and(hashes, pa.scalar(0x7FFFFFFF, pa.uint32())).cast(pa.int64())
    width = _width(field)
    remainder = pc.subtract(positive, pc.multiply(pc.divide(positive, width), width))
    return pc.if_else(column.is_valid(), remainder.cast(pa.int32()), pa.scalar(None, pa.int32()))


def _hashable(field: PartitionField, column: pa.Array) -> pa.Array:
    """The bytes the specification hashes: int64 for numbers and times, else binary."""
    kind = column.type
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_date(kind):
        return column.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())
    if pa.types.is_time(kind):
        return column.cast(pa.time64("us")).cast(pa.int64())
    if pa.types.is_decimal(kind):
        return _unscaled_bytes(column)
    if pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return column.cast(pa.binary())
    raise _refuse(field, kind)


def _unscaled_bytes(column: pa.Array) -> pa.Array:
    encoded = column.dictionary_encode()
    scale = column.type.scale
    texts = []
    for value in encoded.dictionary.to_pylist():
        unscaled = int(value.scaleb(scale, _EXACT))
        size = ((unscaled if unscaled >= 0 else ~unscaled).bit_length() + 8) // 8
        texts.append(unscaled.to_bytes(size, "big", signed=True))
    return pa.array(texts, pa.binary()).take(encoded.indices)


def _truncate(field: PartitionField, column: pa.Array) -> pa.Array:
    kind, width = column.type, _width(field)
    if pa.types.is_integer(kind):
        wide = column.cast(pa.int64())
        return pc.multiply_checked(_floor_divide(wide, width), width).cast(kind)
    if pa.types.is_decimal(kind):
        return _truncate_decimal(column, width)
    if pa.types.is_string(kind):
        return pc.utf8_slice_codeunits(column, 0, width)  # Arrow means code points
    if pa.types.is_binary(kind):
        return pc.binary_slice(column, 0, width)
    raise _refuse(field, kind)


def _truncate_decimal(column: pa.Array, width: int) -> pa.Array:
    encoded = column.dictionary_encode()
    scale = column.type.scale
    values = []
    for value in encoded.dictionary.to_pylist():
        unscaled = int(value.scaleb(scale, _EXACT))
        values.append(type(value)(unscaled - unscaled % width).scaleb(-scale, _EXACT))
    return pa.array(values, column.type).take(encoded.indices)


def _width(field: PartitionField) -> int:
    if not field.param:
        raise SchemaError(f"{field} needs a width", column=field.source)
    return field.param
