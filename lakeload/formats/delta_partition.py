"""Partition values as Delta writes them: text in `add.partitionValues`, one per partition column.

Part of commit. The texts themselves are `lakeload.model.partition_text`'s; here is what Delta makes of
them. A partition field with a transform becomes a plain column named like the field, which exists only in
the log and holds a value people can read: year 2024, month "2024-03", hour "2024-03-01-13".
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import unquote

import pyarrow as pa

from lakeload.errors import TableError
from lakeload.model.files import Value
from lakeload.model.layout import PartitionField
from lakeload.model.partition_text import NULL_FOLDER, folder_text, human_text

_GENERATED: Mapping[str, pa.DataType] = {
    "year": pa.int32(),
    "month": pa.string(),
    "day": pa.date32(),
    "hour": pa.string(),
    "bucket": pa.int32(),
}
_EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class PartitionColumn:
    """One partition column of a Delta table.

    Args:
        name: Name of the column in the Delta schema.
        field: The partition field it stands for.
        kind: Its type in the Delta schema.
        table: Table name for messages.
    """

    name: str
    field: PartitionField
    kind: pa.DataType
    table: str

    @property
    def generated(self) -> bool:
        """True when the column exists only in the log."""
        return self.field.transform != "identity"

    def encode(self, value: Value | None) -> str | None:
        """The text of a value given in the types of `DataFile.partition`.

        Raises:
            TableError: Delta has no text for the value: the empty string, NaN or infinity.

        Example:
            >>> field = PartitionField("at", "month")
            >>> PartitionColumn("at_month", field, pa.string(), "t").encode(650)
            '2024-03'
        """
        if value is None:
            return None
        text = human_text(self.field, value)
        if not text or (isinstance(value, float) and not math.isfinite(value)):
            raise TableError(
                f"Delta has no text for the partition value {value!r}",
                table=self.table,
                column=self.field.source,
                hint="Replace empty texts, NaN and infinities, or do not partition by this column.",
            )
        return text

    def decode(self, text: str | None) -> Value | None:
        """The value of a text, in the types of `DataFile.partition`; an empty text is null.

        Raises:
            TableError: The text does not fit the column's type.
        """
        if not text:
            return None
        try:
            value = _value(text, self.kind)
            machine = _TO_MACHINE.get(self.field.transform)
            return machine(value) if machine else value
        except (ValueError, ArithmeticError) as error:
            raise TableError(
                f"cannot read the partition value {text!r} as {self.kind}",
                table=self.table,
                column=self.name,
                hint="Repair the table with the engine that wrote it.",
            ) from error


def contradiction(path: str, values: Mapping[str, str | None]) -> str | None:
    """The folder of a path that tells another partition value than the log will; `None` when none does.

    Some readers (Polars) believe folders `name=value` more than the log or the file.

    Example:
        >>> contradiction("data/p=a-2Fb/1.parquet", {"p": "a/b"})
        'p=a-2Fb'
        >>> contradiction("data/p=a%2Fb/1.parquet", {"p": "a/b"}) is None
        True
    """
    for folder in path.split("/")[:-1]:
        name, found, _ = folder.partition("=")
        if found and name in values:
            text = values[name]
            if text == NULL_FOLDER or unquote(folder) != unquote(folder_text(name, text)):
                return folder
    return None


def partition_columns(
    fields: Sequence[PartitionField], schema: pa.Schema, *, table: str
) -> tuple[PartitionColumn, ...]:
    """The Delta columns of a partitioning.

    Raises:
        TableError: A source column is missing, or has a type that Delta cannot partition by.
    """
    return tuple(PartitionColumn(field.name, field, _kind(field, schema, table), table) for field in fields)


def _kind(field: PartitionField, schema: pa.Schema, table: str) -> pa.DataType:
    position = schema.get_field_index(field.source)
    if position < 0:
        raise TableError(
            "a partition column is not a column of the table",
            table=table,
            column=field.source,
            hint="Partition by a top-level column that the data has.",
        )
    source = schema.field(position).type
    kind = _GENERATED.get(field.transform, source)
    if kind.num_fields or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise TableError(
            f"Delta cannot partition by a column of type {kind}",
            table=table,
            column=field.source,
            hint="Partition by a text, number, date or timestamp column.",
        )
    return kind


def _value(text: str, kind: pa.DataType) -> Value:
    if pa.types.is_timestamp(kind):
        return _timestamp(text, zoned=kind.tz is not None)
    if pa.types.is_float32(kind):
        # Engines write the shortest text, "0.1"; the value beside it in our files is the float itself.
        return pa.scalar(float(text), pa.float32()).as_py()
    for is_kind, parse in _PARSERS:
        if is_kind(kind):
            return parse(text)
    return text


def _timestamp(text: str, *, zoned: bool) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    if not zoned:
        return found.replace(tzinfo=None)
    return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)


def _boolean(text: str) -> bool:
    known = {"true": True, "false": False}
    if text.lower() not in known:
        raise ValueError(text)
    return known[text.lower()]


def _months(text: str) -> int:
    year, month = text.rsplit("-", 1)
    return (int(year) - 1970) * 12 + int(month) - 1


def _hours(text: str) -> int:
    day, hour = text.rsplit("-", 1)
    return (dt.date.fromisoformat(day) - _EPOCH).days * 24 + int(hour)


_TO_MACHINE: Mapping[str, Callable[..., Value]] = {
    "year": lambda year: year - 1970,
    "month": _months,
    "hour": _hours,
}
_PARSERS: Sequence[tuple[Callable[[pa.DataType], bool], Callable[[str], Value]]] = (
    (pa.types.is_integer, int),
    (pa.types.is_boolean, _boolean),
    (pa.types.is_floating, float),
    (pa.types.is_decimal, Decimal),
    (pa.types.is_date, dt.date.fromisoformat),
)
