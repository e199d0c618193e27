"""What the user asks of columns with `schema=`, in the words of the table.

Read once per load, before any data: a normalizer starts from it, and a new table gets its columns from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from lakeload.model.evolution import find
from lakeload.model.naming import SYSTEM
from lakeload.model.schema import children, with_children
from lakeload.model.table import LOAD_COLUMNS, TableSpec
from lakeload.model.types import storage_type
from lakeload.normalize.incoming import Path, incoming_type
from lakeload.normalize.names import Names
from lakeload.normalize.outline import SourcePath
from lakeload.normalize.shape import RowIds, Shape


@dataclass(frozen=True, slots=True)
class Hint:
    """What the user asks of one column.

    Args:
        given: Its storage type with members in the user's names; sources decode to this.
        asked: Its type as the user wrote it, members named as in the table.
        field: The column as the table gets it.
    """

    given: pa.DataType
    asked: pa.DataType
    field: pa.Field

    def requires(self, path: Path) -> bool:
        """Whether rows without a value at this path are refused."""
        field = find(pa.schema([self.field]), path)
        return field is not None and not field.nullable


def hints_by_table(spec: TableSpec) -> dict[SourcePath, pa.Schema]:
    """What the user asks of each table of a family: the declared columns, shaped as the data will be.

    Args:
        spec: What the resource wants; its hints say what a row of the source has.

    Example:
        >>> from lakeload.model.nesting import Nesting
        >>> lines = pa.list_(pa.struct([("n", pa.int32())]))
        >>> spec = TableSpec("orders", pa.schema([("lines", lines)]), nesting=Nesting("tables"))
        >>> hints_by_table(spec)[("lines",)].field("n").type
        DataType(int32)
    """
    if spec.schema is None:
        return {}
    shape = Shape.compile(spec.schema, spec.nesting, (), spec.name)
    nothing = pa.RecordBatch.from_arrays(
        [pa.nulls(0, kind) for kind in spec.schema.types], schema=spec.schema
    )
    return {
        part.path: pa.schema([one for one in part.batch.schema if SYSTEM not in (one.metadata or {})])
        for part in shape.apply(nothing, RowIds("", 0))
    }


def read_hints(
    given: pa.Schema | None, names: Names, known: pa.Schema, formats: Sequence[str]
) -> dict[str, Hint]:
    """Hints by the column's name in the table.

    Args:
        given: As the user wrote them; names may be the source's or the table's.
        names: Names them.
        known: The table's schema; empty for a new table.
        formats: Formats the table is published in.

    Raises:
        SchemaError: Two hints are for one column, or a type cannot be stored.

    Example:
        >>> schema = pa.schema([("userId", pa.uint8())])
        >>> read_hints(schema, Names(), pa.schema([]), ("delta",))["user_id"].field.type
        DataType(int32)
    """
    fields = [field for field in given or () if field.name not in LOAD_COLUMNS]
    found: dict[str, Hint] = {}
    for field, named in zip(fields, names.asked(fields, known), strict=True):
        kind = incoming_type(named.type, None, formats, (named.name,))
        stored = None if kind is None else storage_type(field.type, formats)
        if kind is not None and stored is not None:
            found[named.name] = Hint(stored, named.type, named.with_type(_demanding(kind, named.type)))
    return found


def _demanding(kind: pa.DataType, asked: pa.DataType) -> pa.DataType:
    """The storage type with the members required that the user requires."""
    inner, wanted = children(kind), children(asked)
    if not inner or len(inner) != len(wanted):
        return kind
    if pa.types.is_struct(kind):
        pairs = zip(inner, wanted, strict=True)
        fields = [a.with_type(_demanding(a.type, b.type)).with_nullable(b.nullable) for a, b in pairs]
    else:
        fields = [a.with_type(_demanding(a.type, b.type)) for a, b in zip(inner, wanted, strict=True)]
    return with_children(kind, fields)
