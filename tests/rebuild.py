"""The way back from child tables to nested rows, for tests that compare what was loaded with what is there.

Works from the columns that tie the tables together and the names they were given, and knows nothing of how
they were taken apart. What child tables do not tell apart comes back as the lesser of the two: see `pruned`.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from lakeload.model.naming import PATH, SOURCE, source_parts
from lakeload.model.table import INDEX, PARENT_ID, ROW_ID

Path = tuple[str, ...]


class Pairs(list[tuple[Any, Any]]):
    """The entries of a map, in their order and with keys that repeat."""


def rebuild(tables: dict[Path, pa.Table]) -> list[dict[str, Any]]:
    """The root's rows with the rows of all child tables back in them, in the root table's order.

    Args:
        tables: Tables by their path of source names, the root under `()`.

    Returns:
        Rows in the source's names, `pruned`. Elements of a child table whose only column is `value` are
        these values; so an object with the one member `value` is not told from its value.
    """
    lists: dict[Path, dict[str, list[tuple[int, Any]]]] = {}
    for path in sorted(tables, key=len, reverse=True):
        ways = {child[len(path) :]: found for child, found in lists.items() if _parent(child, tables) == path}
        columns = [(source_path(field), field) for field in tables[path].schema if not _tie(field.name)]
        bare = bool(path) and {way for way, _ in columns} | ways.keys() <= {("value",)}
        lists[path] = {}
        for row in tables[path].to_pylist():
            record: dict[str, Any] = {}
            for way, field in columns:
                put(record, way, raw_value(row[field.name], field.type))
            for way, found in ways.items():
                elements = sorted(found.get(row[ROW_ID], []), key=lambda element: element[0])
                assert [index for index, _ in elements] == list(range(len(elements)))
                put(record, way, [element for _, element in elements])
            value = pruned(record.get("value") if bare else record)
            lists[path].setdefault(row.get(PARENT_ID, ""), []).append((row.get(INDEX, 0), value))
    for path, found in lists.items():
        above = _parent(path, tables)
        assert above is None or found.keys() <= set(tables[above].column(ROW_ID).to_pylist())
    return [value or {} for _, value in lists[()].get("", [])]


def pruned(value: Any) -> Any:
    """What is left of a value when null, empty and missing are one: `None` where nothing is.

    Elements of lists keep their place.
    """
    if isinstance(value, dict):
        kept = {name: pruned(member) for name, member in value.items()}
        return {name: member for name, member in kept.items() if member is not None} or None
    if isinstance(value, list):
        return [pruned(element) for element in value] or None
    return value


def _parent(path: Path, tables: dict[Path, pa.Table]) -> Path | None:
    above = [path[:length] for length in range(len(path)) if path[:length] in tables]
    return above[-1] if above else None


def _tie(name: str) -> bool:
    return name.startswith("_lakeload_")


def source_path(field: pa.Field) -> Path:
    """Where a column was in the source's rows."""
    metadata = field.metadata or {}
    if PATH in metadata:
        return tuple(json.loads(metadata[PATH]))
    if metadata.get(SOURCE):
        return tuple(source_parts(metadata[SOURCE].decode()))
    return (field.name,)


def raw_value(value: Any, kind: pa.DataType) -> Any:
    """A value with the source's names of struct members, maps as `Pairs`."""
    if value is None or not pa.types.is_nested(kind):
        return value
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return {source_path(field)[-1]: raw_value(value[field.name], field.type) for field in fields}
    if pa.types.is_map(kind):
        return Pairs((key, raw_value(item, kind.item_type)) for key, item in value)
    return [raw_value(element, kind.value_type) for element in value]


def put(record: dict[str, Any], way: Path, value: Any) -> None:
    """Set a value at a path of members, with the objects on the way."""
    for name in way[:-1]:
        if record.get(name) is None:
            record[name] = {}
        record = record[name]
    record[way[-1]] = value
