"""Engines for the tests in this folder: each is started once per run, the first time a test asks for it.

Run them in one process, `pytest tests/engines -n 0`: Spark, Trino and the servers behind them are shared.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from engines import matrix as compatibility
from engines.enginelake import EngineLake, Engines
from services import jars
from services.java import NoJavaError
from services.postgres import Postgres
from services.seaweedfs import S3
from services.spark import Spark
from services.trino import Trino

_REQUIRED = os.environ.get("LAKELOAD_REQUIRE_ALL") == "1"
_PACKAGES = {
    "spark": "pyspark",
    "duckdb": "duckdb",
    "polars": "polars",
    "deltalake": "deltalake",
    "pyiceberg": "pyiceberg",
    "chdb": "chdb",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options for the page of results."""
    group = parser.getgroup("compatibility")
    group.addoption("--update-compatibility", action="store_true", help="the same, for the tests that run")
    group.addoption("--write-compatibility", action="store_true", help="write docs/compatibility.md anew")
    group.addoption(
        "--check-compatibility", action="store_true", help="fail when it is not this run's result"
    )


def pytest_configure(config: pytest.Config) -> None:
    """One process only."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        raise pytest.UsageError("the engines are shared: run pytest tests/engines -n 0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Clients of Spark (py4j) leave sockets to the garbage collector; that is not for us to fail on."""
    for item in items:
        if "engines" in item.path.parts:
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))


@pytest.fixture(scope="session")
def matrix() -> compatibility.Matrix:
    """Where tests write down what an engine could do."""
    return _MATRIX


_MATRIX = compatibility.Matrix()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write or compare the page, when asked to and when no claim of it failed."""
    options = session.config.option
    ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    asked = options.write_compatibility or options.update_compatibility or options.check_compatibility
    if not ended or _MATRIX.failed or not asked:
        return
    _MATRIX.versions |= {name: importlib.metadata.version(package) for name, package in _PACKAGES.items()}
    _MATRIX.versions |= {name: jars.version(name) for name in ("trino", "delta", "iceberg")}
    _MATRIX.versions["delta for spark"] = _MATRIX.versions.pop("delta")
    _MATRIX.versions["iceberg for spark"] = _MATRIX.versions.pop("iceberg")
    page = _MATRIX.page()
    if options.write_compatibility:
        compatibility.PAGE.write_text(page)
    elif options.update_compatibility:
        _MATRIX.add_page(compatibility.PAGE.read_text())
        compatibility.PAGE.write_text(_MATRIX.page())
    elif not compatibility.PAGE.exists() or compatibility.PAGE.read_text() != page:
        print("\ndocs/compatibility.md is not what these tests found; run them with --write-compatibility")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def spark(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    """A Spark session that knows the S3 server."""
    yield from _started(lambda: Spark(tmp_path_factory.mktemp("spark"), s3))


@pytest.fixture(scope="session")
def trino(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trino]:
    """A Trino server without catalogs."""
    yield from _started(lambda: Trino(tmp_path_factory.mktemp("trino")))


@pytest.fixture(scope="session")
def engines(s3: S3, postgres: Postgres, spark: Spark, trino: Trino) -> Engines:
    """Spark and Trino with catalogs for everything below the bucket of the S3 server."""
    found = Engines(s3, postgres, spark, trino)
    found.connect()
    return found


@pytest.fixture
def delta_lake(engines: Engines) -> EngineLake:
    """An empty lake of Delta tables."""
    return EngineLake.new(engines, ("delta",))


@pytest.fixture
def iceberg_lake(engines: Engines) -> EngineLake:
    """An empty lake of Iceberg tables."""
    return EngineLake.new(engines, ("iceberg",))


@pytest.fixture
def dual_lake(engines: Engines) -> EngineLake:
    """An empty lake of tables in both formats."""
    return EngineLake.new(engines, ("delta", "iceberg"))


def _started(make: Callable[[], Any]) -> Iterator[Any]:
    server = make()
    try:
        server.start()
    except NoJavaError as missing:
        pytest.fail(str(missing)) if _REQUIRED else pytest.skip(str(missing))
    try:
        yield server
    finally:
        server.stop()
