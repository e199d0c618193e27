"""Tables other programs made: loaded into on their terms, or refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from lakes import Place

import lakeload as ll

FIRST = pa.table({"Id": pa.array([1, 2], pa.int64()), "Part": ["a", "b"]})
SECOND = pa.table({"Id": pa.array([3], pa.int64()), "Part": ["b"]})
BOTH = pa.concat_tables([FIRST, SECOND])


def make_delta(place: Place, **options: object) -> None:
    from deltalake import write_deltalake

    storage = {**place.storage, "aws_allow_http": "true"} if place.storage else None
    write_deltalake(place.location(), FIRST, storage_options=storage, **options)


def make_iceberg(place: Place, *, partitioned: bool = False) -> None:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.transforms import IdentityTransform
    from readers import pyiceberg_properties

    catalog = SqlCatalog(
        "default", uri=place.catalog, warehouse=place.root, **pyiceberg_properties(place.storage)
    )
    catalog.create_namespace_if_not_exists(place.namespace)
    table = catalog.create_table(
        (place.namespace, "t"), schema=FIRST.schema, location=place.location(), properties={"owner": "them"}
    )
    if partitioned:
        with table.update_spec() as spec:
            spec.add_field("Part", IdentityTransform(), "their_part")
    table.append(FIRST)
    catalog.engine.dispose()


@pytest.fixture
def delta(request: pytest.FixtureRequest, where: str, tmp_path: Path) -> Place:
    if where == "local":
        return Place(("delta",), str(tmp_path / "lake"))
    return Place(
        ("delta",), request.getfixturevalue("s3_prefix"), request.getfixturevalue("s3").storage_options
    )


@pytest.fixture
def iceberg(request: pytest.FixtureRequest, where: str, tmp_path: Path) -> Place:
    catalog = f"sqlite:///{tmp_path}/catalog.db"
    if where == "local":
        return Place(("iceberg",), str(tmp_path / "lake"), catalog=catalog)
    return Place(
        ("iceberg",),
        request.getfixturevalue("s3_prefix"),
        request.getfixturevalue("s3").storage_options,
        catalog,
    )


def test_delta_table_keeps_its_names_partitions_and_properties(delta: Place) -> None:
    make_delta(delta, partition_by=["Part"], configuration={"delta.logRetentionDuration": "interval 9 days"})
    delta.load(SECOND)
    table = delta.table()
    assert sorted(table.schema().names) == ["Id", "Part"]
    assert "lakeload.created" not in table.properties()
    assert delta.delta().metadata().configuration["delta.logRetentionDuration"] == "interval 9 days"
    assert delta.delta().metadata().partition_columns == ["Part"]
    assert {file.partition for file in table.files()} == {("a",), ("b",)}
    delta.holds(BOTH)


def test_iceberg_table_keeps_its_names_partitions_and_properties(iceberg: Place) -> None:
    make_iceberg(iceberg, partitioned=True)
    iceberg.load(SECOND)
    table = iceberg.table()
    assert table.schema().names == ["Id", "Part"]
    assert table.properties()["owner"] == "them"
    assert "lakeload.created" not in table.properties()
    assert [field.name for field in iceberg.iceberg().spec().fields] == ["their_part"]
    iceberg.holds(BOTH)


def test_delta_table_takes_turns_with_its_owner(delta: Place) -> None:
    from deltalake import write_deltalake

    delta.load(FIRST, load_columns=False)
    storage = {**delta.storage, "aws_allow_http": "true"} if delta.storage else None
    names = delta.table().schema().names
    write_deltalake(delta.location(), FIRST.rename_columns(names), mode="append", storage_options=storage)
    delta.load(SECOND)
    delta.holds(pa.concat_tables([FIRST, FIRST, SECOND]).rename_columns(names))


def test_delta_files_without_their_partition_column_are_folded_into_their_partition(delta: Place) -> None:
    """deltalake, like Trino and older Sparks, leaves partition columns to the log."""
    from deltalake import write_deltalake

    storage = {**delta.storage, "aws_allow_http": "true"} if delta.storage else None
    small = [pa.table({"Id": pa.array([n], pa.int64()), "Part": ["a b/%:"]}) for n in range(8)]
    for rows in small:
        write_deltalake(delta.location(), rows, mode="append", partition_by=["Part"], storage_options=storage)
    report = delta.load(SECOND)
    assert report.tables["t"].folded == 8
    assert {file.partition for file in delta.table().files()} == {("a b/%:",), ("b",)}
    delta.holds(pa.concat_tables([*small, SECOND]))


def test_iceberg_table_takes_turns_with_its_owner(iceberg: Place) -> None:
    iceberg.load(FIRST, load_columns=False)
    names = iceberg.table().schema().names
    iceberg.iceberg_append(FIRST.rename_columns(names))
    iceberg.load(SECOND)
    iceberg.holds(pa.concat_tables([FIRST, FIRST, SECOND]).rename_columns(names))


def test_delta_table_with_column_mapping_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    configuration = {
        "delta.columnMapping.mode": "name",
        "delta.minReaderVersion": "2",
        "delta.minWriterVersion": "5",
    }
    place = Place(("delta",), str(tmp_path / "lake"))
    from deltalake import DeltaTable, Schema

    DeltaTable.create(place.location(), schema=Schema.from_arrow(FIRST.schema), configuration=configuration)
    version, files = place.delta().version(), place.data_files()
    with pytest.raises(ll.TableError) as caught:
        place.load(SECOND)
    assert caught.value.table == "t"
    assert caught.value.hint
    assert place.delta().version() == version
    assert place.data_files() == files


@pytest.mark.parametrize("switch", ["delta.appendOnly", "delta.enableChangeDataFeed"])
def test_an_overwrite_the_table_forbids_is_refused_before_anything_is_written(
    tmp_path: Path, switch: str
) -> None:
    place = Place(("delta",), str(tmp_path / "lake"))
    make_delta(place, configuration={switch: "true"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ll.TableError, match=switch):
        place.load(SECOND, mode=ll.Overwrite())
    assert sorted(tmp_path.rglob("*")) == before


def test_overwriting_partitions_of_a_table_without_any_leaves_no_file_behind(tmp_path: Path) -> None:
    place = Place(("delta",), str(tmp_path / "lake"))
    make_delta(place)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ll.ConfigError, match="partitioned"):
        place.load(SECOND, mode=ll.Overwrite(partitions="dynamic"))
    assert [path for path in sorted(tmp_path.rglob("*.parquet")) if path not in before] == []


def test_delta_table_with_a_check_constraint_is_refused(tmp_path: Path) -> None:
    place = Place(("delta",), str(tmp_path / "lake"))
    make_delta(place)
    place.delta().alter.add_constraint({"positive": "Id > 0"})
    with pytest.raises(ll.TableError, match=r"(?i)constraint"):
        place.load(SECOND)
    assert place.delta().to_pyarrow_table().num_rows == FIRST.num_rows


def test_iceberg_load_at_the_place_of_a_delta_table_is_refused(tmp_path: Path) -> None:
    make_delta(Place(("delta",), str(tmp_path / "lake")))
    place = Place(("iceberg",), str(tmp_path / "lake"))
    with pytest.raises(ll.TableError, match=r"(?i)delta"):
        place.load(SECOND)
    assert not Path(place.location(), "_iceberg").exists()


def test_delta_load_at_the_place_of_an_iceberg_table_is_refused(tmp_path: Path) -> None:
    place = Place(("iceberg",), str(tmp_path / "lake"))
    place.load(SECOND)
    with pytest.raises(ll.TableError, match=r"(?i)iceberg"):
        Place(("delta",), str(tmp_path / "lake")).load(SECOND)
    assert not Path(place.location(), "_delta_log").exists()


@pytest.mark.parametrize("one", ["delta", "iceberg"])
def test_load_of_one_format_into_a_table_of_both_is_refused(tmp_path: Path, one: str) -> None:
    place = Place(("delta", "iceberg"), str(tmp_path / "lake"))
    place.load(SECOND)
    before = place.versions()
    with pytest.raises(ll.TableError) as caught:
        Place((one,), str(tmp_path / "lake")).load(SECOND)
    assert caught.value.hint
    assert place.versions() == before
    place.holds(SECOND.rename_columns(["id", "part"]))
