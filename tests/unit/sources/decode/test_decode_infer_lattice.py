"""The lattice against a model: neither the order of rows nor how they are cut changes types or values."""

import datetime as dt
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from lakeload.model.nesting import Nesting
from lakeload.sources.decode.expectation import Expectation
from lakeload.sources.decode.infer import Observed
from lakeload.sources.decode.lift import lift
from lakeload.sources.decode.rows import RowDecoder
from lakeload.sources.decode.seed import seeded

NESTING = Nesting(paths={"c.a": "json", "c.b": "map"}, max_depth=4, map_keys=3)

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 3),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1.0, 2.5]),
    st.text(st.characters(codec="utf-8"), max_size=3),
    st.binary(max_size=3),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.times(),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-99, max_value=99),
    st.sampled_from([Decimal("NaN"), Decimal(10**40), 10**40, Decimal("1E+3")]),
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcde"), inner, max_size=4),
    max_leaves=8,
)
records = st.lists(st.dictionaries(st.sampled_from("abc"), values, max_size=3), min_size=1, max_size=6)


def observed(rows: list[dict[str, Any]]) -> Observed:
    seen = Observed(NESTING)
    seen.observe(rows)
    return seen


def canonical(kind: pa.DataType) -> object:
    """A type with its members sorted: their order is that of their first appearance."""
    if pa.types.is_struct(kind):
        return {field.name: canonical(field.type) for field in sorted(kind, key=lambda field: field.name)}
    if pa.types.is_map(kind):
        return ("map", canonical(kind.item_type))
    if pa.types.is_list(kind):
        return [canonical(kind.value_type)]
    return str(kind)


def stored(rows: list[dict[str, Any]], seen: Observed) -> list[Any]:
    return [comparable(row) for row in lift(rows, seen, seen.type()).to_pylist()]


def comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    return repr(value)


@given(records, st.randoms())
def test_the_order_of_rows_changes_neither_types_nor_values(rows, random):
    order = random.sample(range(len(rows)), len(rows))
    shuffled = [rows[i] for i in order]
    one, other = observed(rows), observed(shuffled)

    assert canonical(one.type()) == canonical(other.type())
    there = stored(shuffled, other)
    assert stored(rows, one) == [there[order.index(i)] for i in range(len(rows))]


@given(records, st.lists(st.integers(0, 6), max_size=4), st.randoms())
def test_rows_cut_into_parts_give_the_type_of_the_whole_in_any_order_of_merging(rows, cuts, random):
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [observed(rows[a:b]) for a, b in pairwise(edges)]
    whole = canonical(observed(rows).type())

    forwards = Observed(NESTING)
    for part in parts:
        forwards = forwards.merge(part)
    while len(parts) > 1:
        one, other = (parts.pop(random.randrange(len(parts))) for _ in range(2))
        parts.append(one.merge(other))

    assert canonical(forwards.type()) == whole == canonical(parts[0].type())


@given(records)
def test_merging_with_itself_or_with_nothing_changes_nothing(rows):
    seen = observed(rows)

    assert seen.merge(seen).type() == seen.type() == Observed(NESTING).merge(seen).type()


@given(records, records)
def test_more_rows_never_lead_back_to_a_lesser_type(rows, more):
    seen, both = observed(rows), observed([*rows, *more])

    assert canonical(both.merge(seen).type()) == canonical(both.type())


@given(records, st.integers(1, 3))
def test_a_decoder_that_learned_bit_by_bit_decodes_as_one_that_saw_everything(rows, size):
    gradual = RowDecoder(Expectation(nesting=NESTING))
    for start in range(0, len(rows), size):
        gradual.decode(rows[start : start + size])
    (late,) = gradual.decode(rows)
    (whole,) = RowDecoder(Expectation(nesting=NESTING)).decode(rows)

    assert canonical(pa.struct(list(late.schema))) == canonical(pa.struct(list(whole.schema)))
    assert [comparable(row) for row in late.to_pylist()] == [comparable(row) for row in whole.to_pylist()]


@given(records)
def test_a_schema_learned_again_is_not_narrower_where_it_says_something(rows):
    kind = observed(rows).type()
    again = seeded(pa.schema(list(kind)), NESTING, text_only=True)

    assert canonical(again.merge(observed([])).type()) == canonical(again.type())
    for row in rows:
        RowDecoder(Expectation(nesting=NESTING, known=pa.schema(list(kind)))).decode([row])


@given(st.lists(st.one_of(st.none(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False)), min_size=1))
def test_numbers_survive_the_type_they_are_given(numbers):
    seen = Observed()
    seen.observe([{"v": number} for number in numbers])
    kind = seen.type()
    if pa.types.is_string(kind.field("v").type):
        return

    assert [row["v"] for row in lift([{"v": n} for n in numbers], seen, kind).to_pylist()] == numbers
