"""What a run did, for people and for machines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lakeload.html import table
from lakeload.model.changes import SchemaChange
from lakeload.model.events import SchemaEvent
from lakeload.model.table import QUARANTINE
from lakeload.normalize.rules import RuleCount

_KIB = 1024


@dataclass(frozen=True, slots=True)
class TableReport:
    """What a run did to one table.

    Args:
        rows: Rows written by this run.
        files: Data files added by this run.
        bytes: Bytes of those files.
        schema_changes: Schema changes of an existing table, in order.
        created: True when the run created the table.
        version: Version after the run, by format; empty when the table was not changed and does not exist.
        repeated: True when the rows were those of the unfinished load completed first, and so not added.
        folded: Small files replaced by bigger ones after the load.
        unregistered: Why the table's entry in the catalog of Delta tables is behind; `None` when it is not.
            The rows are published, and the next load tries again.
        kept: True when an overwrite brought no row and left the table as it was.
        seconds: Seconds per stage (`extract`, `normalize`, `write`, `commit`, `fold`), as the thread that
            joins the stages waited for them; on the resource's own table.
        rows_read: Rows the source gave; on the resource's own table, as all that follow.
        rows_seen: Those among them that the cursor says an earlier load had.
        discarded_rows: Rows of the source the contract or a rule dropped.
        discarded_values: Values the contract dropped from rows that were loaded.
        quarantined_rows: Rows of the source put aside in `<table>__quarantine`.
        rejected: Rows and values not let in, by rule and column, as `types amount`.
        rules: Rows checked and failed, by row rule.
        notes: How the source was read, where that had to be found out: the dialect of CSV, rows padded.

    Example:
        >>> TableReport(rows=3, files=1, bytes=900).rows
        3
    """

    rows: int = 0
    files: int = 0
    bytes: int = 0
    schema_changes: tuple[SchemaChange, ...] = ()
    created: bool = False
    version: Mapping[str, int | None] = field(default_factory=dict)
    repeated: bool = False
    folded: int = 0
    unregistered: str | None = None
    kept: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)
    rows_read: int = 0
    rows_seen: int = 0
    discarded_rows: int = 0
    discarded_values: int = 0
    quarantined_rows: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    rules: Mapping[str, RuleCount] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunReport:
    """What one run of a pipeline did.

    Args:
        pipeline: Pipeline name.
        load_id: Load id, as in `_lakeload_id`.
        sequence: Sequence number of the load; `None` when nothing had to be published.
        tables: By table name.
        seconds: Seconds from start to end.
        recovered: Load id of an earlier, unfinished load that was completed first.
        recovered_rows: Rows that load added, by table; not part of `rows`, which count this run's own.
        schema_changes: What changed in the schemas of all tables, created tables included.
        warnings: What went wrong without harm to the load, such as a hook that failed.

    Example:
        >>> print(RunReport("p", "load-a", 1, {"t": TableReport(rows=3, files=1, bytes=900)}, 0.5))
        pipeline p, load 1 (load-a): 3 rows into 1 table in 0.5 s
          t: 3 rows, 1 file, 900 B
    """

    pipeline: str
    load_id: str
    sequence: int | None
    tables: Mapping[str, TableReport]
    seconds: float
    recovered: str | None = None
    recovered_rows: Mapping[str, int] = field(default_factory=dict)
    schema_changes: tuple[SchemaEvent, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return {
            "pipeline": self.pipeline,
            "load_id": self.load_id,
            "sequence": self.sequence,
            "seconds": round(self.seconds, 3),
            "recovered": self.recovered,
            "recovered_rows": dict(self.recovered_rows),
            "tables": {name: _table(report) for name, report in self.tables.items()},
            "schema_changes": [event.to_dict() for event in self.schema_changes],
            "warnings": list(self.warnings),
        }

    @property
    def rows(self) -> int:
        """Rows written to all tables, but for what was put aside."""
        return sum(table.rows for name, table in self.tables.items() if not name.endswith(QUARANTINE))

    @property
    def quarantined(self) -> int:
        """Rows of the source put aside, of all tables."""
        return sum(one.quarantined_rows for one in self.tables.values())

    def __repr__(self) -> str:
        tables = ", ".join(f"{name}: {_count(one.rows, 'row')}" for name, one in self.tables.items())
        return f"<RunReport of {self.pipeline}, load {self.sequence}: {tables or 'nothing'}>"

    def _repr_html_(self) -> str:
        return table(
            str(self).partition("\n")[0],
            ["table", "rows", "put aside", "files", "size", "version"],
            [
                (
                    name,
                    one.rows,
                    one.quarantined_rows,
                    one.files,
                    size_text(one.bytes),
                    ", ".join(f"{form} {version}" for form, version in one.version.items()),
                )
                for name, one in self.tables.items()
            ],
        )

    def __str__(self) -> str:
        number = "nothing to publish" if self.sequence is None else f"load {self.sequence} ({self.load_id})"
        head = (
            f"pipeline {self.pipeline}, {number}: {_count(self.rows, 'row')} into "
            f"{_count(len(self.tables), 'table')} in {self.seconds:.1f} s"
        )
        lines = [f"  {name}: {_line(report)}" for name, report in self.tables.items()]
        if self.recovered:
            lines.insert(
                0, f"  completed the unfinished load {self.recovered} first{added(self.recovered_rows)}"
            )
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join([head, *lines])


def _table(report: TableReport) -> dict[str, Any]:
    return {
        "rows": report.rows,
        "files": report.files,
        "bytes": report.bytes,
        "created": report.created,
        "schema_changes": [str(change) for change in report.schema_changes],
        "version": dict(report.version),
        "repeated": report.repeated,
        "folded": report.folded,
        "unregistered": report.unregistered,
        "kept": report.kept,
        "rows_read": report.rows_read,
        "rows_seen": report.rows_seen,
        "discarded_rows": report.discarded_rows,
        "discarded_values": report.discarded_values,
        "quarantined_rows": report.quarantined_rows,
        "rejected": dict(report.rejected),
        "rules": {name: {"rows": n.rows, "failed": n.failed} for name, n in report.rules.items()},
        "notes": list(report.notes),
        "seconds": {stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
    }


def _line(report: TableReport) -> str:
    parts = [_count(report.rows, "row"), _count(report.files, "file"), size_text(report.bytes)]
    if report.created:
        parts.append("created")
    parts += [f"{name} version {version}" for name, version in report.version.items()]
    parts += [str(change) for change in report.schema_changes]
    if report.rows_seen:
        parts.append(f"{_count(report.rows_read, 'row')} read, {_count(report.rows_seen, 'row')} seen before")
    if report.discarded_rows:
        parts.append(f"{_count(report.discarded_rows, 'row')} discarded")
    if report.discarded_values:
        parts.append(f"{_count(report.discarded_values, 'value')} discarded")
    if report.quarantined_rows:
        parts.append(f"{_count(report.quarantined_rows, 'row')} quarantined")
    if report.repeated:
        parts.append("already loaded by the completed load")
    if report.kept:
        parts.append("no row came, so the table was left as it is")
    if report.folded:
        parts.append(f"folded {_count(report.folded, 'small file')}")
    if report.unregistered:
        parts.append(f"not registered: {report.unregistered}")
    return ", ".join(parts) + "".join(f"\n    {note}" for note in report.notes)


def added(rows: Mapping[str, int]) -> str:
    """Rows by table, in words.

    Example:
        >>> added({"t": 1})
        ': 1 row into t'
    """
    text = ", ".join(f"{_count(number, 'row')} into {name}" for name, number in rows.items())
    return f": {text}" if text else ""


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size_text(size: float) -> str:
    """Bytes for people, in powers of 1024.

    Example:
        >>> size_text(1536)
        '1.5 KiB'
    """
    if size < _KIB:
        return f"{size:.0f} B"
    units = ("KiB", "MiB", "GiB")
    power = min(len(units), int(math.log(size, _KIB)))
    return f"{size / _KIB**power:.1f} {units[power - 1]}"
