"""Lakes on Google Cloud Storage, against an emulator: fake-gcs-server. Nothing here was run against the real service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from engines import cloudstore
from services.clouds import Cloud, fake_gcs
from services.programs import MissingProgramError

import lakeload as ll

pytestmark = pytest.mark.filterwarnings(
    "ignore:Iceberg scan planning",  # Polars recommends a plugin; planning by pyiceberg is what is tested
    "ignore:GCS project not set",  # pyiceberg names none; it is needed to make buckets only
)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The emulator, one for this file."""
    try:
        found = fake_gcs(tmp_path_factory.mktemp("gcs"))
    except MissingProgramError as missing:
        required = os.environ.get("LAKELOAD_REQUIRE_ALL") == "1"
        pytest.fail(str(missing)) if required else pytest.skip(str(missing))
    yield found
    found.program.stop()


def test_objects_are_created_once_read_listed_and_deleted(cloud: Cloud) -> None:
    cloudstore.check_objects(cloud)


def test_of_several_processes_putting_one_key_exactly_one_wins(cloud: Cloud) -> None:
    cloudstore.check_one_winner(cloud)


def test_lake_of_both_formats_is_read_by_engines_that_did_not_write_it(cloud: Cloud, tmp_path: Path) -> None:
    cloudstore.check_lake(cloud, tmp_path)


def test_files_on_the_store_are_a_source(cloud: Cloud) -> None:
    cloudstore.check_sources(cloud)


def test_missing_bucket_is_said_in_one_line(cloud: Cloud) -> None:
    elsewhere = cloud.root.replace("lake", "no-such-bucket", 1)
    with pytest.raises(ll.errors.StorageError, match="no such place"):
        ll.load([{"a": 1}], f"{elsewhere}/x", table="t", storage_options=cloud.storage_options)
