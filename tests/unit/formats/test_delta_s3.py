"""A Delta table on a real S3 server: conditional puts, readers, and places that refuse."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import readers
from delta_files import NOW

from lakeload.errors import StorageError
from lakeload.formats.delta import DeltaFormatTable
from lakeload.model.changes import Changeset, Committed, Conflict, Creation, Token
from lakeload.model.files import DataFile
from lakeload.model.layout import Layout
from lakeload.model.schema import assign_ids
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

pytestmark = pytest.mark.s3

ROWS = pa.table({"id": [1], "p": ["a/b c%"]})
SCHEMA, _ = assign_ids(ROWS.schema)


def at(root: str, options: dict[str, str]) -> DeltaFormatTable:
    return DeltaFormatTable("t", Store(root, StorageOptions.read(options, remote=True)), now=lambda: NOW)


def put_file(root: str, options: dict[str, str], path: str) -> DataFile:
    sink = io.BytesIO()
    pq.write_table(ROWS.cast(SCHEMA), sink, store_schema=False)
    Store(root, StorageOptions.read(options, remote=True)).create(path, sink.getvalue())
    return DataFile(path, len(sink.getvalue()), 1, ("a/b c%",))


def test_table_on_s3_is_created_appended_to_and_read_by_every_engine(s3, s3_prefix):
    table = at(s3_prefix, s3.storage_options)
    assert table.load() is None
    folder = "data/p=a%2Fb%20c%25"
    first = put_file(s3_prefix, s3.storage_options, f"{folder}/1.parquet")
    creation = Creation(Layout.parse("p"), {"delta.checkpointInterval": "1"})
    create = Changeset("l", "append", SCHEMA, (first,), create=creation, token=Token("pl", 1))
    assert table.commit(create, None) == Committed(0)
    assert isinstance(at(s3_prefix, s3.storage_options).commit(create, None), Conflict)
    state = table.load()
    second = put_file(s3_prefix, s3.storage_options, f"{folder}/2.parquet")
    change = Changeset("l", "append", SCHEMA, (second,), token=Token("pl", 2))
    assert table.commit(change, state) == Committed(1)
    assert isinstance(table.commit(change, state), Conflict)
    cold = at(s3_prefix, s3.storage_options)
    state = cold.load()
    assert (state.version, dict(state.sequences), len(cold.files(state))) == (1, {"pl": 2}, 2)
    assert f"{1:020d}.checkpoint.parquet" in Store(
        s3_prefix, StorageOptions.read(s3.storage_options, remote=True)
    ).names("_delta_log")
    both = pa.concat_tables([ROWS, ROWS])
    readers.assert_same_rows(cold.scan(state, None).read_all(), both)
    readers.assert_same_rows(cold.lazy(state).collect().to_arrow(), both)
    assert [found.version for found in cold.history()] == [1, 0]
    for engine in readers.delta_readers:
        readers.assert_same_rows(readers.read_delta(s3_prefix, s3.storage_options, engine=engine), both)


@pytest.mark.parametrize("key", ["aws_secret_access_key", "aws_access_key_id"])
def test_wrong_credentials_are_a_storage_error_without_the_secret(s3, s3_prefix, key):
    options = {**s3.storage_options, key: "wrongwrongwrong1"}
    with pytest.raises(StorageError) as caught:
        at(s3_prefix, options).load()
    assert "\n" not in str(caught.value)
    assert options["aws_secret_access_key"] not in str(caught.value)


def test_bucket_that_does_not_exist_is_a_storage_error(s3):
    table = at("s3://no-such-bucket-here/t", s3.storage_options)
    with pytest.raises(StorageError, match="no-such-bucket-here"):
        table.commit(Changeset("l", "append", SCHEMA, create=Creation(Layout())), table.load())
