"""Iceberg partitions of every type: overwritten by value, and found by filters, whoever reads them.

Delta keeps partition values as texts; its tests are in tests/unit/formats/test_delta_partition.py.
"""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from lakes import Place
from readers import connect

import lakeload as ll

UTC = dt.UTC
VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "double": (pa.float64(), [0.1, -0.0, 1e300, 5e-324, -math.inf, 43.420273000000009]),
    "float": (pa.float32(), [0.10000000149011612, -0.0, 3.4028234663852886e38]),
    "decimal": (pa.decimal128(9, 2), [Decimal("1.50"), Decimal("-1.28"), Decimal("0.00")]),
    "long decimal": (pa.decimal128(38, 10), [Decimal("-9999999999999999999999999999.9999999999"), Decimal("1E-10")]),
    "date": (pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    "timestamp": (pa.timestamp("us", "UTC"), [dt.datetime(1, 1, 1, tzinfo=UTC), dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)]),
    "binary": (pa.binary(), [b"", b"\x00\xff"]),
    "boolean": (pa.bool_(), [True, False]),
    "long": (pa.int64(), [-(2**63), 2**63 - 1]),
}  # fmt: skip
FILTERED = ("double", "float", "decimal", "boolean", "long")
"""Types whose values both SQL and Polars compare with a literal as they are."""


@pytest.mark.parametrize("kind", VALUES)
def test_partitions_are_overwritten_by_their_values_and_found_by_filters(tmp_path: Path, kind: str) -> None:
    place, (of, values) = Place(("iceberg",), str(tmp_path / "lake")), VALUES[kind]
    rows = pa.table({"p": pa.array([*values, None], of), "id": pa.array(range(len(values) + 1), pa.int64())})
    place.load(rows, partition_by="p")
    again = rows.slice(0, 2).set_column(1, "id", pa.array([100, 101], pa.int64()))
    place.load(again, mode=ll.Overwrite(partitions="dynamic"))
    expected = pa.concat_tables([rows.slice(2), again])
    assert sorted(place.table().to_arrow()["id"].to_pylist()) == sorted(expected["id"].to_pylist())
    partitions = {file.partition[0] for file in place.table().files()}
    assert partitions == {*values, None}
    if kind in FILTERED:
        for value, number in zip(expected["p"], expected["id"].to_pylist(), strict=True):
            if value.is_valid:
                assert _found(place, value, of) == ([number], [number])


def _found(place: Place, value: pa.Scalar, of: pa.DataType) -> tuple[list[int], list[int]]:
    """Ids found by Polars from the table handed over, and by DuckDB from the metadata file."""
    literal = pl.from_arrow(pa.array([value.as_py()], of))[0]  # type: ignore[index]
    kind = {pa.float64(): pl.Float64, pa.float32(): pl.Float32}.get(of)
    lazy = place.table().to_polars().filter(pl.col("p") == pl.lit(literal, kind))
    query = f"SELECT id FROM iceberg_scan('{place.metadata_location()}') WHERE p = ?::{_duck(of)}"
    with connect() as duck:
        rows = duck.execute(query, [value.as_py()]).fetchall()
    return lazy.collect()["id"].to_list(), [row[0] for row in rows]


def _duck(of: pa.DataType) -> str:
    if pa.types.is_decimal(of):
        return f"DECIMAL({of.precision}, {of.scale})"
    return {pa.float64(): "DOUBLE", pa.float32(): "FLOAT", pa.bool_(): "BOOLEAN", pa.int64(): "BIGINT"}[of]
