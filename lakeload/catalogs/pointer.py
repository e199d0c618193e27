"""Committing to a catalog that keeps one pointer per Iceberg table: the place of its newest metadata file.

SQL databases, the Hive Metastore and AWS Glue all do. A commit writes the next metadata file and then swaps
the pointer from the old file to the new, if it still points to the old: the end of
extract → normalize → write → commit. How a pointer is swapped differs and is in the module of each catalog.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Protocol

from lakeload.errors import CatalogError, LakeloadError, StorageError
from lakeload.formats.iceberg_document import Change, Document, created, metadata_folder
from lakeload.write.store import Store


class Pointing(Protocol):
    """What a catalog does for one table."""

    def location(self) -> str | None:
        """The newest metadata file; `None` when there is no such table.

        Raises:
            CatalogError: The catalog refused or did not answer.
            TableError: The name is taken by something that is no Iceberg table.
        """
        ...

    def swap(self, base: Document | None, after: Document) -> bool:
        """Point from `base` to `after`; make the entry when `base` is `None`.

        Returns:
            False when somebody else was faster: then nothing was changed.

        Raises:
            CatalogError: The catalog refused, or it is not known whether it did it.
        """
        ...


class Pointer:
    """The `Register` of one Iceberg table behind such a catalog.

    Args:
        pointing: The catalog's part.
        namespace: Namespace of the table, for messages.
        name: Name of the table, for messages.
        store: Rooted where the table would be created; carries the storage options.
    """

    creates_whole = True

    def __init__(self, pointing: Pointing, namespace: str, name: str, store: Store) -> None:
        self._pointing, self._store = pointing, store
        self._table = f"{namespace}.{name}"

    def load(self, cached: Document | None) -> Document | None:
        """The newest metadata, `cached` itself when it still is; `None` when there is no such table."""
        location = self._pointing.location()
        if location is None:
            return None
        if cached is not None and cached.location == location:
            return cached
        return Document.parse(location, self._read(location))

    def publish(self, base: Document | None, change: Change) -> Document | None:
        """Publish the change if the table still is at `base`; `None` when it is not.

        Raises:
            CatalogError: The catalog refused, or it is not known whether the change landed.
            StorageError: The metadata file cannot be written.
        """
        after = _next(base, change)
        self._write(after)
        try:
            swapped = self._pointing.swap(base, after)
        except CatalogError:
            # The answer may be lost although the catalog did it: look before deciding.
            with suppress(LakeloadError):
                found = self._landed(after, change)
                if found is not None:
                    return found
            raise
        if not swapped:
            # Clients repeat what got no answer, and the repetition may have met its own first try.
            found = self._landed(after, change)
            if found is None:
                self._delete(after.location)
            return found
        if base is not None:
            for path in base.forgotten(after):
                self._delete(path)
        return after

    def adopt(self, location: str) -> bool:
        """Make the entry of a table that exists already; `False` when the name is taken.

        Args:
            location: The table's newest metadata file.

        Raises:
            CatalogError: The catalog refused, or it is not known whether it did it.
            StorageError: The metadata file cannot be read.
        """
        found = Document.parse(location, self._read(location))
        return self._pointing.swap(None, found) or self._pointing.location() == location

    def _landed(self, after: Document, change: Change) -> Document | None:
        location = self._pointing.location()
        if location == after.location:
            return after
        found = None if location is None else Document.parse(location, self._read(location))
        return found if change.landed_in(found) else None

    def _read(self, location: str) -> bytes:
        store, name = self._place(location)
        data = store.read(name)
        if data is None:
            raise StorageError(
                "the table's metadata file is gone",
                table=self._table,
                place=location,
                hint="The catalog still refers to it: restore the file, or drop the table from the catalog.",
            )
        return data

    def _write(self, document: Document) -> None:
        store, name = self._place(document.location)
        store.create(name, document.encode())

    def _delete(self, location: str) -> None:
        store, name = self._place(location)
        with suppress(StorageError):  # nobody refers to it any more
            store.delete(name)

    def _place(self, location: str) -> tuple[Store, str]:
        plain = "/" + location[5:].lstrip("/") if location.startswith("file:") else location
        if plain.startswith(self._store.root + "/"):
            return self._store, plain[len(self._store.root) + 1 :]
        root, _, name = plain.rpartition("/")
        return Store(root, self._store.options), name


def _next(base: Document | None, change: Change) -> Document:
    if base is None:
        assert change.create is not None  # noqa: S101 - there is nothing to change; narrows the type
        folder = metadata_folder(change.properties, change.create.location)
        return created(f"{folder}/00000-{uuid.uuid4()}.metadata.json", change)
    digits = base.location.rsplit("/", 1)[-1].split("-", 1)[0]
    version = int(digits) + 1 if digits.isdigit() else 0
    return base.next(f"{base.metadata_root}/{version:05d}-{uuid.uuid4()}.metadata.json", change)
