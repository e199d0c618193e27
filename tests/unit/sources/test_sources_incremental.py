import datetime as dt
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import ConfigError, SourceError
from lakeload.model.cursor import HASH_DIGITS, Checkpoint, Cursor
from lakeload.model.rejection import SOURCE_ROW
from lakeload.sources.incremental import Incremental, row_hash


def run(cursor, checkpoint, *batches):
    """One load: the rows it takes, and where it stops."""
    incremental = Incremental(cursor, checkpoint)
    taken = [row for batch in batches for row in incremental.filter(batch).to_pylist()]
    return taken, incremental.checkpoint()


def batch(rows, **types):
    names = list(rows[0]) if rows else list(types)
    return pa.record_batch({name: pa.array([row[name] for row in rows], types.get(name)) for name in names})


def hour(number):
    return dt.datetime(2024, 1, 1, number, tzinfo=dt.UTC)


def test_the_first_run_takes_everything_and_stops_at_the_largest_value():
    taken, stop = run(Cursor("id"), None, batch([{"id": 2}, {"id": 3}]), batch([{"id": 1}]))

    assert len(taken) == 3
    assert stop.value == 3
    assert stop.boundary == {row_hash({"id": 3})[:HASH_DIGITS]}


def test_the_first_run_starts_at_the_initial_value_inclusive():
    incremental = Incremental(Cursor("id", initial=2), None)

    assert incremental.start == 2
    assert incremental.filter(batch([{"id": 1}, {"id": 2}, {"id": 3}])).column("id").to_pylist() == [2, 3]


def test_the_next_run_takes_new_rows_at_the_last_value_and_none_twice():
    _, stop = run(Cursor("id"), None, batch([{"id": 1, "x": "a"}, {"id": 2, "x": "b"}]))
    later = batch([{"id": 1, "x": "a"}, {"id": 2, "x": "b"}, {"id": 2, "x": "c"}, {"id": 3, "x": "d"}])

    taken, stop = run(Cursor("id"), stop, later)
    again, _ = run(Cursor("id"), stop, later)

    assert [row["x"] for row in taken] == ["c", "d"]
    assert again == []


def test_rows_seen_before_stay_known_while_the_position_does_not_move():
    data = batch([{"id": 2, "x": "b"}])
    _, stop = run(Cursor("id"), None, data)
    for other in (batch([{"id": 2, "x": "c"}]), data, batch([{"id": 1, "x": "a"}])):
        _, stop = run(Cursor("id"), stop, other)

    assert run(Cursor("id"), stop, data, batch([{"id": 2, "x": "c"}]))[0] == []


def test_a_run_without_rows_leaves_the_position():
    _, stop = run(Cursor("id"), None, batch([{"id": 2}]))

    assert run(Cursor("id"), stop)[1] == stop
    assert run(Cursor("id"), stop, batch([], id=pa.int64()))[1] == stop
    assert run(Cursor("id"), None)[1] == Checkpoint()


def test_positions_of_the_source_are_kept():
    stop = Checkpoint(value=1, positions={"file": "a"})

    assert run(Cursor("id"), stop, batch([{"id": 2}]))[1].positions == {"file": "a"}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3], pa.int32()),
        ([1.5, 2.5, 3.5], pa.float64()),
        ([Decimal("1.10"), Decimal("2.20"), Decimal("3.30")], pa.decimal128(10, 2)),
        (["a", "b", "c"], pa.string()),
        (["a", "b", "c"], pa.string_view()),
        (["a", "b", "c"], pa.large_string()),
        (["a", "b", "c"], pa.dictionary(pa.int32(), pa.string())),
        ([dt.date(2024, 1, 1), dt.date(2024, 1, 2), dt.date(2024, 1, 3)], pa.date32()),
        ([dt.datetime(2024, 1, d) for d in (1, 2, 3)], pa.timestamp("us")),
        ([dt.datetime(2024, 1, d) for d in (1, 2, 3)], pa.timestamp("ns")),
        ([hour(1), hour(2), hour(3)], pa.timestamp("ms", "UTC")),
        ([hour(1), hour(2), hour(3)], pa.timestamp("us", "Europe/Berlin")),
    ],
)
def test_cursors_of_every_type_filter_and_advance(values, kind):
    def rows(some):
        return pa.record_batch({"c": pa.array(some, kind)})

    _, stop = run(Cursor("c"), None, rows(values[:2]))
    assert stop.value == values[1]

    taken, stop = run(Cursor("c"), stop, rows(values))
    assert [row["c"] for row in taken] == values[2:]
    assert stop.value == values[2]


def test_a_dotted_path_reaches_into_structs():
    data = pa.record_batch({"a": [{"b": {"c": 1}}, {"b": {"c": 2}}]})

    taken, stop = run(Cursor("a.b.c"), Checkpoint(value=2), data)

    assert taken == [{"a": {"b": {"c": 2}}}]
    assert stop.value == 2


def test_a_column_whose_name_has_a_dot_wins_over_a_path():
    data = pa.record_batch({"a.b": [1, 2], "a": [{"b": 9}, {"b": 9}]})

    assert run(Cursor("a.b"), None, data)[1].value == 2


def test_batches_of_polars_are_filtered():
    data = pa.RecordBatchReader.from_stream(pl.DataFrame({"c": ["a", "b"]})).read_next_batch()

    assert run(Cursor("c"), Checkpoint(value="b"), data)[0] == [{"c": "b"}]


def test_a_lag_steps_back_and_takes_late_rows_once():
    cursor = Cursor("t", lag="2h")
    first = [{"t": hour(n), "x": n} for n in (1, 5, 3, 4)]
    _, stop = run(cursor, None, batch(first))

    assert Incremental(cursor, stop).start == hour(3)
    taken, stop = run(cursor, stop, batch([*first, {"t": hour(4), "x": 40}, {"t": hour(6), "x": 6}]))
    assert [row["x"] for row in taken] == [40, 6]
    assert run(cursor, stop, batch([*first, {"t": hour(4), "x": 40}, {"t": hour(6), "x": 6}]))[0] == []


@pytest.mark.parametrize(
    ("lag", "value", "start"),
    [
        ("90s", hour(1), hour(1) - dt.timedelta(seconds=90)),
        ("15m", hour(1), hour(1) - dt.timedelta(minutes=15)),
        ("2d", dt.date(2024, 1, 3), dt.date(2024, 1, 1)),
        ("1h", dt.date(2024, 1, 3), dt.date(2024, 1, 2)),
        (5, 12, 7),
        (0.5, 1.5, 1.0),
        (1, Decimal("2.5"), Decimal("1.5")),
        (None, "x", "x"),
    ],
)
def test_the_start_lies_the_lag_behind_the_position(lag, value, start):
    assert Incremental(Cursor("c", lag=lag), Checkpoint(value=value)).start == start


@pytest.mark.parametrize(
    ("lag", "value"), [("1h", 5), (5, hour(1)), (5, dt.date(2024, 1, 1)), ("1h", "text"), (1, "text")]
)
def test_a_lag_that_does_not_suit_the_values_is_refused(lag, value):
    with pytest.raises(ConfigError, match="does not suit"):
        Incremental(Cursor("c", lag=lag), Checkpoint(value=value))


@pytest.mark.parametrize("lag", ["1 fortnight", "", "h", "-1h"])
def test_a_lag_that_cannot_be_read_is_refused(lag):
    with pytest.raises(ConfigError, match="cannot read the lag"):
        Incremental(Cursor("c", lag=lag), None)


@pytest.mark.parametrize(("values", "message"), [([2.0, None], "null"), ([2.0, float("nan")], "NaN")])
def test_a_cursor_without_a_value_is_refused_with_its_row(values, message):
    incremental = Incremental(Cursor("c"), None)
    incremental.filter(pa.record_batch({"c": [1.0, 1.5]}))

    with pytest.raises(SourceError, match=f"the cursor is {message}") as caught:
        incremental.filter(pa.record_batch({"c": values}))

    assert (caught.value.column, caught.value.row) == ("c", 4)


def test_a_null_struct_on_the_path_is_a_null_cursor():
    data = pa.record_batch({"a": pa.array([{"b": 1}, None], pa.struct([("b", pa.int64())]))})

    with pytest.raises(SourceError, match="the cursor is null") as caught:
        Incremental(Cursor("a.b"), None).filter(data)

    assert caught.value.row == 2


@pytest.mark.parametrize("path", ["z", "a.z", "a.b.c", "b"])
def test_a_missing_cursor_column_is_refused_with_those_there_are(path):
    data = pa.record_batch({"a": [{"b": 1}], "x": [1]})

    with pytest.raises(SourceError, match="The columns are a, x"):
        Incremental(Cursor(path), None).filter(data)


@pytest.mark.parametrize(
    ("position", "values"),
    [
        (dt.datetime(2024, 1, 1), [hour(1)]),
        (hour(1), [dt.datetime(2024, 1, 1)]),
        ("2024-01-01", [hour(1)]),
        (1, ["1"]),
        ("1", [1]),
        (dt.date(2024, 1, 1), [hour(1)]),
    ],
)
def test_a_position_of_another_type_is_refused(position, values):
    with pytest.raises(SourceError, match="the position is"):
        Incremental(Cursor("c"), Checkpoint(value=position)).filter(pa.record_batch({"c": values}))


def test_a_position_beyond_a_narrow_column_filters_everything():
    data = pa.record_batch({"c": pa.array([1, 2], pa.int8())})

    assert run(Cursor("c"), Checkpoint(value=1000), data)[0] == []


def test_a_float_position_against_an_integer_column_is_compared_by_value():
    data = pa.record_batch({"c": [1, 2, 3]})

    assert [row["c"] for row in run(Cursor("c"), Checkpoint(value=1.5), data)[0]] == [2, 3]


def test_times_finer_than_the_position_are_not_loaded_twice():
    data = pa.record_batch({"t": pa.array([1_000_000_001, 1_000_000_999], pa.timestamp("ns")), "x": [1, 2]})
    more = pa.record_batch({"t": pa.array([1_000_000_500], pa.timestamp("ns")), "x": [3]})

    first = Incremental(Cursor("t"), None)
    first.filter(data)
    second = Incremental(Cursor("t"), first.checkpoint())

    assert second.filter(data).num_rows == 0
    assert second.filter(more).num_rows == 1


def test_a_boundary_of_many_rows_is_hashed_as_it_comes():
    wide = pa.record_batch({"id": [7] * 2000, "x": [f"{i:020000d}" for i in range(2000)]})
    _, stop = run(Cursor("id"), None, wide)

    assert len(stop.boundary) == 2000
    assert run(Cursor("id"), stop, wide)[0] == []


def test_rows_the_decoder_numbered_are_known_again():
    plain = pa.record_batch({"id": [7, 7], "x": ["5", "x"]})
    numbered = pa.record_batch({"id": [7], "x": [5], SOURCE_ROW: [1]})
    _, stop = run(Cursor("id"), None, plain)

    assert run(Cursor("id"), stop, numbered)[0] == []


def test_hashes_do_not_depend_on_order_added_columns_or_widened_numbers():
    row = {"a": 1, "b": [{"c": None, "d": Decimal("1.50")}], "t": hour(1)}
    other = {
        "new": None,
        "t": hour(1).astimezone(dt.timezone(dt.timedelta(hours=1))),
        "b": [{"d": Decimal("1.5")}],
        "a": 1.0,
    }

    assert row_hash(row) == row_hash(other)
    assert row_hash(row) == "61222f3d862a3df28554066737b69ccc"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (True, "true"), ({"b": 1, "a": [1.5, None]}, '{"a":[1.5,null],"b":1}'), ([[]], "[[]]")],
)
def test_hashes_do_not_change_when_a_column_becomes_text(value, text):
    assert row_hash({"a": value}) == row_hash({"a": text})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": "01"}, {"a": 1}),
        ({"a": True}, {"a": 1}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": '{"b": 1}'}, {"a": {"b": 1}}),
        ({"a": '{"b":1,"b":1}'}, {"a": {"b": 1}}),
    ],
)
def test_rows_that_differ_have_different_hashes(one, other):
    assert row_hash(one) != row_hash(other)


def test_rows_that_differ_in_the_last_of_38_digits_are_two() -> None:
    one, other = (Decimal(f"1.{'0' * 36}{digit}") for digit in (1, 2))
    assert row_hash({"n": one}) != row_hash({"n": other})


events = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=12, unique=True)


@given(events, st.lists(st.integers(0, 12), max_size=4), st.sampled_from([None, 2]))
def test_rows_that_arrive_in_order_are_loaded_exactly_once_over_any_runs(found, cuts, lag):
    arriving = sorted(found)
    cursor = Cursor("id", lag=lag)
    stop, loaded = None, []
    for cut in [*sorted(cuts), len(arriving)]:
        rows = [{"id": i, "x": x} for i, x in arriving[:cut]]
        taken, stop = run(cursor, stop, batch(rows, id=pa.int64(), x=pa.int64()))
        loaded += [(row["id"], row["x"]) for row in taken]

    assert sorted(loaded) == arriving


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["2024-01-01T10:00:00Z", "2024-01-01T12:00:00+01:00"], hour(11)),
        (["2024-05-01T10:00:00", "2024-05-01T09:00:00"], dt.datetime(2024, 5, 1, 10)),
        (["2024-05-01", "2024-04-30"], dt.date(2024, 5, 1)),
    ],
)
def test_a_lag_in_time_reads_text_as_moments(texts, found):
    incremental = Incremental(Cursor("at", lag="1h"), None)
    incremental.filter(pa.record_batch({"at": texts}))
    assert incremental.checkpoint().value == found


def test_text_is_compared_as_what_the_position_is():
    incremental = Incremental(Cursor("at"), Checkpoint(value=hour(11)))
    rows = pa.record_batch({"at": ["2024-01-01T12:30:00+02:00", "2024-01-01T11:30:00Z"]})
    assert incremental.filter(rows).num_rows == 1
    as_text = Incremental(Cursor("at"), Checkpoint(value="2024-01-01T12:00:00Z"))
    assert as_text.filter(rows).num_rows == 1
