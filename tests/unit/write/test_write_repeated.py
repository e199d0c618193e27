import math

import pyarrow as pa
import pytest

from lakeload.model.layout import Layout
from lakeload.model.schema import assign_ids
from lakeload.model.table import SYSTEM_COLUMNS
from lakeload.write import repeated
from lakeload.write.repeated import same_rows
from lakeload.write.store import Store
from lakeload.write.writer import TableWriter, WriteOptions

NARROW = assign_ids(pa.schema([("a", pa.int32())]))[0]
WIDE = assign_ids(pa.schema([("a", pa.int64()), ("b", pa.string())]))[0]
FLOATS = assign_ids(pa.schema([("a", pa.float64())]))[0]


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def write(store, *batches, layout=None):
    written, writer = [], None
    for batch in batches:
        if writer is None:
            writer = TableWriter(
                store, batch.schema, WriteOptions(layout or Layout(), "load", 1 << 20, 64 << 20, 1)
            )
        writer.write(batch)
    written += writer.close()
    return written


def rows(values, schema=WIDE, text=None):
    columns = [pa.array(values, schema.field(0).type), pa.array([text] * len(values), pa.string())]
    return pa.record_batch(columns[: len(schema)], schema=schema)


def test_rows_are_the_same_whether_a_column_and_a_type_came_late_or_early(store):
    first = [*write(store, rows(range(20_000), NARROW)), *write(store, rows([7], text="late"))]
    again = write(store, rows(range(20_000)), rows([7], text="late"))
    assert same_rows(store, first, again, WIDE)


def test_neither_batches_nor_files_nor_row_groups_matter(store, monkeypatch):
    monkeypatch.setattr(repeated, "_ROWS", 700)
    cuts = [rows(range(start, start + 1000)) for start in range(0, 9000, 1000)]
    assert same_rows(
        store, write(store, rows(range(9000))), [f for cut in cuts for f in write(store, cut)], WIDE
    )


def test_load_columns_do_not_matter(store):
    for name in SYSTEM_COLUMNS:
        one, two = (rows([1, 2]).append_column(name, pa.array([value] * 2)) for value in ("x", "y"))
        schema, _ = assign_ids(one.schema)
        assert same_rows(store, write(store, one.cast(schema)), write(store, two.cast(schema)), schema)


@pytest.mark.parametrize("other", [[1, 2, 4, 9], [1, 2, 3], [3, 2, 1, 9], [1, None, 3, 9], [1, 5, 3, 9]])
def test_other_rows_differ_be_it_in_one_between_alone(store, other):
    assert not same_rows(store, write(store, rows([1, 2, 3, 9])), write(store, rows(other)), WIDE)


@pytest.mark.parametrize(("one", "other"), [(0.0, -0.0), (math.nan, None), (0.1 + 0.2, 0.3)])
def test_doubles_count_by_their_bits(store, one, other):
    files = [write(store, rows([value], FLOATS)) for value in (one, other, one)]
    assert not same_rows(store, files[0], files[1], FLOATS)
    assert same_rows(store, files[0], files[2], FLOATS)


def test_rows_are_compared_partition_by_partition(store):
    layout = Layout.parse("a")
    first = write(store, rows([1, 2, 1], text="x"), layout=layout)
    assert same_rows(store, first, write(store, rows([2, 1, 1], text="x"), layout=layout), WIDE)
    assert not same_rows(store, first, write(store, rows([2, 2, 1], text="x"), layout=layout), WIDE)
