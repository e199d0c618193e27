"""Who is let in by a REST server, and what a client is told that is not: on servers that really verify."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pyarrow as pa
import pytest
from conftest import started
from readers import pyiceberg_properties
from services.iceberg_rest import IcebergRest
from services.nessie import Nessie
from services.proxy import Proxy, Request
from services.seaweedfs import S3, RestCatalog
from services.tokens import CLIENT, SECRET, Tokens

import lakeload as ll

pytestmark = pytest.mark.s3


@pytest.fixture(scope="module")
def tokens() -> Iterator[Tokens]:
    with Tokens() as server:
        yield server


@pytest.fixture(scope="module")
def guarded(s3: S3, tokens: Tokens, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nessie]:
    """A Nessie that lets in who shows a token signed by `tokens` that has not expired."""
    settings = {
        "nessie.server.authentication.enabled": "true",
        "quarkus.oidc.public-key": tokens.public_key,
        "quarkus.oidc.token.issuer": "tests",
        # A token is refused the second it expires, not a minute later.
        "quarkus.oidc.token.lifespan-grace": "0",
    }
    with started(lambda: Nessie(tmp_path_factory.mktemp("guarded"), s3, **settings)) as server:
        yield server


def uri(server: Nessie, **query: str) -> str:
    return f"rest+{server.endpoint}?{urlencode({'warehouse': 'lake', **query})}"


def client(tokens: Tokens, secret: str = SECRET) -> dict[str, str]:
    return {"credential": f"{CLIENT}:{secret}", "oauth2-server-uri": tokens.url, "scope": "lakes"}


def lake(server: Nessie | IcebergRest, s3: S3, namespace: str, catalog: str) -> ll.Lakehouse:
    return ll.Lakehouse(
        server.warehouse,
        format="iceberg",
        catalog=catalog,
        storage_options=s3.storage_options,
        namespace=namespace,
    )


def test_client_credentials_are_exchanged_where_and_for_what_the_uri_says(
    guarded: Nessie, tokens: Tokens, s3: S3, rest_namespace: str
) -> None:
    there = lake(guarded, s3, rest_namespace, uri(guarded, **client(tokens)))
    ll.load([{"id": 1}], there, table="t")
    assert there.table("t").to_arrow(["id"]).num_rows == 1
    form = tokens.issued[-1]
    assert form["grant_type"] == ["client_credentials"]
    assert form["scope"] == ["lakes"]


def test_token_that_expires_in_the_middle_of_a_run_is_renewed(
    guarded: Nessie, tokens: Tokens, s3: S3, rest_namespace: str
) -> None:
    there = lake(guarded, s3, rest_namespace, uri(guarded, **client(tokens)))

    @ll.resource(name="t")
    def slow():
        yield [{"id": 1}]
        time.sleep(3.5)
        yield [{"id": 2}]

    tokens.seconds, before = 2.0, len(tokens.issued)
    try:
        ll.load([{"id": 0}], there, table="t")
        ll.Pipeline("slow", there).run(slow)
    finally:
        tokens.seconds = 3600.0
    assert sorted(there.table("t").to_arrow(["id"]).column("id").to_pylist()) == [0, 1, 2]
    assert len(tokens.issued) - before >= 3


def test_bearer_token_is_shown_as_it_is(guarded: Nessie, tokens: Tokens, s3: S3, rest_namespace: str) -> None:
    there = lake(guarded, s3, rest_namespace, uri(guarded, token=tokens.token()))
    ll.load([{"id": 1}], there, table="t")
    assert there.table("t").to_arrow(["id"]).num_rows == 1


@pytest.mark.parametrize("case", ["expired", "not a token", "none", "wrong secret", "no token server"])
def test_who_is_not_let_in_is_told_why_and_nothing_is_registered(
    guarded: Nessie, tokens: Tokens, s3: S3, rest_namespace: str, case: str
) -> None:
    queries = {
        "expired": ({"token": tokens.token(-5)}, "expired"),
        "not a token": ({"token": "nonsense-token"}, "token"),
        "none": ({}, "token"),
        "wrong secret": (client(tokens, "not-the-secret"), "credential"),
        "no token server": ({**client(tokens), "oauth2-server-uri": "http://127.0.0.1:9/token"}, "answer"),
    }
    query, word = queries[case]
    with pytest.raises(ll.CatalogError) as caught:
        ll.load([{"id": 1}], lake(guarded, s3, rest_namespace, uri(guarded, **query)), table="t")
    message = str(caught.value)
    assert word in message
    assert caught.value.hint
    assert caught.value.place in (guarded.endpoint, "http://127.0.0.1:9/token")
    for secret in (query.get("token", "-----"), "not-the-secret", SECRET):
        assert secret not in message
    known = lake(guarded, s3, rest_namespace, uri(guarded, token=tokens.token()))
    assert known.tables() == []


def test_wrong_secret_of_the_catalogs_own_token_endpoint_is_named(
    s3: S3, rest_catalog: RestCatalog, rest_namespace: str
) -> None:
    secret = rest_catalog.credential.partition(":")[2]
    wrong = rest_catalog.uri.replace(secret, "another-secret")
    there = ll.Lakehouse(
        rest_catalog.warehouse,
        format="iceberg",
        catalog=wrong,
        storage_options=s3.storage_options,
        namespace=rest_namespace,
    )
    with pytest.raises(ll.CatalogError) as caught:
        ll.load([{"id": 1}], there, table="t")
    assert "credential" in str(caught.value)
    assert "another-secret" not in str(caught.value)


def test_headers_of_the_uri_reach_the_server(nessie: Nessie, s3: S3, rest_namespace: str) -> None:
    with Proxy(nessie.endpoint) as proxy:
        there = lake(nessie, s3, rest_namespace, proxy.through(uri(nessie, **{"header.x-tenant": "north"})))
        ll.load([{"id": 1}], there, table="t")
        assert {one.headers.get("x-tenant") for one in proxy.requests} == {"north"}


@pytest.mark.parametrize("case", ["warehouse", "prefix", "no catalog", "no such path"])
def test_address_that_is_not_the_catalogs_is_named(
    nessie: Nessie, s3: S3, rest_namespace: str, case: str
) -> None:
    uris = {
        "warehouse": uri(nessie, warehouse="no-such"),
        "prefix": uri(nessie, prefix="no-such"),
        "no catalog": f"rest+{s3.endpoint}",
        "no such path": uri(nessie).replace("/iceberg", "/elsewhere"),
    }
    with pytest.raises(ll.CatalogError) as caught:
        ll.load([{"id": 1}], lake(nessie, s3, rest_namespace, uris[case]), table="t")
    assert caught.value.place
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_table_another_catalog_knows_is_not_taken_over(
    nessie: Nessie, iceberg_rest: IcebergRest, s3: S3, rest_namespace: str
) -> None:
    ll.load([{"id": 1}], lake(nessie, s3, rest_namespace, uri(nessie)), table="t")
    other = lake(nessie, s3, rest_namespace, iceberg_rest.uri)
    with pytest.raises(ll.TableError, match="t"):
        other.table("t").to_arrow()
    with pytest.raises(ll.TableError, match="the catalog does not know the table"):
        ll.load([{"id": 2}], other, table="t")
    assert other.catalogs.iceberg.list(rest_namespace) == []
    found = lake(nessie, s3, rest_namespace, uri(nessie)).table("t").to_arrow(["id"])
    assert found.column("id").to_pylist() == [1]


@pytest.fixture(scope="module")
def lending(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IcebergRest]:
    """Iceberg's own server, told to hand out the keys of its storage."""
    with started(lambda: IcebergRest(tmp_path_factory.mktemp("lending"), s3, lends=True)) as server:
        yield server


@pytest.fixture
def keyless(s3: S3) -> dict[str, str]:
    """Storage options that say where the storage is, and no key to it."""
    return {key: s3.storage_options[key] for key in ("aws_endpoint_url", "aws_region")}


@pytest.mark.parametrize("formats", ["iceberg", "both"])
def test_lake_without_a_key_of_its_own_uses_what_the_catalog_vends(
    lending: IcebergRest, keyless: dict[str, str], rest_namespace: str, formats: str
) -> None:
    there = ll.Lakehouse(
        lending.warehouse,
        format=formats,
        catalog=lending.uri,
        storage_options=keyless,
        namespace=rest_namespace,
    )
    for number in (1, 2):
        ll.Pipeline("p", there).run([{"id": number}], table="t")
    table = there.table("t")
    assert sorted(table.to_arrow(["id"]).column("id").to_pylist()) == [1, 2]
    assert table.to_polars().collect().height == 2
    assert there.tables() == ["t"]
    assert there.pipelines() == ["p"]
    assert "lakeload_journal" not in there.catalogs.iceberg.list(rest_namespace)


def test_keys_of_the_user_win_over_what_the_catalog_vends(
    lending: IcebergRest, s3: S3, rest_namespace: str
) -> None:
    there = ll.Lakehouse(
        lending.warehouse,
        format="iceberg",
        catalog=lending.uri,
        storage_options=s3.wrong_secret,
        namespace=rest_namespace,
    )
    with pytest.raises(ll.StorageError):
        ll.load([{"id": 1}], there, table="t")


def test_lent_keys_that_end_are_asked_for_again(lending: IcebergRest, s3: S3, rest_namespace: str) -> None:
    """No server at hand lends keys that end, so the proxy says of the server's that they do."""
    ll.load([{"id": 1}], lake(lending, s3, rest_namespace, lending.uri), table="t")
    with Proxy(lending.endpoint) as proxy:
        until: list[float] = []

        def ending(request: Request) -> tuple[int, bytes] | None:
            if not (request.method == "GET" and request.path.endswith("/tables/t")):
                return None
            status, body = proxy.ask(request)
            answer = json.loads(body)
            until.append(time.time() + 62)  # two seconds more than what is left for a request
            answer["config"]["s3.session-token-expires-at-ms"] = str(int(until[-1] * 1000))
            return status, json.dumps(answer).encode()

        proxy.answer = ending
        catalog = proxy.through(lending.uri) + "&access-delegation=vended-credentials"
        store = lake(lending, s3, rest_namespace, catalog).store("t")
        assert store.create("a", b"1")
        first = len(until)
        time.sleep(2.5)
        assert store.create("b", b"2")
        assert first >= 1
        assert len(until) > first


def test_requests_to_storage_are_signed_by_a_catalog_that_keeps_its_keys(
    nessie: Nessie, s3: S3, rest_namespace: str
) -> None:
    _made_by_others(nessie, s3, rest_namespace)
    with Proxy(nessie.endpoint) as proxy:
        catalog = proxy.through(nessie.uri) + "&access-delegation=remote-signing"
        there = lake(nessie, s3, rest_namespace, catalog)
        for number in (1, 2):
            ll.load([{"id": number}], there, table="t")
        signed = [one.json["method"] for one in proxy.requests if "/s3sign/" in one.path]
        assert sorted(there.table("t").to_arrow(["id"]).column("id").to_pylist()) == [1, 2]
    assert "PUT" in signed
    assert there.store("t").options.values.keys() == {"aws_region", "aws_endpoint_url"}
    with pytest.raises(ll.ConfigError, match="access-delegation=vended-credentials"):
        there.table("t").to_polars()


def test_new_table_is_refused_where_the_catalog_signs_for_another_place(
    nessie: Nessie, s3: S3, rest_namespace: str
) -> None:
    there = lake(nessie, s3, rest_namespace, nessie.uri + "&access-delegation=remote-signing")
    with pytest.raises(ll.CatalogError) as caught:
        ll.load([{"id": 1}], there, table="t")
    assert f"{nessie.warehouse}/{rest_namespace}/t" in str(caught.value)
    assert "access-delegation=none" in str(caught.value)
    assert there.tables() == []


def test_catalog_that_lends_nothing_is_named_when_there_are_no_keys(
    rest_catalog: RestCatalog, keyless: dict[str, str], rest_namespace: str
) -> None:
    there = ll.Lakehouse(
        rest_catalog.warehouse,
        format="iceberg",
        catalog=rest_catalog.uri,
        storage_options=keyless,
        namespace=rest_namespace,
    )
    with pytest.raises(ll.CatalogError) as caught:
        ll.load([{"id": 1}], there, table="t")
    assert "storage_options" in str(caught.value)
    assert there.tables() == []


def test_way_into_storage_nobody_knows_is_a_config_error(nessie: Nessie, s3: S3, rest_namespace: str) -> None:
    with pytest.raises(ll.ConfigError, match="vended-credentials"):
        ll.load(
            [{"id": 1}],
            lake(nessie, s3, rest_namespace, nessie.uri + "&access-delegation=please"),
            table="t",
        )


def _made_by_others(server: Nessie, s3: S3, namespace: str) -> None:
    from pyiceberg.catalog.rest import RestCatalog as LibraryCatalog

    library = LibraryCatalog(
        "other", uri=server.endpoint, warehouse="lake", **pyiceberg_properties(s3.storage_options)
    )
    library.create_namespace(namespace)
    library.create_table((namespace, "t"), pa.schema([("id", pa.int64())]))
