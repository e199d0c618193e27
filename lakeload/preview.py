"""What a load would change in the schemas of its tables, found out without touching any.

It is the first two steps of the line extract → normalize → write → commit: every row is read and brought to
the names and types of its table, and then forgotten. So what it says is what a load of the same data does, as
long as nobody else changes the table in between.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any, Unpack

from lakeload.config import machine_cores
from lakeload.lakehouse import Lakehouse
from lakeload.model.events import SchemaEvent, events
from lakeload.model.table import TableState
from lakeload.normalize.family import Family
from lakeload.normalize.naming import table_name
from lakeload.normalize.text_types import Learned, TextTypes
from lakeload.options import Options
from lakeload.part import child_tables
from lakeload.sources.again import Source
from lakeload.sources.read import read
from lakeload.sources.resource import Resource, from_data
from lakeload.task import expected, reading_again

_LOAD_ID = "preview"


def preview(
    data: Any,
    lake: Lakehouse,
    table: str,
    **options: Unpack[Options],
) -> tuple[SchemaEvent, ...]:
    """What loading the data would change.

    Args:
        data: A path, glob or URL, rows, batches, a DataFrame, or a resource, which has options of its own.
        lake: Where the table is, or would be made.
        table: Table name.
        options: As `load` takes them; for data.

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
    resource = data.with_table(name) if isinstance(data, Resource) else from_data(data, name, **options)
    resource = resource.with_storage(lake.options)

    def family(learned: Learned) -> Family:
        return Family(
            resource.spec,
            formats=lake.writes(name),
            state=lambda other: _state(lake, other),
            load_id=_LOAD_ID,
            loaded_at=lake.now(),
            children=child_tables(resource, lake.tables, lambda other: _state(lake, other)),
            learned=learned,
        )

    with closing(Source(ahead=1)) as source:
        shaped = reading_again(
            lambda learned: _drained(resource, family(learned), source, learned),
            lambda learned: _drained(resource, family(learned), source, learned),
            table=name,
        )
    return tuple(
        event
        for member in shaped.members
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


def _drained(resource: Resource, family: Family, source: Source, learned: Learned) -> Family:
    """Read everything and bring it to its tables; nothing is kept."""
    expectation = expected(family, resource.spec)
    start: Any = None if resource.spec.cursor or resource.positions is None else {}
    types = TextTypes(family.root.normalizer.target, dates=resource.spec.detect_dates, learned=learned)
    texts = source.batches(
        lambda: resource.open(start),
        lambda data: read(data, expectation=expectation, options=resource.read, workers=machine_cores()),
    )
    with closing(texts), closing(types.typed(texts)) as batches:
        for batch in batches:
            learned.able = source.able
            for _ in family.take(batch):
                pass
    family.check_names()
    return family


def _state(lake: Lakehouse, name: str) -> TableState | None:
    formats = lake.readable(name)
    return lake.open(name, formats).load() if formats else None
