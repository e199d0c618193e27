"""Quarantine: rows a contract or a rule keeps out of a table, kept whole in a table beside it.

Part of the normalize stage. What lands here is the row as the source gave it, before names, nesting and
types, with the reason; `lakeload.replays` loads it again once the contract, the rules or the data are mended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.rejection import SOURCE_ROW, UNREAD_REASON, UNREAD_RULE, Rejection
from lakeload.model.values import schema_to_text
from lakeload.normalize.naming import JOINT
from lakeload.normalize.payload import encode, plain, value_text

ATTEMPT = b"lakeload.attempt"
"""Schema metadata of batches that were in quarantine before: how often their rows have been tried."""

EXCERPT = 4096
"""Characters of a value kept in the column `value`; the payload has all of it."""

QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64()),
        pa.field("path", pa.string()),
        pa.field("rule", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("value", pa.string()),
        pa.field("payload", pa.string()),
        pa.field("types", pa.string()),
        pa.field("attempt", pa.int32()),
    ]
)
"""Columns of `<table>__quarantine`, besides `_lakeload_id` and `_lakeload_at`.

| column | |
|---|---|
| `row` | number of the row in its source, from 1 |
| `path` | column the first reason is about, dotted, in the table's names; null for the row as a whole |
| `rule` | `columns`, `types`, `tables`, or the name of a row rule: the first that kept the row out |
| `reason` | what is wrong; several reasons are joined by `; ` |
| `value` | the value at `path` as JSON, at most 4,096 characters of it |
| `payload` | the whole row as the source gave it, as JSON; columns that are null are left out |
| `types` | the Arrow schema of the payload, as Base64 of an IPC message; null: read the payload as JSON |
| `attempt` | how often the row was tried: 1, and one more for every replay it fails |

What of a file is no row has the rule `malformed` or `ragged`, and the payload `{"_line": …}`.
"""


def quarantine_rows(
    batch: pa.RecordBatch,
    rejections: Sequence[Rejection],
    number: Callable[[int], int],
    names: Mapping[str, str] | None = None,
    *,
    given: pa.Array | None = None,
    values: pa.Array | None = None,
) -> pa.RecordBatch:
    """The rows of the batch that some rejection puts aside, one row of the quarantine table each.

    Args:
        batch: Rows as the source gave them.
        rejections: About rows of this batch; those with another outcome than `quarantine` are passed over.
        number: Gives the number of a row in its source, from its index in the batch.
        names: The table's name of a column by its name in the source, where they differ.
        given: The rows of the batch as JSON, where it has them without some of their values; null for others.
        values: For those rows, the value that is to blame, as JSON.

    Returns:
        A batch of `QUARANTINE_SCHEMA`, in the order of the rows; `types` is dictionary-encoded.

    Example:
        >>> batch = pa.record_batch({"id": [1, 2], "age": [30, -1]})
        >>> found = Rejection("quarantine", "between(age)", ("age",), "age is too small", pa.array([1]))
        >>> quarantine_rows(batch, [found], lambda index: index + 1).select([0, 2, 4, 5]).to_pylist()
        [{'row': 2, 'rule': 'between(age)', 'value': '-1', 'payload': '{"id":2,"age":-1}'}]
    """
    aside = [found for found in rejections if found.outcome == "quarantine" and len(found.rows)]
    if not aside:
        return pa.RecordBatch.from_pylist([], schema=QUARANTINE_SCHEMA)
    rows, first, reasons = _told(aside)
    payload = plain(batch.select([name for name in batch.schema.names if name != SOURCE_ROW])).take(rows)
    types, attempt = _types(payload.schema)
    texts = encode(payload) if payload.num_columns else pa.array(["{}"] * len(rows), pa.string())
    kinds = pa.repeat(pa.scalar(0, pa.int8()), len(rows))
    blamed = _values(payload, first, [found.path for found in aside], names or {})
    if given is not None:
        given = given.take(rows)
        texts, kinds = (
            pc.coalesce(given, texts),
            pc.if_else(given.is_valid(), pa.scalar(None, pa.int8()), kinds),
        )
        if values is not None:
            blamed = pc.coalesce(pc.utf8_slice_codeunits(values.take(rows), 0, EXCERPT), blamed)
    paths = pa.array([".".join(found.path) or None for found in aside], pa.string())
    rules = pa.array([found.rule for found in aside], pa.string())
    columns = [
        pa.array([number(index) for index in rows.to_pylist()], pa.int64()),
        paths.take(first),
        rules.take(first),
        reasons,
        blamed,
        texts,
        pa.DictionaryArray.from_arrays(kinds, [types]),
        pa.repeat(pa.scalar(attempt, pa.int32()), len(rows)),
    ]
    return pa.record_batch(columns, names=QUARANTINE_SCHEMA.names)


def unread(batch: pa.RecordBatch) -> list[Rejection]:
    """Why each row of a batch a reader could not read stays out.

    Args:
        batch: With the metadata `REJECTED`; one that was in quarantine before does not tell any more.

    Example:
        >>> batch = pa.record_batch({"_line": ["x"], UNREAD_RULE: ["ragged"], UNREAD_REASON: ["1 value"]})
        >>> [(found.rule, found.reason) for found in unread(batch)]
        [('ragged', '1 value')]
    """
    if UNREAD_RULE not in batch.schema.names:
        return [Rejection("quarantine", "malformed", (), "still no row", pa.arange(0, batch.num_rows))]
    told = zip(batch.column(UNREAD_RULE).to_pylist(), batch.column(UNREAD_REASON).to_pylist(), strict=True)
    return [
        Rejection("quarantine", rule, (), reason, pa.array([row], pa.int64()))
        for row, (rule, reason) in enumerate(told)
    ]


def _told(aside: Sequence[Rejection]) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Rows, ascending and each once; for each the position of its first rejection, and all its reasons."""
    which = [pa.repeat(pa.scalar(i, pa.int64()), len(found.rows)) for i, found in enumerate(aside)]
    table = pa.table(
        {"row": pa.concat_arrays([f.rows.cast(pa.int64()) for f in aside]), "by": pa.concat_arrays(which)}
    )
    table = table.sort_by([("row", "ascending"), ("by", "ascending")])
    grouped = table.group_by("row", use_threads=False).aggregate([("by", "list")]).combine_chunks()
    rows, by = (_one(grouped.column(name)) for name in ("row", "by_list"))
    first = pc.list_element(by, 0)
    # `path` is of the first reason: another one about another column has to name it, as those of rules do.
    paths = pa.array([".".join(found.path) for found in aside], pa.string())
    elsewhere = pc.not_equal(paths.take(by.values), paths.take(first.take(pc.list_parent_indices(by))))
    plainly = pa.array([found.reason for found in aside], pa.string()).take(by.values)
    named = pa.array([_named(found) for found in aside], pa.string()).take(by.values)
    said = pc.if_else(elsewhere, named, plainly)
    reasons = pc.binary_join(pa.ListArray.from_arrays(by.offsets, said), "; ")
    return rows, first, reasons


def _named(found: Rejection) -> str:
    by_contract = found.rule in ("columns", "types") and found.path
    return f"{'.'.join(found.path)}: {found.reason}" if by_contract else found.reason


def _values(
    payload: pa.RecordBatch, first: pa.Array, paths: Sequence[tuple[str, ...]], names: Mapping[str, str]
) -> pa.Array:
    """The offending values as JSON, cut."""
    texts, places = [], []
    for path in sorted(set(paths)):
        column = _at(payload, path, names)
        if column is None:
            continue
        about = pa.array([i for i, other in enumerate(paths) if other == path], pa.int64())
        rows = pc.indices_nonzero(pc.is_in(first, about)).cast(pa.int64())
        texts.append(pc.utf8_slice_codeunits(value_text(column.take(rows)), 0, EXCERPT))
        places.append(rows)
    if not texts:
        return pa.nulls(len(first), pa.string())
    everywhere = pa.array(range(len(first)), pa.int64())
    return pa.concat_arrays(texts).take(pc.index_in(everywhere, pa.concat_arrays(places)))


def _at(payload: pa.RecordBatch, path: tuple[str, ...], names: Mapping[str, str]) -> pa.Array | None:
    """What lies at a path in the rows of the source, or the nearest thing around it."""
    if not path:
        return None
    called = {name: names.get(name, name) for name in payload.schema.names}
    found = [name for name in called if called[name] == path[0]]
    # A flattened member is not there by itself.
    found = found or [name for name in called if path[0].startswith(f"{called[name]}{JOINT}")]
    if len(found) != 1:
        return None
    column = payload.column(found[0])
    for name in path[1:]:
        if not pa.types.is_struct(column.type) or column.type.get_field_index(name) < 0:
            break
        column = pc.struct_field(column, name)
    return column


def _types(schema: pa.Schema) -> tuple[str, int]:
    """The types to keep, as text, and how often rows of such a batch have been tried with this time."""
    # What libraries note about a schema, as pandas does of its index, can be longer than the row.
    facts = {key: value for key, value in (schema.metadata or {}).items() if key.startswith(b"lakeload.")}
    tried = int(facts.pop(ATTEMPT, b"0"))
    return schema_to_text(schema.with_metadata(facts or None)), tried + 1


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
