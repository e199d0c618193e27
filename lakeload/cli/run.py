"""`lakeload run`: a pipeline declared in YAML, or written in Python."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeload.cli.options import write_mode
from lakeload.cli.outcome import reported, within
from lakeload.cli.progress import Watch, watching
from lakeload.cli.summary import show
from lakeload.errors import ConfigError
from lakeload.model.progress import Silent
from lakeload.storage_options import StorageOptions

if TYPE_CHECKING:
    from lakeload.options import Options
    from lakeload.report import RunReport
    from lakeload.settings import PipelineSettings, ResourceSettings
    from lakeload.sources.resource import Resource


def run_file(file: Path, *, json: bool, quiet: bool, debug: bool, max_quarantined: int | None = None) -> None:
    """Run the pipeline in the file, show progress on a terminal, and print the summary.

    Raises:
        typer.Exit: It failed or was interrupted; one line on stderr says why.
    """
    with watching(shown=not (json or quiet)) as watch, reported(debug=debug, watch=watch, json=json):
        match file.suffix.lower():
            case ".yml" | ".yaml":
                reports = [run_yaml(file, watch)]
            case ".py":
                reports = run_python(file, watch)
            case _:
                raise ConfigError(
                    "cannot tell what kind of pipeline file this is",
                    place=str(file),
                    hint="Name it .yml, .yaml or .py.",
                )
    with reported(debug=debug):
        show(reports, json=json, quiet=quiet)
        within(reports, max_quarantined)


def run_yaml(file: Path, watch: Watch) -> RunReport:
    """Run a pipeline declared in YAML, see `lakeload.settings`."""
    from lakeload.settings import read_pipeline

    settings = read_pipeline(file)
    storage = StorageOptions.read(settings.lakehouse.storage_options, remote=False)
    resources = [_resource(declared, storage) for declared in settings.resources]
    return _pipeline(settings, watch).run(resources)


def run_python(file: Path, watch: Watch) -> list[RunReport]:
    """Run a Python file that exposes `main`, or `pipeline` and `resources`.

    Raises:
        ConfigError: The file is not there, or exposes neither.
    """
    from lakeload.report import RunReport

    names = _execute(file)
    if callable(names.get("main")):
        outcome = names["main"]()
    elif "pipeline" in names and "resources" in names:
        outcome = _watched(names["pipeline"], watch).run(names["resources"])
    else:
        raise ConfigError(
            "the file exposes no pipeline",
            place=str(file),
            hint="Define a function main(), or the names pipeline and resources.",
        )
    several = outcome if isinstance(outcome, list | tuple) else [outcome]
    return [report for report in several if isinstance(report, RunReport)]


def _pipeline(settings: PipelineSettings, watch: Watch) -> Any:
    import lakeload

    declared = settings.lakehouse
    lake = lakeload.Lakehouse(
        declared.path,
        format=tuple(declared.format) if declared.format else None,
        catalog=declared.catalog,
        storage_options=declared.storage_options or None,
        namespace=declared.namespace,
    )
    return lakeload.Pipeline(settings.pipeline, lake, contract=settings.contract, progress=watch)


def _resource(declared: ResourceSettings, storage: StorageOptions) -> Resource:
    from lakeload.sources.resource import from_data

    sources = declared.source
    data = sources[0] if len(sources) == 1 else list(sources)
    return from_data(data, declared.table, storage, **_options(declared))


def _options(declared: ResourceSettings) -> Options:
    """What the resource says, in the forms `lakeload.options` takes."""
    import lakeload
    from lakeload.settings import parse_type

    given: dict[str, Any] = {
        name: getattr(declared, name) for name in declared.model_fields_set - {"table", "source"}
    }
    if "mode" in given:
        given["mode"] = write_mode(given["mode"])
    if declared.cursor:
        given["cursor"] = lakeload.Cursor(**dict(declared.cursor))
    if types := given.pop("types", None):
        given["schema"] = {name: parse_type(kind) for name, kind in types.items()}
    return given  # type: ignore[return-value]  # `tests/unit/test_options.py` compares the keys


def _execute(file: Path) -> dict[str, Any]:
    """Run the file as a module of its own name, with its folder importable, and return its names."""
    from importlib.util import module_from_spec, spec_from_file_location

    if not file.is_file():
        raise ConfigError("there is no such pipeline file", place=str(file), hint="Check the path.")
    spec = spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ConfigError(
            "the pipeline file cannot be imported", place=str(file), hint="Name it like a Python module."
        )
    module = module_from_spec(spec)
    sys.path.insert(0, str(file.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ConfigError(
            f"the pipeline file is not Python: {error.msg}",
            place=f"{file}:{error.lineno}",
            hint="Correct that line.",
        ) from error
    return vars(module)


def _watched(pipeline: Any, watch: Watch) -> Any:
    """The file's own pipeline, telling its progress to us unless it tells somebody else."""
    if isinstance(pipeline.progress, Silent):
        pipeline.progress = watch
    return pipeline
