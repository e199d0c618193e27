"""Differences between schemas, and a history put together from a log and from notes."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from lakeload.model.schema import FIELD_ID, assign_ids
from lakeload.model.schema_history import Difference, SchemaRecord, diff, history


def numbered(*fields: tuple[str, pa.DataType, int]) -> pa.Schema:
    return pa.schema([pa.field(name, kind, metadata={FIELD_ID: str(n).encode()}) for name, kind, n in fields])


def texts(old: pa.Schema, new: pa.Schema) -> list[str]:
    return [str(one) for one in diff(old, new)]


def at(day: int) -> dt.datetime:
    return dt.datetime(2024, 5, day, tzinfo=dt.UTC)


A = pa.schema([("a", pa.int64())])
B = pa.schema([("a", pa.int64()), ("b", pa.string())])
C = pa.schema([("a", pa.int64()), ("b", pa.string()), ("c", pa.bool_())])


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (pa.int32(), pa.int64(), "widen"),
        (pa.int64(), pa.int32(), "retype"),
        (pa.date32(), pa.timestamp("us"), "widen"),
        (pa.decimal128(10, 2), pa.decimal128(12, 2), "widen"),
        (pa.int64(), pa.string(), "widen"),
        (pa.string(), pa.int64(), "retype"),
        (pa.struct([("x", pa.int64())]), pa.string(), "retype"),
        (pa.list_(pa.int64()), pa.map_(pa.string(), pa.int64()), "retype"),
    ],
)
def test_change_of_type_is_widening_or_not(old: pa.DataType, new: pa.DataType, kind: str) -> None:
    (found,) = diff(pa.schema([("n", old)]), pa.schema([("n", new)]))
    assert (found.kind, found.path) == (kind, ("n",))


def test_differences_at_every_depth_are_told_with_their_path() -> None:
    old = pa.schema([("s", pa.struct([("x", pa.int32()), ("gone", pa.int32())])), ("l", pa.list_(pa.struct([("x", pa.int32())])))])  # fmt: skip
    new = pa.schema(
        [
            ("s", pa.struct([("x", pa.int64()), ("y", pa.string())])),
            ("l", pa.list_(pa.struct([("x", pa.int32()), ("y", pa.map_(pa.string(), pa.int64()))]))),
        ]
    )
    assert texts(old, new) == [
        "widened s.x from int32 to int64",
        "added s.y string",
        "dropped s.gone int32",
        "added l.element.y map<string, int64>",
    ]


def test_required_and_optional_are_differences() -> None:
    must, may = pa.schema([pa.field("a", pa.int64(), nullable=False)]), A
    assert texts(must, may) == ["made a optional"]
    assert texts(may, must) == ["made a required"]


def test_column_is_known_by_its_id_and_else_by_its_name() -> None:
    old = numbered(("a", pa.int64(), 1), ("b", pa.string(), 2))
    new = numbered(("z", pa.int64(), 1), ("b", pa.string(), 3))
    assert texts(old, new) == ["renamed a to z", "added b string", "dropped b string"]
    assert texts(A, numbered(("a", pa.int64(), 9))) == []


def test_order_and_metadata_are_no_difference() -> None:
    turned = pa.schema([pa.field("b", pa.string(), metadata={"comment": "x"}), pa.field("a", pa.int64())])
    assert diff(B, turned) == ()
    assert diff(assign_ids(B)[0], assign_ids(B)[0]) == ()


def test_difference_keeps_what_was_before_and_after() -> None:
    assert diff(A, B) == (Difference("add", ("b",), None, "string"),)
    assert diff(B, A) == (Difference("drop", ("b",), "string", None),)


def summary(told: list[SchemaRecord], notes: list[SchemaRecord]) -> list[tuple[object, ...]]:
    return [(v.version, v.at, v.load_id, v.created, len(v.changes)) for v in history(told, notes)]


def test_whole_log_needs_no_notes() -> None:
    told = [
        SchemaRecord(0, A, at(1), "l0", first=True),
        SchemaRecord(4, A, at(2), "l1"),
        SchemaRecord(7, B, at(3)),
    ]
    notes = [SchemaRecord(0, A, at(1), "l0", first=True), SchemaRecord(7, B, at(9), "wrong")]
    expected = [(7, at(3), None, False, 1), (0, at(1), "l0", True, 0)]
    assert summary(told, []) == summary(told, notes) == expected


def test_log_cleaned_up_is_completed_by_notes() -> None:
    told = [SchemaRecord(50, B), SchemaRecord(60, C, at(9), "l9")]
    notes = [SchemaRecord(3, B, at(2), "l1"), SchemaRecord(0, A, at(1), "l0", first=True)]
    assert summary(told, notes) == [
        (60, at(9), "l9", False, 1),
        (3, at(2), "l1", False, 1),
        (0, at(1), "l0", True, 0),
    ]


def test_log_cleaned_up_without_notes_does_not_claim_a_creation() -> None:
    assert summary([SchemaRecord(50, B)], []) == [(50, None, None, False, 0)]


def test_schema_another_engine_made_before_the_clean_up_stands_after_the_notes() -> None:
    told = [SchemaRecord(50, C)]
    notes = [SchemaRecord(0, A, at(1), "l0", first=True), SchemaRecord(3, B, at(2), "l1")]
    assert summary(told, notes) == [
        (50, None, None, False, 1),
        (3, at(2), "l1", False, 1),
        (0, at(1), "l0", True, 0),
    ]


def test_expired_snapshots_of_iceberg_are_completed_by_notes() -> None:
    told = [SchemaRecord(0, A, first=True), SchemaRecord(1, B), SchemaRecord(2, C, at(9), "l9")]
    notes = [SchemaRecord(None, A, at(1), "l0", first=True), SchemaRecord(None, B, at(2), "l1")]
    assert summary(told, notes) == [
        (2, at(9), "l9", False, 1),
        (1, at(2), "l1", False, 1),
        (0, at(1), "l0", True, 0),
    ]
