"""Source names of added columns on their way into a table: through the descriptor, and past other writers."""

import datetime as dt

import pyarrow as pa
import pytest

from lakeload.commit.descriptor import Descriptor, decode, encode
from lakeload.errors import ConflictError
from lakeload.model.changes import Changeset, SchemaChange
from lakeload.model.evolution import rebase
from lakeload.model.layout import Layout
from lakeload.model.naming import SOURCE
from lakeload.model.schema import apply_changes, assign_ids
from lakeload.model.table import TableState

INNER = pa.struct([pa.field("unit_price", pa.int64(), metadata={SOURCE: b"unitPrice"})])
ADDED = (
    SchemaChange("add", ("user_id",), None, pa.int64(), source="userId"),
    SchemaChange("add", ("items",), None, pa.list_(pa.field("element", INNER))),
)
BASE, LAST = assign_ids(pa.schema([("id", pa.int64())]))


def _state(schema: pa.Schema, last: int) -> TableState:
    return TableState(1, schema, last, Layout(), {}, {})


def _changeset() -> Changeset:
    schema, _ = apply_changes(BASE, LAST, ADDED)
    return Changeset("l", "append", schema, schema_changes=ADDED)


def test_a_load_finished_by_another_process_keeps_source_names():
    changeset = _changeset()
    whole = Descriptor("p", 1, "l", dt.datetime(2024, 5, 1, tzinfo=dt.UTC), {"t": changeset})
    found = decode(encode(whole), place="here").changes["t"]
    assert found.schema.equals(changeset.schema, check_metadata=True)
    assert found.schema_changes == ADDED
    assert found.schema_changes[1].new.equals(ADDED[1].new, check_metadata=True)
    again, _ = apply_changes(BASE, LAST, found.schema_changes)
    assert again.equals(changeset.schema, check_metadata=True)


def test_a_column_somebody_added_meanwhile_from_the_same_name_is_the_same_column():
    theirs, last = apply_changes(BASE, LAST, ADDED)
    assert rebase(_changeset(), _state(theirs, last), table="t").schema_changes == ()


def test_a_column_somebody_added_meanwhile_from_another_name_is_a_conflict():
    other = SchemaChange("add", ("user_id",), None, pa.int64(), source="User Id")
    theirs, last = apply_changes(BASE, LAST, [other])
    with pytest.raises(ConflictError, match="called otherwise"):
        rebase(_changeset(), _state(theirs, last), table="t")
