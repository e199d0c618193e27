import datetime as dt
import decimal
import json
import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.model.schema import assign_ids
from lakeload.model.values import (
    from_json,
    schema_from_text,
    schema_to_text,
    to_json,
)

UTC = dt.UTC

cases = st.one_of(
    st.tuples(st.just(pa.bool_()), st.booleans()),
    st.tuples(st.just(pa.int64()), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(pa.float64()), st.floats()),
    st.tuples(st.just(pa.float32()), st.floats(width=32)),
    st.tuples(st.just(pa.string()), st.text()),
    st.tuples(st.just(pa.binary()), st.binary()),
    st.tuples(st.just(pa.date32()), st.dates()),
    st.tuples(st.just(pa.time64("us")), st.times().map(lambda found: found.replace(fold=0))),
    st.tuples(st.just(pa.timestamp("us")), st.datetimes().map(lambda found: found.replace(fold=0))),
    st.tuples(
        st.just(pa.timestamp("us", "UTC")),
        st.datetimes(timezones=st.just(UTC)).map(lambda found: found.replace(fold=0)),
    ),
    st.tuples(st.just(pa.decimal128(38, 9)), st.decimals(allow_nan=False, allow_infinity=False, places=9)),
    st.tuples(st.just(pa.list_(pa.date32())), st.lists(st.dates() | st.none())),
    st.tuples(st.just(pa.map_(pa.string(), pa.binary())), st.lists(st.tuples(st.text(), st.binary()))),
    st.tuples(
        st.just(pa.struct([("a", pa.binary()), ("b", pa.list_(pa.float64()))])),
        st.fixed_dictionaries({"a": st.binary() | st.none(), "b": st.lists(st.floats())}).map(
            lambda found: {"a": found["a"], "b": found["b"]}
        ),
    ),
)


@given(cases)
def test_every_value_comes_back_exactly_through_json(case):
    kind, value = case
    text = json.dumps(to_json(value, kind), allow_nan=False)
    assert repr(from_json(json.loads(text), kind)) == repr(value)


def test_null_is_null_in_every_type():
    assert to_json(None, pa.decimal128(3, 1)) is None
    assert from_json(None, pa.timestamp("us")) is None


def test_decimals_keep_their_trailing_zeros_and_never_use_exponents():
    assert to_json(decimal.Decimal("1E+3"), pa.decimal128(10, 0)) == "1000"
    assert str(from_json("1.10", pa.decimal128(10, 2))) == "1.10"


def test_an_aware_timestamp_of_another_zone_is_written_in_utc():
    berlin = dt.datetime(2024, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    assert to_json(berlin, pa.timestamp("us", "UTC")) == "2024-01-01T00:00:00.000000+00:00"


def test_special_floats_are_text():
    assert [to_json(x, pa.float64()) for x in (math.nan, math.inf, -math.inf)] == [
        "NaN",
        "Infinity",
        "-Infinity",
    ]


def test_a_type_without_json_form_is_refused():
    with pytest.raises(TypeError, match="duration"):
        to_json(dt.timedelta(1), pa.duration("us"))


def test_a_schema_comes_back_with_ids_nullability_and_metadata():
    schema, _ = assign_ids(
        pa.schema(
            [
                pa.field("a", pa.int32(), nullable=False, metadata={"k": "ü"}),
                ("b", pa.list_(pa.struct([pa.field("x", pa.decimal128(5, 2), nullable=False)]))),
                ("c", pa.map_(pa.string(), pa.timestamp("us", "UTC"))),
            ],
            metadata={"m": "1"},
        )
    )
    assert schema_from_text(schema_to_text(schema)).equals(schema, check_metadata=True)


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!"])
def test_text_that_is_no_schema_is_refused(text):
    with pytest.raises(ValueError):
        schema_from_text(text)
