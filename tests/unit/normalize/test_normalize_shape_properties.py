"""Unnesting of arbitrary nested rows, against a model that walks them one value at a time."""

import json
import pickle
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from rebuild import pruned, rebuild

from lakeload.model.nesting import Nesting
from lakeload.model.types import is_list
from lakeload.normalize.shape import RowIds, Shape

NAMES = ["a", "b", "c d", "é", "a__b", "x.y"]

LEAVES = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.string(): st.text(max_size=3),
    pa.bool_(): st.booleans(),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["p", "q|r"]),
    pa.null(): st.none(),
}


def structs(inner):
    return st.dictionaries(st.sampled_from(NAMES), inner, max_size=3).map(
        lambda d: pa.struct(list(d.items()))
    )


kinds = st.recursive(
    st.sampled_from(list(LEAVES)),
    lambda inner: (
        inner.map(pa.list_)
        | inner.map(pa.large_list)
        | inner.map(pa.list_view)
        | inner.map(pa.large_list_view)
        | inner.map(lambda kind: pa.list_(kind, 2))
        | inner.map(lambda kind: pa.map_(pa.string(), kind))
        | structs(inner)
        | structs(inner).map(pa.list_)
    ),
    max_leaves=6,
)


def values(kind):
    if kind in LEAVES:
        found = LEAVES[kind]
    elif pa.types.is_struct(kind):
        found = st.fixed_dictionaries(
            {kind.field(i).name: values(kind.field(i).type) for i in range(kind.num_fields)}
        )
    elif pa.types.is_map(kind):
        found = st.lists(st.tuples(st.text(max_size=2), values(kind.item_type)), max_size=2)
    else:
        size = kind.list_size if pa.types.is_fixed_size_list(kind) else None
        found = st.lists(values(kind.value_type), min_size=size or 0, max_size=size or 3)
    return st.none() | found


@st.composite
def batches(draw):
    """A slice of a batch of random nested types, and its rows."""
    columns = draw(st.dictionaries(st.sampled_from(NAMES), kinds, min_size=1, max_size=3))
    count = draw(st.integers(0, 5))
    rows = draw(
        st.lists(
            st.fixed_dictionaries({name: values(kind) for name, kind in columns.items()}),
            min_size=count,
            max_size=count,
        )
    )
    arrays = [pa.array([row[name] for row in rows], kind) for name, kind in columns.items()]
    schema = pa.schema([pa.field(name, kind) for name, kind in columns.items()], metadata={b"kept": b"yes"})
    start = draw(st.integers(0, count))
    length = draw(st.integers(0, count - start))
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema).slice(start, length)
    return batch, rows[start : start + length]


policies = st.sampled_from(["native", "tables", "flatten", "json"])
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(".".join)
nestings = st.builds(
    Nesting, policies, st.dictionaries(paths, policies, max_size=3), st.integers(1, 5) | st.just(32)
)


@dataclass
class Json:
    """A value that must come out as JSON text."""

    value: Any


class Model:
    """Walks values; `tables` has rows as dictionaries from column paths."""

    def __init__(self, nesting, schema):
        self.nesting, self.schema = nesting, schema
        self.tables = {}

    def row(self, row, number):
        record = self.new((), {"row_id": f"load-{number}", "root": number})
        for field in self.schema:
            self.place(row[field.name], field.type, (field.name,), 1, (field.name,), (), record)

    def new(self, table, ties):
        record = {"ties": ties, "columns": {}}
        self.tables.setdefault(table, []).append(record)
        return record

    def policy(self, kind, path, level):
        if not (pa.types.is_struct(kind) or is_list(kind) or pa.types.is_map(kind)):
            return "leaf"
        found = self.nesting.policy(path)
        return "json" if level >= self.nesting.max_depth else found

    def leaves(self, kind, path, level):
        """Whether nothing of a value stays where it is."""
        policy = self.policy(kind, path, level)
        if pa.types.is_struct(kind):
            members = [kind.field(i) for i in range(kind.num_fields)]
            gone = [self.leaves(m.type, (*path, m.name), level + 1) for m in members]
            return policy in ("tables", "flatten") or (policy == "native" and bool(gone) and all(gone))
        return is_list(kind) and policy == "tables"

    def place(self, value, kind, path, level, column, table, record):
        policy = self.policy(kind, path, level)
        if pa.types.is_struct(kind) and policy in ("tables", "flatten", "native"):
            if not self.leaves(kind, path, level):
                stays = self.staying(value, kind, path, level)
                record["columns"][column or ("value",)] = stays
            for i in range(kind.num_fields):
                name, inner = kind.field(i).name, kind.field(i).type
                member = None if value is None else value[name]
                if policy != "native" or self.moves(inner, (*path, name), level + 1):
                    self.place(member, inner, (*path, name), level + 1, (*column, name), table, record)
        elif is_list(kind) and policy == "tables":
            way = column or ("value",)
            self.tables.setdefault((*table, *way), [])
            for i, element in enumerate(value or []):
                row_id = "/".join([record["ties"]["row_id"], *way, str(i)])
                ties = {"row_id": row_id, "parent_id": record["ties"]["row_id"], "index": i}
                child = self.new((*table, *way), {**ties, "root": record["ties"]["root"]})
                self.place(element, kind.value_type, path, level + 1, (), (*table, *way), child)
        else:
            record["columns"][column or ("value",)] = self.inside(value, kind, path, level)

    def moves(self, kind, path, level):
        """Whether a member of a native struct has anything to be placed elsewhere."""
        policy = self.policy(kind, path, level)
        if pa.types.is_struct(kind) and policy == "native":
            members = [kind.field(i) for i in range(kind.num_fields)]
            return any(self.moves(m.type, (*path, m.name), level + 1) for m in members)
        return self.leaves(kind, path, level)

    def staying(self, value, kind, path, level):
        if value is None:
            return None
        found = {}
        for i in range(kind.num_fields):
            name, inner, below = kind.field(i).name, kind.field(i).type, (*path, kind.field(i).name)
            if self.leaves(inner, below, level + 1):
                continue
            native = pa.types.is_struct(inner) and self.policy(inner, below, level + 1) == "native"
            keep = self.staying if native else self.inside
            found[name] = keep(value[name], inner, below, level + 1)
        return found

    def inside(self, value, kind, path, level):
        if self.policy(kind, path, level) == "json":
            return None if value is None else Json(value)
        if value is None:
            return None
        if pa.types.is_struct(kind):
            fields = [kind.field(i) for i in range(kind.num_fields)]
            return {f.name: self.inside(value[f.name], f.type, (*path, f.name), level + 1) for f in fields}
        if is_list(kind):
            return [self.inside(element, kind.value_type, path, level + 1) for element in value]
        if pa.types.is_map(kind):
            return [(key, self.inside(item, kind.item_type, path, level + 1)) for key, item in value]
        return value


def same(expected, got):
    if isinstance(expected, Json):
        return isinstance(got, str) and told(json.loads(got)) == told(expected.value)
    if isinstance(expected, dict):
        return expected.keys() == got.keys() and all(same(expected[name], got[name]) for name in expected)
    if isinstance(expected, list | tuple):
        return type(expected) is type(got) and len(expected) == len(got) and all(map(same, expected, got))
    return expected == got


def told(value):
    """What JSON text of an Arrow value tells: null members count as missing, maps are objects.

    An empty map and an empty list look the same in Python, and are taken for the same here.
    """
    if isinstance(value, list) and value and all(isinstance(item, tuple) for item in value):
        value = dict(value)
    if isinstance(value, dict):
        return {name: told(member) for name, member in value.items() if member is not None} or "nothing"
    return [told(element) for element in value] or "nothing" if isinstance(value, list) else value


def path_of(field):
    found = (field.metadata or {}).get(b"lakeload.path")
    return tuple(json.loads(found)) if found else (field.name,)


def valid(batch):
    """Whether Arrow finds no fault, as it does with dictionaries it made itself beneath null structs."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def checked(part, expected, schema):
    assert part.batch.num_rows == len(expected)
    assert len(set(part.batch.schema.names)) == len(part.batch.schema.names)
    assert part.batch.schema.metadata == schema.metadata
    own = [
        i for i, field in enumerate(part.batch.schema) if not (field.metadata or {}).get(b"lakeload.system")
    ]
    for i in own:
        path, column = path_of(part.batch.schema.field(i)), part.batch.column(i).to_pylist()
        assert same([record["columns"][path] for record in expected], column), path
    for record in expected:
        assert record["columns"].keys() == {path_of(part.batch.schema.field(i)) for i in own}
    for name in ("row_id", "parent_id", "index"):
        if f"_lakeload_{name}" in part.batch.schema.names:
            given = [record["ties"][name] for record in expected]
            assert part.batch.column(f"_lakeload_{name}").to_pylist() == given
    if part.path:
        roots = [record["ties"]["root"] for record in expected]
        assert [number + 10 for number in part.origin.to_pylist()] == roots
        assert part.batch.column("_lakeload_root_id").to_pylist() == [f"load-{number}" for number in roots]


@settings(max_examples=300, deadline=None)
@given(batches(), nestings)
def test_every_value_lands_where_the_model_puts_it(case, nesting):
    batch, rows = case
    shape = Shape.compile(batch.schema, nesting, (), "t")
    parts = shape.apply(batch, RowIds("load", 10))
    model = Model(nesting, batch.schema)
    for number, row in enumerate(rows, start=10):
        model.row(row, number)
    assert [part.path for part in parts] == [table.path for table in shape.root.below()]
    assert model.tables.keys() <= {part.path for part in parts}
    for part in parts:
        assert valid(part.batch) or not valid(batch)
        if part.batch.num_columns or part.path:
            checked(part, model.tables.get(part.path, []), batch.schema)


@settings(max_examples=200, deadline=None)
@given(batches())
def test_rows_rebuilt_from_their_tables_are_the_rows(case):
    batch, rows = case
    parts = Shape.compile(batch.schema, Nesting("tables"), (), "t").apply(batch, RowIds("load", 0))
    tables = {part.path: pa.Table.from_batches([part.batch]) for part in parts}
    assert rebuild(tables) == [pruned(row) or {} for row in rows]


@settings(max_examples=100, deadline=None)
@given(batches(), nestings)
def test_ids_are_unique_and_the_same_wherever_the_batch_is_cut(case, nesting):
    batch, _ = case
    shape = pickle.loads(pickle.dumps(Shape.compile(batch.schema, nesting, (), "t")))
    whole = shape.apply(batch, RowIds("load", 0))
    cuts = [shape.apply(batch.slice(i, 1), RowIds("load", i)) for i in range(batch.num_rows)]
    for i, part in enumerate(whole):
        if "_lakeload_row_id" in part.batch.schema.names:
            ids = part.batch.column("_lakeload_row_id").to_pylist()
            assert len(set(ids)) == len(ids)
            assert ids == [one for cut in cuts for one in cut[i].batch.column("_lakeload_row_id").to_pylist()]
    assert shape.explain()
