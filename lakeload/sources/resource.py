"""Resources: one table's worth of a source, declared by a decorator or made from plain data."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, overload

import pyarrow as pa

from lakeload.config import parse_size
from lakeload.errors import ConfigError
from lakeload.model.cursor import Cursor
from lakeload.model.layout import Layout
from lakeload.model.mode import Append, WriteMode, checked_mode
from lakeload.model.table import Encoding, TableSpec, checked_encoding
from lakeload.sources.read import ReadOptions
from lakeload.storage_options import StorageOptions


@dataclass(frozen=True, slots=True)
class Resource:
    """One table's worth of a source: what the table shall be, and how to get its rows.

    Calling a resource binds arguments of the function it was made from and gives a new resource.

    Args:
        spec: The logical table.
        open: Takes the cursor position to start from (`None` at first) and returns data: rows, batches,
            a path, or anything else a load accepts.
        read: How to read that data.
        function: The decorated function, for binding arguments.

    Example:
        >>> @resource
        ... def squares(upto=2):
        ...     yield from ({"n": n, "square": n * n} for n in range(upto))
        >>> squares(3).name, len(list(squares(3).open(None)))
        ('squares', 3)
    """

    spec: TableSpec
    open: Callable[[Any], object]
    read: ReadOptions = field(default_factory=ReadOptions)
    function: Callable[..., object] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.spec.name

    def __call__(self, *args: Any, **kwargs: Any) -> Resource:
        """The same resource with arguments of its function bound.

        Raises:
            ConfigError: It was made from data, not from a function.
        """
        if self.function is None:
            raise ConfigError(f"resource {self.name!r} was not made from a function", hint="Use it as it is.")
        bound = functools.partial(self.function, *args, **kwargs)
        return replace(self, open=_opener(bound), function=bound)

    def with_table(self, table: str | None = None, mode: WriteMode | None = None) -> Resource:
        """The same resource for another table, or in another mode."""
        spec = replace(
            self.spec,
            name=table or self.spec.name,
            mode=self.spec.mode if mode is None else checked_mode(mode),
        )
        return replace(self, spec=spec)

    def with_storage(self, storage: StorageOptions) -> Resource:
        """The same resource, reading `s3://` data with these options unless it has its own."""
        if self.read.storage.values:
            return self
        return replace(self, read=replace(self.read, storage=storage))


@overload
def resource(function: Callable[..., object], /) -> Resource: ...


@overload
def resource(
    *,
    name: str | None = None,
    primary_key: str | Iterable[str] | None = None,
    mode: WriteMode = ...,
    cursor: Cursor | str | None = None,
    partition_by: str | Iterable[str] = (),
    sort_by: str | Iterable[str] = (),
    schema: pa.Schema | Mapping[str, pa.DataType] | None = None,
    load_columns: bool = True,
    target_file_size: int | str | None = None,
    encoding: Encoding = "compat",
    fold: bool = True,
    properties: Mapping[str, str] | None = None,
    record_path: str | None = None,
) -> Callable[[Callable[..., object]], Resource]: ...


def resource(
    function: Callable[..., object] | None = None,
    /,
    *,
    name: str | None = None,
    primary_key: str | Iterable[str] | None = None,
    mode: WriteMode = Append(),  # noqa: B008 - immutable
    cursor: Cursor | str | None = None,
    partition_by: str | Iterable[str] = (),
    sort_by: str | Iterable[str] = (),
    schema: pa.Schema | Mapping[str, pa.DataType] | None = None,
    load_columns: bool = True,
    target_file_size: int | str | None = None,
    encoding: Encoding = "compat",
    fold: bool = True,
    properties: Mapping[str, str] | None = None,
    record_path: str | None = None,
) -> Resource | Callable[[Callable[..., object]], Resource]:
    """Make a resource of a function that yields or returns data.

    A parameter named `since` receives the cursor's position, `None` on the first run.

    Args:
        function: The function, when the decorator is used without parentheses.
        name: Table name; the function's name by default.
        primary_key: Columns that identify a row; appends and overwrites make no use of it.
        mode: `Append()` or `Overwrite()`.
        cursor: Column that orders the rows, so that a run takes only new ones.
        partition_by: Partition fields such as `"country"` or `"day(created_at)"`.
        sort_by: Sort order within a file, such as `"created_at desc"`.
        schema: Types by column that win over what is inferred; may be partial.
        load_columns: Add `_lakeload_id` and `_lakeload_at` to a table this creates.
        target_file_size: Bytes, or a size such as `"128MB"` (the default).
        encoding: `"compat"` is read fast by every engine; `"modern"` makes smaller files.
        fold: Fold small files after the load.
        properties: Table properties, set when the table is created.
        record_path: Dotted path of the records in JSON objects.

    Returns:
        The resource; with options, a decorator that makes one.

    Raises:
        ConfigError: An option cannot be read.

    Example:
        >>> @resource(cursor="id", partition_by="country")
        ... def people(since):
        ...     yield {"id": 1, "country": "IS"}
        >>> people.name, people.spec.cursor.path
        ('people', 'id')
    """

    def decorate(function: Callable[..., object]) -> Resource:
        spec = table_spec(
            name or function.__name__,
            primary_key=primary_key,
            mode=mode,
            cursor=cursor,
            partition_by=partition_by,
            sort_by=sort_by,
            schema=schema,
            load_columns=load_columns,
            target_file_size=target_file_size,
            encoding=encoding,
            fold=fold,
            properties=properties,
        )
        read = ReadOptions(record_path=record_path)
        return Resource(spec, _opener(function), read, function)

    return decorate if function is None else decorate(function)


def table_spec(
    name: str,
    *,
    primary_key: str | Iterable[str] | None = None,
    mode: WriteMode | None = None,
    cursor: Cursor | str | None = None,
    partition_by: str | Iterable[str] = (),
    sort_by: str | Iterable[str] = (),
    schema: pa.Schema | Mapping[str, pa.DataType] | None = None,
    load_columns: bool = True,
    target_file_size: int | str | None = None,
    encoding: Encoding = "compat",
    fold: bool = True,
    properties: Mapping[str, str] | None = None,
) -> TableSpec:
    """A `TableSpec` from the forms users write; see `resource` for the arguments.

    Raises:
        ConfigError: An option cannot be read.
    """
    keys = (primary_key,) if isinstance(primary_key, str) else tuple(primary_key or ())
    return TableSpec(
        name=name,
        schema=_hints(schema),
        primary_key=keys,
        layout=Layout.parse(partition_by, sort_by),
        mode=Append() if mode is None else checked_mode(mode),
        cursor=Cursor(cursor) if isinstance(cursor, str) else cursor,
        load_columns=load_columns,
        target_file_size=None if target_file_size is None else parse_size(target_file_size),
        encoding=checked_encoding(encoding),
        fold=fold,
        properties=dict(properties or {}),
    )


def _hints(schema: pa.Schema | Mapping[str, pa.DataType] | None) -> pa.Schema | None:
    if schema is None or isinstance(schema, pa.Schema):
        return schema
    try:
        return pa.schema(list(schema.items()))
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"the schema cannot be read: {error}",
            hint='Give a pyarrow schema, or pyarrow types by column such as {"id": pa.int64()}.',
        ) from error


def from_data(data: object, spec: TableSpec, read: ReadOptions | None = None) -> Resource:
    """A resource over data that is already at hand: a path, rows, batches, a DataFrame."""
    return Resource(spec, lambda _since: data, read or ReadOptions())


def _opener(function: Callable[..., object]) -> Callable[[Any], object]:
    parameters = inspect.signature(function).parameters
    if "since" in parameters:
        return lambda since: function(since=since)
    return lambda _since: function()
