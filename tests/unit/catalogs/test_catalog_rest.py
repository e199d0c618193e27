"""The REST catalog against a real server; failures of the network come from a proxy in between."""

from __future__ import annotations

import datetime as dt
import http.server
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from handmade import columns, data_file
from services.seaweedfs import S3, SeaweedFS
from services.seaweedfs import RestCatalog as Server

from lakeload.catalogs.rest import RestCatalog
from lakeload.errors import CatalogError, ConfigError
from lakeload.formats.iceberg import IcebergTable
from lakeload.model.changes import (
    AlreadyApplied,
    Changeset,
    Committed,
    Conflict,
    Creation,
    RemoveAll,
    RemoveFiles,
    SchemaChange,
    Token,
)
from lakeload.model.layout import Layout
from lakeload.model.schema import apply_changes
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

pytestmark = pytest.mark.s3

SCHEMA = columns(id=pa.int64(), sub=pa.struct([("x", pa.int32())]), day=pa.date32())
DAY = dt.date(2024, 1, 1)


@pytest.fixture(scope="session")
def s3(seaweedfs: SeaweedFS) -> S3:
    """The storage of the REST catalog, whatever server the other tests use."""
    return seaweedfs.s3


def catalog(
    server: Server, s3: S3, *, endpoint: str | None = None, credential: str | None = None
) -> RestCatalog:
    options = StorageOptions.read(s3.storage_options, remote=True)
    uri = f"rest+{endpoint or server.endpoint}?warehouse={server.warehouse}&credential={credential or server.credential}"
    return RestCatalog(uri, "unused", options, now=lambda: dt.datetime.now(dt.UTC))


def opened(found: RestCatalog, server: Server, namespace: str) -> IcebergTable:
    """A handle that has looked for its table, as every load does before it writes a file."""
    table = found.open(namespace, "t", f"{server.warehouse}/{namespace}/t")
    table.load()
    return table


def append(
    table: IcebergTable, s3: S3, *ids: int, token: Token | None = None, creation: bool = False
) -> Changeset:
    store = Store(table.location, StorageOptions.read(s3.storage_options, remote=True))
    file = data_file(store, SCHEMA, [{"id": i, "sub": {"x": i}, "day": DAY} for i in ids], (DAY,))
    create = Creation(Layout.parse("day(day)", "id")) if creation else None
    return Changeset("L", "append", SCHEMA, (file,), create=create, token=token)


def rows(table: IcebergTable) -> list[int]:
    state = table.load()
    assert state is not None
    return sorted(table.scan(state, ["id"]).read_all()["id"].to_pylist())


def test_a_table_lives_through_creation_appends_evolution_and_overwrite(
    rest_catalog: Server, s3: S3, rest_namespace: str
) -> None:
    found = catalog(rest_catalog, s3)
    assert found.list(rest_namespace) == []
    table = opened(found, rest_catalog, rest_namespace)
    assert table.load() is None
    assert isinstance(table.commit(append(table, s3, 1, token=Token("p", 1), creation=True), None), Committed)
    state = table.load()
    assert state is not None
    assert state.schema.equals(SCHEMA, check_metadata=True), "our field ids, not the server's"
    assert (state.sequences, state.layout) == ({"p": 1}, Layout.parse("day(day)", "id"))
    assert [file.partition for file in table.files(state)] == [(DAY,)]
    assert all(file.current for file in table.files(state))
    assert table.commit(append(table, s3, 1, token=Token("p", 1)), state) == AlreadyApplied(state.version)

    change = SchemaChange("add", ("sub", "y"), None, pa.string())
    wide, _ = apply_changes(state.schema, state.last_column_id, [change])
    result = table.commit(
        Changeset("L", "append", wide, schema_changes=(change,), token=Token("p", 2)), state
    )
    assert result == Committed(state.version)
    evolved = table.load()
    assert evolved is not None
    assert evolved.schema.equals(wide, check_metadata=True)
    assert evolved.sequences == {"p": 2}
    assert isinstance(table.commit(append(table, s3, 3), state), Conflict)

    replaced = Changeset("L", "overwrite", wide, append(table, s3, 9).add, RemoveAll(), token=Token("p", 3))
    assert isinstance(table.commit(replaced, evolved), Committed)
    assert rows(table) == [9]
    assert table.lazy(table.load()).collect()["id"].to_list() == [9]
    assert [version.operation for version in table.history()] == ["overwrite", "append"]
    assert found.list(rest_namespace) == ["t"]
    found.drop(rest_namespace, "t")
    assert found.list(rest_namespace) == []
    with pytest.raises(CatalogError, match="no such table"):
        found.drop(rest_namespace, "t")


def test_a_rewrite_is_marked_as_one(rest_catalog: Server, s3: S3, rest_namespace: str) -> None:
    table = opened(catalog(rest_catalog, s3), rest_catalog, rest_namespace)
    table.commit(append(table, s3, 1, creation=True), table.load())
    table.commit(append(table, s3, 2), table.load())
    state = table.load()
    assert state is not None
    paths = frozenset(file.path for file in table.files(state))
    folded = Changeset("fold", "replace", SCHEMA, append(table, s3, 1, 2).add, RemoveFiles(paths))
    assert isinstance(table.commit(folded, state), Committed)
    assert rows(table) == [1, 2]
    assert table.history()[0].operation == "replace"


def test_the_slower_of_two_writers_conflicts(rest_catalog: Server, s3: S3, rest_namespace: str) -> None:
    table = opened(catalog(rest_catalog, s3), rest_catalog, rest_namespace)
    other = opened(catalog(rest_catalog, s3), rest_catalog, rest_namespace)
    assert other.load() is None
    assert isinstance(table.commit(append(table, s3, 1, creation=True), None), Committed)
    assert isinstance(other.commit(append(other, s3, 2, creation=True), None), Conflict)
    base = other.load()
    assert isinstance(table.commit(append(table, s3, 3), table.load()), Committed)
    assert isinstance(other.commit(append(other, s3, 4), base), Conflict)
    assert rows(table) == [1, 3]


def test_wrong_credentials_are_told_without_showing_them(rest_catalog: Server, s3: S3) -> None:
    found = catalog(rest_catalog, s3, credential="lakeadmin:very-hidden")
    with pytest.raises(CatalogError, match="refused the credentials") as caught:
        found.list("ns")
    for text in (repr(found), str(caught.value)):
        assert "very-hidden" not in text
        assert "\n" not in text


def test_a_server_that_is_not_there_is_told() -> None:
    found = RestCatalog(
        "rest+http://127.0.0.1:1?token=hidden", "w", StorageOptions(), now=lambda: dt.datetime.now(dt.UTC)
    )
    with pytest.raises(CatalogError, match=r"did not answer.*127\.0\.0\.1:1") as caught:
        found.list("ns")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("uri", ["rest+ftp://host", "rest+http://", "rest+https://user:hidden@host/x"])
def test_a_uri_that_cannot_be_read_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        RestCatalog(uri, "w", StorageOptions(), now=lambda: dt.datetime.now(dt.UTC))
    assert "hidden" not in str(caught.value)


class Proxy(http.server.ThreadingHTTPServer):
    """Passes requests on; `commit` says what happens to commits of tables."""

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.commit = "pass"
        self.before: Callable[[], None] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Proxy

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
        fate = self.server.commit if self.command == "POST" and "/tables/" in self.path else "pass"
        if fate != "lost request":
            status, answer = self._forward(body)
        if fate == "pass":
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        elif fate == "server error":
            self.send_response(502)
            self.send_header("Content-Length", "0")
            self.end_headers()
        self.close_connection = True  # a lost request or answer: the connection just ends

    do_GET = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815 - names the base class looks for

    def _forward(self, body: bytes | None) -> tuple[int, bytes]:
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() in ("authorization", "content-type")
        }
        request = urllib.request.Request(self.server.target + self.path, body, headers, method=self.command)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def log_message(self, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def proxy(rest_catalog: Server) -> Iterator[Proxy]:
    with Proxy(rest_catalog.endpoint) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("fate", ["lost answer", "server error"])
def test_a_commit_whose_answer_is_lost_is_recognised_as_landed(
    rest_catalog: Server, s3: S3, rest_namespace: str, proxy: Proxy, fate: str
) -> None:
    table = opened(catalog(rest_catalog, s3, endpoint=proxy.endpoint), rest_catalog, rest_namespace)
    proxy.commit = fate
    assert isinstance(
        table.commit(append(table, s3, 1, creation=True, token=Token("p", 1)), table.load()), Committed
    )
    result = table.commit(append(table, s3, 2, token=Token("p", 2)), table.load())
    state = table.load()
    assert state is not None
    assert result == Committed(state.version)
    assert rows(table) == [1, 2]
    assert len(table.history()) == 2
    assert state.sequences == {"p": 2}


def test_a_commit_that_never_arrived_is_an_error_and_publishes_nothing(
    rest_catalog: Server, s3: S3, rest_namespace: str, proxy: Proxy
) -> None:
    table = opened(catalog(rest_catalog, s3, endpoint=proxy.endpoint), rest_catalog, rest_namespace)
    table.commit(append(table, s3, 1, creation=True), table.load())
    base = table.load()
    proxy.commit = "lost request"
    with pytest.raises(CatalogError, match="did not answer"):
        table.commit(append(table, s3, 2), base)
    proxy.commit = "pass"
    assert rows(table) == [1]
    assert isinstance(table.commit(append(table, s3, 2), base), Committed)
