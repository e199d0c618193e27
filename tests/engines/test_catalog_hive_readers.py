"""Tables registered in a Hive Metastore are found by name: by Spark's session catalog, by Trino, and back."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from readers import assert_same_rows
from services.hive import Hive
from services.hive_spark import ICEBERG, HiveSpark
from services.java import NoJavaError
from services.seaweedfs import S3
from services.trino import Trino, s3_properties
from trino.exceptions import TrinoExternalError

import lakeload as ll

FORMATS = ("delta", "iceberg")
AT = dt.datetime(2024, 3, 1, 10, 30, 0, 123000, tzinfo=dt.UTC)
ROWS = pa.table(
    {
        "id": [1, 2, 3],
        "Größe": ["a", None, "c"],
        "at": pa.array([AT, None, AT], pa.timestamp("us", "UTC")),
        "local": pa.array([AT.replace(tzinfo=None)] * 3, pa.timestamp("us")),
        "day": pa.array([dt.date(1960, 1, 1), dt.date(2024, 2, 29), None]),
        "price": pa.array([Decimal("1.50"), None, Decimal("-99999999.99")], pa.decimal128(10, 2)),
        "flag": [True, None, False],
        "raw": [b"\x00\xff", b"", None],
        "ratio": [0.5, None, -1.25],
        "lines": [[{"sku": "x", "n": 1}], [], [{"sku": None, "n": 2}, {"sku": "y", "n": 3}]],
        "country": ["IS", "NO", "IS"],
    }
)


@dataclass(frozen=True)
class Shared:
    """A namespace of the metastore, and everybody who looks at it."""

    hive: Hive
    spark: HiveSpark
    trino: Trino
    s3: S3
    root: str
    namespace: str

    def lake(self, form: str, **given: Any) -> ll.Lakehouse:
        return ll.Lakehouse(
            self.root,
            format=form,
            **{
                "catalog": self.hive.uri,
                "storage_options": self.s3.storage_options,
                "namespace": self.namespace,
                **given,
            },
        )

    def name(self, engine: str, form: str, table: str = "t") -> str:
        catalog = {"spark": {"delta": "spark_catalog", "iceberg": ICEBERG}, "trino": {form: f"hive_{form}"}}
        return f"{catalog[engine][form]}.{self.namespace}.{table}"

    def run(self, engine: str, statement: str) -> None:
        (self.spark if engine == "spark" else self.trino).query(statement)

    def read(self, engine: str, form: str, table: str = "t") -> pa.Table:
        schema = self.lake(form).table(table).schema()
        statement = f"SELECT * FROM {self.name(engine, form, table)}"
        if engine == "trino":
            found = self.trino.query(statement)
            found.names[:] = schema.names  # Trino knows lower case only
            return found.arrow(schema)
        return self.spark.query(statement)


@pytest.fixture(scope="module")
def hive_spark(hive: Hive, s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HiveSpark]:
    """Spark over the metastore."""
    server = HiveSpark(tmp_path_factory.mktemp("hive_spark"), s3, hive)
    try:
        server.start()
    except NoJavaError as missing:
        pytest.skip(str(missing))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def hive_trino(trino: Trino, hive: Hive, s3: S3) -> Trino:
    """Trino with a catalog for either format over the metastore."""
    delta = {"hive.metastore": "thrift", "delta.enable-non-concurrent-writes": "true"}
    iceberg = {"iceberg.catalog.type": "hive_metastore"}
    for form, connector, given in (("delta", "delta_lake", delta), ("iceberg", "iceberg", iceberg)):
        trino.catalog(
            f"hive_{form}", connector, {"hive.metastore.uri": hive.thrift, **given, **s3_properties(s3)}
        )
    return trino


@pytest.fixture
def shared(hive_spark: HiveSpark, hive_trino: Trino, s3: S3, s3_prefix: str, rest_namespace: str) -> Shared:
    return Shared(hive_spark.hive, hive_spark, hive_trino, s3, s3_prefix, rest_namespace)


@pytest.mark.parametrize("form", FORMATS)
def test_registered_table_is_read_by_name_with_every_type_and_after_evolution(
    shared: Shared, form: str
) -> None:
    lake = shared.lake(form)
    ll.load(ROWS, lake, table="t", partition_by="country", load_columns=False)
    for engine in ("spark", "trino"):
        assert_same_rows(shared.read(engine, form), lake.table("t").to_arrow(), types=False)
    more = [{"id": 4, "country": "SE", "more": 2.5, "lines": [{"sku": "z", "n": 1, "deep": {"a": True}}]}]
    ll.load(more, lake, table="t", load_columns=False)
    for engine in ("spark", "trino"):
        found = shared.read(engine, form)
        assert found.num_rows == 4
        assert_same_rows(found, lake.table("t").to_arrow(), types=False)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("engine", ["spark", "trino"])
def test_table_made_and_written_by_an_engine_is_loaded_into_and_back(
    shared: Shared, engine: str, form: str
) -> None:
    place, name = f"{shared.root}/{shared.namespace}/t", shared.name(engine, form)
    schema = f"{shared.name(engine, form).rsplit('.', 1)[0]}"
    if engine == "spark":
        using = f"USING {form}" + (f" LOCATION '{place.replace('s3:', 's3a:')}'" if form == "delta" else "")
        shared.run(engine, f"CREATE SCHEMA {schema} LOCATION '{shared.root.replace('s3:', 's3a:')}/db'")
        shared.run(
            engine, f"CREATE TABLE {name} (id BIGINT, country STRING) {using} PARTITIONED BY (country)"
        )
    else:
        by = "partitioned_by" if form == "delta" else "partitioning"
        shared.run(engine, f"CREATE SCHEMA {schema} WITH (location = '{shared.root}/db')")
        shared.run(
            engine,
            f"CREATE TABLE {name} (id BIGINT, country VARCHAR) WITH ({by} = ARRAY['country'], location = '{place}')",
        )
    shared.run(engine, f"INSERT INTO {name} VALUES (1, 'IS')")
    report = ll.load([{"id": 2, "country": "NO", "more": True}], shared.lake(form), table="t")
    assert not report.tables["t"].created
    shared.run(engine, f"INSERT INTO {name} VALUES (3, 'SE', false)")
    expected = pa.table({"id": [1, 2, 3], "country": ["IS", "NO", "SE"], "more": [None, True, False]})
    for reader in ("spark", "trino"):
        assert_same_rows(shared.read(reader, form), expected)
    assert_same_rows(shared.lake(form).table("t").to_arrow(), expected)


@pytest.mark.parametrize("engine", ["spark", "trino"])
def test_iceberg_writers_at_once_through_the_metastores_locks_lose_and_double_nothing(
    shared: Shared, engine: str
) -> None:
    ll.load([{"id": 0}], shared.lake("iceberg"), table="t", load_columns=False)
    landed: list[int] = []

    def theirs() -> None:
        for number in range(100, 104):
            # An engine that lost every race reports so; then its row must not be there.
            with suppress(RuntimeError, TrinoExternalError):
                shared.run(engine, f"INSERT INTO {shared.name(engine, 'iceberg')} VALUES ({number})")
                landed.append(number)

    other = threading.Thread(target=theirs)
    other.start()
    ours = 0
    while other.is_alive() or not ours:
        ours += 1
        ll.load([{"id": ours}], shared.lake("iceberg"), table="t", load_columns=False, fold=False)
        other.join(0.5)  # engines try a few times only
    assert landed
    expected = pa.table({"id": [*range(ours + 1), *landed]})
    for reader in ("spark", "trino"):
        assert_same_rows(shared.read(reader, "iceberg"), expected)


def test_names_of_the_two_formats_are_told_apart(shared: Shared) -> None:
    ll.load(ROWS, shared.lake("delta"), table="d")
    ll.load(ROWS, shared.lake("iceberg"), table="i")
    with pytest.raises(ll.TableError, match="iceberg"):
        ll.load(ROWS, shared.lake("delta"), table="i")
    with pytest.raises(ll.TableError, match="delta"):
        ll.load(ROWS, shared.lake("iceberg"), table="d")


def test_delta_table_of_that_name_at_another_place_is_named_and_nothing_is_written(shared: Shared) -> None:
    ll.load(ROWS, shared.lake("delta"), table="t")
    other = ll.Lakehouse(
        f"{shared.root}-other", format="delta", catalog=shared.hive.uri, namespace=shared.namespace,
        storage_options=shared.s3.storage_options,
    )  # fmt: skip
    with pytest.raises(ll.TableError, match=f"at {shared.root}/{shared.namespace}/t"):
        ll.load(ROWS, other, table="t")
    assert other.tables() == []
