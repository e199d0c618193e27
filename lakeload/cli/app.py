"""The commands and their options. What they do is in the module of the command's name."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lakeload.cli.options import (
    FLAGS,
    Catalog,
    Debug,
    Json,
    Log,
    MaxQuarantined,
    Namespace,
    Quiet,
    StorageOption,
    with_flags,
)
from lakeload.cli.outcome import EXIT_HELP
from lakeload.cli.schema import schema

app = typer.Typer(
    name="lakeload",
    help="Load anything that yields rows into Delta Lake and Apache Iceberg tables.",
    epilog=EXIT_HELP,
    rich_markup_mode=None,  # plain help: half the start-up time, and room for the words
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(schema, name="schema")


class Format(StrEnum):
    """Table formats on the command line."""

    DELTA = "delta"
    ICEBERG = "iceberg"
    BOTH = "both"


class TableFormat(StrEnum):
    """One format of a table on the command line."""

    DELTA = "delta"
    ICEBERG = "iceberg"


class Engine(StrEnum):
    """Programs that read tables, on the command line."""

    SPARK = "spark"
    TRINO = "trino"
    DUCKDB = "duckdb"
    POLARS = "polars"
    SNOWFLAKE = "snowflake"
    ATHENA = "athena"


def _version(shown: bool) -> None:
    if shown:
        from importlib.metadata import version

        typer.echo(f"lakeload {version('lakeload')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Load anything that yields rows into Delta Lake and Apache Iceberg tables."""


@app.command(epilog=EXIT_HELP, short_help="Load files into one table.")
@with_flags(*FLAGS)
def load(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SRC...",
            help="Paths, globs or URLs: JSON, JSON lines, CSV, TSV, Parquet, Arrow; .gz .zst .bz2.",
        ),
    ],
    *,
    to: Annotated[str, typer.Option("--to", metavar="LAKE", help="Local folder or s3://bucket/prefix.")],
    table: Annotated[str, typer.Option("--table", "-t", help="Table name.")],
    format: Annotated[  # noqa: A002 - name of the option
        Format | None,
        typer.Option(
            "--format", "-f", help="Table format. Default: what the table has; delta for a new one."
        ),
    ] = None,
    catalog: Catalog = None,
    namespace: Namespace = "default",
    pipeline: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name under which the position is kept. Default: from the table."),
    ] = None,
    lag: Annotated[
        str | None,
        typer.Option(metavar="DISTANCE", help="Step back behind the position: 15m, 1h, 2d, or 100."),
    ] = None,
    initial: Annotated[
        str | None, typer.Option(metavar="VALUE", help="Cursor value the first load starts from, inclusive.")
    ] = None,
    type: Annotated[  # noqa: A002 - name of the option
        str | None,
        typer.Option(metavar="WORD", help="What the cursor's text is compared as: number, timestamp, text."),
    ] = None,
    storage_option: StorageOption = None,
    max_quarantined: MaxQuarantined = None,
    json: Json = False,
    quiet: Quiet = False,
    log: Log = None,  # noqa: ARG001 - its callback sees to it
    debug: Debug = False,
    **options: Any,
) -> None:
    """Load files into one table, and print what happened.

    Example: lakeload load events/*.jsonl.gz --to ./lake --table events --partition-by "day(created_at)"
    """
    from lakeload.cli.load import load_files

    load_files(
        sources, to, table=table, options=options, format=format.value if format else None,
        catalog=catalog or (), namespace=namespace, pipeline=pipeline, storage_option=storage_option or (),
        json=json, quiet=quiet, debug=debug, max_quarantined=max_quarantined,
        cursor={"lag": lag, "initial": initial, "type": type},
    )  # fmt: skip


@app.command(epilog=EXIT_HELP, short_help="Run a pipeline.yml or pipeline.py.")
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="pipeline.yml, or pipeline.py.")],
    *,
    max_quarantined: MaxQuarantined = None,
    json: Json = False,
    quiet: Quiet = False,
    log: Log = None,  # noqa: ARG001 - its callback sees to it
    debug: Debug = False,
) -> None:
    """Run a pipeline declared in a YAML file, or written in a Python file.

    A Python file has a `pipeline` (lakeload.Pipeline) and its `resources`, or a function `main` that
    returns the report of its run.
    """
    from lakeload.cli.run import run_file

    run_file(file, json=json, quiet=quiet, debug=debug, max_quarantined=max_quarantined)


@app.command(epilog=EXIT_HELP, short_help="Show tables, schemas, versions, files, positions.")
def inspect(
    lake: Annotated[str, typer.Argument(metavar="LAKE", help="Local folder or s3://bucket/prefix.")],
    table: Annotated[str | None, typer.Argument(metavar="[TABLE]", help="Only this table, in full.")] = None,
    *,
    catalog: Catalog = None,
    namespace: Namespace = "default",
    storage_option: StorageOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Versions and files shown at most.")] = 10,
    connect: Annotated[
        Engine | None, typer.Option(help="Print what reads TABLE with this program, instead.")
    ] = None,
    format: Annotated[  # noqa: A002 - name of the option
        TableFormat | None, typer.Option("--format", "-f", help="With --connect: which one of both.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the tables of a lakehouse; with TABLE its schema, versions, files and positions."""
    from lakeload.cli.inspect import inspect_lake

    inspect_lake(
        lake, table, catalog=tuple(catalog or ()), namespace=namespace,
        storage_options=tuple(storage_option or ()), limit=limit, json=json, debug=debug,
        connect=connect.value if connect else None, form=format.value if format else None,
    )  # fmt: skip


@app.command(epilog=EXIT_HELP, short_help="Load the rows in a table's quarantine again.")
@with_flags(
    "contract", "rules", "nesting", "primary_key", "naming",
    rules='What rows must meet now, as "id not null". Repeatable.',
    nesting="As the rows were first loaded with. Repeatable.",
    primary_key="As the rows were first loaded with. Repeatable.",
    naming="As the rows were first loaded with.",
)  # fmt: skip
def replay(
    lake: Annotated[str, typer.Argument(metavar="LAKE", help="Local folder or s3://bucket/prefix.")],
    table: Annotated[str, typer.Argument(metavar="TABLE", help="The table, not its quarantine.")],
    *,
    catalog: Catalog = None,
    namespace: Namespace = "default",
    storage_option: StorageOption = None,
    max_quarantined: MaxQuarantined = None,
    json: Json = False,
    quiet: Quiet = False,
    log: Log = None,  # noqa: ARG001 - its callback sees to it
    debug: Debug = False,
    **options: Any,
) -> None:
    """Load the rows that contracts or rules put aside in TABLE__quarantine again, each of them once.

    Rows that still do not get in are put aside again.

    Example: lakeload replay ./lake orders --contract types=evolve
    """
    from lakeload.cli.replay import replay_table

    replay_table(
        lake, table, options=options, catalog=tuple(catalog or ()), namespace=namespace,
        storage_options=tuple(storage_option or ()), json=json, quiet=quiet, debug=debug,
        max_quarantined=max_quarantined,
    )  # fmt: skip


@app.command(epilog=EXIT_HELP, short_help="Give an existing table its name in a catalog.")
def register(
    lake: Annotated[str, typer.Argument(metavar="LAKE", help="Local folder or s3://bucket/prefix.")],
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Table name.")],
    *,
    catalog: Catalog = None,
    namespace: Namespace = "default",
    replace: Annotated[
        bool, typer.Option("--replace", help="Take over a Delta entry that points to another place.")
    ] = False,
    storage_option: StorageOption = None,
    debug: Debug = False,
) -> None:
    """Register an existing table in a catalog, or bring its entry up to date."""
    from lakeload.cli.register import register_table

    register_table(
        lake, table, catalog=tuple(catalog or ()), namespace=namespace, replace=replace,
        storage_options=tuple(storage_option or ()), debug=debug,
    )  # fmt: skip


@app.command(epilog=EXIT_HELP, short_help="Forget a table in its catalogs; with --purge delete it.")
def drop(
    lake: Annotated[str, typer.Argument(metavar="LAKE", help="Local folder or s3://bucket/prefix.")],
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Table name.")],
    *,
    catalog: Catalog = None,
    namespace: Namespace = "default",
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete the table's files too. Cannot be undone.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --purge: do not ask.")] = False,
    storage_option: StorageOption = None,
    debug: Debug = False,
) -> None:
    """Forget a table in the catalogs of the lake. Its files stay unless --purge is given."""
    from lakeload.cli.register import drop_table

    drop_table(
        lake, table, catalog=tuple(catalog or ()), namespace=namespace, purge=purge, yes=yes,
        storage_options=tuple(storage_option or ()), debug=debug,
    )  # fmt: skip


@app.command(epilog=EXIT_HELP, short_help="See it work on real data, in a few seconds.")
def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Where to make the lakehouse. Default: a temporary folder."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Load real flight data in two deliveries, as Delta and Iceberg, and show what happened."""
    from lakeload.cli.demo import run_demo

    run_demo(folder, debug=debug)
