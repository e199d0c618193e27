"""What users call: `Pipeline`, and `load` for one table in one call. `lakeload.run` does the work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakeload.errors import ConfigError
from lakeload.hooks import Hook, as_hooks
from lakeload.lakehouse import Lakehouse
from lakeload.model.contract import Contract
from lakeload.model.cursor import Cursor
from lakeload.model.mode import WriteMode
from lakeload.model.naming import MAX_NAME_BYTES, Naming
from lakeload.model.nesting import Nesting
from lakeload.model.progress import Progress, Silent
from lakeload.model.rules import Rule
from lakeload.model.table import Encoding
from lakeload.normalize.naming import table_name
from lakeload.registry import parse_formats
from lakeload.report import RunReport
from lakeload.run import Run
from lakeload.sources.read import ReadOptions
from lakeload.sources.resource import Resource, from_data, table_spec
from lakeload.storage_options import StorageOptions


class Pipeline:
    """Loads resources into a lakehouse and remembers where it stopped.

    Args:
        name: Names the position. Of two runs of one name at the same time one stops with a `ConflictError`.
        lake: Where to.
        contract: What may change in its tables where neither the run nor the resource says so.
        on_schema_change: Called with the changes of each run; see `lakeload.hooks`.
        progress: Listens to the run; nobody by default.

    Example:
        >>> import tempfile
        >>> report = Pipeline("people", Lakehouse(tempfile.mkdtemp())).run([{"id": 1}], table="people")
        >>> report.tables["people"].rows
        1
    """

    def __init__(
        self,
        name: str,
        lake: Lakehouse,
        *,
        contract: Contract | str | Mapping[str, str] | None = None,
        on_schema_change: Hook | Iterable[Hook] = (),
        progress: Progress | None = None,
    ) -> None:
        self.name = name
        self.lake = lake
        self.contract = Contract.parse(contract)
        self.hooks = as_hooks(on_schema_change)
        self.progress = progress or Silent()

    def run(
        self,
        data: Any,
        table: str | None = None,
        mode: WriteMode | None = None,
        *,
        contract: Contract | str | Mapping[str, str] | None = None,
    ) -> RunReport:
        """Load everything that is new, publish it as one load, and report.

        An unfinished load of this pipeline is completed first. Every table changes in one commit; with
        several tables or two formats they follow one another, see the page on loads.

        Args:
            data: A resource or several, or data: a path, rows, batches, a DataFrame.
            table: Table name, for data, or instead of the single resource's own.
            mode: Instead of the resources' own.
            contract: What may change in the tables; comes before the resources' and the pipeline's.

        Returns:
            What was done to each table.

        Raises:
            LakeloadError: With what happened, where, and the way out. The tables are as they were, except
                after an error while publishing: then some can have the load, and the next run completes it.
        """
        given = Contract.parse(contract)
        resources = [
            resource.under(given.over(resource.spec.contract).over(self.contract))
            for resource in _resources(data, table, mode)
        ]
        return Run(self.lake, self.name, resources, self.progress, hooks=self.hooks).finish()


def load(
    data: Any,
    lake: Lakehouse | str | Path,
    *,
    table: str | None = None,
    format: str | tuple[str, ...] = "delta",  # noqa: A002 - the word users look for
    mode: WriteMode | None = None,
    cursor: Cursor | str | None = None,
    primary_key: str | Iterable[str] | None = None,
    partition_by: str | Iterable[str] = (),
    sort_by: str | Iterable[str] = (),
    schema: pa.Schema | Mapping[str, pa.DataType] | type | None = None,
    load_columns: bool = True,
    target_file_size: int | str | None = None,
    encoding: Encoding = "compat",
    fold: bool = True,
    nesting: Nesting | str | Mapping[str, str] | None = None,
    max_depth: int | None = None,
    contract: Contract | str | Mapping[str, str] | None = None,
    rules: Rule | str | Iterable[Rule | str] = (),
    detect_dates: bool = True,
    naming: Naming = "snake_case",
    max_name_length: int = MAX_NAME_BYTES,
    record_path: str | None = None,
    storage_options: Mapping[str, str] | None = None,
    catalog: str | Mapping[str, str] | None = None,
    namespace: str = "default",
    pipeline: str | None = None,
    progress: Progress | None = None,
    on_schema_change: Hook | Iterable[Hook] = (),
) -> RunReport:
    """Load data into one table, in one call.

    Args:
        data: A path, glob or URL (or several), rows, batches, a DataFrame, JSON bytes, or a resource, which
            has options of its own: of those that describe the table only `table` and `mode` go with it.
        lake: Lakehouse, or its place: a local path or `s3://bucket/prefix`.
        table: Table name; by default that of the resource or file.
        format: `"delta"`, `"iceberg"` or both, when `lake` is a place.
        mode: `Append()` (default) or `Overwrite()`.
        cursor: Column that orders the rows; a second call loads only what is new.
        primary_key: Columns that identify a row; appends and overwrites make no use of it.
        partition_by: Partition fields such as `"country"` or `"day(created_at)"`.
        sort_by: Sort order within a file.
        schema: Types by column that win over what is inferred; may be partial. Or a pydantic model, dataclass
            or msgspec struct whose fields say them.
        load_columns: Add `_lakeload_id` and `_lakeload_at` to a table this creates.
        target_file_size: Bytes, or a size such as `"128MB"` (the default).
        encoding: `"compat"` is read fast by every engine; `"modern"` makes smaller files.
        fold: Fold small files after the load.
        nesting: What becomes of objects and lists: `"native"` (default), `"tables"`, `"flatten"`, `"json"`,
            `"map"`, or a policy by dotted path with `""` for the default; see `Nesting`.
        max_depth: Levels of nesting kept as types, default 32; deeper values become JSON text.
        contract: What may change in the table, before what a resource says; see `Contract`.
        rules: What every row must meet, such as `not_null("id")` or `"id not null"`; see `lakeload.rules`.
        detect_dates: Make date and timestamp columns of ISO 8601 text in JSON and Python rows.
        naming: How columns are named: `"snake_case"` (default), `"preserve"`, `"sql_safe"`, or a function.
        max_name_length: Longest column name in bytes of UTF-8, 24 to 255; default 127.
        on_schema_change: Called with the changes of the table's schema; see `lakeload.hooks`.
        record_path: Dotted path of the records in JSON objects.
        storage_options: Credentials and endpoint, for the lake and for `s3://` data.
        catalog: Catalog URI, or one by format, when `lake` is a place; see `Lakehouse`.
        namespace: Namespace, when `lake` is a place.
        pipeline: Names the position; by default after the table.
        progress: Listens to the run.

    Returns:
        What was done, with one entry in `tables`.

    Raises:
        LakeloadError: With what happened, where, and the way out. The table is as it was, except after an
            error while publishing in both formats: then the next call completes the load.

    Example:
        >>> import tempfile
        >>> load([{"id": 1}, {"id": 2}], tempfile.mkdtemp(), table="numbers").tables["numbers"].rows
        2
    """
    if not isinstance(lake, Lakehouse):
        lake = Lakehouse(
            lake, format=format, catalog=catalog, storage_options=storage_options, namespace=namespace
        )
    else:
        _check_lake(lake, format, catalog, namespace)
    if isinstance(data, Resource):
        _refuse_for_resource(
            primary_key=primary_key,
            cursor=cursor,
            partition_by=partition_by or None,
            sort_by=sort_by or None,
            schema=schema,
            target_file_size=target_file_size,
            encoding=None if encoding == "compat" else encoding,
            nesting=nesting,
            max_depth=max_depth,
            rules=rules or None,
            detect_dates=None if detect_dates else False,
            naming=None if naming == "snake_case" else naming,
            max_name_length=None if max_name_length == MAX_NAME_BYTES else max_name_length,
            record_path=record_path,
            load_columns=None if load_columns else False,
            fold=None if fold else False,
        )
        resource = data.with_table(table, mode)
    else:
        spec = table_spec(
            table or _name_of(data),
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
            nesting=nesting,
            max_depth=max_depth,
            rules=rules,
            detect_dates=detect_dates,
            naming=naming,
            max_name_length=max_name_length,
        )
        storage = StorageOptions.read(storage_options, remote=False)
        resource = from_data(data, spec, ReadOptions(record_path=record_path, storage=storage))
    name = pipeline or f"load_{table_name(resource.name)}"
    return Run(
        lake,
        name,
        [resource.under(Contract.parse(contract).over(resource.spec.contract))],
        progress or Silent(),
        share=resource.spec.cursor is None,
        hooks=as_hooks(on_schema_change),
    ).finish()


def _check_lake(lake: Lakehouse, format: str | tuple[str, ...], catalog: object, namespace: str) -> None:  # noqa: A002 - as in `load`
    """Refuse what a lakehouse that is there already would silently not follow; defaults say nothing."""
    wrong = {
        "format": format != "delta" and parse_formats(format) != lake.formats,
        "catalog": catalog is not None,
        "namespace": namespace not in ("default", lake.namespace),
    }
    for name, found in wrong.items():
        if found:
            raise ConfigError(
                f"{name} was given, but the lakehouse has its own", hint="Give it to Lakehouse()."
            )


def _refuse_for_resource(**options: object) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ConfigError(
            f"{', '.join(given)} cannot be given with a resource, which has its own",
            hint="Declare it where the resource is made; table and mode can be given here.",
        )


def _resources(data: Any, table: str | None, mode: WriteMode | None) -> list[Resource]:
    if isinstance(data, Resource):
        return [data.with_table(table, mode)]
    if isinstance(data, list | tuple) and data and all(isinstance(item, Resource) for item in data):
        if table is not None and len(data) > 1:
            raise ConfigError("one table name was given for several resources", hint="Leave table out.")
        found = [item.with_table(table, mode) for item in data]
        names = [table_name(item.name) for item in found]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(
                "two resources of one run load into one table", table=twice[0], hint="Run them one by one."
            )
        return found
    return [from_data(data, table_spec(table or _name_of(data), mode=mode))]


def _name_of(data: object) -> str:
    if isinstance(data, str | Path):
        stem = Path(str(data).rstrip("/")).name.split(".")[0].replace("*", "")
        if stem.strip("-_ "):
            return stem
    raise ConfigError("the data has no table name", hint='Give one: table="events".')
