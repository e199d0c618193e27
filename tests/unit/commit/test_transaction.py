"""`publish` against a table kept in memory that behaves like a format: compare-and-swap, tokens."""

from dataclasses import dataclass, field, replace

import pyarrow as pa
import pytest

from lakeload.commit.transaction import publish
from lakeload.errors import ConflictError
from lakeload.model.changes import (
    AlreadyApplied,
    Changeset,
    Committed,
    Conflict,
    Creation,
    SchemaChange,
    Token,
)
from lakeload.model.layout import Layout, PartitionField
from lakeload.model.schema import apply_changes, assign_ids
from lakeload.model.table import TableState

SCHEMA, LAST = assign_ids(pa.schema([("id", pa.int64()), ("name", pa.string())]))


@dataclass
class MemoryTable:
    name: str = "t"
    location: str = "/t"
    formats: tuple = ("iceberg",)
    state: TableState | None = None
    interlopers: list = field(default_factory=list)
    commits: list = field(default_factory=list)

    def load(self):
        return self.state

    def commit(self, changeset, base):
        if self.interlopers:
            self.state = self.interlopers.pop(0)(self.state)
            return Conflict("the table moved on")
        assert base is self.state
        sequences = dict(base.sequences if base else {})
        if changeset.token:
            sequences[changeset.token.pipeline] = changeset.token.sequence
        version = 1 if base is None else (base.version or 0) + 1
        self.state = TableState(version, changeset.schema, LAST, Layout(), {}, sequences)
        self.commits.append(changeset)
        return Committed(version)


def there(**changes):
    return replace(TableState(1, SCHEMA, LAST, Layout(), {}, {}), **changes)


def append(schema=SCHEMA, **options):
    return Changeset("load", "append", schema, token=Token("p", 1), **options)


def no_sleep(_seconds):
    pass


def test_a_conflict_is_retried_on_the_newer_version():
    table = MemoryTable(state=there(), interlopers=[lambda s: replace(s, version=2)])
    assert publish(table, append(), sleep=no_sleep) == Committed(3)


def test_a_table_that_carries_the_token_is_left_alone():
    table = MemoryTable(state=there(sequences={"p": 1}))
    assert publish(table, append(), sleep=no_sleep) == AlreadyApplied(1)
    assert table.commits == []


def test_a_token_that_lands_between_two_attempts_is_seen():
    table = MemoryTable(state=there(), interlopers=[lambda s: replace(s, version=2, sequences={"p": 1})])
    assert publish(table, append(), sleep=no_sleep) == AlreadyApplied(2)


def test_writers_that_win_every_attempt_leave_a_conflict():
    table = MemoryTable(state=there(), interlopers=[lambda s: s] * 3)
    assert isinstance(publish(table, append(), attempts=3, sleep=no_sleep), Conflict)


def test_a_column_added_by_somebody_else_under_another_id_is_refused():
    mine, _ = apply_changes(SCHEMA, LAST, [SchemaChange("add", ("x",), None, pa.int64())])
    theirs, last = apply_changes(SCHEMA, LAST, [SchemaChange("add", ("y",), None, pa.int64())])
    theirs, last = apply_changes(theirs, last, [SchemaChange("add", ("x",), None, pa.int64())])
    table = MemoryTable(state=there(), interlopers=[lambda s: replace(s, schema=theirs, last_column_id=last)])
    change = SchemaChange("add", ("x",), None, pa.int64())
    with pytest.raises(ConflictError, match="another column x"):
        publish(table, append(mine, schema_changes=(change,)), sleep=no_sleep)


def test_the_same_column_added_by_somebody_else_is_not_added_twice():
    change = SchemaChange("add", ("x",), None, pa.int64())
    mine, last = apply_changes(SCHEMA, LAST, [change])
    table = MemoryTable(state=there(), interlopers=[lambda s: replace(s, schema=mine, last_column_id=last)])
    publish(table, append(mine, schema_changes=(change,)), sleep=no_sleep)
    assert table.commits[0].schema_changes == ()


def test_a_table_created_meanwhile_in_the_same_shape_is_appended_to():
    table = MemoryTable(interlopers=[lambda _s: there()])
    publish(table, append(create=Creation(Layout())), sleep=no_sleep)
    assert table.commits[0].create is None


@pytest.mark.parametrize(
    "other",
    [
        there(schema=assign_ids(pa.schema([("id", pa.string())]))[0]),
        there(layout=Layout((PartitionField("id"),))),
    ],
)
def test_a_table_created_meanwhile_in_another_shape_is_refused(other):
    table = MemoryTable(interlopers=[lambda _s: other])
    with pytest.raises(ConflictError):
        publish(table, append(create=Creation(Layout())), sleep=no_sleep)


def test_a_table_dropped_meanwhile_is_refused():
    table = MemoryTable(state=there(), interlopers=[lambda _s: None])
    with pytest.raises(ConflictError, match="dropped"):
        publish(table, append(), sleep=no_sleep)


def test_a_column_narrowed_away_meanwhile_is_refused():
    shorter, _ = assign_ids(pa.schema([("id", pa.int64())]))
    table = MemoryTable(state=there(), interlopers=[lambda s: replace(s, schema=shorter)])
    with pytest.raises(ConflictError, match="lost its column name"):
        publish(table, append(), sleep=no_sleep)
