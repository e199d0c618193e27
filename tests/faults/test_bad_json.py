"""JSON that is hostile or broken: a clear outcome each, in bounded time and memory."""

import time
import tracemalloc
from decimal import Decimal

import pytest

from lakeload.errors import SchemaError, SourceError
from lakeload.sources.read import ReadOptions, read

MEGABYTE = 1 << 20


def rows(data: bytes, **options):
    batches = read(data, options=ReadOptions(**options), workers=2)
    return [row for batch in batches for row in batch.to_pylist()]


@pytest.fixture
def bounded():
    """Fails a test that takes more than 20 s of processor time, or 1 GiB of Python's memory."""
    tracemalloc.start()
    start = time.process_time()
    yield
    seconds = time.process_time() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 20
    assert peak < 1 << 30


@pytest.mark.parametrize("opening", [b'{"a":', b"["])
@pytest.mark.parametrize("before", [b"", b'{"a":1}\n'])
def test_ten_thousand_levels_are_refused_by_name(opening, before, bounded):
    closing = b"]" if opening == b"[" else b"}"
    bomb = b'{"a":' + opening * 10_000 + b"1" + closing * 10_000 + b"}\n"

    with pytest.raises(SourceError, match="nested too deeply") as caught:
        rows(before + bomb)

    assert caught.value.row == 1 + bool(before)


def test_levels_beyond_the_depth_of_types_become_text(bounded):
    (row,) = rows(b'{"a":' + b'{"b":' * 100 + b"[1]" + b"}" * 101)

    value = row["a"]
    while isinstance(value, dict):
        value = value["b"]
    assert value == '{"b":' * value.count("{") + "[1]" + "}" * value.count("{")


def test_a_document_that_is_ten_thousand_levels_deep_is_refused(bounded):
    with pytest.raises(SourceError, match="nested too deeply"):
        rows(b"[" * 10_000 + b"]" * 10_000)


def test_a_hundred_thousand_keys_below_the_row_become_a_map(bounded):
    keys = b",".join(b'"k%d":%d' % (i, i) for i in range(100_000))

    (row,) = rows(b'{"a":{' + keys + b"}}")

    assert len(row["a"]) == 100_000
    assert dict(row["a"])["k99999"] == 99_999


def test_a_hundred_thousand_keys_in_the_row_are_refused(bounded):
    keys = b",".join(b'"k%d":%d' % (i, i) for i in range(100_000))

    with pytest.raises(SchemaError, match="different keys"):
        rows(b'{"a":1}\n{' + keys + b"}")


def test_a_hundred_thousand_keys_spread_over_rows_are_refused(bounded):
    with pytest.raises(SchemaError, match="different keys"):
        rows(b"\n".join(b'{"k%d":1}' % i for i in range(100_000)))


def test_a_value_of_fifty_megabytes_is_kept(bounded):
    text = b"x" * (50 * MEGABYTE)

    first, second = rows(b'{"a":"' + text + b'"}\n{"a":"y"}\n')

    assert (len(first["a"]), second["a"]) == (len(text), "y")


@pytest.mark.parametrize("escape", [b"\\ud800", b"\\udc00x", b"\\ud800\\ud800"])
@pytest.mark.parametrize("line", [b'{"a":"%s"}', b'{"%s":1}', b'{"a":[{"b":"%s"}]}'])
def test_half_a_surrogate_pair_is_refused(escape, line):
    with pytest.raises(SourceError, match="surrogate") as caught:
        rows(b'{"a":"x"}\n' + line.replace(b"%s", escape))

    assert caught.value.row == 2


def test_a_whole_surrogate_pair_is_a_character():
    assert rows(b'{"a":"\\ud83d\\ude00"}') == [{"a": "\U0001f600"}]


def test_escaped_nul_characters_are_kept_in_values_and_names():
    assert rows(b'{"a":"x\\u0000y","b\\u0000":1}') == [{"a": "x\0y", "b\0": 1}]


@pytest.mark.parametrize("line", [b'{"a":"x\0y"}', b'{"a\0":1}', b'{"a":1}\0', b'\0{"a":1}'])
@pytest.mark.parametrize("before", [b"", b'{"a":"x"}\n'])
def test_raw_nul_characters_are_refused(line, before):
    with pytest.raises(SourceError) as caught:
        rows(before + line, input_format="jsonl")

    assert caught.value.row == 1 + bool(before)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b'{"a":1,"a":2}', "a"),
        (b'{"a":1,"a":1}', "a"),
        (b'{"a":1,"\\u0061":2}', "a"),
        (b'{"b":{"c":1,"d":2,"c":3}}', "c"),
        (b'{"b":[{"c":{"e":1,"e":null}}]}', "e"),
        (b'{"a":1,"a":"\\u0022:"}', "a"),
        (b'{"new":{"x":1,"x":"\\":"}}', "x"),
    ],
)
@pytest.mark.parametrize("before", [0, 3])
def test_a_key_twice_in_an_object_is_refused_with_its_row(line, key, before):
    good = b'{"a":1,"b":{"c":1,"d":2}}\n' * before

    with pytest.raises(SourceError, match=f"'{key}' occurs twice") as caught:
        rows(good + line + b"\n" + good)

    assert caught.value.row == before + 1


def test_a_key_twice_on_the_way_to_the_records_is_refused():
    with pytest.raises(SourceError, match="'data' occurs twice"):
        rows(b'{"data":[{"a":1}],"data":[]}', record_path="data")


def test_a_key_twice_in_a_dictionary_of_records_is_refused():
    entries = b",".join(b'"%d":{}' % i for i in range(300))

    with pytest.raises(SourceError, match="'7' occurs twice"):
        rows(b"{\n" + entries + b',"7":{}}', record_path=None, input_format="json")


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"])
@pytest.mark.parametrize("line", [b'{"a":"%s"}', b'{"%s":1}', b'{"b":{"c":["%s"]}}'])
@pytest.mark.parametrize("before", [0, 2])
def test_invalid_utf_8_is_refused_with_its_row(bad, line, before):
    with pytest.raises(SourceError) as caught:
        rows(b'{"a":"x","b":{"c":["x"]}}\n' * before + line.replace(b"%s", bad) + b"\n")

    assert caught.value.row == before + 1


@pytest.mark.parametrize("data", [b'{"a":1}\n{"a":', b'{"a":1}\n{"a":"x', b'{"a":1}\n{"a":2'])
def test_a_file_that_is_cut_off_is_refused_with_its_last_row(data):
    with pytest.raises(SourceError, match="cut off") as caught:
        rows(data)

    assert caught.value.row == 2


@pytest.mark.parametrize("data", [b'[{"a":1},{"a"', b'{"d":[{"a":1}', b'{\n"a":1\n'])
def test_a_document_that_is_cut_off_is_refused(data):
    with pytest.raises(SourceError, match=r"truncated|cut off"):
        rows(data)


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity"])
@pytest.mark.parametrize("before", [0, 2])
def test_numbers_that_are_none_are_refused(literal, before):
    with pytest.raises(SourceError, match="not JSON") as caught:
        rows(b'{"a":0.5}\n' * before + b'{"a":%s}\n' % literal)

    assert caught.value.row == before + 1


@pytest.mark.parametrize("line", [b"null", b"3", b'"x"', b"true", b"[1]"])
@pytest.mark.parametrize("before", [b'{"a":1}\n', b'{"a":null}\n{}\n'])
def test_a_line_that_is_no_object_is_refused(line, before):
    with pytest.raises(SourceError) as caught:
        rows(before + line + b"\n" + before)

    assert caught.value.row == before.count(b"\n") + 1


@pytest.mark.parametrize("data", [b"", b" \n\t\r\n ", b"\xef\xbb\xbf", b"\xef\xbb\xbf \n", b"[]", b" [ ]\n"])
def test_nothing_has_no_rows(data):
    assert rows(data) == []


def test_a_file_of_white_space_has_no_rows(tmp_path):
    path = tmp_path / "blank.json"
    path.write_bytes(b" \n" * 100_000)

    assert rows(path) == []


def test_rows_after_much_white_space_are_found(tmp_path):
    path = tmp_path / "late.json"
    path.write_bytes(b" \n" * 100_000 + b'{"a":1}\n')

    assert rows(path) == [{"a": 1}]


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (b"18446744073709551615", Decimal(2**64 - 1)),
        (b"0.1234567890123456789", Decimal("0.1234567890123456789")),
        (b"9007199254740993.0", Decimal("9007199254740993.0")),
        (b"123456789012345678901234567890.5", Decimal("123456789012345678901234567890.5")),
        (b"1" * 39, "1" * 39),
        (b"1e40", 1e40),
        (b"0.30000000000000004", 0.30000000000000004),
    ],
)
@pytest.mark.parametrize("before", [b"", b'{"b":0.5}\n'])
def test_numbers_beyond_doubles_stay_exact(literal, value, before):
    found = rows(before + b'{"a":%s}\n' % literal)[-1]["a"]

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "literal", ["0.1234567890123456789", "9007199254740993.0", "1e400", "1e-400", "1e-5000"]
)
def test_a_number_no_double_holds_among_doubles_makes_text_of_its_piece(literal):
    line = b'{"a":0.25,"b":"%s"}\n' % (b"x" * 1000)
    data = line * 3000 + b'{"a":%s}\n' % literal.encode() + line * 3000

    found = [row["a"] for row in rows(data)]

    assert found[0] == found[-1] == 0.25
    assert found[2999] == "0.25"
    assert Decimal(found[3000]) == Decimal(literal)


def test_a_number_of_a_billion_digits_takes_no_memory(bounded):
    (row,) = rows(b'{"a":1e999999999}')

    assert len(row["a"]) < 100


def test_integers_of_more_digits_than_python_writes_have_an_outcome(bounded):
    with pytest.raises(SourceError, match="out of range"):
        rows(b'{"a":%s}' % (b"9" * 100_000))
