import bz2
import gzip
import http.server
import threading
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from lakeload.errors import SourceError, StorageError
from lakeload.sources.files import File, blocks, find, line_ranges, public, read_range
from lakeload.sources.read import ReadOptions, describe, read
from lakeload.storage_options import StorageOptions

LINES = b'{"a":1}\n{"a":2}\n'


def pack(data: bytes, codec: str) -> bytes:
    if codec == "zstd":
        return pa.compress(data, "zstd").to_pybytes()
    return {"gzip": gzip.compress, "bz2": bz2.compress}[codec](data)


@pytest.mark.parametrize(
    ("name", "codec"), [("x.jsonl.gz", "gzip"), ("x.jsonl.zst", "zstd"), ("x.json.bz2", "bz2"), ("x", "gzip")]
)
def test_compressed_files_are_read_by_name_or_first_bytes(tmp_path, rows, name, codec):
    (tmp_path / name).write_bytes(pack(LINES, codec))

    assert rows(tmp_path / name) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("codec", ["gzip", "zstd", "bz2"])
def test_compressed_csv_is_read(tmp_path, rows, codec):
    (tmp_path / f"x.csv.{codec[:2]}").write_bytes(b"")
    path = tmp_path / {"gzip": "x.csv.gz", "zstd": "x.csv.zst", "bz2": "x.csv.bz2"}[codec]
    path.write_bytes(pack(b"a,b\n1,x\n", codec))

    assert rows(path) == [{"a": "1", "b": "x"}]


def test_several_gzip_members_are_one_file(tmp_path, rows):
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(b'{"a":1}\n') + gzip.compress(b'{"a":2}\n'))

    assert rows(tmp_path / "x.jsonl.gz") == [{"a": 1}, {"a": 2}]


def test_a_glob_is_read_in_the_order_of_names(tmp_path, rows):
    for number in (3, 1, 2):
        (tmp_path / f"{number}.jsonl").write_text(f'{{"a":{number}}}\n')

    assert [row["a"] for row in rows(f"{tmp_path}/*.jsonl")] == [1, 2, 3]


def test_a_directory_is_read_as_its_readable_files(tmp_path, rows):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.jsonl").write_text('{"a":2}\n')
    (tmp_path / "a.csv").write_text("a\n1\n")
    (tmp_path / "sub" / "c.jsonl.gz").write_bytes(gzip.compress(b'{"a":3}\n'))
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / ".hidden.jsonl").write_text("nonsense")
    (tmp_path / "readme.md").write_text("nonsense")

    assert [row["a"] for row in rows(tmp_path)] == ["1", 2, 3]


def test_a_file_whose_name_holds_glob_characters_is_found(tmp_path, rows):
    (tmp_path / "x[1].jsonl").write_bytes(LINES)

    assert len(rows(tmp_path / "x[1].jsonl")) == 2


def test_a_list_of_paths_is_read_in_its_order(tmp_path, rows):
    (tmp_path / "a.jsonl").write_text('{"a":1}\n')
    (tmp_path / "b.csv").write_text("a\n2\n")

    assert [row["a"] for row in rows([tmp_path / "b.csv", str(tmp_path / "a.jsonl")])] == ["2", 1]


def test_rows_are_counted_per_file(tmp_path, rows):
    (tmp_path / "a.jsonl").write_text('{"a":1}\n' * 5)
    (tmp_path / "b.jsonl").write_text('{"a":1}\n{"a":\n')

    with pytest.raises(SourceError) as caught:
        rows(tmp_path)

    assert (caught.value.row, Path(caught.value.place).name) == (2, "b.jsonl")


@pytest.mark.parametrize("length", [1, 3, 7, 8, 9, 100, 10_000])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_ranges_hold_every_line_once_and_whole(tmp_path, length, end):
    lines = [b"x" * (i * 7 % 50) for i in range(200)]
    path = tmp_path / "x"
    path.write_bytes(b"\n".join(lines) + end)
    file = File(str(path), path.stat().st_size)

    parts = [read_range(str(path), start, stop) for start, stop in line_ranges(file, length)]

    assert b"".join(parts) == path.read_bytes()
    assert all(part.endswith(b"\n") for part in parts[:-1])


@pytest.mark.parametrize("size", [1, 3, 8, 1000])
def test_streamed_blocks_end_with_lines(tmp_path, size):
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(LINES * 50))

    parts = list(blocks(File(str(path), None), size))

    assert b"".join(parts) == LINES * 50
    assert all(part.endswith(b"\n") for part in parts)


@pytest.mark.parametrize("size", [20, 100, 1 << 20])
def test_rows_keep_their_order_over_many_splits(tmp_path, rows, size):
    path = tmp_path / "x.jsonl"
    path.write_text("".join(f'{{"a":{i}}}\n' for i in range(2000)))

    assert [row["a"] for row in rows(path, batch_bytes=size)] == list(range(2000))


def test_closing_the_batches_leaves_no_thread_and_no_open_file(tmp_path):
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a":1}\n' * 100_000))
    before = threading.active_count()

    batches = read(path, options=ReadOptions(batch_bytes=1000), workers=2)
    next(batches)
    batches.close()

    assert threading.active_count() == before


@pytest.fixture
def memory():
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.rm("/lake", recursive=True)


def test_remote_files_are_read_by_path_glob_and_directory(memory, rows):
    memory.pipe("/lake/a.jsonl", LINES)
    memory.pipe("/lake/b.jsonl.gz", gzip.compress(b'{"a":3}\n'))
    memory.pipe("/lake/c.csv", b"a\n4\n")

    assert [row["a"] for row in rows("memory://lake/a.jsonl")] == [1, 2]
    assert [row["a"] for row in rows("memory://lake/*.jsonl*")] == [1, 2, 3]
    assert [row["a"] for row in rows("memory://lake")] == [1, 2, 3, "4"]


def test_remote_places_without_files_are_refused(memory, rows):
    memory.pipe("/lake/readme.md", b"x")

    with pytest.raises(SourceError, match="no object matches"):
        rows("memory://lake/*.jsonl")
    with pytest.raises(SourceError, match="no readable file"):
        rows("memory://lake")
    with pytest.raises(SourceError, match="no such file"):
        rows("memory://lake/missing.jsonl")


@pytest.fixture
def server(tmp_path):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_address[1]}"
        found.shutdown()
        thread.join()


def test_a_file_behind_a_web_address_is_read(server, tmp_path, rows):
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(LINES))

    assert rows(f"{server}/x.jsonl.gz") == [{"a": 1}, {"a": 2}]


def test_a_missing_web_address_is_refused_without_its_signature(server, rows):
    with pytest.raises((SourceError, StorageError)) as caught:
        rows(f"{server}/missing.jsonl?signature=SECRET")

    assert "missing.jsonl" in str(caught.value)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@host/a/b?sig=x", "https://host/a/b"),
        ("s3://bucket/key", "s3://bucket/key"),
        ("/local/path?x", "/local/path?x"),
    ],
)
def test_secrets_in_addresses_are_not_shown(url, shown):
    assert public(url) == shown
    assert describe(url) == shown


def test_sources_have_short_names(tmp_path):
    assert describe([tmp_path / "a", tmp_path / "b"]) == f"{tmp_path}/a and 1 more"
    assert describe(pa.table({})) == "Table"
    assert describe(x for x in ()) == "<genexpr>"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'[{"a":1},{"a":2}]', [{"a": 1}, {"a": 2}]),
        (b' [\n{"a":\n1}]', [{"a": 1}]),
        (b"[]", []),
        (b'{"a":1}', [{"a": 1}]),
        (b'{\n "a": 1\n}\n', [{"a": 1}]),
        (b'\xef\xbb\xbf[{"a":1}]', [{"a": 1}]),
        (b'{"a":1}\n{"a":2}', [{"a": 1}, {"a": 2}]),
        (b"", []),
        (b"\n\n", []),
    ],
)
@pytest.mark.parametrize("name", [None, "x.json", "x"])
def test_json_is_told_apart_by_content(tmp_path, rows, data, expected, name):
    if name is None:
        assert rows(data) == expected
        return
    (tmp_path / name).write_bytes(data)

    assert rows(tmp_path / name) == expected


@pytest.mark.parametrize("path", ["data.items", "data.one"])
def test_records_are_found_at_the_end_of_a_path(rows, path):
    document = b'{"data":{"items":[{"a":1},{"a":1}],"one":{"a":1}},"page":2}'

    assert rows(document, record_path=path)[0] == {"a": 1}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b'{"data":{"rows":[]}}', "no 'items' on the record path"),
        (b'{"data":[1]}', "leads through something that is no object"),
        (b'{"data":{"items":3}}', "expected JSON records, found '3'"),
        (b'{"data":{"items":[3]}}', "expected a JSON object, found 3"),
        (b'{"data":{"items":[{"a":1}', "malformed JSON document"),
    ],
)
def test_documents_of_another_shape_are_refused(rows, document, message):
    with pytest.raises(SourceError, match=message):
        rows(document, record_path="data.items")


def test_a_large_document_is_cut_into_blocks_and_keeps_its_order(batches):
    document = b"[" + b",\n".join(b'{"a":\n%d}' % i for i in range(5000)) + b"]"
    found = batches(document, batch_bytes=1000)

    assert len(found) > 10
    assert [a for batch in found for a in batch.column("a").to_pylist()] == list(range(5000))


def test_pretty_printed_records_take_the_exact_path_too(rows):
    document = b'[{"a":\n1},\n{"a":\n2.5,\n"b":"\\u00e9"},{"c":\n[null,\n{}]}]'

    assert [row["a"] for row in rows(document)] == [1, 2.5, None]
    assert [row["a"] for row in rows(document, hint={"a": pa.string()})] == ["1", "2.5", None]


def test_find_gives_sizes_of_local_files(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(LINES)

    assert [file.size for file in find(tmp_path, StorageOptions())] == [len(LINES)]
