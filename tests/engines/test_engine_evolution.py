"""Schemas that changed, by lakeload or by the engines themselves, and older versions of such tables."""

from __future__ import annotations

import warnings
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from engines.enginelake import EngineLake, deviation, readers_of
from engines.matrix import Matrix
from engines.probes import query
from readers import assert_same_rows, normalised, static_table

import lakeload as ll

BOTH = [(engine, form) for form in ("delta", "iceberg") for engine in readers_of(form)]


def _list(kind: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", kind))


def _map(kind: pa.DataType) -> pa.DataType:
    return pa.map_(pa.string(), kind)


A, AB = pa.struct([("a", pa.int32())]), pa.struct([("a", pa.int32()), ("b", pa.string())])
I32, I64, F32, F64 = pa.int32(), pa.int64(), pa.float32(), pa.float64()
D9, D18 = pa.decimal128(9, 2), pa.decimal128(18, 2)
CHANGES: dict[str, tuple[pa.DataType | None, Any, pa.DataType, Any, Any]] = {
    "column added": (None, None, pa.string(), "x", None),
    "field added to a struct": (A, {"a": 1}, AB, {"a": 2, "b": "x"}, {"a": 1, "b": None}),
    "field added to structs in a list": (_list(A), [{"a": 1}], _list(AB), [{"a": 2, "b": "x"}], [{"a": 1, "b": None}]),
    "field added to structs in a map": (
        _map(A), [("k", {"a": 1})], _map(AB), [("k", {"a": 2, "b": "x"})], [("k", {"a": 1, "b": None})],
    ),
    "field added three deep": (
        pa.struct([("l", _list(_map(A)))]), {"l": [[("k", {"a": 1})]]},
        pa.struct([("l", _list(_map(AB)))]), {"l": [[("k", {"a": 2, "b": "x"})]]}, {"l": [[("k", {"a": 1, "b": None})]]},
    ),
    "int to long": (I32, 2**31 - 1, I64, 2**63 - 1, 2**31 - 1),
    "int to long in structs in a list": (
        _list(pa.struct([("n", I32)])), [{"n": 1}], _list(pa.struct([("n", I64)])), [{"n": 2**40}], [{"n": 1}],
    ),
    "float to double": (F32, 0.1, F64, 0.1, 0.10000000149011612),
    "decimal with more digits": (D9, Decimal("1234567.89"), D18, Decimal("1234567890123456.78"), Decimal("1234567.89")),
    "required to optional": (pa.string(), "must", pa.string(), None, "must"),
}  # fmt: skip
"""Feature → type and value before, type and value after, and the old value as it must be read then."""
REQUIRED = "required to optional"
COLUMNS = {feature: f"c{n}" for n, feature in enumerate(CHANGES)}
OLD = pa.table(
    {"id": [1]} | {COLUMNS[f]: pa.array([v], k) for f, (k, v, _, _, _) in CHANGES.items() if k is not None}
)
NEW = pa.table({"id": [2]} | {COLUMNS[f]: pa.array([v], k) for f, (_, _, k, v, _) in CHANGES.items()})
AFTER = pa.table({"id": [1, 2]} | {COLUMNS[f]: pa.array([o, v], k) for f, (_, _, k, v, o) in CHANGES.items()})
OLD = OLD.cast(
    pa.schema([pa.field(f.name, f.type, nullable=f.name != COLUMNS[REQUIRED]) for f in OLD.schema])
)


@pytest.fixture(scope="module")
def evolved(engines: Any) -> tuple[EngineLake, dict[str, int]]:
    """A table that went through all of the changes, and its older version by format."""
    lake = EngineLake.new(engines, ("delta", "iceberg"))
    lake.load(OLD, load_columns=False, schema=OLD.schema)
    assert not lake.table().schema().field(COLUMNS[REQUIRED]).nullable
    older = {"delta": lake.delta().version(), "iceberg": lake.iceberg().current_snapshot().snapshot_id}
    lake.load(NEW, load_columns=False)
    assert lake.table().schema().field(COLUMNS[REQUIRED]).nullable
    return lake, older


@pytest.mark.parametrize(("engine", "form"), BOTH)
def test_engine_reads_evolved_table(evolved: Any, matrix: Matrix, engine: str, form: str) -> None:
    lake, _ = evolved
    found = _by_pyarrow(lake) if engine == "deltalake" else lake.read_by(engine, form)
    for feature, column in COLUMNS.items():
        expected = AFTER.select(["id", column])
        adjust, note = deviation(engine, form, expected)
        if engine == "deltalake" and "map<" in str(expected.schema.field(column).type):
            note = NO_MAP_CASTS
        with matrix.reads("Schema evolution", feature, engine, form, note):
            assert_same_rows(adjust(found.select(["id", column])), adjust(expected), types=False)


NO_MAP_CASTS = (
    "deltalake reads it by `to_pyarrow_table()`; its other reader fails: `Cannot cast column … Map`."
)


def _by_pyarrow(lake: EngineLake) -> pa.Table:
    with pytest.raises(Exception, match=r"Cannot cast column 'c3' from 'Map"):
        lake.read_by("deltalake", "delta")
    return normalised(lake.delta().to_pyarrow_table())


@pytest.mark.parametrize(("engine", "form"), BOTH)
def test_engine_reads_version_before_the_change(evolved: Any, matrix: Matrix, engine: str, form: str) -> None:
    lake, older = evolved
    with matrix.reads("Schema evolution", "the version before", engine, form):
        rows = _older(lake, engine, form, older[form])
        assert rows == [(1, 2**31 - 1)]


def _older(lake: EngineLake, engine: str, form: str, version: int) -> list[tuple[int, int]]:
    column = COLUMNS["int to long"]
    if engine in ("spark", "trino", "duckdb", "chdb"):
        return [
            tuple(row)
            for row in query(engine, lake, f"SELECT id, {column} FROM {_at(lake, engine, form, version)}")
        ]
    if form == "delta" and engine == "deltalake":
        found = lake.delta()
        found.load_as_version(version)
        table = pa.table(found.scan())
    elif engine == "pyiceberg":
        table = static_table(lake.metadata_location(), lake.storage).scan(snapshot_id=version).to_arrow()
    else:
        import polars as pl

        options = {**lake.storage, "aws_allow_http": "true"}
        scan = (
            pl.scan_delta(lake.location(), version=version, storage_options=options)
            if form == "delta"
            else pl.scan_iceberg(
                static_table(lake.metadata_location(), lake.storage),
                snapshot_id=version,
                storage_options=options,
            )
        )
        with warnings.catch_warnings():
            # It advises a faster plugin; planning by pyiceberg gives the same rows.
            warnings.filterwarnings("ignore", category=pl.exceptions.PerformanceWarning)
            table = scan.collect().to_arrow()
    return [(row["id"], row[column]) for row in normalised(table).to_pylist()]


def _at(lake: EngineLake, engine: str, form: str, version: int) -> str:
    match engine, form:
        case "spark", "delta":
            return f"{lake.sql_name(engine, form)} VERSION AS OF {version}"
        case "spark", _:
            return f"{lake.sql_name(engine, form)} VERSION AS OF {version}"
        case "trino", _:
            return f"{lake.sql_name(engine, form)} FOR VERSION AS OF {version}"
        case "duckdb", "delta":
            return f"delta_scan('{lake.location()}', version = {version})"
        case "duckdb", _:
            return f"iceberg_scan('{lake.metadata_location()}', snapshot_from_id = {version})"
        case _, "delta":
            return f"{lake.clickhouse(form)} SETTINGS delta_lake_snapshot_version = {version}"
        case _:
            return f"{lake.clickhouse(form)} SETTINGS iceberg_snapshot_id = {version}"


BY_OTHERS = {
    "spark": [
        "ALTER TABLE {t} RENAME COLUMN text TO label",
        "ALTER TABLE {t} RENAME COLUMN s.x TO y",
        "ALTER TABLE {t} DROP COLUMN gone",
        "ALTER TABLE {t} ADD COLUMN gone STRING",
        "ALTER TABLE {t} ALTER COLUMN n TYPE BIGINT",
    ],
    "trino": [
        "ALTER TABLE {t} RENAME COLUMN text TO label",
        "ALTER TABLE {t} RENAME COLUMN s.x TO y",
        "ALTER TABLE {t} DROP COLUMN gone",
        "ALTER TABLE {t} ADD COLUMN gone VARCHAR",
        "ALTER TABLE {t} ALTER COLUMN n SET DATA TYPE BIGINT",
    ],
}
BEFORE = pa.table(
    {
        "id": [1], "text": ["old"], "gone": pa.array([7], I32), "n": pa.array([1], I32),
        "s": pa.array([{"x": 5}], pa.struct([("x", I64)])),
    }
)  # fmt: skip
LATER = pa.table(
    {
        "id": [2],
        "label": ["new"],
        "gone": ["text now"],
        "n": [2**40],
        "s": pa.array([{"y": 6}], pa.struct([("y", I64)])),
    }
)
TOGETHER = pa.table(
    {
        "id": [1, 2], "label": ["old", "new"], "gone": [None, "text now"], "n": [1, 2**40],
        "s": pa.array([{"y": 5}, {"y": 6}], pa.struct([("y", I64)])),
    }
)  # fmt: skip


@pytest.mark.parametrize("by", BY_OTHERS)
def test_iceberg_columns_another_engine_renamed_and_dropped_are_loaded_into(
    iceberg_lake: EngineLake, matrix: Matrix, by: str
) -> None:
    lake = iceberg_lake
    lake.load(BEFORE, load_columns=False)
    for statement in BY_OTHERS[by]:
        query(by, lake, statement.format(t=lake.sql_name(by, "iceberg")))
    lake.load(LATER)
    feature = f"columns renamed, dropped, added again and widened by {by}"
    matrix.loads("Schema evolution", feature, "iceberg")
    lake.holds(TOGETHER, types=False)
    for engine in readers_of("iceberg"):
        with matrix.reads("Schema evolution", feature, engine, "iceberg"):
            lake.assert_read_by(engine, "iceberg", TOGETHER)


def test_delta_table_whose_columns_spark_renamed_is_refused_by_the_name_of_the_feature(
    delta_lake: EngineLake, matrix: Matrix
) -> None:
    lake = delta_lake
    lake.load(BEFORE, load_columns=False)
    name = lake.sql_name("spark", "delta")
    for statement in (
        "ALTER TABLE {t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
        "ALTER TABLE {t} RENAME COLUMN text TO label",
        "ALTER TABLE {t} DROP COLUMN gone",
    ):
        query("spark", lake, statement.format(t=name))
    version = lake.delta().version()
    with pytest.raises(ll.TableError, match="columnMapping"):
        lake.load(pa.table({"id": [2], "label": ["new"]}))
    assert lake.delta().version() == version
    matrix.refused(
        "Schema evolution",
        "columns renamed and dropped by spark",
        "delta",
        "Delta needs column mapping for that, which lakeload does not write.",
    )
