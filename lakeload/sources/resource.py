"""Resources: one table's worth of a source, declared by a decorator or made from plain data."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Unpack, overload

from lakeload.errors import ConfigError
from lakeload.given import text
from lakeload.model.contract import Contract
from lakeload.model.mode import WriteMode, checked_mode
from lakeload.model.table import TableSpec
from lakeload.options import Options, documented, read_options, spec_of, split
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
        label: Tells its position from those of other resources that load into the same table; by default the
            name it was made with.

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
    label: str = ""

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
            name=self.spec.name if table is None else text(table, "table"),
            mode=self.spec.mode if mode is None else checked_mode(mode),
        )
        return replace(self, spec=spec, label=self.label or self.spec.name)

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
    *, name: str | None = None, **options: Unpack[Options]
) -> Callable[[Callable[..., object]], Resource]: ...


@documented
def resource(
    function: Callable[..., object] | None = None,
    /,
    *,
    name: str | None = None,
    **options: Unpack[Options],
) -> Resource | Callable[[Callable[..., object]], Resource]:
    """Make a resource of a function that yields or returns data.

    A parameter named `since` receives the cursor's position, `None` on the first run.

    Args:
        function: The function, when the decorator is used without parentheses.
        name: Table name; the function's name by default.
        {options}

    Returns:
        The resource; with options, a decorator that makes one.

    Raises:
        ConfigError: An option is not known, or cannot be read.

    Example:
        >>> @resource(cursor="id", partition_by="country")
        ... def people(since):
        ...     yield {"id": 1, "country": "IS"}
        >>> people.name, people.spec.cursor.path
        ('people', 'id')
    """
    table, source = split(options, beside=("name",))
    spec = spec_of("resource" if name is None else name, **table)
    read = ReadOptions(**read_options(**source))

    def decorate(function: Callable[..., object]) -> Resource:
        named = spec if name is not None else replace(spec, name=function.__name__)
        return Resource(named, _opener(function), read, function)

    return decorate if function is None else decorate(function)


def from_data(
    data: object, name: str, storage: StorageOptions | None = None, **options: Unpack[Options]
) -> Resource:
    """A resource over data that is already at hand: a path, rows, batches, a DataFrame.

    Raises:
        ConfigError: An option is not known, or cannot be read.
    """
    table, source = split(options)
    read = ReadOptions(**read_options(**source), storage=storage or StorageOptions())
    return Resource(spec_of(name, **table), lambda _since: data, read)


def _opener(function: Callable[..., object]) -> Callable[[Any], object]:
    parameters = inspect.signature(function).parameters
    if "since" in parameters:
        return lambda since: function(since=since)
    return lambda _since: function()
