import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakeload.errors import SourceError, StorageError
from lakeload.sources.read import ReadOptions, read
from lakeload.storage_options import StorageOptions

pytestmark = pytest.mark.s3


def load(url, options, **more):
    storage = StorageOptions.read(options, remote=True)
    batches = read(url, options=ReadOptions(storage=storage, **more), workers=2)
    return [row for batch in batches for row in batch.to_pylist()]


@pytest.fixture
def filled(s3, s3_prefix):
    """A prefix with a file of every kind, rows numbered in the order of their names."""
    import s3fs

    filesystem = s3fs.S3FileSystem(**StorageOptions.read(s3.storage_options, remote=True).for_s3fs())
    filesystem.pipe(f"{s3_prefix}/a.jsonl", b'{"a":1}\n{"a":2}\n')
    filesystem.pipe(f"{s3_prefix}/b.jsonl.gz", gzip.compress(b'{"a":3}\n'))
    filesystem.pipe(f"{s3_prefix}/c.csv", b"a\n4\n")
    with filesystem.open(f"{s3_prefix}/d.parquet", "wb") as stream:
        pq.write_table(pa.table({"a": [5]}), stream)
    filesystem.pipe(f"{s3_prefix}/readme.md", b"x")
    return s3_prefix


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a.jsonl", [1, 2]), ("*.jsonl*", [1, 2, 3]), ("d.parquet", [5]), ("", [1, 2, 3, 4, 5])],
)
def test_objects_are_read_by_key_glob_and_prefix(s3, filled, path, expected):
    url = f"{filled}/{path}".rstrip("/")

    # What CSV says is text until the next stage has seen all of it.
    assert [int(row["a"]) for row in load(url, s3.storage_options)] == expected


@pytest.mark.parametrize("path", ["missing.jsonl", "missing/*.jsonl", "missing"])
def test_keys_that_do_not_exist_are_named(s3, filled, path):
    with pytest.raises(SourceError) as caught:
        load(f"{filled}/{path}", s3.storage_options)

    assert path in str(caught.value)


@pytest.mark.parametrize("path", ["a.jsonl", "*.jsonl", ""])
def test_wrong_credentials_are_refused_without_showing_them(s3, filled, path):
    with pytest.raises((SourceError, StorageError)) as caught:
        load(f"{filled}/{path}".rstrip("/"), s3.wrong_secret)

    text = str(caught.value)
    assert "credentials" in text
    assert "\n" not in text
    assert s3.wrong_secret["aws_secret_access_key"] not in text


def test_a_bucket_that_does_not_exist_is_named(s3):
    with pytest.raises((SourceError, StorageError), match="no-such-bucket"):
        load("s3://no-such-bucket-here/x.jsonl", s3.storage_options)
