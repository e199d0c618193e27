"""Columns with maps take the fast ways, and what comes out is what the exact ways give."""

import datetime as dt
import json
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lakeload.errors import SchemaError, SourceError
from lakeload.model.nesting import Nesting
from lakeload.sources.decode.expectation import Expectation
from lakeload.sources.decode.jsonl import JsonDecoder
from lakeload.sources.decode.lift import lift
from lakeload.sources.decode.records import may_have_duplicates
from lakeload.sources.decode.rows import RowDecoder
from lakeload.sources.read import ReadOptions, read

NESTINGS = [
    Nesting(paths={"m": "map", "s.m": "map"}),
    Nesting(paths={"m": "map", "m.*": "native", "s.m": "map", "s.m.*": "native"}),
    Nesting(paths={"m": "map", "m.*": "json", "s.m": "json"}),
    Nesting("map"),
    Nesting(map_keys=1),
    Nesting("map", max_depth=2),
]

texts = st.text(st.characters(codec="utf-8"), max_size=5) | st.sampled_from(
    ["", "a:b", '":', '"a"', "\\", "1"]
)
json_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-9, 9),
    st.integers(-(2**65), 2**65),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
scalars = st.one_of(
    json_scalars,
    st.floats(allow_nan=False),
    st.binary(max_size=2),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-99, max_value=99),
    st.dates(),
    st.times(),
    st.datetimes(),
    st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1), timezones=st.just(dt.UTC)),
    st.timedeltas(dt.timedelta(-9), dt.timedelta(9)),
    st.uuids(),
)


def records(leaves):
    """Rows of which some columns hold maps: values of one kind, as they mostly are, or of any kinds."""
    values = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
        max_leaves=4,
    )
    alike = st.sampled_from([st.none(), st.integers(0, 9), texts, st.floats(0, 1), st.booleans()])
    maps = st.one_of(
        st.dictionaries(texts, st.integers(0, 9) | st.none(), max_size=3),
        st.dictionaries(texts, st.fixed_dictionaries({"x": st.integers(0, 9)}), max_size=3),
        alike.flatmap(lambda kind: st.dictionaries(texts, kind, max_size=3)),
        st.dictionaries(texts, values, max_size=3),
    )
    inside = st.fixed_dictionaries({}, optional={"m": st.none() | maps, "n": st.none() | st.integers(0, 9)})
    row = st.fixed_dictionaries(
        {"id": st.integers(0, 9)},
        optional={"m": st.none() | maps, "s": st.none() | inside, "l": st.lists(maps, max_size=2)},
    )
    return st.lists(row, min_size=1, max_size=5)


@settings(max_examples=400)
@given(records(scalars), records(scalars), st.sampled_from(NESTINGS))
def test_rows_that_the_fast_way_takes_are_as_the_exact_way_gives_them(first, second, nesting):
    decoder = RowDecoder(Expectation(nesting=nesting))
    decoder.decode(first)
    learned = decoder.learned

    again = decoder.plan(learned.fields).decode(first)
    assert again is not None
    assert again.equals(lift(first, learned, decoder.plan_type))

    fast = decoder.plan(learned.fields).decode(second)
    (exact,) = decoder.decode(second) if fast is None else decoder_that_lifts(decoder).decode(second)
    assert fast is None or fast.equals(pa.StructArray.from_arrays(exact.columns, fields=list(exact.schema)))
    if fast is not None:
        fast.validate(full=True)


def decoder_that_lifts(decoder):
    """A decoder of the same types, to which every row is a surprise."""
    exact = RowDecoder(decoder._expectation, decoder.learned)

    def lifted(rows):
        exact._learn(decoder.learned.merge(exact._observe(rows)))
        return [exact._batch(lift(rows, exact.learned, exact.plan_type))]

    exact.decode = lifted
    return exact


@settings(max_examples=400)
@given(records(json_scalars), records(json_scalars), st.sampled_from(NESTINGS), st.booleans())
def test_records_that_the_fast_way_takes_are_as_the_exact_way_gives_them(first, second, nesting, spaced):
    def written(rows):
        separators = (" , ", " : ") if spaced else (",", ":")
        return b"".join(
            json.dumps(row, ensure_ascii=spaced, separators=separators).encode() + b"\n" for row in rows
        )

    fast, exact = JsonDecoder(Expectation(nesting=nesting)), JsonDecoder(Expectation(nesting=nesting))
    exact._fast = lambda piece: None
    assert fast.decode(written(first)) == exact.decode(written(first))
    assume(fast._parsing.maps is not None and not fast._verbatim)

    # Other columns may be parsed as they were before odd values came.
    names = fast._parsing.maps.kind.names
    for rows in (first, second):
        found = fast._fast(written(rows))
        if found is not None:
            (expected,) = exact.decode(written(rows))
            found.validate(full=True)
            assert found.select(names).equals(expected.select(names), check_metadata=True)


LATER = [{"id": 1, "m": {"a": 1, "": None, 'é"\\:': 3}}, {"id": 2, "m": None}, {"id": 3}, {"id": 4, "m": {}}]


@pytest.mark.parametrize("nesting", [Nesting("map"), Nesting(map_keys=1)])
@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: {"x": m, "n": 1}, lambda m: [m, None]])
def test_later_rows_with_maps_need_no_second_look(monkeypatch, nesting, wrap):
    rows = [{**row, "m": wrap(row["m"])} if "m" in row else row for row in LATER]
    decoder = RowDecoder(Expectation(nesting=nesting))
    (first,) = decoder.decode(rows * 3)
    monkeypatch.setattr(decoder, "_exact", None)
    monkeypatch.setattr("lakeload.sources.decode.plan.Observed", None)

    (second,) = decoder.decode(rows * 3)

    assert second.equals(first)


@pytest.mark.parametrize("nesting", [Nesting("map"), Nesting(map_keys=1)])
@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: {"x": m, "n": 1}, lambda m: [m, None]])
@pytest.mark.parametrize("others", [{}, {"name": "x", "size": 1.5}])
def test_later_records_with_maps_take_the_fast_way(monkeypatch, nesting, wrap, others):
    rows = [{**row, **others, "m": wrap(row["m"])} if "m" in row else row for row in LATER]
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    decoder = JsonDecoder(Expectation(nesting=nesting))
    (first,) = decoder.decode(lines)
    monkeypatch.setattr(decoder, "_exact", None)

    (second,) = decoder.decode(lines)

    assert second.equals(first)
    assert second.schema.equals(first.schema, check_metadata=True)


def test_records_of_nothing_but_maps_take_the_fast_way(monkeypatch):
    decoder = JsonDecoder(Expectation(nesting=Nesting("map")))
    (first,) = decoder.decode(b'{"m":{"a":1}}\n{}\n')
    monkeypatch.setattr(decoder, "_exact", None)

    assert decoder.decode(b'{"m":{"a":1}}\n{}\n') == [first]


def test_maps_declared_for_a_column_keep_their_nulls_on_the_fast_way(monkeypatch):
    hint = {"m": pa.map_(pa.string(), pa.int64())}
    decoder = JsonDecoder(Expectation(hint.get))
    decoder.decode(b'{"id":1,"m":{"a":1}}\n')
    monkeypatch.setattr(decoder, "_exact", None)

    (batch,) = decoder.decode(b'{"id":2,"m":{"b":null,"c":2}}\n')

    assert batch.to_pylist() == [{"id": 2, "m": [("b", None), ("c", 2)]}]


@pytest.mark.parametrize(
    ("first", "later", "stored"),
    [
        ("0.5", "9007199254740993", "9007199254740993"),
        ("0.5", "0.1234567890123456789", "0.1234567890123456789"),
        ("0.5", "1e400", "1" + "0" * 400),
        ("1", "1.5", 1.5),
        ("1", "9223372036854775808", Decimal(2**63)),
        ("1", '"x"', "x"),
        ("1", "true", "true"),
        ('"x"', "1", "1"),
        ("[1]", "[1.5]", [1.5]),
    ],
)
def test_a_late_odd_value_in_a_map_is_stored_exactly(first, later, stored):
    decoder = JsonDecoder(Expectation(nesting=Nesting("map")))
    for value in (first, first, later):
        (batch,) = decoder.decode(b'{"id":1,"m":{"k":%s}}\n' % value.encode())

    assert batch.column("m").to_pylist() == [[("k", stored)]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id":1,"m":{"a":1,"a":2}}', "'a' occurs twice"),
        (b'{"id":1,"m":{"a":1,"\\u0061":2}}', "'a' occurs twice"),
        (b'{"id":1,"m":{"a:b":1,"a\\u003ab":2}}', "'a:b' occurs twice"),
        (b'{"id":1,"m":{"a":1},"m":{"b":2}}', "'m' occurs twice"),
        (b'{"id":1,"id":1,"m":{"a" : 1}}', "'id' occurs twice"),
        (b'{"id":1,"m":{"a":NaN}}', "NaN and Infinity are not JSON"),
        (b'{"id":1,"m":{"a\xff":1}}', "invalid UTF-8"),
        (b'{"id":1,"m":{"\\ud800":1}}', "surrogate"),
        (b'{"id":1,"m":{"a":01}}', "malformed JSON"),
        (b'{"id":1,"m":{"a":1}', "cut off"),
        (b'{"id":1,"m":{"a":1}} x', "malformed JSON"),
        (b"null", "expected a JSON object, found None"),
        (b"[]", "expected a JSON object"),
        (b'{"id":1,"m":{"a":' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_record_among_maps_is_refused_with_its_row(line, message):
    good = b'{"id":0,"m":{"x":1}}\n' * 3
    decoder = JsonDecoder(Expectation(nesting=Nesting(paths={"m": "map"})))
    decoder.decode(good)

    with pytest.raises(SourceError, match=message) as caught:
        decoder.decode(good + line)

    assert caught.value.row == 4


@pytest.mark.parametrize(
    ("value", "message"),
    [({1: 2}, "not a string"), ({b"a": 2}, "not a string"), ({"\ud800": 2}, "surrogate")],
)
def test_keys_of_maps_that_are_no_text_are_refused_with_their_row(value, message):
    decoder = RowDecoder(Expectation(nesting=Nesting("map")))
    decoder.decode([{"m": {"a": 1}}])

    with pytest.raises(SchemaError, match=message) as caught:
        decoder.decode([{"m": {"a": 1}}, {"m": value}])

    assert caught.value.row == 2


def test_a_moment_before_the_calendar_begins_is_refused_where_it_becomes_text():
    early = dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5)))

    with pytest.raises(SchemaError, match="out of range"):
        RowDecoder(Expectation()).decode([{"a": "x"}, {"a": early}])


pairs = st.lists(st.tuples(st.sampled_from(["a", ":", '":', "b:"]), texts), max_size=4)


@given(st.lists(pairs, max_size=3), st.sampled_from([":", " : "]), st.booleans())
def test_a_name_that_occurs_twice_is_never_missed(objects, colon, disguised):
    def member(name, value):
        text = f"{json.dumps(name)}{colon}{json.dumps(value)}"
        return text.replace("b:", "b\\u003a") if disguised else text

    text = "[" + ",".join("{" + ",".join(member(*pair) for pair in found) + "}" for found in objects) + "]"
    rows = json.loads(text)

    if sum(map(len, rows)) < sum(map(len, objects)):
        assert may_have_duplicates(text.encode(), rows)
    elif not disguised:
        assert not may_have_duplicates(text.encode(), rows)


@pytest.mark.parametrize("workers", [1, 3])
def test_documents_with_maps_in_many_lines_come_back_whole(workers):
    rows = [{"id": i, "m": {f"k{i + j}": j for j in range(i % 4)}, "name": f"n{i}"} for i in range(20_000)]
    options = ReadOptions(input_format="json", batch_bytes=1 << 18)

    batches = read(
        json.dumps(rows, indent=1).encode(),
        expectation=Expectation(nesting=Nesting(paths={"m": "map"})),
        options=options,
        workers=workers,
    )

    found = [row for batch in batches for row in batch.to_pylist()]
    assert [{**row, "m": dict(row["m"])} for row in found] == rows
