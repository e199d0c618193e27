"""Partition transforms and sort orders: every engine finds every row, also by filters it answers from our logs."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from engines.enginelake import EngineLake, readers_of
from engines.matrix import Matrix
from engines.probes import NO_BINARY, SQL, counted_by, counts, probes

import lakeload as ll

BOTH = [(engine, form) for form in ("delta", "iceberg") for engine in readers_of(form)]
NONE = None
AT = [
    dt.datetime(2023, 12, 31, 23, 59, 59, 999000), dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, 13, 30),
    dt.datetime(1969, 12, 31, 23, 59, 59, 999000), dt.datetime(1969, 1, 1), dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 30), NONE,
]  # fmt: skip
TEXT = ["a b", "abc", "abcdef", "ü/=%: 🦆", "NULL", "it's", "a+b&c?d#e", NONE]
AMOUNTS = ["0.00", "1.05", "-1.05", "99.99", NONE, "1.04", "-9999999.99", "9999999.99"]
_ZONED = pa.array([at and at.replace(tzinfo=dt.UTC) for at in AT], pa.timestamp("us", "UTC"))
_LOCAL = pa.array(AT, pa.timestamp("us"))
_DAYS = pa.array([at and at.date() for at in AT], pa.date32())
ROWS = pa.table(
    {
        "id": pa.array([0, 1, -1, 2**40, -(2**40), -(2**63), 2**63 - 1, NONE], pa.int64()),
        "n": pa.array([0, 1, -1, 100, -100, -(2**31), 2**31 - 1, NONE], pa.int32()),
        "id2": pa.array([0, 1, -1, 2**40, -(2**40), -10, 9, NONE], pa.int64()),
        "n2": pa.array([0, 1, -1, 2**30, -(2**30), -10, 9, NONE], pa.int32()),
        "at": _ZONED, "at2": _ZONED, "local": _LOCAL, "local2": _LOCAL, "day": _DAYS, "day2": _DAYS,
        "text": pa.array(TEXT, pa.string()),
        "amount": pa.array([NONE if a is None else Decimal(a) for a in AMOUNTS], pa.decimal128(9, 2)),
        "amount2": pa.array([NONE if a is None else Decimal(a) for a in [*AMOUNTS[:6], "-99.99", "100.00"]], pa.decimal128(9, 2)),
        "wide": pa.array([Decimal(n) for n in range(7)] + [NONE], pa.decimal128(38, 10)),
        "raw": pa.array([b"", b"\x00\xff", b"ab", b"abc", NONE, b"z", b"abd", b"q"], pa.binary()),
        "flag": pa.array([True, False, True, NONE, False, True, False, True], pa.bool_()),
    }
)  # fmt: skip

LAYOUTS = {
    "identity": ["id", "n", "text", "day", "at", "local", "amount", "flag"],
    "times": ["year(at)", "month(at2)", "day(local)", "hour(local2)", "year(day)", "month(day2)"],
    "other times": ["year(local)", "month(local2)", "day(at)", "hour(at2)", "day(day)"],
    "buckets": [
        f"bucket(4, {c})" for c in ("id", "n", "text", "at", "local", "day", "amount", "wide", "raw")
    ],
    "truncated": ["truncate(2, text)", "truncate(10, id2)", "truncate(10, n2)", "truncate(50, amount2)"],
}
"""Tables by name: each field of each table is a row of the page."""


@pytest.fixture(scope="module")
def laid(engines: Any) -> dict[str, EngineLake]:
    found = {}
    for name, fields in LAYOUTS.items():
        found[name] = EngineLake.new(engines, ("delta", "iceberg"))
        found[name].load(ROWS, partition_by=fields, load_columns=False)
        assert [str(field) for field in found[name].table().layout().partition_by] == fields
    return found


def _kind(field: str) -> str:
    source = field.rstrip(")").rpartition(", ")[2].rpartition("(")[2]
    kind = (
        str(ROWS.schema.field(source).type)
        .replace("decimal128", "decimal")
        .replace("timestamp[us, tz=UTC]", "timestamp[us, zone]")
    )
    return f"{field.partition('(')[0] if '(' in field else 'identity'} of {kind}"


@pytest.mark.parametrize(("engine", "form"), BOTH)
@pytest.mark.parametrize("name", LAYOUTS)
def test_engine_reads_table_partitioned_by(
    laid: dict[str, EngineLake], matrix: Matrix, name: str, engine: str, form: str
) -> None:
    lake = laid[name]
    note = lake.assert_read_by(engine, form, ROWS)
    for field in LAYOUTS[name]:
        with matrix.reads("Partitions", _kind(field), engine, form, note):
            pass


@pytest.mark.parametrize(("engine", "form"), [pair for pair in BOTH if pair[0] in SQL])
@pytest.mark.parametrize("name", ["identity", "times", "buckets", "truncated"])
def test_filter_on_partitioned_columns_finds_every_row(
    laid: dict[str, EngineLake], matrix: Matrix, name: str, engine: str, form: str
) -> None:
    lake = laid[name]
    sources = [field.source for field in lake.table().layout().partition_by]
    asked = [probe for source in sources for probe in probes(ROWS, [source])[1::3]]  # a third says as much
    refused = [p for p in asked if (engine, form, p.column) == ("chdb", "delta", "raw")]
    if refused:
        with pytest.raises(Exception, match="BinaryView <= Utf8View"):
            counted_by(engine, lake, form, ROWS, refused)
        matrix.cannot("Filters", "on a column of binary", engine, form, NO_BINARY)
        asked = [probe for probe in asked if probe not in refused]
    found = counted_by(engine, lake, form, ROWS, asked)
    wrong = [
        (p, got, want) for p, got, want in zip(asked, found, counts(ROWS, asked), strict=True) if got != want
    ]
    if (engine, form, name) == ("chdb", "iceberg", "times"):
        assert wrong
        assert all(probe.value.year < 1970 and got < want for probe, got, want in wrong)
        matrix.cannot("Filters", f"on columns partitioned by {name}", engine, form, BEFORE_1970)
        return
    assert not wrong
    with matrix.reads("Filters", f"on columns partitioned by {name}", engine, form):
        pass


BEFORE_1970 = (
    "ClickHouse rounds transforms of times before 1970 up, so that filters lose such rows in Iceberg."
)


NO_INFINITY = "Trino reads 0.0 for an infinity in a column partitioned by, also in tables it wrote itself."
ONE_FORMAT = {
    "identity of binary": ("raw", "iceberg"),
    "identity of empty text": ("text", "iceberg"),
    "identity of float64 with infinity": ("f", "iceberg"),
}


@pytest.fixture(scope="module")
def iceberg_only(engines: Any) -> dict[str, EngineLake]:
    lakes = {}
    for feature, (column, form) in ONE_FORMAT.items():
        lakes[feature] = EngineLake.new(engines, (form,))
        lakes[feature].load(ODD, partition_by=column, load_columns=False)
    return lakes


ODD = pa.table(
    {
        "id": range(4),
        "raw": pa.array([b"", b"\xff/=", b"a", NONE], pa.binary()),
        "text": pa.array(["", " ", "__HIVE_DEFAULT_PARTITION__", NONE], pa.string()),
        "f": pa.array([0.5, -1.5, float("inf"), NONE], pa.float64()),
    }
)


@pytest.mark.parametrize("engine", readers_of("iceberg"))
@pytest.mark.parametrize("feature", ONE_FORMAT)
def test_engine_reads_partition_value_that_only_iceberg_has(
    iceberg_only: dict[str, EngineLake], matrix: Matrix, feature: str, engine: str
) -> None:
    if (feature, engine) == ("identity of float64 with infinity", "trino"):
        with pytest.raises(AssertionError, match="'inf'"):
            iceberg_only[feature].assert_read_by(engine, "iceberg", ODD)
        matrix.cannot("Partitions", feature, engine, "iceberg", NO_INFINITY)
        return
    note = iceberg_only[feature].assert_read_by(engine, "iceberg", ODD)
    with matrix.reads("Partitions", feature, engine, "iceberg", note):
        pass


@pytest.mark.parametrize("feature", ONE_FORMAT)
def test_partition_value_that_delta_has_no_text_for_is_refused(
    engines: Any, matrix: Matrix, feature: str
) -> None:
    lake = EngineLake.new(engines, ("delta",))
    with pytest.raises(ll.LakeloadError):
        lake.load(ODD, partition_by=ONE_FORMAT[feature][0])
    assert not lake.exists()
    matrix.refused("Partitions", feature, "delta")


@pytest.mark.parametrize("form", ["delta", "iceberg"])
def test_nan_as_partition_value_is_refused(engines: Any, matrix: Matrix, form: str) -> None:
    lake = EngineLake.new(engines, (form,))
    with pytest.raises(ll.SchemaError, match="NaN"):
        lake.load(pa.table({"f": [float("nan")]}), partition_by="f")
    assert not lake.exists()
    matrix.refused("Partitions", "identity of NaN", form)


SORTED = pa.table(
    {
        "id": pa.array(range(3000), pa.int64()),
        "text": [f"{i * 7919 % 3000:06d}" for i in range(3000)],
        "at": [AT[i % 7] for i in range(3000)],
    }
)


@pytest.mark.parametrize("engine", readers_of("iceberg"))
def test_zero_with_a_sign_loses_it_where_the_value_is_taken_from_the_partition(
    zero: EngineLake, matrix: Matrix, engine: str
) -> None:
    (found,) = zero.read_by(engine, "iceberg")["f"].to_pylist()
    assert found == 0
    note = "" if math.copysign(1, found) < 0 else "Partition values know one zero: -0.0 is read as 0.0."
    with matrix.reads("Partitions", "identity of -0.0", engine, "iceberg", note):
        pass


@pytest.fixture(scope="module")
def zero(engines: Any) -> EngineLake:
    lake = EngineLake.new(engines, ("iceberg",))
    lake.load(pa.table({"f": [-0.0]}), partition_by="f", load_columns=False)
    return lake


@pytest.fixture(scope="module")
def sorted_lake(engines: Any) -> EngineLake:
    lake = EngineLake.new(engines, ("delta", "iceberg"))
    lake.load(SORTED, sort_by=["text", "at desc"], load_columns=False)
    return lake


@pytest.mark.parametrize(("engine", "form"), BOTH)
def test_engine_reads_sorted_table(sorted_lake: EngineLake, matrix: Matrix, engine: str, form: str) -> None:
    with matrix.reads("Sort order", "rows", engine, form):
        sorted_lake.assert_read_by(engine, form, SORTED)


def test_trino_and_spark_know_the_sort_order_of_iceberg(sorted_lake: EngineLake, matrix: Matrix) -> None:
    name = sorted_lake.sql_name("trino", "iceberg")
    (created,) = sorted_lake.engines.trino.query(f"SHOW CREATE TABLE {name}").rows[0]
    with matrix.reads("Sort order", "known to the engine", "trino", "iceberg"):
        assert "sorted_by = ARRAY['text ASC NULLS FIRST','at DESC NULLS LAST']" in created
    described = sorted_lake.engines.spark.query(
        f"DESCRIBE TABLE EXTENDED {sorted_lake.sql_name('spark', 'iceberg')}"
    )
    with matrix.reads("Sort order", "known to the engine", "spark", "iceberg"):
        assert "text ASC NULLS FIRST, at DESC NULLS LAST" in str(described.to_pylist())
