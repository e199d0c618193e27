"""Replay: rows of a table's quarantine, loaded again once the contract, the rules or the rows are mended.

A load like any other: what it reads is the quarantine, and its position is which loads' quarantined rows it
has taken. All rows a load put aside were published in one commit, so a load's rows are taken as a whole. The
position is recorded with the commit that publishes the rows, so they come once, whatever happens; the
quarantine itself is never changed. Rows that fail again are put aside anew, with one attempt more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import LakeloadError
from lakeload.given import text, unsuitable
from lakeload.lake_table import LakeTable
from lakeload.lakehouse import Lakehouse
from lakeload.model.contract import Contract
from lakeload.model.mode import Append
from lakeload.model.naming import Naming
from lakeload.model.nesting import Nesting
from lakeload.model.progress import Progress, listening
from lakeload.model.rejection import NUMBERED, SOURCE_ROW
from lakeload.model.rules import Rule, parse_rules
from lakeload.model.table import LOAD_ID, QUARANTINE, TableSpec
from lakeload.model.types import is_list
from lakeload.model.values import schema_from_text
from lakeload.normalize.naming import table_name
from lakeload.normalize.payload import decode
from lakeload.normalize.quarantine import ATTEMPT
from lakeload.options import spec_of
from lakeload.report import RunReport
from lakeload.run import Run
from lakeload.sources.resource import Resource

PIPELINE = "replay_"
"""Begins the names of the pipelines that keep the positions of replays."""

Transform = Callable[[dict[str, Any]], dict[str, Any] | None]
"""Mends one row, in the source's names; `None` drops it for good."""


def replay(
    lake: Lakehouse | str | Path,
    table: str | Resource,
    *,
    contract: Contract | str | Mapping[str, str] | None = None,
    rules: Rule | str | Iterable[Rule | str] | None = None,
    schema: pa.Schema | Mapping[str, pa.DataType] | None = None,
    nesting: Nesting | str | Mapping[str, str] | None = None,
    primary_key: str | Iterable[str] | None = None,
    naming: Naming | None = None,
    transform: Transform | None = None,
    progress: Progress | None = None,
) -> RunReport:
    """Load the rows again that lie in a table's quarantine and were not replayed before.

    Each row is taken once, also when a replay dies half-way: the next one completes it. Rows that still do
    not get in are put aside again, with one more in `attempt`. Rows come as the source gave them, so what
    the load was told besides its contract (nesting, key, naming, rules, types) must be told here too, or
    give the resource.

    Args:
        lake: Lakehouse, or its place, for Delta tables.
        table: Name of the table, or the resource that loads it.
        contract: What may change in the table now; before the resource's.
        rules: What every row must meet now, instead of the resource's.
        schema: Types by column, instead of the resource's.
        nesting: Policy for nested values, instead of the resource's.
        primary_key: Columns the ids of child rows are made of, instead of the resource's.
        naming: How columns are named, instead of the resource's.
        transform: Called with each row as a dictionary in the source's names; gives the mended row, or
            `None` to drop it for good.
        progress: Listens to the run.

    Returns:
        What was done; without new rows in quarantine nothing is published.

    Raises:
        TableError: There is no such table and no quarantine of one.
        LakeloadError: As from any load. Nothing was taken then.

    Example:
        >>> import tempfile, lakeload
        >>> lake = lakeload.Lakehouse(tempfile.mkdtemp())
        >>> report = lakeload.load([{"n": 1}], lake, table="t")
        >>> report = lakeload.load([{"n": "two"}], lake, table="t", contract={"types": "quarantine"})
        >>> replay(lake, "t", transform=lambda row: {"n": 2}).tables["t"].rows
        1
    """
    lake = lake if isinstance(lake, Lakehouse) else Lakehouse(lake)
    heard = listening(progress)
    spec = table.spec if isinstance(table, Resource) else spec_of(text(table, "table"))
    name = table_name(spec.name)
    asked = spec_of(
        name, schema=schema, primary_key=primary_key, naming=spec.naming if naming is None else naming
    )
    spec = replace(
        spec,
        name=name,
        mode=Append(),
        cursor=None,
        contract=Contract.parse(contract).over(spec.contract),
        rules=spec.rules if rules is None else parse_rules(rules),
        schema=spec.schema if schema is None else asked.schema,
        nesting=spec.nesting if nesting is None else Nesting.parse(nesting),
        primary_key=asked.primary_key or spec.primary_key,
        naming=asked.naming,
    )
    if transform is not None and not callable(transform):
        raise unsuitable(transform, "transform", "a function from row to row")
    taken = _Taken(lake, spec, transform)
    resource = Resource(spec, taken.open, positions=taken.positions)
    return Run(lake, f"{PIPELINE}{spec.name}", [resource], heard).finish()


def waiting(lake: Lakehouse, table: str) -> tuple[int, int]:
    """Rows in a table's quarantine that no replay has taken, and all rows there.

    Raises:
        TableError: The quarantine cannot be read.

    Example:
        >>> import tempfile, lakeload
        >>> lake = lakeload.Lakehouse(tempfile.mkdtemp())
        >>> report = lakeload.load([{"id": None}, {"id": 1}], lake, table="t", rules="id not null")
        >>> waiting(lake, "t")
        (1, 1)
    """
    name = f"{table}{QUARANTINE}"
    if not lake.readable(name):
        return (0, 0)
    aside = lake.open(name, lake.readable(name)).load()
    found = lake.readable(table)
    state = lake.open(table, found).load() if found else None
    checkpoint = lake.journal(f"{PIPELINE}{table}").checkpoint(table, table, state, aside)
    taken = checkpoint.positions if checkpoint else {}
    rows = _by_load(lake.table(name))
    return sum(count for load, count in rows.items() if load not in taken), sum(rows.values())


def _by_load(aside: LakeTable) -> dict[str, int]:
    """Rows of a quarantine by the load that put them there."""
    counted = aside.scan([LOAD_ID]).read_all().group_by(LOAD_ID).aggregate([([], "count_all")])
    return dict(zip(*(column.to_pylist() for column in counted.columns), strict=True))


class _Taken:
    """Rows of a quarantine that no replay has taken; once they are read, which loads they were of."""

    def __init__(self, lake: Lakehouse, spec: TableSpec, transform: Transform | None) -> None:
        self._lake, self._spec, self._transform = lake, spec, transform
        self._name = f"{spec.name}{QUARANTINE}"
        self._positions: dict[str, str] = {}

    def positions(self) -> dict[str, str]:
        """Rows in quarantine by the load that put them there: all that were taken, now or before."""
        return self._positions

    def open(self, since: Mapping[str, str]) -> Iterator[object]:
        """Batches as the source had given them."""
        self._positions = dict(since)
        aside = self._quarantine()
        if aside is None:
            return
        rows = _by_load(aside)
        fresh = {load: str(count) for load, count in rows.items() if load not in since}
        if not fresh:
            return
        for batch in aside.scan():
            # Another load can have come since the loads were counted: the next replay takes it.
            new = batch.filter(pc.is_in(batch.column(LOAD_ID), pa.array(list(fresh), pa.string())))
            yield from self._decoded(new)
        self._positions |= fresh

    def _quarantine(self) -> LakeTable | None:
        if self._lake.readable(self._name):
            return self._lake.table(self._name)
        self._lake.table(self._spec.name)  # says it when there is none
        return None

    def _decoded(self, rows: pa.RecordBatch) -> Iterator[object]:
        """Rows of one kind at a time: of one schema, and tried so many times."""
        kinds = pa.table({"types": rows.column("types"), "attempt": rows.column("attempt")})
        for kind in kinds.group_by(["types", "attempt"], use_threads=False).aggregate([]).to_pylist():
            same = pc.and_kleene(*(_equals(rows.column(name), value) for name, value in kind.items()))
            chosen = rows.filter(same)
            payloads = chosen.column("payload").to_pylist()
            if kind["types"] is None:
                yield from self._of_json(payloads, chosen.column("row"))
                continue
            try:
                batch = decode(payloads, schema_from_text(kind["types"]))
            except LakeloadError as error:
                error.table = self._name
                raise
            facts = {ATTEMPT: str(kind["attempt"] or 1).encode()}
            batch = batch.append_column(_ROW, chosen.column("row"))
            raw = batch.drop_columns([SOURCE_ROW]).to_pylist() if self._transform else []
            numbers = chosen.column("row")
            for one in [batch] if self._transform is None else _mended(raw, numbers, self._transform, batch):
                yield one.replace_schema_metadata({**(one.schema.metadata or {}), **facts})

    def _of_json(self, payloads: list[str], numbers: pa.Array) -> Iterator[object]:
        """Rows whose types were not kept, as they were lines of JSON."""
        if self._transform is None:
            yield "\n".join(payloads).encode()
            return
        from lakeload.sources.decode.literals import exact_number

        rows = [json.loads(payload, parse_float=exact_number) for payload in payloads]
        yield from _mended(rows, numbers, self._transform)


def _equals(column: pa.Array, value: object) -> pa.Array:
    return column.is_null() if value is None else pc.fill_null(pc.equal(column, value), False)


def _mended(
    rows: list[dict[str, Any]], numbers: pa.Array, transform: Transform, batch: pa.RecordBatch | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows the transform gives, in the types they had where they still fit; a call for each row."""
    from lakeload.sources.decode.expectation import Expectation
    from lakeload.sources.decode.rows import RowDecoder

    given = [transform(row) for row in rows]
    kept = pa.array([i for i, row in enumerate(given) if row is not None], pa.int64())
    if not len(kept):
        return
    numbers = numbers.take(kept)
    # Apart: rows mended and rows left alone can have different types in one column.
    for made in RowDecoder(Expectation(apart=True)).decode([row for row in given if row is not None]):
        found = made.schema.get_field_index(SOURCE_ROW)
        own = numbers if found < 0 else numbers.take(pc.subtract(made.column(found), 1))
        names = [name for name in made.schema.names if name != SOURCE_ROW]
        columns = [_as_before(made.column(name), batch, name) for name in names]
        again = pa.record_batch(columns, names=names).append_column(_ROW, own)
        yield again.replace_schema_metadata(
            made.schema.metadata or (batch.schema.metadata if batch else None)
        )


def _as_before(column: pa.Array, batch: pa.RecordBatch | None, name: str) -> pa.Array:
    """The column in the type it had, which can be narrower than what Python's values are taken for."""
    before = batch.schema.field(name).type if batch is not None and name in batch.schema.names else None
    if before is None or not _alike(column.type, before):
        return column
    try:
        return column.cast(before)
    except pa.ArrowException:
        return column


def _alike(a: pa.DataType, b: pa.DataType) -> bool:
    """Whether two types differ in nothing but the room they have."""
    if pa.types.is_struct(a) and pa.types.is_struct(b):
        same = [field.name for field in a] == [field.name for field in b]
        return same and all(_alike(x.type, y.type) for x, y in zip(a, b, strict=True))
    if is_list(a) and is_list(b):
        return _alike(a.value_type, b.value_type)
    return a == b or any(test(a) and test(b) for test in _ROOMY)


_ROW = pa.field(SOURCE_ROW, pa.int64(), metadata=NUMBERED)
_ROOMY: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_time,
    lambda kind: pa.types.is_timestamp(kind) and kind.tz is None,
    lambda kind: pa.types.is_timestamp(kind) and kind.tz is not None,
    lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind),
)
