"""A table's schema as `CREATE TABLE`, to make the same table elsewhere or to read what it is.

Names are always quoted, so reserved words, capitals and signs stay as they are in the lake.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from lakeload.model.layout import Layout, PartitionField
from lakeload.schema.described import description
from lakeload.schema.sql_types import DIALECTS, Dialect, checked_dialect, quoted, sql_type

__all__ = ["DIALECTS", "to_ddl"]

_SPARK_TRANSFORMS = {"year": "years", "month": "months", "day": "days", "hour": "hours"}


def to_ddl(
    schema: pa.Schema,
    dialect: str,
    table: str,
    layout: Layout | None = None,
    *,
    form: Literal["delta", "iceberg"] = "iceberg",
) -> str:
    """The statements that make an empty table of these columns.

    Args:
        schema: Columns of the table.
        dialect: One of `spark`, `trino`, `duckdb`, `postgres`, `snowflake`.
        table: Its name; parts separated by dots are quoted each.
        layout: Partitioning, written for Spark and Trino; others have none. Of a Delta table only columns
            can be said, no transforms: those stand in a comment. Sort order is left out.
        form: Format of the table to make, for Spark and the partitioning.

    Returns:
        `CREATE TABLE`, and where the dialect has no comments inside it `COMMENT ON COLUMN`s, each ending
        with a semicolon. Comments tell names of the source.

    Raises:
        ConfigError: There is no such dialect.
        SchemaError: The dialect has no type for a column.

    Example:
        >>> print(to_ddl(pa.schema([pa.field("order", pa.int64(), nullable=False)]), "duckdb", "main.t"))
        CREATE TABLE "main"."t" (
          "order" BIGINT NOT NULL
        );
    """
    words = checked_dialect(dialect)
    name = ".".join(quoted(part, words) for part in table.split("."))
    lines = ",\n".join(f"  {_column(field, words)}" for field in schema)
    partitioning = _partitioning(layout, words, form) if layout and layout.partition_by else ""
    using = f"\nUSING {form.upper()}" if words == "spark" else ""
    return "\n".join(
        [f"CREATE TABLE {name} (\n{lines}\n){using}{partitioning};", *_comments(schema, name, words)]
    )


def _column(field: pa.Field, dialect: Dialect) -> str:
    required = "" if field.nullable else " NOT NULL"
    text = description(field)
    comment = f" COMMENT {_literal(text, dialect)}" if text and dialect not in ("duckdb", "postgres") else ""
    kind = sql_type(field.type, dialect, (field.name,))
    return f"{quoted(field.name, dialect)} {kind}{required}{comment}"


def _comments(schema: pa.Schema, table: str, dialect: Dialect) -> list[str]:
    if dialect not in ("duckdb", "postgres"):
        return []
    told = [(field.name, description(field)) for field in schema]
    return [
        f"COMMENT ON COLUMN {table}.{quoted(name, dialect)} IS {_literal(text, dialect)};"
        for name, text in told
        if text
    ]


def _literal(text: str, dialect: Dialect) -> str:
    """Text in single quotes; Spark and Snowflake read backslashes as escapes."""
    plain = text.replace("\\", "\\\\") if dialect in ("spark", "snowflake") else text
    return f"'{plain.replace(chr(39), _QUOTE[dialect == 'spark'])}'"


_QUOTE = {False: "''", True: "\\'"}
"""A quote mark inside a text: doubled, but in Spark, where two texts side by side are one."""


def _partitioning(layout: Layout, dialect: Dialect, form: str) -> str:
    fields = layout.partition_by
    if dialect not in ("spark", "trino"):
        return ""
    if form == "delta":
        return _delta_partitioning(fields, dialect)
    if dialect == "spark":
        return f"\nPARTITIONED BY ({', '.join(map(_spark_field, fields))})"
    texts = ", ".join(_literal(_trino_field(field), dialect) for field in fields)
    return f"\nWITH (partitioning = ARRAY[{texts}])"


def _delta_partitioning(fields: tuple[PartitionField, ...], dialect: Dialect) -> str:
    plain = [field.source for field in fields if field.transform == "identity"]
    others = [str(field) for field in fields if field.transform != "identity"]
    note = f" /* also by {', '.join(others).replace('*/', '')} */" if others else ""
    if not plain:
        return note
    if dialect == "spark":
        return f"\nPARTITIONED BY ({', '.join(quoted(name, dialect) for name in plain)}){note}"
    texts = ", ".join(_literal(name, dialect) for name in plain)
    return f"\nWITH (partitioned_by = ARRAY[{texts}]){note}"


def _spark_field(field: PartitionField) -> str:
    name = quoted(field.source, "spark")
    if field.transform == "identity":
        return name
    if field.param is not None:
        return f"{field.transform}({field.param}, {name})"
    return f"{_SPARK_TRANSFORMS[field.transform]}({name})"


def _trino_field(field: PartitionField) -> str:
    name = quoted(field.source, "trino")
    if field.transform == "identity":
        return name
    return f"{field.transform}({name}{'' if field.param is None else f', {field.param}'})"
