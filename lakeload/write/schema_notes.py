"""Notes beside a table of the schemas loads gave it, for when its log has forgotten them.

Beside write and commit. Delta's log is cleaned up after a month, and Iceberg's snapshots expire; a note is
written once and stays. Notes lie at `<table>/_lakeload/schema/<load id>.json`: below a name that begins with
`_`, which VACUUM (Delta) and removal of orphan files (Iceberg on Spark) pass over. They are an aid, never the
truth: a load does not fail for want of one, and one that is lost costs a line of old history.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pyarrow as pa

from lakeload.errors import LakeloadError
from lakeload.model.schema_history import SchemaRecord
from lakeload.model.values import schema_from_text, schema_to_text
from lakeload.write.store import Store

NOTES = "_lakeload/schema"
"""Folder below a table."""

_READERS = 8
_VERSION = 1


def write_note(store: Store, record: SchemaRecord) -> None:
    """Note what a load did to the schema; once per load, and silent when the place does not take it.

    Args:
        store: Rooted at the table.
        record: The schema after the load; its `load_id` names the note.

    Example:
        >>> import tempfile
        >>> store = Store(tempfile.mkdtemp())
        >>> write_note(store, SchemaRecord(0, pa.schema([("a", pa.int64())]), load_id="load-a", first=True))
        >>> [note.load_id for note in read_notes(store)]
        ['load-a']
    """
    content = {
        "version": _VERSION,
        "load_id": record.load_id,
        "at": None if record.at is None else record.at.isoformat(),
        "table_version": record.version,
        "created": record.first,
        "schema": schema_to_text(record.schema),
    }
    with contextlib.suppress(LakeloadError):
        store.create(f"{NOTES}/{record.load_id}.json", msgspec.json.encode(content))


def read_notes(store: Store) -> list[SchemaRecord]:
    """All notes that can be read, by load id; none when there are none or the place refuses.

    Args:
        store: Rooted at the table.
    """
    try:
        paths = [f"{NOTES}/{name}" for name in sorted(store.names(NOTES)) if name.endswith(".json")]
        with ThreadPoolExecutor(_READERS) as pool:
            found = list(pool.map(store.read, paths))
    except LakeloadError:
        return []
    return [note for note in map(_note, found) if note is not None]


def _note(data: bytes | None) -> SchemaRecord | None:
    try:
        raw = msgspec.json.decode(data or b"")
        if raw["version"] != _VERSION:
            return None
        return SchemaRecord(
            version=raw["table_version"],
            schema=schema_from_text(raw["schema"]),
            at=None if raw["at"] is None else dt.datetime.fromisoformat(raw["at"]),
            load_id=raw["load_id"],
            first=raw["created"],
        )
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, pa.ArrowException, OSError):
        return None  # cut short, or of a later release
