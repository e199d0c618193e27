"""Lines of JSON that are no records, taken out of their block so that the others can be decoded.

Part of extract, and only on request: as a rule the first such line stops a load.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from lakeload.errors import LakeloadError
from lakeload.model.rejection import NUMBERED, SOURCE_ROW
from lakeload.sources.decode.jsonl import JsonDecoder, unreadable
from lakeload.sources.rejects import MALFORMED, Reject

_NUMBER = pa.field(SOURCE_ROW, pa.int64(), metadata=NUMBERED)


@dataclass(frozen=True, slots=True)
class Mended:
    """What can be read of a block.

    Args:
        batches: Its records, with their numbers among all lines that are not empty.
        rejects: The other lines.
    """

    batches: list[pa.RecordBatch]
    rejects: list[Reject]


def without_broken(decoder: JsonDecoder, lines: bytes) -> Mended:
    r"""Decode a block without the lines that are no records.

    Args:
        decoder: Of the source.
        lines: The block.

    Raises:
        LakeloadError: All lines are records, and they are refused all the same.

    Example:
        >>> from lakeload.sources.decode.expectation import Expectation
        >>> found = without_broken(JsonDecoder(Expectation()), b'{"a":1}\n{"a"\n{"a":2}\n')
        >>> found.batches[0].to_pylist(), [reject.line for reject in found.rejects]
        ([{'a': 1, '_lakeload_row': 1}, {'a': 2, '_lakeload_row': 3}], [2])
    """
    try:
        return Mended(decoder.decode(lines), [])
    except LakeloadError:
        kept, numbers, rejects = [], [], []
        number = 0
        for line, text in enumerate(lines.split(b"\n"), 1):
            if not text or text.isspace():
                continue
            number += 1
            reason = unreadable(text.strip())
            if reason is None:
                kept.append(text)
                numbers.append(number)
            else:
                rejects.append(Reject(number, line, MALFORMED, reason, text))
        if not rejects:
            raise
    batches = decoder.decode(b"\n".join(kept)) if kept else []
    return Mended(_numbered(batches, numbers), rejects)


def _numbered(batches: list[pa.RecordBatch], numbers: list[int]) -> list[pa.RecordBatch]:
    """The batches with the numbers their lines had; as they are where a line holds several records."""
    if sum(batch.num_rows for batch in batches) != len(numbers):
        return batches
    found, before = [], 0
    for batch in batches:
        index = batch.schema.get_field_index(SOURCE_ROW)
        own = range(before + 1, before + batch.num_rows + 1) if index < 0 else batch.column(index).to_pylist()
        before += batch.num_rows
        column = pa.array([numbers[row - 1] for row in own], pa.int64())
        found.append(
            batch.append_column(_NUMBER, column) if index < 0 else batch.set_column(index, _NUMBER, column)
        )
    return found
