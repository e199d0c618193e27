"""A server that overwrites what it is asked not to overwrite would lose commits; it is found out before."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from services.clouds import Cloud, s3rver
from services.programs import MissingProgramError
from services.seaweedfs import S3

import lakeload as ll
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A real server that ignores `If-None-Match`."""
    try:
        found = s3rver(tmp_path_factory.mktemp("s3rver"))
    except MissingProgramError as missing:
        required = os.environ.get("LAKELOAD_REQUIRE_ALL") == "1"
        pytest.fail(str(missing)) if required else pytest.skip(str(missing))
    yield found
    found.program.stop()


def test_server_that_ignores_conditions_is_refused_before_anything_is_committed(bad: Cloud) -> None:
    for _ in range(2):  # also when it is asked again
        with pytest.raises(ll.errors.StorageError, match="ignores conditional puts"):
            ll.load([{"a": 1}], f"{bad.root}/x", table="t", storage_options=bad.storage_options)
    lake = ll.Lakehouse(f"{bad.root}/x", storage_options=bad.storage_options)
    assert lake.tables() == []
    assert lake.pipelines() == []


@pytest.mark.s3
def test_server_that_honours_conditions_keeps_what_was_created_first(s3: S3, s3_prefix: str) -> None:
    store = Store(s3_prefix, StorageOptions.read(s3.storage_options, remote=True))
    assert store.create("a", b"1")
    assert not store.create("a", b"1")  # the same bytes are not taken for our own
    assert not store.create("a", b"2")
    assert store.read("a") == b"1"
