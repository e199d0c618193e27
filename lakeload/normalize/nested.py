"""Conversions of structs, lists and maps: rename, reorder, complete and convert what is inside.

Validity and offsets are kept exactly, also of slices: a null parent stays null whatever lies beneath it,
and only the part of a child that the slice refers to is converted. Names and field ids are not set here;
the plan puts the target schema over the finished batch.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SchemaError
from lakeload.model.schema import children
from lakeload.model.types import is_list, is_uuid
from lakeload.normalize.coerce import Convert, leaf_conversion, same_bytes
from lakeload.normalize.incoming import Path, members
from lakeload.normalize.naming import match_names


def conversion(source: pa.DataType, target: pa.DataType, path: Path, *, top: bool = True) -> Convert | None:
    """The exact conversion of any incoming type to a storage type; `None` when only names differ.

    Args:
        source: Type of the data.
        target: Storage type.
        path: Column path, for messages.
        top: Whether this is a top-level column.

    Raises:
        SchemaError: There is no such conversion.
    """
    for test, unwrap in _WRAPPERS:
        if test(source, target, top):
            inner_source = source.storage_type if unwrap is _storage else source.value_type
            inner = conversion(inner_source, target, path, top=top)
            return lambda array: _run(inner, unwrap(array))
    if pa.types.is_struct(source) and pa.types.is_struct(target):
        return _struct(source, target, path)
    if is_list(source) and pa.types.is_list(target):
        inner = conversion(source.value_type, target.value_type, (*path, "element"), top=False)
        return None if inner is None and pa.types.is_list(source) else _list(inner, target, path)
    if pa.types.is_map(source) and pa.types.is_map(target):
        return _map(source, target, path)
    return leaf_conversion(source, target, path, top=top)


def _storage(array: pa.Array) -> pa.Array:
    return array.storage


_Test = Callable[[pa.DataType, pa.DataType, bool], bool]


def _decode(array: pa.DictionaryArray) -> pa.Array:
    values = array.dictionary
    if pa.types.is_string_view(values.type) or pa.types.is_binary_view(values.type):
        plain = pa.large_string() if pa.types.is_string_view(values.type) else pa.large_binary()
        array = pa.DictionaryArray.from_arrays(array.indices, values.cast(plain))
    return array.dictionary_decode()


_WRAPPERS: tuple[tuple[_Test, Convert], ...] = (
    (
        lambda source, target, _top: (
            isinstance(source, pa.BaseExtensionType) and not (is_uuid(source) and target == pa.string())
        ),
        _storage,
    ),
    (lambda source, _target, _top: pa.types.is_run_end_encoded(source), pc.run_end_decode),
    (
        lambda source, target, top: (
            pa.types.is_dictionary(source) and not same_bytes(source, target, top=top)
        ),
        _decode,
    ),
)
"""Encodings around the values, and how to take them off."""


def relabel(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The same buffers under a type of the same layout, over the Arrow C data interface. Copies nothing."""
    return pa.array(_Labelled(array, kind))


class _Labelled:
    """Exports the data of an array with another type."""

    def __init__(self, data: pa.Array, kind: pa.DataType) -> None:
        self._data, self._kind = data, kind

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        del requested_schema
        return self._kind.__arrow_c_schema__(), self._data.__arrow_c_array__()[1]


def _run(convert: Convert | None, array: pa.Array) -> pa.Array:
    return array if convert is None else convert(array)


def _struct(source: pa.DataType, target: pa.DataType, path: Path) -> Convert | None:
    there = members(target)
    raws = [source.field(i).name for i in range(source.num_fields)]
    names = match_names(raws, there, top=False)
    positions = {names[raw]: i for i, raw in enumerate(raws)}
    steps: list[tuple[int | None, Convert | None, pa.DataType]] = []
    for name, field in there.items():
        i = positions.get(name)
        inner = None if i is None else conversion(source.field(i).type, field.type, (*path, name), top=False)
        steps.append((i, inner, field.type))
    if [i for i, _, _ in steps] == list(range(len(raws))) and all(step is None for _, step, _ in steps):
        return None

    def convert(array: pa.Array) -> pa.Array:
        # flatten() puts the parent's nulls into the children, so that what lies under them is not judged.
        parts = array.flatten() if array.null_count else [array.field(i) for i in range(len(raws))]
        made = [pa.nulls(len(array), kind) if i is None else _run(step, parts[i]) for i, step, kind in steps]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(made, names=list(there), mask=mask)

    return convert


def _list(inner: Convert | None, target: pa.DataType, path: Path) -> Convert:
    def convert(array: pa.Array) -> pa.Array:
        if len(array) == 0:  # an empty array may come without any offsets
            return pa.nulls(0, target)
        offsets, values = _dense(array)
        if not pa.types.is_int32(offsets.type):
            try:
                offsets = offsets.cast(pa.int32())
            except pa.ArrowInvalid as error:
                raise SchemaError(
                    "a batch holds more than 2³¹ list elements",
                    column=".".join(path),
                    hint="Deliver the data in smaller batches.",
                ) from error
        mask = array.is_null() if array.null_count else None
        return pa.ListArray.from_arrays(offsets, _run(inner, values), mask=mask)

    return convert


def _dense(array: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Offsets from zero, and exactly the elements they refer to: none outside the slice or under a null."""
    if hasattr(array, "offsets") and not hasattr(array, "sizes"):
        offsets = array.offsets
        first, last = offsets[0].as_py(), offsets[-1].as_py()
        lengths = pc.list_value_length(array) if array.null_count else None
        if lengths is None or (pc.sum(lengths).as_py() or 0) == last - first:
            return pc.subtract(offsets, first), array.values.slice(first, last - first)
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    zero = pa.array([0], lengths.type)
    return pa.concat_arrays([zero, pc.cumulative_sum_checked(lengths)]), array.flatten()


def _map(source: pa.DataType, target: pa.DataType, path: Path) -> Convert | None:
    # A map lies in memory like a list of structs (key, value); convert it as one.
    entries = pa.struct(children(source))
    wanted = pa.struct(children(target))
    as_list = pa.list_(pa.field("element", entries, nullable=False))
    inner = conversion(entries, wanted, path, top=False)
    if inner is None:
        return None
    convert = _list(inner, pa.list_(wanted), path)

    def run(array: pa.Array) -> pa.Array:
        return relabel(convert(relabel(array, as_list)), target)

    return run
