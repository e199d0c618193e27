"""`Source`: the batches of one source, which can be had from the start again.

Part of extract. What texts are, is sometimes known only at the end: a column of timestamps that turns out
to hold `n/a` is a column of text, and its texts must then be stored as they came. Files, bytes and lists are
read again. What a generator yields comes once, so its batches are kept while they are few.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING

from lakeload.model.naming import TEXT_ONLY, UNTYPED
from lakeload.sources.parallel import close
from lakeload.sources.pipes import Spool
from lakeload.sources.read import locates

if TYPE_CHECKING:
    import pyarrow as pa

KEPT = 64 << 20
"""Bytes of batches that are kept of a generator."""


class Source:
    """Reads data, from its start each time.

    Args:
        ahead: Batches that may be drawn before one that was drawn earlier asks for the start again.

    Example:
        >>> import pyarrow as pa
        >>> batches = (pa.record_batch({"n": [n]}, metadata={UNTYPED: b"1"}) for n in range(2))
        >>> source = Source(ahead=1)
        >>> [[len(one) for one in source.batches(lambda: batches, iter)] for _ in range(2)]
        [[1, 1], [1, 1]]
    """

    def __init__(self, *, ahead: int) -> None:
        self._ahead = ahead
        self._data: object = None
        self._spool = Spool()
        self._opened = self._steady = False
        self._kept: list[pa.RecordBatch] | None = []
        self._bytes = self._late = 0
        self._stream: Generator[pa.RecordBatch, None, None] | None = None

    @property
    def able(self) -> bool:
        """Whether the start can be had again, as of the batch drawn last."""
        return self._steady or (self._kept is not None and not self._late)

    def batches(
        self,
        data: Callable[[], object],
        read: Callable[[object], Generator[pa.RecordBatch, None, None]],
    ) -> Generator[pa.RecordBatch, None, None]:
        """The batches from the start.

        Args:
            data: Opens the data; called once.
            read: Begins to read the data; called again where that gives the same.
        """
        if not self._opened:
            self._data = self._spool.files(data())
            self._opened, self._steady = True, _is_steady(self._data)
        if self._steady:
            stream = read(self._data)
            try:
                yield from stream
            finally:
                close(stream)
            return
        yield from self._kept or ()
        self._stream = self._stream or read(self._data)
        for batch in self._stream:
            self._keep(batch)
            yield batch

    def close(self) -> None:
        """Stop reading."""
        close(self._stream)
        self._spool.close()

    def _keep(self, batch: pa.RecordBatch) -> None:
        if self._kept is None:
            return
        self._bytes += batch.nbytes
        if self._late or self._bytes > KEPT or not {UNTYPED, TEXT_ONLY} & set(batch.schema.metadata or ()):
            self._late += 1
        if self._late > self._ahead:
            self._kept = None
        else:
            self._kept.append(batch)


_VALUES = {dict, str, bytes}


def _is_steady(data: object) -> bool:
    """Whether reading the data again gives the same again."""
    if isinstance(data, list | tuple):
        return locates(data) or set(map(type, data)) <= _VALUES
    return locates(data) or isinstance(data, bytes | bytearray | memoryview | Mapping)
