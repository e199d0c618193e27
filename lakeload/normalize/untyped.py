"""What the values of a batch say of its types, where the types alone say too little or too much.

Part of deciding types. JSON and Python rows write dates and times as text: a column, member, element or map
value of text that the table does not have yet becomes a date or timestamp when all its values in the batch
are, by `iso8601`; one that has no value yet is held back until one shows. What is decided once stays: a later
value that is no date follows the contract. And a column without values asks for no change of its type.
"""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa

from lakeload.model.nested_arrays import as_list, bare, elements, members
from lakeload.model.schema import children
from lakeload.model.types import is_list, is_text
from lakeload.normalize.incoming import Path
from lakeload.normalize.iso8601 import detected
from lakeload.normalize.type_parts import fields_by_name, is_written_as_text, kind_of, unwrap


def seen_type(
    array: pa.Array,
    kind: pa.DataType,
    known: pa.DataType | None,
    path: Path = (),
    texts: Collection[Path] = (),
) -> tuple[pa.DataType, bool]:
    """The type to store a column's data as, as far as its text is concerned.

    Args:
        array: The column as it came.
        kind: Its type, members named as in the table.
        known: Type of the table's column; `None` when there is none.
        path: Where the column is.
        texts: Paths where text is known to be no dates.

    Returns:
        `kind` with new places of text that hold dates or timestamps as such, and those without a value
        as null; and whether there are such without a value.

    Example:
        >>> seen_type(pa.array(["2024-05-01", None]), pa.string(), None)
        (DataType(date32[day]), False)
        >>> seen_type(pa.array(["2024-05-01"]), pa.string(), pa.string())
        (DataType(string), False)
    """
    if not _has_text(kind) or path in texts:
        return kind, False
    array, kind = bare(array), unwrap(kind)
    if not pa.types.is_nested(kind):
        if known is None:
            return _text_type(array, kind)
        # Only text can tell such a value here, so what the text says is judged value by value.
        return (known if is_text(kind) and is_written_as_text(known) else kind), False
    if known is not None and (not children(known) or kind_of(known) != kind_of(kind)):
        return kind, False
    if pa.types.is_struct(kind):
        return _struct(array, kind, known, path, texts)
    inner = None if known is None else children(known)[-1].type
    if pa.types.is_map(kind):
        values = elements(as_list(array)).values.field(1)
        value, waits = seen_type(values, kind.item_type, inner, (*path, "value"), texts)
        return pa.map_(kind.key_field, kind.item_field.with_type(value)), waits
    element, waits = seen_type(elements(array).values, kind.value_type, inner, (*path, "element"), texts)
    return pa.list_(kind.value_field.with_type(element)), waits


def _struct(
    array: pa.Array, kind: pa.DataType, known: pa.DataType | None, path: Path, texts: Collection[Path]
) -> tuple[pa.DataType, bool]:
    there = fields_by_name(known)
    fields, waiting = [], False
    for field, part in zip(fields_by_name(kind).values(), members(array), strict=True):
        asked = there[field.name].type if field.name in there else None
        found, waits = seen_type(part, field.type, asked, (*path, field.name), texts)
        fields.append(field.with_type(found))
        waiting = waiting or waits
    return pa.struct(fields), waiting


def _text_type(array: pa.Array, kind: pa.DataType) -> tuple[pa.DataType, bool]:
    if array.null_count == len(array):
        return pa.null(), True
    found = detected(array)
    return (kind if found is None else found), False


def has_values(batch: pa.RecordBatch, renamed: pa.Schema, path: Path) -> bool:
    """Whether any value lies at a path of the table, or what lies there cannot be told.

    Args:
        batch: As it came.
        renamed: Its schema under the names of the lake.
        path: Column path.

    Example:
        >>> batch = pa.record_batch({"A": [{"B": None}, None]})
        >>> renamed = pa.schema([("a", pa.struct([("b", pa.null())]))])
        >>> has_values(batch, renamed, ("a",)), has_values(batch, renamed, ("a", "b"))
        (True, False)
    """
    i = renamed.get_field_index(path[0])
    if i < 0:
        return True
    array, kind = bare(batch.column(i)), unwrap(renamed.field(i).type)
    for name in path[1:]:
        if pa.types.is_struct(kind):
            i = kind.get_field_index(name)
            if i < 0:
                return True
            array, kind = members(array)[i], kind.field(i).type
        elif pa.types.is_map(kind):
            array = elements(as_list(array)).values.field(name)
            kind = kind.key_type if name == "key" else kind.item_type
        elif is_list(kind):
            array, kind = elements(array).values, kind.value_type
        else:
            return True
        array, kind = bare(array), unwrap(kind)
    return bool(array.null_count < len(array))


def _has_text(kind: pa.DataType) -> bool:
    kind = unwrap(kind)
    if pa.types.is_struct(kind):
        return any(_has_text(kind.field(i).type) for i in range(kind.num_fields))
    if is_list(kind):
        return _has_text(kind.value_type)
    if pa.types.is_map(kind):
        return _has_text(kind.item_type)
    return is_text(kind)
