"""Delta tables get their names in a catalog as part of every load, and a silent catalog holds up nothing.

The catalog is a mock of AWS Glue (moto): the same is shown against a real Hive Metastore in `tests/engines`.
"""

from __future__ import annotations

import subprocess

import pyarrow as pa
import pytest
from lakes import PROGRAM
from services.moto import Glue

import lakeload as ll

NOBODY = "glue://?region=us-east-1&endpoint=http%3A%2F%2F127.0.0.1%3A9"
"""A Glue that does not answer."""


@pytest.fixture
def lake_of(tmp_path, glue: Glue, rest_namespace: str):
    """Makes handles on one local lake, with the catalog given."""

    def make(catalog=glue.uri, root="lake", **options):
        return ll.Lakehouse(
            tmp_path / root,
            catalog=catalog,
            storage_options=glue.storage,
            namespace=rest_namespace,
            **options,
        )

    return make


def run_program(*arguments: str) -> str:
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def columns(glue: Glue, namespace: str, table: str) -> list[str]:
    entry = glue.entry(namespace, table)["StorageDescriptor"]["Columns"]
    return [column["Name"] for column in entry]


def test_load_registers_a_new_table_and_keeps_the_entry_in_step(lake_of, glue: Glue, rest_namespace: str):
    lake = lake_of()
    report = ll.load([{"id": 1}], lake, table="t", load_columns=False)
    assert report.tables["t"].unregistered is None
    entry = glue.entry(rest_namespace, "t")
    assert entry["Parameters"]["spark.sql.sources.provider"] == "delta"
    assert entry["StorageDescriptor"]["Location"].endswith("/t")
    assert columns(glue, rest_namespace, "t") == ["id"]
    ll.load([{"id": 2, "name": "b"}], lake_of(), table="t")
    assert columns(glue, rest_namespace, "t") == ["id", "name"]
    assert lake_of().drift("t") == {"delta": ()}


def test_second_load_without_a_schema_change_leaves_the_entry_alone(lake_of, glue: Glue, rest_namespace: str):
    ll.load([{"id": 1}], lake_of(), table="t")
    before = glue.entry(rest_namespace, "t")["VersionId"]
    ll.load([{"id": 2}], lake_of(), table="t")
    assert glue.entry(rest_namespace, "t")["VersionId"] == before


def test_silent_catalog_holds_up_no_load_and_the_next_run_registers_what_is_missing(
    lake_of, glue: Glue, rest_namespace: str
):
    report = ll.Pipeline("p", lake_of(NOBODY)).run([{"id": 1}], table="first")
    assert report.tables["first"].rows == 1
    assert "cannot be asked" in (report.tables["first"].unregistered or "")
    assert "not registered" in str(report)
    report = ll.Pipeline("p", lake_of()).run([{"id": 1}], table="second")
    assert report.tables["second"].unregistered is None
    assert columns(glue, rest_namespace, "first")[0] == "id"
    assert columns(glue, rest_namespace, "second")[0] == "id"
    assert lake_of().table("first").to_arrow(["id"]).to_pylist() == [{"id": 1}]


def test_run_with_nothing_new_still_registers_what_is_missing(lake_of, glue: Glue, rest_namespace: str):
    rows = [{"id": 1}]
    cursor = ll.Cursor("id")
    ll.load(rows, lake_of(NOBODY), table="t", cursor=cursor, pipeline="p")
    report = ll.load(rows, lake_of(), table="t", cursor=cursor, pipeline="p")
    assert report.sequence is None
    assert columns(glue, rest_namespace, "t")[0] == "id"


def test_name_of_an_iceberg_table_is_refused_before_anything_is_written(lake_of, rest_namespace: str):
    ll.load([{"id": 1}], lake_of(root="other", format="iceberg"), table="t")
    lake = lake_of(format="delta")
    with pytest.raises(ll.TableError, match="belongs to a table of the kind 'iceberg'"):
        ll.load([{"id": 1}], lake, table="t")
    assert lake.store("t").names("") == []


def test_name_of_a_table_at_another_place_is_refused_and_can_be_taken_over(
    lake_of, glue: Glue, rest_namespace: str
):
    ll.load([{"id": 1}], lake_of(root="other"), table="t")
    with pytest.raises(ll.TableError, match=r"has .*\.t at .*/other/.*, this lake at .*/lake/") as refusal:
        ll.load([{"id": 2}], lake_of(), table="t")
    assert "register --replace" in str(refusal.value)
    ll.load([{"id": 2}], lake_of(catalog=None), table="t")
    assert lake_of().register("t", replace=True) == ("delta",)
    assert "/lake/" in glue.entry(rest_namespace, "t")["StorageDescriptor"]["Location"]


def test_drift_names_what_differs(lake_of, rest_namespace: str):
    ll.load([{"id": 1}], lake_of(), table="t", load_columns=False)
    ll.load([{"id": 2, "name": "b"}], lake_of(catalog=None), table="t")
    assert lake_of().drift("t") == {"delta": ("column name is missing",)}
    ll.load([{"id": 1}], lake_of(catalog=None), table="u", load_columns=False)
    assert lake_of().drift("u") == {"delta": ("not registered",)}


def test_both_formats_have_their_own_catalogs(lake_of, tmp_path, glue: Glue, rest_namespace: str):
    catalogs = {"delta": glue.uri, "iceberg": f"sqlite:///{tmp_path}/c.db"}
    ll.load([{"id": 1}], lake_of(catalogs, format="both"), table="t", load_columns=False)
    assert columns(glue, rest_namespace, "t") == ["id"]
    assert lake_of(catalogs, format="both").drift("t") == {"delta": (), "iceberg": ()}


def test_one_catalog_for_both_formats_is_refused(lake_of):
    with pytest.raises(ll.ConfigError, match="one catalog cannot hold a table in both formats") as refusal:
        lake_of(format="both")
    assert "catalog={" in str(refusal.value)


def test_drop_forgets_the_entry_and_keeps_the_files(lake_of, rest_namespace: str):
    ll.load([{"id": 1}], lake_of(), table="t", load_columns=False)
    lake_of().drop("t")
    assert lake_of().drift("t") == {"delta": ("not registered",)}
    assert lake_of().table("t").to_arrow().to_pylist() == [{"id": 1}]
    with pytest.raises(ll.TableError, match="no catalog of this lake knows the table") as refusal:
        lake_of().drop("t")
    assert "purge" in str(refusal.value)


def test_drop_with_purge_deletes_the_files_and_the_name_is_free_again(lake_of, rest_namespace: str):
    ll.load([{"id": 1}], lake_of(), table="t", load_columns=False, pipeline="p")
    lake_of().drop("t", purge=True)
    assert lake_of().tables() == []
    ll.load([{"id": 2}], lake_of(), table="t", load_columns=False, pipeline="p")
    assert lake_of().table("t").to_arrow().to_pylist() == [{"id": 2}]


def test_iceberg_table_dropped_from_its_catalog_can_be_registered_again(tmp_path):
    lake = ll.Lakehouse(tmp_path / "lake", format="iceberg", catalog=f"sqlite:///{tmp_path}/c.db")
    ll.load([{"id": 1}], lake, table="t", load_columns=False)
    ll.load([{"id": 2}], lake, table="t")
    lake.drop("t")
    assert lake.drift("t") == {"iceberg": ("not registered",)}
    with pytest.raises(ll.TableError, match="register"):
        ll.load([{"id": 3}], lake, table="t")
    assert lake.register("t") == ("iceberg",)
    assert lake.register("t") == ()
    ll.load([{"id": 3}], lake, table="t")
    assert sorted(lake.table("t").to_arrow()["id"].to_pylist()) == [1, 2, 3]


def test_program_registers_shows_drift_and_drops(lake_of, glue: Glue, tmp_path, rest_namespace: str):
    ll.load(pa.table({"id": [1]}), lake_of(catalog=None), table="t", load_columns=False)
    options = [f"--storage-option={key}={value}" for key, value in glue.storage.items()]
    common = [str(tmp_path / "lake"), "t", "--catalog", glue.uri, "--namespace", rest_namespace, *options]
    assert "delta catalog: not registered" in run_program("inspect", *common)
    assert "registered delta" in run_program("register", *common)
    assert "up to date" in run_program("register", *common)
    assert "delta catalog: up to date" in run_program("inspect", *common)
    assert "its files stay" in run_program("drop", *common)
    assert "not registered" in run_program("inspect", *common)
