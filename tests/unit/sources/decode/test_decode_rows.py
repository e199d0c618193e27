import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import SchemaError, SourceError
from lakeload.model.nesting import Nesting
from lakeload.model.text import text_of
from lakeload.sources.decode.expectation import Expectation
from lakeload.sources.decode.rows import RowDecoder
from lakeload.sources.read import ReadOptions, read


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    at: dt.date


class Event(msgspec.Struct):
    name: str
    tags: list[str]


class Model:
    """Has the face of a pydantic model."""

    def model_dump(self, *, by_alias=False):
        return {"x" if by_alias else "own_name": 1}


def test_dictionaries_become_one_batch(batches):
    (batch,) = batches([{"a": 1, "b": {"c": [1.5]}}, {"a": None}])

    assert batch.to_pylist() == [{"a": 1, "b": {"c": [1.5]}}, {"a": None, "b": None}]


def test_one_dictionary_is_one_row(rows):
    assert rows({"a": 1}) == [{"a": 1}]


def test_a_generator_is_read_in_order_over_many_batches(batches):
    found = batches({"i": i, "s": str(i)} for i in range(200_000))

    assert len(found) > 1
    assert [i for batch in found for i in batch.column("i").to_pylist()] == list(range(200_000))


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (dt.datetime(2024, 1, 1, 12), dt.datetime(2024, 1, 1, 12)),
        (
            dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            dt.datetime(2023, 12, 31, 22, tzinfo=dt.UTC),
        ),
        (dt.date(2024, 1, 1), dt.date(2024, 1, 1)),
        (dt.time(12, 30), dt.time(12, 30)),
        (dt.timedelta(seconds=1), dt.timedelta(seconds=1)),
        (Decimal("1.10"), Decimal("1.10")),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"x"), b"x"),
        (Colour.RED, "red"),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array([1, 2]), [1, 2]),
        (np.datetime64("2024-01-01T00:00:00", "ns"), dt.datetime(2024, 1, 1)),
        (pd.Timestamp("2024-01-01"), dt.datetime(2024, 1, 1)),
        (pd.NaT, None),
        (pd.NA, None),
        ((1, 2), [1, 2]),
        ({1}, [1]),
        (Point(1, dt.date(2024, 1, 1)), {"x": 1, "at": dt.date(2024, 1, 1)}),
        (Event("n", ["t"]), {"name": "n", "tags": ["t"]}),
        (Model(), {"x": 1}),
        (2**64, Decimal(2**64)),
        (float("inf"), float("inf")),
        ("x\0y", "x\0y"),
    ],
)
@pytest.mark.parametrize("earlier", [0, 300])
def test_values_are_stored_as_they_are(rows, value, stored, earlier):
    found = rows([{"v": value}] * (earlier + 1))

    assert found == [{"v": stored}] * (earlier + 1)


@pytest.mark.parametrize("row", [Point(1, dt.date(2024, 1, 1)), Event("n", []), Model()])
def test_records_of_other_kinds_are_rows(rows, row):
    assert len(rows([row, row])) == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (1, 1.5),
        (1, 2**63),
        (None, {"a": 1}),
        ({"a": 1}, {"b": 2}),
        ([1], [1.5, None]),
        (dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, 5)),
        (Decimal("1.5"), 7),
    ],
)
def test_unlike_values_meet_in_a_type_that_holds_both(rows, first, second):
    found = [row["v"] for row in rows([{"v": first}, {"v": second}])]

    def same(stored, given):
        if isinstance(given, dict):
            return {k: v for k, v in stored.items() if v is not None} == given
        if type(given) is dt.date:
            return stored == dt.datetime.combine(given, dt.time())
        return stored == given

    assert all(map(same, found, [first, second]))


@pytest.mark.parametrize(
    ("first", "second", "texts"),
    [
        (1, "x", ["1", "x"]),
        (True, 1, ["true", "1"]),
        (0.5, 2**53 + 1, ["0.5", "9007199254740993"]),
        ({"b": None, "a": {"d": 1.0, "c": "é"}}, 1, ['{"a":{"c":"é","d":1}}', "1"]),
        ([1, None], 1, ["[1,null]", "1"]),
        (Decimal("1.50"), 0.5, ["1.5", "0.5"]),
        (b"x", "x", ["eA==", "x"]),
        (
            dt.datetime(2024, 1, 1, 5),
            dt.datetime(2024, 1, 1, 5, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            ["2024-01-01T05:00:00", "2024-01-01T03:00:00Z"],
        ),
        (10**40, 1, [str(10**40), "1"]),
        ([10**5000], 1, [f"[1{'0' * 5000}]", "1"]),
        (Decimal("NaN"), Decimal("1.5"), ["NaN", "1.5"]),
        (Colour.RED, np.int64(1), ["red", "1"]),
        ([uuid.UUID(int=1), np.float64(1.5)], 1, ['["00000000-0000-0000-0000-000000000001",1.5]', "1"]),
        (dt.time(12, 30, tzinfo=dt.UTC), None, ["12:30:00+00:00", None]),
    ],
)
def test_values_with_no_common_type_become_their_canonical_text(rows, first, second, texts):
    assert [row["v"] for row in rows([{"v": first}, {"v": second}])] == texts
    assert [row["v"] for row in rows([{"v": second}, {"v": first}])] == texts[::-1]


@pytest.mark.parametrize(
    ("usual", "odd"),
    [
        (1, 1.5),
        (1, True),
        (1, 2**63),
        ("x", 1),
        (0.5, 2**53 + 1),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 3}}),
        ([{"a": 1}], [{"a": 1.5}]),
        (dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, 5)),
        (dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)),
        (dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 1)),
        (Decimal("1.5"), Decimal("1.555")),
    ],
)
def test_a_late_odd_value_is_kept_exactly_or_as_its_text(usual, odd):
    data = [{"v": usual}] * 1000 + [{"v": odd}]
    found = list(read(data, expectation=Expectation(), options=ReadOptions(), workers=1))

    last = found[-1].to_pylist()[-1]["v"]
    if isinstance(last, str):
        assert last == text_of(odd)
        assert all(row["v"] == text_of(usual) for row in found[-1].to_pylist()[:-1])
        return
    assert last == odd
    assert type(last) is type(odd) or isinstance(odd, int)


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        (3, SourceError, "expected a row, found int"),
        ("text", SourceError, "expected a row, found str"),
        (None, SourceError, "expected a row, found NoneType"),
        ({1: 2}, SchemaError, "not a string"),
        ({"a": {1: 2}}, SchemaError, "not a string"),
        ({"a": object()}, SchemaError, "cannot store a object"),
        ({"a": 1j}, SchemaError, "cannot store a complex"),
        ({"a": {"b": {1: 2}}}, SchemaError, "column a.b"),
        ({"\ud800": 1}, SchemaError, "half of a surrogate pair"),
        ({"a": {str(i): "\udfff" for i in range(300)}}, SchemaError, "surrogates"),
        ({"a": [["\ud800"], 1]}, SchemaError, "surrogates"),
        ({"a": dt.timedelta.max}, SchemaError, "too large"),
        ({str(i): i for i in range(10_001)}, SchemaError, "more than 10000 different keys"),
        ({"a": "\ud800"}, SchemaError, "surrogates"),
        ({"a": np.datetime64(1, "ns")}, SchemaError, "finer than microseconds"),
        ({"a": pd.Timestamp(1)}, SchemaError, "finer than microseconds"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_row(rows, row, error, message):
    with pytest.raises(error, match=message) as caught:
        rows([{"z": 1}, row])

    assert caught.value.row == 2


def test_rows_after_the_first_batches_are_counted_from_the_start(rows):
    with pytest.raises(SchemaError) as caught:
        rows([{"a": 1}] * 100_000 + [{"a": object()}])

    assert caught.value.row == 100_001


def test_a_self_containing_value_is_refused(rows):
    loop: list[object] = []
    loop.append(loop)

    with pytest.raises(SchemaError, match="nested too deeply"):
        rows([{"a": loop}])


def test_items_of_a_generator_may_be_of_every_kind(rows):
    def mixed():
        yield {"a": 1}
        yield [{"a": 2}, {"a": 3}]
        yield b'{"a":4}\n{"a":5}'
        yield pa.record_batch({"a": [6]})
        yield pa.table({"a": [7]})
        yield pl.DataFrame({"a": [8]})
        yield pd.DataFrame({"a": [9]}, index=[100])
        yield [pa.record_batch({"a": [10]}), {"a": 11}]
        yield []
        yield {"a": 12}

    assert [row["a"] for row in rows(mixed())] == list(range(1, 13))
    assert {tuple(row) for row in rows(mixed())} == {("a",)}


def test_an_exception_of_the_generator_passes_through_unchanged(rows):
    failure = RuntimeError("the server is gone")

    def broken():
        yield {"a": 1}
        raise failure

    with pytest.raises(RuntimeError) as caught:
        rows(broken())

    assert caught.value is failure


def test_closing_the_batches_closes_the_generator():
    closed = []

    def endless():
        try:
            while True:
                yield {"a": 1}
        finally:
            closed.append(True)

    batches = read(endless(), expectation=Expectation(), options=ReadOptions(), workers=1)
    next(batches)
    batches.close()

    assert closed == [True]


def test_rows_given_are_not_changed(rows):
    row = {"a": 1, "b": uuid.UUID(int=1)}

    rows([row], hint={"a": pa.string()})

    assert row == {"a": 1, "b": uuid.UUID(int=1)}


def test_columns_declared_as_text_are_text_and_text_declared_as_dates_is_left_to_the_next_stage(rows):
    hint = {"a": pa.string(), "b": pa.decimal128(10, 2), "c": pa.date32()}

    assert rows([{"a": 5, "b": "1.10", "c": "soon"}], hint=hint) == [{"a": "5", "b": "1.10", "c": "soon"}]


def test_no_rows_give_no_batches(batches):
    assert batches([]) == []
    assert batches(iter(())) == []


def test_rows_without_columns_are_counted(batches):
    assert sum(batch.num_rows for batch in batches([{}, {}])) == 2


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8"), max_size=4),
    st.binary(max_size=4),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
)
nested = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b"]), nested, max_size=2), max_size=5))
def test_any_rows_come_back_equal_or_as_their_text(data):
    found = list(read(data, expectation=Expectation(), options=ReadOptions(), workers=1))

    stored = [row for batch in found for row in batch.to_pylist()]
    assert len(stored) == len(data)
    assert all(map(same, stored, data))


def same(stored, given):
    """Whether a value came back as it was, or as the text of what it was."""
    if isinstance(stored, str):
        return stored == text_of(given)
    if isinstance(given, dict):
        members = {key: item for key, item in given.items() if item is not None}
        others = {key: item for key, item in stored.items() if key not in members}
        return all(item is None for item in others.values()) and all(
            same(stored[key], item) for key, item in members.items()
        )
    if isinstance(given, list):
        return len(stored) == len(given) and all(map(same, stored, given))
    if type(given) is dt.date and isinstance(stored, dt.datetime):
        return stored == dt.datetime.combine(given, dt.time())
    return stored == given


def test_batches_say_that_their_source_has_no_types(batches):
    (batch,) = batches([{"a": 1}])

    assert batch.schema.metadata == {b"lakeload.untyped": b"1"}


def test_automatic_maps_leave_nulls_out_and_declared_ones_keep_them(rows):
    data = [{"m": {"a": 1, "b": None}}, {"m": None}, {"m": {}}]

    def stored(nesting):
        found = read(data, expectation=Expectation(nesting=nesting), options=ReadOptions(), workers=1)
        return [row["m"] for batch in found for row in batch.to_pylist()]

    assert stored(Nesting(map_keys=1)) == [[("a", 1)], None, []]
    assert stored(Nesting("map")) == [[("a", 1), ("b", None)], None, []]
    hinted = rows(data, hint={"m": pa.map_(pa.string(), pa.int64())})
    assert [row["m"] for row in hinted] == stored(Nesting("map"))


def test_nested_values_kept_as_json_keep_their_order_their_nulls_and_their_numbers():
    value = {"b": None, "a": [1.0, Decimal("1.50"), float("nan"), "é"], "at": dt.date(2024, 1, 1)}
    expectation = Expectation(nesting=Nesting("json"))
    found = read(
        [{"v": value, "n": 1}, {"v": "text"}], expectation=expectation, options=ReadOptions(), workers=1
    )

    assert next(found).to_pylist() == [
        {"v": '{"b":null,"a":[1.0,1.50,"NaN","é"],"at":"2024-01-01"}', "n": 1},
        {"v": "text", "n": None},
    ]


def test_values_below_the_deepest_level_are_compact_json():
    expectation = Expectation(nesting=Nesting(max_depth=2))
    data = [{"v": {"x": {"b": 1, "a": [None]}}}]
    found = read(data, expectation=expectation, options=ReadOptions(), workers=1)

    assert next(found).to_pylist() == [{"v": {"x": '{"a":[null],"b":1}'}}]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\0b", "", "ü", "class", "a.b"])
def test_any_key_is_a_name(rows, name):
    assert rows([{name: {name: 1}}] * 300) == [{name: {name: 1}}] * 300


def test_what_a_table_knows_is_not_inferred_again(monkeypatch):
    known = pa.schema([("id", pa.int32()), ("name", pa.string()), ("tags", pa.list_(pa.string()))])
    decoder = RowDecoder(Expectation(known=known))
    monkeypatch.setattr(decoder, "_exact", None)

    (batch,) = decoder.decode([{"id": 1, "name": "x", "tags": ["y"]}])

    assert batch.to_pylist() == [{"id": 1, "name": "x", "tags": ["y"]}]


def test_a_deep_value_is_refused_in_bounded_time_wherever_it_lies(rows):
    for make in (lambda inner: [inner], lambda inner: {"a": inner}):
        value: object = 1
        for _ in range(10_000):
            value = make(value)
        with pytest.raises(SchemaError, match="nested too deeply") as caught:
            rows([{"id": 1}, {"id": 2, "v": value}])
        assert caught.value.row == 2


def test_a_hundred_thousand_keys_in_one_object_are_a_map(rows):
    keys = {f"k{i}": i for i in range(100_000)}

    assert dict(rows([{"v": keys}])[0]["v"]) == keys


def test_a_value_of_fifty_megabytes_is_a_value(rows):
    text = "x" * (50 << 20)

    assert rows([{"v": text}, {"v": 1}]) == [{"v": text}, {"v": "1"}]
