"""The command line on object storage: options reach every library, secrets reach no message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from services.seaweedfs import S3

from lakeload.cli import main
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

pytestmark = pytest.mark.s3


def words(options: Mapping[str, str]) -> list[str]:
    return [word for pair in options.items() for word in ("--storage-option", "=".join(pair))]


@pytest.fixture
def rows(tmp_path: Path) -> str:
    """A file of two rows."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": 1}\n{"id": 2}\n')
    return str(path)


def test_load_and_inspect_on_s3(
    s3: S3, s3_prefix: str, rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = words(s3.storage_options)
    catalog = f"sqlite:///{tmp_path}/catalog.db"
    to = ["--to", s3_prefix, "--table", "t", "--format", "both", "--catalog", catalog]
    assert main(["load", rows, *to, "--quiet", *options]) == 0
    capsys.readouterr()
    assert main(["inspect", s3_prefix, "--catalog", catalog, "--json", *options]) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    assert {form: contents["rows"] for form, contents in tables["t"]["formats"].items()} == {
        "delta": 2,
        "iceberg": 2,
    }


def test_declared_sources_on_s3_use_the_lakehouse_s_options(
    s3: S3, s3_prefix: str, rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(s3_prefix, StorageOptions.read(s3.storage_options, remote=True))
    assert store.create("in/rows.jsonl", Path(rows).read_bytes())
    declared = {
        "pipeline": "p",
        "lakehouse": {"path": f"{s3_prefix}/lake", "storage_options": dict(s3.storage_options)},
        "resources": [{"table": "t", "source": f"{s3_prefix}/in/*.jsonl"}],
    }
    (tmp_path / "p.yml").write_text(json.dumps(declared))  # JSON is YAML, too
    assert main(["run", str(tmp_path / "p.yml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tables"]["t"]["rows"] == 2


def test_iceberg_on_s3_without_catalog_is_refused(
    s3: S3, s3_prefix: str, rows: str, capsys: pytest.CaptureFixture[str]
) -> None:
    to = ["--to", s3_prefix, "--table", "t", "--format", "iceberg"]
    assert main(["load", rows, *to, *words(s3.storage_options)]) == 2
    assert "need a catalog" in capsys.readouterr().err


def test_wrong_secret_is_a_storage_error_that_does_not_repeat_it(
    s3: S3, s3_prefix: str, rows: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {**s3.storage_options, "aws_secret_access_key": "hunter2hunter2"}
    assert main(["load", rows, "--to", s3_prefix, "--table", "t", *words(options)]) == 5
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "hunter2" not in err


def test_server_that_does_not_answer_is_a_storage_error(
    rows: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {
        "aws_endpoint_url": "http://127.0.0.1:9",
        "aws_access_key_id": "k",
        "aws_secret_access_key": "s",
    }
    assert main(["load", rows, "--to", "s3://nowhere/lake", "--table", "t", *words(options)]) == 5
    assert capsys.readouterr().err.count("\n") == 1
