from __future__ import annotations

from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.normalize.casts import no_number, number_of_text
from lakeload.normalize.coerce import Misfit
from lakeload.normalize.nested import conversion

KINDS = [
    pa.int64(),
    pa.int32(),
    pa.float64(),
    pa.decimal128(10, 2),
    pa.decimal128(38, 0),
    pa.decimal128(38, 38),
]


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        ("007", pa.int64(), 7),
        ("1e3", pa.int64(), 1000),
        ("-9223372036854775808", pa.int64(), -(1 << 63)),
        ("1.000", pa.int32(), 1),
        ("0.1", pa.float64(), 0.1),
        ("43.420273000000009", pa.float64(), 43.42027300000001),
        ("1.10", pa.float64(), 1.1),
        ("9007199254740992", pa.float64(), 2.0**53),
        ("0.1", pa.float32(), pa.scalar(0.1, pa.float32()).as_py()),
        ("-Infinity", pa.float64(), float("-inf")),
        ("1.100000", pa.decimal128(4, 2), Decimal("1.10")),
        ("1e3", pa.decimal128(10, 2), Decimal(1000)),
        ("9" * 38, pa.decimal128(38, 0), Decimal("9" * 38)),
        ("0." + "9" * 38, pa.decimal128(38, 38), Decimal("0." + "9" * 38)),
    ],
)
def test_text_is_read_as_exactly_the_number_it_says(text: str, kind: pa.DataType, number: object) -> None:
    assert number_of_text(pa.array([None, text]), kind).to_pylist() == [None, number]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (str(2**128 + 5), pa.decimal128(10, 2)),
        (str(2**256 + 5), pa.decimal128(38, 0)),
        ("1e40", pa.decimal128(38, 0)),
        ("2.555", pa.decimal128(38, 2)),
        ("1" + "0" * 36, pa.decimal128(38, 2)),
        ("9007199254740993", pa.float64()),
        ("1e400", pa.float64()),
        ("1e-400", pa.float64()),
        ("0.12345678901234567", pa.float64()),
        ("16777217", pa.float32()),
        ("1e39", pa.float32()),
        ("0x1f", pa.int64()),
        (str(2**63), pa.int64()),
        (str(2**31), pa.int32()),
        ("1.5", pa.int64()),
        ("nan", pa.decimal128(10, 2)),
        *((text, kind) for text in ("", " 1", "1_0", "٣", "1,5", "--1", "1e", ".") for kind in KINDS[:4]),
    ],
)  # fmt: skip
def test_text_that_would_change_is_refused(text: str, kind: pa.DataType) -> None:
    with pytest.raises(pa.ArrowInvalid):
        number_of_text(pa.array(["1", text]), kind)
    assert no_number(pa.array(["1", None, text]), kind).to_pylist() == [False, False, True]


@given(
    st.one_of(
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.decimals(allow_nan=False, allow_infinity=False).map(str),
        st.from_regex(r"[+-]?[0-9]{0,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
        st.text(max_size=5),
    ),
    st.sampled_from(KINDS),
)
def test_what_is_read_has_the_value_of_the_text(text: str, kind: pa.DataType) -> None:
    try:
        number = number_of_text(pa.array([text]), kind)[0].as_py()
    except pa.ArrowInvalid:
        return
    try:
        exact = Decimal(text)
    except InvalidOperation:
        assert not pa.types.is_decimal(kind)
        return
    forms = (
        (Decimal(repr(number)), Decimal(f"{number:.17g}"), Decimal(number))
        if isinstance(number, float)
        else (number,)
    )
    assert exact in forms or not exact.is_finite()


@pytest.mark.parametrize("shape", ["list", "struct", "map"])
def test_text_in_nested_values_is_as_exact(shape: str) -> None:
    def inside(kind: pa.DataType) -> pa.DataType:
        return {
            "list": pa.list_(kind),
            "struct": pa.struct([("x", kind)]),
            "map": pa.map_(pa.string(), kind),
        }[shape]

    value = {"list": ["1.5", "1e400"], "struct": {"x": "1e400"}, "map": [("k", "1e400")]}[shape]
    wanted = inside(pa.float64())
    convert = conversion(inside(pa.string()), wanted, ("c",), given=wanted)
    assert convert is not None
    with pytest.raises(Misfit):
        convert(pa.array([value], inside(pa.string())))


def test_a_double_becomes_the_decimal_it_is_written_as() -> None:
    convert = conversion(pa.float64(), pa.decimal128(38, 30), ("c",))
    assert convert is not None
    assert convert(pa.array([0.1, None])).to_pylist() == [Decimal("0.1"), None]
