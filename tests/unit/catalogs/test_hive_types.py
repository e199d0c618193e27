"""Every type a column can have has a word in Hive's language, at any depth."""

from __future__ import annotations

import pyarrow as pa
import pytest

import lakeload as ll
from lakeload.catalogs.hive_types import columns, hive_type

LEAVES = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.decimal128(38, 0): "decimal(38,0)",
    pa.decimal128(10, 2): "decimal(10,2)",
    pa.string(): "string",
    pa.large_string(): "string",
    pa.string_view(): "string",
    pa.binary(): "binary",
    pa.binary(16): "binary",
    pa.binary_view(): "binary",
    pa.date32(): "date",
    pa.timestamp("us"): "timestamp",
    pa.timestamp("us", "UTC"): "timestamp",
    pa.time64("us"): "string",
    pa.uuid(): "string",
}


@pytest.mark.parametrize(("kind", "expected"), LEAVES.items(), ids=str)
def test_leaf_type_has_a_word_alone_and_inside(kind: pa.DataType, expected: str) -> None:
    assert hive_type(kind) == expected
    assert hive_type(pa.list_(kind)) == f"array<{expected}>"
    assert hive_type(pa.struct([("a", kind), ("b", kind)])) == f"struct<a:{expected},b:{expected}>"
    assert hive_type(pa.map_(pa.string(), kind)) == f"map<string,{expected}>"


def test_nesting_three_deep_is_written_without_spaces() -> None:
    kind = pa.map_(pa.int32(), pa.list_(pa.struct([("x", pa.list_(pa.decimal128(5, 1)))])))
    assert hive_type(kind) == "map<int,array<struct<x:array<decimal(5,1)>>>>"


@pytest.mark.parametrize("kind", [pa.large_list(pa.int8()), pa.list_(pa.int8(), 3), pa.list_view(pa.int8())])
def test_every_arrow_list_is_an_array(kind: pa.DataType) -> None:
    assert hive_type(kind) == "array<tinyint>"


def test_columns_keep_order_and_case() -> None:
    schema = pa.schema([("Zeta", pa.int64()), ("alpha", pa.string())])
    assert columns(schema) == (("Zeta", "bigint"), ("alpha", "string"))


def test_type_without_a_word_is_refused_with_the_column() -> None:
    with pytest.raises(ll.SchemaError) as caught:
        columns(pa.schema([("ok", pa.int64()), ("wait", pa.duration("us"))]))
    assert caught.value.column == "wait"
    assert "duration" in str(caught.value)
