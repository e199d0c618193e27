"""The readers agree on tables no lakeload code wrote, and the comparison sees differences."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from readers import (
    assert_same_rows,
    delta_readers,
    iceberg_readers,
    pyiceberg_properties,
    read_delta,
    read_iceberg,
)
from services.seaweedfs import S3

ROWS = pa.table(
    {
        "id": pa.array([1, 2, None], pa.int64()),
        "text": pa.array(["a", "", "ü🦆"], pa.string()),
        "at": pa.array([dt.datetime(2024, 1, 1, tzinfo=dt.UTC), None, dt.datetime(1900, 1, 1, 1, 1, 1, 1, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
        "amount": pa.array([Decimal("1.10"), Decimal("-99999999999999999999.99"), None], pa.decimal128(38, 2)),
        "tags": pa.array([["x", None], [], None], pa.list_(pa.string())),
        "deep": pa.array([{"a": 1, "b": [{"c": 1.5}]}, {"a": None, "b": []}, None], pa.struct([("a", pa.int32()), ("b", pa.list_(pa.struct([("c", pa.float64())])))])),
    }
)  # fmt: skip


def _place(request: pytest.FixtureRequest, where: str, tmp_path: Path) -> tuple[str, dict[str, str] | None]:
    if where == "local":
        return str(tmp_path), None
    s3: S3 = request.getfixturevalue("s3")
    return request.getfixturevalue("s3_prefix"), s3.storage_options


@pytest.mark.parametrize("where", ["local", pytest.param("s3", marks=pytest.mark.s3)])
@pytest.mark.parametrize("engine", delta_readers)
def test_delta_reader_returns_what_another_library_wrote(
    request: pytest.FixtureRequest, where: str, engine: str, tmp_path: Path
) -> None:
    from deltalake import write_deltalake

    root, storage = _place(request, where, tmp_path)
    options = {**storage, "aws_allow_http": "true"} if storage else None
    write_deltalake(f"{root}/t", ROWS, storage_options=options)
    assert_same_rows(read_delta(f"{root}/t", storage, engine=engine), ROWS)


@pytest.mark.parametrize("where", ["local", pytest.param("s3", marks=pytest.mark.s3)])
@pytest.mark.parametrize("engine", iceberg_readers)
def test_iceberg_reader_returns_what_another_library_wrote(
    request: pytest.FixtureRequest, where: str, engine: str, tmp_path: Path
) -> None:
    from pyiceberg.catalog.sql import SqlCatalog

    root, storage = _place(request, where, tmp_path)
    catalog = SqlCatalog(
        "c", uri=f"sqlite:///{tmp_path}/c.db", warehouse=root, **pyiceberg_properties(storage)
    )
    catalog.create_namespace("n")
    table = catalog.create_table("n.t", schema=ROWS.schema, location=f"{root}/t")
    table.append(ROWS)
    assert_same_rows(read_iceberg(table.metadata_location, storage, engine=engine), ROWS)
    catalog.engine.dispose()


@pytest.mark.parametrize(
    "other",
    [
        ROWS.slice(1),
        pa.concat_tables([ROWS, ROWS.slice(0, 1)]),
        ROWS.set_column(0, "id", pa.array([1, 2, 3], pa.int64())),
        ROWS.set_column(0, "id", pa.array([1, 2, None], pa.int32())),
        ROWS.drop_columns(["deep"]),
    ],
    ids=["row missing", "row twice", "other value", "other type", "column missing"],
)
def test_comparison_sees_a_difference(other: pa.Table) -> None:
    with pytest.raises(AssertionError):
        assert_same_rows(other, ROWS)


def test_comparison_tells_zero_from_minus_zero_and_takes_nan_for_nan() -> None:
    nan = pa.table({"x": [float("nan"), 0.0]})
    assert_same_rows(nan, nan)
    with pytest.raises(AssertionError):
        assert_same_rows(pa.table({"x": [float("nan"), -0.0]}), nan)


def test_comparison_ignores_the_order_of_rows_and_columns() -> None:
    turned = ROWS.take([2, 0, 1]).select(list(reversed(ROWS.column_names)))
    assert_same_rows(turned, ROWS)
