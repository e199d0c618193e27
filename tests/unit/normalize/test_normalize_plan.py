"""A compiled plan is data: it goes to other threads and processes, and people can read it."""

import datetime as dt
import pickle
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from lakeload.model.contract import Contract
from lakeload.model.layout import Layout
from lakeload.model.naming import UNTYPED
from lakeload.model.schema import assign_ids
from lakeload.model.table import TableSpec, TableState
from lakeload.normalize.normalizer import Normalizer

NOW = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
HOME = pa.struct([("n", pa.int32()), ("x", pa.null())])
TABLE = pa.schema(
    [
        ("id", pa.int64()),
        ("price", pa.decimal128(9, 2)),
        ("day", pa.date32()),
        ("note", pa.string()),
        ("home", pa.struct([("n", pa.int64())])),
        ("tags", pa.map_(pa.string(), pa.int64())),
        ("gone", pa.bool_()),
        ("_lakeload_id", pa.string()),
        ("_lakeload_at", pa.timestamp("us", "UTC")),
    ]
)


def normalizer():
    schema, last = assign_ids(TABLE)
    state = TableState(1, schema, last, Layout(), {}, {})
    contract = Contract(columns="discard_value", types="discard_value")
    spec = TableSpec("t", contract=contract)
    return Normalizer(spec, formats=("delta",), state=state, load_id="load-1", loaded_at=NOW)


def batch(rows=2):
    return pa.record_batch(
        {
            "Id": pa.array(range(rows), pa.uint16()),
            "price": pa.array([1.25] * rows),
            "day": ["2024-05-01"] * rows,
            "note": pa.array([5] * rows),
            "home": pa.array([{"n": 1}] * rows, HOME),
            "tags": [{"a": 1, "b": 2}] * rows,
            "more": pa.array([None] * rows, pa.string()),
        }
    ).replace_schema_metadata({UNTYPED: b"1"})


EXPECTED = """\
source | table        | type                                               | how
-------|--------------|----------------------------------------------------|---------------------------------------
Id     | id           | uint16 → int64                                     | cast
price  | price        | double → decimal128(9, 2)                          | cast, compare
day    | day          | string → date32[day]                               | parse date
note   | note         | int64 → string                                     | to text
home   | home         | struct<n: int32, x: null> → struct<n: int64>       | members, cast
tags   | tags         | struct<a: int64, b: int64> → map<string, int64>    | struct → map
       | gone         | bool                                               | null
       | _lakeload_id | dictionary<values=string, indices=int8, ordered=0> | filled
       | _lakeload_at | timestamp[us, tz=UTC]                              | filled
more   |              | string                                             | kept out: the table has no such column"""


def test_a_plan_says_what_it_does():
    assert normalizer().plan(batch()).explain() == EXPECTED


def test_a_plan_that_was_elsewhere_does_the_same():
    plan = normalizer().plan(batch())
    again = pickle.loads(pickle.dumps(plan))
    one, other = (it.assemble(it.convert(batch())) for it in (plan, again))
    assert one.equals(other, check_metadata=True)
    assert one.schema.equals(other.schema, check_metadata=True)
    assert again.explain() == plan.explain()


def test_a_plan_runs_in_several_threads_at_once():
    plan = normalizer().plan(batch())
    sizes = [1000 + i for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda rows: plan.assemble(plan.convert(batch(rows))), sizes))
    for rows, result in zip(sizes, results, strict=True):
        assert result.column("id").to_pylist() == list(range(rows))
        assert result.column("_lakeload_id").to_pylist() == ["load-1"] * rows


def test_a_plan_is_compiled_once_per_schema():
    it = normalizer()
    first = it.plan(batch())
    it.plan(pa.record_batch({"id": [1]}))
    assert it.plan(batch(5)) is first
    typed = it.plan(batch().replace_schema_metadata(None))
    assert typed is not first


def test_only_so_many_plans_are_kept():
    it = normalizer()
    kinds = [pa.record_batch({f"c{i}": pa.array([None])}) for i in range(40)]
    plans = [it.plan(kind) for kind in kinds]
    assert it.plan(kinds[-1]) is plans[-1]
    assert it.plan(kinds[10]) is plans[10]
    assert it.plan(kinds[0]) is not plans[0]
