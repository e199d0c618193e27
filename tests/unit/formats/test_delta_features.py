"""Tables whose features cannot be honoured are refused by name, before anything is written."""

from __future__ import annotations

import json
import struct
import uuid
import zlib

import pyarrow as pa
import pytest
import readers
from delta_files import append, created, open_table, write_file

from lakeload.errors import TableError
from lakeload.formats.delta_log import entry_path
from lakeload.model.changes import Changeset, Committed, Creation, RemoveAll, RemoveFiles
from lakeload.model.layout import Layout
from lakeload.model.schema import assign_ids

ROWS = pa.table({"id": [1, 2, 3]})


def foreign(
    root, *, reader=1, writer=2, readers_=None, writers=None, properties=None, metadata=None, kind="long"
):
    """A table as another engine would have made it, empty."""
    protocol = {"minReaderVersion": reader, "minWriterVersion": writer}
    if writer == 7:
        protocol |= {"writerFeatures": writers or []}
    if reader == 3:
        protocol |= {"readerFeatures": readers_ or []}
    field = {"name": "id", "type": kind, "nullable": True, "metadata": metadata or {}}
    nested = {"name": "s", "type": {"type": "struct", "fields": [field]}, "nullable": True, "metadata": {}}
    schema = {"type": "struct", "fields": [nested if metadata else field]}
    definition = {
        "id": str(uuid.uuid4()), "format": {"provider": "parquet", "options": {}}, "schemaString": json.dumps(schema),
        "partitionColumns": [], "configuration": properties or {}, "createdTime": 0,
    }  # fmt: skip
    (root / "_delta_log").mkdir()
    (root / entry_path(0)).write_text(
        "\n".join(map(json.dumps, [{"protocol": protocol}, {"metaData": definition}]))
    )
    return open_table(root)


@pytest.mark.parametrize(
    "feature",
    [
        "rowTracking",
        "domainMetadata",
        "clustering",
        "typeWidening",
        "typeWidening-preview",
        "icebergCompatV1",
        "icebergCompatV2",
        "catalogManaged",
        "collations-preview",
        "neverHeardOf",
    ],
)
def test_feature_that_cannot_be_honoured_is_named(tmp_path, feature):
    table = foreign(tmp_path, reader=3, writer=7, readers_=[feature], writers=[feature])
    with pytest.raises(TableError, match=rf"Delta feature {feature}.*\(table t\)"):
        table.load()


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"delta.columnMapping.mode": "name"}, "columnMapping"),
        ({"delta.enableInCommitTimestamps": "true"}, "inCommitTimestamp"),
        ({"delta.constraints.positive": "id > 0"}, r"checkConstraints \(positive\)"),
    ],
)
def test_property_that_switches_a_feature_on_is_named(tmp_path, properties, named):
    with pytest.raises(TableError, match=named):
        foreign(tmp_path, reader=2, writer=6, properties=properties).load()


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"delta.generationExpression": "a + 1"}, "generatedColumns"),
        ({"delta.invariants": '{"expression": {"expression": "x > 3"}}'}, "invariants"),
        ({"delta.identity.start": 1}, "identityColumns"),
        ({"CURRENT_DEFAULT": "7"}, "allowColumnDefaults"),
    ],
)
def test_column_with_a_rule_of_its_own_is_named_at_any_depth(tmp_path, metadata, named):
    with pytest.raises(TableError, match=rf"{named}.*column s\.id"):
        foreign(tmp_path, writer=6, metadata=metadata).load()


@pytest.mark.parametrize("kind", ["variant", "void", "interval day", "timestamp_nanos", "string collate de"])
def test_column_of_a_type_that_cannot_be_loaded_is_named(tmp_path, kind):
    with pytest.raises(TableError, match=rf"'{kind}' cannot be loaded.*column id"):
        foreign(tmp_path, kind=kind).load()


@pytest.mark.parametrize(("reader", "writer"), [(4, 7), (3, 8)])
def test_protocol_newer_than_known_is_refused(tmp_path, reader, writer):
    with pytest.raises(TableError, match="newer than lakeload knows"):
        foreign(tmp_path, reader=reader, writer=writer).load()


@pytest.mark.parametrize("writer", [2, 3, 4, 5, 6])
def test_old_protocol_whose_features_are_not_in_use_is_loaded_into(tmp_path, writer):
    table = foreign(
        tmp_path,
        reader=1 if writer < 5 else 2,
        writer=writer,
        properties={"delta.columnMapping.mode": "none"},
    )
    assert append(table, pa.table({"id": [1]})) == Committed(1)


@pytest.mark.parametrize(
    "feature",
    [
        "appendOnly",
        "invariants",
        "checkConstraints",
        "changeDataFeed",
        "generatedColumns",
        "identityColumns",
        "columnMapping",
        "inCommitTimestamp",
        "timestampNtz",
        "v2Checkpoint",
        "vacuumProtocolCheck",
    ],
)
def test_feature_that_is_named_but_not_in_use_is_loaded_into(tmp_path, feature):
    table = foreign(tmp_path, reader=3, writer=7, readers_=[], writers=[feature])
    assert append(table, pa.table({"id": [1]})) == Committed(1)


@pytest.mark.parametrize("key", ["delta.appendOnly", "delta.enableChangeDataFeed"])
def test_rows_are_appended_but_not_replaced_where_the_table_forbids_it(tmp_path, key):
    table = foreign(tmp_path, writer=4, properties={key: "true"})
    append(table, ROWS)
    state = table.load()
    file = write_file(tmp_path, ROWS, state.schema)
    with pytest.raises(TableError, match=rf"{key}=true"):
        table.commit(Changeset("l", "overwrite", state.schema, (file,), RemoveAll()), state)
    paths = frozenset(live.path for live in table.files(state))
    assert table.commit(
        Changeset("l", "replace", state.schema, (file,), RemoveFiles(paths)), state
    ) == Committed(2)


@pytest.mark.parametrize(
    "key",
    [
        "delta.enableChangeDataFeed",
        "delta.enableDeletionVectors",
        "delta.columnMapping.mode",
        "delta.enableRowTracking",
        "delta.constraints.x",
        "delta.feature.clustering",
        "delta.enableIcebergCompatV2",
    ],
)
def test_property_that_would_only_pretend_a_feature_is_refused(tmp_path, key):
    schema, _ = assign_ids(ROWS.schema)
    change = Changeset("l", "append", schema, create=Creation(Layout(), {key: "true"}))
    with pytest.raises(TableError, match=key):
        open_table(tmp_path).commit(change, None)
    table = created(tmp_path, ROWS)
    with pytest.raises(TableError, match=key):
        table.commit(Changeset("l", "append", schema, properties={key: "true"}), table.load())


def test_new_table_with_timestamps_without_zone_names_the_feature(tmp_path):
    created(tmp_path, pa.table({"l": pa.array([[0]], pa.list_(pa.timestamp("us")))}))
    lines = [json.loads(line) for line in (tmp_path / entry_path(0)).read_text().splitlines()]
    assert lines[1]["protocol"] == {
        "minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": ["timestampNtz"], "writerFeatures": ["appendOnly", "invariants", "timestampNtz"],
    }  # fmt: skip


def deleted_row_table(root):
    """A table of another engine with three rows, the second of them marked deleted."""
    table = foreign(
        root,
        reader=3,
        writer=7,
        readers_=["deletionVectors"],
        writers=["deletionVectors"],
        properties={"delta.enableDeletionVectors": "true"},
    )
    append(table, ROWS)
    (live,) = table.files(table.load())
    name = uuid.uuid4()
    bitmap = struct.pack("<I", 1681511377) + _bitmap64([1])
    framed = b"\x01" + struct.pack(">I", len(bitmap)) + bitmap + struct.pack(">I", zlib.crc32(bitmap))
    (root / f"deletion_vector_{name}.bin").write_bytes(framed)
    vector = {
        "storageType": "u",
        "pathOrInlineDv": _z85(name.bytes),
        "offset": 1,
        "sizeInBytes": len(bitmap),
        "cardinality": 1,
    }
    add = {
        "path": live.path,
        "partitionValues": {},
        "size": live.size,
        "modificationTime": 0,
        "dataChange": True,
        "stats": '{"numRecords":3,"tightBounds":false}',
    }
    remove = {"path": live.path, "dataChange": True, "deletionTimestamp": 0}
    # `add` first: within one commit the order of lines means nothing.
    (root / entry_path(2)).write_text(
        "\n".join(map(json.dumps, [{"add": {**add, "deletionVector": vector}}, {"remove": remove}]))
    )
    return table, vector


def _bitmap64(rows):
    from pyroaring import BitMap64

    return BitMap64(rows).serialize()


def _z85(data: bytes) -> str:
    alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    text = ""
    for i in range(0, len(data), 4):
        number, chunk = int.from_bytes(data[i : i + 4], "big"), ""
        for _ in range(5):
            number, digit = divmod(number, 85)
            chunk = alphabet[digit] + chunk
        text += chunk
    return text


@pytest.mark.parametrize("cold", [False, True])
def test_deletion_vector_is_respected_appended_to_and_removed_with_its_file(tmp_path, cold):
    table, vector = deleted_row_table(tmp_path)
    if cold:  # the vector must come out of a checkpoint too
        from deltalake import DeltaTable

        DeltaTable(tmp_path).create_checkpoint()
        table = open_table(tmp_path)
    state = table.load()
    (live,) = table.files(state)
    assert (live.deletes, live.rows) == (True, 3)
    assert sorted(table.scan(state, None).read_all()["id"].to_pylist()) == [1, 3]
    assert sorted(table.lazy(state).collect()["id"].to_list()) == [1, 3]
    assert append(table, pa.table({"id": [9]})) == Committed(3)
    for engine in readers.delta_readers:
        readers.assert_same_rows(
            readers.read_delta(str(tmp_path), engine=engine), pa.table({"id": [1, 3, 9]})
        )
    state = table.load()
    new = write_file(tmp_path, pa.table({"id": [7]}), state.schema)
    assert table.commit(Changeset("l", "overwrite", state.schema, (new,), RemoveAll()), state) == Committed(4)
    removes = [
        json.loads(line)["remove"]
        for line in (tmp_path / entry_path(4)).read_text().splitlines()
        if '"remove"' in line
    ]
    assert [found["deletionVector"] for found in removes if found["path"] == live.path] == [vector]
    for engine in readers.delta_readers:
        readers.assert_same_rows(readers.read_delta(str(tmp_path), engine=engine), pa.table({"id": [7]}))
