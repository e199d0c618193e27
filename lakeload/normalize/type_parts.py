"""Nested types taken apart and put together, for renaming the members of structs in them."""

from __future__ import annotations

import pyarrow as pa

from lakeload.model.schema import children
from lakeload.model.types import is_list


def inner_types(kind: pa.DataType | None, count: int) -> tuple[pa.DataType | None, ...]:
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
