"""Folding: small files become few, in a commit that changes no row."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from lakes import Place

import lakeload as ll

LOADS = 24


def rows(start: int, count: int = 10) -> pa.Table:
    return pa.table({"id": pa.array(range(start, start + count), pa.int64())})


def fill(place: Place, **options: Any) -> None:
    lake = place.lake()
    for i in range(LOADS):
        ll.load(rows(i * 10), lake, table="t", **options)


def test_small_loads_leave_few_files_and_every_row(place: Place) -> None:
    fill(place)
    assert len(place.table().files()) < LOADS // 2
    place.holds(rows(0, LOADS * 10))


def test_folding_can_be_turned_off(local_place: Place) -> None:
    fill(local_place, fold=False)
    assert len(local_place.table().files()) == LOADS
    assert all(entry.operation in ("append", "create") for entry in local_place.table().history())


def test_delta_folding_says_that_no_data_changed(local_place: Place) -> None:
    """Replaying the log by its dataChange flags sees every row once, as an append."""
    fill(local_place)
    if "delta" not in local_place.formats:
        assert any(s.summary.operation.value == "replace" for s in local_place.iceberg().metadata.snapshots)
        return
    log = local_place.filesystem.glob(f"{local_place.location()}/_delta_log/*.json")
    added, folds = 0, 0
    for path in log:
        with local_place.filesystem.open(path) as stream:
            actions = [json.loads(line) for line in stream]
        removes = [action["remove"] for action in actions if "remove" in action]
        adds = [action["add"] for action in actions if "add" in action]
        folds += bool(removes)
        assert all(not remove["dataChange"] for remove in removes)
        if removes:
            assert all(not add["dataChange"] for add in adds)
        added += sum(json.loads(add["stats"])["numRecords"] for add in adds if add["dataChange"])
    assert folds > 0
    assert added == LOADS * 10


def test_iceberg_folding_is_a_replace_and_appends_stay_appends(local_place: Place) -> None:
    fill(local_place)
    if "iceberg" not in local_place.formats:
        assert any(entry.operation == "replace" for entry in local_place.table().history())
        return
    snapshots = local_place.iceberg().metadata.snapshots
    operations = [snapshot.summary.operation.value for snapshot in snapshots]
    assert operations.count("append") == LOADS
    assert set(operations) == {"append", "replace"}
    added = sum(int(s.summary["added-records"]) for s in snapshots if s.summary.operation.value == "append")
    assert added == LOADS * 10
    for snapshot in snapshots:
        if snapshot.summary.operation.value == "replace":
            assert snapshot.summary["added-records"] == snapshot.summary["deleted-records"]


def test_folding_keeps_partitions_apart_and_files_sorted(local_place: Place) -> None:
    lake = local_place.lake()
    for i in range(LOADS):
        batch = pa.table({"p": ["a", "b", None], "id": pa.array([-i, -i, -i], pa.int64())})
        ll.load(batch, lake, table="t", partition_by="p", sort_by="id")
    files = local_place.table().files()
    assert {file.partition for file in files} == {("a",), ("b",), (None,)}
    assert len(files) < 3 * LOADS // 2
    expected = pa.table(
        {
            "p": ["a", "b", None] * LOADS,
            "id": pa.array([-i for i in range(LOADS) for _ in range(3)], pa.int64()),
        }
    )
    local_place.holds(expected)


def test_folding_moves_no_position(local_place: Place) -> None:
    @ll.resource(name="t", cursor=ll.Cursor("id"))
    def source(since: Any):
        yield [{"id": i} for i in range((since or 0) + 1, (since or 0) + 3)]

    for i in range(LOADS):
        assert ll.Pipeline("p", local_place.lake()).run(source).tables["t"].rows == 2, f"run {i}"
    local_place.holds(pa.table({"id": pa.array(range(1, 2 * LOADS + 1), pa.int64())}))
