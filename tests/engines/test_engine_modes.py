"""After every kind of load, every engine sees exactly what the load left, at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from engines.enginelake import EngineLake, readers_of
from engines.matrix import Matrix

import lakeload as ll

BOTH = [(engine, form) for form in ("delta", "iceberg") for engine in readers_of(form)]
DAYS = [dt.date(2024, 1, day) for day in (1, 2, 3)]


def rows(first: int, count: int = 30, days: list[dt.date] = DAYS) -> pa.Table:
    numbers = range(first, first + count)
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "day": pa.array([days[n % len(days)] for n in numbers], pa.date32()),
            "text": [f"row {n} é" for n in numbers],
        }
    )


def steps(lake: EngineLake) -> Iterator[tuple[str, pa.Table]]:
    """Loads of one table, each with what must be there after it."""
    load: Callable[..., ll.RunReport] = lambda data, **options: lake.load(data, load_columns=False, **options)  # noqa: E731 - one line says it
    load(rows(0), partition_by="day", fold=False)
    load(rows(100), fold=False)
    load(rows(200), fold=False, cursor="id", pipeline="by_id")
    held = pa.concat_tables([rows(0), rows(100), rows(200)])
    yield "append", held
    repeated = load(rows(200), fold=False, cursor="id", pipeline="by_id")
    assert repeated.tables["t"].rows == 0
    yield "a repeated load of what its cursor has seen", held
    load(rows(300, days=DAYS[1:]), mode=ll.Overwrite(partitions="dynamic"), fold=False)
    held = pa.concat_tables([held.filter(pc.equal(held["day"], DAYS[0])), rows(300, days=DAYS[1:])])
    yield "overwrite of partitions", held
    for n in range(9):
        load(rows(400 + 10 * n, 10, DAYS[:1]), fold=n == 8)
    held = pa.concat_tables([held, *(rows(400 + 10 * n, 10, DAYS[:1]) for n in range(9))])
    assert "replace" in [version.operation for version in lake.table().history()]
    yield "folding", held
    load(rows(900), mode=ll.Overwrite(), fold=False)
    yield "overwrite", rows(900)
    load(rows(0, 0), mode=ll.Overwrite(empty="clear"), fold=False)
    yield "overwrite by nothing", rows(0, 0)


def test_every_engine_sees_what_each_load_left(dual_lake: EngineLake, matrix: Matrix) -> None:
    for step, held in steps(dual_lake):
        for engine, form in BOTH:
            with matrix.reads("Modes", step, engine, form):
                dual_lake.assert_read_by(engine, form, held)


COUNT = 20_000
ENCODED = pa.table(
    {
        "id": pa.array(range(COUNT), pa.int64()),
        "n": pa.array([None if i % 11 == 0 else i * 7919 % 100_003 for i in range(COUNT)], pa.int32()),
        "at": pa.array([dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=i, milliseconds=i % 997) for i in range(COUNT)]),
        "f": pa.array([i / 7 for i in range(COUNT)], pa.float64()),
        "g": pa.array([i / 8 for i in range(COUNT)], pa.float32()),
        "text": [f"https://example.org/items/{i:08d}" for i in range(COUNT)],
        "raw": [f"{i * 7919:x}".encode() for i in range(COUNT)],
        "few": [f"kind {i % 5}" for i in range(COUNT)],
        "flag": [i % 3 == 0 for i in range(COUNT)],
        "list": pa.array([[i, i + 1] if i % 3 else [] for i in range(COUNT)], pa.list_(pa.int64())),
        "money": pa.array(range(COUNT), pa.int64()).cast(pa.decimal128(19, 0)).cast(pa.decimal128(21, 2)),
    }
)  # fmt: skip


@pytest.fixture(scope="module", params=["compat", "modern"])
def encoded(engines: Any, request: pytest.FixtureRequest) -> tuple[str, EngineLake]:
    lake = EngineLake.new(engines, ("delta", "iceberg"))
    lake.load(ENCODED, load_columns=False, encoding=request.param)
    return request.param, lake


@pytest.mark.parametrize(("engine", "form"), BOTH)
def test_engine_reads_encoding(
    encoded: tuple[str, EngineLake], matrix: Matrix, engine: str, form: str
) -> None:
    encoding, lake = encoded
    note = lake.assert_read_by(engine, form, ENCODED)
    with matrix.reads("Encodings", f'`encoding="{encoding}"`', engine, form, note):
        pass
