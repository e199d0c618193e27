"""`lakeload load`: files into one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lakeload.cli.options import chosen
from lakeload.cli.outcome import reported, within
from lakeload.cli.progress import watching
from lakeload.cli.summary import show
from lakeload.errors import ConfigError
from lakeload.registry import FORMATS


def load_files(
    sources: Sequence[str],
    lake: str,
    *,
    table: str,
    options: Mapping[str, Any],
    format: Any,  # noqa: A002 - as in `lakeload.load`
    catalog: Sequence[str],
    namespace: str,
    pipeline: str | None,
    storage_option: Sequence[str],
    json: bool,
    quiet: bool,
    debug: bool,
    cursor: Mapping[str, str | None],
    max_quarantined: int | None = None,
) -> None:
    """Load, show progress on a terminal, and print the summary.

    Raises:
        typer.Exit: The load failed or was interrupted; one line on stderr says why.
    """
    with watching(shown=not (json or quiet)) as watch, reported(debug=debug, watch=watch, json=json):
        import lakeload

        report = lakeload.load(
            sources[0] if len(sources) == 1 else list(sources),
            lake,
            table=table,
            format=format,
            storage_options=storage_options(storage_option),
            catalog=catalogs(catalog),
            namespace=namespace,
            pipeline=pipeline,
            progress=watch,
            **_with_cursor(chosen(options), cursor),
        )
    with reported(debug=debug):
        show([report], json=json, quiet=quiet)
        within([report], max_quarantined)


def _with_cursor(options: dict[str, Any], said: Mapping[str, str | None]) -> dict[str, Any]:
    """The options with what was said of the cursor besides its column."""
    from lakeload.model.cursor import Cursor

    more = {name: value for name, value in said.items() if value is not None}
    if not more:
        return options
    if "cursor" not in options:
        raise ConfigError(
            f"--{next(iter(more))} was given without a cursor", hint="Name its column: --cursor updated_at."
        )
    return {**options, "cursor": Cursor(options["cursor"], **more)}  # type: ignore[arg-type]  # it checks them


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
