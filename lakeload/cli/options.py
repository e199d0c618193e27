"""Options several commands have in common."""

from __future__ import annotations

from typing import Annotated

import typer

Catalog = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[FORMAT=]URI",
        help="Where tables have names: sqlite:///…, postgresql://…, rest+https://…, hive://…, glue://… "
        "One per format when repeated. Default: for Iceberg, a file in a local lake.",
    ),
]
Namespace = Annotated[str, typer.Option(help="Group of tables.")]
StorageOption = Annotated[
    list[str] | None,
    typer.Option(
        "--storage-option",
        metavar="KEY=VALUE",
        help="Credentials and endpoint, such as aws_endpoint_url. Repeatable.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
