from __future__ import annotations

import datetime as dt
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from handmade import columns, data_file

from lakeload.catalogs.sql import SqlCatalog
from lakeload.catalogs.sqlite import SqliteCatalog
from lakeload.errors import CatalogError, ConfigError, StorageError
from lakeload.model.changes import Changeset, Committed, Conflict, Creation, Token
from lakeload.model.layout import Layout
from lakeload.registry import catalog_factory
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

SCHEMA = columns(id=pa.int64())


def catalog(root: Path, uri: str | None = None) -> Any:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    uri = uri or f"sqlite:///{root}/sub/catalog.db"
    return catalog_factory(uri)(uri, str(root), StorageOptions(), now=lambda: now)


def create(found: Any, root: Path, name: str = "t", namespace: str = "ns") -> object:
    table = found.open(namespace, name, f"{root}/{namespace}/{name}")
    return table.commit(Changeset("L", "append", SCHEMA, create=Creation(Layout())), None)


def test_tables_are_listed_by_namespace_and_forgotten_when_dropped(tmp_path: Path) -> None:
    found = catalog(tmp_path)
    assert found.list("ns") == []
    for name in ("b", "a"):
        assert isinstance(create(found, tmp_path, name), Committed)
    create(found, tmp_path, "c", "other")
    assert (found.list("ns"), found.list("other")) == (["a", "b"], ["c"])
    found.drop("ns", "a")
    assert found.list("ns") == ["b"]
    assert Store(f"{tmp_path}/ns/a").names("metadata")
    with pytest.raises(CatalogError, match=r"no such table \(table ns.a"):
        found.drop("ns", "a")


def test_a_dropped_table_can_be_created_again(tmp_path: Path) -> None:
    found = catalog(tmp_path)
    create(found, tmp_path)
    found.drop("ns", "t")
    assert isinstance(create(found, tmp_path), Committed)


def test_pyiceberg_opens_the_same_catalog(tmp_path: Path) -> None:
    from pyiceberg.catalog import load_catalog

    create(catalog(tmp_path), tmp_path)
    library = load_catalog("default", type="sql", uri=f"sqlite:///{tmp_path}/sub/catalog.db")
    assert library.list_tables("ns") == [("ns", "t")]
    assert library.load_table("ns.t").schema().find_field("id").field_id == 1


def test_catalogs_of_other_names_in_one_database_are_apart(tmp_path: Path) -> None:
    one = catalog(tmp_path)
    other = catalog(tmp_path, f"sqlite:///{tmp_path}/sub/catalog.db?catalog=prod")
    create(one, tmp_path)
    assert other.list("ns") == []
    assert isinstance(create(other, tmp_path), Committed)


def test_of_many_writers_at_once_each_lands_once(tmp_path: Path) -> None:
    create(catalog(tmp_path), tmp_path)
    store = Store(f"{tmp_path}/ns/t")
    conflicts: list[Conflict] = []
    failures: list[BaseException] = []

    def load(pipeline: str) -> None:
        try:
            table = catalog(tmp_path).open("ns", "t", store.root)
            for sequence in range(1, 6):
                file = data_file(store, SCHEMA, [{"id": sequence}])
                result: object = None
                while not isinstance(result, Committed):
                    change = Changeset("L", "append", SCHEMA, (file,), token=Token(pipeline, sequence))
                    result = table.commit(change, table.load())
                    if isinstance(result, Conflict):
                        conflicts.append(result)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=load, args=(f"p{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    table = catalog(tmp_path).open("ns", "t", store.root)
    state = table.load()
    assert state is not None
    assert state.sequences == {"p0": 5, "p1": 5, "p2": 5}
    assert table.scan(state, None).read_all().num_rows == 15
    assert len(table.history()) == 15
    listed = {name for name in store.names("metadata") if name.endswith(".metadata.json")}
    assert len(listed) <= 21, "a lost race leaves no metadata file"


def test_a_new_database_may_be_opened_by_several_at_once(tmp_path: Path) -> None:
    outcomes: list[object] = []

    def look(root: Path, gate: threading.Barrier) -> None:
        found = catalog(root)
        gate.wait()
        try:
            outcomes.append(found.list("ns"))
        except CatalogError as error:
            outcomes.append(error)

    for attempt in range(8):
        gate = threading.Barrier(4)
        threads = [threading.Thread(target=look, args=(tmp_path / str(attempt), gate)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert outcomes == [[]] * 32


def test_a_locked_database_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(catalog(tmp_path), tmp_path)
    found = catalog(tmp_path, f"sqlite:///{tmp_path}/sub/catalog.db?timeout=0.1")
    table = found.open("ns", "t", f"{tmp_path}/ns/t")
    base = table.load()
    holder = sqlite3.connect(f"{tmp_path}/sub/catalog.db")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(CatalogError, match=r"database is locked.*Another process holds it") as caught:
            table.commit(
                Changeset("L", "append", SCHEMA, (data_file(Store(table.location), SCHEMA, [{"id": 1}]),)),
                base,
            )
    finally:
        holder.close()
    assert "\n" not in str(caught.value)
    assert table.load() == base


def test_something_else_at_the_databases_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "catalog.db").write_text("no database at all, but long enough to be looked at" * 50)
    with pytest.raises(CatalogError, match="not a database"):
        catalog(tmp_path).list("ns")


def test_a_metadata_file_that_is_gone_is_named(tmp_path: Path) -> None:
    create(catalog(tmp_path), tmp_path)
    for name in Store(f"{tmp_path}/ns/t").names("metadata"):
        (tmp_path / "ns/t/metadata" / name).unlink()
    with pytest.raises(StorageError, match="metadata file is gone"):
        catalog(tmp_path).open("ns", "t", f"{tmp_path}/ns/t").load()


@pytest.mark.parametrize(
    ("kind", "uri"),
    [
        (SqlCatalog, "nonsense"), (SqlCatalog, "oracle+nothing://host/db"), (SqlCatalog, ""),
        (SqliteCatalog, "sqlite:c.db"), (SqliteCatalog, "sqlite:///"), (SqliteCatalog, "sqlite:///c.db?catalog="),
        (SqliteCatalog, "sqlite:///c.db?mode=ro"), (SqliteCatalog, "sqlite:///c.db?timeout=long"),
    ],
)  # fmt: skip
def test_a_uri_that_cannot_be_read_is_refused(tmp_path: Path, kind: Any, uri: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        kind(uri, str(tmp_path), StorageOptions(), now=lambda: dt.datetime.now(dt.UTC))


def test_no_password_is_shown(tmp_path: Path) -> None:
    try:
        found = catalog(tmp_path, "postgresql://lake:hidden-word@127.0.0.1:1/lake")
        message = repr(found)
        with pytest.raises(CatalogError) as caught:
            found.list("ns")
        message += str(caught.value)
    except ConfigError as error:  # the driver is an extra
        message = str(error)
        assert "lakeload[postgres]" in message
    assert "hidden-word" not in message


def test_tables_on_s3_can_be_registered_in_a_local_database(
    tmp_path: Path, s3_prefix: str, s3: object
) -> None:
    options = StorageOptions.read(s3.storage_options, remote=True)  # type: ignore[attr-defined]
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    found = SqliteCatalog(f"sqlite:///{tmp_path}/c.db", s3_prefix, options, now=lambda: now)
    table = found.open("ns", "t", f"{s3_prefix}/ns/t")
    store = Store(f"{s3_prefix}/ns/t", options)
    for number in (1, 2):
        state = table.load()
        create_it = Creation(Layout()) if state is None else None
        change = Changeset(
            "L", "append", SCHEMA, (data_file(store, SCHEMA, [{"id": number}]),), create=create_it
        )
        assert isinstance(table.commit(change, state), Committed)
    state = table.load()
    assert state is not None
    assert sorted(table.scan(state, None).read_all()["id"].to_pylist()) == [1, 2]
    assert sorted(table.lazy(state).collect()["id"].to_list()) == [1, 2]
    assert {file.path.split("/")[0] for file in table.files(state)} == {"data"}
