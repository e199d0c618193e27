from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
from arrow_data import samples
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import SchemaError
from lakeload.model.schema import assign_ids, without_ids
from lakeload.write.conform import admit, convert, narrower, row_bytes, unify


def one(values, kind):
    return pa.record_batch({"c": pa.array(values, kind)})


@pytest.mark.parametrize(
    ("values", "old", "new", "expected"),
    [
        ([1, None], pa.int32(), pa.int64(), [1, None]),
        ([2**53], pa.int64(), pa.float64(), [float(2**53)]),
        ([1], pa.int64(), pa.decimal128(20, 2), [Decimal("1.00")]),
        ([Decimal("1.5")], pa.decimal128(5, 1), pa.decimal128(20, 1), [Decimal("1.5")]),
        ([dt.date(2024, 1, 2)], pa.date32(), pa.timestamp("us"), [dt.datetime(2024, 1, 2)]),
        ([1.5], pa.float32(), pa.float64(), [1.5]),
        ([[1], None, []], pa.list_(pa.int32()), pa.list_(pa.int64()), [[1], None, []]),
        (
            [{"a": 1}, None],
            pa.struct([("a", pa.int32())]),
            pa.struct([("b", pa.string()), ("a", pa.int64())]),
            [{"b": None, "a": 1}, None],
        ),
        (
            [[("k", 1)], None],
            pa.map_(pa.string(), pa.int32()),
            pa.map_(pa.string(), pa.int64()),
            [[("k", 1)], None],
        ),
    ],
)
def test_widening_keeps_every_value(values, old, new, expected):
    schema = pa.schema([("c", new)])
    assert convert(one(values, old), schema).column(0).to_pylist() == expected
    padded = one([*values[:1], *values], old).slice(1)
    assert convert(padded, schema).column(0).to_pylist() == expected


@pytest.mark.parametrize(
    ("values", "old", "new"),
    [
        ([2**53 + 1], pa.int64(), pa.float64()),
        ([10**6], pa.int64(), pa.decimal128(6, 2)),
        ([[2**53 + 1]], pa.list_(pa.int64()), pa.list_(pa.float64())),
        (["x"], pa.string(), pa.int64()),
    ],
)
def test_value_that_does_not_survive_is_refused_by_name(values, old, new):
    with pytest.raises(SchemaError, match=r"cannot turn .* \(column c"):
        convert(one(values, old), pa.schema([("c", new)]))


def test_columns_are_matched_by_field_id_before_name():
    old, last = assign_ids(pa.schema([("a", pa.int64()), ("s", pa.struct([("x", pa.int64())]))]))
    rows = pa.record_batch([pa.array([1]), pa.array([{"x": 2}], old.field("s").type)], schema=old)
    inner = old.field("s").type.field("x").with_name("y")
    new, _ = assign_ids(
        pa.schema(
            [
                pa.field("a", pa.string()),
                old.field("a").with_name("b"),
                old.field("s").with_type(pa.struct([pa.field("x", pa.string()), inner])),
            ]
        ),
        last,
    )
    assert convert(rows, new).to_pylist() == [{"a": None, "b": 1, "s": {"x": None, "y": 2}}]


def test_required_column_without_values_is_refused():
    with pytest.raises(SchemaError, match="required column"):
        convert(one([1], pa.int64()), pa.schema([pa.field("r", pa.int64(), nullable=False)]))


@given(samples(most_rows=6), st.integers(0, 5))
def test_conversion_to_the_same_schema_changes_nothing(sample, start):
    schema, _ = assign_ids(sample.stored.schema)
    batch = sample.stored.slice(start).combine_chunks().to_batches()
    for rows in batch:
        assert repr(convert(rows, schema).to_pylist()) == repr(rows.to_pylist())


@pytest.mark.parametrize(
    "columns",
    [
        {"a": pa.array([1], pa.int32()), "b": pa.array(["x"])},
        {"a": pa.array([1.0]), "b": pa.array(["x"])},
        {"b": pa.array(["x"]), "a": pa.array([1])},
        {"a": pa.array([1])},
        {"a": pa.array([1]), "b": pa.array(["x"]), "c": pa.array([1])},
        {"a": pa.array([1]), "b": pa.array([b"x"])},
    ],
)
def test_rows_of_another_schema_are_refused_at_the_door(columns):
    schema, _ = assign_ids(pa.schema([("a", pa.int64()), ("b", pa.string())]))
    with pytest.raises(SchemaError):
        admit(pa.record_batch(columns), schema)


def test_text_layouts_pass_without_a_copy():
    schema, _ = assign_ids(pa.schema([("c", pa.string())]))
    for kind in (pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        column = pa.array(["a", "b"]).cast(kind)
        admitted = admit(pa.record_batch({"c": column}), schema).column(0)
        assert admitted.type == kind
        assert admitted.buffers()[1].address == column.buffers()[1].address


def test_text_layouts_inside_nested_columns_become_plain():
    schema, _ = assign_ids(pa.schema([("c", pa.struct([("s", pa.list_(pa.string()))]))]))
    given_rows = pa.record_batch(
        {"c": pa.array([{"s": ["x"]}], pa.struct([("s", pa.list_(pa.large_string()))]))}
    )
    assert admit(given_rows, schema).schema.equals(schema, check_metadata=True)


def test_batches_of_different_text_layouts_join_into_one_table():
    schema, _ = assign_ids(pa.schema([("c", pa.string())]))
    batches = [
        admit(pa.record_batch({"c": pa.array(["a"]).cast(kind)}), schema)
        for kind in (pa.string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()))
    ]
    table = unify(batches, schema)
    assert table.column("c").to_pylist() == ["a"] * 3


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([("a", pa.int32())], [("a", pa.int64())], True),
        ([("a", pa.int32())], [("a", pa.int32()), ("b", pa.string())], False),
        ([("a", pa.list_(pa.int32()))], [("a", pa.list_(pa.float64()))], True),
        (
            [("a", pa.struct([("x", pa.int32())]))],
            [("a", pa.struct([("x", pa.int32()), ("y", pa.int32())]))],
            False,
        ),
        ([("a", pa.struct([("x", pa.int32())]))], [("a", pa.struct([("x", pa.int64())]))], True),
    ],
)
def test_only_a_changed_type_makes_files_of_the_old_schema_too_narrow(old, new, expected):
    assert narrower(pa.struct(old), pa.struct(new)) is expected


def test_relaxed_column_does_not_make_files_too_narrow():
    strict = pa.struct([pa.field("a", pa.int32(), nullable=False)])
    assert not narrower(strict, pa.struct([("a", pa.int32())]))


def test_size_of_a_slice_of_views_is_its_own_and_not_its_parents():
    texts = pa.array([f"a text that is longer than twelve bytes {i}" for i in range(20_000)])
    views = pa.record_batch({"c": texts.cast(pa.string_view())})
    plain = pa.record_batch({"c": texts})
    assert row_bytes(views.slice(5, 1000)) == pytest.approx(row_bytes(plain.slice(5, 1000)), rel=0.2)


def test_conversion_leaves_no_trace_of_ids_in_user_schema():
    schema, _ = assign_ids(pa.schema([("c", pa.int64())]))
    assert without_ids(convert(one([1], pa.int32()), schema).schema) == pa.schema([("c", pa.int64())])
