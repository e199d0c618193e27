"""One behaviour for every catalog: SQLite beside the lake, Iceberg REST servers, AWS Glue, Hive Metastore.

Glue is a mock here (moto), unless the settings in `tests/README.md` name AWS's own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from readers import assert_same_rows, connect, read_iceberg
from services.hive import Hive
from services.iceberg_rest import IcebergRest
from services.moto import Glue
from services.nessie import Nessie
from services.postgres import Postgres
from services.seaweedfs import S3, RestCatalog, SeaweedFS

import lakeload as ll
from lakeload import registry
from lakeload.model.changes import Changeset, Committed, Conflict, Creation, RemoveAll
from lakeload.model.layout import Layout
from lakeload.model.protocols import Catalog
from lakeload.model.schema import assign_ids
from lakeload.storage_options import StorageOptions

ROWS = pa.table({"id": [1, 2, 3]})


@pytest.fixture(scope="session")
def s3(seaweedfs: SeaweedFS) -> S3:
    """The storage of the REST catalog, whatever server the other tests use."""
    return seaweedfs.s3


@dataclass(frozen=True)
class Register:
    """A catalog under test: its address, and the root of the lake it keeps names for."""

    uri: str
    root: str
    namespace: str
    storage: dict[str, str] | None

    def catalog(self) -> Catalog:
        """A connection of its own."""
        options = StorageOptions.read(self.storage, remote="://" in self.root)
        return registry.catalog_factory(self.uri)(
            self.uri, self.root, options, now=lambda: dt.datetime.now(dt.UTC)
        )

    def lake(self, **given: object) -> ll.Lakehouse:
        """The lake over this catalog."""
        options = {
            "format": "iceberg",
            "catalog": {"iceberg": self.uri},
            "storage_options": self.storage,
            "namespace": self.namespace,
        }
        return ll.Lakehouse(self.root, **(options | given))

    @property
    def readers_storage(self) -> dict[str, str] | None:
        """What a reader of the files needs: nothing when they are local."""
        return self.storage if "://" in self.root else None

    def open(self, name: str = "t"):
        """The table behind a name, by a connection of its own."""
        return self.catalog().open(self.namespace, name, f"{self.root}/{self.namespace}/{name}")


@pytest.fixture(
    params=[
        "sqlite",
        "postgres",
        pytest.param("sqlite for S3", marks=pytest.mark.s3),
        pytest.param("rest", marks=pytest.mark.s3),
        pytest.param("nessie", marks=pytest.mark.s3),
        pytest.param("iceberg_rest", marks=pytest.mark.s3),
        "glue",
        pytest.param("glue for S3", marks=pytest.mark.s3),
        pytest.param("hive", marks=pytest.mark.s3),
        pytest.param("hive for S3", marks=pytest.mark.s3),
    ]
)
def register(request: pytest.FixtureRequest, tmp_path: Path, rest_namespace: str) -> Register:
    if request.param == "sqlite":
        return Register(f"sqlite:///{tmp_path}/catalog.db", str(tmp_path / "lake"), "default", None)
    if request.param.startswith("glue"):
        return _glue(request, tmp_path, rest_namespace)
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        return Register(server.database(rest_namespace), str(tmp_path / "lake"), "default", None)
    s3: S3 = request.getfixturevalue("s3")
    if request.param == "sqlite for S3":
        return Register(
            f"sqlite:///{tmp_path}/catalog.db",
            request.getfixturevalue("s3_prefix"),
            "default",
            s3.storage_options,
        )
    if request.param.startswith("hive"):
        hive: Hive = request.getfixturevalue("hive")
        if request.param == "hive":
            return Register(hive.uri, str(tmp_path / "lake"), rest_namespace, None)
        return Register(hive.uri, request.getfixturevalue("s3_prefix"), rest_namespace, s3.storage_options)
    if request.param in ("nessie", "iceberg_rest"):
        other: Nessie | IcebergRest = request.getfixturevalue(request.param)
        return Register(other.uri, other.warehouse, rest_namespace, s3.storage_options)
    rest: RestCatalog = request.getfixturevalue("rest_catalog")
    return Register(rest.uri, rest.warehouse, rest_namespace, s3.storage_options)


def _glue(request: pytest.FixtureRequest, tmp_path: Path, namespace: str) -> Register:
    glue: Glue = request.getfixturevalue("glue")
    if glue.warehouse is not None:
        return Register(glue.uri, f"{glue.warehouse}/{namespace}", namespace, glue.storage)
    if request.param == "glue":
        return Register(glue.uri, str(tmp_path / "lake"), namespace, glue.storage)
    s3: S3 = request.getfixturevalue("s3")
    return Register(glue.uri, request.getfixturevalue("s3_prefix"), namespace, s3.storage_options)


def creation() -> Changeset:
    schema, _ = assign_ids(ROWS.schema)
    return Changeset(load_id="one", operation="append", schema=schema, create=Creation(Layout()))


def test_namespace_that_does_not_exist_has_no_tables(register: Register) -> None:
    assert list(register.catalog().list(register.namespace)) == []


def test_table_that_does_not_exist_can_be_opened_and_is_not_there(register: Register) -> None:
    assert register.open().load() is None
    assert list(register.catalog().list(register.namespace)) == []


def test_created_table_is_seen_by_other_connections(register: Register) -> None:
    assert isinstance(register.open().commit(creation(), None), Committed)
    state = register.open().load()
    assert state is not None
    assert state.schema.names == ["id"]
    assert list(register.catalog().list(register.namespace)) == ["t"]


def test_table_is_created_once(register: Register) -> None:
    first, second = register.open(), register.open()
    assert isinstance(first.commit(creation(), None), Committed)
    assert isinstance(second.commit(creation(), None), Conflict)


def test_commit_on_a_version_that_is_not_the_newest_is_a_conflict(register: Register) -> None:
    ll.load(ROWS, register.lake(), table="t")
    table = register.open()
    old = table.load()
    ll.load(ROWS, register.lake(), table="t", fold=False)
    assert old is not None
    stale = Changeset(load_id="late", operation="overwrite", schema=old.schema, remove=RemoveAll())
    assert isinstance(table.commit(stale, old), Conflict)
    state = register.open().load()
    assert state is not None
    assert sum(file.rows or 0 for file in register.open().files(state)) == 6


def test_names_are_listed_sorted_and_by_namespace(register: Register) -> None:
    for name in ("beta", "alpha"):
        ll.load(ROWS, register.lake(), table=name)
    assert list(register.catalog().list(register.namespace)) == ["alpha", "beta"]
    assert register.lake().tables() == ["alpha", "beta"]
    assert list(register.catalog().list(f"{register.namespace}x")) == []


def test_dropped_table_is_forgotten_and_its_files_stay(register: Register) -> None:
    ll.load(ROWS, register.lake(), table="t")
    table = register.open()
    state = table.load()
    assert state is not None
    store = register.lake().store("t")
    paths = [file.path for file in table.files(state)]
    register.catalog().drop(register.namespace, "t")
    assert list(register.catalog().list(register.namespace)) == []
    assert register.open().load() is None
    if "rest" not in register.uri:  # a server may clean up after itself; SeaweedFS does
        assert all(store.read(path) for path in paths)


def test_drop_of_a_table_that_does_not_exist_is_an_error_that_names_it(register: Register) -> None:
    ll.load(ROWS, register.lake(), table="t")
    with pytest.raises(ll.CatalogError) as caught:
        register.catalog().drop(register.namespace, "nowhere")
    assert "nowhere" in str(caught.value)


def test_loaded_rows_are_read_by_engines_that_did_not_write_them(register: Register) -> None:
    ll.load(ROWS, register.lake(), table="t")
    ll.load(pa.table({"id": [4], "extra": ["x"]}), register.lake(), table="t")
    expected = pa.table({"id": [1, 2, 3, 4], "extra": [None, None, None, "x"]})
    assert_same_rows(register.lake().table("t").to_arrow(), expected)
    location = _metadata_location(register)
    for engine in ("duckdb", "polars", "pyiceberg"):
        assert_same_rows(read_iceberg(location, register.readers_storage, engine=engine), expected)


def _metadata_location(register: Register) -> str:
    state = register.open().load()
    assert state is not None
    return str(state.handle.location)


@pytest.mark.parametrize("formats", ["iceberg", "both"])
def test_many_small_loads_go_through(register: Register, formats: str) -> None:
    lake = register.lake(format=formats)
    for number in range(10):
        ll.load([{"id": number}], lake, table="t")
    found = register.lake(format=formats).table("t").to_arrow().column("id").to_pylist()
    assert sorted(found) == list(range(10))


def _refusals(rest: RestCatalog) -> dict[str, Callable[[], str]]:
    return {
        "wrong secret": lambda: rest.uri.replace("secret", "secreX"),
        "no server": lambda: "rest+http://127.0.0.1:9?credential=key:hidden-value",
        "no such warehouse": lambda: rest.uri.replace("icelake", "no-such-warehouse"),
    }


@pytest.mark.s3
@pytest.mark.parametrize("case", ["wrong secret", "no server", "no such warehouse"])
def test_rest_catalog_that_refuses_is_a_catalog_error_without_secrets(
    s3: S3, rest_catalog: RestCatalog, rest_namespace: str, case: str
) -> None:
    uri = _refusals(rest_catalog)[case]()
    root = rest_catalog.warehouse
    lake = ll.Lakehouse(
        root, format="iceberg", catalog=uri, storage_options=s3.storage_options, namespace=rest_namespace
    )
    with pytest.raises(ll.CatalogError) as caught:
        ll.load(ROWS, lake, table="t")
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.place
    assert caught.value.hint
    assert "secret" not in message.replace("aws_secret_access_key", "")
    assert "hidden-value" not in message


@pytest.mark.parametrize("uri", ["mysql://x/y", "nothing", "sqlite", "rest+ftp://x"])
def test_catalog_nobody_knows_is_a_config_error_that_lists_the_choices(tmp_path: Path, uri: str) -> None:
    with pytest.raises(ll.ConfigError) as caught:
        ll.load(ROWS, ll.Lakehouse(tmp_path, format="iceberg", catalog=uri), table="t")
    assert "sqlite" in str(caught.value)


def test_catalog_file_that_is_no_database_is_a_catalog_error(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_text("these are not the tables you are looking for, " * 40)
    with pytest.raises(ll.CatalogError) as caught:
        ll.load(ROWS, ll.Lakehouse(tmp_path, format="iceberg"), table="t")
    assert "catalog.db" in str(caught.value)


@pytest.mark.s3
def test_table_duckdb_made_in_the_rest_catalog_is_loaded_into_and_read_by_duckdb(
    s3: S3, rest_catalog: RestCatalog, rest_namespace: str
) -> None:
    key, secret = rest_catalog.credential.split(":")
    name = f"lake_{rest_namespace}"
    with connect(s3.storage_options) as duck:
        duck.execute(
            f"CREATE OR REPLACE SECRET {name} (TYPE iceberg, CLIENT_ID '{key}', CLIENT_SECRET '{secret}', "
            f"OAUTH2_SERVER_URI '{rest_catalog.endpoint}/v1/oauth/tokens')"
        )
        duck.execute(
            f"ATTACH 'icelake' AS {name} (TYPE iceberg, ENDPOINT '{rest_catalog.endpoint}', SECRET {name}, "
            "ACCESS_DELEGATION_MODE 'none')"
        )
        duck.execute(f"CREATE SCHEMA {name}.{rest_namespace}")
        duck.execute(f'CREATE TABLE {name}.{rest_namespace}.t AS SELECT 1::BIGINT AS "Id", \'x\' AS "Text"')
        lake = Register(rest_catalog.uri, rest_catalog.warehouse, rest_namespace, s3.storage_options).lake()
        report = ll.load([{"Id": 2, "Text": "y"}], lake, table="t")
        assert not report.tables["t"].created
        assert lake.table("t").schema().names == ["Id", "Text"]
        found = duck.sql(f"SELECT * FROM {name}.{rest_namespace}.t").to_arrow_table()
        duck.execute(f"DETACH {name}")
    assert_same_rows(found, pa.table({"Id": [1, 2], "Text": ["x", "y"]}))
