"""`lakeload inspect`: what is in a lakehouse, read from the tables' own logs. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeload.cli.load import storage_options as parse_storage_options
from lakeload.cli.outcome import reported
from lakeload.cli.summary import console, print_json
from lakeload.cli.wording import columns, count, size
from lakeload.errors import StorageError

if TYPE_CHECKING:
    from rich.console import Console

    from lakeload.lakehouse import Lakehouse


def inspect_lake(
    root: str,
    table: str | None,
    *,
    catalog: str | None,
    namespace: str,
    storage_options: Sequence[str],
    limit: int,
    json: bool,
    debug: bool,
) -> None:
    """Print the tables of a lakehouse, or one table in full.

    Raises:
        typer.Exit: The lakehouse or the table cannot be read; one line on stderr says why.
    """
    with reported(debug=debug):
        lake = _open(root, catalog, namespace, parse_storage_options(storage_options))
        if table is not None:
            facts = table_facts(lake, table)
            print_json(facts) if json else _print_table(console(), facts, limit)
            return
        tables = {name: _brief(lake, name) for name in lake.tables()}
        if json:
            print_json({"lake": lake.root, "namespace": namespace, "tables": tables})
        else:
            _print_lake(console(), lake, tables)


def _open(root: str, catalog: str | None, namespace: str, options: Mapping[str, str] | None) -> Lakehouse:
    import lakeload

    if "://" not in root and not Path(root).expanduser().is_dir():
        raise StorageError("there is no such lakehouse", place=root, hint="Check the path.")
    # Each table's formats are found by looking; "delta" only keeps an Iceberg catalog from being made.
    return lakeload.Lakehouse(
        root, format="delta", catalog=catalog, storage_options=options, namespace=namespace
    )


def _brief(lake: Lakehouse, name: str) -> dict[str, Any]:
    table = lake.table(name)
    files = table.files()
    known = [file.rows for file in files if file.rows is not None]
    return {
        "formats": list(table.formats),
        "version": _versions(lake, name),
        "rows": sum(known) if len(known) == len(files) else None,
        "files": len(files),
        "bytes": sum(file.size for file in files),
        "partition_by": [str(field) for field in table.layout().partition_by],
    }


def table_facts(lake: Lakehouse, name: str) -> dict[str, Any]:
    """Everything `lakeload inspect LAKE TABLE` shows, as JSON-able values."""
    table = lake.table(name)
    return {
        "table": name,
        "location": table.location,
        **_brief(lake, name),
        "sort_by": [str(field) for field in table.layout().sort_by],
        "schema": [
            {"name": field.name, "type": str(field.type), "nullable": field.nullable}
            for field in table.schema()
        ],
        "positions": {pipeline: _position(lake, pipeline, name) for pipeline in table.positions()},
        "history": {form: _history(lake, name, form) for form in table.formats},
        "data_files": [
            {"path": file.path, "bytes": file.size, "rows": file.rows, "partition": list(file.partition)}
            for file in table.files()
        ],
        "properties": table.properties(),
    }


def _versions(lake: Lakehouse, name: str) -> dict[str, int | None]:
    states = {form: lake.open(name, (form,)).load() for form in lake.formats_of(name)}
    return {form: state.version if state else None for form, state in states.items()}


def _position(lake: Lakehouse, pipeline: str, table: str) -> dict[str, Any]:
    """Where the pipeline stands, and up to which cursor value; `None` without a cursor."""
    sequence = lake.table(table).positions()[pipeline]
    position = lake.journal(pipeline).positions().get(table)
    same = position is not None and position.sequence == sequence
    return {"load": sequence, "cursor": position.checkpoint.value if position and same else None}


def _history(lake: Lakehouse, name: str, form: str) -> list[dict[str, Any]]:
    return [
        {
            "version": version.version,
            "at": version.at.isoformat(timespec="seconds"),
            "operation": version.operation,
            "load_id": version.load_id,
        }
        for version in lake.open(name, (form,)).history()
    ]


def _print_lake(out: Console, lake: Lakehouse, tables: Mapping[str, Mapping[str, Any]]) -> None:
    if not tables:
        out.print(f"no tables in namespace {lake.namespace} of {lake.root}", markup=False)
        return
    rows = [("table", "formats", "rows", "files", "size", "partitioned by")]
    for name, facts in tables.items():
        partitions = ", ".join(facts["partition_by"]) or "-"
        rows.append((name, ", ".join(facts["formats"]), *_amounts(facts), partitions))
    _print_columns(out, rows, right=(2, 3, 4))


def _print_table(out: Console, facts: Mapping[str, Any], limit: int) -> None:
    out.print(f"[bold]{_safe(facts['table'])}[/]  {_safe(facts['location'])}")
    amounts = [count(facts["rows"], "row")] if facts["rows"] is not None else []
    out.print("  " + ", ".join([*amounts, count(facts["files"], "file"), size(facts["bytes"])]))
    for label in ("partition_by", "sort_by"):
        if facts[label]:
            out.print(f"  {label.replace('_', ' ')} {_safe(', '.join(facts[label]))}")
    _heading(out, "schema")
    _print_columns(
        out, [(c["name"], c["type"], "" if c["nullable"] else "required") for c in facts["schema"]]
    )
    for form, versions in facts["history"].items():
        _heading(out, f"{form} versions")
        shown = [(str(v["version"]), v["at"], v["operation"], v["load_id"] or "-") for v in versions]
        _print_columns(out, shown[:limit], right=(0,), more=len(shown) - limit)
    _heading(out, "files")
    listed = [
        (f["path"], size(f["bytes"]), "-" if f["rows"] is None else count(f["rows"], "row"))
        for f in facts["data_files"]
    ]
    _print_columns(out, listed[:limit], right=(1, 2), more=len(listed) - limit)
    if facts["positions"]:
        _heading(out, "positions")
        _print_columns(out, [_position_row(*item) for item in facts["positions"].items()])


def _position_row(pipeline: str, position: Mapping[str, Any]) -> tuple[str, ...]:
    cursor = position["cursor"]
    return (f"pipeline {pipeline}", f"load {position['load']}", "" if cursor is None else f"up to {cursor}")


def _amounts(facts: Mapping[str, Any]) -> tuple[str, str, str]:
    rows = "?" if facts["rows"] is None else f"{facts['rows']:,}"
    return rows, f"{facts['files']:,}", size(facts["bytes"])


def _heading(out: Console, text: str) -> None:
    out.print(f"\n[cyan]{text}[/]")


def _print_columns(
    out: Console, rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), more: int = 0
) -> None:
    for line in columns(rows, right=right):
        out.print(f"  {line}", markup=False)
    if more > 0:
        out.print(f"  … and {more:,} more; --limit shows them", markup=False)


def _safe(text: str) -> str:
    from rich.markup import escape

    return escape(text)
