"""What resources yield, whatever it is: rows, lists of rows, JSON bytes and Arrow data, mixed at will.

Part of extract. Rows are gathered into batches of a good size; everything else is handed to the reader for
it, in its place, so that batches come in the order of what was yielded.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import pyarrow as pa

from lakeload.errors import LakeloadError, SourceError
from lakeload.sources.columnar import arrow_batches, speaks_arrow
from lakeload.sources.decode.conflict import excerpt
from lakeload.sources.decode.documents import JsonReader
from lakeload.sources.decode.expectation import Expectation
from lakeload.sources.decode.rows import RowDecoder
from lakeload.sources.decode.values import is_record
from lakeload.sources.intake import Intake
from lakeload.sources.parallel import close

if TYPE_CHECKING:
    from lakeload.sources.read import ReadOptions

_MAX_ROWS = 1 << 16
_FIRST_ROWS = 256


def read_rows(
    items: Iterable[object], *, expectation: Expectation, options: ReadOptions
) -> Iterator[pa.RecordBatch]:
    """Batches from rows, lists of rows, JSON bytes and anything that speaks Arrow, in their order.

    What the iterable itself raises passes through with a note of the batch and the row it was at. Rows are
    counted from 1 for messages.

    Args:
        items: What a resource yields.
        expectation: What is known about the columns.
        options: Bytes per batch, and the record path of pages of JSON.

    Raises:
        SourceError: An item is no row.
        SchemaError: A value cannot be stored.
    """
    decoder = RowDecoder(expectation)
    reader = JsonReader(expectation, options)
    intake = Intake(expectation.misfits)
    pending: list[object] = []
    limit = _FIRST_ROWS
    count = given = 0

    def flush(least: int) -> Iterator[pa.RecordBatch]:
        """Decode what is pending, but for less than `least` rows at the end."""
        nonlocal limit, count, given
        start = 0
        while len(pending) - start >= max(1, least):
            part = pending[start : start + limit]
            batches = decoder.decode(part, count)
            start, count = start + len(part), count + len(part)
            given += len(batches)
            yield from batches
            size = sum(batch.nbytes for batch in batches)
            by_size = int(options.batch_bytes * len(part) / max(1, size))
            limit = max(1, min(_MAX_ROWS, by_size, limit * 16))
        del pending[:start]

    source = iter(items)
    try:
        for item in source:
            if _is_row(item):
                pending.append(item)
            elif isinstance(item, list | tuple) and _are_rows(item):
                pending.extend(item)
            else:
                yield from flush(1)
                with closing(_other(item, decoder, reader, intake, count)) as batches:
                    for batch in batches:
                        count, given = count + batch.num_rows, given + 1
                        yield batch
            if len(pending) >= limit:
                yield from flush(limit)
        yield from flush(1)
    except LakeloadError:
        raise
    except Exception as error:
        error.add_note(
            f"lakeload: the data raised this in batch {given + 1}, at row {count + len(pending) + 1}"
        )
        raise
    finally:
        close(source)


def _other(
    item: object, decoder: RowDecoder, reader: JsonReader, intake: Intake, count: int
) -> Generator[pa.RecordBatch, None, None]:
    if isinstance(item, bytes | bytearray | memoryview):
        yield from reader.read(bytes(item))
    elif speaks_arrow(item):
        yield from intake.checked(arrow_batches(item), before=count)
    elif isinstance(item, list | tuple):
        for part in item:
            batches = (
                decoder.decode([part], count)
                if _is_row(part)
                else _other(part, decoder, reader, intake, count)
            )
            for batch in batches:
                count += batch.num_rows
                yield batch
    else:
        raise SourceError(
            f"expected a row, found {type(item).__name__} {excerpt(item)}",
            row=count + 1,
            hint="Yield dictionaries, lists of dictionaries, JSON bytes, or Arrow data.",
        )


def _are_rows(items: Sequence[object]) -> bool:
    # Most lists hold dicts alone, which the set of types tells much faster than looking at each.
    return set(map(type, items)) <= {dict} or all(map(_is_row, items))


def _is_row(item: object) -> bool:
    return type(item) is dict or isinstance(item, Mapping) or is_record(item)
