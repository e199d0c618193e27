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
from lakeload.model.contract import Contract
from lakeload.model.cursor import Cursor
from lakeload.model.layout import Layout
from lakeload.model.mode import Append, WriteMode, checked_mode
from lakeload.model.naming import MAX_NAME_BYTES, Naming, checked_length, checked_naming
from lakeload.model.nesting import Nesting
from lakeload.model.rules import Rule, parse_rules
from lakeload.model.table import Encoding, TableSpec, checked_encoding
from lakeload.sources.class_schema import class_schema, is_model
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
        positions: For sources that keep their own position: gives what to record with the load, once all
            its rows were taken. `open` then takes what the last load recorded (empty at first) in place of a
            cursor position. `None`: the resource has a cursor, or loads everything.

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
    positions: Callable[[], Mapping[str, str]] | None = field(default=None, repr=False)

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

    def under(self, contract: Contract) -> Resource:
        """The same resource under a contract instead of its own."""
        return replace(self, spec=replace(self.spec, contract=contract))

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
    schema: pa.Schema | Mapping[str, pa.DataType] | type | None = None,
    load_columns: bool = True,
    target_file_size: int | str | None = None,
    encoding: Encoding = "compat",
    fold: bool = True,
    properties: Mapping[str, str] | None = None,
    nesting: Nesting | str | Mapping[str, str] | None = None,
    max_depth: int | None = None,
    contract: Contract | str | Mapping[str, str] | None = None,
    rules: Rule | str | Iterable[Rule | str] = (),
    detect_dates: bool = True,
    naming: Naming = "snake_case",
    max_name_length: int = MAX_NAME_BYTES,
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
    schema: pa.Schema | Mapping[str, pa.DataType] | type | None = None,
    load_columns: bool = True,
    target_file_size: int | str | None = None,
    encoding: Encoding = "compat",
    fold: bool = True,
    properties: Mapping[str, str] | None = None,
    nesting: Nesting | str | Mapping[str, str] | None = None,
    max_depth: int | None = None,
    contract: Contract | str | Mapping[str, str] | None = None,
    rules: Rule | str | Iterable[Rule | str] = (),
    detect_dates: bool = True,
    naming: Naming = "snake_case",
    max_name_length: int = MAX_NAME_BYTES,
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
        schema: Types by column that win over what is inferred; may be partial. Or a pydantic model, dataclass
            or msgspec struct whose fields say them.
        load_columns: Add `_lakeload_id` and `_lakeload_at` to a table this creates.
        target_file_size: Bytes, or a size such as `"128MB"` (the default).
        encoding: `"compat"` is read fast by every engine; `"modern"` makes smaller files.
        fold: Fold small files after the load.
        properties: Table properties, set when the table is created.
        nesting: What becomes of objects and lists: `"native"` (default), `"tables"`, `"flatten"`, `"json"`,
            `"map"`, or a policy by dotted path with `""` for the default; see `Nesting`.
        max_depth: Levels of nesting kept as types, default 32; deeper values become JSON text.
        contract: What may change in the table: `"evolve"` (default), `"freeze"`, `"discard_value"`,
            `"discard_row"`, `"quarantine"`, or one of them by `tables`, `columns` and `types`.
        rules: What every row must meet, such as `not_null("id")` or `"id not null"`; see `lakeload.rules`.
        detect_dates: Make date and timestamp columns of ISO 8601 text in JSON and Python rows.
        naming: How columns are named: `"snake_case"` (default), `"preserve"`, `"sql_safe"`, or a function
            from the source's name to the lake's that `pickle` can carry; see `lakeload.normalize.naming`.
        max_name_length: Longest column name in bytes of UTF-8, 24 to 255; default 127.
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
            nesting=nesting,
            max_depth=max_depth,
            contract=contract,
            rules=rules,
            detect_dates=detect_dates,
            naming=naming,
            max_name_length=max_name_length,
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
    schema: pa.Schema | Mapping[str, pa.DataType] | type | None = None,
    load_columns: bool = True,
    target_file_size: int | str | None = None,
    encoding: Encoding = "compat",
    fold: bool = True,
    properties: Mapping[str, str] | None = None,
    nesting: Nesting | str | Mapping[str, str] | None = None,
    max_depth: int | None = None,
    contract: Contract | str | Mapping[str, str] | None = None,
    rules: Rule | str | Iterable[Rule | str] = (),
    detect_dates: bool = True,
    naming: Naming = "snake_case",
    max_name_length: int = MAX_NAME_BYTES,
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
        nesting=Nesting.parse(nesting, max_depth),
        contract=Contract.parse(contract),
        rules=parse_rules(rules),
        detect_dates=detect_dates,
        naming=checked_naming(naming),
        max_name_length=checked_length(max_name_length),
    )


def _hints(schema: pa.Schema | Mapping[str, pa.DataType] | type | None) -> pa.Schema | None:
    if schema is None or isinstance(schema, pa.Schema):
        return schema
    if isinstance(schema, type) and is_model(schema):
        return class_schema(schema)
    try:
        return pa.schema(list(schema.items()))  # type: ignore[union-attr]  # anything else is caught below
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"the schema cannot be read: {error}",
            hint='Give a pyarrow schema, types by column such as {"id": pa.int64()}, or a pydantic model.',
        ) from error


def from_data(data: object, spec: TableSpec, read: ReadOptions | None = None) -> Resource:
    """A resource over data that is already at hand: a path, rows, batches, a DataFrame."""
    return Resource(spec, lambda _since: data, read or ReadOptions())


def _opener(function: Callable[..., object]) -> Callable[[Any], object]:
    parameters = inspect.signature(function).parameters
    if "since" in parameters:
        return lambda since: function(since=since)
    return lambda _since: function()
