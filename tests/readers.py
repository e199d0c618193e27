"""Read a table with engines that did not write it, into Arrow tables that can be compared.

`delta_readers` and `iceberg_readers` name them: DuckDB with its own extensions, Polars, and the library of
the format (deltalake, pyiceberg). Engines spell the same values with different Arrow types (string views,
large lists, time zone names); `normalised` brings them to one spelling, and never changes a value.
"""

from __future__ import annotations

import datetime as dt
import importlib
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

Storage = Mapping[str, str] | None
"""lakeload's `storage_options`; `None` for local tables."""

LOAD_COLUMNS = ("_lakeload_id", "_lakeload_at")


def read_delta(uri: str, storage: Storage = None, *, engine: str) -> pa.Table:
    """All rows of the Delta table at `uri`, read by `engine`."""
    return normalised(delta_readers[engine](uri, storage))


def read_iceberg(metadata_location: str, storage: Storage = None, *, engine: str) -> pa.Table:
    """All rows of the Iceberg table whose current metadata file is given, read by `engine`."""
    return normalised(iceberg_readers[engine](metadata_location, storage))


_connections: dict[frozenset[tuple[str, str]], duckdb.DuckDBPyConnection] = {}


def connect(storage: Storage = None) -> duckdb.DuckDBPyConnection:
    """DuckDB with the lake extensions, loaded from their wheels without network; one per storage and run."""
    key = frozenset((storage or {}).items())
    if key not in _connections:
        _connections[key] = _connect(storage)
    connection = _connections[key].cursor()
    connection.execute("SET TimeZone='UTC'")
    return connection


def _connect(storage: Storage) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"allow_unsigned_extensions": "false"})
    connection.execute("SET autoinstall_known_extensions=false")
    connection.execute("SET autoload_known_extensions=false")
    for name in ("httpfs", "avro", "iceberg", "delta"):
        package = importlib.import_module(f"duckdb_extension_{name}")
        folder = Path(str(package.__file__)).parent
        (extension,) = folder.glob(f"extensions/v{duckdb.__version__}/*.duckdb_extension")
        connection.execute(f"LOAD '{extension}'")
    if storage:
        endpoint = storage.get("aws_endpoint_url")
        host = (
            f", URL_STYLE 'path', USE_SSL false, ENDPOINT '{endpoint.partition('://')[2]}'"
            if endpoint
            else ""
        )
        connection.execute(
            f"CREATE SECRET s3 (TYPE s3, PROVIDER config, KEY_ID '{storage['aws_access_key_id']}', "
            f"SECRET '{storage['aws_secret_access_key']}', REGION '{storage['aws_region']}'{host})"
        )
    return connection


def _delta_duckdb(uri: str, storage: Storage) -> pa.Table:
    with connect(storage) as connection:
        return connection.sql(f"SELECT * FROM delta_scan('{uri}')").to_arrow_table()


def _delta_polars(uri: str, storage: Storage) -> pa.Table:
    import polars as pl

    # Of folders with blanks, umlauts or `=` in their names Polars itself loses sight.
    plain = uri.isascii() and not set(uri) & set(" =")
    frame = pl.scan_delta(uri, storage_options=_object_store(storage), use_pyarrow=not plain)
    return frame.collect().to_arrow()


def _delta_library(uri: str, storage: Storage) -> pa.Table:
    from deltalake import DeltaTable

    return pa.table(DeltaTable(uri, storage_options=_object_store(storage)).scan())


def _iceberg_duckdb(metadata_location: str, storage: Storage) -> pa.Table:
    with connect(storage) as connection:
        return connection.sql(f"SELECT * FROM iceberg_scan('{metadata_location}')").to_arrow_table()


def _iceberg_polars(metadata_location: str, storage: Storage) -> pa.Table:
    import polars as pl

    # The address alone would do locally; on S3, Polars reads metadata through the table's own FileIO.
    table = static_table(metadata_location, storage)
    with warnings.catch_warnings():
        # It advises a faster plugin; planning by pyiceberg gives the same rows.
        warnings.filterwarnings(
            "ignore", category=pl.exceptions.PerformanceWarning, message=".*polars_iceberg plugin"
        )
        return pl.scan_iceberg(table, storage_options=_object_store(storage)).collect().to_arrow()


def _iceberg_library(metadata_location: str, storage: Storage) -> pa.Table:
    return static_table(metadata_location, storage).scan().to_arrow()


delta_readers: dict[str, Callable[[str, Storage], pa.Table]] = {
    "duckdb": _delta_duckdb,
    "polars": _delta_polars,
    "deltalake": _delta_library,
}
iceberg_readers: dict[str, Callable[[str, Storage], pa.Table]] = {
    "duckdb": _iceberg_duckdb,
    "polars": _iceberg_polars,
    "pyiceberg": _iceberg_library,
}


def static_table(metadata_location: str, storage: Storage = None) -> Any:
    """pyiceberg's view of the table as of one metadata file, without a catalog."""
    from pyiceberg.table import StaticTable

    return StaticTable.from_metadata(metadata_location, pyiceberg_properties(storage))


def _object_store(storage: Storage) -> dict[str, str] | None:
    return {**storage, "aws_allow_http": "true"} if storage else None


def pyiceberg_properties(storage: Storage) -> dict[str, str]:
    """How pyiceberg reaches the place."""
    if not storage:
        return {}
    endpoint = storage.get("aws_endpoint_url")
    return {
        **({"s3.endpoint": endpoint} if endpoint else {}),
        "s3.access-key-id": storage["aws_access_key_id"],
        "s3.secret-access-key": storage["aws_secret_access_key"],
        "s3.region": storage["aws_region"],
    }


def normalised(table: pa.Table) -> pa.Table:
    """The table with one Arrow spelling per logical type, no metadata, and everything nullable."""
    schema = pa.schema([pa.field(field.name, _plain(field.type)) for field in table.schema])
    columns = [_recast(column, field.type) for column, field in zip(table.columns, schema, strict=True)]
    return pa.table(columns, schema=schema)


def _recast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if column.type == kind:
        return column
    if not pa.types.is_nested(kind):
        return column.cast(kind)
    # Casts between nested types are not all there; the values do not mind the detour.
    return pa.chunked_array(
        [pa.array([_value(value, column.type) for value in column.to_pylist()], type=kind)]
    )


def _value(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_map(kind):
        return [{"key": _value(k, kind.key_type), "value": _value(v, kind.item_type)} for k, v in value]
    if pa.types.is_struct(kind):
        return {child.name: _value(value[child.name], child.type) for child in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind):
        return [_value(element, kind.value_type) for element in value]
    return value


def _plain(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_dictionary(kind):
        return _plain(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return pa.binary()
    if types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if types.is_decimal(kind):
        return pa.decimal128(kind.precision, kind.scale)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_list_view(kind):
        return pa.list_(pa.field("element", _plain(kind.value_type)))
    if types.is_time(kind):
        return pa.time64("us")
    if types.is_map(kind):  # Polars has no maps and gives lists of pairs
        pair = pa.struct([("key", _plain(kind.key_type)), ("value", _plain(kind.item_type))])
        return pa.list_(pa.field("element", pair))
    if types.is_struct(kind):
        return pa.struct([pa.field(child.name, _plain(child.type)) for child in kind])
    return kind


def with_null_lists_empty(table: pa.Table) -> pa.Table:
    """The table with an empty list wherever a list or map is null.

    pyiceberg 0.12 reads null lists of structs as empty ones; nothing but that may be forgiven it.
    """
    plain = normalised(table)
    columns = [
        pa.chunked_array(
            [pa.array([_filled(value, field.type) for value in column.to_pylist()], type=field.type)]
        )
        for column, field in zip(plain.columns, plain.schema, strict=True)
    ]
    return pa.table(columns, schema=plain.schema)


def _filled(value: Any, kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return [_filled(element, kind.value_type) for element in value or []]
    if pa.types.is_struct(kind) and value is not None:
        return {child.name: _filled(value[child.name], child.type) for child in kind}
    return value


def without_load_columns(table: pa.Table) -> pa.Table:
    """The table without lakeload's own columns."""
    return table.drop_columns([name for name in LOAD_COLUMNS if name in table.column_names])


def assert_same_rows(
    actual: pa.Table, expected: pa.Table, *, order_by: str | Sequence[str] = (), types: bool = True
) -> None:
    """Fail unless both tables hold the same rows, in any order, under the same columns.

    Args:
        actual: What an engine read. lakeload's load columns are left out when `expected` has none.
        expected: What it should have read.
        order_by: Columns to sort the message's rows by; no influence on the result.
        types: Compare column types too (after `normalised`).
    """
    if not set(LOAD_COLUMNS) & set(expected.column_names):
        actual = without_load_columns(actual)
    actual, expected = normalised(actual), normalised(expected)
    assert sorted(actual.column_names) == sorted(expected.column_names)
    actual = actual.select(expected.column_names)
    if types:
        assert [(f.name, str(f.type)) for f in actual.schema] == [
            (f.name, str(f.type)) for f in expected.schema
        ]
    if _plainly_same(actual, expected):
        return
    order = [order_by] if isinstance(order_by, str) else list(order_by)
    left, right = _rows(actual, order), _rows(expected, order)
    missing, extra = _difference(right, left), _difference(left, right)
    assert not missing, f"rows missing: {missing[:5]} (of {len(missing)})"
    assert not extra, f"rows too many: {extra[:5]} (of {len(extra)})"


def _plainly_same(actual: pa.Table, expected: pa.Table) -> bool:
    """Whether Arrow sees that they hold the same rows; where it cannot tell, rows are compared one by one.

    It cannot sort what is nested, and to it -0.0 is 0.0.
    """
    kinds, names = actual.schema.types, actual.column_names
    if (
        actual.schema != expected.schema
        or len(set(names)) != len(names)
        or any(
            pa.types.is_nested(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind) for kind in kinds
        )
    ):
        return False
    order = [(name, "ascending") for name in names]
    return not order or bool(actual.sort_by(order).equals(expected.sort_by(order)))


def _rows(table: pa.Table, order: Iterable[str]) -> dict[str, tuple[str, int]]:
    """How often each row is there, and what it is sorted by."""
    positions = [table.column_names.index(name) for name in order]
    columns = [[_comparable(value) for value in column.to_pylist()] for column in table.columns]
    found: dict[str, tuple[str, int]] = {}
    for row in zip(*columns, strict=True):
        text = repr(row)
        key, count = found.get(text) or (repr([row[i] for i in positions]) if positions else text, 0)
        found[text] = (key, count + 1)
    return found


def _difference(left: Mapping[str, tuple[str, int]], right: Mapping[str, tuple[str, int]]) -> list[str]:
    more = {text: count - right.get(text, ("", 0))[1] for text, (_, count) in left.items()}
    extra = [text for text, count in more.items() for _ in range(count)]
    return sorted(extra, key=lambda text: left[text][0])


def _comparable(value: Any) -> Any:
    """A value whose repr is equal exactly when the value is the same: -0.0 differs from 0.0, NaN equals NaN."""
    match value:
        case float():
            return "nan" if math.isnan(value) else value.hex()
        case dt.datetime() if value.tzinfo is not None:
            return value.astimezone(dt.UTC).isoformat()
        case dict():
            return {key: _comparable(inner) for key, inner in sorted(value.items())}
        case list() | tuple():
            return [_comparable(inner) for inner in value]
        case _:
            return value
