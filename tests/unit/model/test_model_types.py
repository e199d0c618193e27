import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import SchemaError
from lakeload.model.types import map_type, storage_type, widen

BOTH = ("delta", "iceberg")


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (pa.bool_(), pa.bool_()),
        (pa.int8(), pa.int32()),
        (pa.uint16(), pa.int32()),
        (pa.uint32(), pa.int64()),
        (pa.uint64(), pa.decimal128(20, 0)),
        (pa.float16(), pa.float32()),
        (pa.decimal32(5, 2), pa.decimal128(5, 2)),
        (pa.decimal256(38, 10), pa.decimal128(38, 10)),
        (pa.decimal128(5, -2), pa.decimal128(7, 0)),
        (pa.decimal128(3, 5), pa.decimal128(5, 5)),
        (pa.large_string(), pa.string()),
        (pa.string_view(), pa.string()),
        (pa.dictionary(pa.int8(), pa.large_string()), pa.string()),
        (pa.dictionary(pa.int8(), pa.uint8()), pa.int32()),
        (pa.binary(16), pa.binary()),
        (pa.binary_view(), pa.binary()),
        (pa.date64(), pa.date32()),
        (pa.timestamp("ns"), pa.timestamp("us")),
        (pa.timestamp("s", "Europe/Berlin"), pa.timestamp("us", "UTC")),
        (pa.uuid(), pa.string()),
        (pa.json_(), pa.string()),
        (pa.run_end_encoded(pa.int32(), pa.uint8()), pa.int32()),
        (pa.large_list(pa.uint8()), pa.list_(pa.int32())),
        (pa.list_(pa.float16(), 3), pa.list_(pa.float32())),
        (pa.list_view(pa.string_view()), pa.list_(pa.string())),
        (pa.struct([("a", pa.int8()), ("b", pa.null())]), pa.struct([("a", pa.int32())])),
        (pa.map_(pa.large_string(), pa.uint8()), pa.map_(pa.string(), pa.int32())),
    ],
)
def test_every_arrow_type_has_its_storage_type(kind, stored):
    assert storage_type(kind, BOTH) == stored


@pytest.mark.parametrize(
    "kind",
    [
        pa.null(),
        pa.struct([]),
        pa.list_(pa.null()),
        pa.struct([("a", pa.null()), ("b", pa.list_(pa.struct([])))]),
        pa.map_(pa.string(), pa.null()),
    ],
)
def test_types_that_say_nothing_yet_are_held_back(kind):
    assert storage_type(kind, BOTH) is None


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        (pa.duration("ms"), "int64"),
        (pa.month_day_nano_interval(), "text"),
        (pa.dense_union([pa.field("a", pa.int8())]), "column per type"),
        (pa.decimal256(40, 2), "38 digits"),
        (pa.decimal128(38, -2), "38 digits"),
    ],
)
def test_types_no_table_can_hold_are_refused_with_a_remedy(kind, remedy):
    with pytest.raises(SchemaError, match=remedy):
        storage_type(pa.list_(kind), BOTH)


def test_time_is_stored_by_iceberg_and_refused_where_delta_is_written():
    assert storage_type(pa.time32("s"), ("iceberg",)) == pa.time64("us")
    for formats in (("delta",), BOTH):
        with pytest.raises(SchemaError, match="ISO text"):
            storage_type(pa.time64("ns"), formats)


def test_storage_types_drop_source_metadata_and_requirements():
    source = pa.struct([pa.field("a", pa.int32(), nullable=False, metadata={"PARQUET:field_id": "7"})])
    member = storage_type(source, BOTH).field(0)
    assert member.nullable
    assert member.metadata is None


@pytest.mark.parametrize(
    ("a", "b", "wide"),
    [
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.int32(), pa.float32(), pa.float64()),
        (pa.int64(), pa.float64(), pa.float64()),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.int32(), pa.decimal128(5, 2), pa.decimal128(12, 2)),
        (pa.int64(), pa.decimal128(20, 0), pa.decimal128(20, 0)),
        (pa.decimal128(10, 2), pa.decimal128(8, 4), pa.decimal128(12, 4)),
        (pa.decimal128(38, 0), pa.decimal128(5, 2), None),
        (pa.decimal128(5, 2), pa.float64(), None),
        (pa.date32(), pa.timestamp("us"), pa.timestamp("us")),
        (pa.date32(), pa.timestamp("us", "UTC"), None),
        (pa.timestamp("us"), pa.timestamp("us", "UTC"), None),
        (pa.bool_(), pa.int32(), None),
        (pa.int32(), pa.string(), None),
        (pa.string(), pa.binary(), None),
        (pa.list_(pa.int32()), pa.list_(pa.float32()), pa.list_(pa.float64())),
        (pa.list_(pa.int32()), pa.int32(), None),
        (
            pa.map_(pa.string(), pa.int32()),
            pa.map_(pa.string(), pa.int64()),
            pa.map_(pa.string(), pa.int64()),
        ),
        (
            pa.struct([("a", pa.int32())]),
            pa.struct([("b", pa.string()), ("a", pa.int64())]),
            pa.struct([("a", pa.int64()), ("b", pa.string())]),
        ),
        (pa.struct([("a", pa.int32())]), pa.struct([("a", pa.string())]), None),
    ],
)
def test_widening_finds_the_least_common_type(a, b, wide):
    assert widen(a, b) == wide


def test_a_member_missing_on_one_side_becomes_optional():
    required = pa.struct(
        [pa.field("a", pa.int32(), nullable=False), pa.field("b", pa.int32(), nullable=False)]
    )
    wide = widen(required, pa.struct([pa.field("a", pa.int64(), nullable=False)]))
    assert [wide.field(i).nullable for i in range(2)] == [False, True]


leaves = st.sampled_from(
    [
        pa.bool_(),
        pa.int32(),
        pa.int64(),
        pa.float32(),
        pa.float64(),
        pa.string(),
        pa.binary(),
        pa.date32(),
        pa.timestamp("us"),
        pa.timestamp("us", "UTC"),
        pa.time64("us"),
    ]
) | st.integers(1, 38).flatmap(lambda p: st.integers(0, p).map(lambda s: pa.decimal128(p, s)))
types = st.recursive(
    leaves,
    lambda inner: (
        inner.map(lambda kind: pa.list_(pa.field("element", kind)))
        | inner.map(lambda kind: pa.map_(pa.string(), kind))
        | st.dictionaries(st.sampled_from("abc"), inner, min_size=1).map(lambda d: pa.struct(list(d.items())))
    ),
    max_leaves=5,
)


def canonical(kind):
    """Struct members in the order of their names: the lattice does not order them."""
    if kind is None:
        return None
    if pa.types.is_struct(kind):
        fields = sorted((kind.field(i) for i in range(kind.num_fields)), key=lambda field: field.name)
        return ("struct", tuple((field.name, canonical(field.type)) for field in fields))
    if pa.types.is_list(kind):
        return ("list", canonical(kind.value_type))
    if pa.types.is_map(kind):
        return ("map", canonical(kind.key_type), canonical(kind.item_type))
    return str(kind)


@given(types)
def test_widening_a_type_with_itself_changes_nothing(a):
    assert widen(a, a) == a
    assert storage_type(a, ("iceberg",)) == a


@given(types, types)
def test_widening_does_not_depend_on_the_order(a, b):
    assert canonical(widen(a, b)) == canonical(widen(b, a))


@given(types, types)
def test_the_wider_type_absorbs_both(a, b):
    wide = widen(a, b)
    if wide is not None:
        assert canonical(widen(wide, a)) == canonical(wide)
        assert canonical(widen(b, wide)) == canonical(wide)


@given(st.tuples(leaves, leaves, leaves) | st.tuples(types, types, types))
def test_widening_is_associative_where_both_ways_are_defined(abc):
    a, b, c = abc
    left, right = widen(a, b), widen(b, c)
    left = None if left is None else widen(left, c)
    right = None if right is None else widen(a, right)
    if left is not None and right is not None:
        assert canonical(left) == canonical(right)


STRUCT = pa.struct([("a", pa.int32())])
MAP = pa.map_(pa.string(), pa.int64())


@pytest.mark.parametrize(
    ("a", "b", "wide"),
    [
        (pa.bool_(), pa.int32(), pa.string()),
        (pa.decimal128(5, 2), pa.float64(), pa.string()),
        (pa.decimal128(38, 0), pa.decimal128(5, 2), pa.string()),
        (pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.string()),
        (pa.list_(pa.int32()), pa.int32(), pa.string()),
        (STRUCT, pa.int32(), pa.string()),
        (STRUCT, pa.list_(STRUCT), pa.string()),
        (MAP, pa.string(), pa.string()),
        (STRUCT, MAP, MAP),
        (pa.struct([("a", pa.int32()), ("b", pa.string())]), MAP, pa.map_(pa.string(), pa.string())),
        (STRUCT, pa.map_(pa.int32(), pa.int32()), pa.map_(pa.string(), pa.int32())),
        (MAP, pa.map_(pa.int32(), pa.int64()), MAP),
        (STRUCT, pa.struct([("a", pa.bool_())]), pa.struct([("a", pa.string())])),
        (pa.list_(STRUCT), pa.list_(MAP), pa.list_(MAP)),
        (pa.list_(STRUCT), pa.list_(pa.bool_()), pa.list_(pa.string())),
        (pa.int32(), pa.float32(), pa.float64()),
    ],
)
def test_with_text_everything_has_something_in_common(a, b, wide):
    assert widen(a, b, text=True) == wide
    assert widen(b, a, text=True) == wide


def test_a_map_made_of_an_object_carries_no_metadata():
    member = pa.field("x", pa.int32(), metadata={"PARQUET:field_id": "7"})
    found = map_type(pa.struct([("a", pa.struct([member])), ("b", pa.struct([member]))]))
    assert found.item_type.field(0).metadata is None
    assert map_type(MAP) == MAP


@given(types, types)
def test_with_text_the_order_of_two_does_not_matter_and_the_wider_absorbs_both(a, b):
    wide = widen(a, b, text=True)
    assert canonical(wide) == canonical(widen(b, a, text=True))
    assert canonical(widen(wide, a, text=True)) == canonical(wide)
    assert canonical(widen(b, wide, text=True)) == canonical(wide)


@given(st.tuples(leaves, leaves, leaves) | st.tuples(types, types, types))
def test_with_text_the_order_of_types_never_matters(abc):
    a, b, c = abc
    left = widen(widen(a, b, text=True), c, text=True)
    assert canonical(left) == canonical(widen(a, widen(b, c, text=True), text=True))


@given(types, types)
def test_text_is_only_reached_where_there_is_nothing_else(a, b):
    exact = widen(a, b)
    if exact is not None:
        assert canonical(widen(a, b, text=True)) == canonical(exact)


def test_values_of_a_map_keep_the_source_names_of_the_struct_it_was():
    member = pa.field("user_id", pa.int64(), metadata={"lakeload.source": "userId", "PARQUET:field_id": "7"})
    kind = map_type(pa.struct([("a", pa.struct([member])), ("b", pa.struct([member]))]))
    assert kind.item_type.field("user_id").metadata == {b"lakeload.source": b"userId"}
