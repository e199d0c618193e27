"""Engines read less because of what we wrote down about files: shown by their own counts, and rows stay right."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
from decimal import Decimal
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from engines.enginelake import EngineLake, deviation, readers_of
from engines.matrix import Matrix
from engines.probes import NO_BINARY, SQL, counted_by, counts, probes, query, table_in
from readers import connect

FORMS = ("delta", "iceberg")
FILES, ROWS_OF_FILE = 8, 5000
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def rows(number: int) -> pa.Table:
    """Rows of one file: ids of their own, one day, texts that agree in their first 40 characters within a file."""
    ids = range(number * ROWS_OF_FILE, (number + 1) * ROWS_OF_FILE)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "moment": pa.array([START + dt.timedelta(days=number, milliseconds=i % ROWS_OF_FILE, microseconds=7) for i in ids]),
            "money": pa.array([Decimal(i) / 100 for i in ids], pa.decimal128(18, 2)),
            "text": [f"{chr(97 + number)}{'p' * 39}{i:08d}" for i in ids],
            "v": pa.array([float(i % 17) for i in ids]),
        }
    )  # fmt: skip


ALL = pa.concat_tables([rows(number) for number in range(FILES)])
WHERE = {
    "a number": "id BETWEEN 10000 AND 10010",
    "a decimal": "money BETWEEN 100.00 AND 100.10",
    "a timestamp": "moment >= {day} AND moment < {next}",
    "a text": "text >= 'c' AND text < 'cppppppppppppppppppppppppppppppppppppppp00010011'",
}
"""Conditions that only rows of the third file can meet."""


def condition(engine: str, name: str) -> str:
    day, following = START + dt.timedelta(days=2), START + dt.timedelta(days=2, milliseconds=11)
    text = {"trino": "TIMESTAMP '{} UTC'", "spark": "TIMESTAMP '{}Z'", "duckdb": "TIMESTAMPTZ '{}+00'"}[
        engine
    ]
    stamp = [text.format(at.isoformat(" ", "milliseconds")[:23]) for at in (day, following)]
    return WHERE[name].format(day=stamp[0], next=stamp[1])


@pytest.fixture(scope="module")
def files(engines: Any) -> EngineLake:
    """Eight files, each with a range of its own in every column, told by statistics alone."""
    lake = EngineLake.new(engines, FORMS)
    for number in range(FILES):
        lake.load(rows(number), sort_by="id", load_columns=False, fold=False)
    assert len(lake.table().files()) == FILES
    return lake


@pytest.fixture(scope="module")
def partitioned(engines: Any) -> EngineLake:
    """The same rows, a partition per day."""
    lake = EngineLake.new(engines, FORMS)
    lake.load(ALL, partition_by="day(moment)", load_columns=False)
    assert len(lake.table().files()) == FILES
    return lake


def _spark_scan(lake: EngineLake, statement: str) -> dict[str, int]:
    """What the scan of a statement counted."""
    frame = lake.engines.spark.session.sql(statement)
    frame.collect()
    plan = frame._jdf.queryExecution().executedPlan()
    if plan.getClass().getSimpleName() == "AdaptiveSparkPlanExec":
        plan = plan.executedPlan()
    leaves = plan.collectLeaves()
    metrics = leaves.apply(0).metrics()
    found, keys = {}, metrics.keysIterator()
    while keys.hasNext():
        key = keys.next()
        found[key] = metrics.apply(key).value()
    return found


def rows_read(engine: str, lake: EngineLake, form: str, where: str, column: str = "v") -> int:
    """How many rows the engine took out of files, before its own filter."""
    name = lake.sql_name(engine, form) if engine != "duckdb" else ""
    match engine:
        case "trino":
            return int(
                lake.engines.trino.query(f"SELECT sum(id + {column}) FROM {name} WHERE {where}").stats[
                    "processedRows"
                ]
            )
        case "spark":
            return int(_spark_scan(lake, f"SELECT id, {column} FROM {name} WHERE {where}")["numOutputRows"])
    raise ValueError(engine)


def files_read(engine: str, lake: EngineLake, form: str, where: str) -> int:
    """How many files the engine opened."""
    if engine == "spark":
        scan = _spark_scan(lake, f"SELECT id, v FROM {lake.sql_name(engine, form)} WHERE {where}")
        return int(scan["numFiles" if form == "delta" else "resultDataFiles"])
    if engine == "duckdb":
        with connect(lake.storage) as connection:
            plan = connection.execute(
                f"EXPLAIN ANALYZE SELECT sum(id + v) FROM {table_in(engine, lake, form)} WHERE {where}"
            ).fetchall()
        found = re.search(r"(?:Scanning Files|Total Files Read):\s*(\d+)", str(plan))
        assert found, plan
        return int(found[1])
    return -(-rows_read(engine, lake, form, where) // ROWS_OF_FILE)  # Trino counts rows


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("engine", ["spark", "trino", "duckdb"])
def test_filter_skips_files_by_their_bounds(
    files: EngineLake, matrix: Matrix, engine: str, form: str
) -> None:
    for name in WHERE:
        feature = f"files skipped by bounds of {name}"
        if (engine, form, name) == ("duckdb", "delta", "a timestamp"):
            assert files_read(engine, files, form, condition(engine, name)) == FILES
            matrix.cannot("Pruning", feature, engine, form, NO_TIMES)
            continue
        with matrix.reads("Pruning", feature, engine, form):
            assert files_read(engine, files, form, condition(engine, name)) == 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("engine", ["spark", "trino", "duckdb"])
def test_filter_skips_partitions(partitioned: EngineLake, matrix: Matrix, engine: str, form: str) -> None:
    feature = "partitions skipped, `day(moment)` by the moment"
    read = files_read(engine, partitioned, form, condition(engine, "a timestamp"))
    if (engine, form) == ("duckdb", "delta"):
        assert read == FILES
        matrix.cannot("Pruning", feature, engine, form, NO_TIMES)
    else:
        with matrix.reads("Pruning", feature, engine, form):
            assert read == 1
    if form == "delta":
        with matrix.reads("Pruning", "partitions skipped, `day(moment)` by its own column", engine, form):
            assert files_read(engine, partitioned, form, "moment_day = DATE '2024-01-03'") == 1


NO_TIMES = "DuckDB skips no files of Delta by timestamps with zone."


@pytest.fixture(scope="module")
def buckets(engines: Any) -> EngineLake:
    """Ids scattered over buckets, so that every file has the same bounds."""
    lake = EngineLake.new(engines, ("iceberg",))
    lake.load(ALL, partition_by=f"bucket({FILES}, id)", load_columns=False)
    assert len(lake.table().files()) == FILES
    return lake


@pytest.mark.parametrize("engine", ["spark", "trino", "duckdb", "pyiceberg"])
def test_filter_on_one_value_skips_buckets_of_iceberg(
    buckets: EngineLake, matrix: Matrix, engine: str
) -> None:
    where = "id = 12345"
    with matrix.reads("Pruning", "buckets skipped by a value", engine, "iceberg"):
        if engine == "pyiceberg":
            assert len(list(buckets.iceberg().scan(row_filter=where).plan_files())) == 1
        else:
            assert 1 <= files_read(engine, buckets, "iceberg", where) <= 2


COUNT = 1_000_000 if os.environ.get("LAKELOAD_TEST_PROFILE") == "nightly" else 100_000


@cache
def _long() -> pa.Table:
    """Many rows in an order of their own, from arithmetic alone."""
    ids = pa.array(range(COUNT), pa.int64())
    mixed = pc.bit_wise_and(pc.multiply(ids, 2_654_435_761), 0xFFFFFF)
    return pa.table(
        {
            "id": ids,
            "n": pc.if_else(pc.equal(pc.bit_wise_and(mixed, 15), 0), None, mixed).cast(pa.int32()),
            "f": pc.divide(mixed.cast(pa.float64()), 8.0),
            "money": mixed.cast(pa.decimal128(19, 0)).cast(pa.decimal128(21, 2)),
            "day": pc.bit_wise_and(mixed, 0x3FFF).cast(pa.int32()).cast(pa.date32()),
            "seen": pc.add(pc.multiply(mixed, 1_000_003), 1_700_000_000_000_000).cast(
                pa.timestamp("us", "UTC")
            ),
            "text": pc.binary_join_element_wise("é", mixed.cast(pa.string()), "-"),
        }
    )


@pytest.fixture(scope="module")
def long(engines: Any) -> EngineLake:
    """One sorted file of several row groups."""
    lake = EngineLake.new(engines, FORMS)
    # A file is cut into row groups by the size it is to have.
    lake.load(_long(), sort_by="id", load_columns=False, target_file_size=COUNT * 28)
    (path,) = lake.data_files()
    with lake.filesystem.open(path) as file:
        assert pq.read_metadata(file).num_row_groups > 1
    return lake


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("engine", ["spark", "trino"])
def test_filter_skips_parts_of_a_file(long: EngineLake, matrix: Matrix, engine: str, form: str) -> None:
    with matrix.reads("Pruning", "row groups of one file skipped", engine, form):
        assert rows_read(engine, long, form, f"id BETWEEN {COUNT - 100} AND {COUNT - 90}", "f") <= COUNT // 2


FACTS = "count(*), count({n}), sum({n}), min({seen}), max({seen}), sum({f}), sum({money}), min({text}), max({text}), min({day})"
HASH = {
    "spark": "sum(CAST(conv(substr(md5({row}), 1, 8), 16, 10) AS BIGINT))",
    "trino": "sum(from_base(substr(lower(to_hex(md5(to_utf8({row})))), 1, 8), 16))",
    "duckdb": "sum(CAST('0x' || substr(md5({row}), 1, 8) AS BIGINT))",
    "chdb": "sum(reinterpretAsUInt32(reverse(substring(MD5(assumeNotNull({row})), 1, 4))))",
}
ROW = "concat(CAST(id AS {t}), '|', coalesce(CAST(n AS {t}), 'null'), '|', CAST(day AS {t}), '|', text)"


@pytest.fixture(scope="module")
def source() -> tuple[Any, ...]:
    """Facts of the rows, computed from the rows themselves; the last is a checksum without order."""
    rows = _long()
    parts = zip(*(rows[name].to_pylist() for name in ("id", "n", "day", "text")), strict=True)
    texts = (f"{i}|{'null' if n is None else n}|{day}|{text}" for i, n, day, text in parts)
    checksum = sum(
        int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:4]) for text in texts
    )
    at, text, day = (pc.min_max(rows[name]).as_py() for name in ("seen", "text", "day"))
    return (
        COUNT, COUNT - rows["n"].null_count, pc.sum(rows["n"]).as_py(), at["min"], at["max"], pc.sum(rows["f"]).as_py(),
        pc.sum(rows["money"]).as_py(), text["min"], text["max"], day["min"], checksum,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("engine", "form"), [(engine, form) for form in FORMS for engine in readers_of(form)]
)
def test_sums_and_checksums_of_many_rows_are_those_of_the_source(
    long: EngineLake, matrix: Matrix, source: tuple[Any, ...], engine: str, form: str
) -> None:
    with matrix.reads("Checksums", "many rows: counts, sums, bounds, checksum", engine, form):
        if engine not in SQL:
            assert long.read_by(engine, form).sort_by("id").cast(_long().schema).equals(_long())
            return
        row = ROW.format(
            t="Nullable(String)" if engine == "chdb" else "VARCHAR" if engine != "spark" else "STRING"
        )
        facts = FACTS.format(**{name: name for name in ("n", "seen", "f", "money", "text", "day")})
        name = table_in(engine, long, form)
        (found,) = query(engine, long, f"SELECT {facts}, {HASH[engine].format(row=row)} FROM {name}")
        assert [_plain(value) for value in found] == [_plain(value) for value in source]


def _plain(value: Any) -> Any:
    match value:
        case dt.datetime():
            # Trino's Delta connector has no microseconds: see the notes.
            utc = value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)
            return round((utc - dt.datetime(1970, 1, 1)) / dt.timedelta(milliseconds=1))
        case int() | float() | Decimal():
            return Decimal(value)
        case bytes():
            return value.decode()
        case _:
            return value


NONE, LAST = None, "\U0010ffff"
_STEPS = [1, 999, 1000, 1001, 1999]
EDGES = pa.table(
    {
        "id": range(9),
        "text": ["", "a", "p" * 16, "p" * 31 + "🦆", "p" * 32, "p" * 32 + "z", "p" * 32 + LAST, LAST * 40, NONE],
        "raw": pa.array([b"", b"a", b"p" * 16, b"p" * 17, b"p" * 32, b"\xff" * 15, b"\xff" * 16, b"\xff" * 40, NONE]),
        "local": pa.array([dt.datetime(1, 1, 1), dt.datetime(1969, 12, 31, 23, 59, 59, 999999), *(dt.datetime(2024, 1, 1, 0, 0, 0, n) for n in _STEPS), dt.datetime(9999, 12, 31), NONE]),
        "at": pa.array([dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(1969, 12, 31, 23, 59, 59, 999999, dt.UTC), *(dt.datetime(2024, 1, 1, 0, 0, 0, n, dt.UTC) for n in _STEPS), dt.datetime(9999, 12, 31, tzinfo=dt.UTC), NONE]),
        "big": pa.array([-(2**63), -(2**53) - 1, -1, 0, 1, 2**53 + 1, 2**63 - 2, 2**63 - 1, NONE], pa.int64()),
        "money": pa.array([Decimal("-" + "9" * 28 + ".9999999999"), Decimal("-1E-10"), Decimal(0), Decimal("1E-10"), Decimal(1), Decimal("1.5"), Decimal("9" * 27), Decimal("9" * 28 + ".9999999999"), NONE], pa.decimal128(38, 10)),
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def edges(engines: Any) -> EngineLake:
    """Three rows to a file, so that the bounds of each file are among the values asked for."""
    lake = EngineLake.new(engines, FORMS)
    for first in range(0, EDGES.num_rows, 3):
        lake.load(EDGES.slice(first, 3), load_columns=False, fold=False)
    return lake


@pytest.mark.parametrize(("engine", "form"), [(engine, form) for form in FORMS for engine in SQL])
@pytest.mark.parametrize("column", [name for name in EDGES.column_names if name != "id"])
def test_filter_at_the_bounds_of_files_finds_every_row(
    edges: EngineLake, matrix: Matrix, column: str, engine: str, form: str
) -> None:
    rows, note = EDGES, ""
    feature = f"at bounds of {str(EDGES.schema.field(column).type).replace('decimal128', 'decimal')}"
    if (column, engine, form) == ("raw", "chdb", "delta"):
        with pytest.raises(Exception, match="BinaryView <= Utf8View"):
            counted_by(engine, edges, form, rows, probes(rows, [column]))
        matrix.cannot("Filters", feature, engine, form, NO_BINARY)
        return
    if (column, engine, form) == ("at", "trino", "delta"):
        adjust, note = deviation(engine, form, EDGES.select(["at"]))
        rows = adjust(EDGES.select(["at"]))
    asked = probes(rows, [column], ("=", ">="))
    with matrix.reads("Filters", feature, engine, form, note):
        assert counted_by(engine, edges, form, rows, asked) == counts(rows, asked)
