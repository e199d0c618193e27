"""`lakeload inspect`: what is in a lakehouse, read from the tables' own logs. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeload.cli.load import catalogs
from lakeload.cli.load import storage_options as parse_storage_options
from lakeload.cli.outcome import reported
from lakeload.cli.summary import console, print_json
from lakeload.cli.wording import columns, count, size
from lakeload.errors import StorageError

if TYPE_CHECKING:
    from rich.console import Console

    from lakeload.lake_table import LakeTable
    from lakeload.lakehouse import Lakehouse


def inspect_lake(
    root: str,
    table: str | None,
    *,
    catalog: Sequence[str],
    namespace: str,
    storage_options: Sequence[str],
    limit: int,
    json: bool,
    debug: bool,
    connect: str | None = None,
    form: str | None = None,
) -> None:
    """Print the tables of a lakehouse, or one table in full, or how another program reads it.

    Raises:
        typer.Exit: The lakehouse or the table cannot be read; one line on stderr says why.
    """
    with reported(debug=debug):
        lake = open_lake(root, catalog, namespace, parse_storage_options(storage_options))
        if connect is not None:
            from lakeload.cli.connect import print_snippet

            print_snippet(lake, table, connect, form)
            return
        if table is not None:
            facts = table_facts(lake, table)
            print_json(facts) if json else _print_table(console(), facts, limit)
            return
        tables = {name: _brief(lake, name) for name in lake.tables()}
        if json:
            print_json({"lake": lake.root, "namespace": namespace, "tables": tables})
        else:
            _print_lake(console(), lake, tables)


def open_lake(
    root: str, catalog: Sequence[str], namespace: str, options: Mapping[str, str] | None
) -> Lakehouse:
    """The lakehouse there is, for looking at it.

    Raises:
        StorageError: There is none.
    """
    import lakeload

    if "://" not in root and not Path(root).expanduser().is_dir():
        raise StorageError("there is no such lakehouse", place=root, hint="Check the path.")
    # Each table's formats are found by looking; "delta" only keeps an Iceberg catalog from being made.
    return lakeload.Lakehouse(
        root, format="delta", catalog=catalogs(catalog), storage_options=options, namespace=namespace
    )


def _sides(lake: Lakehouse, name: str) -> dict[str, LakeTable]:
    """The table as each of its formats sees it: the versions differ, and sometimes the files."""
    from lakeload.lake_table import LakeTable

    lake.table(name)  # says it when there is none
    return {form: LakeTable(lake.open(name, (form,))) for form in lake.readable(name)}


def _contents(table: LakeTable) -> dict[str, Any]:
    files = table.files()
    known = [file.rows for file in files if file.rows is not None]
    return {
        "version": table.version(),
        "rows": sum(known) if len(known) == len(files) else None,
        "files": len(files),
        "bytes": sum(file.size for file in files),
    }


def _brief(lake: Lakehouse, name: str) -> dict[str, Any]:
    if not lake.readable(name):  # Iceberg metadata the catalog does not know of
        return {"formats": {}, "partition_by": []}
    return {
        "formats": {form: _contents(side) for form, side in _sides(lake, name).items()},
        "partition_by": [str(field) for field in lake.table(name).layout().partition_by],
    }


def table_facts(lake: Lakehouse, name: str) -> dict[str, Any]:
    """Everything `lakeload inspect LAKE TABLE` shows, as JSON-able values."""
    from lakeload.replays import waiting

    table, sides = lake.table(name), _sides(lake, name)
    layout = table.layout()
    return {
        "table": name,
        "location": table.location,
        "formats": {form: _contents(side) for form, side in sides.items()},
        "partition_by": [str(field) for field in layout.partition_by],
        "sort_by": [str(field) for field in layout.sort_by],
        "schema": [
            {"name": field.name, "type": str(field.type), "nullable": field.nullable}
            for field in table.schema()
        ],
        "positions": {
            pipeline: _position(lake, pipeline, name, sequence)
            for pipeline, sequence in table.positions().items()
        },
        "history": {form: _history(side) for form, side in sides.items()},
        "data_files": {form: _data_files(side) for form, side in sides.items()},
        "properties": {form: side.properties() for form, side in sides.items()},
        "catalogs": {form: list(said) for form, said in lake.drift(name).items()},
        "quarantine": dict(zip(("waiting", "rows"), waiting(lake, name), strict=True)),
    }


def _history(table: LakeTable) -> list[dict[str, Any]]:
    return [
        {
            "version": version.version,
            "at": version.at.isoformat(timespec="seconds"),
            "operation": version.operation,
            "load_id": version.load_id,
        }
        for version in table.history()
    ]


def _data_files(table: LakeTable) -> list[dict[str, Any]]:
    return [
        {"path": file.path, "bytes": file.size, "rows": file.rows, "partition": list(file.partition)}
        for file in sorted(table.files(), key=lambda file: file.path)
    ]


def _position(lake: Lakehouse, pipeline: str, table: str, sequence: int) -> dict[str, Any]:
    """Where the pipeline stands, and up to which cursor value; `None` without a cursor."""
    position = lake.journal(pipeline).positions().get(table)
    same = position is not None and position.sequence == sequence
    found = position.resources if position and same else {}
    cursors = {resource or table: standing.value for resource, standing in found.items()}
    own = cursors.get(table, next(iter(cursors.values()), None))
    return {"load": sequence, "cursor": own, "resources": cursors}


def _print_lake(out: Console, lake: Lakehouse, tables: Mapping[str, Mapping[str, Any]]) -> None:
    if not tables:
        out.print(f"no tables in namespace {lake.namespace} of {lake.root}", markup=False)
        return
    rows = [("table", "format", "rows", "files", "size", "version", "partitioned by")]
    for name, facts in tables.items():
        partitions = ", ".join(facts["partition_by"]) or "-"
        rows += [
            (name, form, *_amounts(contents), str(contents["version"]), partitions)
            for form, contents in facts["formats"].items()
        ] or [(name, "not registered", "-", "-", "-", "-", "-")]
    _print_columns(out, rows, right=(2, 3, 4, 5))


def _print_table(out: Console, facts: Mapping[str, Any], limit: int) -> None:
    out.print(f"[bold]{_safe(facts['table'])}[/]  {_safe(facts['location'])}")
    for form, contents in facts["formats"].items():
        rows = "an unknown number of rows" if contents["rows"] is None else count(contents["rows"], "row")
        out.print(
            f"  {form}: {rows} in {count(contents['files'], 'file')}, {size(contents['bytes'])}", markup=False
        )
    for label in ("partition_by", "sort_by"):
        if facts[label]:
            out.print(f"  {label.replace('_', ' ')} {', '.join(facts[label])}", markup=False)
    for form, said in facts["catalogs"].items():
        out.print(f"  {form} catalog: {'; '.join(said) or 'up to date'}", markup=False)
    if facts["quarantine"]["rows"]:
        waiting, rows = facts["quarantine"]["waiting"], facts["quarantine"]["rows"]
        out.print(
            f"  quarantine: {count(waiting, 'row')} to replay, {rows - waiting:,} replayed", markup=False
        )
    _heading(out, "schema")
    _print_columns(
        out, [(c["name"], c["type"], "" if c["nullable"] else "required") for c in facts["schema"]]
    )
    for form, versions in facts["history"].items():
        _heading(out, f"{form} versions")
        shown = [(str(v["version"]), v["at"], v["operation"], v["load_id"] or "-") for v in versions]
        _print_columns(out, shown[:limit], right=(0,), more=len(shown) - limit)
    for heading, live in _distinct_files(facts["data_files"]):
        _heading(out, heading)
        listed = [
            (f["path"], size(f["bytes"]), "-" if f["rows"] is None else count(f["rows"], "row")) for f in live
        ]
        _print_columns(out, listed[:limit], right=(1, 2), more=len(listed) - limit)
    if facts["positions"]:
        _heading(out, "positions")
        _print_columns(out, [_position_row(*item) for item in facts["positions"].items()])


def _distinct_files(files: Mapping[str, list[dict[str, Any]]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """One list when all formats refer to the same files, otherwise one for each."""
    lists = list(files.values())
    if all(one == lists[0] for one in lists):
        return [("files", lists[0])]
    return [(f"{form} files", listed) for form, listed in files.items()]


def _position_row(pipeline: str, position: Mapping[str, Any]) -> tuple[str, ...]:
    cursors = {name: value for name, value in position["resources"].items() if value is not None}
    if len(cursors) > 1:
        reached = "; ".join(f"{name} up to {value}" for name, value in cursors.items())
    else:
        reached = "".join(f"up to {value}" for value in cursors.values())
    return (f"pipeline {pipeline}", f"load {position['load']}", reached)


def _amounts(facts: Mapping[str, Any]) -> tuple[str, str, str]:
    rows = "?" if facts["rows"] is None else f"{facts['rows']:,}"
    return rows, f"{facts['files']:,}", size(facts["bytes"])


def _heading(out: Console, text: str) -> None:
    out.print(f"\n[cyan]{text}[/]")


def _print_columns(
    out: Console, rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), more: int = 0
) -> None:
    if not rows:
        out.print("  none")
        return
    for line in columns(rows, right=right):
        out.print(f"  {line}", markup=False)
    if more > 0:
        out.print(f"  … and {more:,} more; --limit shows them", markup=False)


def _safe(text: str) -> str:
    from rich.markup import escape

    return escape(text)
