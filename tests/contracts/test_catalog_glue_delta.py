"""Entries of Delta tables in AWS Glue: made, kept in step, respected when they are somebody else's.

Glue is a mock here (moto, see `services/moto.py`): nothing outside AWS is the real one.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from services.moto import Glue, Moto

import lakeload as ll
from lakeload.catalogs.glue_delta import GlueDeltaCatalog
from lakeload.model.layout import Layout
from lakeload.model.registration import Entry
from lakeload.model.table import TableState
from lakeload.storage_options import StorageOptions

EVENTS = Entry("s3://lake/ns/events", (("id", "bigint"), ("country", "string")), ("country",))


@dataclass(frozen=True)
class Names:
    """A namespace of the mock: lakeload's catalog for it, and a way in beside it."""

    glue: Glue
    namespace: str

    def catalog(self) -> GlueDeltaCatalog:
        """A connection of its own."""
        options = StorageOptions.read(self.glue.storage, remote=False)
        return GlueDeltaCatalog(self.glue.uri, "s3://lake", options, now=lambda: dt.datetime.now(dt.UTC))

    def put(self, entry: Entry = EVENTS) -> None:
        """Make the entry `events`, or bring it up to date."""
        self.catalog().put(self.namespace, "events", entry)

    def find(self) -> Entry | None:
        """The entry `events`, as lakeload sees it."""
        return self.catalog().find(self.namespace, "events")

    def told(self) -> dict[str, Any]:
        """The entry `events`, as Glue tells it."""
        return self.glue.entry(self.namespace, "events")

    def theirs(self, name: str = "events", **facts: Any) -> None:
        """An entry of somebody else's; the namespace is made when there is none."""
        client = self.glue.client()
        known = [found["Name"] for found in client.get_databases()["DatabaseList"]]
        if self.namespace not in known:
            client.create_database(DatabaseInput={"Name": self.namespace})
        client.create_table(DatabaseName=self.namespace, TableInput={"Name": name, **facts})


@pytest.fixture
def names(moto: Moto) -> Names:
    return Names(moto.glue, f"ns{uuid.uuid4().hex[:10]}")


def test_nothing_is_known_where_there_is_no_namespace(names: Names) -> None:
    assert names.find() is None
    assert list(names.catalog().list(names.namespace)) == []


def test_entry_is_made_with_its_namespace_and_found_as_it_was_put(names: Names) -> None:
    names.put()
    assert names.find() == EVENTS
    assert list(names.catalog().list(names.namespace)) == ["events"]


def test_entry_says_what_athena_spark_and_trino_go_by(names: Names) -> None:
    names.put()
    told = names.told()
    storage = told["StorageDescriptor"]
    assert told["TableType"] == "EXTERNAL_TABLE"
    assert told["Parameters"]["spark.sql.sources.provider"] == "delta"
    assert told["Parameters"]["table_type"] == "delta"
    assert storage["Location"] == "s3://lake/ns/events"
    assert storage["SerdeInfo"]["Parameters"]["path"] == "s3://lake/ns/events"
    assert storage["Columns"] == [{"Name": "id", "Type": "bigint"}]
    assert told["PartitionKeys"] == [{"Name": "country", "Type": "string"}]


def test_putting_what_is_there_asks_for_no_change(names: Names, moto: Moto) -> None:
    names.put()
    moto.requests.clear()
    names.put()
    assert {operation for operation, _ in moto.requests} == {"GetTable"}
    assert names.told()["VersionId"] == "1"


def test_entry_follows_columns_and_place(names: Names) -> None:
    names.put()
    wider = Entry("s3://lake/ns/moved", (("id", "bigint"), ("price", "decimal(9,2)")))
    names.put(wider)
    assert names.find() == wider
    assert names.told()["StorageDescriptor"]["SerdeInfo"]["Parameters"]["path"] == wider.location


def test_change_by_somebody_else_is_seen_and_put_right(names: Names) -> None:
    names.put()
    told = names.told()
    told["StorageDescriptor"]["Columns"][0]["Type"] = "int"
    changed = {key: told[key] for key in ("Name", "TableType", "Parameters", "StorageDescriptor")}
    names.glue.client().update_table(DatabaseName=names.namespace, TableInput=changed)
    found = names.find()
    assert found is not None
    assert found.columns == (("id", "int"),)
    names.put()
    assert names.find() == EVENTS


def test_what_others_noted_stays(names: Names) -> None:
    names.put()
    told = names.told()
    noted = {key: told[key] for key in ("Name", "Parameters", "StorageDescriptor", "PartitionKeys")}
    noted["Parameters"]["owner-team"] = "weather"
    noted["StorageDescriptor"]["Columns"][0]["Comment"] = "counts from one"
    noted["PartitionKeys"][0]["Comment"] = "two letters"
    noted["StorageDescriptor"]["SerdeInfo"]["Parameters"]["delta.extra"] = "1"
    names.glue.client().update_table(
        DatabaseName=names.namespace, TableInput={**noted, "Description": "events", "Owner": "me"}
    )
    columns = (("id", "bigint"), ("price", "double"), ("country", "string"))
    names.put(replace(EVENTS, columns=columns))
    told = names.told()
    assert names.find() == replace(EVENTS, columns=columns)
    assert (told["Description"], told["Owner"]) == ("events", "me")
    assert told["Parameters"]["owner-team"] == "weather"
    assert told["StorageDescriptor"]["Columns"][0]["Comment"] == "counts from one"
    assert told["PartitionKeys"][0]["Comment"] == "two letters"
    assert told["StorageDescriptor"]["SerdeInfo"]["Parameters"]["delta.extra"] == "1"


def test_entry_spelled_s3a_is_the_same_place_and_keeps_its_spelling(names: Names) -> None:
    # Spark's own entries: no columns, a placeholder as location, the place in the serde's path.
    names.theirs(
        TableType="EXTERNAL_TABLE",
        Parameters={"spark.sql.sources.provider": "DELTA"},
        StorageDescriptor={
            "Columns": [{"Name": "col", "Type": "array<string>"}],
            "Location": "s3://warehouse/ns.db/events-__PLACEHOLDER__",
            "SerdeInfo": {"Parameters": {"path": "s3a://lake/ns/events/"}},
        },
    )
    found = names.find()
    assert found is not None
    assert (found.location, found.provider) == (EVENTS.location, "delta")
    names.put()
    assert names.find() == EVENTS
    storage = names.told()["StorageDescriptor"]
    assert storage["SerdeInfo"]["Parameters"]["path"] == "s3a://lake/ns/events/"
    assert storage["Location"] == "s3://lake/ns/events"


@pytest.mark.parametrize(
    ("facts", "provider"),
    [
        ({"Parameters": {"table_type": "ICEBERG", "metadata_location": "s3://x"}}, "iceberg"),
        ({"Parameters": {"spark.sql.sources.provider": "hudi"}}, "hudi"),
        ({"Parameters": {"classification": "csv"}, "TableType": "EXTERNAL_TABLE"}, "hive"),
        ({"TableType": "VIRTUAL_VIEW"}, "view"),
    ],
)
def test_entry_of_another_kind_is_told_and_left_alone(
    names: Names, facts: dict[str, Any], provider: str
) -> None:
    names.theirs(**facts)
    found = names.find()
    assert found is not None
    assert found.provider == provider
    assert list(names.catalog().list(names.namespace)) == []
    for change in (names.put, lambda: names.catalog().drop(names.namespace, "events")):
        with pytest.raises(ll.CatalogError, match=f"another kind \\({provider}\\)"):
            change()
    assert names.told()["VersionId"] == "1"


def test_dropped_entry_is_forgotten(names: Names) -> None:
    names.put()
    names.catalog().drop(names.namespace, "events")
    assert names.find() is None
    with pytest.raises(ll.CatalogError) as caught:
        names.catalog().drop(names.namespace, "events")
    assert "events" in str(caught.value)


def test_entry_changed_in_between_is_read_again(names: Names, moto: Moto) -> None:
    names.put()
    meanwhile = replace(EVENTS, columns=(("id", "double"), ("country", "string")))
    wanted = replace(EVENTS, columns=(("id", "decimal(20,0)"), ("country", "string")))
    with moto.before("UpdateTable", lambda: names.put(meanwhile)):
        names.put(wanted)
    assert names.find() == wanted
    assert names.told()["VersionId"] == "3"


def test_entry_made_in_between_is_brought_up_to_date(names: Names, moto: Moto) -> None:
    other = replace(EVENTS, columns=(("id", "int"), ("country", "string")))
    with moto.before("CreateTable", lambda: names.put(other)):
        names.put()
    assert names.find() == EVENTS


@pytest.mark.parametrize("times", [1, 9])
def test_lost_answer_leaves_the_entry_as_it_should_be(names: Names, moto: Moto, times: int) -> None:
    names.put()
    wanted = replace(EVENTS, columns=(("id", "double"), ("country", "string")))
    with moto.losing_answers("UpdateTable", times):
        try:
            names.put(wanted)
        except ll.CatalogError:
            assert times == 9
    assert names.find() == wanted


def test_entry_others_keep_changing_is_left_to_the_next_load(names: Names, moto: Moto) -> None:
    names.put()
    wanted = replace(EVENTS, columns=(("id", "double"), ("country", "string")))
    with (
        moto.refusing("UpdateTable", "ConcurrentModificationException"),
        pytest.raises(ll.CatalogError, match="next one"),
    ):
        names.put(wanted)
    assert names.find() == EVENTS


@pytest.mark.parametrize("code", ["AccessDeniedException", "UnrecognizedClientException"])
def test_refusal_leaves_the_entry_as_it_was_and_shows_no_secret(names: Names, moto: Moto, code: str) -> None:
    names.put()
    secret = names.glue.storage["aws_secret_access_key"]
    with moto.refusing("UpdateTable", code, f"not with {secret}"), pytest.raises(ll.CatalogError) as caught:
        names.put(replace(EVENTS, location="s3://lake/ns/moved"))
    assert secret not in str(caught.value)
    assert caught.value.hint
    assert names.find() == EVENTS


def test_description_of_a_state_is_what_is_found_after_it_was_put(names: Names) -> None:
    schema = pa.schema(
        [
            ("at", pa.timestamp("us", "UTC")),
            ("Mixed", pa.list_(pa.struct([("x", pa.decimal128(5, 1))]))),
            ("id", pa.int64()),
        ]
    )
    state = TableState(0, schema, 3, Layout.parse(["day(at)", "id"]), {}, {})
    entry = names.catalog().describe("s3a://lake/ns/events/", state)
    names.put(entry)
    assert names.find() == entry


def test_loads_keep_the_entry_in_step_with_the_table(names: Names, tmp_path: Path) -> None:
    lake = ll.Lakehouse(
        tmp_path / "lake",
        format="delta",
        catalog=names.glue.uri,
        storage_options=names.glue.storage,
        namespace=names.namespace,
    )
    ll.load([{"id": 1, "day": "2024-03-01"}], lake, table="events", partition_by="day")
    first = names.find()
    assert first is not None
    assert first.location == f"{tmp_path}/lake/{names.namespace}/events"
    assert first.partition_by == ("day",)
    ll.load([{"id": 2, "day": "2024-03-02", "tags": ["x"]}], lake, table="events")
    second = names.find()
    assert second is not None
    assert ("tags", "array<string>") in second.columns
    assert second.columns[-1][0] == "day"
