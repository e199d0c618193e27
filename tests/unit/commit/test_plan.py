import pyarrow as pa
import pytest

from lakeload.commit.plan import Load, plan
from lakeload.errors import ConfigError
from lakeload.model.changes import RemoveAll, RemovePartitions, SchemaChange, Token
from lakeload.model.files import DataFile
from lakeload.model.layout import Layout
from lakeload.model.mode import Append, Overwrite
from lakeload.model.schema import assign_ids
from lakeload.model.table import TableState

SCHEMA, LAST = assign_ids(pa.schema([("country", pa.string()), ("id", pa.int64())]))
COUNTRY = Layout.parse("country")
TOKEN = Token("p", 1)


def load(mode, *partitions, layout=COUNTRY, changes=(), schema=SCHEMA):
    files = tuple(DataFile(f"data/{n}.parquet", 10, 1, partition=p) for n, p in enumerate(partitions))
    return Load("t", mode, files, schema, changes, layout, "load")


def state(layout=COUNTRY):
    return TableState(1, SCHEMA, LAST, layout, {}, {})


def test_a_first_load_creates_a_table_marked_as_ours():
    change = plan(load(Append(), ("IS",)), None, TOKEN)
    assert change.create.layout == COUNTRY
    assert change.create.properties["lakeload.created"] == "true"


def test_a_first_overwrite_has_nothing_to_remove():
    assert plan(load(Overwrite(), ("IS",)), None, TOKEN).remove is None


def test_no_rows_and_a_known_schema_create_an_empty_table():
    assert plan(load(Append()), None, TOKEN).create is not None


def test_no_rows_and_no_schema_do_nothing():
    assert plan(load(Append(), schema=pa.schema([])), None, TOKEN) is None


def test_no_rows_for_an_existing_table_do_nothing():
    assert plan(load(Append()), state(), TOKEN) is None
    assert plan(load(Overwrite("dynamic")), state(), TOKEN) is None


def test_no_rows_and_a_new_column_evolve_the_table():
    change = SchemaChange("add", ("x",), None, pa.int64())
    assert plan(load(Append(), changes=(change,)), state(), TOKEN).schema_changes == (change,)


def test_an_overwrite_without_rows_empties_the_table():
    assert plan(load(Overwrite()), state(), TOKEN).remove == RemoveAll()


def test_a_dynamic_overwrite_replaces_the_partitions_it_touches():
    change = plan(load(Overwrite("dynamic"), ("IS",), ("NO",), ("IS",)), state(), TOKEN)
    assert change.remove == RemovePartitions(frozenset({("IS",), ("NO",)}))
    assert change.operation == "overwrite"


def test_a_dynamic_overwrite_of_a_table_without_partitions_is_refused():
    with pytest.raises(ConfigError, match="partition"):
        plan(load(Overwrite("dynamic"), (), layout=Layout()), state(Layout()), TOKEN)
