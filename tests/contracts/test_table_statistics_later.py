"""Statistics stay true as a table goes on: new and wider columns, folded and replaced files, partition values."""

from __future__ import annotations

import datetime as dt
import math
import uuid
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arrow_data import LEAVES, Kind
from file_facts import delta_files, iceberg_files, leaves, scan
from footers import check_footer
from hypothesis import given
from hypothesis import strategies as st
from lakes import Place
from published import check
from pyiceberg.expressions import EqualTo
from readers import connect, static_table

import lakeload as ll


def answers(place: Place, where: str) -> dict[str, list[int]]:
    """Ids of the rows each reader finds under a condition that SQL, Polars and pyiceberg all understand."""
    found: dict[str, Any] = {}
    with connect() as duck, warnings.catch_warnings():
        warnings.simplefilter("ignore", pl.exceptions.PerformanceWarning)  # it advises a plugin
        lazy = {}
        if "delta" in place.formats:
            lazy["delta"] = pl.scan_delta(place.location())
            query = f"SELECT id FROM delta_scan('{place.location()}') WHERE {where}"
            found["delta by duckdb"] = [row[0] for row in duck.execute(query).fetchall()]
        if "iceberg" in place.formats:
            table = static_table(place.metadata_location())
            lazy["iceberg"] = pl.scan_iceberg(table)
            query = f"SELECT id FROM iceberg_scan('{place.metadata_location()}') WHERE {where}"
            found["iceberg by duckdb"] = [row[0] for row in duck.execute(query).fetchall()]
            found["pyiceberg"] = table.scan(where).to_arrow()["id"].to_pylist()
        for name, frame in lazy.items():
            found[f"{name} by polars"] = frame.filter(pl.sql_expr(where)).collect()["id"].to_list()
    return {reader: sorted(ids) for reader, ids in found.items()}


def all_find(place: Place, where: str, ids: list[int]) -> None:
    for reader, found in answers(place, where).items():
        assert found == ids, f"{reader}: {where}"


WIDER = {
    "int": (pa.int32(), pa.int64(), [-(2**31), 2**31 - 1], [2**40, -(2**40)]),
    "float": (pa.float32(), pa.float64(), [-1.5, 0.10000000149011612], [1e300, -1e300]),
    "decimal": (pa.decimal128(9, 2), pa.decimal128(20, 2), [Decimal("-9999999.99"), Decimal("0.01")], [Decimal("1e17"), Decimal("-1e17")]),
}  # fmt: skip


@pytest.mark.parametrize("kind", WIDER)
def test_bounds_of_older_files_hold_at_the_wider_type(local_place: Place, kind: str) -> None:
    place, (narrow, wide, old, new) = local_place, WIDER[kind]
    first = pa.table(
        {
            "id": [0, 1],
            "n": pa.array(old, narrow),
            "s": pa.array([{"x": v} for v in old], pa.struct([("x", narrow)])),
        }
    )
    second = pa.table(
        {
            "id": [2, 3],
            "n": pa.array(new, wide),
            "s": pa.array([{"x": v} for v in new], pa.struct([("x", wide)])),
        }
    )
    place.load(first, load_columns=False, fold=False)
    place.load(second, load_columns=False, fold=False)
    assert place.table().schema().field("n").type == wide
    assert check(place) == 2
    all_find(place, "n < 0", [0, 3])
    all_find(place, "n > 100", [2] if kind != "int" else [1, 2])
    all_find(place, "n IS NULL", [])
    all_find(place, f"n = {old[1]}", [1])


def test_files_older_than_a_column_are_found_by_its_nulls(local_place: Place) -> None:
    place = local_place
    place.load(pa.table({"id": [0, 1], "s": [{"x": 1}, {"x": 2}]}), load_columns=False, fold=False)
    rows = pa.table({"id": [2, 3], "s": [{"x": 3, "y": 5}, {"x": 4, "y": None}], "n": [7, None]})
    place.load(rows, load_columns=False, fold=False)
    assert check(place) == 2
    all_find(place, "n IS NULL", [0, 1, 3])
    all_find(place, "n IS NOT NULL", [2])
    all_find(place, "n = 7", [2])
    all_find(place, "n < 100", [2])


def test_folded_files_have_true_statistics(local_place: Place) -> None:
    place = local_place
    for number in range(8):
        rows = {
            "id": [number],
            "n": pa.array([None if number == 3 else number], pa.int64()),
            "f": [float("nan") if number == 5 else number / 2],
        }
        place.load(pa.table(rows), load_columns=False)
    assert check(place) == 1
    all_find(place, "n >= 6", [6, 7])
    all_find(place, "n IS NULL", [3])
    everyone = answers(place, "f > 100")
    assert everyone.pop("pyiceberg", []) == []
    assert set(map(tuple, everyone.values())) == {(5,)}, "a NaN is above every number"


def test_replaced_partitions_have_true_statistics(local_place: Place) -> None:
    place = local_place
    first = pa.table({"id": [0, 1, 2], "p": ["a", "b", None], "n": [1, 2, 3]})
    place.load(first, partition_by="p", load_columns=False, fold=False)
    again = pa.table({"id": [3, 4], "p": ["b", None], "n": [20, 30]})
    place.load(again, mode=ll.Overwrite(partitions="dynamic"), load_columns=False, fold=False)
    assert check(place) == 3
    all_find(place, "n >= 2", [3, 4])
    all_find(place, "p = 'b'", [3])
    all_find(place, "p IS NULL", [4])


def _fields(kind: pa.DataType) -> list[str]:
    """Partition fields a column `p` of the type can have in both formats."""
    found = [] if pa.types.is_binary(kind) or pa.types.is_floating(kind) else ["p"]
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        found += [f"{name}(p)" for name in ("year", "month", "day")]
        found += ["hour(p)"] if pa.types.is_timestamp(kind) else []
    if not (pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        found.append("bucket(7, p)")
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_string(kind):
        found.append("truncate(3, p)")
    return found


@pytest.fixture(scope="session")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder in which every example takes a lake of its own."""
    return str(tmp_path_factory.mktemp("partitions"))


@given(data=st.data())
def test_partition_values_are_the_transform_of_every_row_in_the_file(lakes: str, data: st.DataObject) -> None:
    """Iceberg's by pyiceberg's own transform; Delta's are the same values as texts."""
    kinds = [kind for kind in LEAVES if kind.given == kind.stored and _fields(kind.stored)]
    kind: Kind = data.draw(st.sampled_from(kinds))
    field = data.draw(st.sampled_from(_fields(kind.stored)))
    values = data.draw(st.lists(st.none() | kind.values.filter(_storable), min_size=1, max_size=6))
    rows = pa.table({"id": range(len(values)), "p": pa.array(values, kind.given)})
    place = Place(("delta", "iceberg"), f"{lakes}/{uuid.uuid4().hex}")
    try:
        place.load(rows, load_columns=False, partition_by=field)
    except ll.SchemaError as error:
        assert "too large to be partitioned" in str(error), field  # noqa: PT017 - only some examples raise
        return
    check(place)
    by_path = {file.path.name: file.partition for file in delta_files(place)}
    table = place.iceberg()
    (spec,) = table.spec().fields
    transform = spec.transform.transform(table.schema().find_field(spec.source_id).field_type)
    files = iceberg_files(place)
    assert sum(file.record_count for file in files) == len(values)
    for file in files:
        found = scan(_path(file)).column("p").to_pylist()
        value = file.partition[0]
        assert {transform(_internal(row)) for row in found} == {value}
        (text,) = by_path[_path(file).name].values()
        assert text == _as_text(value, field.partition("(")[0], kind.stored)


def _storable(value: Any) -> bool:
    return value != ""  # in Delta's log that is a null, and refused


def _path(file: Any) -> Path:
    return Path(file.file_path.removeprefix("file://"))


def _internal(value: Any) -> Any:
    """Iceberg's transforms take timestamps and dates as numbers."""
    if isinstance(value, dt.datetime):
        return (value - dt.datetime(1970, 1, 1, tzinfo=value.tzinfo)) // dt.timedelta(microseconds=1)
    return (value - dt.date(1970, 1, 1)).days if isinstance(value, dt.date) else value


def _as_text(value: Any, transform: str, kind: pa.DataType) -> str | None:
    """A partition value of Iceberg as Delta's log should have it (protocol, "Partition Value Serialization")."""
    if value is None:
        return None
    if transform == "year":
        return str(1970 + value)
    if transform == "month":
        return f"{1970 + value // 12:04}-{value % 12 + 1:02}"
    if transform == "hour":
        at = dt.datetime(1970, 1, 1) + dt.timedelta(hours=value)
        return f"{at.date().isoformat()}-{at.hour:02}"
    if transform == "day" or (pa.types.is_date(kind) and transform == "p"):
        return (dt.date(1970, 1, 1) + dt.timedelta(days=value)).isoformat()
    if transform == "bucket":
        return str(value)
    if pa.types.is_timestamp(kind):
        at = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=value)
        return (
            at.isoformat(sep=" ", timespec="microseconds")
            if kind.tz is None
            else at.isoformat(timespec="microseconds") + "Z"
        )
    if pa.types.is_boolean(kind):
        return str(value).lower()
    return format(value, "f") if isinstance(value, Decimal) else str(value)


@pytest.mark.parametrize(("encoding", "size"), [("compat", "1200KB"), ("modern", "700KB")])
def test_files_of_many_row_groups_and_pages_tell_the_truth_about_each(
    tmp_path: Path, encoding: Any, size: str
) -> None:
    from deltalake import QueryBuilder

    place, count = Place(("delta", "iceberg"), str(tmp_path / "lake")), 45_000
    floats = [math.nan if n == 32_000 else None if n % 5 == 0 else n / 7 for n in range(count)]
    rows = pa.table(
        {
            "id": pa.array(range(count), pa.int64()),
            "text": [f"{'shared beginning of every one ' * 2}{n:06}" for n in range(count)],
            "f": pa.array(floats, pa.float64()),
            "d": pa.array(range(-count, 0), pa.int64()).cast(pa.decimal128(20, 0)),
            "l": [[n, None][: n % 3] for n in range(count)],
        }
    )
    place.load(rows, load_columns=False, target_file_size=size, encoding=encoding)
    check(place, footers=False)
    paths = [Path(path) for path in place.data_files()]
    groups = [pq.read_metadata(path).num_row_groups for path in paths]
    assert max(groups) >= 2
    columns = [leaf for field in rows.schema for leaf in leaves((field.name,), field.type)]
    assert sum(map(check_footer, paths)) > sum(groups) * len(columns), "one page each"
    used = {
        code
        for path in paths
        for at in range(pq.read_metadata(path).num_columns)
        for code in pq.read_metadata(path).row_group(0).column(at).encodings
    }
    assert ("DELTA_BINARY_PACKED" in used) == (encoding == "modern")
    tables = QueryBuilder().register("t", place.delta())
    for where, wanted in {
        f"id >= {count - 2}": [count - 2, count - 1],
        f"text = '{rows['text'][12_345]}'": [12345],
        f"d < {1 - count}": [0],
        f"f >= {count / 7} AND id > 20000": [32_000],
    }.items():
        found = answers(place, where)
        batches = tables.execute(f"SELECT id FROM t WHERE {where}")
        found["datafusion"] = [id_ for batch in batches for id_ in pa.record_batch(batch)["id"].to_pylist()]
        if "f >=" in where:
            assert found.pop("pyiceberg") == []  # it compares as IEEE 754 says
        for reader, ids in found.items():
            assert sorted(ids) == wanted, f"{reader}: {where}"


@pytest.mark.parametrize("by", ["p", "bucket(16, p)", "truncate(3, p)"])
def test_decimals_of_38_digits_are_found_in_their_partitions(local_place: Place, by: str) -> None:
    place = local_place
    texts = [
        "10790231985221751176500871168",
        "99999999999999999999999999999999999999",
        "-10790231985221751176500871168",
        "7",
    ]
    rows = pa.table({"id": range(4), "p": pa.array([Decimal(text) for text in texts], pa.decimal128(38, 0))})
    place.load(rows, partition_by=by, load_columns=False, fold=False)
    check(place)
    for number, text in enumerate(texts):
        found = {}
        literal = f"CAST('{text}' AS DECIMAL(38, 0))"
        with connect() as duck:
            if "delta" in place.formats:
                found["delta"] = duck.execute(
                    f"SELECT id FROM delta_scan('{place.location()}') WHERE p = {literal}"
                ).fetchall()
            if "iceberg" in place.formats:
                metadata = place.metadata_location()
                if not by.startswith(
                    "truncate"
                ):  # DuckDB 1.5 truncates decimals without their sign and upper half
                    query = f"SELECT id FROM iceberg_scan('{metadata}') WHERE p = {literal}"
                    found["iceberg"] = duck.execute(query).fetchall()
                where = EqualTo("p", Decimal(text))
                found["pyiceberg"] = [
                    (row,) for row in static_table(metadata).scan(where).to_arrow()["id"].to_pylist()
                ]
        assert all(ids == [(number,)] for ids in found.values()), f"{text}: {found}"
