"""Columns of folders, pipes, and files that are not what their names say."""

from __future__ import annotations

import datetime as dt
import io
import os
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakeload as ll


def rows(lake: Path) -> list[dict[str, object]]:
    found = ll.Lakehouse(lake).table("t").to_arrow()
    return sorted(found.to_pylist(), key=str)


def load(data: object, lake: Path, **options: object) -> list[dict[str, object]]:
    ll.load(data, lake, table="t", load_columns=False, **options)
    return rows(lake)


def write(folder: Path, name: str, content: bytes = b"") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"id": [1]}), path)
    else:
        path.write_bytes(content)
    return path


CONTENT = {"jsonl": b'{"id": 1}\n', "json": b'[{"id": 1}]', "csv": b"id\n1\n", "parquet": b""}


@pytest.mark.parametrize("ending", CONTENT)
def test_folders_are_columns_typed_as_text_of_csv_is(tmp_path: Path, ending: str) -> None:
    for folder in ("day=2024-05-01/n=7/zip=007", "day=2024-05-02/n=8/zip=12"):
        write(tmp_path / "in", f"{folder}/a.{ending}", CONTENT[ending])
    assert load(tmp_path / "in", tmp_path / "lake") == [
        {"id": 1, "day": dt.date(2024, 5, 1), "n": 7, "zip": "007"},
        {"id": 1, "day": dt.date(2024, 5, 2), "n": 8, "zip": "12"},
    ]


@pytest.mark.parametrize(
    ("folder", "asked", "want"),
    [
        ("country=IS", "in/*/*.jsonl", {"id": 1, "country": "IS"}),
        ("country=IS", "in/**/*.jsonl", {"id": 1, "country": "IS"}),
        ("country=IS", "in/country=IS/*.jsonl", {"id": 1}),
        ("country=IS", "in/country=IS/a.jsonl", {"id": 1}),
        ("name=a%20b%2Fc", "in", {"id": 1, "name": "a b/c"}),
        ("x=__HIVE_DEFAULT_PARTITION__/y=1", "in", {"id": 1, "y": 1}),
        ("id=5/=3/plain", "in", {"id": 1}),
        ("at=10:30/eq=a=b", "in", {"id": 1, "at": "10:30", "eq": "a=b"}),
    ],
)
def test_what_a_folder_says(tmp_path: Path, folder: str, asked: str, want: dict[str, object]) -> None:
    write(tmp_path / "in", f"{folder}/a.jsonl", CONTENT["jsonl"])
    assert load(str(tmp_path / asked), tmp_path / "lake") == [want]


def test_dates_in_json_are_found_beside_folders(tmp_path: Path) -> None:
    write(tmp_path / "in", "k=1/a.jsonl", b'{"at": "2024-05-01"}')
    assert load(tmp_path / "in", tmp_path / "lake") == [{"at": dt.date(2024, 5, 1), "k": 1}]


PIPED = {
    "lines": (b'{"id":1}\n{"id":2}\n', {}),
    "a document": (b'[{"id":1},{"id":2}]', {}),
    "CSV by option": (b"id\n1\n2\n", {"input_format": "csv"}),
    "types that show late": (b"id\n" + b"1\n" * 3000 + b"2\n", {"input_format": "csv"}),
}


@pytest.mark.parametrize("name", PIPED)
def test_a_named_pipe_is_read(tmp_path: Path, name: str) -> None:
    content, options = PIPED[name]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    found = load([str(pipe)] if name == "lines" else pipe, tmp_path / "lake", **options)
    writer.join()
    assert {row["id"] for row in found} == {1, 2}


def test_standard_input_is_read_as_a_hyphen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = io.BytesIO()
    pq.write_table(pa.table({"id": [1]}), made)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(made.getvalue())))
    assert load("-", tmp_path / "lake") == [{"id": 1}]


def test_a_parquet_file_of_any_name_is_read_as_what_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, "a.parquet")
    for name in ("a.csv", "a.jsonl", "a.json", "a.arrow", "a.dat"):
        (tmp_path / name).write_bytes(path.read_bytes())
        assert load(tmp_path / name, tmp_path / f"lake-{name}") == [{"id": 1}]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.tsv.gz", "a.dat"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04 x", "a zip archive or an Excel workbook"),
        (b"Obj\x01 x", "an Avro file"),
        (b"%PDF-1.4 x", "a PDF"),
        (b"a.csv".ljust(257, b"\0") + b"ustar" + bytes(250), "a tar archive"),
        (b"SQLite format 3\0", "a SQLite database"),
    ],
)
def test_what_is_no_table_is_refused_by_what_it_is(
    tmp_path: Path, name: str, content: bytes, what: str
) -> None:
    import gzip

    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(ll.SourceError, match=what):
        ll.load(path, tmp_path / "lake", table="t")


def test_a_format_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ll.ConfigError, match=r"input_format cannot be 'xls'. There are jsonl, "):
        ll.load("a.xls", tmp_path, table="t", input_format="xls")
