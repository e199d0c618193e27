"""What lakeload and a REST server owe each other, on independent servers: loads of several tables at one moment,
places of tables, tokens that expire, and refusals that say the way out."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
import pytest
from readers import pyiceberg_properties
from services.iceberg_rest import IcebergRest
from services.nessie import Nessie
from services.proxy import Proxy, Request
from services.seaweedfs import S3

import lakeload as ll

pytestmark = pytest.mark.s3

SERVERS = ["nessie", "iceberg_rest"]


@dataclass(frozen=True)
class Served:
    """A lake of a namespace of its own on one server."""

    uri: str
    root: str
    namespace: str
    s3: S3

    def lake(self, **given: Any) -> ll.Lakehouse:
        options: dict[str, Any] = {
            "format": "iceberg",
            "catalog": self.uri,
            "storage_options": self.s3.storage_options,
            "namespace": self.namespace,
        }
        return ll.Lakehouse(self.root, **(options | given))

    def library(self) -> Any:
        """pyiceberg's own connection: another program that uses the catalog."""
        from pyiceberg.catalog.rest import RestCatalog

        given = dict(parse_qsl(urlsplit(self.uri).query))
        given["oauth2-server-uri"] = f"{endpoint(self)}/v1/oauth/tokens"
        return RestCatalog(
            "other", uri=endpoint(self), **given, **pyiceberg_properties(self.s3.storage_options)
        )

    def names(self) -> list[str]:
        """What the catalog knows."""
        return sorted(name for _, name in self.library().list_tables(self.namespace))

    def ids(self, table: str) -> list[int]:
        return sorted(self.lake().table(table).to_arrow(["id"]).column("id").to_pylist())


@pytest.fixture(params=SERVERS)
def served(request: pytest.FixtureRequest, s3: S3, rest_namespace: str) -> Served:
    server = request.getfixturevalue(request.param)
    return Served(server.uri, server.warehouse, rest_namespace, s3)


def pipeline(lake: ll.Lakehouse, **tables: Any) -> ll.RunReport:
    return ll.Pipeline("both", lake).run(
        [ll.resource(lambda rows=rows: rows, name=name) for name, rows in tables.items()]
    )


def behind(served: Served, proxy: Proxy) -> Served:
    return Served(proxy.through(served.uri), served.root, served.namespace, served.s3)


def endpoint(served: Served) -> str:
    return served.uri.removeprefix("rest+").split("?")[0]


def test_load_of_several_tables_is_one_request(served: Served) -> None:
    pipeline(served.lake(), a=[{"id": 1}], b=[{"id": 10}], c=[{"id": 100}])
    with Proxy(endpoint(served)) as proxy:
        pipeline(behind(served, proxy).lake(), a=[{"id": 2}], b=[{"id": 20}], c=[{"id": 200}])
        commits = [one.path for one in proxy.requests if one.is_commit()]
    assert len(commits) == 1
    assert commits[0].endswith("transactions/commit")
    assert (served.ids("a"), served.ids("b"), served.ids("c")) == ([1, 2], [10, 20], [100, 200])


def test_load_of_one_table_is_the_request_for_one_table(served: Served) -> None:
    with Proxy(endpoint(served)) as proxy:
        pipeline(behind(served, proxy).lake(), a=[{"id": 1}])
        assert proxy.count("POST", "transactions/commit") == 0
    assert served.ids("a") == [1]


def test_tables_of_a_refused_load_are_all_as_they_were(served: Served) -> None:
    pipeline(served.lake(), a=[{"id": 1}], b=[{"id": 2}])
    with Proxy(endpoint(served)) as proxy:
        asked: list[str] = []

        def drop(request: Request) -> None:
            if not asked and request.path.endswith("transactions/commit"):
                asked.append(request.path)
                served.library().drop_table((served.namespace, "b"))

        proxy.before = drop
        with pytest.raises(ll.ConflictError) as caught:
            pipeline(behind(served, proxy).lake(), a=[{"id": 3}], b=[{"id": 4}])
    assert asked
    assert caught.value.table == "b"
    assert served.ids("a") == [1]
    assert served.names() == ["a"]
    pipeline(served.lake(), a=[{"id": 5}])
    assert served.ids("a") == [1, 5]


def test_writer_that_gets_in_first_delays_the_whole_load_and_nobody_loses_rows(served: Served) -> None:
    pipeline(served.lake(), a=[{"id": 1}], b=[{"id": 2}])
    with Proxy(endpoint(served)) as proxy:
        there = behind(served, proxy)
        seen: list[list[int]] = []

        def append(request: Request) -> None:
            if request.path.endswith("transactions/commit"):
                if not seen:
                    other = served.library().load_table((served.namespace, "b"))
                    other.append(pa.table({"id": [20]}))
                seen.append(served.ids("a"))

        proxy.before = append
        pipeline(there.lake(), a=[{"id": 3}], b=[{"id": 4}])
    assert seen == [[1], [1]]  # the first request was refused as a whole
    assert (served.ids("a"), served.ids("b")) == ([1, 3], [2, 4, 20])


def test_lost_answer_of_a_load_of_several_tables_is_found_out(served: Served) -> None:
    with Proxy(endpoint(served)) as proxy:
        lost: list[str] = []
        proxy.swallow = lambda one: one.is_commit() and not lost and not lost.append(one.path)  # type: ignore[func-returns-value]
        report = pipeline(behind(served, proxy).lake(), a=[{"id": 1}], b=[{"id": 2}])
        assert len(lost) == 1
    assert report.recovered is None
    assert (served.ids("a"), served.ids("b")) == ([1], [2])
    again = pipeline(served.lake(), a=[{"id": 3}], b=[{"id": 4}])
    assert again.recovered is None
    assert (served.ids("a"), served.ids("b")) == ([1, 3], [2, 4])


def made_elsewhere(served: Served, name: str) -> str:
    """A table another program made where it wanted; its place."""
    library = served.library()
    library.create_namespace_if_not_exists(served.namespace)
    place = f"{served.root}/elsewhere/{served.namespace}/{name}"
    # Nessie takes no wish: it makes a place of its own.
    return str(
        library.create_table((served.namespace, name), pa.schema([("id", pa.int64())]), place).location()
    )


def test_table_that_lies_elsewhere_is_loaded_into_where_it_lies(served: Served) -> None:
    place = made_elsewhere(served, "t")
    for number in (1, 2):
        ll.load([{"id": number}], served.lake(), table="t")
    table = served.lake().table("t")
    assert table.location == place
    assert served.ids("t") == [1, 2]
    found = served.library().load_table((served.namespace, "t")).scan().to_arrow()
    assert sorted(found.column("id").to_pylist()) == [1, 2]


def test_both_formats_of_a_table_at_two_places_are_refused_by_name(served: Served) -> None:
    place = made_elsewhere(served, "t")
    with pytest.raises(ll.TableError) as caught:
        ll.load([{"id": 1}], served.lake(format="both"), table="t")
    assert place in str(caught.value)
    assert served.names() == ["t"]
    assert "t" not in served.lake(format="delta", catalog=None).tables()


@pytest.mark.parametrize("missing", ["delta", "iceberg"])
def test_table_that_lacks_one_of_two_formats_is_refused_by_name(served: Served, missing: str) -> None:
    there = "delta" if missing == "iceberg" else "iceberg"
    ll.load([{"id": 1}], served.lake(format=there), table="t")
    with pytest.raises(ll.TableError) as caught:
        ll.load([{"id": 2}], served.lake(format="both"), table="t")
    assert there in str(caught.value)
    assert served.lake(format=there).table("t").to_arrow(["id"]).column("id").to_pylist() == [1]
    assert served.names() == (["t"] if there == "iceberg" else [])


def test_iceberg_entry_that_was_dropped_is_missed_by_name_and_registered_again(served: Served) -> None:
    ll.load([{"id": 1}], served.lake(format="both"), table="t")
    served.library().drop_table((served.namespace, "t"))
    with pytest.raises(ll.TableError) as caught:
        ll.load([{"id": 2}], served.lake(format="both"), table="t")
    assert "not known as iceberg" in str(caught.value)
    assert "lakeload register" in str(caught.value)
    assert served.names() == []
    assert served.lake(format="both").register("t") == ("iceberg",)
    ll.load([{"id": 2}], served.lake(format="both"), table="t")
    assert served.ids("t") == [1, 2]


def test_server_that_creates_the_table_elsewhere_is_refused_and_the_table_taken_back(
    nessie: Nessie, s3: S3, rest_namespace: str
) -> None:
    """No server at hand insists on a place of its own; Nessie chooses one when it hears of no other."""
    served = Served(nessie.uri, nessie.warehouse, rest_namespace, s3)

    def without_place(request: Request) -> tuple[int, bytes] | None:
        if b'"set-location"' not in request.body:
            return None
        body = request.json
        body["updates"] = [one for one in body["updates"] if one["action"] != "set-location"]
        return proxy.ask(replace(request, body=json.dumps(body).encode()))

    with Proxy(nessie.endpoint, answer=without_place) as proxy, pytest.raises(ll.TableError) as caught:
        ll.load([{"id": 1}], behind(served, proxy).lake(), table="t")
    assert f"not at {nessie.warehouse}/{rest_namespace}/t (" in str(caught.value)
    assert f"{nessie.warehouse}/{rest_namespace}/t_" in str(caught.value)
    assert served.names() == []
    ll.load([{"id": 2}], served.lake(), table="t")  # the load that was refused holds nothing up
    assert served.ids("t") == [2]


def test_request_the_server_says_it_does_not_have_is_named(
    iceberg_rest: IcebergRest, s3: S3, rest_namespace: str
) -> None:
    """The server has them all; the proxy leaves some out of what it says."""
    served = Served(iceberg_rest.uri, iceberg_rest.warehouse, rest_namespace, s3)

    def less(request: Request) -> tuple[int, bytes] | None:
        if not request.path.endswith("/v1/config"):
            return None
        status, body = proxy.ask(request)
        said = json.loads(body)
        said["endpoints"] = [
            one for one in said["endpoints"] if not one.endswith(("/register", "/transactions/commit"))
        ]
        return status, json.dumps(said).encode()

    with Proxy(iceberg_rest.endpoint, answer=less) as proxy:
        there = behind(served, proxy)
        pipeline(there.lake(), a=[{"id": 1}], b=[{"id": 2}])
        assert proxy.count("POST", "/transactions/commit") == 0
        served.library().drop_table((rest_namespace, "a"))
        with pytest.raises(ll.CatalogError, match="the server cannot do this") as caught:
            there.lake().register("a")
    assert "register" in str(caught.value)
    assert served.names() == ["b"]


def test_writers_of_several_tables_at_once_lose_no_row_and_double_none(served: Served) -> None:
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            for number in range(4):
                rows = [{"id": 10 * writer + number}]
                resources = [ll.resource(lambda rows=rows: rows, name=name) for name in ("a", "b")]
                ll.Pipeline(f"w{writer}", served.lake()).run(resources)
        except BaseException as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert not failures
    expected = sorted(10 * writer + number for writer in range(3) for number in range(4))
    assert (served.ids("a"), served.ids("b")) == (expected, expected)


def test_name_of_a_view_is_refused_before_anything_is_written(served: Served) -> None:
    from pyiceberg.view.metadata import SQLViewRepresentation, ViewVersion

    lake, library = served.lake(), served.library()
    library.create_namespace(served.namespace)
    library.create_view(
        (served.namespace, "t"),
        pa.schema([("id", pa.int64())]),
        ViewVersion(
            version_id=1,
            schema_id=0,
            timestamp_ms=1_700_000_000_000,
            summary={},
            representations=[SQLViewRepresentation(type="sql", sql="SELECT 1 AS id", dialect="trino")],
            default_namespace=[served.namespace],
        ),
    )
    with pytest.raises(ll.TableError, match="the name belongs to a view"):
        ll.load([{"id": 1}], lake, table="t")
    assert lake.store("t").names("data") == []
    assert lake.journal("load_t").last == 0
