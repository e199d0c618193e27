from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import StorageError
from lakeload.write import thrift

ints = st.integers(-(2**31), 2**31 - 1)
scalars = st.one_of(
    st.tuples(st.just(thrift.TRUE), st.booleans()),
    st.tuples(st.just(thrift.BYTE), st.integers(0, 255)),
    st.tuples(st.sampled_from([thrift.I32, thrift.I64]), ints),
    st.tuples(st.just(thrift.I64), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(thrift.DOUBLE), st.floats(allow_nan=False)),
    st.tuples(st.just(thrift.BINARY), st.binary(max_size=200)),
    st.tuples(st.just(thrift.LIST), st.tuples(st.just(thrift.I32), st.lists(ints, max_size=20))),
    st.tuples(st.just(thrift.LIST), st.tuples(st.just(thrift.TRUE), st.lists(st.booleans(), max_size=20))),
    st.tuples(st.just(thrift.SET), st.tuples(st.just(thrift.BINARY), st.lists(st.binary(max_size=3)))),
)
numbers = st.integers(1, 400)
structures = st.recursive(
    st.dictionaries(numbers, scalars, max_size=5),
    lambda inner: st.dictionaries(
        numbers,
        st.one_of(
            scalars,
            st.tuples(st.just(thrift.STRUCT), inner),
            st.tuples(st.just(thrift.LIST), st.tuples(st.just(thrift.STRUCT), st.lists(inner, max_size=3))),
        ),
        max_size=5,
    ),
    max_leaves=20,
)


@given(structures)
def test_any_structure_survives_encoding(structure):
    assert thrift.decode(thrift.encode(structure)) == structure


@given(
    st.dictionaries(numbers, scalars, max_size=4), st.dictionaries(st.integers(401, 800), scalars, max_size=4)
)
def test_structure_written_in_two_parts_reads_as_one(head, tail):
    data = thrift.encode(head)[:-1] + thrift.encode(tail, after=max(head, default=0))
    assert thrift.decode(data) == {**head, **tail}


@given(st.lists(st.dictionaries(numbers, scalars, max_size=3), max_size=20))
def test_list_of_encoded_structures_reads_as_list(items):
    data = thrift.list_field(3, [thrift.encode(item) for item in items]) + b"\0"
    assert thrift.decode(data) == {3: (thrift.LIST, (thrift.STRUCT, items))}


def test_footer_of_another_writer_is_reproduced_byte_for_byte():
    sink = io.BytesIO()
    rows = pa.table({"a": [1, None], "b": [["x"], []], "c": [{"d": 1.5}, None]})
    pq.write_table(rows, sink, write_page_index=True, bloom_filter_options={"a": {"ndv": 2}})
    data = sink.getvalue()
    footer = data[-8 - int.from_bytes(data[-8:-4], "little") : -8]
    assert thrift.encode(thrift.decode(footer)) == footer


@pytest.mark.parametrize("data", [b"", b"\x15", b"\x18\x05ab", b"\x17\x00"])
def test_truncated_bytes_are_refused(data):
    with pytest.raises(StorageError, match="too early"):
        thrift.decode(data)


def test_unknown_kind_is_refused():
    with pytest.raises(StorageError, match="unknown Thrift kind 14"):
        thrift.decode(b"\x1e\x00")
