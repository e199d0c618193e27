"""TPC-H, loaded once into both formats on S3: every query in every engine, against published answers.

The scale factor is a hundredth, in the nightly profile (`LAKELOAD_TEST_PROFILE=nightly`) one. Data, queries and answers are those of DuckDB's `tpch` extension; the data is kept in the tests' cache folder. They only
fit one another: its addresses and comments are not those of the official generator. For the other engines sqlglot
rewrites the queries when the tests run.
"""

from __future__ import annotations

import datetime as dt
import importlib
import math
import os
import shutil
import tempfile
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
from engines.enginelake import EngineLake
from engines.matrix import Matrix
from readers import connect
from services import jars
from sqlglot import exp

GROUP = "TPC-H"
SCALE = 1.0 if os.environ.get("LAKELOAD_TEST_PROFILE") == "nightly" else 0.01
LINES = {1.0: 6_001_215, 0.01: 60_175}
ROWS = {
    "region": 5, "nation": 25, "supplier": round(10_000 * SCALE), "part": round(200_000 * SCALE),
    "customer": round(150_000 * SCALE), "partsupp": round(800_000 * SCALE), "orders": round(1_500_000 * SCALE),
    "lineitem": LINES[SCALE],
}  # fmt: skip
"""Rows by table, as the specification's clause 4.2.5 has them."""

LAYOUT = {
    "lineitem": {"partition_by": "year(l_shipdate)", "sort_by": "l_shipdate"},
    "orders": {"partition_by": "year(o_orderdate)", "sort_by": "o_orderdate"},
    "customer": {"partition_by": "c_mktsegment", "sort_by": "c_custkey"},
    "partsupp": {"partition_by": "bucket(4, ps_partkey)", "sort_by": ["ps_partkey", "ps_suppkey"]},
    "part": {"sort_by": ["p_brand", "p_partkey"]},
}
QUERIES = range(1, 23)
CASES = [(engine, form) for engine in ("trino", "duckdb", "spark") for form in ("delta", "iceberg")]


@pytest.fixture(scope="module")
def lake(engines) -> EngineLake:
    lake = EngineLake.new(engines, ("delta", "iceberg"))
    for table, rows in ROWS.items():
        report = lake.load(
            str(generated() / f"{table}.parquet"), table=table, load_columns=False, **LAYOUT.get(table, {})
        )
        assert report.tables[table].rows == rows
    return lake


@pytest.mark.parametrize(("engine", "form"), CASES)
def test_all_22_queries_give_the_published_answers(lake, matrix: Matrix, engine: str, form: str) -> None:
    with matrix.reads(GROUP, "22 queries give the published answers", engine, form):
        for number in QUERIES:
            found = answers_of(engine)(lake, form, number)
            assert_answer(found, published()[number][1], f"query {number} by {engine} on {form}")


def test_a_wrong_number_a_missing_row_or_another_order_is_no_answer() -> None:
    text = "n|v\na|1.25\nb|2.5\n"
    assert_answer([("a", Decimal("1.25")), ("b", 2.5)], text, "as it should be")
    for wrong in (
        [("a", Decimal("1.26")), ("b", 2.5)],
        [("a", Decimal("1.25"))],
        [("b", 2.5), ("a", Decimal("1.25"))],
        [("a", Decimal("1.25")), ("b", 2.500001)],
        [("a", None), ("b", 2.5)],
    ):
        with pytest.raises(AssertionError):
            assert_answer(wrong, text, "wrong")


def answers_of(engine: str) -> Any:
    """The engine as a function of lake, format and query number that gives rows."""
    return {"trino": _by_trino, "duckdb": _by_duckdb, "spark": _by_spark}[engine]


def _by_trino(lake: EngineLake, form: str, number: int) -> list[tuple[Any, ...]]:
    return lake.engines.trino.query(_rewritten(lake, "trino", form, number)).rows


def _by_spark(lake: EngineLake, form: str, number: int) -> list[tuple[Any, ...]]:
    found = lake.engines.spark.query(_rewritten(lake, "spark", form, number))
    # Columns by position: a query may give two of them one name.
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


def _by_duckdb(lake: EngineLake, form: str, number: int) -> list[tuple[Any, ...]]:
    schema = f"{lake.namespace}_{form}"
    with connect(lake.storage) as connection:
        found = connection.execute("SELECT 1 FROM duckdb_schemas() WHERE schema_name = ?", [schema])
        if not found.fetchone():
            connection.execute(f"CREATE SCHEMA {schema}")
            for table in ROWS:
                scan = (
                    f"delta_scan('{lake.location(table)}')"
                    if form == "delta"
                    else f"iceberg_scan('{lake.metadata_location(table)}')"
                )
                connection.execute(f"CREATE VIEW {schema}.{table} AS SELECT * FROM {scan}")
        connection.execute(f"SET search_path = '{schema}'")
        return connection.execute(published()[number][0]).fetchall()


def _rewritten(lake: EngineLake, engine: str, form: str, number: int) -> str:
    """The query in the engine's dialect, with the tables' full names."""
    query = sqlglot.parse_one(published()[number][0], read="duckdb")
    for table in query.find_all(exp.Table):
        if table.name in ROWS:
            named = sqlglot.parse_one(
                f"SELECT * FROM {lake.sql_name(engine, form, table.name)}", read=engine
            ).find(exp.Table)
            # An alias also where the query gives none: columns may be qualified by the plain name.
            named.set("alias", exp.TableAlias(this=exp.to_identifier(table.alias_or_name)))
            table.replace(named)
    for select in query.find_all(exp.Select):
        # DuckDB groups by names the query gives, Trino by those it finds.
        given = {column.alias: column.this for column in select.selects if isinstance(column, exp.Alias)}
        for column in select.args["group"].expressions if select.args.get("group") else []:
            if column.name in given:
                column.replace(given[column.name].copy())
    return query.sql(dialect=engine)


@cache
def published() -> dict[int, tuple[str, str]]:
    """Query and answer by number."""
    with _generator() as connection:
        queries = dict(connection.execute("SELECT query_nr, query FROM tpch_queries()").fetchall())
        answers = dict(
            connection.execute(
                "SELECT query_nr, answer FROM tpch_answers() WHERE scale_factor = ?", [SCALE]
            ).fetchall()
        )
    assert sorted(queries) == sorted(answers) == list(QUERIES)
    return {number: (queries[number].rstrip().rstrip(";"), answers[number]) for number in QUERIES}


@cache
def generated() -> Path:
    """Folder of the eight tables as Parquet files, made at the first use."""
    folder = jars.cache() / f"tpch-{SCALE:g}-duckdb-{duckdb.__version__}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".tpch-"))
        try:
            with _generator() as connection:
                connection.execute(f"CALL dbgen(sf = {SCALE})")
                for table in ROWS:
                    connection.execute(f"COPY {table} TO '{aside / table}.parquet' (FORMAT parquet)")
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return folder


def _generator() -> duckdb.DuckDBPyConnection:
    package = importlib.import_module("duckdb_extension_tpch")
    (extension,) = Path(str(package.__file__)).parent.glob(
        f"extensions/v{duckdb.__version__}/*.duckdb_extension"
    )
    connection = duckdb.connect()
    connection.execute(f"LOAD '{extension}'")
    return connection


def assert_answer(found: list[tuple[Any, ...]], answer: str, what: str) -> None:
    """Fail unless rows and answer agree in number, order and every value.

    Stricter than the specification (clause 2.1.3.5 allows a cent in a hundred): decimals are to be the published
    number rounded to their own scale, floats equal in nine digits, everything else equal.
    """
    _, *lines = answer.splitlines()
    expected = [line.split("|") for line in lines]
    assert len(found) == len(expected), f"{what}: {len(found)} rows, published are {len(expected)}"
    for number, (row, texts) in enumerate(zip(found, expected, strict=True)):
        same = len(row) == len(texts) and all(
            _same(value, text) for value, text in zip(row, texts, strict=True)
        )
        assert same, f"{what}, row {number}: {row}, published is {texts}"


def _same(value: Any, text: str) -> bool:
    match value:
        case None:  # the sum of no rows
            return text == ""
        case int():
            return value == Decimal(text)
        case Decimal():
            unit = Decimal(1).scaleb(int(value.as_tuple().exponent))
            return abs(value - Decimal(text)) <= unit / 2
        case float():
            return math.isclose(value, float(text), rel_tol=1e-9)
        case dt.date():
            return value.isoformat() == text
        case _:
            return value == text
