"""What a REST server lends for a table's storage, from its answers: no server, so the answers are written here."""

import datetime as dt
import pickle

import pytest

from lakeload.catalogs.rest_access import TableLender
from lakeload.catalogs.rest_server import Server
from lakeload.errors import CatalogError, ConfigError
from lakeload.storage_options import StorageOptions

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
KEYS = {"s3.access-key-id": "id", "s3.secret-access-key": "secret", "s3.session-token": "token"}


def now():
    return NOW


def lender(query="", **options):
    server = Server(f"rest+http://127.0.0.1:9?warehouse=w{query}", "s3://b/lake", StorageOptions(options))
    return TableLender(server, ("n", "t"), "s3://b/lake/n/t", now)


def test_keys_and_places_are_taken_from_the_answer():
    found = lender()
    found.learn({"config": {**KEYS, "client.region": "eu-west-1", "s3.endpoint": "http://store"}})
    loan = found.lend()
    assert loan.values == {
        "aws_access_key_id": "id",
        "aws_secret_access_key": "secret",
        "aws_session_token": "token",
        "aws_region": "eu-west-1",
        "aws_endpoint_url": "http://store",
    }
    assert loan.until is None
    assert not loan.signs
    assert "secret" not in repr(loan)


def test_credential_for_the_longest_prefix_of_the_table_wins_over_the_config():
    def keys(name):
        return {"s3.access-key-id": name, "s3.secret-access-key": name}

    found = lender()
    lent = [
        {"prefix": "s3", "config": keys("all")},
        {"prefix": "s3://b/lake/n/t", "config": keys("table")},
        {"prefix": "s3://b/lake/n/other-table", "config": keys("other")},
    ]
    found.learn({"config": keys("config"), "storage-credentials": lent})
    assert found.lend().values["aws_access_key_id"] == "table"


def test_endpoint_of_the_user_wins_over_the_servers():
    found = lender(aws_endpoint_url="http://outside")
    found.learn({"config": {**KEYS, "s3.endpoint": "http://inside"}})
    assert found.lend().values["aws_endpoint_url"] == "http://outside"


def test_keys_that_are_about_to_end_are_not_used_any_more():
    found = lender()
    end = int((NOW.timestamp() + 61) * 1000)
    found.learn({"config": {**KEYS, "s3.session-token-expires-at-ms": str(end)}})
    assert found.lend().until == NOW.timestamp() + 61
    found.learn({"config": {**KEYS, "s3.session-token-expires-at-ms": str(end - 2000)}})
    with pytest.raises(CatalogError, match="did not answer"):
        found.lend()  # asks the server, which is not there


def test_signatures_are_lent_where_there_are_no_keys():
    found = lender()
    found.learn({"config": {"s3.remote-signing-enabled": "true"}})
    assert found.lend().signs
    options = StorageOptions({}, found)
    with pytest.raises(ConfigError, match="vended-credentials"):
        options.for_object_store("s3://b/lake")


def test_server_that_lends_nothing_is_named():
    found = lender()
    found.learn({"config": {}})
    with pytest.raises(CatalogError, match="storage_options"):
        found.lend()


def test_lender_travels_without_its_connection():
    found = lender()
    found.learn({"config": KEYS})
    again = pickle.loads(pickle.dumps(StorageOptions({"aws_region": "x"}, found)))
    assert again.values == {"aws_region": "x"}
    assert isinstance(again.lender, TableLender)


@pytest.mark.parametrize(
    ("query", "options", "asked"),
    [
        ("", {}, "vended-credentials,remote-signing"),
        ("", {"aws_access_key_id": "id"}, None),
        ("", {"aws_skip_signature": "true"}, None),
        ("&access-delegation=none", {}, None),
        ("&access-delegation=remote-signing", {"aws_access_key_id": "id"}, "remote-signing"),
    ],
)
def test_server_is_asked_in_when_there_is_no_key_or_the_uri_says_so(query, options, asked):
    assert lender(query, **options)._server.delegation == asked
