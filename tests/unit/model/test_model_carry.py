"""Values of an older type in a wider one: the same whichever way they take."""

import datetime as dt
import decimal
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import SchemaError
from lakeload.model.carry import carry
from lakeload.model.maps import struct_to_map
from lakeload.model.relabel import relabel
from lakeload.model.schema import assign_ids
from lakeload.model.types import map_type, widen
from lakeload.normalize.nested import conversion

EXACT = 2**53

LEAVES = {
    pa.bool_(): st.booleans(),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-EXACT, EXACT),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.float64(): st.floats(allow_nan=False),
    pa.decimal128(12, 2): st.decimals(-(10**10), 10**10, places=2).filter(lambda d: abs(d) < 10**10),
    pa.string(): st.text(max_size=4) | st.sampled_from(["1", "true", "null", "{}"]),
    pa.binary(): st.binary(max_size=4),
    pa.date32(): st.dates(),
    pa.timestamp("us"): st.datetimes() | st.dates().map(lambda d: dt.datetime(d.year, d.month, d.day)),
    pa.timestamp("us", "UTC"): st.datetimes(dt.datetime(2, 1, 1), timezones=st.just(dt.UTC)),
}


def values(kind):
    if kind in LEAVES:
        return LEAVES[kind]
    if pa.types.is_list(kind):
        return st.lists(st.none() | values(kind.value_type), max_size=3)
    if pa.types.is_map(kind):
        keys = values(kind.key_type)
        return st.dictionaries(keys, st.none() | values(kind.item_type), max_size=3).map(
            lambda d: list(d.items())
        )
    return st.fixed_dictionaries({field.name: st.none() | values(field.type) for field in kind})


kinds = st.recursive(
    st.sampled_from(list(LEAVES)),
    lambda inner: (
        inner.map(lambda kind: pa.list_(pa.field("element", kind)))
        | inner.map(lambda kind: pa.map_(pa.string(), kind))
        | inner.map(lambda kind: pa.map_(pa.int32(), kind))
        | st.dictionaries(st.sampled_from("abc"), inner, min_size=1).map(lambda d: pa.struct(list(d.items())))
    ),
    max_leaves=4,
)
columns = kinds.flatmap(
    lambda kind: st.lists(st.none() | values(kind), max_size=4).map(lambda rows: pa.array(rows, kind))
)


def loose(value):
    """The value without the trace of its way: whether what is inside of JSON text was text before."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return loose(json.loads(value, parse_float=str, parse_int=str))
        except ValueError:
            return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return {key: loose(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [loose(item) for item in value]
    return value


def test_loose_sees_a_different_value():
    assert loose('{"a":1}') == loose('{"a":"1"}') != loose('{"a":"2"}')


@given(columns, kinds, kinds)
def test_values_are_the_same_whichever_types_lay_between(array, second, third):
    between = widen(array.type, second, text=True)
    last = widen(between, third, text=True)
    direct = carry(array, last, "c")
    direct.validate(full=True)
    assert direct.type == last
    through = carry(carry(array, between, "c"), last, "c")
    assert loose(through.to_pylist()) == loose(direct.to_pylist())


@given(columns, kinds)
def test_rows_that_come_and_rows_that_were_written_become_the_same(array, other):
    wide = widen(array.type, other, text=True)
    convert = conversion(array.type, wide, ("c",))
    came = array if convert is None else convert(array)
    written = carry(array, wide, "c")
    assert relabel(came, wide).to_pylist() == written.to_pylist()


@given(columns.filter(lambda column: len(column) > 1), kinds, st.data())
def test_slices_become_slices(array, other, data):
    start = data.draw(st.integers(0, len(array)))
    wide = widen(array.type, other, text=True)
    assert carry(array.slice(start), wide, "c").to_pylist() == carry(array, wide, "c").to_pylist()[start:]


objects = st.dictionaries(st.sampled_from("abc"), kinds, min_size=1).map(lambda d: pa.struct(list(d.items())))


@given(
    objects.flatmap(lambda kind: st.lists(st.none() | values(kind)).map(lambda rows: pa.array(rows, kind)))
)
def test_maps_made_ahead_of_types_are_those_their_types_widen_to(array):
    made = struct_to_map(array)
    kind = map_type(array.type)
    assert made.type.item_type == kind.item_type
    assert made.to_pylist() == carry(array, kind, "c").to_pylist()


def test_whole_numbers_no_double_holds_make_text_of_a_map():
    made = struct_to_map(pa.array([{"a": 2**60, "b": 0.5}]))
    assert made.to_pylist() == [[("a", str(2**60)), ("b", "0.5")]]
    assert struct_to_map(pa.array([{"a": None}, None], pa.struct([("a", pa.null())]))).to_pylist() == [
        [],
        None,
    ]


def test_members_are_matched_by_id_and_below_a_map_by_name():
    inner = pa.struct([("x", pa.int32()), ("y", pa.int32())])
    schema, _ = assign_ids(pa.schema([("s", pa.struct([("a", inner), ("b", inner)]))]))
    kind = schema.field("s").type
    array = pa.array([{"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": None}}], kind)
    assert carry(array, map_type(kind), "s").to_pylist() == [
        [("a", {"x": 1, "y": 2}), ("b", {"x": 3, "y": None})]
    ]
    renamed = pa.struct([field.with_name(field.name.upper()) for field in kind])
    assert list(carry(array, renamed, "s").to_pylist()[0]) == ["A", "B"]
    assert carry(array, renamed, "s").to_pylist()[0]["A"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array([2**53 + 1]), pa.float64()),
        (pa.array([decimal.Decimal("1.25")]), pa.decimal128(5, 1)),
        (pa.array([[2**60]]), pa.list_(pa.float64())),
        (pa.array([2**62], pa.timestamp("us")), pa.string()),
    ],
)
def test_values_that_do_not_survive_are_refused_with_their_column(array, kind):
    with pytest.raises(SchemaError) as caught:
        carry(array, kind, "c")
    assert caught.value.column.split(".")[0] == "c"
