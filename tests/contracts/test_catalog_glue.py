"""Iceberg tables in AWS Glue: what an entry says, and what happens when Glue refuses or answers get lost.

Glue is a mock here (moto, see `services/moto.py`): nothing outside AWS is the real one. Tables are real, on
local disk. The behaviour all catalogs share is in `test_catalog_suite.py`.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.glue import GlueCatalog as LibraryCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType
from readers import assert_same_rows
from services.moto import Glue, Moto

import lakeload as ll
from lakeload.catalogs.glue import GlueCatalog
from lakeload.storage_options import StorageOptions

ROWS = pa.table({"id": [1, 2, 3]})
SECRET = "moto-secret"


@dataclass(frozen=True)
class Place:
    """A lake of Iceberg tables on local disk with its names in the mock."""

    glue: Glue
    root: Path
    namespace: str

    def lake(self, **given: Any) -> ll.Lakehouse:
        """The lake, by a connection of its own."""
        options = {"format": "iceberg", "catalog": self.glue.uri, "storage_options": self.glue.storage}
        return ll.Lakehouse(self.root, **(options | {"namespace": self.namespace} | given))

    def catalog(self, uri: str | None = None, storage: dict[str, str] | None = None) -> GlueCatalog:
        """lakeload's catalog."""
        options = StorageOptions.read(self.glue.storage if storage is None else storage, remote=False)
        return GlueCatalog(uri or self.glue.uri, str(self.root), options, now=lambda: dt.datetime.now(dt.UTC))

    def library(self) -> LibraryCatalog:
        """pyiceberg's own catalog for Glue."""
        return LibraryCatalog("theirs", **self.glue.properties(), warehouse=str(self.root))

    def entry(self, name: str = "t") -> dict[str, Any]:
        """An entry as Glue tells it."""
        return self.glue.entry(self.namespace, name)

    def ids(self) -> list[int]:
        """The column `id` of the table `t`, sorted."""
        found: list[int] = self.lake().table("t").to_arrow().column("id").to_pylist()
        return sorted(found)


@pytest.fixture
def place(moto: Moto, tmp_path: Path) -> Place:
    return Place(moto.glue, tmp_path / "lake", f"ns{uuid.uuid4().hex[:10]}")


def test_entry_is_the_one_iceberg_engines_look_for(place: Place) -> None:
    ll.load(pa.table({"id": [1], "price": pa.array([None], pa.decimal128(9, 2))}), place.lake(), table="t")
    first = place.entry()
    ll.load(pa.table({"id": [2], "tags": [["x"]]}), place.lake(), table="t")
    entry = place.entry()
    assert entry["TableType"] == "EXTERNAL_TABLE"
    assert entry["Parameters"]["table_type"] == "ICEBERG"
    assert entry["Parameters"]["metadata_location"].endswith(".metadata.json")
    assert entry["Parameters"]["previous_metadata_location"] == (first["Parameters"]["metadata_location"])
    assert entry["StorageDescriptor"]["Location"] == f"{place.root}/{place.namespace}/t"
    kinds = {column["Name"]: column["Type"] for column in entry["StorageDescriptor"]["Columns"]}
    assert kinds == {"id": "bigint", "price": "decimal(9,2)", "tags": "array<string>"} | {
        "_lakeload_id": "string",
        "_lakeload_at": "timestamp",
    }
    (column,) = (found for found in entry["StorageDescriptor"]["Columns"] if found["Name"] == "id")
    assert column["Parameters"] == {
        "iceberg.field.id": "1",
        "iceberg.field.optional": "true",
        "iceberg.field.current": "true",
    }


def test_column_that_is_gone_is_listed_as_not_current_and_comments_fit_glue(place: Place) -> None:
    ll.load(pa.table({"id": [1], "old": ["x"]}), place.lake(), table="t")
    with place.library().load_table((place.namespace, "t")).update_schema() as update:
        update.delete_column("old")
        update.update_column("id", doc="what\nit is " * 40)
    ll.load(ROWS, place.lake(), table="t")
    columns = {column["Name"]: column for column in place.entry()["StorageDescriptor"]["Columns"]}
    assert columns["old"]["Parameters"]["iceberg.field.current"] == "false"
    assert columns["id"]["Parameters"]["iceberg.field.current"] == "true"
    assert columns["id"]["Comment"].startswith("what it is what")
    assert len(columns["id"]["Comment"]) == 255


def test_what_others_noted_in_the_entry_outlives_a_load(place: Place) -> None:
    ll.load(ROWS, place.lake(), table="t")
    found = place.entry()
    noted = {key: found[key] for key in ("Name", "TableType", "Parameters", "StorageDescriptor")}
    noted["Description"] = "three numbers"
    noted["Parameters"]["owner-team"] = "weather"
    noted["StorageDescriptor"]["Columns"][0]["Comment"] = "counts from one"
    place.glue.client().update_table(DatabaseName=place.namespace, TableInput=noted)
    ll.load(ROWS, place.lake(), table="t")
    entry = place.entry()
    assert entry["Parameters"]["metadata_location"] != found["Parameters"]["metadata_location"]
    assert entry["Description"] == "three numbers"
    assert entry["Parameters"]["owner-team"] == "weather"
    assert entry["StorageDescriptor"]["Columns"][0]["Comment"] == "counts from one"


def test_update_names_the_version_it_was_made_for_and_asks_for_no_archive(place: Place, moto: Moto) -> None:
    ll.load(ROWS, place.lake(), table="t")
    version = place.entry()["VersionId"]
    moto.requests.clear()
    ll.load(ROWS, place.lake(), table="t", fold=False)
    (sent,) = moto.sent("UpdateTable")
    assert sent["VersionId"] == version
    assert sent["SkipArchive"] is True


def test_writer_that_was_overtaken_between_look_and_swap_loses_nothing(place: Place, moto: Moto) -> None:
    ll.load(pa.table({"id": [1]}), place.lake(), table="t")

    def overtake() -> None:
        ll.load(pa.table({"id": [2]}), place.lake(), table="t", fold=False)

    moto.requests.clear()
    with moto.before("UpdateTable", overtake):
        ll.load(pa.table({"id": [3]}), place.lake(), table="t", fold=False)
    assert len(moto.sent("UpdateTable")) == 3  # overtaken, the other's, once more
    assert place.ids() == [1, 2, 3]


def test_creator_that_was_overtaken_loads_into_the_table_of_the_other(place: Place, moto: Moto) -> None:
    def overtake() -> None:
        ll.load(pa.table({"id": [1]}), place.lake(), table="t", fold=False)

    with moto.before("CreateTable", overtake):
        ll.load(pa.table({"id": [2]}), place.lake(), table="t", fold=False)
    assert place.ids() == [1, 2]


def test_two_writers_at_once_lose_and_double_nothing(place: Place) -> None:
    def write(start: int) -> None:
        for number in range(start, start + 5):
            ll.load(pa.table({"id": [number]}), place.lake(), table="t", fold=False)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (0, 100)))
    assert place.ids() == [*range(5), *range(100, 105)]


@pytest.mark.parametrize("times", [1, 2, 9])
@pytest.mark.parametrize("operation", ["CreateTable", "UpdateTable"])
def test_lost_answer_neither_loses_nor_doubles_the_load(
    place: Place, moto: Moto, operation: str, times: int
) -> None:
    # After a lost answer botocore asks once more, and is refused: by the version it has made itself.
    if operation == "UpdateTable":
        ll.load(pa.table({"id": [0]}), place.lake(), table="t")
    else:
        place.glue.client().create_database(DatabaseInput={"Name": place.namespace})
    with moto.losing_answers(operation, times):
        ll.load(pa.table({"id": [1]}), place.lake(), table="t", fold=False)
    ll.load(pa.table({"id": [2]}), place.lake(), table="t", fold=False)
    assert place.ids() == ([0, 1, 2] if operation == "UpdateTable" else [1, 2])
    assert len(place.lake().table("t").history()) == len(place.ids())


def test_load_that_glue_refused_is_completed_by_the_next_run(place: Place, moto: Moto) -> None:
    pipeline = ll.Pipeline("numbers", place.lake())
    pipeline.run(ll.resource(name="t")(lambda: [{"id": 1}]))
    with (
        moto.refusing("UpdateTable", "AccessDeniedException", "no right to glue:UpdateTable"),
        pytest.raises(ll.CatalogError, match="glue:UpdateTable"),
    ):
        pipeline.run(ll.resource(name="t")(lambda: [{"id": 2}]))
    assert place.ids() == [1]
    ll.Pipeline("numbers", place.lake()).run(ll.resource(name="t")(lambda: [{"id": 3}]))
    assert place.ids() == [1, 2, 3]


def test_table_is_made_without_the_right_to_make_databases_when_there_is_one(
    place: Place, moto: Moto
) -> None:
    place.glue.client().create_database(DatabaseInput={"Name": place.namespace})
    with moto.refusing("CreateDatabase", "AccessDeniedException"):
        ll.load(ROWS, place.lake(), table="t")
    assert place.ids() == [1, 2, 3]


def test_more_tables_than_one_answer_holds_are_all_listed(place: Place) -> None:
    client = place.glue.client()
    client.create_database(DatabaseInput={"Name": place.namespace})
    names = [f"t{number:03}" for number in range(230)]
    for number, name in enumerate(names):
        kind = {"table_type": "ICEBERG"} if number % 2 else {"classification": "csv"}
        client.create_table(DatabaseName=place.namespace, TableInput={"Name": name, "Parameters": kind})
    assert list(place.catalog().list(place.namespace)) == names[1::2]


def test_name_of_a_table_of_another_kind_is_refused_and_left_alone(place: Place) -> None:
    client = place.glue.client()
    client.create_database(DatabaseInput={"Name": place.namespace})
    theirs = {"Name": "t", "TableType": "EXTERNAL_TABLE", "Parameters": {"classification": "csv"}}
    client.create_table(DatabaseName=place.namespace, TableInput=theirs)
    with pytest.raises(ll.TableError, match="another kind"):
        ll.load(ROWS, place.lake(), table="t")
    with pytest.raises(ll.CatalogError, match="another kind"):
        place.catalog().drop(place.namespace, "t")
    assert list(place.catalog().list(place.namespace)) == []
    assert {key: place.entry()[key] for key in theirs} == theirs
    assert not [path for path in place.root.rglob("*.parquet") if path.is_file()]


def test_entry_without_metadata_is_named(place: Place) -> None:
    client = place.glue.client()
    client.create_database(DatabaseInput={"Name": place.namespace})
    client.create_table(
        DatabaseName=place.namespace, TableInput={"Name": "t", "Parameters": {"table_type": "ICEBERG"}}
    )
    with pytest.raises(ll.CatalogError, match="no metadata file"):
        ll.load(ROWS, place.lake(), table="t")


REFUSALS = {
    "UnrecognizedClientException": "The security token included in the request is invalid.",
    "InvalidSignatureException": "The request signature we calculated does not match the signature you "
    f"provided.\n\nThe Canonical String for this request should have been\n'POST {SECRET}'",
    "ExpiredTokenException": f"The security token {SECRET} included in the request is expired",
    "AccessDeniedException": "User: arn:aws:iam::123456789012:user/me is not authorized to perform",
    "ValidationException": "1 validation error detected",
    "ResourceNumberLimitExceededException": "Number of tables exceeded",
}


@pytest.mark.parametrize("code", REFUSALS)
def test_refusal_is_a_catalog_error_with_remedy_and_without_secrets(
    place: Place, moto: Moto, code: str
) -> None:
    with moto.refusing("GetTable", code, REFUSALS[code]), pytest.raises(ll.CatalogError) as caught:
        ll.load(ROWS, place.lake(), table="t")
    _is_plain(caught.value)
    assert code in str(caught.value)
    assert "AKIAMOTO" not in str(caught.value)


UNREACHABLE: dict[str, Callable[[Glue], tuple[str, dict[str, str]]]] = {
    "nobody there": lambda glue: ("glue://?region=us-east-1&endpoint=http://127.0.0.1:9", glue.storage),
    "no such region": lambda glue: ("glue://?region=no%20where", glue.storage),
    "no region": lambda _glue: ("glue://", {"aws_access_key_id": "a", "aws_secret_access_key": SECRET}),
    "no keys": lambda glue: (glue.uri, {}),
}


@pytest.mark.parametrize("case", UNREACHABLE)
def test_glue_that_cannot_be_asked_is_a_catalog_error_with_remedy(place: Place, case: str) -> None:
    uri, storage = UNREACHABLE[case](place.glue)
    with pytest.raises(ll.CatalogError) as caught:
        ll.load(ROWS, place.lake(catalog=uri, storage_options=storage), table="t")
    _is_plain(caught.value)


def _is_plain(error: ll.CatalogError) -> None:
    message = str(error)
    assert "\n" not in message
    assert error.place is not None
    assert error.place.startswith("glue://")
    assert error.hint
    assert SECRET not in message
    assert SECRET not in repr(error.__cause__)


def test_table_that_exists_is_registered_under_a_free_name_only(place: Place) -> None:
    ll.load(ROWS, place.lake(), table="t")
    metadata = place.entry()["Parameters"]["metadata_location"]
    place.catalog().drop(place.namespace, "t")
    place.catalog().register(place.namespace, "t", metadata)
    assert place.entry()["Parameters"]["metadata_location"] == metadata
    ll.load(pa.table({"id": [4]}), place.lake(), table="t")
    assert place.ids() == [1, 2, 3, 4]
    with pytest.raises(ll.CatalogError, match="taken"):
        place.catalog().register(place.namespace, "t", metadata)
    assert place.ids() == [1, 2, 3, 4]


def test_pyiceberg_reads_and_appends_to_our_table_and_we_go_on(place: Place) -> None:
    ll.load(ROWS, place.lake(), table="t")
    table = place.library().load_table((place.namespace, "t"))
    assert sorted(table.scan().to_arrow()["id"].to_pylist()) == [1, 2, 3]
    table.append(pa.table({"id": [4]}).cast(pa.schema([("id", pa.int64())])))
    ll.load(pa.table({"id": [5]}), place.lake(), table="t")
    assert place.ids() == [1, 2, 3, 4, 5]
    again = place.library().load_table((place.namespace, "t"))
    assert sorted(again.scan().to_arrow()["id"].to_pylist()) == [1, 2, 3, 4, 5]


def test_table_of_pyiceberg_is_loaded_into_where_it_lies_and_read_by_it(place: Place) -> None:
    library = place.library()
    library.create_namespace(place.namespace)
    schema = Schema(
        NestedField(1, "id", LongType(), required=True, doc="a number"), NestedField(2, "name", StringType())
    )
    theirs = library.create_table((place.namespace, "t"), schema, location=f"{place.root}/elsewhere")
    report = ll.load([{"id": 1, "name": "x"}], place.lake(), table="t")
    assert not report.tables["t"].created
    theirs.refresh()
    assert_same_rows(theirs.scan().to_arrow(), pa.table({"id": [1], "name": ["x"]}))
    (column, _) = place.entry()["StorageDescriptor"]["Columns"]
    assert column["Comment"] == "a number"
    assert column["Parameters"]["iceberg.field.optional"] == "false"
