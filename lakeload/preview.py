"""What a load would change in the schemas of its tables, found out without touching any.

It is the first two steps of the line extract → normalize → write → commit: every row is read and brought to
the names and types of its table, and then forgotten. So what it says is what a load of the same data does, as
long as nobody else changes the table in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from lakeload.config import machine_cores
from lakeload.lakehouse import Lakehouse
from lakeload.model.contract import Contract
from lakeload.model.events import SchemaEvent, events
from lakeload.model.nesting import Nesting
from lakeload.model.table import TableState
from lakeload.normalize.family import Family
from lakeload.normalize.naming import table_name
from lakeload.part import child_tables
from lakeload.sources.read import ReadOptions, read
from lakeload.sources.resource import Resource, from_data, table_spec
from lakeload.task import expected

_LOAD_ID = "preview"


def preview(
    data: Any,
    lake: Lakehouse,
    table: str,
    *,
    record_path: str | None = None,
    nesting: Nesting | str | Mapping[str, str] | None = None,
    contract: Contract | str | Mapping[str, str] | None = None,
) -> tuple[SchemaEvent, ...]:
    """What loading the data would change.

    Args:
        data: A path, glob or URL, rows, batches, a DataFrame, or a resource, which has options of its own.
        lake: Where the table is, or would be made.
        table: Table name.
        record_path: Dotted path of the records in JSON objects; for data.
        nesting: What becomes of objects and lists; for data.
        contract: What may change; for data.

    Returns:
        One event per change, in the order a load would report them. Their load id is `preview`.

    Raises:
        LakeloadError: What the load would raise up to its files.

    Example:
        >>> import tempfile, lakeload
        >>> lake = lakeload.Lakehouse(tempfile.mkdtemp())
        >>> _ = lakeload.load([{"id": 1}], lake, table="t")
        >>> [str(event) for event in preview([{"id": 2, "name": "b"}], lake, "t")]
        ['t: added name string (rows of the data, first row 1: "b")']
    """
    name = table_name(table)
    if isinstance(data, Resource):
        resource = data.with_table(name)
    else:
        spec = table_spec(name, nesting=nesting, contract=contract)
        resource = from_data(data, spec, ReadOptions(record_path=record_path))
    resource = resource.with_storage(lake.options)
    found = lake.readable(name)
    family = Family(
        resource.spec,
        formats=found or lake.formats,
        state=lambda other: _state(lake, other),
        load_id=_LOAD_ID,
        loaded_at=lake.now(),
        children=child_tables(resource, lake.tables, lambda other: _state(lake, other)),
    )
    _drain(resource, family)
    return tuple(
        event
        for member in family.members
        for event in events(
            member.spec.name,
            member.normalizer.changes,
            created=member.normalizer.schema if member.state is None else None,
            load_id=_LOAD_ID,
            at=lake.now(),
            pipeline=_LOAD_ID,
        )
        if len(member.normalizer.schema)
    )


def _drain(resource: Resource, family: Family) -> None:
    """Read everything and bring it to its tables; nothing is kept."""
    expectation = expected(family, resource.spec)
    start: Any = None if resource.spec.cursor or resource.positions is None else {}
    stream = read(
        resource.open(start), expectation=expectation, options=resource.read, workers=machine_cores()
    )
    with closing(stream) as batches:
        for batch in batches:
            for _ in family.take(batch):
                pass


def _state(lake: Lakehouse, name: str) -> TableState | None:
    formats = lake.readable(name)
    return lake.open(name, formats).load() if formats else None
