"""Members and elements as a reader means them, when the buffers hold more than that."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakeload.model.nested_arrays import dense, elements, members, settled
from lakeload.model.relabel import relabel
from lakeload.model.schema import children, with_children

KINDS = [
    pa.list_(pa.int64()),
    pa.large_list(pa.int64()),
    pa.list_view(pa.int64()),
    pa.large_list_view(pa.int64()),
    pa.list_(pa.int64(), 2),
]
ROWS = [[9, 9], [1, 2], None, [3, None], [8, 8]]
HIDING = pa.array([True, False])


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_elements_of_a_slice_know_their_row_and_place(kind):
    found = elements(pa.array(ROWS, kind).slice(1, 3))
    assert found.values.to_pylist() == [1, 2, 3, None]
    assert found.parents.to_pylist() == [0, 0, 2, 2]
    assert found.positions.to_pylist() == [0, 1, 0, 1]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_column_without_rows_or_without_lists_has_no_elements(kind):
    for array in (pa.array(ROWS, kind).slice(0, 0), pa.nulls(3, kind), pa.array([], kind)):
        assert elements(array).values.to_pylist() == elements(array).parents.to_pylist() == []
        assert dense(array)[0].to_pylist() == [0] * (len(array) + 1)


@pytest.mark.parametrize(
    "hidden",
    [
        pa.ListArray.from_arrays(pa.array([0, 2, 4], pa.int32()), pa.array([1, 2, 3, 4]), mask=HIDING),
        pa.LargeListArray.from_arrays(pa.array([0, 2, 4]), pa.array([1, 2, 3, 4]), mask=HIDING),
        pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3, 4]), 2, mask=HIDING),
        pa.ListViewArray.from_arrays(
            pa.array([0, 2], pa.int32()), pa.array([2, 2], pa.int32()), pa.array([1, 2, 3, 4]), mask=HIDING
        ),
    ],
    ids=lambda array: str(array.type),
)
def test_elements_beneath_a_null_list_are_none(hidden):
    found = elements(hidden)
    assert (found.values.to_pylist(), found.parents.to_pylist()) == ([3, 4], [1, 1])
    assert found.positions.to_pylist() == [0, 1]


def test_views_may_overlap_and_go_backwards():
    views = pa.ListViewArray.from_arrays(
        pa.array([2, 0, 1], pa.int32()), pa.array([1, 2, 2], pa.int32()), pa.array([1, 2, 3])
    )
    found = elements(views)
    assert found.values.to_pylist() == [3, 1, 2, 2, 3]
    assert found.parents.to_pylist() == [0, 1, 1, 2, 2]


def test_members_are_null_where_the_struct_is_whatever_lies_beneath():
    inner = pa.array([[1], [2], [3]])
    struct = pa.StructArray.from_arrays(
        [pa.array([1, 2, 3]), inner], names=["a", "a"], mask=pa.array([False, True, False])
    )
    assert [column.to_pylist() for column in members(struct)] == [[1, None, 3], [[1], None, [3]]]
    assert [column.to_pylist() for column in members(struct.slice(1))] == [[None, 3], [None, [3]]]


def test_members_that_have_no_place_for_nulls_survive_null_structs():
    """Arrow's own flattening raises on run ends and aborts the process on unions."""
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([1, 2]))
    union = pa.UnionArray.from_sparse(pa.array([0, 0, 0], pa.int8()), [pa.array([1, 2, 3])])
    struct = pa.StructArray.from_arrays(
        [runs, union, pa.nulls(3)], names=["r", "u", "n"], mask=pa.array([True, False, False])
    )
    runs, union, nulls = members(struct)
    assert runs.to_pylist() == [None, 1, 2]
    assert pa.types.is_union(union.type)
    assert nulls.to_pylist() == [None] * 3


def test_nothing_is_null_in_required_members_of_objects_that_are_null():
    leaf = pa.field("n", pa.int64(), nullable=False)
    deep = pa.struct(
        [
            leaf,
            pa.field("list", pa.list_(pa.field("element", pa.struct([leaf]))), nullable=False),
            pa.field("map", pa.map_(pa.string(), pa.struct([leaf])), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("inner", pa.struct([leaf]), nullable=False),
            pa.field("maybe", pa.struct([leaf])),
        ]
    )
    one = {"n": 1, "list": [{"n": 2}, None], "map": [("a", {"n": 3})], "text": "t", "inner": {"n": 4}}
    values = [None, one | {"maybe": None}, one | {"maybe": {"n": 5}}, None]
    loose = pa.array([None, *values], _optional(deep)).slice(1)
    array = settled(relabel(loose, deep))
    assert array.type == deep
    assert array.to_pylist() == values
    array.validate(full=True)
    pq.write_table(pa.table({"x": array}), pa.BufferOutputStream())


def test_a_null_in_a_required_member_of_an_object_that_is_there_is_left():
    kind = pa.struct([pa.field("n", pa.int64(), nullable=False)])
    array = settled(relabel(pa.array([{"n": None}, {"n": 1}, None], _optional(kind)), kind))
    assert array.to_pylist() == [{"n": None}, {"n": 1}, None]


def _optional(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _optional(field.type)) for field in kind])
    return with_children(kind, [field.with_type(_optional(field.type)) for field in children(kind)])
