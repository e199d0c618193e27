import datetime as dt
import itertools
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import ConfigError, SourceError
from lakeload.model.cursor import HASH_DIGITS, Checkpoint, Cursor
from lakeload.model.rejection import SOURCE_ROW
from lakeload.sources.incremental import Incremental
from lakeload.sources.row_hash import row_hash


def run(cursor, checkpoint, *batches):
    """One load: the rows it takes, and where it stops."""
    incremental = Incremental(cursor, checkpoint)
    passed = [incremental.filter(batch) for batch in batches]
    taken = [row for batch in passed for row in plain(batch).to_pylist()]
    return taken, incremental.checkpoint()


def plain(batch):
    """Without the numbers of the rows."""
    return batch.drop_columns([SOURCE_ROW]) if SOURCE_ROW in batch.schema.names else batch


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
    of_text = Incremental(Cursor("at", type="text"), Checkpoint(value="2024-01-01T12:00:00Z"))
    assert of_text.filter(rows).num_rows == 1
    assert run(Cursor("n"), Checkpoint(value=9), batch([{"n": "10"}, {"n": "8"}]))[0] == [{"n": "10"}]


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ("2024-03-01T10:00:00Z", "2024-03-01T10:00:00.500Z"),
        ("2024-03-01T10:00:00.9Z", "2024-03-01T10:00:00.95Z"),
        ("2024-03-01T10:00:00+02:00", "2024-03-01T09:30:00Z"),
        ("2024-03-01T10:00:00Z", "2024-03-01 11:00:00Z"),
        ("2024-03-01 11:00:00", "2024-03-01T10:00:00.123456789"),
        ("2024-03-01T10:00:00-11:00", "2024-03-01T22:00:00+00:00"),
        ("2024-03-01T10:00:00z", "2024-03-01t11:00:00Z"),
        ("2024-03-01T10:00Z", "2024-03-01T10:00:01Z"),
        ("2024-03-01T10:00:00+0200", "2024-03-01T10:00:00+01"),
        ("2024-03-01T10:00:00,5Z", "2024-03-01T10:00:00.6Z"),
        ("2024-03-01", "2024-03-01T00:00:01"),
        ("2024-03-01T10:00:00", "2024-03-02"),
        ("2024-02-29 23:59:59 Z", "2024-03-01T00:00:00Z"),
    ],
)
def test_iso_text_is_compared_as_the_moments_it_tells(first, later):
    early, late = sorted(
        (first, later),
        key=lambda text: dt.datetime.fromisoformat(text.replace(" Z", "Z").replace("z", "Z")).timestamp(),
    )
    _, stop = run(Cursor("at"), None, batch([{"at": early}]))
    assert run(Cursor("at"), stop, batch([{"at": early}, {"at": late}]))[0] == [{"at": late}]
    _, stop = run(Cursor("at"), None, batch([{"at": late}]))
    assert run(Cursor("at"), stop, batch([{"at": early}]))[0] == []


UTC, NAIVE = pa.timestamp("us", "UTC"), pa.timestamp("us")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([1]), pa.array(["x"])),
        (pa.array(["x"]), pa.array([1])),
        (pa.array([1], UTC), pa.array([2], NAIVE)),
        (pa.array([1], NAIVE), pa.array([2], UTC)),
        (pa.array([1], pa.date32()), pa.array([2], UTC)),
        (pa.array([1]), pa.array([2], UTC)),
        (pa.array(["2024-01-01"]), pa.array(["n/a"])),
        (pa.array(["n/a"]), pa.array(["2024-01-01"])),
        (pa.array(["2024-01-01T00:00:00Z"]), pa.array(["2024-01-02T00:00:00"])),
        (pa.array(["2024-01-01T00:00:00"]), pa.array(["2024-01-02T00:00:00Z"])),
        (pa.array(["2024-02-28"]), pa.array(["2024-02-30"])),
        (pa.array(["a"]), pa.array([b"b"])),
    ],
    ids=str,
)
def test_another_kind_of_value_is_refused_with_its_row_wherever_it_comes(one, other):
    def taken(*runs):
        stop = None
        for batches in runs:
            stop = run(Cursor("c"), stop, *(pa.record_batch({"c": values}) for values in batches))[1]

    tries = [[[one, other]], [[one], [other]]]
    if one.type == other.type:
        tries.append([[pa.concat_arrays([one, other])]])
    for runs in tries:
        with pytest.raises(SourceError, match="cursor") as caught:
            taken(*runs)
        assert caught.value.column == "c"


@pytest.mark.parametrize(
    "values",
    [
        pa.array([True]),
        pa.array([[1]]),
        pa.array([{"a": 1}]),
        pa.array([b"x"]),
        pa.array([1], pa.time64("us")),
        pa.array([1], pa.duration("us")),
        pa.array([10**7], pa.date32()),
        pa.array([10**17], pa.timestamp("s")),
        pa.array([-(10**17)], NAIVE),
    ],
    ids=lambda array: str(array.type),
)
def test_a_column_that_orders_nothing_is_refused(values):
    with pytest.raises(SourceError, match=r"cursor|order rows"):
        run(Cursor("c"), None, pa.record_batch({"c": values}))


@pytest.mark.parametrize(
    ("texts", "kind", "reached"),
    [
        (["2024-01-01T10:00:00Z", "n/a"], UTC, hour(10)),
        (["n/a", "2024-01-01T10:00:00Z"], UTC, hour(10)),
        (["2024-01-01T10:00:00Z", "9999-99-99T00:00:00Z"], UTC, hour(10)),
        (["2024-01-01T10:00:00Z", "2024-01-01T11:00:00"], UTC, hour(10)),
        (["7", "z"], pa.int64(), 7),
        (["7", "99999999999999999999"], pa.int64(), 7),
        (["7", "7.5"], pa.int32(), 7),
        (["1.25", "NaN"], pa.decimal128(10, 2), Decimal("1.25")),
        (["2024-05-01", ""], pa.date32(), dt.date(2024, 5, 1)),
    ],
)
def test_a_value_the_column_does_not_take_moves_no_position_and_comes_once(texts, kind, reached):
    data = batch([{"c": text} for text in texts])
    incremental = Incremental(Cursor("c"), None, kind, lenient=True)
    assert incremental.filter(data).num_rows == 2
    stop = incremental.checkpoint()
    assert stop.value == reached
    again = Incremental(Cursor("c"), stop, kind, lenient=True)
    assert again.filter(data).num_rows == 0
    assert again.checkpoint() == stop
    assert again.seen == 2


def test_values_of_a_column_typed_already_that_do_not_fit_move_no_position():
    incremental = Incremental(Cursor("c"), None, pa.int64(), lenient=True)
    incremental.filter(pa.record_batch({"c": [1.0, 1e300, 2.5, 2.0]}))
    assert incremental.checkpoint().value == 2


def test_a_longer_lag_takes_no_row_twice_and_a_shorter_one_loses_none():
    rows = [{"id": i} for i in range(10)]
    _, stop = run(Cursor("id"), None, batch(rows))
    for lag in (5, 2, 7, None, 3):
        taken, stop = run(Cursor("id", lag=lag), stop, batch(rows))
        assert taken == []
    assert run(Cursor("id", lag=3), stop, batch([*rows, {"id": 10}]))[0] == [{"id": 10}]


def test_the_position_of_another_column_is_refused():
    _, stop = run(Cursor("updatedAt"), None, batch([{"updatedAt": 5, "id": 1}]))
    with pytest.raises(ConfigError, match="of the cursor updatedAt, not of id"):
        Incremental(Cursor("id"), stop)
    assert Incremental(Cursor("updated_at"), stop).start == 5


@pytest.mark.parametrize(
    ("initial", "values", "taken"),
    [
        ("2", [1, 2], [2]),
        (2.5, [2, 3], [3]),
        ("2024-01-01T11:00:00Z", [hour(10), hour(11)], [hour(11)]),
        ("2024-01-01", [hour(0), hour(11)], [hour(0), hour(11)]),
        (dt.date(2024, 1, 2), [hour(11)], []),
        ("2024-01-02", [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2)], [dt.datetime(2024, 1, 2)]),
        (dt.datetime(2024, 1, 2), [dt.date(2024, 1, 1), dt.date(2024, 1, 2)], [dt.date(2024, 1, 2)]),
        ("b", ["a", "b"], ["b"]),
        (
            "2024-01-01T11:00:00+01:00",
            ["2024-01-01T09:00:00Z", "2024-01-01T10:00:00Z"],
            ["2024-01-01T10:00:00Z"],
        ),
    ],
)
def test_the_initial_value_may_be_text(initial, values, taken):
    found, _ = run(Cursor("c", initial=initial), None, batch([{"c": value} for value in values]))
    assert [row["c"] for row in found] == taken


@pytest.mark.parametrize(
    ("initial", "values"),
    [
        ("x", [1]),
        ("2024-01-01T10:00:00", [hour(1)]),
        (5, ["a"]),
        (hour(1), [dt.date(2024, 1, 1)]),
        (5, [hour(1)]),
    ],
)
def test_an_initial_value_of_another_kind_is_refused(initial, values):
    with pytest.raises(ConfigError, match="cannot start at"):
        run(Cursor("c", initial=initial), None, batch([{"c": value} for value in values]))


@pytest.mark.parametrize(
    "options",
    [
        {"lag": -1}, {"lag": True}, {"lag": [1]}, {"lag": float("nan")}, {"lag": float("inf")}, {"lag": "-5m"},
        {"lag": dt.timedelta(-1)}, {"lag": "999999999999w"}, {"initial": True}, {"initial": [1]}, {"initial": float("nan")},
        {"initial": b"x"}, {"type": "date"}, {"path": ""}, {"path": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_cursor_that_cannot_be_is_refused(options):
    with pytest.raises(ConfigError):
        Cursor(**({"path": "c"} | options))


POOL = [
    "2024-05-01",
    "2024-05-02T10:00:00",
    "2024-05-02 10:00:00.5",
    "2024-05-02T10:00:00Z",
    "2024-05-02T10:00:00+02:00",
    "n/a",
    "7",
]


@given(
    st.lists(st.sampled_from(POOL), min_size=1, max_size=5),
    st.sets(st.integers(1, 4)),
    st.booleans(),
    st.sampled_from([None, "timestamp", "text"]),
)
def test_blocks_of_the_data_never_show(texts, cuts, lenient, told):
    def outcome(pieces):
        incremental = Incremental(Cursor("c", type=told), None, lenient=lenient)
        try:
            rows = [
                row
                for piece in pieces
                for row in plain(incremental.filter(batch([{"c": t} for t in piece]))).to_pylist()
            ]
        except SourceError:
            return "refused"
        stop = incremental.checkpoint()
        return rows, stop.value, stop.boundary, stop.unplaced

    bounds = [0, *sorted(cut for cut in cuts if cut < len(texts)), len(texts)]
    pieces = [texts[a:b] for a, b in itertools.pairwise(bounds)]
    assert outcome(pieces) == outcome([texts])
