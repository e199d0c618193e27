import datetime as dt
import decimal
import pickle
import uuid

import pyarrow as pa
import pytest

from lakeload.errors import SchemaError
from lakeload.model.relabel import relabel
from lakeload.normalize.coerce import Misfit
from lakeload.normalize.nested import conversion


def run(array, target, *, top=True, given=None):
    convert = pickle.loads(pickle.dumps(conversion(array.type, target, ("c",), top=top, given=given)))
    result = array if convert is None else convert(array)
    result.validate(full=True)
    return result


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (pa.int64(), pa.int64()),
        (pa.large_string(), pa.string()),
        (pa.string_view(), pa.string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.string()),
        (pa.large_binary(), pa.binary()),
        (
            pa.list_(pa.field("item", pa.struct([("x", pa.int64())]))),
            pa.list_(pa.struct([("x", pa.int64())])),
        ),
        (pa.struct([("xy", pa.string())]), pa.struct([("xy", pa.string())])),
        (pa.map_(pa.string(), pa.int32()), pa.map_(pa.string(), pa.int32())),
    ],
)
def test_what_already_has_the_right_bytes_passes_untouched(source, target):
    assert conversion(source, target, ("c",)) is None


def test_timestamps_of_other_zones_keep_their_bytes():
    array = pa.array([1, 2], pa.timestamp("us", "Europe/Berlin"))
    convert = conversion(array.type, pa.timestamp("us", "UTC"), ("c",))
    assert convert(array).buffers()[1].address == array.buffers()[1].address


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.date32()])
def test_moments_outside_the_calendar_are_refused(kind):
    for edge in (dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999)):
        inside = pa.array([edge], pa.timestamp("us")).cast(kind, safe=False)
        assert len(run(pa.array([inside[0], None], kind), kind)) == 2
        step = 1 if edge.year > 1 else -1
        outside = pa.array(
            [inside[0].value + step], pa.int32() if pa.types.is_date(kind) else pa.int64()
        ).cast(kind)
        with pytest.raises(Misfit):
            run(outside, kind)
        with pytest.raises(Misfit):
            run(pa.array([[outside[0]]], pa.list_(kind)), pa.list_(kind))


def test_inside_nested_columns_text_becomes_plain_strings():
    for kind in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        array = pa.array([["a", None], None, []], pa.list_(kind))
        result = run(array, pa.list_(pa.string()))
        assert result.type == pa.list_(pa.string())
        assert result.to_pylist() == array.to_pylist()


@pytest.mark.parametrize(
    ("array", "target", "values"),
    [
        (pa.array([2**64 - 1, None], pa.uint64()), pa.decimal128(20, 0), [decimal.Decimal(2**64 - 1), None]),
        (pa.array([12], pa.int64()), pa.decimal128(4, 2), [decimal.Decimal("12.00")]),
        (pa.array([1], pa.int64()), pa.decimal128(38, 37), [decimal.Decimal(1)]),
        (pa.array([decimal.Decimal(500)], pa.decimal128(3, -2)), pa.decimal128(5, 0), [decimal.Decimal(500)]),
        (pa.array([1.5, None], pa.float16()), pa.float32(), [1.5, None]),
        (pa.array([2**53], pa.int64()), pa.float64(), [2.0**53]),
        (pa.array([7.0, None]), pa.int64(), [7, None]),
        (pa.array([0.1, None]), pa.decimal128(5, 2), [decimal.Decimal("0.10"), None]),
        (pa.array([0.5, float("inf")]), pa.float32(), [0.5, float("inf")]),
        (pa.array([dt.date(2024, 5, 1)], pa.date64()), pa.date32(), [dt.date(2024, 5, 1)]),
        (pa.array([dt.date(2024, 5, 1)]), pa.timestamp("us"), [dt.datetime(2024, 5, 1)]),
        (pa.array([dt.datetime(2024, 5, 1)]), pa.date32(), [dt.date(2024, 5, 1)]),
        (pa.array([1000], pa.timestamp("ns")), pa.timestamp("us"), [dt.datetime(1970, 1, 1, 0, 0, 0, 1)]),
        (pa.array([61], pa.time32("s")), pa.time64("us"), [dt.time(0, 1, 1)]),
        (pa.array([61], pa.time32("s")), pa.string(), ["00:01:01"]),
        (pa.array([5], pa.duration("ms")), pa.int64(), [5]),
        (pa.array([b"ab"], pa.binary(2)), pa.binary(), [b"ab"]),
        (pa.array(["2024-05-01T00:00:00Z"]), pa.timestamp("us", "UTC"), [dt.datetime(2024, 5, 1, tzinfo=dt.UTC)]),
        (pa.array(["1.25"], pa.string_view()), pa.decimal128(5, 2), [decimal.Decimal("1.25")]),
        (pa.array([1, None]).dictionary_encode(), pa.int64(), [1, None]),
        (pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([1, None])).slice(1), pa.int64(), [1, None]),
        (pa.nulls(2), pa.struct([("a", pa.int32())]), [None, None]),
    ],
)  # fmt: skip
def test_exact_conversions_keep_the_value(array, target, values):
    result = run(array, target)
    assert result.to_pylist() == values
    assert result.type == target


@pytest.mark.parametrize(
    ("array", "target"),
    [
        (pa.array([2**53 + 1]), pa.float64()),
        (pa.array([2**40]), pa.int32()),
        (pa.array([1.5]), pa.int64()),
        (pa.array([float("nan")]), pa.int64()),
        (pa.array([0.1]), pa.float32()),
        (pa.array([1e300]), pa.float32()),
        (pa.array([0.125]), pa.decimal128(5, 2)),
        (pa.array([float("nan")]), pa.decimal128(5, 2)),
        (pa.array([decimal.Decimal("0.1234567890123456789")]), pa.float64()),
        (pa.array([decimal.Decimal("123.45")]), pa.decimal128(4, 2)),
        (pa.array([decimal.Decimal("1.25")]), pa.decimal128(5, 1)),
        (pa.array([1234567], pa.int64()), pa.decimal128(6, 0)),
        (pa.array([1], pa.timestamp("ns")), pa.timestamp("us")),
        (pa.array([2**60], pa.timestamp("s")), pa.timestamp("us")),
        (pa.array([86_400_001], pa.date64()), pa.date32()),
        (pa.array([86_400_001], pa.date64()), pa.timestamp("us")),
        (pa.array([1], pa.timestamp("us")), pa.date32()),
        (pa.array([1], pa.time64("ns")), pa.time64("us")),
        (pa.array(["1.5"]), pa.int32()),
        (pa.array(["2024-05-01T00:00:00"]), pa.timestamp("us", "UTC")),
    ],
)
def test_values_that_do_not_fit_are_refused_and_never_rounded(array, target):
    with pytest.raises(Misfit):
        run(array, target)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (pa.bool_(), pa.float64()),
        (pa.int64(), pa.timestamp("us")),
        (pa.decimal128(5, 2), pa.date32()),
        (pa.string(), pa.struct([("a", pa.int32())])),
        (pa.list_(pa.int32()), pa.map_(pa.string(), pa.int32())),
    ],
)
def test_conversions_that_have_no_meaning_are_refused(source, target):
    with pytest.raises(SchemaError, match="cannot be converted"):
        conversion(source, target, ("c",))


def test_uuids_become_text_also_in_slices_and_with_nulls():
    ids = [uuid.UUID(int=i * 2**90 + 7) for i in range(4)]
    array = pa.array([ids[0].bytes, None, ids[2].bytes, ids[3].bytes], pa.uuid())
    assert run(array.slice(1), pa.string()).to_pylist() == [None, str(ids[2]), str(ids[3])]
    assert run(array.slice(4), pa.string()).to_pylist() == []
    assert run(pa.nulls(2, pa.uuid()), pa.string()).to_pylist() == [None, None]


def struct_of(array):
    return pa.StructArray.from_arrays([array], names=["x"], mask=pa.array([False, True, False]))


def test_values_under_a_null_struct_are_not_judged():
    below = pa.array([1000, 1, 2000], pa.timestamp("ns"))
    result = run(struct_of(below), pa.struct([("x", pa.timestamp("us"))]))
    assert [row and row["x"].microsecond for row in result.to_pylist()] == [1, None, 2]


def test_elements_under_a_null_list_are_not_judged():
    values = pa.array([1000, 1, 2000], pa.timestamp("ns"))
    array = pa.ListArray.from_arrays(
        pa.array([0, 1, 2, 3], pa.int32()), values, mask=pa.array([False, True, False])
    )
    result = run(array, pa.list_(pa.timestamp("us")))
    assert [row and row[0].microsecond for row in result.to_pylist()] == [1, None, 2]


def test_elements_outside_a_slice_are_neither_judged_nor_kept():
    array = pa.array([[1], [2000, 3000], [4]], pa.list_(pa.timestamp("ns"))).slice(1, 1)
    result = run(array, pa.list_(pa.timestamp("us")))
    assert len(result.values) == 2


LISTS = [pa.list_, pa.large_list, pa.list_view, pa.large_list_view]


@pytest.mark.parametrize("make", LISTS)
@pytest.mark.parametrize("window", [(0, 5), (1, 3), (2, 3), (4, 1), (5, 0)])
def test_every_list_kind_keeps_its_rows_in_slices(make, window):
    rows = [[1, 2], None, [], [3, None, 4], [5]]
    array = pa.array(rows, make(pa.int8())).slice(*window)
    result = run(array, pa.list_(pa.int32()))
    assert result.to_pylist() == rows[window[0] : window[0] + window[1]]
    assert result.type == pa.list_(pa.int32())


def test_fixed_size_lists_become_lists_with_their_nulls():
    array = pa.array([[1, 2], None, [3, None]], pa.list_(pa.int8(), 2))
    assert run(array.slice(1), pa.list_(pa.int32())).to_pylist() == [None, [3, None]]


@pytest.mark.parametrize("window", [(0, 4), (1, 2), (2, 2), (4, 0)])
def test_maps_are_converted_inside_and_keep_their_rows_in_slices(window):
    rows = [[("a", {"x": 1})], None, [], [("b", None), ("c", {"x": 2})]]
    array = pa.array(rows, pa.map_(pa.large_string(), pa.struct([("x", pa.int8())]))).slice(*window)
    result = run(array, pa.map_(pa.string(), pa.struct([("x", pa.int32())])))
    assert result.to_pylist() == rows[window[0] : window[0] + window[1]]


def test_structs_are_reordered_and_completed_and_stay_null_where_they_were():
    array = pa.array(
        [{"b": 1, "a": "x"}, None, {"b": None, "a": "z"}], pa.struct([("b", pa.int8()), ("a", pa.string())])
    )
    target = pa.struct([("a", pa.string()), ("c", pa.list_(pa.int32())), ("b", pa.int32())])
    assert run(array.slice(1), target).to_pylist() == [None, {"a": "z", "c": None, "b": None}]
    assert run(array, target).to_pylist()[0] == {"a": "x", "c": None, "b": 1}


def test_an_empty_list_array_without_offsets_is_converted():
    array = pa.ListArray.from_buffers(
        pa.list_(pa.int8()), 0, [None, None], children=[pa.array([], pa.int8())]
    )
    assert run(array, pa.list_(pa.int32())).to_pylist() == []


def test_relabelling_shares_the_buffers():
    array = pa.array([[{"X": 1}], None], pa.list_(pa.struct([("X", pa.int64())])))
    result = relabel(array, pa.list_(pa.field("element", pa.struct([("x", pa.int64())]))))
    assert result.to_pylist() == [[{"x": 1}], None]
    assert result.values.field(0).buffers()[1].address == array.values.field(0).buffers()[1].address


UTC = pa.timestamp("us", "UTC")
MOMENT = dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)
SECONDS = 1_714_557_600


@pytest.mark.parametrize(
    ("array", "unit", "later"),
    [
        (pa.array([SECONDS]), "s", 0),
        (pa.array([SECONDS * 1000 + 1]), "ms", 1000),
        (pa.array([SECONDS * 10**6 + 1]), "us", 1),
        (pa.array([SECONDS * 10**9 + 1000]), "ns", 1),
        (pa.array([SECONDS], pa.uint32()), "s", 0),
        (pa.array([SECONDS + 0.1]), "s", 100_000),
        (pa.array([SECONDS * 1000 + 0.5]), "ms", 500),
        (pa.array([decimal.Decimal(f"{SECONDS}.000001")]), "s", 1),
    ],
)
def test_epoch_numbers_count_the_unit_of_the_hint(array, unit, later):
    result = run(array, UTC, given=pa.timestamp(unit, "UTC"))
    assert result.to_pylist() == [MOMENT + dt.timedelta(microseconds=later)]


@pytest.mark.parametrize(
    ("array", "unit"),
    [
        (pa.array([SECONDS * 10**9 + 1]), "ns"),
        (pa.array([2**62]), "s"),
        (pa.array([1e300]), "s"),
        (pa.array([float("nan")]), "s"),
        (pa.array([0.0000001]), "s"),
        (pa.array([253_402_300_800]), "s"),
        (pa.array([decimal.Decimal("0.0000001")]), "s"),
    ],
)
def test_epoch_numbers_that_are_no_microsecond_of_the_calendar_are_refused(array, unit):
    with pytest.raises(Misfit):
        run(array, UTC, given=pa.timestamp(unit, "UTC"))


def test_epoch_numbers_count_inside_nested_columns_and_days_for_dates():
    given = pa.list_(pa.struct([("at", pa.timestamp("ms")), ("on", pa.date32())]))
    target = pa.list_(pa.struct([("at", pa.timestamp("us")), ("on", pa.date32())]))
    result = run(pa.array([[{"at": 1, "on": 1}], None]), target, given=given)
    expected = [[{"at": dt.datetime(1970, 1, 1, 0, 0, 0, 1000), "on": dt.date(1970, 1, 2)}], None]
    assert result.to_pylist() == expected


def test_bytes_become_base64_but_are_decoded_where_a_hint_calls_them_text():
    assert run(pa.array([b"ab\xff", None]), pa.string()).to_pylist() == ["YWL/", None]
    assert run(pa.array([b"ab", None]), pa.string(), given=pa.string()).to_pylist() == ["ab", None]
    with pytest.raises(Misfit):
        run(pa.array([b"ab\xff"]), pa.string(), given=pa.string())


def test_objects_become_maps_at_every_depth_without_what_is_missing():
    target = pa.list_(pa.map_(pa.string(), pa.string()))
    array = pa.array([[{"b": 1, "a": "x"}, {"b": None, "a": "y"}, None], None, []])
    assert run(array, target).to_pylist() == [[[("a", "x"), ("b", "1")], [("a", "y")], None], None, []]
    assert run(array.slice(1), target).to_pylist() == [None, []]


def test_members_are_called_as_in_the_source_where_their_names_become_data():
    named = pa.struct([pa.field("user_id", pa.int64(), metadata={"lakeload.source": "userId"})])
    array = pa.array([{"userId": 1}])
    text = conversion(named, pa.string(), ("c",))
    assert text(array).to_pylist() == ['{"userId":1}']
    entries = conversion(named, pa.map_(pa.string(), pa.int64()), ("c",))
    assert entries(array).to_pylist() == [[("userId", 1)]]


def test_conversions_tell_what_they_do():
    struct = pa.struct([("a", pa.int8()), ("b", pa.bool_())])
    assert (
        conversion(struct, pa.struct([("a", pa.int32()), ("b", pa.string())]), ()).how
        == "members, cast, to text"
    )
    assert conversion(struct, pa.map_(pa.string(), pa.string()), ()).how == "struct → map, to text"
    assert conversion(pa.int64(), UTC, (), given=pa.timestamp("ms")).how == "count of ms"
