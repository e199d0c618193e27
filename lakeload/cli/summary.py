"""What a run did, as text for people or as one JSON document."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakeload.cli.wording import columns, count, seconds, size

if TYPE_CHECKING:
    from rich.console import Console

    from lakeload.report import RunReport, TableReport


def show(reports: Sequence[RunReport], *, json: bool, quiet: bool) -> None:
    """Print the outcome of one or several runs on stdout.

    Args:
        reports: What the runs returned.
        json: One JSON document: an object for one run, an array for none or several.
        quiet: Print nothing; `json` wins.
    """
    if json:
        documents = [report.to_dict() for report in reports]
        print_json(documents[0] if len(documents) == 1 else documents)
    elif not quiet:
        out = console()
        for report in reports:
            for line in lines(report):
                out.print(line)


def print_json(document: Any) -> None:
    """One JSON document on stdout; what JSON has no form for becomes text."""
    import json

    sys.stdout.write(json.dumps(document, indent=2, default=str, ensure_ascii=False) + "\n")


def console() -> Console:
    """Standard output: colours on a terminal only, lines never wrapped."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704 - called while handling the error; rich would exit with 1

    return Output(highlight=False, soft_wrap=True)


def lines(report: RunReport) -> list[str]:
    """The summary of one run, in rich markup."""
    from rich.markup import escape

    head = (
        f"[bold]{count(report.rows, 'row')} loaded[/] in {seconds(report.seconds)}"
        if report.rows
        else "[bold]no new rows[/]"
    )
    head += _came(report)
    number = "" if report.sequence is None else f", load {report.sequence}"
    text = [f"{head}  [dim]pipeline {escape(report.pipeline)}{number}[/]"]
    if report.recovered:
        rows = ", ".join(f"{count(n, 'row')} into {name}" for name, n in report.recovered_rows.items())
        text.append(f"  [yellow]first completed the unfinished load {report.recovered}: {escape(rows)}[/]")
    cells = [_cells(name, table) for name, table in report.tables.items()]
    for line, table in zip(
        columns(cells, right=(1, 2, 3)) if cells else (), report.tables.values(), strict=True
    ):
        text.append(f"  {escape(line)}")
        text += [f"    [green]{escape(change)}[/]" for change in _changes(table)]
        text += [f"    [yellow]{escape(line)}[/]" for line in _rejected(table)]
        text += [f"    [dim]{escape(line)}[/]" for line in table.notes]
    text += [f"  [yellow]warning: {escape(warning)}[/]" for warning in report.warnings]
    return text


def _came(report: RunReport) -> str:
    """What became of the rows that were read, where it is not all loaded."""
    tables = report.tables.values()
    seen = sum(table.rows_seen for table in tables)
    aside = sum(table.quarantined_rows + table.discarded_rows for table in tables)
    if not (seen or aside):
        return ""
    told = [f"{count(sum(table.rows_read for table in tables), 'row')} read"]
    told += [f"{seen:,} seen before"] if seen else []
    told += [f"{aside:,} put aside or discarded"] if aside else []
    return f" ({', '.join(told)})"


def _cells(name: str, table: TableReport) -> tuple[str, ...]:
    amounts = (count(table.rows, "row"), count(table.files, "file"), size(table.bytes))
    return (name, *amounts, versions(table.version))


def _changes(table: TableReport) -> list[str]:
    text = ["created"] if table.created else []
    text += [str(change) for change in table.schema_changes]
    if table.repeated:
        text.append("these rows were in the load completed first, and were not added again")
    if table.kept:
        text.append("no row came, so the table was left as it is")
    if table.folded:
        text.append(f"folded {count(table.folded, 'small file')}")
    return text


def _rejected(table: TableReport) -> list[str]:
    """What did not get in, and the rules and columns it failed at."""
    text = []
    if table.quarantined_rows:
        text.append(f"{count(table.quarantined_rows, 'row')} put aside in the quarantine")
    if table.discarded_rows:
        text.append(f"{count(table.discarded_rows, 'row')} discarded")
    if table.discarded_values:
        text.append(f"{count(table.discarded_values, 'value')} discarded")
    return text + [f"  {reason}: {number:,}" for reason, number in table.rejected.items()]


def versions(found: Mapping[str, int | None]) -> str:
    """Versions by format, such as `delta version 1, iceberg snapshot 8214`."""
    words = {"delta": "delta version", "iceberg": "iceberg snapshot"}
    return ", ".join(
        f"{words.get(name, name)} {number}" for name, number in found.items() if number is not None
    )
