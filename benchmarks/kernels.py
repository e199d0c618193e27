"""Arrow kernels or Polars expressions: which of them should shape batches?

Both do the same work on the same batch in memory and must give the same rows. Polars gets its best case, a
frame that is there already, beside the case a loader has: Arrow in, Arrow out.
"""

from __future__ import annotations

import datetime as dt
import gc
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.generate import events
from benchmarks.harness.child import versions
from benchmarks.harness.result import Options, Result

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

ROWS = 200_000
CAST_ROWS = 1_000_000
REPEAT = 7
SEPARATOR = "__"
ID, PARENT, ROOT, INDEX = "_lakeload_row_id", "_lakeload_parent_id", "_lakeload_root_id", "_lakeload_index"


def run(options: Options) -> Result:
    """Time both kinds of work."""
    rows = options.rows or ROWS
    result = Result(
        "kernels",
        f"Shaping a batch: Arrow kernels and Polars expressions (unnesting {rows:,} events)",
        ["Work", "With", "Median, ms", "Best, ms", "Worst, ms"],
    )
    result.versions = versions()
    result.notes = [
        "Unnest: the events of json_to_table into a root and its child tables, structs flattened, with ids.",
        f"Rename and cast: {CAST_ROWS:,} rows of 16 columns, all renamed, 5 of them cast.",
        "Arrow to Arrow converts the batch to a frame and the results back, as a loader would have to.",
        "Checked: the rows of every table are the same. One process, one after the other.",
    ]
    repeat = options.repeat or REPEAT
    _unnest(result, rows, repeat)
    _cast(result, repeat)
    return result


def _unnest(result: Result, rows: int, repeat: int) -> None:
    import polars as pl

    from lakeload.model.nesting import Nesting
    from lakeload.normalize.shape import RowIds, Shape

    batch = _events(rows)
    shape = Shape.compile(batch.schema, Nesting("tables"), ("id",), "events")
    frame = pl.DataFrame(batch)

    def arrow() -> list[pa.RecordBatch]:
        return [part.batch for part in shape.apply(batch, RowIds("load", 0))]

    ways: dict[str, Callable[[], list[Any]]] = {
        "lakeload (Arrow kernels)": arrow,
        "Polars, Arrow to Arrow": lambda: [_arrow(f) for f in _unnested(pl.DataFrame(batch))],
        "Polars, frame to frames": lambda: _unnested(frame),
    }
    _contest(result, f"unnest into {len(shape.tables)} tables", ways, repeat)


def _unnested(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """What `Shape` does, as one lazy query: every list exploded, with ids made of parent, way and place."""
    import polars as pl

    tables: list[pl.LazyFrame] = []

    def take(table: pl.LazyFrame) -> None:
        while structs := [n for n, t in table.collect_schema().items() if isinstance(t, pl.Struct)]:
            table = table.unnest(*structs, separator=SEPARATOR)
        lists = [n for n, t in table.collect_schema().items() if isinstance(t, pl.List)]
        tables.append(table.drop(lists))
        for name in lists:
            way = "/" + name.removeprefix(f"value{SEPARATOR}").replace(SEPARATOR, "/") + "/"
            elements = (
                table.select(pl.col(ID).alias(PARENT), pl.col(ROOT), pl.col(name).alias("value"))
                .filter(pl.col("value").list.len() > 0)
                .with_columns(pl.int_ranges(0, pl.col("value").list.len()).alias(INDEX))
                .explode("value", INDEX)
            )
            index = pl.col(INDEX).cast(pl.String)
            take(elements.with_columns(pl.concat_str([pl.col(PARENT), pl.lit(way), index]).alias(ID)))

    take(frame.lazy().with_columns(pl.col("id").alias(ID), pl.col("id").alias(ROOT)))
    return pl.collect_all(tables)


def _cast(result: Result, repeat: int) -> None:
    import polars as pl
    import pyarrow as pa

    from lakeload.model.table import TableSpec
    from lakeload.normalize.normalizer import Normalizer

    batch = _wide(CAST_ROWS)
    wanted = {"count": pa.int64(), "size": pa.int64(), "share": pa.float64(), "price": pa.float64()}
    hints = pa.schema([*wanted.items(), ("seenOn", pa.timestamp("us"))])
    spec = TableSpec("wide", schema=hints, load_columns=False)
    now = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    normalizer = Normalizer(spec, formats=("delta",), state=None, load_id="load", loaded_at=now)
    normalizer.apply(batch)
    names = normalizer.schema.names
    polars = {"count": pl.Int64, "size": pl.Int64, "share": pl.Float64, "price": pl.Float64}
    casts: dict[str, Any] = {**polars, "seenOn": pl.Datetime("us")}
    expressions = [
        (pl.col(raw).cast(casts[raw]) if raw in casts else pl.col(raw)).alias(name)
        for raw, name in zip(batch.schema.names, names, strict=True)
    ]
    frame = pl.DataFrame(batch)
    ways: dict[str, Callable[[], list[Any]]] = {
        "lakeload (Arrow kernels)": lambda: [normalizer.apply(batch).batch],
        "Polars, Arrow to Arrow": lambda: [_arrow(pl.DataFrame(batch).select(expressions))],
        "Polars, frame to frames": lambda: [frame.select(expressions)],
    }
    _contest(result, "rename and cast", ways, repeat)


def _contest(result: Result, work: str, ways: dict[str, Callable[[], list[Any]]], repeat: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in ways}
    right = None
    for turn in range(repeat + 1):  # the first turn warms up
        for name, way in ways.items():
            gc.collect()
            start = time.perf_counter()
            made = way()
            spent = 1000 * (time.perf_counter() - start)
            if turn:
                times[name].append(spent)
                continue
            found = _contents(made)
            right = right or found
            if found != right:
                result.failures.append(f"{work}: {name} gives other rows")
    for name, taken in times.items():
        shown = (statistics.median(taken), min(taken), max(taken))
        result.rows.append([work, name, *(f"{spent:.1f}" for spent in shown)])
        result.raw.append({"work": work, "with": name, "milliseconds": taken})


def _contents(tables: list[Any]) -> list[tuple[list[str], int, int]]:
    """Of every table its columns, its rows, and a sum of hashes of its rows."""
    import polars as pl

    found = []
    for frame in map(_plain, tables):
        names = sorted(frame.columns)
        hashes = frame.select(pl.struct(names).hash(seed=1)).to_series()
        found.append((names, frame.height, int(hashes.sum())))
    return sorted(found)


def _arrow(frame: pl.DataFrame) -> pa.Table:
    """The frame in Arrow's memory; text stays views, which is the cheapest way out."""
    import polars as pl

    return frame.to_arrow(compat_level=pl.CompatLevel.newest())


def _plain(table: Any) -> pl.DataFrame:
    """A table as both name it: elements that are structs leave no name behind, a root needs no root's id."""
    import polars as pl

    frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)
    kept = [name for name in frame.columns if name != ROOT or PARENT in frame.columns]
    return frame.select(kept).rename({name: name.removeprefix(f"value{SEPARATOR}") for name in kept})


def _events(rows: int) -> pa.RecordBatch:
    import pyarrow as pa
    from pyarrow import json

    table = json.read_json(events(rows), read_options=json.ReadOptions(block_size=1 << 30)).combine_chunks()
    return pa.RecordBatch.from_struct_array(table.to_struct_array().combine_chunks())


def _wide(rows: int) -> pa.RecordBatch:
    """Columns as sources deliver them: some narrower than the table's, most of them just right."""
    import pyarrow as pa

    numbers = pa.arange(0, rows)
    columns: dict[str, pa.Array] = {
        "count": numbers.cast(pa.int32()),
        "size": numbers.cast(pa.int32()),
        "share": numbers.cast(pa.float32(), safe=False),
        "price": numbers.cast(pa.float32(), safe=False),
        "seenOn": pa.array([dt.date(2024, 1, 1)] * rows, pa.date32()),
    }
    for i in range(6):
        columns[f"textColumn{i}"] = pa.array([f"{i} text number {n % 1000}" for n in range(rows)])
    for i in range(5):
        columns[f"wholeNumber{i}"] = numbers
    return pa.RecordBatch.from_pydict(columns)
