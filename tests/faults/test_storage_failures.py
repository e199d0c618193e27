"""Storage that fails: one clear error naming place and remedy, and the table as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import failing_load
import pyarrow as pa
import pytest
from lakes import Place
from services.seaweedfs import S3

import lakeload as ll

FORMATS = [("delta",), ("iceberg",), ("delta", "iceberg")]
ROWS = pa.table({"id": [1, 2, 3]})


@pytest.fixture(params=FORMATS, ids="+".join)
def formats(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param


def s3_place(
    s3: S3, root: str, formats: tuple[str, ...], tmp_path: Path, storage: dict[str, str] | None = None
) -> Place:
    catalog = f"sqlite:///{tmp_path}/catalog.db" if "iceberg" in formats else None
    return Place(formats, root, storage or s3.storage_options, catalog)


def check(error: ll.LakeloadError, *secrets: str) -> None:
    message = str(error)
    assert "\n" not in message
    assert error.place
    assert error.hint
    assert not [secret for secret in secrets if secret in message + repr(error)]


@pytest.mark.s3
def test_read_only_bucket_is_a_storage_error_and_the_table_stays(
    s3: S3, s3_prefix: str, formats: tuple[str, ...], tmp_path: Path
) -> None:
    writable = s3_place(s3, s3_prefix, formats, tmp_path)
    writable.load(ROWS)
    before = writable.versions()
    with pytest.raises(ll.StorageError) as caught:
        s3_place(s3, s3_prefix, formats, tmp_path, s3.read_only).load(ROWS)
    check(caught.value, s3.read_only_secret_key)
    assert writable.versions() == before
    writable.holds(ROWS)


@pytest.mark.s3
def test_read_only_credentials_suffice_to_read(
    s3: S3, s3_prefix: str, formats: tuple[str, ...], tmp_path: Path
) -> None:
    s3_place(s3, s3_prefix, formats, tmp_path).load(ROWS)
    reader = s3_place(s3, s3_prefix, formats, tmp_path, s3.read_only)
    assert reader.table().to_arrow().num_rows == 3


@pytest.mark.s3
def test_wrong_secret_is_a_storage_error_that_does_not_tell_it(
    s3: S3, s3_prefix: str, formats: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(ll.StorageError) as caught:
        s3_place(s3, s3_prefix, formats, tmp_path, s3.wrong_secret).load(ROWS)
    check(caught.value, s3.wrong_secret["aws_secret_access_key"], s3.access_key)


@pytest.mark.s3
def test_unknown_key_is_a_storage_error(
    s3: S3, s3_prefix: str, formats: tuple[str, ...], tmp_path: Path
) -> None:
    unknown = {**s3.storage_options, "aws_access_key_id": "nobody"}
    with pytest.raises(ll.StorageError) as caught:
        s3_place(s3, s3_prefix, formats, tmp_path, unknown).load(ROWS)
    check(caught.value, s3.secret_key)


@pytest.mark.s3
def test_bucket_that_does_not_exist_is_a_storage_error_that_names_it(
    s3: S3, formats: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(ll.StorageError, match="no-such-bucket") as caught:
        s3_place(s3, "s3://no-such-bucket/lake", formats, tmp_path).load(ROWS)
    check(caught.value, s3.secret_key)


def test_server_that_does_not_answer_is_a_storage_error(formats: tuple[str, ...], tmp_path: Path) -> None:
    storage = {
        "aws_access_key_id": "key", "aws_secret_access_key": "the-secret",
        "aws_endpoint_url": "http://127.0.0.1:9", "aws_region": "us-east-1",
    }  # fmt: skip
    catalog = f"sqlite:///{tmp_path}/catalog.db" if "iceberg" in formats else None
    with pytest.raises(ll.StorageError) as caught:
        Place(formats, "s3://lake/x", storage, catalog).load(ROWS)
    check(caught.value, "the-secret")


def fail(how: str, place: Place) -> subprocess.CompletedProcess[str]:
    """Load into the place in a process of its own, in which its storage fails."""
    command = [sys.executable, str(Path(failing_load.__file__)), how, place.root, "+".join(place.formats)]
    return subprocess.run(
        failing_load.isolated(command), capture_output=True, text=True, timeout=120, check=False
    )


def test_full_disk_is_a_storage_error_and_the_table_stays(formats: tuple[str, ...], tmp_path: Path) -> None:
    place = Place(formats, str(tmp_path / "lake"))
    done = fail("full disk", place)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert said[0].startswith("StorageError: ")
    assert "Free some space" in said[0] or "File too large" in said[0]
    assert said[1] == "rows after: 3"
    assert said[2] == "files left behind: 0"


def test_folder_that_cannot_be_written_is_a_storage_error_and_the_table_stays(
    formats: tuple[str, ...], tmp_path: Path
) -> None:
    place = Place(formats, str(tmp_path / "lake"))
    done = fail("read only", place)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert said[0].startswith(("StorageError: ", "CatalogError: "))
    assert any(word in said[0].lower() for word in ("permission", "read-only", "readonly")), said[0]
    assert said[1] == "rows after: 3"


def test_place_that_is_a_file_is_a_storage_error(formats: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("not a folder")
    with pytest.raises(ll.LakeloadError) as caught:
        Place(formats, str(tmp_path / "lake")).load(ROWS)
    assert str(tmp_path) in str(caught.value)
    assert (tmp_path / "lake").read_text() == "not a folder"


@pytest.mark.parametrize("damage", ["cut", "emptied", "not ours"])
def test_damaged_descriptor_of_an_unfinished_load_is_a_storage_error_and_the_table_stays(
    tmp_path: Path, formats: tuple[str, ...], damage: str
) -> None:
    place = Place(formats, str(tmp_path / "lake"))
    for id_ in (1, 2):
        ll.Pipeline("p", place.lake()).run([{"id": id_}], table="t")
    before = place.versions()
    journal = tmp_path / "lake" / "default" / "_lakeload"
    newest = max(journal.rglob("p/*.json"))
    for mark in journal.rglob("p/*.done"):
        mark.unlink()
    content = newest.read_bytes()
    newest.write_bytes(
        {"cut": content[: len(content) // 2], "emptied": b"", "not ours": b'{"version": 1}'}[damage]
    )
    with pytest.raises(ll.StorageError) as caught:
        ll.Pipeline("p", place.lake()).run([{"id": 3}], table="t")
    check(caught.value)
    assert newest.name in str(caught.value)
    assert place.versions() == before
    place.holds(pa.table({"id": [1, 2]}))


def test_data_files_of_a_load_that_fails_are_removed(tmp_path: Path, formats: tuple[str, ...]) -> None:
    place = Place(formats, str(tmp_path / "lake"))
    place.load(ROWS)
    files = place.data_files()

    def broken():
        yield pa.table({"id": list(range(200_000))})
        raise OSError("the network went away")

    with pytest.raises(Exception, match="network"):
        place.load(broken(), target_file_size="64KB")
    assert place.data_files() == files
    place.holds(ROWS)


assert os.name == "posix", "these tests use POSIX limits and users"
