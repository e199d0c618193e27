"""Arrow types taken apart and put together: what is inside of them, in which order and under which names.

Deciding on types needs no data; these are the steps that naming, incoming types, sieves and shapes share.
"""

from __future__ import annotations

import pyarrow as pa

from lakeload.model.schema import children
from lakeload.model.types import is_list, is_uuid


def unwrap(kind: pa.DataType) -> pa.DataType:
    """The type of the values behind dictionaries, run ends and extensions other than UUIDs."""
    while True:
        if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
            kind = kind.value_type
        elif isinstance(kind, pa.BaseExtensionType) and not is_uuid(kind):
            kind = kind.storage_type
        else:
            return kind


def fields_by_name(kind: pa.DataType | None) -> dict[str, pa.Field]:
    """Members of a struct by name; none for any other type."""
    if kind is None or not pa.types.is_struct(kind):
        return {}
    return {kind.field(i).name: kind.field(i) for i in range(kind.num_fields)}


def inner_types(kind: pa.DataType) -> list[tuple[str, pa.DataType]]:
    """Types inside any list or map, as the source delivers it, under their logical names."""
    if pa.types.is_map(kind):
        return [("key", kind.key_type), ("value", kind.item_type)]
    return [("element", kind.value_type)]


def kind_of(kind: pa.DataType) -> str:
    """`struct`, `map` or `list`; the type's own name for a leaf."""
    if pa.types.is_struct(kind):
        return "struct"
    if pa.types.is_map(kind):
        return "map"
    return "list" if is_list(kind) else str(kind)


def is_written_as_text(kind: pa.DataType) -> bool:
    """Whether sources without such a type write values of this storage type as text."""
    return bool(pa.types.is_temporal(kind) or pa.types.is_binary(kind) or pa.types.is_decimal(kind))


def types_within(kind: pa.DataType | None, count: int) -> tuple[pa.DataType | None, ...]:
    """Types of a list's elements (1), or of a map's keys and values (2), where the kind is such a one."""
    found = [] if kind is None or pa.types.is_struct(kind) else children(kind)
    return tuple(field.type for field in found) if len(found) == count else (None,) * count


def has_struct(kind: pa.DataType) -> bool:
    """Whether there is a struct anywhere in the type, behind encodings and extensions too."""
    if isinstance(kind, pa.BaseExtensionType):
        return has_struct(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind) or is_list(kind):
        return has_struct(kind.value_type)
    if pa.types.is_map(kind):
        return has_struct(kind.key_type) or has_struct(kind.item_type)
    return bool(pa.types.is_struct(kind))


def list_of(raw: pa.DataType, field: pa.Field) -> pa.DataType:
    """The same kind of list over another element."""
    if pa.types.is_fixed_size_list(raw):
        return pa.list_(field, raw.list_size)
    made = (
        (pa.types.is_large_list, pa.large_list),
        (pa.types.is_list_view, pa.list_view),
        (pa.types.is_large_list_view, pa.large_list_view),
    )
    return next((make(field) for test, make in made if test(raw)), None) or pa.list_(field)
