"""Dates and timestamps in text: what is told, what is read, and that nothing else is."""

import datetime as dt
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.normalize.iso8601 import detected, parse

DATE, NAIVE, UTC, TIME = pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.time64("us")

TEXTS = [
    ("2024-05-01", DATE),
    ("0001-01-01", DATE),
    ("9999-12-31", DATE),
    ("2024-02-29", DATE),
    ("2023-02-29", None),
    ("0000-05-01", None),
    ("2024-05", None),
    ("2024", None),
    ("20240501", None),
    ("2024-5-1", None),
    ("2024-121", None),
    ("2024-W18-3", None),
    ("12024-05-01", None),
    ("-2024-05-01", None),
    (" 2024-05-01", None),
    ("2024-05-01 ", None),
    ("2024-05-01Z", None),
    ("٢٠٢٤-05-01", None),
    ("2024-05-01T10:30:00", NAIVE),
    ("2024-05-01 10:30:00", NAIVE),
    ("2024-05-01T10:30:00.1", NAIVE),
    ("2024-05-01T10:30:00.123456", NAIVE),
    ("2024-05-01T10:30:00.1234567", None),
    ("2024-05-01T10:30:00.", None),
    ("2024-05-01T10:30:00,5", None),
    ("2024-05-01t10:30:00", None),
    ("2024-05-01T10:30", None),
    ("2024-05-01T10", None),
    ("2024-05-01T103000", None),
    ("2024-05-01T24:00:00", None),
    ("2024-05-01T23:59:60", None),
    ("2024-05-01T10:60:00", None),
    ("2024-02-30T10:30:00", None),
    ("2024-05-01T10:30:00Z", UTC),
    ("2024-05-01 10:30:00.5+02:00", UTC),
    ("2024-05-01T10:30:00-0330", UTC),
    ("2024-05-01T10:30:00+02", None),
    ("2024-05-01T10:30:00z", None),
    ("2024-05-01T10:30:00 Z", None),
    ("2024-05-01T10:30+02:00", None),
    ("2024-05-01T10+02:00", None),
    ("2024-05-01T10:30:00+24:00", None),
    ("2024-05-01T10:30:00+02:60", None),
    ("2024-05-01T10:30:00 Europe/Berlin", None),
    ("0001-01-01T00:00:00+01:00", None),
    ("9999-12-31T23:59:59-01:00", None),
    ("10:30:00", None),
    ("", None),
    ("soon", None),
]


@pytest.mark.parametrize(("text", "kind"), TEXTS)
def test_only_whole_dates_and_timestamps_are_told(text, kind):
    assert detected(pa.array([None, text])) == kind
    assert detected(pa.array([None] * 9 + [text], pa.string_view()).slice(3)) == kind
    assert detected(pa.array([text, None], pa.large_string())) == kind
    for wanted in (DATE, NAIVE, UTC):
        if wanted == kind:
            assert parse(pa.array([text]), wanted).type == wanted
        else:
            with pytest.raises(pa.ArrowInvalid):
                parse(pa.array([text]), wanted)


@pytest.mark.parametrize("odd", ["2024-05-01", "2024-05-01T10:30:00", "2024-05-01T10:30:00Z", "soon", ""])
@pytest.mark.parametrize("text", ["2024-05-02", "2024-05-02T10:30:00", "2024-05-02T10:30:00Z"])
def test_one_value_of_another_kind_makes_text_wherever_it_stands(text, odd):
    for i in (0, 3, 99):
        texts = [text] * 100
        texts[i] = odd
        expected = detected(pa.array([text])) if len(odd) == len(text) else None
        assert detected(pa.array(texts)) == expected


def test_what_is_no_text_or_has_no_value_is_nothing():
    assert detected(pa.nulls(3, pa.string())) is None
    assert detected(pa.array([], pa.string())) is None
    assert detected(pa.array([1])) is None
    assert detected(pa.array([["2024-05-01"]])) is None


def test_offsets_are_taken_into_account_and_nulls_stay():
    found = parse(pa.array(["2024-05-01T00:30:00+02:00", None]).slice(0, 2), UTC)
    assert found.to_pylist() == [dt.datetime(2024, 4, 30, 22, 30, tzinfo=dt.UTC), None]


def test_times_are_read_strictly():
    found = parse(pa.array(["10:30:00.5", None]), TIME)
    assert found.to_pylist() == [dt.time(10, 30, 0, 500_000), None]
    for text in ("10:30", "24:00:00", "10:30:00Z", "1030"):
        with pytest.raises(pa.ArrowInvalid):
            parse(pa.array([text]), TIME)


moments = st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1))
zones = st.integers(-1439, 1439).map(lambda m: dt.timezone(dt.timedelta(minutes=m)))


@given(st.lists(st.tuples(moments, zones, st.sampled_from("T "), st.booleans()), min_size=1))
def test_timestamps_python_writes_are_read_as_the_same_moment(cases):
    naive = [moment.isoformat(sep) for moment, _, sep, _ in cases]
    assert detected(pa.array(naive)) == NAIVE
    assert parse(pa.array(naive), NAIVE).to_pylist() == [moment for moment, *_ in cases]
    aware = [moment.replace(tzinfo=zone) for moment, zone, *_ in cases]
    texts = [
        re.sub(r":(\d\d)$", r"\1", moment.isoformat(sep)) if basic else moment.isoformat(sep)
        for moment, (_, _, sep, basic) in zip(aware, cases, strict=True)
    ]
    assert detected(pa.array(texts)) == UTC
    assert parse(pa.array(texts), UTC).to_pylist() == aware


@given(st.lists(st.dates(), min_size=1))
def test_dates_python_writes_are_read_as_the_same_day(days):
    texts = pa.array([day.isoformat() for day in days])
    assert detected(texts) == DATE
    assert parse(texts, DATE).to_pylist() == days


@given(st.text("0123456789-T:Z+. ", min_size=8, max_size=28))
def test_what_is_told_is_what_python_reads_too(text):
    kind = detected(pa.array([text]))
    if kind is not None:
        value = parse(pa.array([text]), kind)[0].as_py()
        assert value == (dt.date if kind == DATE else dt.datetime).fromisoformat(text)
