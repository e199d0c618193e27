"""Contracts at every depth, for data of every form, on new tables and on old ones."""

import datetime as dt
import random

import pyarrow as pa
import pytest

from lakeload.errors import SchemaError
from lakeload.model.contract import Contract
from lakeload.model.layout import Layout
from lakeload.model.naming import SYSTEM, UNTYPED
from lakeload.model.nesting import Nesting
from lakeload.model.schema import assign_ids
from lakeload.model.table import OWNER_PROPERTY, TableSpec, TableState
from lakeload.normalize.normalizer import Normalizer
from lakeload.sources.decode.expectation import Expectation
from lakeload.sources.decode.rows import RowDecoder

NOW = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
UTC = pa.timestamp("us", "UTC")
OUTCOMES = ("freeze", "discard_value", "discard_row", "quarantine")

# Where an object lies in a row, and in the table.
PLACES = {
    "top": (lambda inner: inner, ()),
    "member": (lambda inner: {"s": inner}, ("s",)),
    "element": (lambda inner: {"l": [{"v": 7}, inner, None]}, ("l", "element")),
    "map value": (lambda inner: {"m": [("k", inner), ("o", {"v": 8}), ("p", {"v": 9})]}, ("m", "value")),
}
# The object of the row that asks for a change, and what is left of it when the value is dropped.
SURPRISES = {"columns": ({"v": 2, "new": "x"}, {"v": 2}, "new"), "types": ({"v": 2.5}, {"v": None}, "v")}


def normalizer(contract, state=None, schema=None, formats=("delta",), **options):
    spec = TableSpec("events", schema=schema, load_columns=False, contract=contract, **options)
    return Normalizer(spec, formats=formats, state=state, load_id="a", loaded_at=NOW)


def table(schema, *, owned=True):
    schema, last = assign_ids(schema)
    return TableState(1, schema, last, Layout(), {OWNER_PROPERTY: "true"} if owned else {}, {})


def arrow(rows, place):
    inner = pa.struct(
        {name: pa.infer_type([_inside(row, place).get(name) for row in rows]) for name in _names(rows, place)}
    )
    kinds = {
        "top": lambda: [pa.field("id", pa.int64()), *inner],
        "member": lambda: [pa.field("id", pa.int64()), pa.field("s", inner)],
        "element": lambda: [pa.field("id", pa.int64()), pa.field("l", pa.list_(inner))],
        "map value": lambda: [pa.field("id", pa.int64()), pa.field("m", pa.map_(pa.string(), inner))],
    }
    return pa.RecordBatch.from_pylist(rows, schema=pa.schema(kinds[place]()))


def _inside(row, place):
    reach = {
        "top": lambda: row,
        "member": lambda: row["s"],
        "element": lambda: row["l"][1],
        "map value": lambda: row["m"][0][1],
    }
    return reach[place]()


def _names(rows, place):
    return sorted({name for row in rows for name in _inside(row, place)} - {"id"}, reverse=True)


def dicts(rows, place):
    rows = [{name: dict(value) if name == "m" else value for name, value in row.items()} for row in rows]
    nesting = Nesting(map_keys=2)
    (batch,) = RowDecoder(Expectation(nesting=nesting)).decode(rows)
    assert UNTYPED in batch.schema.metadata
    return batch


FORMS = {"arrow": arrow, "dicts": dicts}


@pytest.mark.parametrize("there", [True, False], ids=["existing table", "new table"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("rule", SURPRISES)
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_surprise_gets_what_the_contract_says(outcome, rule, place, form, there):
    put, path = PLACES[place]
    surprise, left, name = SURPRISES[rule]
    plain = [{"id": i, **put({"v": i})} for i in (1, 2, 3)]
    rows = [plain[0], {"id": 2, **put(surprise)}, plain[2]]
    contract = Contract(**{rule: outcome})
    first = normalizer(Contract())
    first.apply(FORMS[form](plain, place))
    if there:
        it, before = normalizer(contract, table(first.schema)), 0
    else:
        it, before = normalizer(contract), 3
        it.apply(FORMS[form](plain, place))
    schema = it.schema

    if outcome == "freeze":
        with pytest.raises(SchemaError, match="freezes") as caught:
            it.apply(FORMS[form](rows, place))
        found = caught.value
        assert (found.table, found.column, found.row) == ("events", ".".join((*path, name)), before + 2)
        assert ("2.5" if rule == "types" else "value x") in str(found)
        return
    shaped = it.apply(FORMS[form](rows, place))
    assert it.schema is schema
    assert shaped.batch.schema.equals(schema, check_metadata=True)
    (rejection,) = shaped.rejections
    assert (rejection.outcome, rejection.rule, rejection.path) == (outcome, rule, (*path, name))
    assert rejection.rows.to_pylist() == [1]
    kept = (
        [plain[0], {"id": 2, **put(left)}, plain[2]] if outcome == "discard_value" else [plain[0], plain[2]]
    )
    assert shaped.batch.to_pylist() == kept


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_values_of_another_kind_do_not_fit_and_are_never_read_as_numbers(outcome):
    it = normalizer(
        Contract(types=outcome), table(pa.schema([("n", pa.int64()), ("s", pa.list_(pa.int64()))]))
    )
    for data in (
        pa.record_batch({"n": ["1", None]}),
        pa.record_batch({"n": [True, None]}),
        pa.record_batch({"n": [[1], None]}),
        pa.record_batch({"n": [{"x": 1}, None]}),
        pa.record_batch({"n": pa.array([5, None], pa.duration("s"))}),
        pa.record_batch({"s": [["1", None], [None]]}),
        pa.record_batch({"s": [5, None]}),
    ):
        if outcome == "freeze":
            with pytest.raises(SchemaError, match="cannot be stored exactly as"):
                it.apply(data)
            continue
        shaped = it.apply(data)
        assert [one.rows.to_pylist() for one in shaped.rejections] == [[0]]
        assert shaped.batch.num_rows == (2 if outcome == "discard_value" else 1)
        name = data.schema.names[0]
        values = shaped.batch.column(name).to_pylist()
        nothing = (
            [[None, None], [None]]
            if pa.types.is_list(data.schema.field(0).type) and name == "s"
            else [None, None]
        )
        assert values == nothing[-len(values) :]


def test_a_column_without_values_asks_for_nothing():
    it = normalizer(Contract.parse("freeze"), table(pa.schema([("n", pa.int64())])))
    data = pa.record_batch({"n": [1], "new": pa.array([None], pa.string()), "e": [{}], "k": [[]]})
    assert it.apply(data).batch.to_pylist() == [{"n": 1}]
    assert it.apply(pa.record_batch({"n": pa.array([None], pa.string())})).batch.to_pylist() == [{"n": None}]


def test_a_column_without_values_asks_for_no_other_type():
    kinds = {"n": pa.int64(), "s": pa.struct([("x", pa.int64())]), "l": pa.list_(pa.int32())}
    it = normalizer(Contract(), table(pa.schema(kinds)))
    other = {
        "n": pa.array([None], pa.string()),
        "s": pa.array([{"x": None}], pa.struct([("x", pa.string())])),
        "l": pa.array([[None]], pa.list_(pa.string())),
    }
    assert it.apply(pa.record_batch(other)).batch.to_pylist() == [{"n": None, "s": {"x": None}, "l": [None]}]
    assert it.changes == ()
    it.apply(pa.record_batch({**other, "n": ["x"]}))
    assert [str(change) for change in it.changes] == ["widened n int64 → string"]


def test_everything_turns_to_text_without_a_change_of_the_table():
    it = normalizer(Contract.parse("freeze"), table(pa.schema([("t", pa.string())])))
    for value, text in ((1, "1"), (True, "true"), ({"a": [1.0]}, '{"a":[1]}')):
        assert it.apply(pa.record_batch({"t": [value]})).batch.to_pylist() == [{"t": text}]


def test_the_first_batch_founds_a_new_table_and_hints_found_it_alone():
    strict = Contract.parse("discard_value")
    it = normalizer(strict)
    assert it.apply(pa.record_batch({"a": [1]})).batch.to_pylist() == [{"a": 1}]
    assert it.apply(pa.record_batch({"a": ["x"], "b": [2]})).batch.to_pylist() == [{"a": None}]
    hinted = normalizer(strict, schema=pa.schema([("a", pa.int64())]))
    shaped = hinted.apply(pa.record_batch({"a": ["5", "x"], "b": [None, 2]}))
    assert shaped.batch.to_pylist() == [{"a": 5}, {"a": None}]
    assert [(one.rule, one.path, one.rows.to_pylist()) for one in shaped.rejections] == [
        ("types", ("a",), [1]),
        ("columns", ("b",), [1]),
    ]


def test_columns_may_evolve_while_types_may_not():
    it = normalizer(Contract(types="discard_row"), table(pa.schema([("a", pa.int32())])))
    shaped = it.apply(pa.record_batch({"a": [1, 2**40], "b": [0.5, 1.5]}))
    assert shaped.batch.to_pylist() == [{"a": 1, "b": 0.5}]
    assert [str(change) for change in it.changes] == ["added b double"]
    assert it.apply(pa.record_batch({"b": ["x"]})).rejections[0].path == ("b",)


def test_types_may_evolve_while_columns_may_not():
    it = normalizer(Contract(columns="discard_value"), table(pa.schema([("a", pa.int32())])))
    shaped = it.apply(pa.record_batch({"a": [1, 2**40], "b": [None, 1.5]}))
    assert shaped.batch.to_pylist() == [{"a": 1}, {"a": 2**40}]
    assert [str(change) for change in it.changes] == ["widened a int32 → int64"]


def test_a_row_is_rejected_once_and_put_aside_rather_than_dropped():
    state = table(pa.schema([("a", pa.int64()), ("b", pa.int64())]))
    data = pa.record_batch({"a": [0.5, 1.0, 2.5, 3.0], "new": [None, None, "x", "y"]})
    both = normalizer(Contract(columns="quarantine", types="discard_row"), state).apply(data)
    assert [(one.outcome, one.rows.to_pylist()) for one in both.rejections] == [
        ("discard_row", [0]),
        ("quarantine", [2, 3]),
    ]
    assert both.batch.to_pylist() == [{"a": 1, "b": None}]
    mixed = normalizer(Contract(columns="quarantine", types="discard_value"), state).apply(data)
    assert [(one.outcome, one.rows.to_pylist()) for one in mixed.rejections] == [
        ("discard_value", [0]),
        ("quarantine", [2, 3]),
    ]
    assert mixed.batch.column("a").to_pylist() == [None, 1]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_required_column_without_a_value_breaks_the_contract_on_types(outcome):
    inner = pa.struct([pa.field("x", pa.int64(), nullable=False)])
    state = table(pa.schema([pa.field("a", pa.int64(), nullable=False), ("l", pa.list_(inner))]))
    it = normalizer(Contract(types=outcome), state)
    data = pa.record_batch({
        "a": pa.array([1, None, 3, 4]),
        "l": pa.array([[{"x": 1}], [], None, [None, {"x": None}]], pa.list_(pa.struct({"x": pa.int64()}))),
    })  # fmt: skip
    if outcome == "freeze":
        with pytest.raises(SchemaError, match="required") as caught:
            it.apply(data)
        assert (caught.value.column, caught.value.row) == ("a", 2)
        return
    shaped = it.apply(data)
    rowwise = "quarantine" if outcome == "quarantine" else "discard_row"
    assert [(one.outcome, one.path, one.rows.to_pylist()) for one in shaped.rejections] == [
        (rowwise, ("a",), [1]),
        (rowwise, ("l", "element", "x"), [3]),
    ]
    assert shaped.batch.column("a").to_pylist() == [1, 3]
    assert shaped.batch.schema.field("a").nullable is False


def test_a_value_that_must_not_be_null_takes_its_row_along():
    state = table(pa.schema([pa.field("a", pa.int64(), nullable=False)]))
    shaped = normalizer(Contract(types="discard_value"), state).apply(pa.record_batch({"a": [1.0, 2.5, 3.0]}))
    assert shaped.batch.to_pylist() == [{"a": 1}, {"a": 3}]
    assert [(one.outcome, one.rows.to_pylist()) for one in shaped.rejections] == [("discard_row", [1])]


def test_a_key_that_does_not_fit_takes_its_map_along():
    state = table(pa.schema([("m", pa.map_(pa.int64(), pa.int64()))]))
    data = pa.array([[(1.0, 5)], [(1.5, 6), (2.0, 7)], None], pa.map_(pa.float64(), pa.int64()))
    shaped = normalizer(Contract(types="discard_value"), state).apply(pa.record_batch({"m": data}))
    assert shaped.batch.column("m").to_pylist() == [[(1, 5)], None, None]
    assert [(one.path, one.rows.to_pylist()) for one in shaped.rejections] == [(("m", "key"), [1])]


def test_rows_are_numbered_as_the_caller_says():
    it = normalizer(Contract.parse("freeze"), table(pa.schema([("a", pa.int64())])))
    with pytest.raises(SchemaError) as caught:
        it.apply(pa.record_batch({"a": [1.0, 2.5]}), lambda index: 100 + index)
    assert caught.value.row == 101


def test_findings_are_placed_right_in_slices_with_nulls_and_encodings():
    state = table(pa.schema([("l", pa.list_(pa.struct([("n", pa.int32())]))), ("w", pa.int32())]))
    lists = pa.array([[{"n": 2**40}], None, [{"n": 1}, None, {"n": 2**40}], [], [{"n": 2**41}, {"n": 2}]])
    words = pa.array([1, 2**40, 3, 2**40, 5]).dictionary_encode()
    batch = pa.record_batch({"l": lists, "w": words}).slice(1)
    shaped = normalizer(Contract(types="discard_value"), state).apply(batch)
    assert [(one.path, one.rows.to_pylist()) for one in shaped.rejections] == [
        (("l", "element", "n"), [1, 3]),
        (("w",), [0, 2]),
    ]
    assert shaped.batch.column("l").to_pylist() == [
        None,
        [{"n": 1}, None, {"n": None}],
        [],
        [{"n": None}, {"n": 2}],
    ]
    assert shaped.batch.column("w").to_pylist() == [None, 3, None, 5]


def test_every_misfit_among_many_rows_is_found_and_no_other():
    random.seed(7)
    bad = dict.fromkeys(sorted(random.sample(range(100_000), 500)))
    kinds = {
        "int": (pa.int32(), pa.array([2**40 + i if i in bad else i for i in range(100_000)])),
        "float": (pa.int64(), pa.array([i + 0.5 if i in bad else float(i) for i in range(100_000)])),
        "decimal": (
            pa.decimal128(8, 2),
            pa.array([i + 0.001 if i in bad else i + 0.25 for i in range(100_000)]),
        ),
        "date": (
            pa.date32(),
            pa.array([f"day {i}" if i in bad else "2024-05-01" for i in range(100_000)]),
        ),
    }
    for kind, data in kinds.values():
        it = normalizer(Contract(types="discard_row"), table(pa.schema([("c", kind)])))
        batch = pa.record_batch({"c": data}).replace_schema_metadata({UNTYPED: b"1"})
        (rejection,) = it.apply(batch).rejections
        assert rejection.rows.to_pylist() == list(bad)


def test_what_a_format_cannot_widen_is_refused_with_row_and_value():
    state = table(pa.schema([("n", pa.int64())]))
    it = normalizer(Contract(), state, formats=("iceberg",))
    with pytest.raises(SchemaError, match="value soon cannot be stored exactly as int64") as caught:
        it.apply(pa.record_batch({"n": [None, "soon"]}))
    assert (caught.value.column, caught.value.row) == ("n", 2)


def test_system_columns_pass_where_the_same_name_of_a_source_is_refused():
    own = pa.field("_lakeload_row_id", pa.string(), metadata={SYSTEM: b"1"})
    batch = pa.record_batch([pa.array(["r1"]), pa.array([1])], schema=pa.schema([own, ("b", pa.int64())]))
    spec = TableSpec("events")
    it = Normalizer(spec, formats=("delta",), state=None, load_id="a", loaded_at=NOW)
    it.apply(batch)
    assert it.schema.names == ["b", "_lakeload_row_id", "_lakeload_id", "_lakeload_at"]
    with pytest.raises(SchemaError, match="reserved"):
        it.apply(pa.record_batch({"_lakeload_row_id": ["r1"]}))
    old = normalizer(Contract(columns="discard_row"), table(pa.schema([("b", pa.int64())])))
    assert old.apply(batch).batch.to_pylist() == [{"b": 1, "_lakeload_row_id": "r1"}]
    with pytest.raises(SchemaError, match="freezes columns"):
        normalizer(Contract.parse("freeze"), table(pa.schema([("b", pa.int64())]))).apply(batch)


def untyped(**columns):
    return pa.record_batch(columns).replace_schema_metadata({UNTYPED: b"1"})


def test_an_object_of_nothing_but_nulls_needs_no_column_before_a_type_shows():
    it = normalizer(Contract())
    it.apply(untyped(s=[{"u": "x"}]))
    kind = pa.struct([("u", pa.string()), ("p", pa.struct([("l", pa.list_(pa.string()))]))])
    nothing = pa.array([{"u": "y", "p": {"l": None}}, {"u": "z", "p": {"l": [None]}}], kind)
    assert it.apply(untyped(s=nothing)).batch.to_pylist() == [{"s": {"u": "y"}}, {"s": {"u": "z"}}]
    something = pa.array([{"u": None, "p": {"l": ["a"]}}], kind)
    assert it.apply(untyped(s=something)).batch.to_pylist() == [{"s": {"u": None, "p": {"l": ["a"]}}}]


def test_new_columns_of_text_that_hold_nothing_but_dates_become_dates():
    it = normalizer(Contract())
    it.apply(untyped(
        d=["2024-05-01"], at=["2024-05-01T10:00:00+02:00"], mixed=["2024-05-01 10:00:00"],
        s=[{"d": "2024-05-01"}], l=[["2024-05-01", None]], t=["soon"],
    ))  # fmt: skip
    assert dict(zip(it.schema.names, it.schema.types, strict=True)) == {
        "d": pa.date32(),
        "at": UTC,
        "mixed": pa.timestamp("us"),
        "s": it.schema.field("s").type,
        "l": pa.list_(pa.date32()),
        "t": pa.string(),
    }
    assert it.schema.field("s").type.field("d").type == pa.date32()
    later = it.apply(untyped(s=[{"d": None, "e": "2024-05-02"}], t=["2024-05-01"]))
    assert later.batch.to_pylist()[0]["s"] == {"d": None, "e": dt.date(2024, 5, 2)}
    assert later.batch.to_pylist()[0]["t"] == "2024-05-01"


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (untyped(d=["2024-05-01"]), {"detect_dates": False}),
        (untyped(d=["2024-05-01"]), {"schema": pa.schema([("d", pa.string())])}),
        (pa.record_batch({"d": ["2024-05-01"]}), {}),
    ],
    ids=["switched off", "hinted as text", "typed source"],
)
def test_text_stays_text_where_nobody_asks_for_dates(data, options):
    it = normalizer(Contract(), **options)
    it.apply(data)
    assert it.schema.field("d").type == pa.string()


def test_a_column_of_text_without_a_value_waits_for_one():
    it = normalizer(Contract())
    nothing = untyped(a=[1], d=pa.array([None], pa.string()))
    assert it.apply(nothing).batch.to_pylist() == [{"a": 1}]
    assert it.apply(untyped(a=[1], d=["2024-05-01"])).batch.schema.field("d").type == pa.date32()
    assert it.apply(nothing).batch.to_pylist() == [{"a": 1, "d": None}]


@pytest.mark.parametrize("outcome", ["evolve", *OUTCOMES])
def test_later_text_that_is_no_date_follows_the_contract(outcome):
    it = normalizer(Contract(types=outcome))
    it.apply(untyped(d=["2024-05-01"]))
    more = untyped(d=["2024-05-02", "soon"])
    if outcome == "freeze":
        with pytest.raises(SchemaError, match="soon"):
            it.apply(more)
        return
    shaped = it.apply(more)
    expected = {
        "evolve": ["2024-05-02", "soon"],
        "discard_value": [dt.date(2024, 5, 2), None],
        "discard_row": [dt.date(2024, 5, 2)],
        "quarantine": [dt.date(2024, 5, 2)],
    }
    assert shaped.batch.column("d").to_pylist() == expected[outcome]
    assert [one.rows.to_pylist() for one in shaped.rejections] == ([] if outcome == "evolve" else [[1]])
