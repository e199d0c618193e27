"""What can be said of AWS Glue without asking it: addresses, entries, comments."""

from __future__ import annotations

import pytest

import lakeload as ll
from lakeload.catalogs.glue_client import Glue, comment, refreshed
from lakeload.storage_options import StorageOptions

NONE = StorageOptions()


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("glue://", "glue://"),
        ("glue:", "glue://"),
        ("glue:///", "glue://"),
        ("glue://123456789012", "glue://123456789012"),
        ("glue://?region=eu-north-1", "glue://?region=eu-north-1"),
        ("glue://123456789012?region=us-west-2&endpoint=http://h:1", "glue://123456789012?region=us-west-2"),
    ],
)
def test_address_is_read(uri: str, place: str) -> None:
    assert Glue(uri, NONE).place == place


@pytest.mark.parametrize(
    "uri",
    [
        "glue://account",
        "glue://12345",
        "glue://AKIA:secret@123456789012",
        "glue://123456789012/database",
        "glue://?regoin=eu-north-1",
        "glue://?endpoint=localhost:5000",
        "glue://?endpoint=http://me:secret@host",
        "glue://?aws_secret_access_key=secret",
    ],
)
def test_address_that_cannot_be_read_is_refused_without_showing_it(uri: str) -> None:
    with pytest.raises(ll.ConfigError) as caught:
        Glue(uri, NONE)
    assert "glue://123456789012" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_region_comes_from_the_address_before_the_storage_options() -> None:
    options = StorageOptions({"aws_region": "eu-west-1"})
    assert Glue("glue://", options).place == "glue://?region=eu-west-1"
    assert Glue("glue://?region=us-west-2", options).place == "glue://?region=us-west-2"


def test_update_repeats_what_glue_would_forget_and_leaves_out_what_it_refuses() -> None:
    found = {
        "Name": "t",
        "DatabaseName": "d",
        "CreateTime": 1,
        "VersionId": "3",
        "CatalogId": "1",
        "Description": "all about it",
        "Owner": "me",
        "Parameters": {"a": "1", "b": "2"},
        "StorageDescriptor": {"Location": "s3://old", "Compressed": False},
    }
    changes = {"Parameters": {"b": "3"}, "StorageDescriptor": {"Location": "s3://new"}, "PartitionKeys": []}
    assert refreshed(found, changes) == {
        "Name": "t",
        "Description": "all about it",
        "Owner": "me",
        "Parameters": {"a": "1", "b": "3"},
        "StorageDescriptor": {"Location": "s3://new", "Compressed": False},
        "PartitionKeys": [],
    }
    assert found["Parameters"] == {"a": "1", "b": "2"}


def test_comment_is_one_line_of_at_most_255_characters() -> None:
    assert comment("a\r\nb\tc") == "a b c"
    assert comment("ü" * 255) == "ü" * 255
    assert comment("ü" * 256) == "ü" * 254 + "…"
