"""How pyiceberg reaches a table's files: by pyarrow where it can be told everything, else by our connection.

pyarrow's own clients know S3 well. They take no key file for Google Cloud Storage and no connection string
for Azure, so there pyiceberg reads through the filesystem the store has open. Part of writing and commit.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

from lakeload.places import SCHEMES
from lakeload.write.store import Store


def file_io(store: Store) -> Any:
    """A pyiceberg `FileIO` for the files of one table.

    Args:
        store: Rooted at the table.

    Example:
        >>> import tempfile
        >>> type(file_io(Store(tempfile.mkdtemp()))).__name__
        'PyArrowFileIO'
    """
    _exact_doubles()
    properties = store.options.for_pyiceberg()
    keys = store.options.lender is None  # only the store renews what a catalog lends
    if store.local or (keys and SCHEMES[store.root.partition("://")[0]] == "aws"):
        from pyiceberg.io.pyarrow import PyArrowFileIO

        return PyArrowFileIO(properties)
    return _through_the_store()(store, properties)


@cache
def _exact_doubles() -> None:
    """Have pyiceberg read doubles whole: its fast decoder keeps of one what fits into a float.

    A partition of the value 0.1 then seems to hold another, and a filter finds none of its rows.
    """
    from pyiceberg.avro.decoder import new_decoder
    from pyiceberg.avro.reader import DoubleReader

    third = 1 / 3
    if new_decoder(struct.pack("<d", third)).read_double() != third:
        DoubleReader.read = _read_double  # type: ignore[assignment,method-assign]  # the library's fault, mended


def _read_double(_: Any, decoder: Any) -> float:
    return float(struct.unpack("<d", decoder.read(8))[0])


@cache
def _through_the_store() -> Any:
    from pyiceberg.io.fsspec import FsspecFileIO

    class StoreFileIO(FsspecFileIO):
        """Files by the connection of the store."""

        def __init__(self, store: Store, properties: dict[str, str]) -> None:
            super().__init__(properties)
            self._store = store

        def get_fs(self, scheme: str, hostname: str | None = None) -> Any:
            ours = self._store.root.partition("://")[0]
            if SCHEMES.get(scheme) == SCHEMES[ours]:
                return self._store.filesystem
            return super().get_fs(scheme, hostname)

    return StoreFileIO
