"""Pipelines declared in a YAML file: its models, and messages that name the key and the line.

`lakeload run pipeline.yml` reads the file here and gets back plain values; nothing here opens a
lakehouse. Relative paths count from the folder of the file. `${NAME}` anywhere in a text is replaced by
that environment variable (by `config.resolve_references`), so secrets need not be in the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lakeload.config import parse_size, resolve_references
from lakeload.errors import ConfigError
from lakeload.model.contract import Contract
from lakeload.model.csv_options import CsvOptions
from lakeload.model.layout import PartitionField, SortField
from lakeload.model.naming import MAX_NAME_BYTES, Policy, checked_length
from lakeload.model.nesting import Nesting
from lakeload.model.rejection import OnError
from lakeload.model.rules import Rule, parse_rules
from lakeload.model.table import Encoding


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _both(value: object) -> object:
    return ["delta", "iceberg"] if value == "both" else _several(value)


class _RefusedError(ValueError):
    """Carries an error of ours through pydantic, which catches only ValueError."""

    def __init__(self, cause: ConfigError) -> None:
        super().__init__(cause.what)
        self.cause = cause


def _checked(check: Callable[[Any], Any], *, convert: bool = False) -> Callable[[Any], Any]:
    def validate(value: Any) -> Any:
        try:
            found = check(value)
        except ConfigError as error:
            if isinstance(value, str) and value.count("(") != value.count(")"):
                error.hint = "Put it in quotes, because YAML splits what stands in brackets at commas."
            raise _RefusedError(error) from error
        return found if convert else value

    return validate


def _named(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


Texts = Annotated[list[str], BeforeValidator(_several)]
Partition = Annotated[str, AfterValidator(_checked(PartitionField.parse))]
Sort = Annotated[str, AfterValidator(_checked(SortField.parse))]
TypeName = Annotated[str, AfterValidator(_checked(lambda text: parse_type(text)))]  # noqa: PLW0108 - parse_type is defined below
Mode = Literal["append", "overwrite", "overwrite-or-clear", "overwrite-partitions"]


class _Section(BaseModel):
    # The default message of a failed validation shows the input, which may hold a secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class LakehouseSettings(_Section):
    """Where the tables are.

    Args:
        path: Local folder or `s3://bucket/prefix`.
        format: `delta`, `iceberg` or `both`; by default what a table has, and Delta for new ones.
        catalog: `sqlite:///…`, `postgresql://…`, `rest+http://…`, `hive://…` or `glue://…`; one by format as
            `{delta: …, iceberg: …}`.
        namespace: Group of tables, default `default`.
        storage_options: Credentials and endpoint, see `storage_options.STORAGE_KEYS`.
    """

    path: str
    format: Annotated[
        list[Literal["delta", "iceberg"]] | None, BeforeValidator(_both), Field(min_length=1)
    ] = None
    catalog: Annotated[str | dict[str, str] | None, Field(repr=False)] = None
    namespace: str = "default"
    storage_options: Annotated[dict[str, str], Field(repr=False)] = {}


class CursorSettings(_Section):
    """The column that orders the rows; see `lakeload.Cursor`."""

    path: str
    lag: str | float | None = None
    initial: Any = None
    type: Literal["number", "timestamp", "text"] | None = None


class ResourceSettings(_Section):
    """One table and where its rows come from.

    Args:
        table: Name of the table.
        source: Path, glob or URL, or several.
        mode: `append` (default), `overwrite` (all rows, if any come), `overwrite-or-clear` (even if none) or
            `overwrite-partitions` (those that get rows).
        partition_by: Columns or transforms such as `day(created_at)`.
        sort_by: Columns, each optionally followed by `desc`.
        cursor: Column name, or `path`, `lag`, `initial` and `type`.
        primary_key: Columns that identify a row; ids of rows in child tables are made of them.
        schema: Type by column, see `docs/concepts/schema.md`.
        target_file_size: Such as `64MB`.
        encoding: `compat` (default) or `modern`.
        record_path: Dotted path to the array of records in a JSON object.
        csv: How CSV is written: `separator`, `quote`, `escape`, `encoding`, `header`, `skip_rows`, `ragged`.
        on_error: Lines that cannot be read: `stop` or `quarantine`.
        max_errors: Lines that may be put aside before the load fails: a number, or a share below 1.
        input_format: Format of the files, where names and content do not tell.
        load_columns: Add `_lakeload_id` and `_lakeload_at`.
        fold: Fold small files after the load.
        nesting: `native` (default), `tables`, `flatten`, `json` or `map`; by dotted path, `""` for the rest.
        max_depth: Levels of nesting kept as types, default 32.
        contract: `evolve` (default), `freeze`, `discard_value`, `discard_row` or `quarantine`; by `tables`,
            `columns` and `types`.
        rules: What every row must meet, as `id not null`.
        naming: `snake_case` (default), `preserve` or `sql_safe`.
        max_name_length: Longest column name in bytes, default 127.
        detect_dates: Make date and timestamp columns of ISO 8601 text in JSON.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)

    table: str
    source: Annotated[Texts, Field(min_length=1)]
    mode: Mode = "append"
    partition_by: Annotated[list[Partition], BeforeValidator(_several)] = []
    sort_by: Annotated[list[Sort], BeforeValidator(_several)] = []
    cursor: Annotated[CursorSettings | None, BeforeValidator(_named)] = None
    primary_key: Texts = []
    types: Annotated[dict[str, TypeName], Field(alias="schema")] = {}
    target_file_size: Annotated[int, BeforeValidator(_checked(parse_size, convert=True))] | None = None
    encoding: Encoding = "compat"
    record_path: str | None = None
    csv: Annotated[CsvOptions, BeforeValidator(_checked(CsvOptions.parse, convert=True))] = CsvOptions()
    on_error: OnError | None = None
    max_errors: Annotated[float, Field(ge=0)] | None = None
    input_format: Literal["jsonl", "json", "csv", "tsv", "parquet", "arrow"] | None = None
    load_columns: bool = True
    fold: bool = True
    nesting: Annotated[Nesting, BeforeValidator(_checked(Nesting.parse, convert=True))] = Nesting()
    max_depth: Annotated[int, Field(ge=1)] | None = None
    contract: Annotated[Contract, BeforeValidator(_checked(Contract.parse, convert=True))] = Contract()
    rules: Annotated[tuple[Rule, ...], BeforeValidator(_checked(parse_rules, convert=True))] = ()
    naming: Policy = "snake_case"
    max_name_length: Annotated[int, AfterValidator(_checked(checked_length))] = MAX_NAME_BYTES
    detect_dates: bool = True


class PipelineSettings(_Section):
    """A whole file.

    Args:
        pipeline: Name under which positions are kept; change it and everything is loaded again.
        lakehouse: Where to.
        contract: What may change in the tables where the resource says nothing; see there.
        resources: What, in this order.
    """

    pipeline: str
    lakehouse: LakehouseSettings
    contract: Annotated[Contract, BeforeValidator(_checked(Contract.parse, convert=True))] = Contract()
    resources: Annotated[list[ResourceSettings], Field(min_length=1)]


def read_pipeline(path: Path) -> PipelineSettings:
    """Read and check a pipeline file.

    Args:
        path: The YAML file.

    Returns:
        Its settings; references are resolved and relative paths made absolute.

    Raises:
        ConfigError: The file cannot be read, is not YAML, or a key is wrong; the message names key and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text in UTF-8"
        raise ConfigError(
            f"cannot read the pipeline file: {reason}",
            place=str(path),
            hint="Check its path, permissions and encoding.",
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise ConfigError(
            f"the pipeline file is not YAML: {problem}",
            place=place,
            hint="Check indentation and quotes at that line.",
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(
            "the pipeline file declares nothing", place=str(path),
            hint="It needs the keys pipeline, lakehouse and resources.",
        )  # fmt: skip
    try:
        settings = PipelineSettings.model_validate(_resolve(content, (), root, path))
    except ValidationError as error:
        raise _explain(error, root, path) from error
    return _anchor(settings, path.resolve().parent)


def _resolve(value: Any, loc: tuple[str | int, ...], root: Any, path: Path) -> Any:
    if isinstance(value, dict):
        return {key: _resolve(item, (*loc, key), root, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, (*loc, i), root, path) for i, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    try:
        return resolve_references(value)
    except ConfigError as error:
        raise ConfigError(
            f"{_key(loc)}: {error.what}", place=f"{path}:{_line(root, loc)}", hint=error.hint
        ) from None


def _explain(error: ValidationError, root: Any, path: Path) -> ConfigError:
    found = error.errors(include_input=False, include_url=False)
    # A misspelt key is also a missing one: name the key that is there to be seen.
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    loc, cause = first["loc"], first.get("ctx", {}).get("error")
    hint = None
    match first["type"]:
        case "missing":
            what = f"{_key(loc)} is missing"
        case "extra_forbidden":
            what = f"{_key(loc)} is not a known key"
            hint = f"Known here: {', '.join(_known(loc))}."
        case _ if isinstance(cause, _RefusedError):
            what, hint = f"{_key(_real(loc, root))}: {cause.cause.what}", cause.cause.hint
        case _:
            what = f"{_key(_real(loc, root))}: {first['msg'][:1].lower()}{first['msg'][1:]}"
    return ConfigError(what, place=f"{path}:{_line(root, loc)}", hint=hint)


def _known(loc: tuple[str | int, ...]) -> list[str]:
    sections: dict[str, type[BaseModel]] = {
        "lakehouse": LakehouseSettings,
        "resources": ResourceSettings,
        "cursor": CursorSettings,
    }
    names = [str(part) for part in loc[:-1] if part in sections]
    model = sections[names[-1]] if names else PipelineSettings
    return [field.alias or name for name, field in model.model_fields.items()]


def _key(loc: tuple[str | int, ...]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc]
    return "".join(parts).removeprefix(".")


def _child(node: Any, part: str | int) -> Any:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part]
    return None


def _real(loc: tuple[str | int, ...], root: Any) -> tuple[str | int, ...]:
    """Without the names of union members that pydantic appends."""
    node, kept = root, 0
    while kept < len(loc) and (node := _child(node, loc[kept])) is not None:
        kept += 1
    return loc[: max(kept, 1)]


def _line(root: Any, loc: tuple[str | int, ...]) -> int:
    """Line of the innermost node on the way to `loc` that is in the file."""
    node = root
    for part in loc:
        child = _child(node, part)
        if child is None:
            break
        node = child
    return int(node.start_mark.line) + 1


def _anchor(settings: PipelineSettings, folder: Path) -> PipelineSettings:
    """Relative paths count from the folder of the file."""
    lake = settings.lakehouse
    resources = [
        resource.model_copy(update={"source": [_anchored(text, folder) for text in resource.source]})
        for resource in settings.resources
    ]
    moved = lake.model_copy(update={"path": _anchored(lake.path, folder)})
    return settings.model_copy(update={"lakehouse": moved, "resources": resources})


def _anchored(text: str, folder: Path) -> str:
    return text if "://" in text else str(folder / Path(text).expanduser())


_CALL = re.compile(r"^(?P<name>[a-z0-9_]+)\s*(?:\(\s*(?P<args>\d+(?:\s*,\s*\d+)?)\s*\))?$")


def parse_type(text: str) -> Any:
    """The Arrow type a settings file names: see the table in `docs/concepts/schema.md`.

    Raises:
        ConfigError: There is no such type.

    Example:
        >>> parse_type("decimal(10, 2)"), parse_type("list<int>")
        (Decimal128Type(decimal128(10, 2)), ListType(list<element: int32>))
    """
    import pyarrow as pa

    names = {
        "bool": pa.bool_(), "int": pa.int32(), "int32": pa.int32(), "long": pa.int64(), "int64": pa.int64(),
        "float": pa.float32(), "float32": pa.float32(), "double": pa.float64(), "float64": pa.float64(),
        "string": pa.string(), "binary": pa.binary(), "date": pa.date32(), "time": pa.time64("us"),
        "timestamp": pa.timestamp("us", "UTC"), "timestamp_ntz": pa.timestamp("us"),
    }  # fmt: skip
    clean = text.strip().lower()
    if clean.startswith("list<") and clean.endswith(">"):
        return pa.list_(pa.field("element", parse_type(clean[5:-1])))
    match = _CALL.match(clean)
    if match and match["name"] == "decimal" and match["args"]:
        digits = [int(part) for part in match["args"].split(",")]
        return pa.decimal128(digits[0], digits[1] if len(digits) > 1 else 0)
    if match is None or match["name"] not in names or match["args"]:
        raise ConfigError(
            f"there is no type {text!r}",
            hint=f"Known ones: {', '.join(names)}, decimal(10, 2), list<string>.",
        )
    return names[match["name"]]
