"""What users call: `Pipeline`, and `load` for one table in one call. `lakeload.run` does the work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Unpack

from lakeload.errors import ConfigError
from lakeload.hooks import Hook, as_hooks
from lakeload.lakehouse import Lakehouse
from lakeload.model.contract import Contract
from lakeload.model.mode import WriteMode
from lakeload.model.progress import Progress, listening
from lakeload.normalize.naming import table_name
from lakeload.options import Options, RunOptions, documented, split
from lakeload.registry import Format, parse_formats
from lakeload.report import RunReport
from lakeload.run import Run
from lakeload.sources.resource import Resource, from_data
from lakeload.storage_options import StorageOptions


class Pipeline:
    """Loads resources into a lakehouse and remembers where it stopped.

    Args:
        name: Names the position. Of two runs of one name at the same time one stops with a `ConflictError`.
        lake: Lakehouse, or its place: a local path or `s3://bucket/prefix`.
        contract: What may change in its tables where neither the run nor the resource says so.
        on_schema_change: Called with the changes of each run; see `lakeload.hooks`.
        progress: Listens to the run; nobody by default.

    Example:
        >>> import tempfile
        >>> report = Pipeline("people", tempfile.mkdtemp()).run([{"id": 1}], table="people")
        >>> report.tables["people"].rows
        1
    """

    def __init__(
        self,
        name: str,
        lake: Lakehouse | str | Path,
        *,
        contract: Contract | str | Mapping[str, str] | None = None,
        on_schema_change: Hook | Iterable[Hook] = (),
        progress: Progress | None = None,
    ) -> None:
        self.name = name
        self.lake = lake if isinstance(lake, Lakehouse) else Lakehouse(lake)
        self.contract = Contract.parse(contract)
        self.hooks = as_hooks(on_schema_change)
        self.progress = listening(progress)

    def run(
        self,
        data: Any,
        table: str | None = None,
        mode: WriteMode | None = None,
        **options: Unpack[RunOptions],
    ) -> RunReport:
        """Load everything that is new, publish it as one load, and report.

        An unfinished load of this pipeline is completed first. Every table changes in one commit; with
        several tables or two formats they follow one another, see the page on loads.

        Args:
            data: A resource or several, or data: a path, rows, batches, a DataFrame.
            table: Table name, for data, or instead of the single resource's own.
            mode: Instead of the resources' own.
            options: As `load` takes them, for data; with resources, which have their own, only `contract`. A
                contract comes before the resources', and these before the pipeline's.

        Returns:
            What was done to each table.

        Raises:
            LakeloadError: With what happened, where, and the way out. The tables are as they were, except
                after an error while publishing: then some can have the load, and the next run completes it.
        """
        split(options, beside=("table", "mode"))
        resources = [
            resource.under(resource.spec.contract.over(self.contract))
            for resource in _resources(data, table, {**options, "mode": mode})
        ]
        return Run(self.lake, self.name, resources, self.progress, hooks=self.hooks).finish()


@documented
def load(
    data: Any,
    lake: Lakehouse | str | Path,
    *,
    table: str | None = None,
    format: Format | tuple[str, ...] | None = None,  # noqa: A002 - the word users look for
    storage_options: Mapping[str, str] | None = None,
    catalog: str | Mapping[str, str] | None = None,
    namespace: str = "default",
    pipeline: str | None = None,
    progress: Progress | None = None,
    on_schema_change: Hook | Iterable[Hook] = (),
    **options: Unpack[Options],
) -> RunReport:
    """Load data into one table, in one call.

    Args:
        data: A path, glob or URL (or several), rows, batches, a DataFrame, JSON bytes, or a resource, which
            has options of its own: of those that describe the table only `table`, `mode` and `contract` go
            with it.
        lake: Lakehouse, or its place: a local path or `s3://bucket/prefix`.
        table: Table name; by default that of the resource or file.
        format: `"delta"`, `"iceberg"` or both, when `lake` is a place. `None`: what the table has, and Delta
            for a new one.
        storage_options: Credentials and endpoint, for the lake and for `s3://` data.
        catalog: Catalog URI, or one by format, when `lake` is a place; see `Lakehouse`.
        namespace: Namespace, when `lake` is a place.
        pipeline: Names the position; by default after the table.
        progress: Listens to the run.
        on_schema_change: Called with the changes of the table's schema; see `lakeload.hooks`.
        {options}

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
    split(options, beside=_ARGUMENTS)
    heard, hooks = listening(progress), as_hooks(on_schema_change)
    if not isinstance(lake, Lakehouse):
        lake = Lakehouse(
            lake, format=format, catalog=catalog, storage_options=storage_options, namespace=namespace
        )
    else:
        _check_lake(lake, format, catalog, namespace)
    storage = StorageOptions.read(storage_options, remote=False)
    resource = _resource(data, table, options, storage)
    return Run(
        lake,
        f"load_{table_name(resource.name)}" if pipeline is None else pipeline,
        [resource],
        heard,
        share=resource.spec.cursor is None,
        hooks=hooks,
    ).finish()


_ARGUMENTS = (
    "table",
    "format",
    "storage_options",
    "catalog",
    "namespace",
    "pipeline",
    "progress",
    "on_schema_change",
)
"""What `load` takes besides options."""


def _check_lake(lake: Lakehouse, format: object, catalog: object, namespace: object) -> None:  # noqa: A002 - as in `load`
    """Refuse what a lakehouse that is there already would silently not follow; defaults say nothing."""
    wrong = {
        "format": format is not None and parse_formats(format) != lake.formats,
        "catalog": catalog is not None,
        "namespace": namespace not in ("default", lake.namespace),
    }
    for name, found in wrong.items():
        if found:
            raise ConfigError(
                f"{name} was given, but the lakehouse has its own", hint="Give it to Lakehouse()."
            )


def _resources(data: Any, table: str | None, options: Options) -> list[Resource]:
    if not (isinstance(data, list | tuple) and data and all(isinstance(item, Resource) for item in data)):
        return [_resource(data, table, options)]
    if table is not None and len(data) > 1:
        raise ConfigError("one table name was given for several resources", hint="Leave table out.")
    found = [_resource(item, table, options) for item in data]
    names = [table_name(item.name) for item in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            "two resources of one run load into one table", table=twice[0], hint="Run them one by one."
        )
    return found


def _resource(
    data: Any, table: str | None, options: Options, storage: StorageOptions | None = None
) -> Resource:
    if not isinstance(data, Resource):
        return from_data(data, _name_of(data) if table is None else table, storage, **options)
    own = [name for name, value in options.items() if value is not None and name not in ("mode", "contract")]
    if own:
        raise ConfigError(
            f"{', '.join(own)} cannot be given with a resource, which has its own",
            hint="Declare it where the resource is made; table and mode can be given here.",
        )
    given = Contract.parse(options.get("contract"))
    return data.with_table(table, options.get("mode")).under(given.over(data.spec.contract))


def _name_of(data: object) -> str:
    if isinstance(data, str | Path):
        stem = Path(str(data).rstrip("/")).name.split(".")[0].replace("*", "")
        if stem.strip("-_ "):
            return stem
    raise ConfigError("the data has no table name", hint='Give one: table="events".')
