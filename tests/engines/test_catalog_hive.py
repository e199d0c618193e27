"""A real Hive Metastore: writers at the same time, crashes, names that belong to others, pyiceberg beside us."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from services.hive import Hive
from services.wire import Wire

import lakeload as ll
from lakeload.catalogs import hive_lock
from lakeload.catalogs.hive import HiveCatalog
from lakeload.catalogs.hive_delta import HiveDeltaCatalog
from lakeload.model.registration import Entry
from lakeload.storage_options import StorageOptions


@dataclass(frozen=True)
class Shop:
    """A local lake with a namespace of its own in the metastore."""

    hive: Hive
    root: str
    namespace: str

    def lake(self, uri: str | None = None, **given: Any) -> ll.Lakehouse:
        options = {"format": "iceberg", "catalog": uri or self.hive.uri, "namespace": self.namespace}
        return ll.Lakehouse(self.root, **(options | given))

    def catalog(self, kind: type = HiveCatalog) -> Any:
        return kind(self.hive.uri, self.root, StorageOptions(), now=lambda: dt.datetime.now(dt.UTC))

    def delta(self) -> HiveDeltaCatalog:
        return self.catalog(HiveDeltaCatalog)

    def entry(self, name: str = "t") -> Any:
        """What the metastore holds, by its own client."""
        with self.hive.client() as client:
            return client.get_table(self.namespace, name)

    def ids(self, lake: ll.Lakehouse | None = None) -> list[int]:
        return sorted((lake or self.lake()).table("t").to_arrow(["id"])["id"].to_pylist())


@pytest.fixture
def shop(hive: Hive, tmp_path: Path, rest_namespace: str) -> Shop:
    return Shop(hive, str(tmp_path / "lake"), rest_namespace)


@pytest.fixture
def wire(shop: Shop) -> Iterator[Wire]:
    """A way to the metastore that can be cut; whatever was killed runs again afterwards."""
    found = Wire(shop.hive.port)
    yield found
    found.close()
    if not shop.hive.running:
        shop.hive.start()


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers give up waiting for a lock after a second."""
    monkeypatch.setattr(hive_lock, "PATIENCE", 1.0)


def lock(shop: Shop, table: str = "t") -> int:
    """Lock the table as another writer does, and die."""
    from hive_metastore.ttypes import LockComponent, LockLevel, LockRequest, LockState, LockType

    part = LockComponent(
        type=LockType.EXCLUSIVE,
        level=LockLevel.TABLE,
        dbname=shop.namespace,
        tablename=table,
        isTransactional=True,
    )
    with shop.hive.client() as client:
        answer = client.lock(LockRequest(component=[part], user="ghost", hostname="gone", agentInfo="test"))
    assert answer.state == LockState.ACQUIRED
    return answer.lockid


def unlock(shop: Shop, number: int) -> None:
    from hive_metastore.ttypes import UnlockRequest

    with shop.hive.client() as client:
        client.unlock(UnlockRequest(lockid=number))


def locks(shop: Shop) -> list[Any]:
    from hive_metastore.ttypes import ShowLocksRequest

    with shop.hive.client() as client:
        return client.show_locks(ShowLocksRequest(dbname=shop.namespace, tablename="t")).locks


def plain_table(shop: Shop, name: str = "t") -> None:
    """A table of Hive's own under that name."""
    from hive_metastore.ttypes import Database, FieldSchema, SerDeInfo, StorageDescriptor, Table

    storage = StorageDescriptor(
        cols=[FieldSchema("a", "int", None)], location=f"file:{shop.root}/elsewhere",
        inputFormat="org.apache.hadoop.mapred.TextInputFormat",
        outputFormat="org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        serdeInfo=SerDeInfo(serializationLib="org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe", parameters={}),
        bucketCols=[], sortCols=[], parameters={},
    )  # fmt: skip
    with shop.hive.client() as client:
        client.create_database(
            Database(name=shop.namespace, locationUri=f"file:{shop.root}/db", parameters={})
        )
        client.create_table(
            Table(
                tableName=name, dbName=shop.namespace, sd=storage, parameters={"EXTERNAL": "TRUE"},
                partitionKeys=[], tableType="EXTERNAL_TABLE", owner="x",
            )
        )  # fmt: skip


def test_pyiceberg_and_lakeload_append_to_each_others_tables(shop: Shop) -> None:
    from pyiceberg.catalog.hive import HiveCatalog as Library

    library = Library("theirs", uri=shop.hive.thrift)
    ll.load([{"id": 1}], shop.lake(), table="t", load_columns=False)
    assert library.list_tables(shop.namespace) == [(shop.namespace, "t")]
    library.load_table((shop.namespace, "t")).append(pa.table({"id": [2]}))
    ll.load([{"id": 3, "name": "x"}], shop.lake(), table="t")
    ours = library.load_table((shop.namespace, "t"))
    assert sorted(ours.scan().to_arrow()["id"].to_pylist()) == [1, 2, 3]
    theirs = library.create_table(
        (shop.namespace, "their"), pa.schema([("id", pa.int64())]), f"file://{shop.root}/their"
    )
    theirs.append(pa.table({"id": [1]}))
    ll.load([{"id": 2, "name": "x"}], shop.lake(), table="their")
    theirs.refresh().append(pa.table({"id": [3], "name": ["y"]}))
    assert sorted(shop.lake().table("their").to_arrow()["id"].to_pylist()) == [1, 2, 3]
    assert shop.lake().tables() == ["t", "their"]


def test_entry_says_what_icebergs_own_catalog_says_and_keeps_what_others_noted(shop: Shop) -> None:
    ll.load([{"id": 1, "n": {"a": [1.5]}}], shop.lake(), table="t", load_columns=False)
    entry = shop.entry()
    entry.parameters["noted.by"] = "somebody"
    with shop.hive.client() as client:
        client.alter_table(shop.namespace, "t", entry)
    first = entry.parameters["metadata_location"]
    ll.load([{"id": 2, "n": {"a": [], "b": "x"}, "more": True}], shop.lake(), table="t")
    entry = shop.entry()
    assert entry.tableType == "EXTERNAL_TABLE"
    assert entry.sd.location == f"file:{shop.root}/{shop.namespace}/t"
    found = entry.parameters
    assert (found["EXTERNAL"], found["table_type"], found["noted.by"]) == ("TRUE", "ICEBERG", "somebody")
    assert found["metadata_location"] != first
    assert Path(found["metadata_location"]).exists()
    assert found["previous_metadata_location"].rsplit("/", 1)[-1].startswith("0000")
    assert [(field.name, field.type) for field in entry.sd.cols] == [
        ("id", "bigint"),
        ("n", "struct<a:array<double>,b:string>"),
        ("more", "boolean"),
    ]


def test_type_hive_does_not_let_change_stays_as_shown_and_the_load_goes_through(shop: Shop) -> None:
    from pyiceberg.catalog.hive import HiveCatalog as Library

    ll.load([{"id": 1, "word": "x"}], shop.lake(), table="t", load_columns=False)
    table = Library("theirs", uri=shop.hive.thrift).load_table((shop.namespace, "t"))
    entry = shop.entry()
    entry.sd.cols[1].type = "int"  # as if the column had been an int, dropped and made anew
    with shop.hive.client() as client, pytest.raises(Exception, match="incompatible"):
        client.alter_table(shop.namespace, "t", entry)
    with table.update_schema(allow_incompatible_changes=True) as change:
        change.rename_column("word", "text")
    ll.load([{"id": 2, "text": "y"}], shop.lake(), table="t")
    assert shop.ids() == [1, 2]


def test_names_with_letters_of_every_script_are_columns_at_every_depth(shop: Shop) -> None:
    rows = [{"größe": 1, "naïve": {"ключ": [{"値": "x"}], "with-dash": 1}}]
    ll.load(rows, shop.lake(), table="t", load_columns=False)
    ll.load([{"größe": 2, "naïve": {"ключ": [], "new-one": 2}}], shop.lake(), table="t")
    assert shop.lake().table("t").to_arrow().num_rows == 2
    assert "größe" in [field.name for field in shop.entry().sd.cols]


def test_of_writers_at_once_each_lands_once(shop: Shop) -> None:
    ll.load([{"id": 0}], shop.lake(), table="t")
    failures: list[BaseException] = []

    def work(writer: int) -> None:
        try:
            lake = shop.lake()
            for number in range(4):
                ll.load([{"id": 10 * writer + number}], lake, table="t", pipeline=f"p{writer}", fold=False)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(writer,)) for writer in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert shop.ids() == [0, *(10 * writer + number for writer in (1, 2, 3) for number in range(4))]
    assert locks(shop) == []


def test_lock_of_a_dead_writer_is_named_and_stops_nobody_for_ever(shop: Shop, no_patience: None) -> None:
    ll.load([{"id": 1}], shop.lake(), table="t")
    number = lock(shop)
    with pytest.raises(ll.CatalogError, match=rf"locked by ghost@gone \(lock {number}, test\).*txn\.timeout"):
        ll.load([{"id": 2}], shop.lake(), table="t")
    assert [found.lockid for found in locks(shop)] == [number], "a writer that gives up leaves no lock"
    unlock(shop, number)
    ll.load([{"id": 3}], shop.lake(), table="t")
    assert shop.ids() == [1, 2, 3], "the load that was stopped is completed by the next"


def test_lock_nobody_keeps_alive_is_released_when_hives_rule_says_it_is_void(
    tmp_path: Path, rest_namespace: str
) -> None:
    hive = Hive(tmp_path / "hive", settings={"metastore.txn.timeout": "2s"})
    hive.start()
    try:
        shop = Shop(hive, str(tmp_path / "lake"), rest_namespace)
        ll.load([{"id": 1}], shop.lake(), table="t")
        lock(shop)
        time.sleep(3)
        ll.load([{"id": 2}], shop.lake(), table="t")
        assert shop.ids() == [1, 2]
        assert locks(shop) == []
    finally:
        hive.stop()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    "call", [b"create_table_with_environment_context", b"alter_table_with_environment_context"]
)
def test_metastore_killed_in_the_middle_of_a_commit_is_consistent_after_the_next_run(
    shop: Shop, wire: Wire, moment: str, call: bytes
) -> None:
    lake = shop.lake(f"hive://127.0.0.1:{wire.port}")
    loaded = []
    if call.startswith(b"alter"):
        ll.load([{"id": 1}], lake, table="t")
        loaded = [1]
    (wire.cut_before if moment == "before" else wire.cut_after)(call, shop.hive.kill)
    with pytest.raises(ll.CatalogError, match="did not answer"):
        ll.load([{"id": 2}], lake, table="t")
    shop.hive.start()
    ll.load([{"id": 3}], lake, table="t")
    assert shop.ids() == [*loaded, 2, 3]
    assert locks(shop) == []


def test_lost_answer_of_a_commit_that_landed_is_looked_up(shop: Shop, wire: Wire) -> None:
    lake = shop.lake(f"hive://127.0.0.1:{wire.port}")
    ll.load([{"id": 1}], lake, table="t")
    wire.cut_after(b"alter_table_with_environment_context", lambda: None)
    ll.load([{"id": 2}], lake, table="t")
    assert wire.cuts == 1
    assert shop.ids() == [1, 2]
    assert locks(shop) == []


@pytest.mark.parametrize("word", [b"lock", b"check_lock", b"unlock"])
def test_lock_is_given_back_over_another_connection_when_the_first_breaks(
    shop: Shop, wire: Wire, word: bytes
) -> None:
    lake = shop.lake(f"hive://127.0.0.1:{wire.port}")
    ll.load([{"id": 1}], lake, table="t")
    wire.cut_after(b"\x00\x00\x00" + bytes([len(word)]) + word, lambda: None)
    try:
        ll.load([{"id": 2}], lake, table="t")
    except ll.CatalogError:
        assert word == b"lock"
    assert wire.cuts == (word != b"check_lock"), "nobody else holds the lock, so nobody asks again"
    assert locks(shop) == []
    ll.load([{"id": 3}], lake, table="t")
    assert shop.ids() == [1, 2, 3]


def test_name_of_a_table_of_hives_own_is_refused_before_anything_is_written(shop: Shop) -> None:
    plain_table(shop)
    with pytest.raises(
        ll.TableError, match=r"belongs to a table of hive.*Choose another table name"
    ) as caught:
        ll.load([{"id": 1}], shop.lake(), table="t")
    assert caught.value.table
    assert not list(Path(shop.root).rglob("*.parquet"))
    assert shop.lake().tables() == []
    with pytest.raises(ll.CatalogError, match="belongs to a table of hive"):
        shop.catalog().drop(shop.namespace, "t")
    with pytest.raises(ll.CatalogError, match="belongs to a table of hive"):
        shop.delta().put(shop.namespace, "t", Entry(f"{shop.root}/{shop.namespace}/t"))
    assert shop.delta().find(shop.namespace, "t") == Entry(
        f"{shop.root}/elsewhere", (("a", "int"),), (), "hive"
    )


def test_existing_table_gets_a_name_once(shop: Shop) -> None:
    ll.load([{"id": 1}], shop.lake(), table="t")
    location = shop.entry().parameters["metadata_location"]
    shop.catalog().drop(shop.namespace, "t")
    for _ in range(2):
        shop.catalog().register(shop.namespace, "t", location)
    ll.load([{"id": 2}], shop.lake(), table="t")
    assert shop.ids() == [1, 2]
    with pytest.raises(ll.CatalogError, match="name is taken"):
        shop.catalog().register(shop.namespace, "t", location)


def test_namespace_is_made_below_the_lake(shop: Shop) -> None:
    ll.load([{"id": 1}], shop.lake(), table="t")
    with shop.hive.client() as client:
        assert client.get_database(shop.namespace).locationUri == f"file:{shop.root}/{shop.namespace}"


def test_delta_entry_is_made_changed_listed_found_and_dropped(shop: Shop) -> None:
    catalog, place = shop.delta(), f"{shop.root}/{shop.namespace}/t"
    assert catalog.find(shop.namespace, "t") is None
    assert list(catalog.list(shop.namespace)) == []
    first = Entry(place, (("Id", "int"), ("at", "timestamp")), ("at",))
    for entry in (
        first,
        first,
        Entry(place, (("Id", "bigint"), ("at", "timestamp"), ("x", "string")), ("at",)),
    ):
        catalog.put(shop.namespace, "t", entry)
        assert catalog.find(shop.namespace, "t") == entry
    assert list(catalog.list(shop.namespace)) == ["t"]
    assert shop.catalog().list(shop.namespace) == []
    columns = [(field.name, field.type) for field in shop.entry().sd.cols]
    assert columns == [("id", "bigint"), ("at", "timestamp"), ("x", "string")]
    catalog.drop(shop.namespace, "t")
    assert catalog.find(shop.namespace, "t") is None
    with pytest.raises(ll.CatalogError, match=r"no such table \(table ns.*\.t"):
        catalog.drop(shop.namespace, "t")


def test_delta_entry_whose_types_hive_does_not_let_change_still_says_what_the_table_is(shop: Shop) -> None:
    catalog, place = shop.delta(), f"{shop.root}/{shop.namespace}/t"
    for kind in ("bigint", "struct<a:int>", "array<struct<b:string>>", "string", "int"):
        entry = Entry(place, (("id", kind),))
        catalog.put(shop.namespace, "t", entry)
        assert catalog.find(shop.namespace, "t") == entry


def test_delta_entry_is_made_once_by_writers_at_once(shop: Shop) -> None:
    entry = Entry(f"{shop.root}/{shop.namespace}/t", (("id", "int"),))
    # Tables are registered after they were committed. A metastore makes a folder that is missing, and takes
    # it away again when another writer's entry came first.
    Path(entry.location).mkdir(parents=True)
    failures: list[BaseException] = []

    def put() -> None:
        try:
            shop.delta().put(shop.namespace, "t", entry)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert shop.delta().find(shop.namespace, "t") == entry


def test_delta_load_goes_through_while_the_metastore_is_down_and_the_next_registers(
    shop: Shop, wire: Wire
) -> None:
    lake = shop.lake(format="delta")
    shop.hive.kill()
    ll.load([{"id": 1}], lake, table="t")
    shop.hive.start()
    assert shop.delta().find(shop.namespace, "t") is None
    ll.load([{"id": 2, "name": "x"}], lake, table="t", load_columns=False)
    found = shop.delta().find(shop.namespace, "t")
    assert found is not None
    assert dict(found.columns)["name"] == "string"
    assert found.location == f"{shop.root}/{shop.namespace}/t"
    assert shop.ids(lake) == [1, 2]
