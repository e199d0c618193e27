"""Column types in Hive's language, which the Hive Metastore and AWS Glue speak for every table format.

The end of extract → normalize → write → commit: an entry of such a catalog repeats the table's columns so
that engines can list them without opening the table. The table's own schema stays the truth; where Hive has
no such type (time of day, timestamps with a zone) the entry says what comes nearest, as Iceberg does.

Rules: Hive language manual, "Types"; Iceberg's mapping for Glue for time, uuid and timestamps.
"""

from __future__ import annotations

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.types import is_list, is_uuid

_LEAVES: dict[pa.DataType, str] = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.date32(): "date",
    **dict.fromkeys((pa.string(), pa.large_string(), pa.string_view()), "string"),
    **dict.fromkeys((pa.binary(), pa.large_binary(), pa.binary_view()), "binary"),
}


def hive_type(kind: pa.DataType) -> str:
    """The type as Hive writes it.

    Timestamps with and without a zone are both `timestamp`; a time of day and a UUID are `string`.

    Args:
        kind: A type a table column can have, see `lakeload.model.types`.

    Raises:
        SchemaError: Hive has no word for it.

    Example:
        >>> hive_type(pa.list_(pa.struct([("at", pa.timestamp("us")), ("price", pa.decimal128(10, 2))])))
        'array<struct<at:timestamp,price:decimal(10,2)>>'
    """
    found = _LEAVES.get(kind)
    if found is not None:
        return found
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_time(kind) or is_uuid(kind):
        return "string"
    if pa.types.is_fixed_size_binary(kind):
        return "binary"
    if pa.types.is_struct(kind):
        members = (kind.field(number) for number in range(kind.num_fields))
        return f"struct<{','.join(f'{member.name}:{hive_type(member.type)}' for member in members)}>"
    if is_list(kind):
        return f"array<{hive_type(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"map<{hive_type(kind.key_type)},{hive_type(kind.item_type)}>"
    raise SchemaError(
        f"Hive has no type for {kind}", hint="Give the column another type in the resource's schema."
    )


def columns(schema: pa.Schema) -> tuple[tuple[str, str], ...]:
    """Names and Hive types of the columns, in table order.

    Raises:
        SchemaError: Hive has no word for the type of a column.

    Example:
        >>> columns(pa.schema([("id", pa.int64()), ("tags", pa.map_(pa.string(), pa.string()))]))
        (('id', 'bigint'), ('tags', 'map<string,string>'))
    """
    found = []
    for field in schema:
        try:
            found.append((field.name, hive_type(field.type)))
        except SchemaError as error:
            raise SchemaError(error.what, column=field.name, hint=error.hint) from None
    return tuple(found)
