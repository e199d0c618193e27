"""`lakeload replay`: rows of a quarantine, loaded again."""

from __future__ import annotations

from collections.abc import Sequence

from lakeload.cli.inspect import open_lake
from lakeload.cli.load import catalogs, words
from lakeload.cli.load import storage_options as parse_storage_options
from lakeload.cli.outcome import reported
from lakeload.cli.progress import watching
from lakeload.cli.summary import show
from lakeload.model.naming import Policy


def replay_table(
    root: str,
    table: str,
    *,
    contract: Sequence[str],
    rules: Sequence[str],
    nesting: Sequence[str],
    primary_key: Sequence[str],
    naming: Policy,
    catalog: Sequence[str],
    namespace: str,
    storage_options: Sequence[str],
    json: bool,
    quiet: bool,
    debug: bool,
) -> None:
    """Replay, in the formats the table has, and print the summary.

    Raises:
        typer.Exit: The replay failed or was interrupted; one line on stderr says why.
    """
    with watching(shown=not (json or quiet)) as watch, reported(debug=debug, watch=watch):
        import lakeload
        from lakeload.replays import replay

        options = parse_storage_options(storage_options)
        there = open_lake(root, catalog, namespace, options)
        lake = lakeload.Lakehouse(
            root,
            format=there.table(table).formats,
            catalog=catalogs(catalog),
            storage_options=options,
            namespace=namespace,
        )
        report = replay(
            lake,
            table,
            contract=words(contract),
            rules=rules or None,
            nesting=words(nesting),
            primary_key=primary_key,
            naming=naming,
            progress=watch,
        )
    show([report], json=json, quiet=quiet)
