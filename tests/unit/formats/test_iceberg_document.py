from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from lakeload.errors import StorageError
from lakeload.formats.iceberg_document import Change, Document

SNAPSHOT = {
    "snapshot-id": 7,
    "sequence-number": 1,
    "timestamp-ms": 5,
    "manifest-list": "x",
    "summary": {"operation": "append"},
    "schema-id": 0,
}


def facts(**changed: Any) -> dict[str, Any]:
    empty = {
        "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "/lake/t", "last-sequence-number": 0,
        "last-updated-ms": 3, "last-column-id": 1, "current-schema-id": 0, "default-spec-id": 0, "last-partition-id": 999,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "a", "type": "long", "required": False}]}],
        "partition-specs": [{"spec-id": 0, "fields": []}], "sort-orders": [{"order-id": 0, "fields": []}], "default-sort-order-id": 0,
        "properties": {},
    }  # fmt: skip
    return empty | {name.replace("_", "-"): value for name, value in changed.items()}


def document(location: str = "/lake/t/metadata/00000-a.metadata.json", **changed: Any) -> Document:
    return Document.parse(location, json.dumps(facts(**changed)).encode())


def text(found: Document) -> dict[str, Any]:
    return json.loads(found.encode())


def test_what_is_not_known_is_kept_as_it_is() -> None:
    found = document(invention={"deep": [1, 2.5]}, refs={"audit": {"type": "tag", "snapshot-id": 1}})
    after = text(found.next("new", Change(9, snapshot=SNAPSHOT)))
    assert after["invention"] == {"deep": [1, 2.5]}
    assert after["refs"] == {
        "audit": {"type": "tag", "snapshot-id": 1},
        "main": {"type": "branch", "snapshot-id": 7},
    }


def test_a_snapshot_becomes_the_head_and_enters_both_logs() -> None:
    before = document()
    after = before.next("new", Change(9, snapshot=SNAPSHOT, properties={"k": "v"}))
    assert (after.head, after.location, after.properties) == (7, "new", {"k": "v"})
    stored = text(after)
    assert stored["snapshots"] == [SNAPSHOT]
    assert stored["snapshot-log"] == [{"snapshot-id": 7, "timestamp-ms": 9}]
    assert stored["metadata-log"] == [{"metadata-file": before.location, "timestamp-ms": 3}]
    assert (stored["last-sequence-number"], stored["last-updated-ms"]) == (1, 9)
    assert after.model.current_snapshot().snapshot_id == 7


@pytest.mark.parametrize("snapshots", [[], None, [{"snapshot-id": 1}, {"snapshot-id": 2}]])
@pytest.mark.parametrize("looked_at", [True, False])
def test_snapshots_are_added_behind_the_others(snapshots: Any, looked_at: bool) -> None:
    before = document(snapshots=snapshots)
    if looked_at:
        assert before.snapshot(7) is None
    after = before.next("new", Change(9, snapshot=SNAPSHOT))
    numbers = [snapshot["snapshot-id"] for snapshot in text(after)["snapshots"]]
    assert numbers == [*(snapshot["snapshot-id"] for snapshot in snapshots or []), 7]
    assert all(after.snapshot(number) is not None for number in numbers)


def test_time_never_runs_backwards() -> None:
    assert text(document(last_updated_ms=50).next("new", Change(9)))["last-updated-ms"] == 50


def test_minus_one_is_no_snapshot() -> None:
    assert document(current_snapshot_id=-1).head is None


def test_only_as_many_old_versions_are_listed_as_the_table_keeps() -> None:
    found = document(
        properties={
            "write.metadata.previous-versions-max": "2",
            "write.metadata.delete-after-commit.enabled": "true",
        }
    )
    for number in range(4):
        before, found = found, found.next(f"v{number}", Change(number))
    assert [entry["metadata-file"] for entry in found.get("metadata-log")] == ["v1", "v2"]
    assert before.forgotten(found) == ["v0"]
    kept = document(
        metadata_log=[{"metadata-file": "old", "timestamp-ms": 1}],
        properties={"write.metadata.previous-versions-max": "1"},
    )
    assert kept.forgotten(kept.next("new", Change(1))) == []


def test_ancestors_end_where_snapshots_were_expired() -> None:
    chain = [
        {"snapshot-id": 2, "parent-snapshot-id": 1},
        {"snapshot-id": 3, "parent-snapshot-id": 2},
        {"snapshot-id": 9, "parent-snapshot-id": 2},
    ]
    assert [
        snapshot["snapshot-id"] for snapshot in document(snapshots=chain, current_snapshot_id=3).ancestors()
    ] == [3, 2]


def test_compressed_metadata_is_read_and_damaged_metadata_is_told() -> None:
    data = json.dumps(facts()).encode()
    assert Document.parse("x.gz.metadata.json", gzip.compress(data)).get("last-column-id") == 1
    for broken in (data[:-9], gzip.compress(data)[:-20], b""):
        with pytest.raises(StorageError, match="damaged"):
            Document.parse("x", broken)


def test_a_change_is_recognised_by_what_only_it_can_have_left() -> None:
    before = document()
    change = Change(9, snapshot=SNAPSHOT)
    assert change.landed_in(before.next("new", change))
    assert not change.landed_in(before)
    assert not change.landed_in(None)
    assert Change(9, properties={"k": "v"}).landed_in(before.next("new", Change(9, properties={"k": "v"})))
    assert not Change(9, properties={"k": "v"}).landed_in(before)
