import json
from decimal import Decimal

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeload.errors import SourceError
from lakeload.model.nesting import Nesting
from lakeload.model.rejection import SOURCE_ROW
from lakeload.model.text import text_of
from lakeload.sources.decode.expectation import Expectation
from lakeload.sources.decode.jsonl import JsonDecoder
from lakeload.sources.decode.literals import exact_number, rounds
from lakeload.sources.read import ReadOptions, read


def decode(*blocks: bytes, hint=None, **expected):
    decoder = JsonDecoder(Expectation((hint or {}).get, **expected))
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


def test_an_integer_too_large_for_any_number_type_makes_text():
    (batch,) = decode(b'{"a":1}\n{"a":1%s}\n' % (b"0" * 38))

    assert batch.column("a").to_pylist() == ["1", "1" + "0" * 38]


def test_integers_among_floats_become_doubles_while_exact():
    (batch,) = decode(b'{"a":9007199254740992}\n{"a":0.5}\n')

    assert batch.column("a").to_pylist() == [2.0**53, 0.5]


def test_an_integer_no_double_holds_among_floats_makes_text():
    (batch,) = decode(b'{"a":0.5}\n{"a":9007199254740993}\n{"a":2.0}\n')

    assert batch.column("a").to_pylist() == ["0.5", "9007199254740993", "2"]


def test_an_integer_no_double_holds_in_a_later_block_is_not_rounded():
    _, second = decode(b'{"a":0.5}\n', b'{"a":9007199254740993}\n')

    assert second.column("a").to_pylist() == ["9007199254740993"]


def test_nested_integers_no_double_holds_are_not_rounded():
    _, second = decode(b'{"a":[{"b":0.5}]}\n', b'{"a":[{"b":9007199254740993}]}\n')

    assert second.column("a").to_pylist() == [[{"b": "9007199254740993"}]]


@pytest.mark.parametrize("literal", [b"0.1234567890123456789", b"1e400", b"1e-400", b"9007199254740993.0"])
def test_a_fraction_no_double_holds_in_a_later_block_is_not_rounded(literal):
    _, second, third = decode(b'{"a":0.5}\n', b'{"a":%s}\n{"a":0.25}\n' % literal, b'{"a":0.125}\n')

    assert Decimal(second.column("a")[0].as_py()) == Decimal(literal.decode())
    assert second.column("a")[1].as_py() == "0.25"
    assert third.column("a").to_pylist() == [0.125]


def test_fractions_no_double_holds_alone_are_decimals():
    (batch,) = decode(b'{"a":0.1234567890123456789}\n{"a":1}\n')

    assert batch.column("a").to_pylist() == [Decimal("0.1234567890123456789"), Decimal(1)]


def test_large_whole_floats_stay_doubles_in_later_blocks():
    _, second = decode(b'{"a":0.5}\n', b'{"a":1e300}\n{"a":12345678901234567e3}\n')

    assert second.column("a").to_pylist() == [1e300, 12345678901234567e3]


def test_large_floats_stay_doubles():
    (batch,) = decode(b'{"a":1e300}\n{"a":0.1}\n')

    assert batch.column("a").to_pylist() == [1e300, 0.1]


def test_text_in_a_column_of_large_integers_makes_text():
    (batch,) = decode(b'{"a":%d}\n{"a":"12"}\n' % 2**63)

    assert batch.column("a").to_pylist() == [str(2**63), "12"]


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
        (b'{"a":%s}' % (b"1" * 5000), "out of range"),
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


def test_values_of_unlike_kinds_become_text_where_they_meet():
    (batch,) = decode(b'{"a":{"b":[1,{"c":2.0}]}}\n{"a":{"b":["x",null,true]}}\n')

    assert batch.column("a").to_pylist() == [{"b": ["1", '{"c":2}']}, {"b": ["x", None, "true"]}]


def test_pieces_without_the_odd_value_are_decoded_as_before():
    line = b'{"a":1,"b":"%s"}\n' % (b"x" * 1000)
    batches = decode(line * 3000 + b'{"a":"odd","b":""}\n' + line * 3000)

    assert [str(batch.schema.field("a").type) for batch in batches] == ["int64", "string", "int64"]
    assert sum(batch.num_rows for batch in batches) == 6001
    assert set(batches[0].column("a").to_pylist() + batches[2].column("a").to_pylist()) == {1}
    assert set(batches[1].column("a").to_pylist()) == {"1", "odd"}


def test_rows_that_do_not_fit_come_apart_with_their_numbers():
    batches = decode(b'{"a":1}\n', b'{"a":2}\n{"a":"x"}\n{"a":3}\n', apart=True)

    assert [batch.to_pylist() for batch in batches] == [
        [{"a": 1}],
        [{"a": 2, SOURCE_ROW: 1}, {"a": 3, SOURCE_ROW: 3}],
        [{"a": "x", SOURCE_ROW: 2}],
    ]


def test_numbers_of_rows_apart_are_counted_over_the_whole_source():
    pages = [b'{"a":1}\n{"a":2}', b'{"a":3}\n{"a":"x"}']
    batches = list(read(pages, expectation=Expectation(apart=True)))

    assert [row.get(SOURCE_ROW) for batch in batches for row in batch.to_pylist()] == [None, None, 3, 4]


def test_every_batch_says_that_its_text_may_be_dates():
    line = b'{"a":1,"b":"%s"}\n' % (b"x" * 1000)
    batches = decode(line * 3000 + b'{"a":"odd"}\n', b'{"a":[]}', b"{}")

    assert {batch.schema.metadata[b"lakeload.untyped"] for batch in batches} == {b"1"}
    assert len(batches) > 2


def test_a_json_path_keeps_the_text_of_the_source():
    nesting = Nesting(paths={"a": "json", "b.c": "json"})
    lines = b'{"a":{"z": 1.10, "a":"\\u00e9"},"b":{"c":[1.0,null],"d":{"e":1}}}\n{"a":[1e2],"b":{"c":"x"}}\n'
    for blocks in ([lines], [lines, lines]):
        batch = decode(*blocks, nesting=nesting)[-1]

        assert batch.to_pylist() == [
            {"a": '{"z": 1.10, "a":"\\u00e9"}', "b": {"c": "[1.0,null]", "d": {"e": 1}}},
            {"a": "[1e2]", "b": {"c": "x", "d": None}},
        ]


def test_json_as_the_default_keeps_every_nested_value_as_text():
    (batch,) = decode(b'{"a":{"b":[1.0]},"c":[],"d":1,"e":null}\n', nesting=Nesting("json"))

    assert batch.to_pylist() == [{"a": '{"b":[1.0]}', "c": "[]", "d": 1, "e": None}]


def test_a_json_path_inside_lists_is_found():
    (batch,) = decode(b'{"a":[{"b":{"c":1.0}},null,{"b":null}]}\n', nesting=Nesting(paths={"a.b": "json"}))

    assert batch.to_pylist() == [{"a": [{"b": '{"c":1.0}'}, None, {"b": None}]}]


def test_duplicate_keys_on_the_way_to_a_json_path_are_refused():
    with pytest.raises(SourceError, match="'b' occurs twice"):
        decode(b'{"a":{"b":{},"b":1}}\n', nesting=Nesting(paths={"a.b": "json"}))


def test_an_object_with_too_many_keys_over_all_rows_is_a_map():
    lines = b"\n".join(b'{"a":{"k%d":%d}}' % (i, i) for i in range(300))
    (batch,) = decode(lines)

    assert batch.schema.field("a").type == pa.map_(pa.string(), pa.int64())
    assert batch.column("a")[299].as_py() == [("k299", 299)]


def test_values_deeper_than_the_nesting_goes_are_text():
    (batch,) = decode(b'{"a":{"b":{"c":[1.0]}}}\n', nesting=Nesting(max_depth=2))

    assert batch.to_pylist() == [{"a": {"b": '{"c":[1]}'}}]


@pytest.mark.parametrize("gap", [b"", b" ", b"\n", b"\n\n"])
def test_objects_one_after_another_are_records(gap):
    objects = [b'{"a":"}{"}', b'{"a":"} {"}', b'{\n"a": null}']
    (batch,) = read(gap.join(objects), options=ReadOptions(input_format="json", record_path=None))

    assert batch.column("a").to_pylist() == ["}{", "} {", None]


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


def test_text_declared_as_dates_is_left_to_the_next_stage():
    (batch,) = decode(
        b'{"t":"2024-01-01T02:00:00+02:00","d":"soon"}\n', hint={"t": pa.timestamp("us"), "d": pa.date32()}
    )

    assert batch.to_pylist() == [{"t": "2024-01-01T02:00:00+02:00", "d": "soon"}]


def test_declared_decimals_take_numbers_exactly_and_leave_text_to_the_next_stage():
    hint = {"a": pa.decimal128(10, 2)}
    (numbers,) = decode(b'{"a":1.10}\n{"a":3}\n', hint=hint)
    (mixed,) = decode(b'{"a":1.10}\n{"a":"2.20"}\n{"a":3}\n', hint=hint)

    assert numbers.column("a").to_pylist() == [Decimal("1.10"), Decimal("3.00")]
    assert mixed.column("a").to_pylist() == ["1.1", "2.20", "3"]


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


@settings(max_examples=300)
@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "b", ""]), json_values, max_size=3), max_size=8),
    st.integers(0, 8),
)
def test_any_records_come_back_equal_or_as_the_text_of_their_values(records, cut):
    data = [
        b"".join(json.dumps(row).encode() + b"\n" for row in part) for part in (records[:cut], records[cut:])
    ]
    batches = list(read(data, options=ReadOptions(input_format="jsonl")))

    found = [row for batch in batches for row in batch.to_pylist()]
    assert len(found) == len(records)
    assert all(same(given, row) for given, row in zip(records, found, strict=True))


def same(given: object, found: object) -> bool:
    """Equal, except that objects lose nulls and empty objects and lists, and values may be text."""
    if given in (None, {}, []) and found in (None, {}, []):
        return True
    if isinstance(given, dict) and isinstance(found, dict):
        return all(same(given.get(name), found.get(name)) for name in {*given, *found})
    if isinstance(given, list) and isinstance(found, list):
        return len(given) == len(found) and all(map(same, given, found))
    return found == (text_of(given) if isinstance(found, str) else given)


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


def test_digits_inside_of_text_are_no_numbers_that_doubles_round():
    text = b'{"sha":"12345678901234567890e5","at":"1.23e-4567 x","uuid":"3f2504e0-4f89","v":1.5}\n' * 3
    assert rounds(text) == (False, False)
    assert rounds(b'{"v":0.12345678901234567890}') == (True, False)
    assert rounds(b'{"v":-12345678901234567890}') == (False, True)


def digits_of(value):
    return [repr(value), f"{value:.17g}", f"{value:.16e}", f"{value:.17g}".upper()]


@pytest.mark.parametrize("many", [1, 900], ids=["few", "many"])
def test_a_literal_is_a_double_in_its_shortest_form_and_in_that_of_17_digits(many):
    values = (43.420273, -65.613617, 0.1, 1 / 3, 9.3, 1e22 / 7, 5e-5 / 3, 2.0**60, 123456789.123456)
    doubles = [digits for value in values for digits in digits_of(value) if set(digits) & set(".eE")]
    rows = b"".join(b'{"v":%s}\n' % digits.encode() for digits in doubles * many)
    assert not rounds(rows)[0]
    assert all(isinstance(exact_number(digits), float) for digits in doubles)
    (batch,) = decode(b'{"v":1.5}\n' + rows)
    assert batch.column("v").to_pylist() == [1.5, *map(float, doubles * many)]

    for more in ("9.300000000000001", "0.100000000000000012", "5.0000000000000001", "0.3333333333333333333"):
        assert rounds(rows + b'{"v":-%s}' % more.encode())[0]
        assert isinstance(exact_number(more), Decimal)


@pytest.mark.parametrize("literal", ["1e-400", "1e400", "-2.5e-320", "1E-5000", "4.9406564584124654e-400"])
def test_a_literal_beyond_doubles_never_becomes_zero_or_infinity(literal):
    batches = decode(b'{"v":1.5}\n' * 300 + b'{"v":%s}\n' % literal.encode())
    found = batches[-1].column("v")[-1].as_py()
    assert Decimal(str(found)) == Decimal(literal)
