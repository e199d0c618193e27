"""Where the table suite runs: every format on every storage, through the public face.

On S3 a test takes tables of both formats at once, which goes through the storage code of each; one format alone is
for the nightly profile.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lakes import Place
from services.seaweedfs import S3

FORMATS = {"delta": ("delta",), "iceberg": ("iceberg",), "both": ("delta", "iceberg")}


NIGHTLY = os.environ.get("LAKELOAD_TEST_PROFILE") == "nightly"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave one format alone on S3 to the nightly profile."""
    if NIGHTLY:
        return
    left_out = [item for item in items if _one_format_on_s3(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def _one_format_on_s3(item: pytest.Item) -> bool:
    given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return given.get("where") == "s3" and given.get("formats") in ("delta", "iceberg")


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.s3)])
def where(request: pytest.FixtureRequest) -> str:
    """The storage."""
    return str(request.param)


@pytest.fixture(params=list(FORMATS))
def formats(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The format, or both."""
    return FORMATS[request.param]


@pytest.fixture
def place(request: pytest.FixtureRequest, formats: tuple[str, ...], where: str, tmp_path: Path) -> Place:
    """An empty lake of this format on this storage."""
    if where == "local":
        return Place(formats, str(tmp_path / "lake"))
    s3: S3 = request.getfixturevalue("s3")
    catalog = f"sqlite:///{tmp_path}/catalog.db" if "iceberg" in formats else None
    return Place(formats, request.getfixturevalue("s3_prefix"), s3.storage_options, catalog)


@pytest.fixture
def local_place(formats: tuple[str, ...], tmp_path: Path) -> Place:
    """An empty local lake: for long lists of cases in which storage plays no part."""
    return Place(formats, str(tmp_path / "lake"))
