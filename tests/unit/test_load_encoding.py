"""The option `encoding` reaches the files from every way in, and from a fold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import lakeload as ll
from lakeload.cli import main

ROWS = [{"id": n} for n in range(100)]
YAML = """
pipeline: p
lakehouse: {path: lake}
resources:
  - {table: t, source: rows.jsonl, encoding: modern}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the rows and a pipeline file."""
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    Path("p.yml").write_text(YAML)
    return tmp_path


def encodings(lake: Path) -> list[bool]:
    """Per live file, whether its ids are stored as differences."""
    import pyarrow.parquet as pq

    table = ll.Lakehouse(lake).table("t")
    files = [lake / "default" / "t" / file.path for file in table.files()]
    return ["DELTA_BINARY_PACKED" in pq.read_metadata(f).row_group(0).column(0).encodings for f in files]


@ll.resource(name="t", encoding="modern")
def rows():
    yield from ROWS


WAYS: dict[str, Callable[[], object]] = {
    "load": lambda: ll.load(ROWS, "lake", table="t", encoding="modern"),
    "resource": lambda: ll.load(rows, "lake"),
    "pipeline": lambda: ll.Pipeline("p", ll.Lakehouse("lake")).run(rows),
    "pipeline file": lambda: main(["run", "p.yml"]),
    "command": lambda: main(["load", "rows.jsonl", "--to", "lake", "--table", "t", "--encoding", "modern"]),
}


@pytest.mark.parametrize("way", WAYS)
def test_modern_encoding_reaches_the_files(folder: Path, way: str) -> None:
    WAYS[way]()
    assert encodings(folder / "lake") == [True]


def test_default_is_the_encoding_every_engine_reads_fast(folder: Path) -> None:
    ll.load(ROWS, "lake", table="t")
    assert encodings(folder / "lake") == [False]


def test_files_of_both_encodings_live_in_one_table_and_a_fold_follows_its_load(folder: Path) -> None:
    parts = [[{"id": n} for n in range(at, at + 100)] for at in range(0, 800, 100)]
    for word, part in zip(("compat", "modern"), parts, strict=False):
        ll.load(part, "lake", table="t", encoding=word, fold=False)
    assert sorted(encodings(folder / "lake")) == [False, True]
    for part in parts[2:]:
        ll.load(part, "lake", table="t", encoding="modern")
    assert encodings(folder / "lake") == [True]
    assert sorted(ll.Lakehouse("lake").table("t").to_arrow(["id"])["id"].to_pylist()) == list(range(800))


def test_unknown_encoding_is_refused_before_anything_is_written(folder: Path) -> None:
    with pytest.raises(ll.ConfigError, match="'fancy' is no encoding"):
        ll.load(ROWS, "lake", table="t", encoding="fancy")  # type: ignore[arg-type]  # what is tested
    assert not (folder / "lake").exists()


def test_encoding_with_a_resource_that_has_its_own_is_refused(folder: Path) -> None:
    with pytest.raises(ll.ConfigError, match="encoding cannot be given with a resource"):
        ll.load(rows, "lake", encoding="modern")
