"""Rows that do not have the types decoded so far, for tables whose contract judges them."""

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import SchemaError
from lakeload.model.rejection import SOURCE_ROW
from lakeload.model.text import text_of
from lakeload.sources.decode.expectation import Expectation
from lakeload.sources.decode.rows import RowDecoder


def apart(*parts, known=None, hint=None):
    """The batches of each part, as (types, rows) with the row numbers."""
    expectation = Expectation(
        dict(hint or {}).get, known=known and pa.schema(list(known.items())), apart=True
    )
    decoder = RowDecoder(expectation)
    found, before = [], 0
    for part in parts:
        found = decoder.decode(part, before)
        before += len(part)
    return [
        (
            {field.name: str(field.type) for field in batch.schema if field.name != SOURCE_ROW},
            {row.pop(SOURCE_ROW, None): row for row in batch.to_pylist()},
        )
        for batch in found
    ]


def test_rows_that_fit_come_in_one_batch_without_numbers():
    assert apart([{"a": 1}, {"a": None}]) == [({"a": "int64"}, {None: {"a": None}})]


def test_rows_of_other_types_come_apart_with_their_numbers_in_the_source():
    found = apart([{"a": 1}] * 5, [{"a": 2}, {"a": "x"}, {"a": 3}, {"a": "y"}])

    assert found == [
        ({"a": "int64"}, {6: {"a": 2}, 8: {"a": 3}}),
        ({"a": "string"}, {7: {"a": "x"}, 9: {"a": "y"}}),
    ]


def test_rows_that_stray_differently_do_not_share_a_batch_that_would_change_them():
    found = apart([{"a": 1}], [{"a": "x"}, {"a": [1]}, {"a": {"b": 1}}, {"a": True}, {"a": 1.5}])

    assert sorted(kinds["a"] for kinds, _ in found) == [
        "bool",
        "double",
        "list<item: int64>",
        "string",
        "struct<b: int64>",
    ]


def test_strays_in_different_columns_share_a_batch_unless_one_is_text_by_the_other():
    known = {"a": pa.int64(), "b": pa.int64()}
    found = apart([{"a": "x", "b": 1}, {"a": 1, "b": "y"}, {"a": "z", "b": 2}], known=known)

    assert found == [
        ({"a": "string", "b": "int64"}, {1: {"a": "x", "b": 1}, 3: {"a": "z", "b": 2}}),
        ({"a": "int64", "b": "string"}, {2: {"a": 1, "b": "y"}}),
    ]


def test_new_columns_and_members_are_learned_and_no_reason_to_come_apart():
    found = apart([{"a": {"x": 1}}], [{"a": {"y": "s"}, "b": [1]}])

    assert found == [
        (
            {"a": "struct<x: int64, y: string>", "b": "list<item: int64>"},
            {None: {"a": {"x": None, "y": "s"}, "b": [1]}},
        )
    ]


def test_news_that_disagree_come_apart_by_what_was_first():
    found = apart([{"a": 1}], [{"a": 2, "n": 1}, {"a": 3, "n": "x"}, {"a": 4, "n": 2}])

    assert {number: row for _, rows in found for number, row in rows.items()} == {
        2: {"a": 2, "n": 1},
        3: {"a": 3, "n": "x"},
        4: {"a": 4, "n": 2},
    }
    assert [kinds["n"] for kinds, _ in found] == ["int64", "string"]


def test_the_first_batch_comes_apart_too():
    found = apart([{"a": 1}, {"a": "x"}, {"a": 2}])

    assert {number: row["a"] for _, rows in found for number, row in rows.items()} == {1: 1, 2: "x", 3: 2}


@pytest.mark.parametrize(
    ("known", "value", "fits"),
    [
        (pa.int64(), 1.0, False),
        (pa.int64(), True, False),
        (pa.int64(), 2**63, False),
        (pa.int32(), 2**40, True),
        (pa.float64(), 1, True),
        (pa.float64(), 2**53 + 1, False),
        (pa.string(), 1, False),
        (pa.decimal128(18, 2), Decimal("1.5"), True),
        (pa.decimal128(18, 2), Decimal("1.555"), False),
        (pa.decimal128(18, 2), 7, True),
        (pa.list_(pa.int64()), [], True),
        (pa.list_(pa.int64()), [1, "x"], False),
        (pa.list_(pa.struct([("x", pa.int64())])), [{"x": 1}, {"y": 1}], True),
        (pa.list_(pa.struct([("x", pa.int64())])), [{"x": 1}, {"x": "1"}], False),
        (pa.map_(pa.string(), pa.int64()), {"new": 1}, True),
        (pa.map_(pa.string(), pa.int64()), {"new": "x"}, False),
        (pa.timestamp("us", "UTC"), "2024-01-01T00:00:00Z", True),
    ],
)
def test_what_fits_a_type_a_table_has(known, value, fits):
    found = apart([{"v": None}, {"v": value}], known={"v": known})

    assert len(found) == (1 if fits else 2)


def test_columns_declared_as_text_take_everything():
    found = apart([{"a": "x"}, {"a": 1}, {"a": [True]}], hint={"a": pa.string()})

    assert [kinds for kinds, _ in found] == [{"a": "string"}]


def test_a_row_that_cannot_be_stored_is_refused_with_its_number():
    with pytest.raises(SchemaError) as caught:
        apart([{"a": 1}] * 3, [{"a": 1}, {"a": "x"}, {"a": {1: 2}}])

    assert caught.value.row == 6


def test_a_stray_among_many_rows_leaves_the_others_in_one_batch():
    rows = [{"id": i, "s": {"x": str(i)}} for i in range(20_000)]
    rows[12_345] = {"id": 12_345, "s": {"x": 1}}
    found = RowDecoder(Expectation(apart=True, known=pa.schema([("id", pa.int64())]))).decode(rows)
    # Nothing was known of `s`: what was first decides.
    assert [batch.num_rows for batch in found] == [19_999, 1]
    assert found[1].column(SOURCE_ROW).to_pylist() == [12_346]


scalars = st.sampled_from([None, 1, 2**60, 2**70, 1.5, True, "x", b"y", Decimal("1.5")])
columns = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=3,
)
records = st.lists(st.dictionaries(st.sampled_from("ab"), columns, max_size=2), max_size=6)


@given(st.lists(records, max_size=3))
def test_every_row_comes_once_and_none_is_changed_by_another(parts):
    decoder = RowDecoder(Expectation(apart=True))
    before = 0
    for part in parts:
        numbers = []
        for batch in decoder.decode(part, before):
            plain = batch.to_pylist()
            found = [row.pop(SOURCE_ROW, number) for number, row in enumerate(plain, before + 1)]
            numbers += found
            for number, row in zip(found, plain, strict=True):
                given = part[number - before - 1]
                (alone,) = RowDecoder(Expectation()).decode([given])
                assert is_unchanged(without_nulls(row), without_nulls(alone.to_pylist()[0]), given)
        assert sorted(numbers) == list(range(before + 1, before + len(part) + 1))
        before += len(part)


def is_unchanged(found, alone, given):
    """Whether it is what the row alone would be, or, where text is stored, the text of what was given."""
    if isinstance(found, str) and not isinstance(alone, str):
        return found == text_of(given)
    if isinstance(found, dict) and isinstance(alone, dict):
        return found.keys() == alone.keys() and all(
            is_unchanged(found[key], alone[key], given[key]) for key in found
        )
    if isinstance(found, list) and isinstance(alone, list):
        return len(found) == len(alone) and all(map(is_unchanged, found, alone, given))
    return found == alone


@pytest.mark.parametrize("value", [[1, "x"], [[1], 2], {"a": [1.5, True]}, [10**50], {"a": {"b": 10**50}}])
def test_nested_values_of_several_kinds_have_the_same_text_beside_text_and_later(value):
    (together,) = RowDecoder(Expectation()).decode([{"a": "x"}, {"a": value}])
    known = RowDecoder(Expectation(apart=True, known=pa.schema([("a", pa.string())])))
    (later,) = (batch for batch in known.decode([{"a": value}]) if batch.num_rows)

    assert later.column("a").to_pylist() == together.column("a").to_pylist()[1:]


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value
