"""Column types in five dialects of SQL.

| stored type | spark | trino | duckdb | postgres | snowflake |
|---|---|---|---|---|---|
| bool | BOOLEAN | BOOLEAN | BOOLEAN | BOOLEAN | BOOLEAN |
| int8 | TINYINT | TINYINT | TINYINT | SMALLINT | NUMBER(3, 0) |
| int16 | SMALLINT | SMALLINT | SMALLINT | SMALLINT | NUMBER(5, 0) |
| int32 | INT | INTEGER | INTEGER | INTEGER | NUMBER(10, 0) |
| int64 | BIGINT | BIGINT | BIGINT | BIGINT | NUMBER(19, 0) |
| float32, float64 | FLOAT, DOUBLE | REAL, DOUBLE | FLOAT, DOUBLE | REAL, DOUBLE PRECISION | FLOAT |
| decimal(p, s) | DECIMAL | DECIMAL | DECIMAL | NUMERIC | NUMBER |
| string | STRING | VARCHAR | VARCHAR | TEXT | VARCHAR |
| binary | BINARY | VARBINARY | BLOB | BYTEA | BINARY |
| date | DATE | DATE | DATE | DATE | DATE |
| time | refused | TIME(6) | TIME | TIME | TIME(6) |
| timestamp | TIMESTAMP | TIMESTAMP(6) WITH TIME ZONE | TIMESTAMPTZ | TIMESTAMPTZ | TIMESTAMP_LTZ(6) |
| timestamp_ntz | TIMESTAMP_NTZ | TIMESTAMP(6) | TIMESTAMP | TIMESTAMP | TIMESTAMP_NTZ(6) |
| struct | STRUCT | ROW | STRUCT | JSONB | OBJECT |
| list | ARRAY | ARRAY | T[] | T[] of leaves, else JSONB | ARRAY |
| map | MAP | MAP | MAP | JSONB | MAP |

`timestamp` is an instant, `timestamp_ntz` has no zone. `time` is refused where the engine has no such type
for tables in a lake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

import pyarrow as pa

from lakeload.errors import ConfigError, SchemaError
from lakeload.model.schema import children

Dialect: TypeAlias = Literal["spark", "trino", "duckdb", "postgres", "snowflake"]
DIALECTS: tuple[str, ...] = get_args(Dialect)

_ORDER = (
    pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(),
    pa.binary(), pa.date32(), pa.time64("us"), pa.timestamp("us", "UTC"), pa.timestamp("us"),
)  # fmt: skip

_WORDS: Mapping[str, tuple[str | None, ...]] = {
    "spark": (
        "BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "STRING",
        "BINARY", "DATE", None, "TIMESTAMP", "TIMESTAMP_NTZ",
    ),
    "trino": (
        "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "REAL", "DOUBLE", "VARCHAR",
        "VARBINARY", "DATE", "TIME(6)", "TIMESTAMP(6) WITH TIME ZONE", "TIMESTAMP(6)",
    ),
    "duckdb": (
        "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR",
        "BLOB", "DATE", "TIME", "TIMESTAMPTZ", "TIMESTAMP",
    ),
    "postgres": (
        "BOOLEAN", "SMALLINT", "SMALLINT", "INTEGER", "BIGINT", "REAL", "DOUBLE PRECISION", "TEXT",
        "BYTEA", "DATE", "TIME", "TIMESTAMPTZ", "TIMESTAMP",
    ),
    "snowflake": (
        "BOOLEAN", "NUMBER(3, 0)", "NUMBER(5, 0)", "NUMBER(10, 0)", "NUMBER(19, 0)", "FLOAT", "FLOAT",
        "VARCHAR", "BINARY", "DATE", "TIME(6)", "TIMESTAMP_LTZ(6)", "TIMESTAMP_NTZ(6)",
    ),
}  # fmt: skip

_DECIMAL = {"postgres": "NUMERIC", "snowflake": "NUMBER"}


def checked_dialect(text: str) -> Dialect:
    """The dialect itself, if it is one.

    Raises:
        ConfigError: It is something else.

    Example:
        >>> checked_dialect("trino")
        'trino'
    """
    if text not in DIALECTS:
        raise ConfigError(f"{text!r} is no dialect of SQL known here", hint=f"Use {', '.join(DIALECTS)}.")
    return text  # type: ignore[return-value]  # checked above


def quoted(name: str, dialect: Dialect) -> str:
    """The name as an identifier, exactly as it is; the quote mark inside it doubled.

    Example:
        >>> quoted("order", "spark"), quoted('a"b', "trino")
        ('`order`', '"a""b"')
    """
    mark = "`" if dialect == "spark" else '"'
    return f"{mark}{name.replace(mark, mark * 2)}{mark}"


def sql_type(kind: pa.DataType, dialect: Dialect, path: tuple[str, ...] = ()) -> str:
    """The type as it stands behind a column's name.

    Args:
        kind: Type of a table's column.
        dialect: Of which engine.
        path: The column, for messages.

    Raises:
        SchemaError: The dialect has no such type.

    Example:
        >>> sql_type(pa.map_(pa.string(), pa.list_(pa.int64())), "duckdb")
        'MAP(VARCHAR, BIGINT[])'
    """
    inner = children(kind)
    if inner:
        return _nested(kind, inner, dialect, path)
    if pa.types.is_decimal(kind):
        return f"{_DECIMAL.get(dialect, 'DECIMAL')}({kind.precision}, {kind.scale})"
    stored = pa.binary() if pa.types.is_fixed_size_binary(kind) else kind
    word = dict(zip(_ORDER, _WORDS[dialect], strict=True)).get(stored)
    if word is None:
        raise SchemaError(
            f"{dialect} has no type for {kind}",
            column=".".join(path) or None,
            hint="Hint the column as string, or export another dialect.",
        )
    return word


def _nested(kind: pa.DataType, inner: list[pa.Field], dialect: Dialect, path: tuple[str, ...]) -> str:
    parts = [sql_type(field.type, dialect, (*path, field.name)) for field in inner]
    if dialect == "postgres":
        flat = not (pa.types.is_struct(kind) or pa.types.is_map(kind) or children(inner[0].type))
        return f"{parts[0]}[]" if flat else "JSONB"
    if pa.types.is_struct(kind):
        return _struct([field.name for field in inner], parts, dialect)
    word = "MAP" if pa.types.is_map(kind) else "ARRAY"
    if word == "ARRAY" and dialect == "duckdb":
        return f"{parts[0]}[]"
    opening, closing = "<>" if dialect == "spark" else "()"
    return f"{word}{opening}{', '.join(parts)}{closing}"


def _struct(names: list[str], kinds: list[str], dialect: Dialect) -> str:
    word = {"trino": "ROW", "snowflake": "OBJECT"}.get(dialect, "STRUCT")
    between, (opening, closing) = (": ", "<>") if dialect == "spark" else (" ", "()")
    members = [f"{quoted(name, dialect)}{between}{kind}" for name, kind in zip(names, kinds, strict=True)]
    return f"{word}{opening}{', '.join(members)}{closing}"
