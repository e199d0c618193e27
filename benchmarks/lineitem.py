"""TPC-H lineitem as an Arrow file, and the stream everyone reads it as.

The file is uncompressed Arrow IPC, memory-mapped: reading costs nothing next to writing, and the same
for everyone. Strings are plain `string` and every column may hold nulls, which all competitors take.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness.environments import ENVIRONMENTS, cache
from benchmarks.harness.process import measure

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 6_001_215
BATCH_ROWS = 65_536


def lineitem(rows: int) -> Path:
    """The file of the first rows at scale factor 1, generated once and kept in the cache."""
    path = cache("data") / f"lineitem-{rows}.arrow"
    if not path.exists():
        measure("benchmarks.lineitem:write", {"path": str(path), "rows": rows}, ENVIRONMENTS["tpch"])
    return path


def write(path: str, rows: int) -> None:
    """Generate the table and write its first rows as an Arrow file, which appears when complete."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    aside = Path(f"{path}.part")
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as directory:
        generator = Path(sys.executable).with_name("tpchgen-cli")
        command = [str(generator), "parquet", "-s", "1", "--output-dir", directory, "--tables=lineitem"]
        subprocess.run(command, check=True)
        found = next(Path(directory).rglob("*.parquet"))
        source = pq.ParquetFile(found)
        schema = pa.schema([pa.field(field.name, _plain(field.type)) for field in source.schema_arrow])
        with pa.ipc.new_file(aside, schema) as sink:
            for batch in source.iter_batches(BATCH_ROWS):
                sink.write_batch(_cast(batch.slice(0, rows), schema))
                rows -= min(rows, batch.num_rows)
                if not rows:
                    break
    aside.rename(path)


def stream(path: str) -> Any:
    """The file as a `RecordBatchReader`; batches are views of the mapped file."""
    import pyarrow as pa

    source = pa.ipc.open_file(pa.memory_map(path))
    batches = (source.get_batch(number) for number in range(source.num_record_batches))
    return pa.RecordBatchReader.from_batches(source.schema, batches)


def _plain(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return pa.string() if pa.types.is_string_view(kind) else kind


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays(
        [column.cast(field.type) for column, field in zip(batch.columns, schema, strict=True)], schema=schema
    )


def to_parquet(source: str, target: str) -> None:
    """Copy the Arrow file into a Parquet file, for readers that take no Arrow files."""
    import pyarrow.parquet as pq

    if Path(target).exists():
        return
    batches = stream(source)
    with pq.ParquetWriter(target, batches.schema) as sink:
        for batch in batches:
            sink.write_batch(batch)
