"""`lakeload load`: files into one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lakeload.cli.outcome import reported
from lakeload.cli.progress import watching
from lakeload.cli.summary import show
from lakeload.errors import ConfigError
from lakeload.model.mode import Append, Overwrite, WriteMode
from lakeload.model.naming import Policy
from lakeload.model.table import Encoding
from lakeload.registry import FORMATS

MODES: dict[str, WriteMode] = {
    "append": Append(),
    "overwrite": Overwrite(),
    "overwrite-partitions": Overwrite(partitions="dynamic"),
}
"""Write modes by the word the command line and pipeline files use."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The options of `lakeload load`, as typed; see its help."""

    sources: tuple[str, ...]
    lake: str
    table: str
    format: str
    mode: str
    partition_by: tuple[str, ...]
    sort_by: tuple[str, ...]
    target_file_size: str | None
    encoding: Encoding
    cursor: str | None
    catalog: tuple[str, ...]
    namespace: str
    record_path: str | None
    nesting: tuple[str, ...]
    max_depth: int | None
    contract: tuple[str, ...]
    rules: tuple[str, ...]
    naming: Policy
    detect_dates: bool
    pipeline: str | None
    load_columns: bool
    fold: bool
    storage_options: tuple[str, ...]


def load_files(options: LoadOptions, *, json: bool, quiet: bool, debug: bool) -> None:
    """Load, show progress on a terminal, and print the summary.

    Raises:
        typer.Exit: The load failed or was interrupted; one line on stderr says why.
    """
    with watching(shown=not (json or quiet)) as watch, reported(debug=debug, watch=watch):
        import lakeload

        sources = options.sources
        report = lakeload.load(
            sources[0] if len(sources) == 1 else list(sources),
            options.lake,
            table=options.table,
            format=options.format,
            mode=MODES[options.mode],
            cursor=options.cursor,
            partition_by=options.partition_by,
            sort_by=options.sort_by,
            target_file_size=options.target_file_size,
            encoding=options.encoding,
            load_columns=options.load_columns,
            fold=options.fold,
            record_path=options.record_path,
            nesting=words(options.nesting),
            max_depth=options.max_depth,
            contract=words(options.contract),
            rules=options.rules,
            naming=options.naming,
            detect_dates=options.detect_dates,
            storage_options=storage_options(options.storage_options),
            catalog=catalogs(options.catalog),
            namespace=options.namespace,
            pipeline=options.pipeline,
            progress=watch,
        )
    show([report], json=json, quiet=quiet)


def words(given: Sequence[str]) -> dict[str, str] | None:
    """Words such as `quarantine` and `types=freeze`: by what stands before the sign, `""` where none does.

    Example:
        >>> words(["tables", "payload=json"]), words([])
        ({'': 'tables', 'payload': 'json'}, None)
    """
    split = [word.rpartition("=") for word in given]
    return {key.strip(): value.strip() for key, _, value in split} or None


def catalogs(words: Sequence[str]) -> str | dict[str, str] | None:
    """What `--catalog` said: one URI, one by format from words such as `delta=hive://…`, or `None`.

    Raises:
        ConfigError: Several words do not all name their format.

    Example:
        >>> catalogs(["sqlite:///c.db"]), catalogs(["delta=hive://a", "iceberg=rest+https://b"])
        ('sqlite:///c.db', {'delta': 'hive://a', 'iceberg': 'rest+https://b'})
    """
    split = [(form, uri) for form, equals, uri in (word.partition("=") for word in words) if form in FORMATS]
    if len(split) == len(words):
        return dict(split) or None
    if len(words) == 1:
        return words[0]
    raise ConfigError(
        "several catalogs need their formats",
        hint="Write --catalog delta=hive://… --catalog iceberg=rest+https://…",
    )


def storage_options(pairs: Sequence[str]) -> dict[str, str] | None:
    """`KEY=VALUE` words as a mapping; `None` when there are none.

    Raises:
        ConfigError: A word has no equals sign. The message shows only what comes before any value.

    Example:
        >>> storage_options(["aws_region=eu-west-1"])
        {'aws_region': 'eu-west-1'}
    """
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(
                "a storage option is not KEY=VALUE", hint="Write --storage-option aws_region=eu-west-1."
            )
        found[key.strip()] = value
    return found or None
