"""Schema changes as events, and types in few words."""

from __future__ import annotations

import datetime as dt
import json

import pyarrow as pa
import pytest

from lakeload.model.changes import SchemaChange
from lakeload.model.events import EXCERPT, cause_text, events
from lakeload.model.files import ColumnStats, DataFile
from lakeload.model.type_text import type_text
from lakeload.settings import parse_type

AT = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
WHO = {"load_id": "load-a", "at": AT, "pipeline": "p"}


def test_every_change_becomes_an_event_with_its_cause() -> None:
    changes = [
        SchemaChange("add", ("home", "zip"), None, pa.string(), cause=cause_text("rows of the data", row=17, value="x"), rows=2),
        SchemaChange("widen", ("n",), pa.int32(), pa.int64()),
        SchemaChange("relax", ("n",), pa.int64(), pa.int64()),
    ]  # fmt: skip
    found = events("t", changes, **WHO)  # type: ignore[arg-type]  # a mapping of mixed types
    assert [str(event) for event in found] == [
        't: added home.zip string (rows of the data, first row 17: "x", in 2 rows)',
        "t: widened n from int32 to int64 (rows of the data)",
        "t: made n optional (rows of the data)",
    ]
    assert [(event.old, event.new) for event in found] == [
        (None, "string"),
        ("int32", "int64"),
        ("int64", "int64"),
    ]
    assert {(e.load_id, e.at, e.pipeline, e.table) for e in found} == {("load-a", AT, "p", "t")}


def test_created_table_is_one_event_however_many_columns_it_has() -> None:
    schema = pa.schema([(f"c{n}", pa.int64()) for n in range(1000)])
    changes = [SchemaChange("add", ("c1",), None, pa.int64())]
    (found,) = events("t", changes, created=schema, cause="the first load", **WHO)  # type: ignore[arg-type]  # as above
    assert (found.kind, found.column, found.old) == ("create_table", "", None)
    assert found.new.endswith("c7: int64, … 992 more>")
    assert str(found).endswith("(the first load)")


def test_nothing_changed_is_no_event() -> None:
    assert events("t", [], **WHO) == ()  # type: ignore[arg-type]  # as above


def test_rows_of_an_added_column_are_counted_by_the_statistics_of_files() -> None:
    def file(stats: dict[tuple[str, ...], ColumnStats]) -> DataFile:
        return DataFile("f", 1, 10, stats=stats)

    files = [
        file({("a",): ColumnStats(10, 0)}),
        file({("a",): ColumnStats(10, 0), ("b",): ColumnStats(10, 7), ("s", "x"): ColumnStats(10, 9)}),
        file({("a",): ColumnStats(10, 0), ("b",): ColumnStats(10, 10), ("s", "x"): ColumnStats(10, 0)}),
    ]
    changes = [
        SchemaChange("add", ("b",), None, pa.string()),
        SchemaChange("add", ("s", "x"), None, pa.string()),
        SchemaChange("add", ("t",), None, pa.struct([("y", pa.string())])),
        SchemaChange("widen", ("a",), pa.int32(), pa.int64()),
        SchemaChange("add", ("b",), None, pa.string(), rows=1),
    ]
    found = events("t", changes, files=files, **WHO)  # type: ignore[arg-type]  # as above
    assert [event.rows for event in found] == [3, 11, None, None, 1]


def test_event_as_values_is_json() -> None:
    (found,) = events("t", [SchemaChange("add", ("a",), None, pa.string(), rows=5)], **WHO)  # type: ignore[arg-type]  # as above
    assert json.loads(json.dumps(found.to_dict())) == {
        "table": "t", "column": "a", "kind": "add", "old": None, "new": "string", "cause": "rows of the data",
        "rows": 5, "load_id": "load-a", "at": "2024-05-01T12:00:00+00:00", "pipeline": "p",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "shown"),
    [("a\nb", '"a b"'), (5, "5"), (None, ""), ("x" * 500, '"' + "x" * (EXCERPT - 2) + "…"), ("", '""')],
)
def test_cause_shows_a_short_excerpt_in_one_line(value: object, shown: str) -> None:
    text = cause_text("rows", row=1234, value=value)
    assert text == f"rows, first row 1,234{': ' if shown else ''}{shown}"


@pytest.mark.parametrize(
    "kind",
    [
        pa.bool_(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(), pa.binary(), pa.date32(),
        pa.timestamp("us", "UTC"), pa.timestamp("us"), pa.time64("us"), pa.decimal128(10, 2),
        pa.list_(pa.field("element", pa.int32())),
    ],
)  # fmt: skip
def test_type_text_can_be_written_back_as_a_hint(kind: pa.DataType) -> None:
    assert parse_type(type_text(kind)) == kind


def test_nested_type_is_told_in_words_and_cut_where_it_is_long() -> None:
    inside = pa.struct([(name, pa.float64()) for name in "abcdefghij"])
    kind = pa.map_(pa.string(), pa.list_(inside))
    assert type_text(kind, members=2) == "map<string, list<struct<a: float64, b: float64, … 8 more>>>"
    assert type_text(inside, members=None).count("float64") == 10
