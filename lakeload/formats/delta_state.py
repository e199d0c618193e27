"""What a snapshot of Delta's log means to lakeload: schema, layout, positions, live files.

Part of commit: the reading half of `formats/delta.py`. Columns that exist only to carry a partition
transform are taken out of the schema here and put back when the schema is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from lakeload.config import parse_size
from lakeload.errors import ConfigError
from lakeload.formats.delta_features import check_table
from lakeload.formats.delta_log import LogFile, Snapshot
from lakeload.formats.delta_partition import PartitionColumn, partition_columns
from lakeload.formats.delta_schema import to_arrow
from lakeload.formats.delta_stats import whole_number
from lakeload.model.files import LiveFile
from lakeload.model.layout import Layout, PartitionField
from lakeload.model.schema import assign_ids, field_id, walk
from lakeload.model.table import PARTITION_PROPERTY, SORT_PROPERTY, TARGET_SIZE_PROPERTY, TableState

APP_ID = "lakeload:"
"""Start of the `txn.appId` of lakeload's pipelines; the pipeline's name follows."""
LAST_ID_PROPERTY = "lakeload.last-column-id"
DELTA_TARGET_SIZE = "delta.targetFileSize"


@dataclass(slots=True)
class View:
    """A snapshot with its meaning; `TableState.handle`.

    Args:
        snapshot: The version.
        fields: Struct fields of the schema as logged, generated columns included.
        schema: Columns a user sees, with field ids.
        last_column_id: Largest field id in use or on record.
        columns: Partition columns.
        layout: Partitioning and sort order.
        properties: Table properties, Delta's spelling and ours.
        live: Live files by path, as far as they have been asked for.
    """

    snapshot: Snapshot
    fields: list[dict[str, Any]]
    schema: pa.Schema
    last_column_id: int
    columns: tuple[PartitionColumn, ...]
    layout: Layout
    properties: Mapping[str, str]
    live: dict[str, tuple[LogFile, LiveFile]]

    @property
    def generated(self) -> frozenset[str]:
        """Names of columns that exist only in the log."""
        return frozenset(column.name for column in self.columns if column.generated)

    def state(self) -> TableState:
        """The version as the rest of lakeload sees it."""
        sequences = {
            app.removeprefix(APP_ID): version
            for app, version in self.snapshot.transactions.items()
            if app.startswith(APP_ID)
        }
        return TableState(
            version=self.snapshot.version,
            schema=self.schema,
            last_column_id=self.last_column_id,
            layout=self.layout,
            properties=self.properties,
            sequences=sequences,
            handle=self,
        )

    def files(self) -> Sequence[LiveFile]:
        """Live files; those an earlier version had already are not built again."""
        found = []
        for path, file in self.snapshot.files.items():
            known = self.live.get(path)
            if known is None or known[0] is not file:
                known = (file, self._live_file(file))
                self.live[path] = known
            found.append(known[1])
        return found

    def partitions_in_paths(self) -> Literal["all", "some", "none"]:
        """Of how many live files the path tells every partition value, as folders `name=value`."""
        names = [f"{column.name}=" for column in self.columns]
        told = {all(name in path for name in names) for path in self.snapshot.files}
        if not names or told <= {True}:
            return "all"
        return "some" if True in told else "none"

    def _live_file(self, file: LogFile) -> LiveFile:
        values = tuple(column.decode(file.partition.get(column.name)) for column in self.columns)
        return LiveFile(file.path, file.size, file.rows, values, deletes=file.vector is not None)


def view(snapshot: Snapshot, *, table: str, known: View | None = None) -> View:
    """Interpret a snapshot.

    Args:
        snapshot: The version.
        table: Table name for messages.
        known: The view of an earlier version of the same table; what did not change is taken from it.

    Raises:
        TableError: The table needs something that cannot be honoured.
    """
    before = known.snapshot if known else None
    same = before and before.metadata == snapshot.metadata and before.protocol == snapshot.protocol
    if known and same:
        live = _still_live(known, snapshot)
        return View(
            snapshot, known.fields, known.schema, known.last_column_id,
            known.columns, known.layout, known.properties, live,
        )  # fmt: skip
    properties = dict(snapshot.metadata.get("configuration") or {})
    fields = json.loads(snapshot.metadata["schemaString"])["fields"]
    check_table(snapshot.protocol, properties, fields, table=table)
    whole = to_arrow(fields, table=table)
    layout = _layout(properties, snapshot.metadata["partitionColumns"], whole)
    columns = partition_columns(layout.partition_by, whole, table=table)
    hidden = {column.name for column in columns if column.generated}
    visible = pa.schema([field for field in whole if field.name not in hidden])
    schema, last = assign_ids(
        visible, max(largest_id(visible), whole_number(properties, LAST_ID_PROPERTY, 0))
    )
    return View(snapshot, fields, schema, last, columns, layout, _spelled(properties), {})


def _still_live(known: View, snapshot: Snapshot) -> dict[str, tuple[LogFile, LiveFile]]:
    if len(known.live) <= 2 * len(snapshot.files) + 16:
        return known.live
    return {path: found for path, found in known.live.items() if snapshot.files.get(path) is found[0]}


def _layout(properties: Mapping[str, str], partition_columns: Sequence[str], schema: pa.Schema) -> Layout:
    recorded = Layout.parse(_texts(properties, PARTITION_PROPERTY), _texts(properties, SORT_PROPERTY))
    names = [field.name for field in recorded.partition_by]
    sources = {field.source for field in recorded.partition_by}
    if names == list(partition_columns) and sources <= set(schema.names):
        return recorded
    # Made by another engine, or partitioned anew by one: the log's columns are the truth.
    return Layout(tuple(PartitionField(name) for name in partition_columns), recorded.sort_by)


def _texts(properties: Mapping[str, str], key: str) -> list[str]:
    """Our own list, unless somebody wrote something else there."""
    try:
        found = json.loads(properties.get(key, "[]"))
    except ValueError:
        return []
    return [str(text) for text in found] if isinstance(found, list) else []


def _spelled(properties: dict[str, str]) -> dict[str, str]:
    """Properties with the target size under lakeload's name too."""
    size = properties.get(DELTA_TARGET_SIZE)
    if size is None:
        return properties
    try:
        return {**properties, TARGET_SIZE_PROPERTY: str(parse_size(size))}
    except ConfigError:
        return properties


def largest_id(schema: pa.Schema) -> int:
    """Largest field id the schema carries; 0 when it carries none."""
    found = [0]
    walk(schema, lambda _path, field: found.append(field_id(field) or 0))
    return max(found)
