import pyarrow as pa
import pytest

from lakeload.model.files import ColumnStats, DataFile
from lakeload.model.schema import assign_ids
from lakeload.model.table import SYSTEM_COLUMNS
from lakeload.write.fingerprint import WINDOW, Fingerprint

NARROW = assign_ids(pa.schema([("a", pa.int32())]))[0]
WIDE = assign_ids(pa.schema([("a", pa.int64()), ("b", pa.string())]))[0]


def narrow(values):
    return pa.record_batch([pa.array(values, pa.int32())], schema=NARROW)


def wide(values, text=None):
    return pa.record_batch(
        [pa.array(values, pa.int64()), pa.array([text] * len(values), pa.string())], schema=WIDE
    )


def digest(batches, files=()):
    seen = Fingerprint()
    for batch in batches:
        seen.add(batch)
    return seen.digest(WIDE, files)


def test_rows_are_the_same_whether_a_column_and_a_type_came_late_or_early():
    rows = list(range(2 * WINDOW))
    tail = wide([7], "late")
    assert digest([narrow(rows), tail]) == digest([wide(rows), tail])


def test_batch_boundaries_do_not_matter():
    rows = list(range(3 * WINDOW))
    cuts = [wide(rows[i : i + 1000]) for i in range(0, len(rows), 1000)]
    assert digest([wide(rows)]) == digest(cuts)


def test_rows_are_the_same_whether_a_column_became_text_late_or_early():
    struct = pa.array([{"x": 1.0, "y": None}, {"x": 0.5, "y": b"z"}])
    typed = pa.record_batch([pa.array([1, 2]), struct], names=["a", "b"])
    texts = pa.record_batch(
        [pa.array(["1", "2"]), pa.array(['{"x":1}', '{"x":0.5,"y":"eg=="}'])], typed.schema.names
    )
    schema = texts.schema
    one, two = Fingerprint(), Fingerprint()
    for seen, first in ((one, typed), (two, texts)):
        seen.add(first)
        seen.add(texts)
    assert one.digest(schema, []) == two.digest(schema, [])


def test_load_columns_do_not_matter():
    for name in SYSTEM_COLUMNS:
        with_id = wide([1, 2]).append_column(name, pa.array(["x", "x"]))
        one, two = Fingerprint(), Fingerprint()
        one.add(with_id)
        two.add(wide([1, 2]).append_column(name, pa.array(["y", "y"])))
        assert one.digest(with_id.schema, []) == two.digest(with_id.schema, [])


@pytest.mark.parametrize("other", [[1, 2, 4], [1, 2], [3, 2, 1], []])
def test_other_rows_differ(other):
    assert digest([wide([1, 2, 3])]) != digest([wide(other)])


def test_rows_that_differ_only_in_between_are_told_apart_by_the_extremes_of_the_files():
    def file(largest):
        return DataFile(
            "data/x.parquet", 1, 3 * WINDOW, stats={("a",): ColumnStats(3 * WINDOW, 0, None, 0, largest)}
        )

    rows = list(range(3 * WINDOW))
    assert digest([wide(rows)], [file(5)]) != digest([wide(rows)], [file(6)])
    assert digest([wide(rows)], [file(5), file(4)]) == digest([wide(rows)], [file(4), file(5)])
