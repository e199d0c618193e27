"""What the user asks of columns with `schema=`, in the words of the table.

Read once per load, before any data: a normalizer starts from it, and a new table gets its columns from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from lakeload.model.table import LOAD_COLUMNS
from lakeload.model.types import storage_type
from lakeload.normalize.incoming import incoming_type
from lakeload.normalize.names import Names


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

    @property
    def required(self) -> bool:
        """Whether rows without a value are refused."""
        return not self.field.nullable


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
            found[named.name] = Hint(stored, named.type, named.with_type(kind))
    return found
