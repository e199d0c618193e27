"""Parquet, Arrow IPC and everything that speaks Arrow: batches pass through unchanged.

The part of extract that has nothing to decode: batches keep views, dictionaries and extension types, which
the normalizer handles, and are streamed, never collected.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakeload.errors import LakeloadError, SchemaError, SourceError
from lakeload.sources.files import File, head, reading
from lakeload.sources.intake import refuse_types
from lakeload.sources.parallel import ordered_map, prefetch

_VARIANT = re.compile(r"group field_id=\S+ (.+) \(Variant")
_LARGE_BATCH = 64 << 20
"""Batches of more bytes, such as a whole table in one chunk, are handed on in slices."""
_LARGE_GROUP = 2
"""Row groups up to this many times the batch size are decoded whole, several at once."""


def read_parquet(file: File, *, batch_bytes: int, workers: int) -> Iterator[pa.RecordBatch]:
    """Batches of a Parquet file in row order."""
    with _decoding(file, "Parquet"), _opened(file) as parquet:
        _refuse_variants(parquet, file)
        groups = [parquet.metadata.row_group(i) for i in range(parquet.metadata.num_row_groups)]
        rows, size = parquet.metadata.num_rows, sum(group.total_byte_size for group in groups)
        if rows != sum(group.num_rows for group in groups):
            raise _damaged("the row groups have other rows than the footer says", "Parquet", file)
        if not rows:
            yield _nothing(parquet.schema_arrow)
            return
        batch_rows = max(1, min(1 << 20, int(batch_bytes / max(1.0, size / max(1, rows)))))
        if file.local and max(g.total_byte_size for g in groups) <= _LARGE_GROUP * batch_bytes:
            yield from _by_group(file, [group.num_rows for group in groups], batch_rows, workers)
            return
        batches = prefetch(parquet.iter_batches(batch_size=batch_rows, use_threads=workers > 1))
        with closing(batches):
            for batch in batches:
                rows -= batch.num_rows
                yield batch
        if rows:
            raise _damaged(f"its footer and its pages differ by {abs(rows):,} rows", "Parquet", file)


def _by_group(file: File, groups: list[int], batch_rows: int, workers: int) -> Iterator[pa.RecordBatch]:
    def decode(index: int) -> list[pa.RecordBatch]:
        with _decoding(file, "Parquet"), _opened(file) as parquet:
            table = parquet.read_row_group(index, use_threads=False)
            table.validate()
            if table.num_rows != groups[index]:
                raise _damaged(f"row group {index + 1} has other rows than the footer says", "Parquet", file)
            return table.to_batches(max_chunksize=batch_rows)

    with closing(ordered_map(decode, range(len(groups)), workers=workers, ahead=workers)) as results:
        for batches in results:
            yield from batches


def _opened(file: File) -> pq.ParquetFile:
    source: Any = file.path if file.local else pa.PythonFile(file.open(), mode="r")
    # Spark's timestamps (INT96) reach further than the nanoseconds Arrow would read them as.
    return pq.ParquetFile(
        source,
        pre_buffer=not file.local,
        coerce_int96_timestamp_unit="us",
        page_checksum_verification=True,
    )


def _refuse_variants(parquet: pq.ParquetFile, file: File) -> None:
    found = _VARIANT.search(str(parquet.schema))
    if found:
        raise SchemaError(
            "it holds VARIANT values, which no reader here decodes",
            column=found[1],
            place=file.path,
            hint="Write it as JSON text or as a struct where it comes from.",
        )


@contextmanager
def _decoding(file: File, kind: str) -> Iterator[None]:
    """Whatever a decoder says of a file's content, as an error of the source."""
    with reading(file.path):
        try:
            yield
        except (LakeloadError, FileNotFoundError, PermissionError):
            raise
        except OSError as error:
            if error.errno is not None or type(error).__module__ != "builtins":
                raise  # of the place, not of what is in the file
            raise _damaged(_reason(error), kind, file) from None
        except (pa.ArrowException, ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:
            raise _damaged(_reason(error), kind, file) from None


def _damaged(reason: str, kind: str, file: File) -> SourceError:
    locked = "crypt" in reason.lower() or head(file, 4) == b"PARE"
    if locked:
        return SourceError(
            f"the {kind} file is encrypted",
            place=file.path,
            hint="Write it without encryption: there is no way to give keys.",
        )
    return SourceError(f"not a whole {kind} file: {reason}", place=file.path, hint="Fetch or write it again.")


def read_ipc(file: File) -> Iterator[pa.RecordBatch]:
    """Batches of an Arrow IPC file or stream."""
    with _decoding(file, "Arrow"), file.open() as stream:
        magic = stream.read(6)
        stream.seek(0)
        source = pa.PythonFile(stream, mode="r")
        if magic == b"ARROW1":
            reader = pa.ipc.open_file(source)
            batches = map(reader.get_batch, range(reader.num_record_batches))
        else:
            batches = reader = pa.ipc.open_stream(source)
        refuse_types(reader.schema, file.path, unions=False)  # pyarrow ends the process over empty ones
        yield from _or_nothing(_valid(batches), reader.schema)


def _valid(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches, each known to have buffers as long as they must be before it is touched."""
    for batch in batches:
        batch.validate()
        yield batch


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def speaks_arrow(data: object) -> bool:
    """Whether `arrow_batches` can take the object."""
    return isinstance(data, pa.RecordBatch) or hasattr(data, "__arrow_c_stream__") or _lazy(data)


def arrow_batches(data: Any, *, batch_rows: int = 1 << 17) -> Iterator[pa.RecordBatch]:
    """Batches of anything that speaks Arrow, unchanged and one after the other.

    pandas frames lose their index, as it is no column. Polars lazy frames are run and streamed.
    """
    if isinstance(data, pa.RecordBatch):
        yield from _sliced(data)
    elif isinstance(data, pa.Table):
        yield from _or_nothing(data.to_batches(), data.schema)
    elif _lazy(data):
        yield from _from_lazy(data, batch_rows)
    elif type(data).__module__.split(".")[0] == "pandas":
        with _telling(data):
            frame = _without_periods(data if hasattr(data, "columns") else data.to_frame())
            table = pa.Table.from_pandas(frame, preserve_index=False)
        yield from arrow_batches(table.replace_schema_metadata(None))
    else:
        _refuse_objects(data)
        with _telling(data):
            stream = pa.RecordBatchReader.from_stream(data)
        with closing(stream) as reader:
            yield from _or_nothing(reader, reader.schema)


def _without_periods(frame: Any) -> Any:
    """The frame with periods as pandas writes them, such as `2024-01`: Arrow would leave numbers of them."""
    periods = [i for i, kind in enumerate(frame.dtypes) if str(kind).startswith("period[")]
    if not periods or not frame.columns.is_unique:
        return frame
    frame = frame.copy(deep=False)
    for name in frame.columns[periods]:
        frame[name] = frame[name].map(str, na_action="ignore").astype(object)
    return frame


@contextmanager
def _telling(data: object) -> Iterator[None]:
    """What Arrow refuses to take over, in one line."""
    try:
        yield
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise SourceError(
            f"cannot take over the {type(data).__name__}: {_reason(error)}",
            hint="Give every column one type that Arrow knows.",
        ) from error


def _refuse_objects(data: object) -> None:
    """Keep Polars from handing out addresses of Python objects as bytes, and from ending the process.

    It does that, without an exception to catch, for a name with a NUL character.
    """
    dtypes = getattr(data, "dtypes", None) if type(data).__module__.startswith("polars") else None
    for name, kind in zip(getattr(data, "columns", ()), dtypes or (), strict=False):
        if str(kind) == "Object":
            raise SourceError(
                "the column holds Python objects",
                column=name,
                hint="Cast it to a type of Polars, or drop it.",
            )
        if "\0" in name or _has_nul(kind):
            raise SourceError(
                "a name has a NUL character, which Polars cannot pass on",
                column=name,
                hint="Rename it in the frame.",
            )


def _has_nul(kind: Any) -> bool:
    """Whether the name of a member of a Polars type has a NUL character."""
    inside = [field.dtype for field in getattr(kind, "fields", ())]
    inside += [kind.inner] if getattr(kind, "inner", None) is not None else []
    return any("\0" in field.name for field in getattr(kind, "fields", ())) or any(map(_has_nul, inside))


def _from_lazy(data: Any, batch_rows: int) -> Iterator[pa.RecordBatch]:
    for frame in data.collect_batches(chunk_size=batch_rows, maintain_order=True, lazy=True):
        yield from arrow_batches(frame)


def _lazy(data: object) -> bool:
    return type(data).__name__ == "LazyFrame" and type(data).__module__.startswith("polars")


def _or_nothing(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    batch = None
    for batch in batches:
        yield from _sliced(batch)
    if batch is None:
        yield _nothing(schema)


def _sliced(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in slices that later stages can work on one at a time within their budget; copies nothing."""
    rows = max(1, batch.num_rows * _LARGE_BATCH // max(1, batch.nbytes))
    if rows >= batch.num_rows:
        yield batch
        return
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _nothing(schema: pa.Schema) -> pa.RecordBatch:
    """A batch without rows still tells the schema."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)
