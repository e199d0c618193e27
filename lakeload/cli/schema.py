"""`lakeload schema`: its commands and their options. What they do is in `cli.schema_output`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from lakeload.cli.options import Catalog, Debug, Json, Namespace, StorageOption, with_flags
from lakeload.cli.outcome import EXIT_HELP

schema = typer.Typer(
    name="schema",
    help="Show, compare and export the schemas of tables. Changes nothing.",
    short_help="Show, compare and export schemas.",
    epilog=EXIT_HELP,
    rich_markup_mode=None,
    no_args_is_help=True,
)


class Form(StrEnum):
    """What a schema is written as, on the command line."""

    TEXT = "text"
    JSON_SCHEMA = "json-schema"
    PYDANTIC = "pydantic"
    DDL = "ddl"
    DBT = "dbt"


class Export(StrEnum):
    """What schemas are exported as, on the command line."""

    JSON_SCHEMA = "json-schema"
    PYDANTIC = "pydantic"
    DDL = "ddl"
    DBT = "dbt"


class Dialect(StrEnum):
    """Dialects of SQL on the command line."""

    SPARK = "spark"
    TRINO = "trino"
    DUCKDB = "duckdb"
    POSTGRES = "postgres"
    SNOWFLAKE = "snowflake"


Lake = Annotated[str, typer.Argument(metavar="LAKE", help="Local folder or s3://bucket/prefix.")]
Table = Annotated[str, typer.Argument(metavar="TABLE", help="Table name.")]
Tables = Annotated[str | None, typer.Argument(metavar="[TABLE]", help="Only this table.")]
Words = Annotated[Dialect, typer.Option(help="Whose SQL types, for ddl and dbt.")]


@schema.command(epilog=EXIT_HELP, short_help="Print schemas, as text or in the words of other tools.")
def show(
    lake: Lake,
    table: Tables = None,
    *,
    form: Annotated[Form, typer.Option("--as", help="What to print.")] = Form.TEXT,
    dialect: Words = Dialect.SPARK,
    catalog: Catalog = None,
    namespace: Namespace = "default",
    storage_option: StorageOption = None,
    debug: Debug = False,
) -> None:
    """Print the columns of a table, or of all tables."""
    from lakeload.cli.schema_output import Place, show_schemas

    place = Place(lake, tuple(catalog or ()), namespace, tuple(storage_option or ()))
    show_schemas(place, table, form=form.value, dialect=dialect.value, debug=debug)


@schema.command(
    epilog=EXIT_HELP, short_help="What changed between two versions, or what a file would change."
)
@with_flags("record_path", "nesting", "max_depth", "contract", "naming", "max_name_length", "detect_dates")
def diff(
    lake: Lake,
    table: Table,
    *,
    old: Annotated[
        int | None,
        typer.Option(
            "--from", metavar="VERSION", help="Delta version or Iceberg schema id. Default: the one before."
        ),
    ] = None,
    new: Annotated[
        int | None, typer.Option("--to", metavar="VERSION", help="As --from. Default: the newest.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Path, glob or URL: what loading it would change, instead."),
    ] = None,
    catalog: Catalog = None,
    namespace: Namespace = "default",
    storage_option: StorageOption = None,
    json: Json = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Print how the schema changed from one version to another, or what loading a file would change.

    With --data every row of the file is read and brought to the table's types; no table is touched. Data that
    a load would refuse is refused here with the same message. Options of lakeload load go with --data.
    """
    from lakeload.cli.schema_output import Place, diff_data, diff_versions

    place = Place(lake, tuple(catalog or ()), namespace, tuple(storage_option or ()))
    if data is None:
        diff_versions(place, table, old, new, json=json, debug=debug)
    else:
        given = old is not None or new is not None
        diff_data(place, table, data, options=options, versions=given, json=json, debug=debug)


@schema.command(epilog=EXIT_HELP, short_help="Write schemas into files.")
def export(
    lake: Lake,
    table: Tables = None,
    *,
    form: Annotated[Export, typer.Option("--as", help="What to write.")],
    output: Annotated[
        str,
        typer.Option(metavar="FILE|DIR", help="A file; or a folder, when it is one or ends with a slash."),
    ],
    dialect: Words = Dialect.SPARK,
    catalog: Catalog = None,
    namespace: Namespace = "default",
    storage_option: StorageOption = None,
    debug: Debug = False,
) -> None:
    """Write the schema of a table, or of all tables, into files for other tools.

    A folder gets one file per table (one for all of them as dbt). One file takes several tables as ddl and
    dbt only.
    """
    from lakeload.cli.schema_output import Place, export_schemas

    place = Place(lake, tuple(catalog or ()), namespace, tuple(storage_option or ()))
    export_schemas(place, table, form=form.value, dialect=dialect.value, output=output, debug=debug)


@schema.command(epilog=EXIT_HELP, short_help="The schemas a table has had.")
def history(
    lake: Lake,
    table: Table,
    *,
    catalog: Catalog = None,
    namespace: Namespace = "default",
    storage_option: StorageOption = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Print when the schema of a table changed, by which load, and how; newest first."""
    from lakeload.cli.schema_output import Place, print_history

    place = Place(lake, tuple(catalog or ()), namespace, tuple(storage_option or ()))
    print_history(place, table, json=json, debug=debug)
