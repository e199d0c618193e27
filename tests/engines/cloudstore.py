"""What every object store must do, whoever's it is; the tests of each say it of one."""

from __future__ import annotations

import multiprocessing
import uuid
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable
from readers import assert_same_rows
from services.clouds import Cloud

import lakeload as ll
from lakeload.formats.iceberg_io import file_io
from lakeload.places import lake_root
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

ROWS = pa.table({"id": [1, 2, 3], "name": ["a", None, "c"]})
MORE = pa.table({"id": [4], "name": ["d"], "price": [1.5]})
ALL = pa.concat_tables([ROWS, MORE], promote_options="default")


def prefix(cloud: Cloud) -> str:
    """A place nobody else uses."""
    return f"{cloud.root}/{uuid.uuid4().hex[:12]}"


def options(cloud: Cloud) -> StorageOptions:
    """As a lake reads them."""
    return StorageOptions.read(cloud.storage_options, remote=True, scheme=cloud.root.partition("://")[0])


def store(cloud: Cloud, root: str) -> Store:
    """The store at a place."""
    return Store(lake_root(root, options(cloud).values), options(cloud))


def check_objects(cloud: Cloud) -> None:
    """Create, read, size, names, delete, and streams of several parts."""
    place = store(cloud, prefix(cloud))
    assert place.names("") == []
    assert place.read("a/b.json") is None
    assert place.size("a/b.json") is None
    assert place.create("a/b.json", b"{}")
    assert not place.create("a/b.json", b"other")
    assert (place.read("a/b.json"), place.size("a/b.json")) == (b"{}", 2)
    with place.open_output("a/big.bin") as stream:
        for number in range(20):
            stream.write(bytes([number]) * (1 << 20))
    assert place.size("a/big.bin") == 20 << 20
    assert (place.names(""), place.names("a")) == (["a"], ["b.json", "big.bin"])
    assert place.child("a").read("b.json") == b"{}"
    place.delete("a/b.json")
    place.delete("a/b.json")
    assert place.names("a") == ["big.bin"]


def check_one_winner(cloud: Cloud, writers: int = 4, races: int = 10) -> None:
    """Several processes put one key at once: exactly one is told that it did, and its bytes are there."""
    place = store(cloud, prefix(cloud))
    with ProcessPoolExecutor(writers, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_ready, [place] * writers))
        for race in range(races):
            told = [pool.submit(_put, place, f"race/{race}", writer) for writer in range(writers)]
            winners = [writer for writer, future in enumerate(told) if future.result()]
            assert len(winners) == 1, f"race {race}: told to have created it: {winners}"
            assert place.read(f"race/{race}") == str(winners[0]).encode()


def _ready(place: Store) -> None:
    place.read("nothing")  # the imports and the connection


def _put(place: Store, path: str, writer: int) -> bool:
    return place.create(path, str(writer).encode())


def check_lake(cloud: Cloud, tmp_path: Path) -> None:
    """Two loads, the second with a new column, into both formats, read by engines that did not write them."""
    place = prefix(cloud)

    def lake() -> ll.Lakehouse:
        return ll.Lakehouse(
            place,
            format="both",
            catalog=f"sqlite:///{tmp_path}/catalog.db",
            storage_options=cloud.storage_options,
        )

    for rows in (ROWS, MORE):
        assert ll.load(rows, lake(), table="t").tables["t"].rows == len(rows)
    assert lake().tables() == ["t"]
    assert_same_rows(lake().table("t").to_arrow(), ALL)
    for form in ("delta", "iceberg"):
        handle = lake().open("t", (form,))
        assert_same_rows(handle.lazy(handle.load()).collect().to_arrow(), ALL)

    location = lake().location("t")
    known = options(cloud).for_object_store(location)
    assert_same_rows(pa.table(DeltaTable(location, storage_options=known).scan()), ALL)
    assert_same_rows(pl.scan_delta(location, storage_options=known).collect().to_arrow(), ALL)
    iceberg = _iceberg(tmp_path, options(cloud))
    if place.startswith("gs:"):
        # The filesystem pyiceberg would make asks for the bucket's kind in a protocol the emulator does not speak.
        iceberg.io = file_io(store(cloud, place))
    assert_same_rows(iceberg.scan().to_arrow(), ALL)
    assert_same_rows(
        pl.scan_iceberg(iceberg, storage_options=known, reader_override="native").collect().to_arrow(), ALL
    )
    assert file_io(store(cloud, place)).new_input(iceberg.metadata_location).exists()


def _iceberg(tmp_path: Path, known: StorageOptions):
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog("default", uri=f"sqlite:///{tmp_path}/catalog.db", **known.for_pyiceberg())
    try:
        return catalog.load_table(("default", "t"))
    finally:
        catalog.engine.dispose()


def check_sources(cloud: Cloud) -> None:
    """Files on the store are a source like any other."""
    root = prefix(cloud)
    place = store(cloud, root)
    for name, line in (("1.jsonl", b'{"a": 1}\n'), ("2.jsonl", b'{"a": 2}\n')):
        assert place.create(f"in/{name}", line)
    for url in (f"{root}/in", f"{root}/in/*.jsonl"):
        report = ll.load(url, f"{root}/lake", table="t", storage_options=cloud.storage_options)
        assert report.tables["t"].rows == 2
