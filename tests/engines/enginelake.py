"""A lake on S3 with its Iceberg tables in PostgreSQL, and every engine that can read it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from lakes import Place
from readers import assert_same_rows, read_delta, read_iceberg, with_null_lists_empty
from services.postgres import PASSWORD, USER, Postgres
from services.seaweedfs import REGION, S3
from services.spark import Spark
from services.trino import Trino, delta_properties, s3_properties

DATABASE = "lake"
CATALOG = "ice"
"""Name of the Iceberg catalog in the database, in Spark and in Trino: Java's catalogs keep it with every table."""

MILLISECONDS = "Trino's Delta connector rounds timestamps with time zone to milliseconds."
NULL_LISTS = "pyiceberg reads null lists of structs, and null maps, as empty ones."
NO_MAPS = "Polars has no maps and gives lists of key and value pairs."
NESTED_NULLS = "ClickHouse has no null lists, maps and structs: it reads empty ones, and structs of nulls."
LOCAL_TIME = "ClickHouse gives timestamps without zone the zone of the server, by default UTC."


@dataclass(frozen=True)
class Engines:
    """The running engines."""

    s3: S3
    postgres: Postgres
    spark: Spark
    trino: Trino
    registered: set[str] = field(default_factory=set)

    def connect(self) -> None:
        """Make the catalogs `delta` and `ice` in Trino and `ice` in Spark."""
        self.postgres.database(DATABASE)
        self.trino.catalog(
            "delta", "delta_lake", delta_properties(self.s3, f"s3://{self.s3.bucket}/_metastore")
        )
        self.trino.catalog(CATALOG, "iceberg", {**self._trino_iceberg(), **s3_properties(self.s3)})
        self.spark.catalog(CATALOG, self._spark_iceberg())

    @property
    def catalog_uri(self) -> str:
        """The Iceberg catalog as lakeload takes it."""
        return f"{self.postgres.uri(DATABASE)}?catalog={CATALOG}"

    def _trino_iceberg(self) -> dict[str, str]:
        return {
            "iceberg.catalog.type": "jdbc",
            "iceberg.jdbc-catalog.driver-class": "org.postgresql.Driver",
            "iceberg.jdbc-catalog.connection-url": self.postgres.jdbc(DATABASE),
            "iceberg.jdbc-catalog.connection-user": USER,
            "iceberg.jdbc-catalog.connection-password": PASSWORD,
            "iceberg.jdbc-catalog.catalog-name": CATALOG,
            "iceberg.jdbc-catalog.default-warehouse-dir": f"s3://{self.s3.bucket}/warehouse",
        }

    def _spark_iceberg(self) -> dict[str, str]:
        return {
            "": "org.apache.iceberg.spark.SparkCatalog",
            "type": "jdbc",
            "uri": self.postgres.jdbc(DATABASE),
            "jdbc.user": USER,
            "jdbc.password": PASSWORD,
            "jdbc.schema-version": "V1",
            "warehouse": f"s3://{self.s3.bucket}/warehouse",
            "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            "s3.endpoint": self.s3.endpoint,
            "s3.path-style-access": "true",
            "s3.access-key-id": self.s3.access_key,
            "s3.secret-access-key": self.s3.secret_key,
            "client.region": REGION,
            "cache-enabled": "false",
        }


@dataclass(frozen=True)
class EngineLake(Place):
    """One lake of its own on S3, for one test: `load` into it, then `read_by` an engine."""

    engines: Engines = None  # type: ignore[assignment]  # Place has defaults before it

    @classmethod
    def new(cls, engines: Engines, formats: tuple[str, ...]) -> EngineLake:
        """An empty lake nobody else uses."""
        name = f"t{uuid.uuid4().hex[:10]}"
        root = f"s3://{engines.s3.bucket}/{name}"
        return cls(
            formats, root, engines.s3.storage_options,
            engines.catalog_uri if "iceberg" in formats else None, name, engines,
        )  # fmt: skip

    def iceberg(self, table: str = "t") -> Any:
        """pyiceberg's view of the table."""
        from pyiceberg.catalog.sql import SqlCatalog
        from readers import pyiceberg_properties

        catalog = SqlCatalog(
            CATALOG,
            uri=self.engines.postgres.uri(DATABASE).replace("postgresql", "postgresql+psycopg2"),
            **pyiceberg_properties(self.storage),
        )
        try:
            return catalog.load_table((self.namespace, table))
        finally:
            catalog.engine.dispose()

    def sql_name(self, engine: str, form: str, table: str = "t") -> str:
        """The table's name in a statement for Spark or Trino."""
        if form == "iceberg":
            return f"{CATALOG}.{self.namespace}.{table}"
        if engine == "spark":
            return f"delta.`{self.location(table)}`"
        self._register_in_trino(table)
        return f"delta.{self.namespace}.{table}"

    def clickhouse(self, form: str, table: str = "t") -> str:
        """The table in a statement for ClickHouse."""
        s3 = self.engines.s3
        url = f"{s3.endpoint}/{self.location(table).removeprefix('s3://')}"
        if form == "delta":
            return f"deltaLake('{url}', '{s3.access_key}', '{s3.secret_key}')"
        inside = self.metadata_location(table).removeprefix(self.location(table) + "/")
        setting = f"SETTINGS iceberg_metadata_file_path = '{inside}'"
        return f"icebergS3('{url}', '{s3.access_key}', '{s3.secret_key}', {setting})"

    def read_by(self, engine: str, form: str, table: str = "t") -> pa.Table:
        """All rows as the engine sees them, without generated partition columns."""
        schema = self.table(table).schema()
        names = ", ".join(f'"{name}"' if engine == "trino" else f"`{name}`" for name in schema.names)
        match engine:
            case "spark":
                return self.engines.spark.query(f"SELECT {names} FROM {self.sql_name(engine, form, table)}")
            case "trino":
                name = self.sql_name(engine, form, table)
                return self.engines.trino.query(f"SELECT {names} FROM {name}").arrow(schema)
            case "chdb":
                found = _chdb(self, form, table)
            case _ if form == "delta":
                found = read_delta(self.location(table), self.storage, engine=engine)
            case _:
                found = read_iceberg(self.metadata_location(table), self.storage, engine=engine)
        return found.select(schema.names)

    def assert_read_by(self, engine: str, form: str, expected: pa.Table, table: str = "t") -> str:
        """Fail unless the engine sees exactly these rows; a known deviation is returned as a note."""
        found = self.read_by(engine, form, table)
        adjust, note = deviation(engine, form, expected)
        assert_same_rows(adjust(found), adjust(expected), types=False)
        return note

    def _register_in_trino(self, table: str) -> None:
        trino, key = self.engines.trino, f"{self.namespace}.{table}"
        if key in self.engines.registered:
            return
        if self.namespace not in self.engines.registered:
            place = f"s3://{self.engines.s3.bucket}/_metastore/{self.namespace}"
            trino.query(f"CREATE SCHEMA delta.{self.namespace} WITH (location = '{place}')")
            self.engines.registered.add(self.namespace)
        trino.query(
            f"CALL delta.system.register_table('{self.namespace}', '{table}', '{self.location(table)}')"
        )
        self.engines.registered.add(key)


def readers_of(form: str) -> list[str]:
    """Every engine that reads the format."""
    library = {"delta": "deltalake", "iceberg": "pyiceberg"}[form]
    return ["spark", "trino", "duckdb", "polars", library, "chdb"]


def deviation(engine: str, form: str, table: pa.Table) -> tuple[Callable[[pa.Table], pa.Table], str]:
    """How rows are to be compared when the engine is known to bend them, and what to say of it."""
    kinds = [str(field.type) for field in table.schema]
    if (engine, form) == ("trino", "delta") and any("tz=" in kind for kind in kinds):
        return _in_milliseconds, MILLISECONDS
    if engine == "pyiceberg" and any("list<" in kind or "map<" in kind for kind in kinds):
        return with_null_lists_empty, NULL_LISTS
    if engine == "polars" and any("map<" in kind for kind in kinds):
        return lambda found: found, NO_MAPS
    if engine == "chdb" and any("<" in kind for kind in kinds):
        return _without_nested_nulls, NESTED_NULLS
    if engine == "chdb" and any(pa.types.is_timestamp(f.type) and not f.type.tz for f in table.schema):
        return lambda found: found, LOCAL_TIME
    return lambda found: found, ""


def _in_milliseconds(table: pa.Table) -> pa.Table:
    """Timestamps with zone rounded to milliseconds, halves up, also inside nested values."""
    columns = []
    for column, kind in zip(table.columns, table.schema, strict=True):
        if pa.types.is_timestamp(kind.type) and kind.type.tz:
            plain = column.cast(pa.timestamp("us", "UTC"))
            rounded = pc.round_temporal(plain, multiple=1, unit="millisecond")
            columns.append(rounded.cast(pa.timestamp("us", "UTC")))
        elif pa.types.is_nested(kind.type) and "tz=" in str(kind.type):
            columns.append(pa.array([_rounded(value) for value in column.to_pylist()], type=kind.type))
        else:
            columns.append(column)
    return pa.table(columns, names=table.column_names)


def _rounded(value: Any) -> Any:
    match value:
        case dt.datetime() if value.tzinfo is not None:
            up = value + dt.timedelta(microseconds=500)
            return up.replace(microsecond=up.microsecond // 1000 * 1000)
        case Mapping():
            return {key: _rounded(inner) for key, inner in value.items()}
        case list():
            return [_rounded(inner) for inner in value]
        case tuple():
            return tuple(_rounded(inner) for inner in value)
        case _:
            return value


def _chdb(lake: EngineLake, form: str, table: str) -> pa.Table:
    """ClickHouse, in this process."""
    import chdb

    schema = lake.table(table).schema()
    names = ", ".join(f"`{name}`" for name in schema.names)
    query = f"SELECT {names} FROM {lake.clickhouse(form, table)}"
    found = pa.table(chdb.query(f"{query} SETTINGS output_format_arrow_string_as_string = 0", "ArrowTable"))
    return pa.table({field.name: _as_stored(found[field.name], field.type) for field in schema})


def _as_stored(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column of ClickHouse, where text is bytes and every timestamp has a zone."""
    if not pa.types.is_nested(kind):
        return (
            column.cast(pa.timestamp("us", "UTC")).cast(kind)
            if pa.types.is_timestamp(kind)
            else column.cast(kind)
        )
    return pa.chunked_array([pa.array([_member(value, kind) for value in column.to_pylist()], type=kind)])


def _member(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {field.name: _member(value[field.name], field.type) for field in kind}
    if pa.types.is_map(kind):
        return [(_member(k, kind.key_type), _member(v, kind.item_type)) for k, v in value]
    if pa.types.is_list(kind):
        return [_member(inner, kind.value_type) for inner in value]
    return value.decode() if pa.types.is_string(kind) and isinstance(value, bytes) else value


def _without_nested_nulls(table: pa.Table) -> pa.Table:
    columns = [
        pa.array([_filled(value, field.type) for value in column.to_pylist()], type=field.type)
        for column, field in zip(table.columns, table.schema, strict=True)
    ]
    return pa.table(columns, names=table.column_names)


def _filled(value: Any, kind: pa.DataType) -> Any:
    """The value with empty lists and maps for null ones, and structs of nulls."""
    if pa.types.is_struct(kind):
        return {field.name: _filled((value or {}).get(field.name), field.type) for field in kind}
    if pa.types.is_map(kind):
        return [(key, _filled(inner, kind.item_type)) for key, inner in value or []]
    if pa.types.is_list(kind):
        return [_filled(inner, kind.value_type) for inner in value or []]
    return value
