"""`lakeload register` and `lakeload drop`: names of existing tables in the catalogs of a lake."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from lakeload.cli.inspect import open_lake
from lakeload.cli.load import storage_options as parse_storage_options
from lakeload.cli.outcome import reported
from lakeload.cli.summary import console
from lakeload.errors import ConfigError


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
    yes: bool,
    storage_options: Sequence[str],
    debug: bool,
) -> None:
    """Forget a table and say what was done.

    Raises:
        typer.Exit: It cannot be dropped; one line on stderr says why.
    """
    with reported(debug=debug):
        lake = open_lake(root, catalog, namespace, parse_storage_options(storage_options))
        if purge and not yes:
            _ask(lake.location(table))
        lake.drop(table, purge=purge)
        said = "dropped, its files deleted" if purge else f"dropped, its files stay at {lake.location(table)}"
        console().print(f"{namespace}.{table}: {said}", markup=False)


def _ask(place: str) -> None:
    """Go on only if the user says so.

    Raises:
        ConfigError: Nobody can be asked, or the answer is no.
    """
    if sys.stdin.isatty():
        print(
            f"Delete everything in {place} for good? [y/N] ",
            end="",
            file=sys.stderr,
            flush=True,
        )
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise ConfigError("nothing was deleted", place=place, hint="--yes deletes without a question.")
