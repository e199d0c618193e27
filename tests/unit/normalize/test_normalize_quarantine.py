"""Quarantined rows: what is kept of them, and that the payload gives the very rows again."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeload.errors import SourceError
from lakeload.model.rejection import SOURCE_ROW, Rejection
from lakeload.model.values import schema_from_text
from lakeload.normalize.payload import decode, encode, plain_schema
from lakeload.normalize.quarantine import ATTEMPT, EXCERPT, QUARANTINE_SCHEMA, quarantine_rows
from lakeload.sources.decode.expectation import Expectation
from lakeload.sources.decode.rows import RowDecoder


def number(index: int) -> int:
    return index + 1


def rejection(rows: Sequence[int], **given_facts: Any) -> Rejection:
    facts: dict[str, Any] = {"outcome": "quarantine", "rule": "r", "path": (), "reason": "bad"}
    return Rejection(**(facts | given_facts), rows=pa.array(rows, pa.int64()))


def back(kept: pa.RecordBatch) -> pa.RecordBatch:
    (types,) = set(kept.column("types").to_pylist())
    return decode(kept.column("payload").to_pylist(), schema_from_text(types))


def aside(batch: pa.RecordBatch) -> pa.RecordBatch:
    """All rows of the batch, quarantined."""
    return quarantine_rows(batch, [rejection(range(batch.num_rows))], number)


VALUES: list[tuple[pa.DataType, list[Any]]] = [
    (pa.bool_(), [True, False]),
    (pa.int8(), [-128, 127]),
    (pa.int32(), [-(2**31), 2**31 - 1]),
    (pa.int64(), [-(2**63), 2**63 - 1]),
    (pa.uint64(), [0, 2**64 - 1]),
    (pa.float32(), [1.5, 3.4028234663852886e38, math.inf]),
    (pa.float64(), [0.1, 1e300, 5e-324, 2.0**53, math.inf, -math.inf, 123456789.123]),
    (pa.decimal128(38, 10), [Decimal("1234567890123456789012345678.0123456789"), Decimal("-0.5")]),
    (pa.decimal256(60, 0), [Decimal(10) ** 59]),
    (pa.string(), ["", "a\x00b", 'quote " back \\ line \n é 🎉']),
    (pa.large_string(), ["x"]),
    (pa.binary(), [b"", b"\x00\xff"]),
    (pa.large_binary(), [b"\x00"]),
    (pa.binary(2), [b"ab"]),
    (pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    (pa.date64(), [dt.date(2024, 5, 1)]),
    (pa.time32("s"), [dt.time(23, 59, 59)]),
    (pa.time32("ms"), [dt.time(23, 59, 59, 500_000)]),
    (pa.time64("us"), [dt.time(0, 0, 0, 1), dt.time(12, 30)]),
    (pa.timestamp("s"), [dt.datetime(2024, 5, 1)]),
    (pa.timestamp("ms"), [dt.datetime(1969, 12, 31, 23, 59, 59, 999_000)]),
    (pa.timestamp("us"), [dt.datetime(1, 1, 1, 0, 0, 0, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)]),
    (pa.timestamp("us", "Europe/Berlin"), [dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)]),
    (pa.duration("us"), [dt.timedelta(days=-1, microseconds=1)]),
    (pa.list_(pa.float64()), [[], [1.5, None, math.inf]]),
    (pa.large_list(pa.timestamp("us")), [[dt.datetime(2024, 5, 1, 12)]]),
    (pa.list_(pa.int32(), 2), [[1, 2]]),
    (pa.struct([("a b", pa.int64()), ('q"', pa.decimal128(5, 2))]), [{"a b": 1, 'q"': Decimal("1.50")}]),
    (pa.struct([("a", pa.int64())]), [{"a": None}]),
    (pa.map_(pa.string(), pa.binary()), [[("k", b"\xff"), ("", None)], []]),
    (pa.map_(pa.int64(), pa.list_(pa.date32())), [[(1, [dt.date(2024, 5, 1)])]]),
    (pa.map_(pa.timestamp("us", "UTC"), pa.int64()), [[(dt.datetime(2024, 5, 1, tzinfo=dt.UTC), 1)]]),
    (pa.map_(pa.bool_(), pa.int8()), [[(True, 1), (False, 2)]]),
    (pa.null(), [None]),
]


@pytest.mark.parametrize(("kind", "values"), VALUES, ids=[str(kind) for kind, _ in VALUES])
def test_payload_with_its_types_gives_equal_rows(kind: pa.DataType, values: list[Any]) -> None:
    column = pa.array([*values, None], kind)
    batch = pa.record_batch({"my column": column, "id": list(range(len(column)))})
    found = back(aside(batch))
    assert found.schema == plain_schema(batch.schema)
    assert found.column(0).cast(kind, safe=False).equals(column)


def test_nanoseconds_and_nan_come_back() -> None:
    batch = pa.record_batch(
        {
            "at": pa.array([1, -1, 1_714_521_600_000_000_001], pa.int64()).cast(pa.timestamp("ns", "UTC")),
            "time": pa.array([1, 2, 86_399_999_999_999], pa.int64()).cast(pa.time64("ns")),
            "x": [math.nan, 1.0, 2.0],
        }
    )
    found = back(aside(batch))
    assert found.select(["at", "time"]).equals(batch.select(["at", "time"]))
    assert math.isnan(found.column("x")[0].as_py())


def test_dates_beyond_the_year_9999_come_back() -> None:
    batch = pa.record_batch(
        {
            "at": pa.array([300_000_000_000_000_000, 0], pa.int64()).cast(pa.timestamp("us")),
            "days": pa.array([[10_000_000], None], pa.list_(pa.int32())).cast(pa.list_(pa.date32())),
        }
    )
    assert back(aside(batch)).equals(batch)


def test_encoded_columns_come_back_plain() -> None:
    batch = pa.record_batch(
        {
            "a": pa.array(["x", "y", None]).dictionary_encode(),
            "b": pa.array(["x", "a long text that is not kept inline", None], pa.string_view()),
            "c": pa.RunEndEncodedArray.from_arrays([2, 3], pa.array([1, 2])),
            "d": pa.array([uuid.UUID(int=1).bytes, uuid.UUID(int=2).bytes, None], pa.uuid()),
        }
    )
    found = back(aside(batch))
    assert found.to_pylist() == [
        {"a": "x", "b": "x", "c": 1, "d": str(uuid.UUID(int=1))},
        {"a": "y", "b": "a long text that is not kept inline", "c": 1, "d": str(uuid.UUID(int=2))},
        {"a": None, "b": None, "c": 2, "d": None},
    ]


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False).map(lambda x: x + 0.0),
    st.text(),
    st.binary(max_size=20),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.decimals(-(10**12), 10**12, places=4),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.text(min_size=1, max_size=5), TREES, max_size=4), min_size=1, max_size=4))
def test_whatever_python_rows_decode_to_comes_back_from_quarantine(rows: list[dict[str, Any]]) -> None:
    for batch in RowDecoder(Expectation(apart=True)).decode(rows):
        plain = batch.drop_columns([SOURCE_ROW]) if SOURCE_ROW in batch.schema.names else batch
        if not plain.num_columns:
            continue
        found = back(aside(batch))
        assert found.schema.equals(plain_schema(plain.schema), check_metadata=True)
        assert found.to_pylist() == plain.to_pylist()


def test_payload_is_json_with_the_sources_own_values() -> None:
    batch = pa.record_batch(
        {
            "id": [1],
            "at": [dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)],
            "blob": [b"\xff"],
            "none": pa.nulls(1),
        }
    )
    text = encode(batch)[0].as_py()
    assert json.loads(text) == {
        "id": 1,
        "at": "2024-05-01T12:00:00Z",
        "blob": base64.b64encode(b"\xff").decode(),
    }


def test_rows_are_kept_once_with_the_first_fault_and_all_reasons() -> None:
    batch = pa.record_batch({"id": [1, 2, 3, 4], "age": [1, -1, 200, 7]})
    found = [
        rejection([1, 3], rule="types", path=("id",), reason="no int"),
        rejection([0], outcome="discard_row", reason="gone"),
        rejection([1, 2], rule="between(age)", path=("age",), reason="not plausible"),
        rejection([]),
    ]
    kept = quarantine_rows(batch, found, lambda index: index + 100)
    assert kept.select(["row", "path", "rule", "reason", "value", "attempt"]).to_pylist() == [
        {
            "row": 101,
            "path": "id",
            "rule": "types",
            "reason": "no int; not plausible",
            "value": "2",
            "attempt": 1,
        },
        {
            "row": 102,
            "path": "age",
            "rule": "between(age)",
            "reason": "not plausible",
            "value": "200",
            "attempt": 1,
        },
        {"row": 103, "path": "id", "rule": "types", "reason": "no int", "value": "4", "attempt": 1},
    ]
    assert back(kept).to_pylist() == batch.take(pa.array([1, 2, 3])).to_pylist()


def test_rows_have_the_columns_of_the_schema_even_if_there_are_none() -> None:
    batch = pa.record_batch({"id": [1]})
    for found in ([], [rejection([0], outcome="discard_row")], [rejection([0])]):
        kept = quarantine_rows(batch, found, number)
        assert kept.schema.names == QUARANTINE_SCHEMA.names
        assert kept.cast(QUARANTINE_SCHEMA).num_rows == (1 if found == [rejection([0])] else kept.num_rows)


def test_value_is_found_by_the_tables_names_and_inside_structs() -> None:
    batch = pa.record_batch({"userId": [1], "geo": [{"lat": 91.5, "lon": 0.0}], "tags": [["a"]]})
    names = {"userId": "user_id", "geo": "geo", "tags": "tags"}
    paths = {
        ("user_id",): "1",
        ("geo", "lat"): "91.5",
        ("tags", "element"): '["a"]',
        ("gone",): None,
        (): None,
    }
    for path, value in paths.items():
        kept = quarantine_rows(batch, [rejection([0], path=path)], number, names)
        assert kept.column("value").to_pylist() == [value]


def test_value_is_cut_and_the_payload_is_whole() -> None:
    batch = pa.record_batch({"a": ["é" * 100_000]})
    kept = quarantine_rows(batch, [rejection([0], path=("a",))], number)
    assert len(kept.column("value")[0].as_py()) == EXCERPT
    assert back(kept).equals(batch)


def test_attempt_goes_up_for_rows_that_were_here_before() -> None:
    batch = pa.record_batch({"a": [1]}).replace_schema_metadata({ATTEMPT: b"2", b"lakeload.untyped": b"1"})
    kept = aside(batch)
    assert kept.column("attempt").to_pylist() == [3]
    assert back(kept).schema.metadata == {b"lakeload.untyped": b"1"}


def test_notes_of_other_libraries_about_a_schema_are_not_kept() -> None:
    batch = pa.record_batch({"a": [1]}).replace_schema_metadata({b"pandas": b"x" * 10_000})
    assert len(aside(batch).column("types")[0].as_py()) < 1000


def test_number_of_a_regrouped_row_is_no_part_of_its_payload() -> None:
    batch = pa.record_batch({"a": [1], SOURCE_ROW: [17]})
    assert aside(batch).column("payload").to_pylist() == ['{"a":1}']


@pytest.mark.parametrize("payload", ['{"a":"x"}', '{"a":1', "[1]", '{"a":99999999999999999999}', "nothing"])
def test_payload_that_does_not_have_its_types_is_refused_with_its_row(payload: str) -> None:
    with pytest.raises(SourceError) as caught:
        decode(['{"a":1}', payload], pa.schema([("a", pa.int64())]))
    assert caught.value.row == 2
    assert caught.value.hint


@pytest.mark.parametrize("kind", [pa.list_view, pa.large_list_view])
def test_views_of_lists_with_nulls_come_back(kind: Any) -> None:
    lists = pa.array([[1, 2], None, [], [3]], kind(pa.int64()))
    columns = {
        "list": lists,
        "inside": pa.StructArray.from_arrays([lists], names=["x"]),
        "deep": pa.array([[[1], None], None, [None, [2, 3]], []], kind(kind(pa.int8()))),
        "map": pa.MapArray.from_arrays([0, 2, 2, 3, 4], ["a", "b", "c", "d"], lists),
    }
    rows = [
        dict(zip(columns, row, strict=True))
        for row in zip(*map(pa.Array.to_pylist, columns.values()), strict=True)
    ]
    kept = quarantine_rows(pa.record_batch(columns), [rejection([0, 2, 3])], lambda index: index)
    assert back(kept).to_pylist() == [rows[0], rows[2], rows[3]]
