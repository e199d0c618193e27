import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from lakeload.commit.descriptor import Descriptor, decode, encode
from lakeload.commit.journal import KEEP, Journal
from lakeload.commit.position import Position, Standing, pack, unpack
from lakeload.errors import StorageError
from lakeload.model.changes import (
    Changeset,
    Creation,
    RemoveAll,
    RemoveFiles,
    RemovePartitions,
    SchemaChange,
    Token,
)
from lakeload.model.cursor import HASH_DIGITS, Checkpoint
from lakeload.model.files import ColumnStats, DataFile
from lakeload.model.layout import Layout
from lakeload.model.schema import assign_ids
from lakeload.model.table import TableState
from lakeload.sources.row_hash import row_hash
from lakeload.write.store import Store

AT = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)
SCHEMA, LAST = assign_ids(
    pa.schema(
        [
            ("id", pa.int64()),
            ("amount", pa.decimal128(38, 3)),
            ("raw", pa.binary()),
            ("at", pa.timestamp("us", "UTC")),
            ("ratio", pa.float64()),
            ("inner", pa.struct([("day", pa.date32()), ("tags", pa.list_(pa.string()))])),
        ]
    )
)


def data_file():
    return DataFile(
        path="data/a.parquet",
        size=1234,
        rows=10,
        partition=(dt.date(2026, 1, 2), 7, None),
        stats={
            ("id",): ColumnStats(10, 0, None, -(2**63), 2**63 - 1, 80),
            ("amount",): ColumnStats(10, 1, None, Decimal("-0.001"), Decimal("9" * 35 + ".999"), 99),
            ("raw",): ColumnStats(10, 0, None, b"\x00\xff", b"\xff\xff", 5),
            ("at",): ColumnStats(10, 0, None, AT, AT, 8),
            ("ratio",): ColumnStats(10, 0, 3, float("-inf"), 0.1, 8),
            ("inner", "day"): ColumnStats(10, 9, None, dt.date(1, 1, 1), dt.date(9999, 12, 31), 8),
        },
        offsets=(4, 900),
        sorted=True,
    )


def descriptor(sequence=1, changes=None, **options):
    return Descriptor("p", sequence, f"load-{sequence}", AT, changes or {}, **options)


def at(sequence, *values, load=None, **options):
    """A position whose checkpoints are in the descriptor of that load."""
    number = load or sequence
    return Position(
        sequence, {f"r{i}": Standing(number, v, Checkpoint(v, **options)) for i, v in enumerate(values)}
    )


def full_changeset(remove=None, create=None):
    layout = Layout.parse(["day(at)", "bucket(16, id)", "amount"], ["id desc"])
    return Changeset(
        load_id="load-1",
        operation="overwrite",
        schema=SCHEMA,
        add=(data_file(),),
        remove=remove,
        schema_changes=(
            SchemaChange("add", ("inner", "day"), None, pa.date32()),
            SchemaChange("widen", ("id",), pa.int32(), pa.int64()),
        ),
        create=Creation(layout, {"k": "v"}) if create else None,
        token=Token("p", 1),
        partition_by=layout.partition_by,
        properties={"a": "b"},
    )


@pytest.mark.parametrize(
    "remove",
    [
        None,
        RemoveAll(),
        RemoveFiles(frozenset({"data/x.parquet", "s3://b/y.parquet"})),
        RemovePartitions(frozenset({(dt.date(2026, 1, 2), 3, Decimal("1.500")), (None, None, None)})),
    ],
)
@pytest.mark.parametrize("create", [False, True])
def test_a_descriptor_comes_back_as_it_was_written(remove, create):
    written = descriptor(
        changes={"t": full_changeset(remove, create)},
        positions={
            "t": at(1, AT, boundary=frozenset({"ab" * 7, "cd" * 7}), positions={"file": "3"}, since=AT)
        },
        before={"t": Position(0, {"r0": Standing(7, Decimal("1.10"))})},
    )
    read = decode(encode(written), place="here")
    assert read == written
    assert read.changes["t"].schema.equals(SCHEMA, check_metadata=True)


@pytest.mark.parametrize(
    "value", [7, 1.5, "x", dt.date(2026, 1, 2), AT, dt.datetime(2026, 1, 2), Decimal("3.20")]
)
def test_a_cursor_value_of_any_type_comes_back_exactly(value):
    written = descriptor(positions={"t": at(1, value)})
    standing = decode(encode(written), place="here").positions["t"].resources["r0"]
    for back in (standing.value, standing.checkpoint.value):
        assert back == value
        assert type(back) is type(value)


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"[]", b'{"version": 1}', b"\xff"])
def test_a_damaged_descriptor_is_refused_with_its_place(data):
    with pytest.raises(StorageError, match=r"damaged.*the-place"):
        decode(data, place="the-place")


def test_a_descriptor_of_a_newer_release_is_refused():
    with pytest.raises(StorageError, match="Upgrade"):
        decode(encode(descriptor()).replace(b'"version":2', b'"version":99'), place="here")


def test_a_number_can_be_begun_once(tmp_path):
    first, second = (Journal(Store(str(tmp_path)), "p") for _ in range(2))
    assert first.begin(descriptor()) is True
    assert second.begin(descriptor()) is False


def test_a_begun_load_is_unfinished_until_it_is_finished(tmp_path):
    journal = Journal(Store(str(tmp_path)), "p")
    journal.begin(descriptor())
    assert Journal(Store(str(tmp_path)), "p").unfinished() == descriptor()
    journal.finish(descriptor())
    assert Journal(Store(str(tmp_path)), "p").unfinished() is None


def test_a_table_that_refused_a_load_keeps_the_position_it_had(tmp_path):
    journal = Journal(Store(str(tmp_path)), "p")
    before = {name: at(1, 10) for name in ("good", "bad")}
    after = {name: at(2, 20) for name in ("good", "bad")}
    journal.begin(descriptor(1, positions=before))
    journal.begin(descriptor(2, positions=after, before=before))
    journal.fail(2, ["bad"])
    again = Journal(Store(str(tmp_path)), "p")
    assert again.unfinished() is None
    assert again.checkpoint("good", "r0", state(p=2)).value == 20
    assert again.checkpoint("bad", "r0", state(p=1)).value == 10


def test_old_descriptors_are_forgotten_but_those_that_hold_a_position(tmp_path):
    journal = Journal(Store(str(tmp_path)), "p")
    for sequence in range(1, KEEP + 11):
        number = descriptor(sequence, positions={"t": at(sequence, 5, load=3), "u": at(4, 6)})
        journal.begin(number)
        journal.finish(number)
    assert len(list(tmp_path.glob("*.json"))) == len(list(tmp_path.glob("*.done"))) == KEEP + 2
    again = Journal(Store(str(tmp_path)), "p")
    assert again.last == KEEP + 10
    assert again.checkpoint("t", "r0", state(p=KEEP + 10)).value == 5
    assert again.checkpoint("u", "r0", state(p=4)).value == 6


def test_many_hashes_are_short_and_come_back():
    hashes = {row_hash({"id": i})[:HASH_DIGITS] for i in range(20_000)}
    assert unpack(pack(hashes)) == hashes
    assert len(pack(hashes)) < 8.5 * len(hashes)


def test_a_checkpoint_is_written_once():
    hashes = frozenset(row_hash({"id": i})[:HASH_DIGITS] for i in range(1000))
    moved, later = at(1, 5, boundary=hashes), at(2, 5, load=1, boundary=hashes)
    first = encode(descriptor(1, positions={"t": moved}))
    assert len(first) > len(pack(hashes))
    assert len(encode(descriptor(2, positions={"t": later}, before={"t": moved}))) < 1500


def state(**sequences):
    return TableState(1, SCHEMA, LAST, Layout(), {}, sequences)


def test_a_table_without_token_starts_from_the_beginning(tmp_path):
    journal = Journal(Store(str(tmp_path)), "p")
    journal.begin(descriptor(positions={"t": at(1, 5)}))
    assert journal.checkpoint("t", "r0", None) is None
    assert journal.checkpoint("t", "r0", state(other=9)) is None


def test_a_table_rolled_back_resumes_from_the_load_it_carries(tmp_path):
    journal = Journal(Store(str(tmp_path)), "p")
    for sequence in (1, 2):
        number = descriptor(sequence, positions={"t": at(sequence, sequence * 10)})
        journal.begin(number)
        journal.finish(number)
    assert journal.checkpoint("t", "r0", state(p=2)).value == 20
    assert journal.checkpoint("t", "r0", state(p=1)).value == 10


def test_each_resource_of_a_table_has_a_position(tmp_path):
    journal = Journal(Store(str(tmp_path)), "p")
    journal.begin(descriptor(positions={"t": at(1, 5, 6)}))
    found = [journal.checkpoint("t", name, state(p=1)) for name in ("r0", "r1", "r2")]
    assert [stop and stop.value for stop in found] == [5, 6, None]


def test_a_quarantine_knows_the_position_of_a_table_that_never_was(tmp_path):
    journal = Journal(Store(str(tmp_path)), "p")
    journal.begin(descriptor(1, {"t__quarantine": full_changeset()}, positions={"t": at(1, 5)}))
    journal.finish(descriptor(1))
    journal.begin(descriptor(2, {"t": full_changeset()}, positions={"t": at(2, 7)}))
    assert journal.checkpoint("t", "r0", None, state(p=1)).value == 5
    assert journal.checkpoint("t", "r0", None, state(p=2)) is None  # it was there, and was dropped since


def test_a_token_without_descriptor_is_refused(tmp_path):
    journal = Journal(Store(str(tmp_path)), "p")
    with pytest.raises(StorageError, match="descriptor is gone"):
        journal.checkpoint("t", "r0", state(p=3))
    assert journal.standings("t", state(p=3)) is None
