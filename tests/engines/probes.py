"""Filters in the SQL of each engine, many to a statement, so that what engines skip by our logs is seen to be right."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
from engines.enginelake import EngineLake
from readers import connect

SQL = ("spark", "trino", "duckdb", "chdb")
"""Engines asked in SQL."""
COMPARE: dict[str, Callable[[Any, Any], Any]] = {"=": operator.eq, "<": operator.lt, ">=": operator.ge}
NO_BINARY = "ClickHouse refuses to compare binary columns of Delta: `Invalid comparison operation: BinaryView <= Utf8View`."
_AT_ONCE = 32


@dataclass(frozen=True)
class Probe:
    """A condition on one column; a value of `None` asks for nulls."""

    column: str
    comparison: str
    value: Any

    def holds(self, value: Any) -> bool:
        """What the condition says of a value."""
        if self.value is None:
            return (value is None) == (self.comparison == "IS NULL")
        return value is not None and bool(COMPARE[self.comparison](value, self.value))

    def sql(self, engine: str, kind: pa.DataType) -> str:
        """The condition in the engine's words."""
        quote = '"' if engine in ("trino", "duckdb") else "`"
        name = f"{quote}{self.column}{quote}"
        if self.value is None:
            return f"{name} {self.comparison}"
        return f"{name} {self.comparison} {literal(engine, self.value, kind)}"


def probes(table: pa.Table, columns: Iterable[str], comparisons: Sequence[str] = ("=",)) -> list[Probe]:
    """Every value of the columns in every comparison, and nulls."""
    found = []
    for column in columns:
        values = {repr(value): value for value in table[column].to_pylist() if value is not None}
        found += [Probe(column, comparison, value) for value in values.values() for comparison in comparisons]
        found += [Probe(column, "IS NULL", None), Probe(column, "IS NOT NULL", None)]
    return found


def counts(table: pa.Table, asked: Iterable[Probe]) -> list[int]:
    """How many rows of the table each condition holds for."""
    return [sum(probe.holds(value) for value in table[probe.column].to_pylist()) for probe in asked]


def counted_by(
    engine: str, lake: EngineLake, form: str, table: pa.Table, asked: Sequence[Probe]
) -> list[int]:
    """How many rows the engine finds for each condition."""
    source = table_in(engine, lake, form)
    found: dict[int, int] = {}
    for first in range(0, len(asked), _AT_ONCE):
        parts = [
            f"SELECT {first + n} AS probe_, count(*) AS c FROM {source} "
            f"WHERE {probe.sql(engine, table.schema.field(probe.column).type)}"
            for n, probe in enumerate(asked[first : first + _AT_ONCE])
        ]
        found |= dict(query(engine, lake, " UNION ALL ".join(parts)))
    return [found[n] for n in range(len(asked))]


def query(engine: str, lake: EngineLake, statement: str) -> list[tuple[Any, ...]]:
    """Rows of a statement."""
    match engine:
        case "spark":
            return [tuple(row) for row in lake.engines.spark.session.sql(statement).collect()]
        case "trino":
            return lake.engines.trino.query(statement).rows
        case "duckdb":
            with connect(lake.storage) as connection:
                return connection.execute(statement).fetchall()
        case _:
            import chdb

            found = pa.table(chdb.query(statement, "ArrowTable"))
            return [tuple(row.values()) for row in found.to_pylist()]


def table_in(engine: str, lake: EngineLake, form: str) -> str:
    """The table as a statement names it."""
    if engine in ("spark", "trino"):
        return lake.sql_name(engine, form)
    if engine == "duckdb":
        return (
            f"delta_scan('{lake.location()}')"
            if form == "delta"
            else f"iceberg_scan('{lake.metadata_location()}')"
        )
    return lake.clickhouse(form)


def literal(engine: str, value: Any, kind: pa.DataType) -> str:
    """A value of a column in the engine's words."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _text(engine, value)
        case bytes():
            return {"duckdb": f"unhex('{value.hex()}')", "chdb": f"unhex('{value.hex()}')"}.get(
                engine, f"X'{value.hex()}'"
            )
        case Decimal():
            return f"CAST('{value:f}' AS DECIMAL({kind.precision}, {kind.scale}))"
        case dt.datetime():
            return _moment(engine, value)
        case dt.date():
            return f"CAST('{value.isoformat()}' AS {'Date32' if engine == 'chdb' else 'DATE'})"
        case int():
            # The least 64-bit number is no literal anywhere.
            return f"CAST('{value}' AS {'Int64' if engine == 'chdb' else 'BIGINT'})"
        case _:
            return f"CAST('{value!r}' AS {'Float64' if engine == 'chdb' else 'DOUBLE'})"


def _text(engine: str, value: str) -> str:
    if engine in ("spark", "chdb"):
        value = value.replace("\\", "\\\\")
    return "'" + value.replace("'", "\\'" if engine == "spark" else "''") + "'"


def _moment(engine: str, value: dt.datetime) -> str:
    text = value.replace(tzinfo=None).isoformat(" ", timespec="microseconds")
    match engine, value.tzinfo:
        case "chdb", _:
            return f"toDateTime64('{text}', 6, 'UTC')"
        case "trino", None:
            return f"TIMESTAMP '{text}'"
        case "trino", _:
            return f"TIMESTAMP '{text} UTC'"
        case "spark", None:
            return f"TIMESTAMP_NTZ '{text}'"
        case "spark", _:
            return f"TIMESTAMP '{text}Z'"
        case _, None:
            return f"TIMESTAMP '{text}'"
        case _:
            return f"TIMESTAMPTZ '{text}+00'"
