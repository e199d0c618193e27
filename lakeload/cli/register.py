"""`lakeload register` and `lakeload drop`: names of existing tables in the catalogs of a lake."""

from __future__ import annotations

from collections.abc import Sequence

from lakeload.cli.inspect import open_lake
from lakeload.cli.load import storage_options as parse_storage_options
from lakeload.cli.outcome import reported
from lakeload.cli.summary import console


def register_table(
    root: str,
    table: str,
    *,
    catalog: Sequence[str],
    namespace: str,
    replace: bool,
    storage_options: Sequence[str],
    debug: bool,
) -> None:
    """Register a table and say what was done.

    Raises:
        typer.Exit: It cannot be registered; one line on stderr says why.
    """
    with reported(debug=debug):
        lake = open_lake(root, catalog, namespace, parse_storage_options(storage_options))
        done = lake.register(table, replace=replace)
        said = f"registered {' and '.join(done)}" if done else "nothing to do, the entry is up to date"
        console().print(f"{namespace}.{table}: {said}", markup=False)


def drop_table(
    root: str,
    table: str,
    *,
    catalog: Sequence[str],
    namespace: str,
    purge: bool,
    storage_options: Sequence[str],
    debug: bool,
) -> None:
    """Forget a table and say what was done.

    Raises:
        typer.Exit: It cannot be dropped; one line on stderr says why.
    """
    with reported(debug=debug):
        lake = open_lake(root, catalog, namespace, parse_storage_options(storage_options))
        lake.drop(table, purge=purge)
        said = "dropped, its files deleted" if purge else f"dropped, its files stay at {lake.location(table)}"
        console().print(f"{namespace}.{table}: {said}", markup=False)
