"""The fast way: JSON straight into Arrow, in the schema learned so far, or not at all.

Part of extract, used by `jsonl`. pyarrow's parser makes no Python objects, but takes more than it should:
what it may have changed or invented is found here by checks that cost a small part of the parsing, and then
the piece goes the exact way. Columns that hold maps, which the parser has no types for, are cut out of the
records before, and built as those of Python rows are.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from lakeload.model.memory import pool
from lakeload.sources.decode.coerce import Hint
from lakeload.sources.decode.cut import Cutter
from lakeload.sources.decode.guard import json_kind
from lakeload.sources.decode.infer import EXACT_IN_DOUBLE, Observed
from lakeload.sources.decode.lift import TooLargeError
from lakeload.sources.decode.literals import rounds, underflows
from lakeload.sources.decode.plan import Plan
from lakeload.sources.decode.rows import RowDecoder
from lakeload.sources.encoding import is_utf8

_OBJECT = re.compile(rb"\s*\{")
_NULL_RECORD = re.compile(rb"\}\s*null")


class _Unparsable(Exception):  # noqa: N818 - a finding, not an error
    """The parser has no type for what was seen."""


@dataclass(frozen=True, slots=True)
class Parsing:
    """How to parse pieces of a source.

    Args:
        schema: Types of the members of a record that the parser builds.
        maps: The other members, which hold maps, if there are any.
        cutter: Cuts these out.
        names: All members, in their order.
        doubles: Whether doubles are among them, into which the parser rounds.
        doubted: Columns that hold doubles or decimals, at any depth: numbers the parser may have changed.
    """

    schema: pa.Schema
    maps: Plan | None = None
    cutter: Cutter | None = field(default=None, compare=False)
    names: tuple[str, ...] = ()
    doubles: bool = False
    doubted: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, rows: RowDecoder, hint: Hint, before: Parsing | None = None, usual: pa.DataType | None = None
    ) -> Parsing:
        """The parsing that suits most of what was seen.

        Where values have no common type, the piece with the odd ones pays: others are parsed as before.

        Args:
            rows: The exact way, and what it has learned; the types it gives declared columns count.
            hint: Type a column must have, if known.
            before: The parsing so far.
            usual: Struct of the types of some record, for columns that are mixed from the start.
        """
        known = before.schema if before is not None else pa.schema([])
        typical = pa.schema(list(usual or pa.struct([])))
        fields, maps = [], []
        for name, column in rows.learned.fields.items():
            likely = _type_of(typical, name)
            try:
                own = _parsed_as(column, _type_of(known, name) or likely, likely)
            except _Unparsable:
                maps.append(name)
            else:
                declared = hint(name) is not None
                fields.append(pa.field(name, rows.plan_type.field(name).type if declared else own))
        doubles = {column.name for column in fields if _has(column.type, pa.types.is_floating)}
        decimals = {
            column.name
            for column in fields
            if _has(column.type, pa.types.is_decimal)
            and not (pa.types.is_decimal(column.type) and hint(column.name) is not None)
        }
        names = tuple(rows.learned.fields)
        plan = rows.plan(maps) if maps else None
        return cls(
            pa.schema(fields),
            plan,
            None if plan is None else Cutter(names, {name: json_kind(plan.columns[name]) for name in maps}),
            names,
            bool(doubles),
            frozenset(doubles | decimals),
        )

    def parse(self, piece: bytes) -> pa.Table | None:
        """The records of the piece; `None` where the parser refuses or would not be exact."""
        # The parser crashes the process on a block that begins with `null`.
        if not _OBJECT.match(piece) or not (is_utf8(piece)):
            return None
        if self.maps is None or self.cutter is None:
            return self._parsed(piece)
        cut = self.cutter.cut(piece)
        if cut is None:
            return None
        try:
            maps = self.maps.decode(cut[1], judged=self.cutter.judged)
        except TooLargeError:
            return None
        if maps is None:
            return None
        if not len(self.schema):
            return pa.Table.from_batches([pa.RecordBatch.from_struct_array(maps)])
        table = self._parsed(cut[0])
        if table is None or table.num_rows != len(maps):
            return None
        for column in self.maps.kind:
            table = table.append_column(column, maps.field(column.name))
        return table.select(self.names)

    def _parsed(self, piece: bytes) -> pa.Table | None:
        rounded, long = rounds(piece) if self.doubles else (False, False)
        if rounded:
            return None
        table = _parse(piece, self.schema)
        # Tables without columns forget their rows on the way.
        if table is None or not table.num_columns:
            return None
        # The parser reads a bare `null` as a record of nulls. After the first record, an object, the first
        # of them follows a brace.
        if all(column.null_count for column in table.columns) and _NULL_RECORD.search(piece):
            return None
        leaves = [leaf for name in self.doubted for leaf in _numbers(table.column(name).chunks)]
        if any(pa.types.is_decimal(leaf.type) for leaf in leaves):
            # Decimals nobody asked for: the parser takes text for them too, which would change its type.
            return None
        if leaves and not _exact(leaves, piece, long=long):
            return None
        return table


def _parse(piece: bytes, schema: pa.Schema) -> pa.Table | None:
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(piece),
            read_options=pyarrow.json.ReadOptions(
                use_threads=False, block_size=max(len(piece) + 16, 1 << 10)
            ),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="error", newlines_in_values=False
            ),
            memory_pool=pool(),
        )
        # Cheap, and finds the wrong offsets the parser leaves after leading nulls in some lists.
        table.validate()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return table


def _parsed_as(seen: Observed, before: pa.DataType | None, usual: pa.DataType | None) -> pa.DataType:
    """The type to parse a path as: that of all its values, or else the one it had before they were mixed."""
    kinds = seen.kinds
    if kinds == {"integer", "number"} and before == pa.int64() and usual in (None, pa.null(), pa.int64()):
        return before  # fractions are rare here; the next stage makes doubles of the integers
    if kinds <= {"string", "json"}:
        return pa.string() if kinds else pa.null()
    if len(kinds) > 1 and seen.is_mixed:
        kinds = _kinds_before(seen, before)
    if kinds == {"struct"}:
        inner, likely = (
            kind if kind is not None and pa.types.is_struct(kind) else pa.struct([])
            for kind in (before, usual)
        )
        return pa.struct(
            [
                pa.field(name, _parsed_as(member, _member_type(inner, name), _member_type(likely, name)))
                for name, member in seen.fields.items()
            ]
        )
    if kinds == {"list"}:
        item, likely = (
            kind.value_type if kind is not None and pa.types.is_list(kind) else None
            for kind in (before, usual)
        )
        return pa.list_(_parsed_as(seen.element(), item, likely))
    if "map" in kinds:
        raise _Unparsable
    if len(kinds) > 1 and seen.is_mixed:
        return before if before is not None and not pa.types.is_nested(before) else _likely(kinds)
    return seen.type()


def _likely(kinds: set[str]) -> pa.DataType:
    """The type most values have where they were mixed from the start: odd ones tend to be text."""
    scalars = (("number", pa.float64()), ("integer", pa.int64()), ("boolean", pa.bool_()))
    return next((kind for name, kind in scalars if name in kinds), pa.string())


def _type_of(schema: pa.Schema, name: str) -> pa.DataType | None:
    index = schema.get_field_index(name)
    kind = None if index < 0 else schema.field(index).type
    return None if kind is None or pa.types.is_null(kind) else kind


def _kinds_before(seen: Observed, before: pa.DataType | None) -> set[str]:
    if before is not None and pa.types.is_struct(before) and "struct" in seen.kinds:
        return {"struct"}
    if before is not None and pa.types.is_list(before) and "list" in seen.kinds:
        return {"list"}
    return seen.kinds - {"map"}


def _member_type(kind: pa.DataType, name: str) -> pa.DataType | None:
    index = kind.get_field_index(name)
    return None if index < 0 else kind.field(index).type


def _has(kind: pa.DataType, test: object) -> bool:
    children = [kind.field(index).type for index in range(kind.num_fields)]
    return bool(test(kind)) or any(_has(child, test) for child in children)  # type: ignore[operator]  # a predicate of pyarrow


def _numbers(arrays: Iterable[pa.Array]) -> Iterator[pa.Array]:
    """The doubles and decimals at any depth, as one array a leaf."""
    for array in arrays:
        kind = array.type
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            yield array
        elif pa.types.is_struct(kind):
            yield from _numbers(array.field(index) for index in range(kind.num_fields))
        elif pa.types.is_list(kind):
            yield from _numbers([array.values])


def _exact(leaves: Sequence[pa.Array], piece: bytes, *, long: bool) -> bool:
    """Whether no double can have been changed or invented; `long`: there are whole literals none may hold."""
    # All leaves in one: a call of a kernel costs more than a piece's values of one column.
    sizes = pc.abs(pa.chunked_array(leaves, pa.float64()))
    found = pc.min_max(sizes, skip_nulls=True)
    least, most = found["min"].as_py(), found["max"].as_py()
    if least is None:
        return True
    if not most < (EXACT_IN_DOUBLE if long else math.inf):
        return False
    if b"NaN" in piece and pc.any(pc.is_nan(sizes)).as_py():
        return False
    return least >= sys.float_info.min or not underflows(piece)
