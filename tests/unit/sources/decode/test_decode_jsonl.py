import datetime as dt
import json
from decimal import Decimal

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeload.errors import SchemaError, SourceError
from lakeload.sources.decode.jsonl import JsonDecoder
from lakeload.sources.read import ReadOptions, read


def decode(*blocks: bytes, hint=None):
    decoder = JsonDecoder((hint or {}).get)
    return [batch for block in blocks for batch in decoder.decode(block)]


def test_records_become_one_batch_with_nested_types():
    (batch,) = decode(b'{"id":1,"who":{"name":"a"},"tags":["x"]}\n{"id":2,"who":null}\n')

    assert batch.schema.field("who").type == pa.struct([("name", pa.string())])
    assert batch.to_pylist() == [
        {"id": 1, "who": {"name": "a"}, "tags": ["x"]},
        {"id": 2, "who": None, "tags": None},
    ]


def test_text_that_looks_like_a_date_stays_text():
    (batch,) = decode(b'{"a":"2024-01-01T00:00:00Z","b":"2024-01-01"}\n')

    assert batch.schema.types == [pa.string(), pa.string()]


def test_a_later_block_with_a_new_field_learns_it():
    first, second, third = decode(b'{"a":1}\n', b'{"a":2,"b":{"c":1}}\n', b'{"a":3}\n')

    assert first.schema.names == ["a"]
    assert second.to_pylist() == [{"a": 2, "b": {"c": 1}}]
    assert third.to_pylist() == [{"a": 3, "b": None}]


def test_a_field_that_appears_after_the_sample_within_a_block_is_kept():
    lines = [{"a": i} for i in range(5000)] + [{"a": 1, "late": [{"x": 1.5}]}]
    (batch,) = decode(msgspec.json.Encoder().encode_lines(lines))

    assert batch.num_rows == 5001
    assert batch.to_pylist()[-1] == {"a": 1, "late": [{"x": 1.5}]}


def test_blocks_whose_types_conflict_differ_in_schema_and_keep_their_values():
    first, second = decode(b'{"a":1}\n', b'{"a":"x"}\n')

    assert (first.schema.field("a").type, second.schema.field("a").type) == (pa.int64(), pa.string())


def test_a_field_that_was_null_so_far_gets_its_type():
    first, second = decode(b'{"a":null}\n', b'{"a":[{"b":1}]}\n')

    assert first.schema.field("a").type == pa.null()
    assert second.to_pylist() == [{"a": [{"b": 1}]}]


@pytest.mark.parametrize("number", [2**63, 2**64, 10**38 - 1, -(2**63) - 1])
def test_integers_beyond_64_bits_become_exact_decimals(number):
    (batch,) = decode(b'{"a":%d}\n{"a":1}\n' % number)

    assert batch.schema.field("a").type == pa.decimal128(38, 0)
    assert batch.column("a").to_pylist() == [Decimal(number), Decimal(1)]


def test_integers_beyond_64_bits_in_a_later_block_stay_exact():
    _, second = decode(b'{"a":1}\n', b'{"a":%d}\n' % 2**63)

    assert second.column("a").to_pylist() == [Decimal(2**63)]


def test_an_integer_too_large_for_any_type_is_refused_with_its_row():
    with pytest.raises(SchemaError, match="39 digits") as caught:
        decode(b'{"a":1}\n{"a":1%s}\n' % (b"0" * 38))

    assert (caught.value.row, caught.value.column) == (2, "a")


def test_integers_among_floats_become_doubles_while_exact():
    (batch,) = decode(b'{"a":9007199254740992}\n{"a":0.5}\n')

    assert batch.column("a").to_pylist() == [2.0**53, 0.5]


def test_an_integer_no_double_holds_among_floats_is_refused():
    with pytest.raises(SchemaError, match=r"2\*\*53") as caught:
        decode(b'{"a":0.5}\n{"a":9007199254740993}\n')

    assert caught.value.row == 2


def test_an_integer_no_double_holds_in_a_later_block_is_not_rounded():
    _, second = decode(b'{"a":0.5}\n', b'{"a":9007199254740993}\n')

    assert second.column("a").to_pylist() == [9007199254740993]


def test_nested_integers_no_double_holds_are_not_rounded():
    _, second = decode(b'{"a":[{"b":0.5}]}\n', b'{"a":[{"b":9007199254740993}]}\n')

    assert second.column("a").to_pylist() == [[{"b": 9007199254740993}]]


def test_large_floats_stay_doubles():
    (batch,) = decode(b'{"a":1e300}\n{"a":0.1}\n')

    assert batch.column("a").to_pylist() == [1e300, 0.1]


def test_text_in_a_column_of_large_integers_is_refused():
    with pytest.raises(SchemaError):
        decode(b'{"a":%d}\n{"a":"12"}\n' % 2**63)


def test_text_in_a_later_block_of_large_integers_stays_text():
    _, second = decode(b'{"a":%d}\n' % 2**63, b'{"a":"12"}\n')

    assert second.column("a").to_pylist() == ["12"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a":NaN}', "NaN and Infinity are not JSON"),
        (b'{"a":-Infinity}', "NaN and Infinity are not JSON"),
        (b'{"a":1,"a":2}', "'a' occurs twice"),
        (b'{"b":{"c":1,"c":2}}', "'c' occurs twice"),
        (b'{"s":"\xff"}', "invalid UTF-8"),
        (b'{"\xff":1}', "invalid UTF-8"),
        (b'{"s":"\\ud800"}', "surrogate"),
        (b'{"s":"\x00"}', "malformed JSON"),
        (b'{"a":1e999}', "out of range"),
        (b'{"a":01}', "malformed JSON"),
        (b"{'a':1}", "malformed JSON"),
        (b'{"a":1} trailing', "malformed JSON"),
        (b'{"a":1', "cut off"),
        (b"null", "expected a JSON object, found None"),
        (b"[1]", "expected a JSON object"),
        (b"3", "expected a JSON object, found 3"),
        (b'"x"', "expected a JSON object"),
        (b'{"a":' + b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
@pytest.mark.parametrize("before", [0, 3])
def test_a_bad_record_is_refused_with_its_row(line, message, before):
    good = b'{"a":0.5,"s":"x","b":{"c":1}}\n' * before

    with pytest.raises(SourceError, match=message) as caught:
        decode(good + line)

    assert caught.value.row == before + 1


def test_a_bad_record_in_a_later_piece_is_counted_from_the_start_of_the_block():
    line = b'{"a":"%s"}\n' % (b"x" * 1000)

    with pytest.raises(SourceError) as caught:
        decode(line * 5000 + b"null\n" + line)

    assert caught.value.row == 5001


def test_null_at_the_start_of_every_possible_piece_does_not_crash_the_parser():
    line = b'{"a":"%s"}\n' % (b"x" * 1000)

    with pytest.raises(SourceError, match="expected a JSON object"):
        decode(line * 1100, b"null\n" + line)


def test_values_of_unlike_kinds_in_one_block_are_refused_with_path_row_and_value():
    with pytest.raises(SchemaError) as caught:
        decode(b'{"a":{"b":[1]}}\n{"a":{"b":["x"]}}\n')

    assert (caught.value.column, caught.value.row) == ("a.b[]", 2)
    assert "'x'" in str(caught.value)


def test_nul_characters_in_text_are_kept():
    (batch,) = decode(b'{"a":"x\\u0000y"}\n')

    assert batch.column("a").to_pylist() == ["x\0y"]


def test_blank_lines_and_a_byte_order_mark_are_no_records():
    (batch,) = decode(b'\xef\xbb\xbf\n{"a":1}\r\n  \n\n{"a":2}')

    assert batch.column("a").to_pylist() == [1, 2]


def test_records_without_fields_are_counted():
    (batch,) = decode(b"{}\n{}\n")

    assert (batch.num_rows, batch.num_columns) == (2, 0)


def test_rows_of_nulls_are_told_from_null_records():
    (batch,) = decode(b'{"a":1}\n{"a":null}\n{}\n')

    assert batch.num_rows == 3


@pytest.mark.parametrize("leading", ["[null,1]", "[null,null,{}]", '[null,{"x":1}]', "[[null],[null,1]]"])
def test_leading_nulls_in_lists_keep_their_place(leading):
    line = b'{"a":%s}\n' % leading.encode()

    (batch,) = decode(line)
    batch.validate(full=True)

    assert batch.to_pylist() == [json.loads(line)]


def test_declared_timestamps_and_dates_are_parsed():
    hint = {"t": pa.timestamp("us", "UTC"), "d": pa.date32(), "c": pa.time64("us")}
    (batch,) = decode(b'{"t":"2024-01-01T02:00:00+02:00","d":"2024-01-02","c":"12:30:00"}\n', hint=hint)

    assert batch.to_pylist() == [
        {"t": dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "d": dt.date(2024, 1, 2), "c": dt.time(12, 30)}
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("yesterday", pa.timestamp("us", "UTC")),
        ("2024-01-01T00:00:00", pa.timestamp("us", "UTC")),
        ("2024-01-01T00:00:00Z", pa.timestamp("us")),
        ("2024-13-01", pa.date32()),
        ("1.234", pa.decimal128(10, 2)),
        ("25:00", pa.time64("us")),
    ],
)
def test_text_that_does_not_fit_the_declared_type_is_named(text, kind):
    with pytest.raises(SchemaError) as caught:
        decode(b'{"t":null}\n{"t":"%s"}\n' % text.encode(), hint={"t": kind})

    assert (caught.value.column, caught.value.row) == ("t", 2)
    assert text in str(caught.value)


def test_declared_decimals_take_numbers_and_text_exactly():
    lines = b'{"a":1.10}\n{"a":"2.20"}\n{"a":3}\n'
    (batch,) = decode(lines, hint={"a": pa.decimal128(10, 2)})

    assert batch.column("a").to_pylist() == [Decimal("1.10"), Decimal("2.20"), Decimal("3.00")]


def test_a_column_declared_as_text_takes_every_value_verbatim():
    lines = b'{"a":1.10}\n{"a":"x"}\n{"a":{"b": 1}}\n{"a":true}\n{"a":null}\n'
    (batch,) = decode(lines, hint={"a": pa.string()})

    assert batch.column("a").to_pylist() == ["1.10", "x", '{"b": 1}', "true", None]


def test_numbers_beyond_a_declared_double_are_left_exact_for_the_next_stage():
    (batch,) = decode(b'{"a":9007199254740993}\n', hint={"a": pa.float64()})

    assert batch.column("a").to_pylist() == [9007199254740993]


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8"), max_size=8),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.é ", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200)
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", ""]), json_values, max_size=3), max_size=8))
def test_any_records_come_back_unchanged_or_are_refused(records):
    data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    try:
        batches = list(read(data, hint=lambda _: None, options=ReadOptions(format="jsonl"), workers=1))
    except SchemaError:
        return

    found = [row for batch in batches for row in batch.to_pylist()]
    assert [dropped(row) for row in found] == [dropped(row) for row in records]


def dropped(value: object) -> object:
    """Without nulls in objects: Arrow does not tell a missing field from a null one."""
    if isinstance(value, dict):
        found = {key: dropped(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if item is not None}
    return [dropped(item) for item in value] if isinstance(value, list) else value


def test_duplicate_keys_are_refused_in_columns_declared_as_text_too():
    with pytest.raises(SourceError, match="'a' occurs twice"):
        decode(b'{"a":1,"a":2}\n', hint={"a": pa.string()})


@pytest.mark.parametrize("gap", ["", "\n", " \n\n "])
@pytest.mark.parametrize("first", ["{}", '{"a":null}', '{"a":1}'])
def test_null_in_place_of_a_record_is_refused_wherever_it_stands(gap, first):
    with pytest.raises(SourceError):
        decode(f"{first}{gap}null\n{first}\n".encode())


def test_a_column_of_numbers_declared_as_text_is_kept_verbatim():
    (batch,) = decode(b'{"a":1.10}\n{"a":007e0}\n'.replace(b"007", b"7"), hint={"a": pa.string()})

    assert batch.column("a").to_pylist() == ["1.10", "7e0"]
