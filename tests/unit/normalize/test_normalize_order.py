"""The order of rows never shows: neither in the types columns get, nor in the values they hold.

Batches of every type come in two orders. Rows that came before a type widened are carried into it, as the
writer does with those it holds and those in its files.
"""

import datetime as dt
import decimal
import json

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeload.model.table import TableSpec
from lakeload.normalize.normalizer import Normalizer
from lakeload.write.conform import convert

NOW = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)

LEAVES = {
    pa.bool_(): st.booleans(),
    pa.int32(): st.integers(-5, 5),
    pa.int64(): st.sampled_from([0, 7, 2**53, 2**53 + 1, -(2**63)]),
    pa.uint64(): st.sampled_from([1, 2**64 - 1]),
    pa.float32(): st.sampled_from([0.5, 1.0, float(2**30)]),
    pa.float64(): st.sampled_from([0.1, 1.0, -0.0, 1e300, float(2**60), float("inf")]),
    pa.decimal128(6, 2): st.sampled_from([decimal.Decimal("1.50"), decimal.Decimal(2)]),
    pa.decimal128(38, 30): st.just(decimal.Decimal("0.1")),
    pa.string(): st.sampled_from(["1", "x", ""]),
    pa.binary(): st.sampled_from([b"x", b"\xff"]),
    pa.date32(): st.sampled_from([dt.date(2024, 5, 1)]),
    pa.timestamp("us"): st.sampled_from([dt.datetime(2024, 5, 1), dt.datetime(2024, 5, 1, 10)]),
    pa.timestamp("us", "UTC"): st.just(NOW),
}
kinds = st.recursive(
    st.sampled_from(list(LEAVES)),
    lambda inner: (
        inner.map(lambda kind: pa.list_(pa.field("element", kind)))
        | inner.map(lambda kind: pa.map_(pa.string(), kind))
        | st.dictionaries(st.sampled_from("ab"), inner, min_size=1).map(lambda d: pa.struct(list(d.items())))
    ),
    max_leaves=3,
)


def values(kind):
    if kind in LEAVES:
        return LEAVES[kind]
    if pa.types.is_list(kind):
        return st.lists(values(kind.value_type), min_size=1, max_size=2)
    if pa.types.is_map(kind):
        inner = values(kind.item_type)
        return st.dictionaries(st.sampled_from("ab"), inner, min_size=1).map(lambda d: list(d.items()))
    return st.fixed_dictionaries({field.name: values(field.type) for field in kind})


columns = kinds.flatmap(
    lambda kind: st.lists(values(kind), min_size=1, max_size=2).map(
        lambda rows: pa.array([*rows, None], kind)
    )
)


def loaded(columns):
    """Type and values of the one column after all batches, by the number of the batch."""
    normalizer = Normalizer(
        TableSpec("t", load_columns=False), formats=("iceberg",), state=None, load_id="l", loaded_at=NOW
    )
    found = []
    for i, column in columns:
        shaped = normalizer.apply(pa.record_batch({"c": column})).batch
        found = [(k, convert(batch, normalizer.schema)) for k, batch in found]
        found.append((i, shaped))
    rows = {i: [loose(value) for value in batch.column(0).to_pylist()] for i, batch in found}
    return canonical(normalizer.schema.field("c").type), rows


def canonical(kind):
    if pa.types.is_struct(kind):
        return ("struct", tuple(sorted((field.name, canonical(field.type)) for field in kind)))
    if pa.types.is_list(kind):
        return ("list", canonical(kind.value_type))
    if pa.types.is_map(kind):
        return ("map", canonical(kind.item_type))
    return str(kind)


def loose(value):
    """The value without what the order may change: which members were text before the whole became text."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        return loose(json.loads(value, parse_float=str, parse_int=str))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return {name: loose(item) for name, item in value.items() if item is not None}
    return [loose(item) for item in value] if isinstance(value, list | tuple) else value


@settings(max_examples=100)
@given(
    st.lists(columns, min_size=2, max_size=4).flatmap(
        lambda found: st.tuples(st.just(found), st.permutations(list(enumerate(found))))
    )
)
def test_the_order_of_batches_changes_neither_type_nor_values(case):
    found, permuted = case
    assert loaded(permuted) == loaded(list(enumerate(found)))


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(list(LEAVES)), min_size=2, max_size=4, unique=True).flatmap(
        lambda chosen: st.tuples(
            *(values(kind).map(lambda v, kind=kind: pa.array([v], kind)) for kind in chosen)
        )
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_single_values_changes_neither_type_nor_text(found, random):
    numbered = list(enumerate(found))
    random.shuffle(numbered)
    assert loaded(numbered) == loaded(list(enumerate(found)))
