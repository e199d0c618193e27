"""Whatever the types, nesting and slicing: no value is lost or changed on the way into the table."""

import datetime as dt
import json
import math

import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lakeload.errors import SchemaError
from lakeload.model.evolution import evolved
from lakeload.model.layout import Layout
from lakeload.model.table import OWNER_PROPERTY, TableSpec, TableState
from lakeload.model.text import text_of
from lakeload.normalize.naming import column_name
from lakeload.normalize.normalizer import Normalizer

NOW = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
NAMES = ["Alpha", "betaGamma", "delta_", "X-Y", "名前", "zeta"]

moments = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)).map(lambda d: d.replace(fold=0))


def ints(kind):
    bits, signed = kind.bit_width, pa.types.is_signed_integer(kind)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high)


def decimals(kind):
    top = 10 ** (kind.precision - kind.scale) - 1
    return st.decimals(-top, top, places=max(kind.scale, 0), allow_nan=False) if top else st.just(0)


LEAVES = {
    **{kind: ints(kind) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{kind: ints(kind) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    pa.bool_(): st.booleans(),
    pa.float16(): st.floats(width=16),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(),
    pa.decimal32(7, 2): decimals(pa.decimal32(7, 2)),
    pa.decimal128(20, 4): decimals(pa.decimal128(20, 4)),
    pa.decimal256(30, 1): decimals(pa.decimal256(30, 1)),
    pa.string(): st.text(max_size=5),
    pa.large_string(): st.text(max_size=5),
    pa.string_view(): st.text(max_size=20),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["a", "b", ""]),
    pa.dictionary(pa.int16(), pa.int64()): st.integers(0, 5),
    pa.binary(): st.binary(max_size=5),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.binary_view(): st.binary(max_size=20),
    pa.date32(): st.dates(),
    pa.date64(): st.dates(),
    pa.timestamp("s"): moments.map(lambda d: d.replace(microsecond=0)),
    pa.timestamp("us"): moments,
    pa.timestamp("ns"): moments,
    pa.timestamp("us", "Europe/Berlin"): moments.map(lambda d: d.replace(tzinfo=dt.UTC)),
    pa.time32("s"): st.times().map(lambda t: t.replace(microsecond=0, fold=0)),
    pa.time64("ns"): st.times().map(lambda t: t.replace(fold=0)),
    pa.null(): st.none(),
}

kinds = st.recursive(
    st.sampled_from(list(LEAVES)),
    lambda inner: (
        inner.map(pa.list_)
        | inner.map(pa.large_list)
        | inner.map(pa.list_view)
        | inner.map(lambda kind: pa.list_(kind, 2))
        | inner.map(lambda kind: pa.map_(pa.large_string(), kind))
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3).map(lambda d: pa.struct(list(d.items())))
    ),
    max_leaves=5,
)


def values(kind):
    """Values of a type, nulls included."""
    if kind in LEAVES:
        found = LEAVES[kind]
    elif pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        found = st.fixed_dictionaries({field.name: values(field.type) for field in fields})
    elif pa.types.is_map(kind):
        found = st.lists(st.tuples(st.text(max_size=3), values(kind.item_type)), max_size=3)
    else:
        size = kind.list_size if pa.types.is_fixed_size_list(kind) else None
        found = st.lists(values(kind.value_type), min_size=size or 0, max_size=size or 3)
    return st.none() | found


@st.composite
def batches(draw, kinds=kinds, names=NAMES):
    """A batch and its rows: random types, sliced."""
    columns = draw(st.dictionaries(st.sampled_from(names), kinds, min_size=1, max_size=4))
    rows = draw(st.integers(0, 6))
    data = {
        name: draw(st.lists(values(kind), min_size=rows, max_size=rows)) for name, kind in columns.items()
    }
    arrays = [pa.array(data[name], kind) for name, kind in columns.items()]
    start = draw(st.integers(0, rows))
    length = draw(st.integers(0, rows - start))
    batch = pa.RecordBatch.from_arrays(arrays, names=list(columns)).slice(start, length)
    kept = [{name: data[name][i] for name in columns} for i in range(start, start + length)]
    return batch, kept


MISSING = object()


def same(expected, got):
    """Equality of values across the types they were given and stored in."""
    if got is MISSING:
        return is_nothing(expected)
    if expected is None or got is None:
        return expected is got
    if isinstance(got, str) and not isinstance(expected, str):  # the column has become text
        return unquoted(got) == unquoted(text_of(expected))
    if isinstance(expected, dict):
        renamed = {column_name(name): value for name, value in expected.items()}
        extra = [got[name] for name in got.keys() - renamed.keys()]
        kept = all(same(value, got.get(name, MISSING)) for name, value in renamed.items())
        return kept and extra.count(None) == len(extra)
    if isinstance(expected, (list, tuple)):
        return len(expected) == len(got) and all(map(same, expected, got))
    if isinstance(got, dt.datetime) and not isinstance(expected, dt.datetime):
        expected = dt.datetime.combine(expected, dt.time())
    both_nan = isinstance(expected, float) and math.isnan(expected) and math.isnan(got)
    return both_nan or expected == got


def unquoted(value):
    """What is in JSON text, every value in it as text: members may have become text before their objects."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return unquoted(json.loads(value, parse_float=str, parse_int=str))
        except ValueError:
            return value
    if isinstance(value, dict):
        return {name: unquoted(item) for name, item in value.items()}
    return [unquoted(item) for item in value] if isinstance(value, list) else value


def is_nothing(value):
    """Whether a value could have been held back: nothing in it says of what type it is."""
    if isinstance(value, dict):
        return all(map(is_nothing, value.values()))
    if isinstance(value, list):
        return all(map(is_nothing, value))
    return value is None or (isinstance(value, tuple) and is_nothing(value[1]))


def normalizer(state=None, formats=("iceberg",)):
    return Normalizer(TableSpec("t"), formats=formats, state=state, load_id="l", loaded_at=NOW)


def checked(result, rows, schema):
    result.validate(full=True)
    assert result.num_rows == len(rows)
    assert result.schema.names == schema.names
    assert [field.nullable for field in result.schema] == [field.nullable for field in schema]
    for row, got in zip(rows, result.to_pylist(), strict=True):
        own = {name: value for name, value in got.items() if not name.startswith("_lakeload")}
        assert same(row, own), (row, own)


@settings(max_examples=150, deadline=None)
@given(batches())
def test_every_batch_of_supported_types_keeps_its_values(case):
    batch, rows = case
    it = normalizer()
    result = it.apply(batch).batch
    checked(result, rows, it.schema)


lattice = st.recursive(
    st.sampled_from(
        [
            *(pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(), pa.decimal128(20, 4)),
            *(pa.date32(), pa.timestamp("us"), pa.string(), pa.null()),
        ]
    ),
    lambda inner: (
        inner.map(pa.list_)
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2).map(lambda d: pa.struct(list(d.items())))
    ),
    max_leaves=3,
)


@settings(max_examples=150, deadline=None)
@given(batches(lattice, NAMES[:2]), batches(lattice, NAMES[:2]), st.sampled_from([("delta",), ("iceberg",)]))
def test_evolving_between_two_batches_loses_nothing(first, second, formats):
    """Either the load is refused, or both batches are whole, the first also under the later schema."""
    it = normalizer(formats=formats)
    before = it.apply(first[0]).batch
    try:
        after = it.apply(second[0]).batch
    except SchemaError:
        assume(False)
    checked(before, first[1], before.schema)
    checked(after, second[1], it.schema)
    replaced = before.drop_columns(["_lakeload_id", "_lakeload_at"])
    state = TableState(1, it.schema, it.last_column_id, Layout(), {OWNER_PROPERTY: "true"}, {})
    again = normalizer(state, formats)
    try:
        renamed = again.apply(replaced).batch
    except SchemaError as error:
        assume("stored exactly as" not in str(error))
        raise
    assert again.changes == ()
    checked(renamed, replaced.to_pylist(), it.schema)


@settings(max_examples=100, deadline=None)
@given(batches(lattice, NAMES[:3]), st.lists(batches(lattice, NAMES[:3]), min_size=1, max_size=3))
def test_the_changes_of_a_load_replay_to_its_schema(base, loads):
    """Ids included, so that a commit can apply them to the table the load began with."""
    first = normalizer()
    first.apply(base[0])
    state = TableState(1, first.schema, first.last_column_id, Layout(), {OWNER_PROPERTY: "true"}, {})
    it = normalizer(state, ("delta",))
    for batch, rows in loads:
        try:
            result = it.apply(batch).batch
        except SchemaError:
            continue
        checked(result, rows, it.schema)
        replayed = evolved(state, it.changes, it.schema, table="t")
        assert replayed.equals(it.schema, check_metadata=True)
