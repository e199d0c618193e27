"""Random record batches made by pyarrow alone: numbers-heavy, string-heavy, nested, and events with a key.

Values come from `pyarrow.compute.random` with a seed per batch and column, so a stream can be made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

WORDS = pa.array(["lake", "table", "größer", "été", "файл", "snapshot", "表", "manifest", "column", "river"])
CATEGORIES = pa.array([f"category-{number}" for number in range(24)])

Make = Callable[[int, int, int], pa.RecordBatch]
"""Rows, number of the first row, seed → batch."""


def stream(make: Make, rows: int, batch_rows: int = 65_536) -> pa.RecordBatchReader:
    """That many rows, batch by batch; nothing is kept."""
    schema = make(1, 0, 0).schema

    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(0, rows, batch_rows):
            yield make(min(batch_rows, rows - first), first, first)

    return pa.RecordBatchReader.from_batches(schema, batches())


def parquet_bytes_per_row(make: Make, rows: int = 50_000) -> float:
    """About how many bytes of ZSTD Parquet a row takes."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(make(rows, 0, 1)), sink, compression="zstd", use_dictionary=False)
    return float(sink.tell() / rows)


def numbers(rows: int, first: int, seed: int) -> pa.RecordBatch:
    """Mostly doubles that do not compress, with integers, decimals and times."""
    return pa.RecordBatch.from_pydict(
        {
            "id": _sequence(rows, first),
            "part": integers(rows, 8, seed),
            "x": uniform(rows, seed + 1),
            "y": uniform(rows, seed + 2),
            "z": uniform(rows, seed + 3),
            "count": integers(rows, 10_000, seed + 4),
            "price": integers(rows, 10**7, seed + 5).cast(pa.decimal128(21, 2)).cast(pa.decimal128(14, 2)),
            "at": pc.add(_sequence(rows, first), 1_790_000_000_000_000).cast(pa.timestamp("us", tz="UTC")),
        }
    )


def strings(rows: int, first: int, seed: int) -> pa.RecordBatch:
    """Unique keys, free text and categories."""
    key = integers(rows, 2**52, seed + 1).cast(pa.string())
    return pa.RecordBatch.from_pydict(
        {
            "id": _sequence(rows, first),
            "part": integers(rows, 8, seed),
            "key": key,
            "url": pc.binary_join_element_wise("https://example.org/items", key, "/"),
            "category": CATEGORIES.take(integers(rows, len(CATEGORIES), seed + 2)),
            "text": text(rows, 12, seed + 3),
        }
    )


def nested(rows: int, first: int, seed: int) -> pa.RecordBatch:
    """Structs, lists of numbers, and lists of structs."""
    user = pa.StructArray.from_arrays(
        [integers(rows, 10**6, seed + 1), text(rows, 2, seed + 2)], names=["number", "name"]
    )
    offsets = _offsets(rows, 8, seed + 3)
    values = offsets[-1].as_py()
    tags = pa.StructArray.from_arrays(
        [text(values, 1, seed + 5), uniform(values, seed + 6)], names=["tag", "score"]
    )
    return pa.RecordBatch.from_pydict(
        {
            "id": _sequence(rows, first),
            "part": integers(rows, 8, seed),
            "user": user,
            "readings": pa.ListArray.from_arrays(offsets, uniform(values, seed + 4)),
            "tags": pa.ListArray.from_arrays(offsets, tags),
        }
    )


def integers(rows: int, limit: int, seed: int) -> pa.Array:
    """Whole numbers from 0 to below the limit."""
    return pc.floor(pc.multiply(uniform(rows, seed), limit)).cast(pa.int64())


def text(rows: int, words: int, seed: int) -> pa.Array:
    """So many words and a number, so that few rows are alike."""
    drawn = [WORDS.take(integers(rows, len(WORDS), seed * 31 + word)) for word in range(words)]
    return pc.binary_join_element_wise(*drawn, integers(rows, 10**6, seed).cast(pa.string()), " ")


def uniform(rows: int, seed: int) -> pa.Array:
    """Doubles from 0 to below 1."""
    return pc.random(rows, initializer=seed + (1 << 40))


def _sequence(rows: int, first: int) -> pa.Array:
    return pa.array(range(first, first + rows), pa.int64())


def _offsets(rows: int, most: int, seed: int) -> pa.Array:
    ends = pc.cumulative_sum(integers(rows, most + 1, seed)).cast(pa.int32())
    return pa.concat_arrays([pa.array([0], pa.int32()), ends])


KINDS: dict[str, Make] = {"numbers": numbers, "strings": strings, "nested": nested}
