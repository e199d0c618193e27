"""Partitions, sort order, file sizes: what the log says about files is what the files are."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakes import Place

import lakeload as ll

AT = [
    dt.datetime(2023, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC),
    dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    dt.datetime(2024, 1, 1, 13, 30, tzinfo=dt.UTC),
    dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC),
    dt.datetime(1969, 1, 1, tzinfo=dt.UTC),
    None,
]
ROWS = pa.table(
    {
        "id": pa.array([0, 1, -1, 2**40, -(2**40), None], pa.int64()),
        "n": pa.array([0, 1, -1, 100, -100, None], pa.int32()),
        "at": pa.array(AT, pa.timestamp("us", "UTC")),
        "local": pa.array([v and v.replace(tzinfo=None) for v in AT], pa.timestamp("us")),
        "day": pa.array([v and v.date() for v in AT], pa.date32()),
        "text": pa.array([" ", "abc", "abcdef", "ü/=%: 🦆", "NULL", None], pa.string()),
        "amount": pa.array([Decimal("0.00"), Decimal("1.05"), Decimal("-1.05"), Decimal("99.99"), None, Decimal("1.04")], pa.decimal128(9, 2)),
        "raw": pa.array([b"", b"\x00\xff", b"ab", b"abc", None, b"z"], pa.binary()),
        "flag": pa.array([True, False, True, None, False, True], pa.bool_()),
    }
)  # fmt: skip

PARTITIONINGS = {
    "id": 6, "n": 6, "text": 6, "day": 5, "at": 6, "amount": 6, "flag": 3,
    "year(at)": 4, "year(day)": 4, "year(local)": 4, "month(at)": 5, "month(day)": 5, "day(at)": 5, "day(day)": 5, "day(local)": 5,
    "hour(at)": 6, "hour(local)": 6,
    "bucket(4, id)": None, "bucket(4, n)": None, "bucket(4, text)": None, "bucket(4, at)": None, "bucket(4, day)": None,
    "bucket(4, amount)": None, "bucket(4, raw)": None,
    "truncate(2, text)": 5, "truncate(10, id)": None, "truncate(10, n)": None, "truncate(50, amount)": None,
}  # fmt: skip
"""Partition field → number of partitions the rows above fall into, where it can be counted by hand."""


@pytest.mark.parametrize("field", PARTITIONINGS)
def test_partitioned_table_keeps_every_row_in_the_partition_of_the_specification(
    local_place: Place, field: str
) -> None:
    place = local_place
    place.load(ROWS, partition_by=field)
    files = place.table().files()
    if PARTITIONINGS[field] is not None:
        assert len(files) == PARTITIONINGS[field]
    assert len({file.partition for file in files}) == len(files)
    place.holds(ROWS)
    if "iceberg" in place.formats:
        _check_partition_values(place)


def _check_partition_values(place: Place) -> None:
    """pyiceberg's own transform, applied to the rows of each file, gives the partition the log records."""
    table = place.iceberg()
    (spec_field,) = table.spec().fields
    source = table.schema().find_field(spec_field.source_id)
    transform = spec_field.transform.transform(source.field_type)
    for task in table.scan().plan_files():
        with place.filesystem.open(task.file.file_path, "rb") as stream:
            rows = pq.read_table(stream, columns=[source.name])
        found = {transform(_internal(value)) for value in rows.column(source.name).to_pylist()}
        assert found == {task.file.partition[0]}


def _internal(value: Any) -> Any:
    """Iceberg's transforms take timestamps and dates as numbers."""
    if value is None:
        return None
    if isinstance(value, dt.datetime):
        start = dt.datetime(1970, 1, 1, tzinfo=value.tzinfo)
        return (value - start) // dt.timedelta(microseconds=1)
    if isinstance(value, dt.date):
        return (value - dt.date(1970, 1, 1)).days
    return value


def test_two_partition_fields_make_one_file_per_pair(place: Place) -> None:
    rows = pa.table({"a": ["x", "x", "y", None], "b": pa.array([1, 2, 1, None], pa.int32())})
    place.load(rows, partition_by=["a", "b"])
    assert {file.partition for file in place.table().files()} == {("x", 1), ("x", 2), ("y", 1), (None, None)}
    place.holds(rows)


def test_empty_text_as_partition_value_is_kept_or_refused_where_it_would_become_null(
    local_place: Place,
) -> None:
    """In Delta's log an empty text is a null (protocol, "Partition Value Serialization")."""
    place, rows = local_place, pa.table({"a": ["x", "", None], "n": [1, 2, 3]})
    if "delta" not in place.formats:
        place.load(rows, partition_by="a")
        place.holds(rows)
        return
    with pytest.raises(ll.TableError) as caught:
        place.load(rows, partition_by="a")
    assert caught.value.column == "a"
    assert not place.exists()
    assert place.data_files() == {}


def test_later_loads_follow_the_partitioning_of_the_table(place: Place) -> None:
    place.load(pa.table({"a": ["x"], "n": [1]}), partition_by="a")
    place.load(pa.table({"a": ["x", "y"], "n": [2, 3]}), fold=False)
    assert sorted(str(file.partition[0]) for file in place.table().files()) == ["x", "x", "y"]


def test_partition_prunes_what_a_reader_has_to_open(place: Place) -> None:
    """Delta and Iceberg readers find the rows of one partition by its value."""
    rows = pa.table({"a": ["x", "y", "z"], "n": [1, 2, 3]})
    place.load(rows, partition_by="a")
    import polars as pl

    found = place.table().to_polars().filter(pl.col("a") == "y").select("n").collect()
    assert found["n"].to_list() == [2]


def test_unknown_partition_column_is_refused_before_anything_is_written(place: Place) -> None:
    with pytest.raises(ll.LakeloadError, match="nope"):
        place.load(ROWS, partition_by="nope")
    assert not place.exists()
    assert place.data_files() == {}


@pytest.mark.parametrize(("order", "descending"), [("n", False), ("n desc", True)])
def test_files_are_sorted(place: Place, order: str, descending: bool) -> None:
    values = [5, None, -3, 9, 0, None, 7] * 50
    place.load(pa.table({"n": pa.array(values, pa.int64())}), sort_by=order)
    for path in place.data_files():
        with place.filesystem.open(path, "rb") as stream:
            found = pq.read_table(stream, columns=["n"]).column("n").to_pylist()
        present = [value for value in found if value is not None]
        assert present == sorted(present, reverse=descending)
        nulls_first = found[: len(found) - len(present)] == [None] * (len(found) - len(present))
        assert nulls_first is not descending
    if "iceberg" in place.formats:
        (field,) = place.iceberg().sort_order().fields
        assert field.direction.value == ("desc" if descending else "asc")


def test_listed_files_tell_true_rows_and_sizes(place: Place) -> None:
    place.load(ROWS, partition_by="flag")
    place.load(ROWS.slice(0, 2), fold=False)
    on_disk = place.data_files()
    listed = place.table().files()
    assert sorted(file.size for file in listed) == sorted(on_disk.values())
    assert sum(file.rows or 0 for file in listed) == 8
    if "iceberg" in place.formats:
        assert sorted(t.file.file_size_in_bytes for t in place.iceberg().scan().plan_files()) == sorted(
            on_disk.values()
        )
    if "delta" in place.formats:
        actions = pa.table(place.delta().get_add_actions(flatten=True))
        assert sorted(actions.column("size_bytes").to_pylist()) == sorted(on_disk.values())
        assert sum(actions.column("num_records").to_pylist()) == 8


def test_target_file_size_rolls_files(place: Place) -> None:
    import random

    source = random.Random(7)
    rows = pa.table({"n": pa.array([source.getrandbits(62) for _ in range(50_000)], pa.int64())})
    target = 1 << 17
    place.load(rows, target_file_size=target)
    sizes = sorted(file.size for file in place.table().files())
    assert len(sizes) >= 3
    assert all(0.8 * target < size < 1.2 * target for size in sizes[1:])
    place.holds(rows)


def test_data_files_carry_the_field_ids_of_the_table(place: Place) -> None:
    place.load(pa.table({"a": [1], "s": pa.array([{"x": [1]}], pa.struct([("x", pa.list_(pa.int64()))]))}))
    (path,) = place.data_files()
    with place.filesystem.open(path, "rb") as stream:
        schema = pq.read_schema(stream)
    ids = [field.metadata[b"PARQUET:field_id"] for field in schema]
    inner = schema.field("s").type.field(0)
    ids += [inner.metadata[b"PARQUET:field_id"], inner.type.value_field.metadata[b"PARQUET:field_id"]]
    assert len(set(ids)) == len(ids)
    if "iceberg" in place.formats:
        known = place.iceberg().schema()
        assert [str(known.find_field(name).field_id).encode() for name in schema.names] == ids[
            : len(schema.names)
        ]
