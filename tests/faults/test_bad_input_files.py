"""Bad input: every case gets one line that names the place and the way out, and no row of it is invented."""

import bz2
import gzip
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakeload.errors import LakeloadError, SchemaError, SourceError, StorageError
from lakeload.model.csv_options import CsvOptions
from lakeload.sources.read import ReadOptions, read

LINES = b"".join(b'{"id":%d,"text":"%s"}\n' % (i, os.urandom(8).hex().encode()) for i in range(20_000))


def load(data, **options):
    batches = read(data, options=ReadOptions(**options), workers=2)
    return [row for batch in batches for row in batch.to_pylist()]


def refusal(data, error=SourceError, **options) -> LakeloadError:
    with pytest.raises(error) as caught:
        load(data, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.hint
    return caught.value


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["gone.jsonl", "gone/x.csv", "gone.parquet", "gone*.jsonl", "", "~gone/x"])
def test_a_place_where_nothing_is_found_is_named(tmp_path, name):
    place = f"{tmp_path}/{name}" if name and not name.startswith("~") else name

    error = refusal(place)

    assert name in str(error)


def test_a_directory_without_readable_files_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("x")

    assert str(tmp_path) in str(refusal(tmp_path))


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv", "x.jsonl.gz", "x.unknown", "x"])
def test_a_file_without_content_has_no_rows(tmp_path, name):
    assert load(written(tmp_path, name, b"")) == []


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv"])
def test_a_file_of_blank_lines_has_no_rows(tmp_path, name):
    assert load(written(tmp_path, name, b"\n\n \n")) == []


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
@pytest.mark.parametrize("content", [b"", b"PAR1", b"ARROW1\0\0", b"nonsense" * 10])
def test_files_that_are_not_what_their_name_says_are_refused(tmp_path, name, content):
    path = written(tmp_path, name, content)

    assert refusal(path).place == str(path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_truncated_parquet_file_is_refused(tmp_path, keep):
    pq.write_table(pa.table({"a": range(1000)}), tmp_path / "x.parquet")
    content = (tmp_path / "x.parquet").read_bytes()

    refusal(written(tmp_path, "y.parquet", content[: int(len(content) * keep)]))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["file", "stream"])
def test_a_truncated_arrow_file_is_refused(tmp_path, keep, kind):
    new = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    table = pa.table({"a": range(10_000)})
    with new(tmp_path / "x.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=1000)
    content = (tmp_path / "x.arrow").read_bytes()

    refusal(written(tmp_path, "y.arrow", content[: int(len(content) * keep)]))


def pack(codec, content):
    if codec == "zst":
        return pa.compress(content, "zstd").to_pybytes()
    return {"gz": gzip.compress, "bz2": bz2.compress}[codec](content)


@pytest.mark.parametrize("keep", [0.05, 0.5, 0.999])
@pytest.mark.parametrize("codec", ["gz", "bz2", "zst"])
@pytest.mark.parametrize("kind", ["jsonl", "csv", "json"])
def test_a_truncated_compressed_file_is_refused_as_incomplete(tmp_path, kind, codec, keep):
    content = {
        "jsonl": LINES,
        "csv": b"id,text\n" + b"1,x\n" * 50_000,
        "json": b"[" + LINES.strip().replace(b"\n", b",") + b"]",
    }[kind]
    packed = pack(codec, content)
    path = written(tmp_path, f"x.{kind}.{codec}", packed[: int(len(packed) * keep)])

    error = refusal(path)

    assert error.place == str(path)
    assert "fetch" in str(error)


@pytest.mark.parametrize("codec", ["gz", "bz2", "zst"])
def test_a_damaged_compressed_file_is_refused(tmp_path, codec):
    packed = bytearray(pack(codec, LINES))
    middle = len(packed) // 2
    packed[middle : middle + 64] = os.urandom(64)

    refusal(written(tmp_path, f"x.jsonl.{codec}", bytes(packed)))


def test_a_file_that_is_not_compressed_as_its_name_says_is_refused(tmp_path):
    assert "the name says gzip" in str(refusal(written(tmp_path, "x.jsonl.gz", LINES)))


def test_half_a_line_at_the_end_is_refused_with_its_row(tmp_path):
    error = refusal(written(tmp_path, "x.jsonl", LINES[:-10]))

    assert error.row == 20_000
    assert "cut off" in str(error)


@pytest.mark.parametrize("workers_see", [1, 4096, 1 << 20])
def test_a_bad_line_is_found_whatever_the_size_of_the_blocks(tmp_path, workers_see):
    lines = LINES.splitlines(keepends=True)
    lines[12_345] = b'{"id":"x"} oops\n'

    error = refusal(written(tmp_path, "x.jsonl", b"".join(lines)), batch_bytes=max(workers_see, 512))

    assert error.row == 12_346


@pytest.mark.parametrize("content", [b"[1,2]", b'"text"', b"3", b"null", b"[[]]", b'{"a":1}\n[2]\n'])
def test_json_of_another_shape_is_refused(tmp_path, content):
    path = written(tmp_path, "x.json", content)

    assert refusal(path).place == str(path)


def test_a_file_of_unknown_format_is_refused_with_the_known_endings(tmp_path):
    error = refusal(written(tmp_path, "x.dat", b"\x00\x01\x02 what is this"))

    assert ".jsonl" in str(error)


def test_ragged_csv_is_refused_with_its_row_if_that_is_asked_for(tmp_path):
    path = written(tmp_path, "x.csv", b"a,b\n1,2\n3\n")
    error = refusal(path, csv=CsvOptions(ragged="stop"))

    assert (error.row, error.place) == (2, str(tmp_path / "x.csv"))


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv"])
def test_invalid_utf_8_is_refused_with_its_row(tmp_path, name):
    content = {"x.jsonl": b'{"a":"x"}\n{"a":"\xe9"}\n', "x.csv": b"a,b\nx,y\n\xe9,z\n"}[name]

    error = refusal(written(tmp_path, name, content))

    assert error.row == 2
    assert "UTF-8" in str(error)


def test_rows_of_a_file_with_too_many_keys_are_refused_with_row_and_file(tmp_path):
    keys = b",".join(b'"k%d":1' % i for i in range(20_000))
    path = written(tmp_path, "x.jsonl", b'{"a":1}\n{' + keys + b"}\n")

    error = refusal(path, SchemaError)

    assert (error.row, error.place) == (2, str(path))


@pytest.mark.parametrize("url", ["gopher://x/y.jsonl", "s4://bucket/x", "://x"])
def test_an_unknown_protocol_is_refused(url):
    refusal(url, (SourceError, StorageError))


def test_a_server_that_does_not_answer_is_named_without_secrets():
    error = refusal("http://user:hunter2@127.0.0.1:9/x.jsonl?sig=hunter2", (SourceError, StorageError))

    assert "127.0.0.1:9/x.jsonl" in str(error)
    assert "hunter2" not in str(error)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = written(tmp_path, "x.jsonl", LINES)
    path.chmod(0)
    if os.access(path, os.R_OK):
        # The superuser may read everything: a directory in place of the file is refused like it.
        path.unlink()
        path = tmp_path / "loop.jsonl"
        path.symlink_to(path)

    assert str(path) in str(refusal(path, (SourceError, StorageError)))


@pytest.mark.parametrize("data", [42, None, object(), 1.5])
def test_data_of_no_known_kind_is_refused(data):
    refusal(data)
