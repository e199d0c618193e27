"""Find the current metadata file of an Iceberg table no catalog knows, to register it."""

from __future__ import annotations

import re

import msgspec

from lakeload.errors import TableError
from lakeload.formats.iceberg_document import Document
from lakeload.write.store import Store

_FOLDERS = ("_iceberg", "metadata")
_METADATA = re.compile(r"v?(\d+)(-[^.]*)?(\.gz)?\.metadata\.json(\.gz)?")


def newest_metadata(store: Store) -> str:
    """Address of the newest metadata file below a table.

    The number in the name counts versions (Iceberg specification, "File System Tables" and "Metastore
    Tables"); of two files with one number, left by writers that raced, the later written one is taken.

    Args:
        store: Rooted at the table.

    Raises:
        TableError: There is none, or two with one number that do not tell which is later.

    Example:
        >>> newest_metadata(Store("/nowhere"))
        Traceback (most recent call last):
        lakeload.errors.TableError: no Iceberg metadata lies there (in /nowhere). Check lake and table.
    """
    found = metadata_files(store)
    if not found:
        raise TableError("no Iceberg metadata lies there", place=store.root, hint="Check lake and table.")
    highest = max(number for number, _ in found)
    candidates = [path for number, path in found if number == highest]
    newest = max(candidates, key=lambda path: _written(store, path)) if len(candidates) > 1 else candidates[0]
    return store.uri(newest)


def metadata_files(store: Store) -> list[tuple[int, str]]:
    """Version numbers and paths of all metadata files below a table, in no order.

    Example:
        >>> metadata_files(Store("/nowhere"))
        []
    """
    return [
        (int(match[1]), f"{folder}/{name}")
        for folder in _FOLDERS
        for name in store.names(folder)
        if (match := _METADATA.fullmatch(name))
    ]


def _written(store: Store, path: str) -> int:
    data = store.read(path) or b"{}"
    try:
        return int(Document.parse(path, data).get("last-updated-ms", 0))
    except msgspec.DecodeError:  # a writer died while writing it
        return 0
