"""`publish_together` against tables kept in memory, behind a catalog that publishes several or none."""

from dataclasses import dataclass, field, replace

import pyarrow as pa
import pytest

from lakeload.commit.together import groups, publish_together
from lakeload.errors import CatalogError, ConflictError, TableError
from lakeload.model.changes import AlreadyApplied, Changeset, Committed, Conflict, Creation, Token
from lakeload.model.layout import Layout
from lakeload.model.schema import assign_ids
from lakeload.model.table import TableState

SCHEMA, LAST = assign_ids(pa.schema([("id", pa.int64())]))
TOKEN = Token("p", 1)


@dataclass
class Change:
    table: "MemoryTable"
    base: TableState
    changeset: Changeset
    discarded: bool = False

    def discard(self):
        self.discarded = True
        self.table.discarded.append(self.changeset)


@dataclass
class Joint:
    """What a server is to its tables."""

    requests: list = field(default_factory=list)
    events: list = field(default_factory=list)
    forgets: str = ""

    def publish(self, changes):
        self.requests.append([change.table.name for change in changes])
        if self.events:
            self.events.pop(0)()
        if any(change.table.state is not change.base for change in changes):
            return [False] * len(changes)
        for change in changes:
            if change.table.name != self.forgets:
                change.table.take(change.changeset)
        return [change.table.name != self.forgets for change in changes]


@dataclass
class MemoryTable:
    name: str
    together: object = None
    state: TableState | None = None
    refusal: Exception | None = None
    discarded: list = field(default_factory=list)

    def load(self):
        return self.state

    def take(self, changeset):
        before = self.state
        sequences = dict(before.sequences if before else {})
        if changeset.token:
            sequences[changeset.token.pipeline] = changeset.token.sequence
        version = (before.version if before else 0) + 1
        self.state = TableState(version, SCHEMA, LAST, Layout(), {}, sequences)

    def commit(self, changeset, base):
        assert base is self.state
        self.take(changeset)
        return Committed(self.state.version)

    def prepare(self, changeset, base):
        if self.refusal:
            raise self.refusal
        assert base is self.state
        return Change(self, base, changeset)


def there(**sequences):
    return TableState(1, SCHEMA, LAST, Layout(), {}, sequences)


def append(**options):
    return Changeset("load", "append", SCHEMA, token=TOKEN, **options)


def lake(*names, state=there):
    joint = Joint()
    return joint, {name: MemoryTable(name, joint, state() if state else None) for name in names}


def publish(tables, changes=None, **options):
    changes = changes or {name: append() for name in tables}
    return publish_together(changes, tables.__getitem__, sleep=lambda _: None, **options)


def test_tables_of_one_server_are_one_group_and_others_stand_alone():
    one, other = Joint(), Joint()
    tables = {
        "a": MemoryTable("a", one),
        "b": MemoryTable("b", None),
        "c": MemoryTable("c", one),
        "d": MemoryTable("d", other),
        "e": MemoryTable("e", None),
    }
    assert groups(list(tables), tables.__getitem__) == [["a", "c"], ["b"], ["d"], ["e"]]


def test_all_changes_go_in_one_request():
    joint, tables = lake("a", "b")
    assert publish(tables) == Committed(None)
    assert joint.requests == [["a", "b"]]
    assert all(table.state.sequences == {"p": 1} for table in tables.values())


def test_one_table_that_moved_on_sends_all_of_them_again():
    joint, tables = lake("a", "b")
    joint.events = [lambda: setattr(tables["b"], "state", replace(there(), version=7))]
    assert publish(tables) == Committed(None)
    assert joint.requests == [["a", "b"], ["a", "b"]]
    assert tables["a"].state.version == 2
    assert tables["b"].state.version == 8
    assert [len(table.discarded) for table in tables.values()] == [1, 1]


def test_table_that_has_the_load_already_is_left_out():
    joint, tables = lake("a", "b", "c")
    tables["b"].state = there(p=1)
    assert publish(tables) == Committed(None)
    assert joint.requests == [["a", "c"]]
    assert tables["b"].state.version == 1


def test_nothing_is_sent_when_every_table_has_the_load():
    joint, tables = lake("a", "b", state=lambda: there(p=1))
    assert publish(tables) == AlreadyApplied(None)
    assert joint.requests == []


def test_last_table_that_lacks_the_load_is_committed_alone():
    joint, tables = lake("a", "b")
    tables["a"].state = there(p=1)
    assert isinstance(publish(tables), Committed)
    assert joint.requests == []
    assert tables["b"].state.sequences == {"p": 1}


def test_tables_that_do_not_exist_are_created_empty_and_filled_together():
    joint, tables = lake("a", "b", state=None)
    changes = {name: append(create=Creation(Layout())) for name in tables}
    assert publish(tables, changes) == Committed(None)
    assert joint.requests == [["a", "b"]]
    assert [table.state.version for table in tables.values()] == [2, 2]


def test_table_that_refuses_stops_all_before_one_is_created():
    joint, tables = lake("new", "old")
    tables["new"].state = None
    tables["old"].refusal = TableError("no", table="old")
    changes = {"new": append(create=Creation(Layout())), "old": append()}
    with pytest.raises(TableError):
        publish(tables, changes)
    assert joint.requests == []
    assert tables["new"].state is None


def test_table_that_was_dropped_stops_all():
    joint, tables = lake("a", "b")
    tables["b"].state = None
    with pytest.raises(ConflictError) as caught:
        publish(tables)
    assert caught.value.table == "b"
    assert joint.requests == []
    assert tables["a"].state.version == 1


def test_writers_that_win_every_attempt_leave_a_conflict():
    joint, tables = lake("a", "b")
    joint.events = [lambda: setattr(tables["a"], "state", there()) for _ in range(3)]
    assert isinstance(publish(tables, attempts=3), Conflict)
    assert len(joint.requests) == 3


def test_files_stay_when_it_is_not_known_whether_the_request_was_carried_out():
    joint, tables = lake("a", "b")

    def lost():
        raise CatalogError("it is not known whether the commit landed")

    joint.events = [lost]
    with pytest.raises(CatalogError):
        publish(tables)
    assert [table.discarded for table in tables.values()] == [[], []]


def test_change_a_server_dropped_though_it_said_yes_is_published_after_all():
    joint, tables = lake("a", "b")
    joint.forgets = "b"
    assert isinstance(publish(tables), Committed)
    assert [table.state.sequences for table in tables.values()] == [{"p": 1}, {"p": 1}]
    assert tables["a"].state.version == 2
    assert [len(table.discarded) for table in tables.values()] == [0, 1]
