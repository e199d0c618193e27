"""Does memory stay bounded when the input does not fit, in 200 partitions, unsorted?"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmarks.harness.environments import ENVIRONMENTS, cache
from benchmarks.harness.process import ChildError, measure
from benchmarks.harness.result import Options, Result

if TYPE_CHECKING:
    import pyarrow as pa

GIGABYTES = 20.0
PARTITIONS = 200
LIMIT_MIB = 1024
POOL_ROWS = 131_072
BATCH_ROWS = 32_768
# Ties every row's number to its partition; small enough that the sum is exact everywhere.
MODULUS = 1_000_003
CHECKSUM = f"(id % {MODULUS}) * key"


def run(options: Options) -> Result:
    """Load the stream once; peak memory is the answer."""
    size = options.gigabytes or GIGABYTES
    result = Result("memory", f"Peak memory for a {size:g} GB stream into {PARTITIONS} partitions, unsorted")
    result.columns = ["Stream, GB", "Rows", "Peak RSS, MiB", "Work, s", "CPU, s", "Files", "Written, GB"]
    target = tempfile.mkdtemp(prefix="memory-", dir=cache("work"))
    try:
        sending = {"target": target, "size": int(size * 1e9)}
        measured = measure("benchmarks.memory:load", sending, ENVIRONMENTS["lakeload"])
        arguments = {"kind": "delta", "place": f"{target}/default/stream", "checksum": CHECKSUM}
        found = measure("benchmarks.harness.verify:written", arguments).returned
    except ChildError as failure:
        result.failures.append(str(failure))
        return result
    finally:
        shutil.rmtree(target, ignore_errors=True)
    sent = measured.returned
    peak = measured.peak_rss / 2**20
    cells = [sent["bytes"] / 1e9, sent["rows"], peak, measured.work, measured.cpu]
    formats = ["{:.1f}", "{:,}", "{:.0f}", "{:.1f}", "{:.1f}"]
    row = [form.format(cell) for form, cell in zip(formats, cells, strict=True)]
    result.rows.append([*row, str(found["files"]), f"{found['bytes'] / 1e9:.1f}"])
    result.raw.append({"sent": sent, "found": found, "peak_rss": measured.peak_rss, "work": measured.work})
    result.versions = measured.versions
    result.notes = ["Checked: row count, and a checksum that ties every row to its partition."]
    result.goal("Peak resident memory", peak, LIMIT_MIB, unit=" MiB", required=True)
    if (found["rows"], found["checksum"]) != (sent["rows"], str(sent["checksum"])):
        result.failures.append(f"the table holds {found}, the stream had {sent}")
    return result


def load(target: str, size: int) -> dict[str, Any]:
    """Load a generated stream of about `size` bytes; return what was sent."""
    import pyarrow as pa

    import lakeload as ll

    sent = {"rows": 0, "bytes": 0, "checksum": 0}
    pool = _pool()
    source = pa.RecordBatchReader.from_batches(pool.schema, _batches(pool, size, sent))
    ll.load(source, target, table="stream", format="delta", partition_by=["key"])
    return sent


def _pool() -> pa.RecordBatch:
    """Random rows most of the stream is cut from."""
    import pyarrow as pa

    from benchmarks.batches import integers, strings, uniform

    rows = strings(POOL_ROWS, 0, 7)
    keys = integers(POOL_ROWS, PARTITIONS, 11).cast(pa.int32())
    codes = integers(POOL_ROWS, 10**12, 13)
    columns = [rows["id"], keys, codes, codes.cast(pa.string()), rows["category"], rows["text"]]
    columns += [uniform(POOL_ROWS, 17), uniform(POOL_ROWS, 19)]
    names = ["id", "key", "amount", "code", "category", "text", "x", "y"]
    return pa.RecordBatch.from_arrays(columns, names=names)


def _batches(pool: pa.RecordBatch, size: int, sent: dict[str, int]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.compute as pc

    while sent["bytes"] < size:
        batch = _batch(pool, sent["rows"])
        number, key = batch["id"], batch["key"]
        folded = pc.subtract(number, pc.multiply(pc.divide(number, MODULUS), MODULUS))
        sent["checksum"] += pc.sum(pc.multiply(folded, key.cast(pa.int64()))).as_py()
        sent["rows"] += batch.num_rows
        sent["bytes"] += batch.nbytes
        yield batch


def _batch(pool: pa.RecordBatch, first: int) -> pa.RecordBatch:
    """Rows from somewhere in the pool, made new: else a partition would hold the same few over and over."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from benchmarks.batches import uniform

    start = first * 5 % (POOL_ROWS - BATCH_ROWS)
    piece = pool.slice(start, BATCH_ROWS)
    number = pc.add(pool["id"].slice(0, BATCH_ROWS), first)
    amount = pc.add(piece["amount"], first * 7919)
    code = amount.cast(pa.string())
    text = pc.binary_join_element_wise(piece["text"], code, " ")
    columns = [number, piece["key"], amount, code, piece["category"], text]
    columns += [uniform(BATCH_ROWS, first), uniform(BATCH_ROWS, first + 1)]
    return pa.RecordBatch.from_arrays(columns, schema=pool.schema)
