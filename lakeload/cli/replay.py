"""`lakeload replay`: rows of a quarantine, loaded again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lakeload.cli.inspect import open_lake
from lakeload.cli.load import catalogs
from lakeload.cli.load import storage_options as parse_storage_options
from lakeload.cli.options import chosen
from lakeload.cli.outcome import reported, within
from lakeload.cli.progress import watching
from lakeload.cli.summary import show


def replay_table(
    root: str,
    table: str,
    *,
    options: Mapping[str, Any],
    catalog: Sequence[str],
    namespace: str,
    storage_options: Sequence[str],
    json: bool,
    quiet: bool,
    debug: bool,
    max_quarantined: int | None = None,
) -> None:
    """Replay, in the formats the table has, and print the summary.

    Raises:
        typer.Exit: The replay failed or was interrupted; one line on stderr says why.
    """
    with watching(shown=not (json or quiet)) as watch, reported(debug=debug, watch=watch, json=json):
        import lakeload
        from lakeload.replays import replay

        credentials = parse_storage_options(storage_options)
        there = open_lake(root, catalog, namespace, credentials)
        lake = lakeload.Lakehouse(
            root,
            format=there.table(table).formats,
            catalog=catalogs(catalog),
            storage_options=credentials,
            namespace=namespace,
        )
        report = replay(
            lake,
            table,
            progress=watch,
            **chosen(options),
        )
    with reported(debug=debug):
        show([report], json=json, quiet=quiet)
        within([report], max_quarantined)
