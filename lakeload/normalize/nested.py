"""Conversions of structs, lists and maps: rename, reorder, complete and convert what is inside.

Validity and offsets are kept exactly, also of slices: a null parent stays null whatever lies beneath it,
and only the part of a child that the slice refers to is converted. Names and field ids are not set here;
the plan puts the target schema over the finished batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import SchemaError
from lakeload.model.carry import as_map
from lakeload.model.nested_arrays import bare, dense, members, nulls
from lakeload.model.relabel import relabel
from lakeload.model.schema import children
from lakeload.model.text import source_name, to_text
from lakeload.model.types import is_list, is_uuid
from lakeload.normalize.coerce import Convert, Leaf, leaf_conversion, same_bytes
from lakeload.normalize.incoming import Path
from lakeload.normalize.type_parts import fields_by_name


def conversion(
    source: pa.DataType,
    target: pa.DataType,
    path: Path,
    *,
    top: bool = True,
    given: pa.DataType | None = None,
) -> Convert | None:
    """The exact conversion of any incoming type to a storage type; `None` when only names differ.

    Every type converts to text, by the rules of `lakeload.model.text`, and structs to maps.

    Args:
        source: Type of the data, its members named as in the table.
        target: Storage type.
        path: Column path, for messages.
        top: Whether this is a top-level column.
        given: Type the user asked for, if that is why it is `target`, named as in the table: numbers then
            become moments by its unit, bytes text by decoding them, and text is parsed as Arrow does.

    Raises:
        SchemaError: There is no such conversion.
    """
    for test, unwrap in _WRAPPERS:
        if test(source, target, top):
            inner_source = source.storage_type if unwrap is _storage else source.value_type
            return _Unwrapped(unwrap, conversion(inner_source, target, path, top=top, given=given))
    if pa.types.is_struct(source) and pa.types.is_struct(target):
        return _struct(source, target, path, given)
    if pa.types.is_struct(source) and pa.types.is_map(target):
        return _object(source, target, path, given)
    if is_list(source) and pa.types.is_list(target):
        asked = given.value_type if given is not None and is_list(given) else None
        inner = conversion(source.value_type, target.value_type, (*path, "element"), top=False, given=asked)
        return None if inner is None and pa.types.is_list(source) else _Elements(inner, target, path)
    if pa.types.is_map(source) and pa.types.is_map(target):
        return _map(source, target, path, given)
    if pa.types.is_nested(source) and pa.types.is_string(target):
        return Leaf("to text", (partial(_named, kind=source), to_text), path)
    return leaf_conversion(source, target, path, top=top, given=given)


def _storage(array: pa.Array) -> pa.Array:
    return array.storage


def _decode(array: pa.DictionaryArray) -> pa.Array:
    values = array.dictionary
    if pa.types.is_string_view(values.type) or pa.types.is_binary_view(values.type):
        plain = pa.large_string() if pa.types.is_string_view(values.type) else pa.large_binary()
        array = pa.DictionaryArray.from_arrays(array.indices, values.cast(plain))
    return array.dictionary_decode()


def _run_ends(array: pa.Array) -> pa.Array:
    return pc.run_end_decode(array)


_Test = Callable[[pa.DataType, pa.DataType, bool], bool]
_Step = Callable[[pa.Array], pa.Array]
_WRAPPERS: tuple[tuple[_Test, _Step], ...] = (
    (
        lambda source, target, _top: (
            isinstance(source, pa.BaseExtensionType) and not (is_uuid(source) and target == pa.string())
        ),
        _storage,
    ),
    (lambda source, _target, _top: pa.types.is_run_end_encoded(source), _run_ends),
    (
        lambda source, target, top: (
            pa.types.is_dictionary(source) and not same_bytes(source, target, top=top)
        ),
        _decode,
    ),
)
"""Encodings around the values, and how to take them off."""


@dataclass(frozen=True, slots=True)
class _Unwrapped:
    """Takes an encoding off, then converts."""

    unwrap: _Step
    inner: Convert | None

    @property
    def how(self) -> str:
        return _words(("decode",), (self.inner,))

    def __call__(self, array: pa.Array) -> pa.Array:
        return _run(self.inner, self.unwrap(array))


@dataclass(frozen=True, slots=True)
class _Members:
    """A struct with the members of another: position in the source, conversion and type of each."""

    names: tuple[str, ...]
    steps: tuple[tuple[int | None, Convert | None, pa.DataType], ...]

    @property
    def how(self) -> str:
        return _words(("members",), (step for _, step, _ in self.steps))

    def __call__(self, array: pa.Array) -> pa.Array:
        array = bare(array)
        # The parent's nulls go into the children, so that what lies under them is not judged.
        parts = members(array)
        made = [
            nulls(len(array), kind) if i is None else _run(step, parts[i]) for i, step, kind in self.steps
        ]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(made, names=list(self.names), mask=mask)


@dataclass(frozen=True, slots=True)
class _Object:
    """A struct as a map: the keys its members become, and the conversion of each to the map's values."""

    keys: pa.Array
    steps: tuple[Convert | None, ...]
    target: pa.DataType

    @property
    def how(self) -> str:
        return _words(("struct → map",), self.steps)

    def __call__(self, array: pa.Array) -> pa.Array:
        array = bare(array)
        kind = self.target.item_type
        parts = zip(self.steps, members(array), strict=True)
        items = [_labelled(_run(step, part), kind) for step, part in parts]
        return as_map(self.keys, items, array, self.target)


@dataclass(frozen=True, slots=True)
class _Elements:
    """A list of converted elements, whatever sort of list it was."""

    inner: Convert | None
    target: pa.DataType
    path: Path

    @property
    def how(self) -> str:
        return _words(("elements",), (self.inner,))

    def __call__(self, array: pa.Array) -> pa.Array:
        array = bare(array)
        if len(array) == 0:  # an empty array may come without any offsets
            return pa.nulls(0, self.target)
        offsets, values = dense(array)
        try:
            offsets = offsets.cast(pa.int32())
        except pa.ArrowInvalid as error:
            raise SchemaError(
                "a batch holds more than 2³¹ list elements",
                column=".".join(self.path),
                hint="Deliver the data in smaller batches.",
            ) from error
        mask = array.is_null() if array.null_count else None
        return pa.ListArray.from_arrays(offsets, _run(self.inner, values), mask=mask)


@dataclass(frozen=True, slots=True)
class _Entries:
    """A map, converted as the list of structs it lies in memory as."""

    convert: _Elements
    as_list: pa.DataType
    target: pa.DataType

    @property
    def how(self) -> str:
        return self.convert.how

    def __call__(self, array: pa.Array) -> pa.Array:
        return relabel(self.convert(relabel(array, self.as_list)), self.target)


def _words(own: Iterable[str], inner: Iterable[Convert | None]) -> str:
    """What is done, outermost first, each thing once."""
    parts = [word for step in inner if step is not None for word in step.how.split(", ")]
    return ", ".join(dict.fromkeys((*own, *parts)))


def _run(convert: Convert | None, array: pa.Array) -> pa.Array:
    return array if convert is None else convert(array)


def _named(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array under its type as naming left it, whose members tell their source names."""
    return relabel(bare(array), kind)


def _labelled(array: pa.Array, kind: pa.DataType) -> pa.Array:
    return relabel(array, kind) if children(kind) else array


def _struct(
    source: pa.DataType, target: pa.DataType, path: Path, given: pa.DataType | None
) -> Convert | None:
    there, asked = fields_by_name(target), fields_by_name(given)
    raws = [source.field(i).name for i in range(source.num_fields)]
    positions = {raw: i for i, raw in enumerate(raws)}
    steps: list[tuple[int | None, Convert | None, pa.DataType]] = []
    for name, field in there.items():
        i = positions.get(name)
        wanted = asked[name].type if name in asked else None
        inner = (
            None
            if i is None
            else conversion(source.field(i).type, field.type, (*path, name), top=False, given=wanted)
        )
        steps.append((i, inner, field.type))
    if [i for i, _, _ in steps] == list(range(len(raws))) and all(step is None for _, step, _ in steps):
        return None
    return _Members(tuple(there), tuple(steps))


def _object(source: pa.DataType, target: pa.DataType, path: Path, given: pa.DataType | None) -> Convert:
    fields = [source.field(i) for i in range(source.num_fields)]
    asked = given.item_type if given is not None and pa.types.is_map(given) else None
    steps = tuple(
        conversion(field.type, target.item_type, (*path, "value"), top=False, given=asked) for field in fields
    )
    names = pa.array([source_name(field) for field in fields], pa.string())
    keys = conversion(pa.string(), target.key_type, (*path, "key"), top=False)
    return _Object(_run(keys, names), steps, target)


def _map(source: pa.DataType, target: pa.DataType, path: Path, given: pa.DataType | None) -> Convert | None:
    # A map lies in memory like a list of structs (key, value); convert it as one.
    entries, wanted = pa.struct(children(source)), pa.struct(children(target))
    asked = pa.struct(children(given)) if given is not None and pa.types.is_map(given) else None
    as_list = pa.list_(pa.field("element", entries, nullable=False))
    inner = conversion(entries, wanted, path, top=False, given=asked)
    if inner is None:
        return None
    return _Entries(_Elements(inner, pa.list_(wanted), path), as_list, target)
