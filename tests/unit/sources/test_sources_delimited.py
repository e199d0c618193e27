import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from lakeload.errors import SchemaError, SourceError
from lakeload.sources.delimited import text_type


@pytest.fixture
def csv(tmp_path, rows):
    """Reads CSV text: `csv("a\\n1\\n", hint=...)`."""

    def run(text, **options):
        path = tmp_path / "x.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return rows(path, **options)

    return run


def column(csv, *values, **options):
    return [row["a"] for row in csv("a,b\n" + "".join(f"{value},x\n" for value in values), **options)]


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-20", "0"], pa.int64()),
        (["9223372036854775807"], pa.int64()),
        (["9223372036854775808"], pa.decimal128(38, 0)),
        (["1" * 39], pa.string()),
        (["007"], pa.string()),
        (["1", "00"], pa.string()),
        (["-0"], pa.float64()),
        (["+1"], pa.string()),
        (["0x10"], pa.string()),
        (["1_000"], pa.string()),
        (["1,000"], pa.string()),
        (["1.5", "2"], pa.float64()),
        (["1e3", "-0.5"], pa.float64()),
        (["NaN", "1.5"], pa.float64()),
        (["00.5"], pa.string()),
        (["0.5", "9007199254740993"], pa.string()),
        (["0.1234567890123456789"], pa.string()),
        (["true", "FALSE"], pa.bool_()),
        (["true", "1"], pa.string()),
        (["2024-01-01"], pa.date32()),
        (["2024-13-01"], pa.string()),
        (["2024-01-01", "x"], pa.string()),
        (["2024-01-01T10:00:00"], pa.timestamp("us")),
        (["2024-01-01", "2024-01-01 10:00:00.123456"], pa.timestamp("us")),
        (["2024-01-01T10:00:00Z", "2024-01-01 10:00:00+02:00"], pa.timestamp("us", "UTC")),
        (["2024-01-01T10:00:00Z", "2024-01-01T10:00:00"], pa.string()),
        (["2024-01-01T10:00:00.123456789"], pa.string()),
        ([None, "1"], pa.int64()),
        ([None], pa.null()),
        (["x", ""], pa.string()),
    ],
)
def test_text_becomes_a_type_only_if_all_of_it_is_written_that_way(texts, kind):
    assert text_type(pa.chunked_array([texts], pa.string())) == kind


def test_rows_are_read_with_types(csv):
    text = 'id,zip,day,note\n1,007,2024-01-01,"a ""b""\nc"\n2,1,,\n'

    assert csv(text) == [
        {"id": 1, "zip": "007", "day": dt.date(2024, 1, 1), "note": 'a "b"\nc'},
        {"id": 2, "zip": "1", "day": None, "note": None},
    ]


def test_an_empty_quoted_value_is_empty_text_and_an_unquoted_one_null(csv):
    assert csv('a,b\nx,y\n"",\n') == [{"a": "x", "b": "y"}, {"a": "", "b": None}]


def test_tabs_separate_columns_of_tsv(tmp_path, rows):
    path = tmp_path / "x.tsv"
    path.write_text("a\tb\n1\tx,y\n")

    assert rows(path) == [{"a": 1, "b": "x,y"}]


@pytest.mark.parametrize("odd", ["007", "0x1F", "-00", "1_000", "abc", "+5", "2024-01-01"])
def test_a_later_value_that_is_no_integer_is_refused_with_its_row(csv, odd):
    # Blocks end at about batch_bytes: the odd value lies far behind the sample.
    values = [1] * 400_000

    with pytest.raises(SchemaError) as caught:
        column(csv, *values, odd, batch_bytes=1 << 20)

    assert (caught.value.column, caught.value.row) == ("a", 400_001)
    assert odd in str(caught.value)
    assert "Declare the column as string" in str(caught.value)


@pytest.mark.parametrize(
    ("usual", "late", "stored"),
    [
        ("1", "2.5", 2.5),
        ("1", "9223372036854775808", Decimal(2**63)),
        ("0.5", "7", 7.0),
        ("", "x", "x"),
        ("2024-01-01", "2024-01-01T05:00:00", dt.datetime(2024, 1, 1, 5)),
        ("x", "007", "007"),
    ],
)
def test_a_later_value_widens_its_column_where_that_is_exact(csv, usual, late, stored):
    found = column(csv, *[usual] * 400_000, late, batch_bytes=1 << 20)

    assert found[-1] == stored
    assert len(found) == 400_001


@pytest.mark.parametrize(
    ("text", "message", "row"),
    [
        ("a,b\n1,2\n1,2,3\n", "Expected 2 columns, got 3", 2),
        ("a,b\n1,2\n1\n", "Expected 2 columns, got 1", 2),
        (b"a,b\n1,\xff\n", "invalid UTF-8", 1),
        ('a,b\n1,2\n1,"x\n', "not closed", 2),
        ('a,b\n1,2\n"x,3\n', "malformed CSV", 2),
    ],
)
def test_malformed_rows_are_refused_with_their_number(csv, text, message, row):
    with pytest.raises(SourceError, match=message) as caught:
        csv(text)

    assert caught.value.row == row
    assert caught.value.place.endswith("x.csv")


def test_a_ragged_row_in_a_later_block_is_counted_from_the_start(csv):
    with pytest.raises(SourceError) as caught:
        csv("a,b\n" + "1,2\n" * 300_000 + "1,2,3\n", batch_bytes=1 << 18)

    assert caught.value.row == 300_001


def test_repeated_column_names_are_refused(csv):
    with pytest.raises(SchemaError, match="two columns have one name") as caught:
        csv("a,b,a\n1,2,3\n")

    assert caught.value.column == "a"


def test_utf_16_is_refused_with_a_remedy(csv):
    with pytest.raises(SourceError, match="Convert it to UTF-8"):
        csv("a,b\n1,2\n".encode("utf-16"))


def test_quoted_names_newlines_and_a_byte_order_mark_in_the_header_are_understood(csv):
    assert csv('\ufeff"a\nb","c,d"\r\n1,2\r\n') == [{"a\nb": 1, "c,d": 2}]


@pytest.mark.parametrize("text", ["", "\n", "a,b\n", "a,b"])
def test_files_without_rows_give_none(csv, text):
    assert csv(text) == []


def test_declared_types_win(csv):
    hint = {
        "s": pa.string(),
        "d": pa.decimal128(10, 2),
        "f": pa.float64(),
        "t": pa.timestamp("us", "UTC"),
        "i": pa.int32(),
    }
    text = "s,d,f,t,i\n7,1.10,1,2024-01-01T00:00:00Z,5\n"

    assert csv(text, hint=hint) == [
        {"s": "7", "d": Decimal("1.10"), "f": 1.0, "t": dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "i": 5}
    ]


def test_a_value_that_does_not_fit_its_declared_type_is_named(csv):
    with pytest.raises(SchemaError, match="tomorrow") as caught:
        csv("a,b\n1,2024-01-01\n1,tomorrow\n", hint={"b": pa.date32()})

    assert (caught.value.column, caught.value.row) == ("b", 2)


def test_an_integer_no_double_holds_among_floats_is_refused(csv):
    with pytest.raises(SchemaError) as caught:
        column(csv, *["0.5"] * 400_000, "9007199254740993", batch_bytes=1 << 20)

    assert caught.value.row == 400_001


def test_quotes_within_a_value_are_text(csv):
    assert csv('a,b\n5" pipe,1\nx,2\n') == [{"a": '5" pipe', "b": 1}, {"a": "x", "b": 2}]


def test_newlines_in_quotes_never_split_a_row_between_blocks(csv):
    text = "a,b\n" + '1,"x\ny\n\nz"\n2,w\n' * 5000
    found = csv(text, batch_bytes=1000)

    assert [row["b"] for row in found] == ["x\ny\n\nz", "w"] * 5000


def test_a_single_column_keeps_its_empty_lines_as_nulls(csv):
    assert csv("a\n1\n\n2\n") == [{"a": 1}, {"a": None}, {"a": 2}]


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("text", ["007", "-007", "0x10", " 007", "  -007"])
def test_padded_digits_in_a_column_of_integers_are_never_read_as_another_number(csv, text, quote):
    values = ["1"] * 300_000

    with pytest.raises(SchemaError):
        column(csv, *values, f"{quote}{text}{quote}", batch_bytes=1 << 19)


def test_padded_digits_in_a_column_of_text_leave_the_numbers_beside_it_alone(csv):
    found = csv("zip,n,f\n" + "00501,1,0.5\n" * 3000, batch_bytes=1000)

    assert found == [{"zip": "00501", "n": 1, "f": 0.5}] * 3000
