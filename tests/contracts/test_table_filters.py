"""Filters find every row they should, whatever files readers skip by our statistics; and they do skip.

One table with a column of every type, sorted into files; every reader's answer is compared with its own answer on
the same rows in memory, so that engines may disagree about NaN but not with themselves.
"""

from __future__ import annotations

import datetime as dt
import math
import operator
import re
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from lakes import Place
from readers import connect, static_table

NONE, LAST = None, "\U0010ffff"
AT = [
    dt.datetime(1, 1, 1, 0, 0, 0, 1), dt.datetime(1969, 12, 31, 23, 59, 59, 999999), dt.datetime(1970, 1, 1),
    dt.datetime(2024, 1, 1, 0, 0, 0, 1), dt.datetime(2024, 1, 1, 0, 0, 0, 999), dt.datetime(2024, 1, 1, 0, 0, 0, 1001),
    dt.datetime(2024, 1, 2), dt.datetime(2030, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999), NONE, NONE, NONE,
]  # fmt: skip
FLOATS = [
    -math.inf,
    -1.5,
    -0.0,
    0.0,
    0.5,
    1e10,
    math.nan,
    3.0,
    2.0,
    NONE,
    math.nan,
    math.nan,
    math.inf,
    7.0,
    8.0,
]
SIZE = 3
"""Rows of a file."""
COLUMNS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "flag": (pa.bool_(), [False] * 4 + [True] * 5 + [NONE] * 3),
    "i32": (pa.int32(), [-(2**31), -5, 0, 1, 2, 3, 4, 5, 2**31 - 1, NONE, NONE, NONE]),
    "i64": (pa.int64(), [-(2**63), -5, 0, 1, 2, 3, 4, 5, 2**63 - 1, NONE, NONE, NONE]),
    "f32": (pa.float32(), FLOATS),
    "f64": (pa.float64(), FLOATS),
    "d9": (pa.decimal128(9, 2), [Decimal(t) for t in ("-9999999.99", "-0.01", "0", "0.01", "1", "2.5", "3", "4", "9999999.99")]),
    "d38": (
        pa.decimal128(38, 10),
        [Decimal(t) for t in ("-" + "9" * 28 + ".9999999999", "-1e-10", "0", "1e-10", "1", "2.5", "3", "4", "9" * 28 + ".9999999999")],
    ),
    "text": (
        pa.string(),
        ["", "a", "p" * 15 + "é", "p" * 16, "p" * 16 + "a", "p" * 31 + "🦆", "p" * 32 + "z", "p" * 32 + LAST, LAST * 40],
    ),
    "raw": (
        pa.binary(),
        [b"", b"a", b"p" * 15, b"p" * 16, b"p" * 16 + b"\x00", b"p" * 17, b"\xff" * 15, b"\xff" * 16, b"\xff" * 20],
    ),
    "day": (
        pa.date32(),
        [at and at.date() for at in AT],
    ),
    "at": (pa.timestamp("us"), AT),
    "atz": (pa.timestamp("us", "UTC"), [at and at.replace(tzinfo=dt.UTC) for at in AT]),
}  # fmt: skip
BESIDE: dict[str, list[Any]] = {
    "i64": [-4],
    "f64": [-1.0, 1e300],
    "d38": [Decimal("2e-10")],
    "text": ["p" * 14 + "q", "p" * 15 + "q", "p" * 32, "p" * 32 + "zz", "p" * 31 + LAST],
    "raw": [b"p" * 14 + b"q", b"\xff" * 17],
    "at": [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, 0, 0, 0, 1000), dt.datetime(2024, 1, 1, 0, 0, 0, 2000)],
}  # fmt: skip
"""Values no row has, just below and above what is left of bounds that were cut."""


def _table() -> pa.Table:
    rows = max(len(values) for _, values in COLUMNS.values())
    columns = {name: pa.array(v + [NONE] * (rows - len(v)), kind) for name, (kind, v) in COLUMNS.items()}
    inner = pa.StructArray.from_arrays([columns["f64"], columns["text"]], ["f", "t"])
    return pa.table({"id": pa.array(range(rows)), **columns, "s": inner})


ROWS = _table()
COMPARE: dict[str, Callable[[Any, Any], Any]] = {"=": operator.eq, "<": operator.lt, ">=": operator.ge}


def probes(column: str) -> Iterator[tuple[str, Any]]:
    """What to ask: every value of the column and those beside it, in every comparison, and nulls."""
    values = [value for value in [*COLUMNS[column][1], *BESIDE.get(column, [])] if value is not None]
    for value in {repr(value): value for value in values}.values():
        for comparison in COMPARE:
            yield comparison, value
    yield "IS NULL", None
    yield "IS NOT NULL", None


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The rows above in both formats, three to a file, the files encoded by turns."""
    found = Place(("delta", "iceberg"), str(tmp_path_factory.mktemp("filters") / "lake"))
    for first in range(0, ROWS.num_rows, SIZE):
        encoding: Any = ("compat", "modern")[first % 2]
        found.load(ROWS.slice(first, SIZE), load_columns=False, fold=False, encoding=encoding)
    return found


@pytest.fixture(scope="module")
def duck(place: Place) -> Any:
    connection = connect()
    connection.register("arrow", ROWS)
    connection.execute("CREATE TEMP TABLE memory AS SELECT * FROM arrow")
    connection.execute(f"CREATE TEMP VIEW delta AS FROM delta_scan('{place.location()}')")
    connection.execute(f"CREATE TEMP VIEW iceberg AS FROM iceberg_scan('{place.metadata_location()}')")
    connection.execute(f"CREATE TEMP VIEW parquet AS FROM read_parquet('{place.location()}/data/*.parquet')")
    return connection


@pytest.mark.parametrize("source", ["delta", "iceberg", "parquet"])
@pytest.mark.parametrize("column", [*COLUMNS, "s.f", "s.t"])
def test_duckdb_finds_the_rows_a_filter_finds_in_memory(duck: Any, column: str, source: str) -> None:
    plain = {"s.f": "f64", "s.t": "text"}.get(column, column)
    name = ".".join(f'"{part}"' for part in column.split("."))
    for comparison, value in probes(plain):
        given = [] if value is None else [value]
        where = f"{name} {comparison} {'$1' if given else ''}"

        def found(place: str, where: str = where, given: list[Any] = given) -> list[int]:
            answer = duck.execute(f"SELECT id FROM {place} WHERE {where}", given).fetchall()
            return sorted(row[0] for row in answer)

        assert found(source) == found("memory"), f"{where} with {value!r}"


@pytest.mark.parametrize("source", ["delta", "iceberg", "parquet"])
@pytest.mark.parametrize("column", COLUMNS)
def test_polars_finds_the_rows_a_filter_finds_in_memory(place: Place, column: str, source: str) -> None:
    memory = pl.DataFrame(pl.from_arrow(ROWS))
    if source == "delta":
        lazy = pl.scan_delta(place.location())
    elif source == "parquet":
        lazy = pl.scan_parquet(f"{place.location()}/data/*.parquet")
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pl.exceptions.PerformanceWarning)  # it advises a plugin
            lazy = pl.scan_iceberg(static_table(place.metadata_location()))
    for comparison, value in probes(column):
        whole = pl.col(column)
        if value is None:
            where = whole.is_null() if comparison == "IS NULL" else whole.is_not_null()
        else:
            where = COMPARE[comparison](whole, pl.lit(value, memory.schema[column]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pl.exceptions.PerformanceWarning)
            found = lazy.filter(where).select("id").collect()["id"]
        assert sorted(found) == sorted(memory.filter(where)["id"]), f"{column} {comparison} {value!r}"


@pytest.mark.parametrize("column", COLUMNS)
def test_pyiceberg_finds_the_rows_a_filter_finds_in_memory(place: Place, column: str) -> None:
    from pyiceberg.expressions import EqualTo, GreaterThanOrEqual, IsNull, LessThan, NotNull

    table, kind = static_table(place.metadata_location()), COLUMNS[column][0]
    scans = {"=": EqualTo, "<": LessThan, ">=": GreaterThanOrEqual}
    computed = {"=": pc.equal, "<": pc.less, ">=": pc.greater_equal}
    for comparison, value in probes(column):
        if isinstance(value, float) and not math.isfinite(value):
            continue  # pyiceberg 0.12 takes no NaN in comparisons, and infinity for beyond any float
        if value is None:
            where: Any = IsNull(column) if comparison == "IS NULL" else NotNull(column)
            mask = pc.is_null(ROWS[column]) if comparison == "IS NULL" else pc.is_valid(ROWS[column])
        else:
            exact = pa.scalar(value, kind)
            where = scans[comparison](column, _literal(exact.as_py()))
            mask = computed[comparison](ROWS[column], exact)
        found = table.scan(where, selected_fields=("id",)).to_arrow()["id"].to_pylist()
        assert sorted(found) == ROWS.filter(mask)["id"].to_pylist(), f"{column} {comparison} {value!r}"


def _literal(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value


SELECTIVE: dict[str, tuple[Any, int]] = {
    "i32": (2, 1), "i64": (2, 1), "d9": (Decimal("1.00"), 1), "d38": (Decimal("1.0000000000"), 1),
    "text": ("a", 1), "raw": (b"a", 1), "day": (dt.date(1969, 12, 31), 1), "at": (AT[1], 1),
    "atz": (AT[1] and AT[1].replace(tzinfo=dt.UTC), 1), "f64": (0.5, 2), "f32": (0.5, 2),
}  # fmt: skip
"""A value, and of how many of the five files the bounds allow it: files of NaN have none."""


@pytest.mark.parametrize("column", SELECTIVE)
def test_pyiceberg_plans_only_files_that_may_hold_the_value(place: Place, column: str) -> None:
    from pyiceberg.expressions import EqualTo

    value, files = SELECTIVE[column]
    table = static_table(place.metadata_location())
    assert len(list(table.scan(EqualTo(column, _literal(value))).plan_files())) == files


# DuckDB 1.5 gives the Delta kernel no conditions on timestamps, and Delta has no bounds of binaries.
@pytest.mark.parametrize("column", ["i32", "i64", "d9", "d38", "text", "day", "f64"])
def test_duckdb_opens_only_files_of_a_delta_table_that_may_hold_the_value(
    duck: Any, place: Place, column: str
) -> None:
    value, files = SELECTIVE[column]
    query = f"SELECT id FROM delta_scan('{place.location()}') WHERE \"{column}\" = $1"
    plan = duck.execute(f"EXPLAIN ANALYZE {query}", [value]).fetchall()[0][1]
    read = re.search(r"Scanning Files: (\d+)/(\d+)", plan)
    assert read, plan
    assert (int(read[1]), int(read[2])) == (files, ROWS.num_rows // SIZE)
