"""What can be asked of a table and of its source: every option, declared once.

The keys below are the keyword arguments of `load`, `resource` and `Pipeline.run`; their docstrings are what
`help()` shows there. `spec_of` and `read_options` make of them what the stages of a load work with. `None` is
always as good as leaving an option out, and an option nobody knows is an error that names the nearest.

To add an option: a key here, with its type and docstring; a field of that name in `model.table.TableSpec` or
`sources.read.ReadOptions`; a line in `_READERS` if users may write what the field does not keep; a row in
`cli.options.FLAGS` and a field of `settings.ResourceSettings`, which `tests/unit/test_options.py` asks for.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from lakeload.config import parse_size
from lakeload.errors import ConfigError
from lakeload.given import flag, text, texts, texts_by_text
from lakeload.model.contract import Contract
from lakeload.model.csv_options import CsvOptions
from lakeload.model.cursor import Cursor
from lakeload.model.format import Format, checked_format
from lakeload.model.layout import Layout
from lakeload.model.mode import WriteMode, checked_mode
from lakeload.model.naming import HINTS, Naming, checked_length, checked_naming, nearest
from lakeload.model.nesting import Nesting
from lakeload.model.rejection import ErrorPolicy, OnError
from lakeload.model.rules import Rule, parse_rules
from lakeload.model.table import Encoding, TableSpec, checked_encoding

if TYPE_CHECKING:
    import pyarrow as pa


class TableOptions(TypedDict, total=False):
    """What a table shall be, and what of the data gets in."""

    cursor: Cursor | str | None
    """Column that orders the rows, so that a load takes only new ones."""
    primary_key: str | Iterable[str] | None
    """Columns that identify a row; ids of rows in child tables are made of them."""
    partition_by: str | Iterable[str] | None
    """Partition fields such as `"country"` or `"day(created_at)"`."""
    sort_by: str | Iterable[str] | None
    """Sort order within a file, such as `"created_at desc"`."""
    schema: pa.Schema | Mapping[str, pa.DataType] | type | None
    """Types by column that win over what is inferred; may be partial. Or a pydantic model, dataclass or
    msgspec struct whose fields say them."""
    load_columns: bool | None
    """Add `_lakeload_id` and `_lakeload_at` to a table this creates (default)."""
    target_file_size: int | str | None
    """Bytes, or a size such as `"128MB"` (the default)."""
    encoding: Encoding | None
    """`"compat"` (default) is read fast by every engine; `"modern"` makes smaller files."""
    fold: bool | None
    """Fold small files after the load (default)."""
    properties: Mapping[str, str] | None
    """Table properties, set when the table is created."""
    nesting: Nesting | str | Mapping[str, str] | None
    """What becomes of objects and lists: `"native"` (default), `"tables"`, `"flatten"`, `"json"`, `"map"`,
    or a policy by dotted path with `""` for the default; see `Nesting`."""
    max_depth: int | None
    """Levels of nesting kept as types, default 32; deeper values become JSON text."""
    contract: Contract | str | Mapping[str, str] | None
    """What may change in the table: `"evolve"` (default), `"freeze"`, `"discard_value"`, `"discard_row"`,
    `"quarantine"`, or one of them by `tables`, `columns` and `types`; see `Contract`."""
    rules: Rule | str | Iterable[Rule | str] | None
    """What every row must meet, such as `not_null("id")` or `"id not null"`; see `lakeload.rules`."""
    detect_dates: bool | None
    """Make date and timestamp columns of ISO 8601 text in JSON and Python rows (default)."""
    naming: Naming | None
    """How columns are named: `"snake_case"` (default), `"preserve"`, `"sql_safe"`, or a function from the
    source's name to the lake's that `pickle` can carry; see `lakeload.normalize.naming`."""
    max_name_length: int | None
    """Longest column name in bytes of UTF-8, 24 to 255; default 127."""


class SourceOptions(TypedDict, total=False):
    """How to read data that does not say so itself."""

    record_path: str | None
    """Dotted path of the records in JSON objects."""
    csv: CsvOptions | Mapping[str, Any] | None
    """How CSV is written, such as `CsvOptions(separator=";")`; what is left open is found out."""
    on_error: OnError | None
    """Lines of CSV and JSON that cannot be read: `"stop"`, or put aside in the `"quarantine"`. By default a
    line of JSON stops the load, and broken rows of CSV are put aside while most can be read."""
    max_errors: float | None
    """Lines that may be put aside before the load fails: a number, or a share such as `0.01`."""
    input_format: Format | None
    """`"jsonl"`, `"json"`, `"csv"`, `"tsv"`, `"parquet"` or `"arrow"`; by default name or content tells."""


class RunOptions(TableOptions, SourceOptions, total=False):
    """What `Pipeline.run` takes besides the mode, which it takes by place."""


class Options(RunOptions, total=False):
    """Everything a resource can be told."""

    mode: WriteMode | None
    """`Append()` (default) or `Overwrite()`."""


_Function = TypeVar("_Function", bound=Callable[..., object])
_KEY = re.compile(r'^    (\w+): [^\n]+\n    """(.*?)"""', re.DOTALL | re.MULTILINE)


def spec_of(name: str, mode: WriteMode | None = None, **options: Unpack[TableOptions]) -> TableSpec:
    """A table's name and options in the forms users write, as what the stages work with.

    Raises:
        ConfigError: An option is not known, or cannot be read.

    Example:
        >>> spec_of("people", primary_key="id").primary_key
        ('id',)
    """
    given = _given({**options, "mode": mode}, (*TableOptions.__annotations__, "mode"))
    layout = Layout.parse(
        texts(given.pop("partition_by", ()), "partition_by"), texts(given.pop("sort_by", ()), "sort_by")
    )
    nesting = Nesting.parse(given.pop("nesting", None), given.pop("max_depth", None))
    return TableSpec(text(name, "table"), layout=layout, nesting=nesting, **_read(given))


def read_options(**options: Unpack[SourceOptions]) -> dict[str, Any]:
    """Options of a source in the forms users write, as arguments of `sources.read.ReadOptions`.

    Raises:
        ConfigError: An option is not known, or cannot be read.
    """
    return _read(_given(options, SourceOptions.__annotations__))


def split(options: Mapping[str, Any], *, beside: Iterable[str] = ()) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of the table, its mode among them, and those of its source.

    Args:
        options: What a public function was given besides arguments of its own.
        beside: The names of these: one of them can be what was meant.

    Raises:
        ConfigError: An option is not known.
    """
    given = _given(options, Options.__annotations__, beside)
    source = {key: given.pop(key) for key in SourceOptions.__annotations__ if key in given}
    return given, source


def documented(function: _Function) -> _Function:
    """The function with all options in its docstring, in place of the line `{options}`."""
    if function.__doc__:
        function.__doc__ = function.__doc__.replace("        {options}\n", _described())
    return function


def _described() -> str:
    """The keys and their docstrings, as lines of a docstring."""
    try:
        found = _KEY.findall(inspect.getsource(sys.modules[__name__]))
    except OSError:  # installed without its source
        return f"        Options: {', '.join(Options.__annotations__)}.\n"
    return "".join(f"        {key}: {' '.join(text.split())}\n" for key, text in found)


def _given(options: Mapping[str, Any], known: Iterable[str], beside: Iterable[str] = ()) -> dict[str, Any]:
    for name in options:
        if name not in known:
            raise unknown_option(name, (*beside, *known))
    return {name: value for name, value in options.items() if value is not None}


def unknown_option(name: str, known: Iterable[str]) -> ConfigError:
    """The error for an option nobody knows, with the nearest one that is."""
    names = list(known)
    return ConfigError(
        f"there is no option {name!r}", hint=nearest(name, names) or f"There are {', '.join(names)}."
    )


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _READERS[name](value, name) if name in _READERS else value for name, value in given.items()}


_CURSOR = "a column's name, or ll.Cursor()"


def _cursor(value: object, _option: str) -> Cursor:
    cursor = value if isinstance(value, Cursor) else Cursor(text(value, "cursor", like=_CURSOR))
    text(cursor.path, "cursor", like=_CURSOR)
    return cursor


def _hints(value: object, _option: str) -> pa.Schema:
    import pyarrow as pa

    from lakeload.sources.class_schema import class_schema, is_model

    if isinstance(value, pa.Schema):
        return value
    if isinstance(value, type) and is_model(value):
        return class_schema(value)
    try:
        return pa.schema(list(value.items()), {HINTS: b""})  # type: ignore[attr-defined]  # anything else is caught below
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"the schema cannot be read: {error}",
            hint='Give a pyarrow schema, types by column such as {"id": pa.int64()}, or a pydantic model.',
        ) from error


def _policy(value: Any, option: str) -> object:
    return getattr(ErrorPolicy(**{option: value}), option)


_READERS: dict[str, Callable[[Any, str], Any]] = {
    "mode": lambda value, _option: checked_mode(value),
    "cursor": _cursor,
    "primary_key": texts,
    "schema": _hints,
    "load_columns": flag,
    "target_file_size": lambda value, _option: parse_size(value),
    "encoding": lambda value, _option: checked_encoding(value),
    "fold": flag,
    "properties": lambda value, option: texts_by_text(
        value, option, like='text by text, as {"owner": "sales"}'
    ),
    "contract": lambda value, _option: Contract.parse(value),
    "rules": lambda value, _option: parse_rules(value),
    "detect_dates": flag,
    "naming": lambda value, _option: checked_naming(value),
    "max_name_length": lambda value, _option: checked_length(value),
    "record_path": text,
    "csv": lambda value, _option: CsvOptions.parse(value),
    "on_error": _policy,
    "max_errors": _policy,
    "input_format": lambda value, _option: checked_format(value),
}
"""What makes of the forms users write what the field keeps, or raises a `ConfigError`."""
