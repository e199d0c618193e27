"""`Candidates`: the columns a struct or table has, and the ways an incoming field may be one of them.

Serves `lakeload.normalize.names`, which asks in the order of its rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.naming import Parts, source_of, source_parts
from lakeload.model.schema import children
from lakeload.normalize.naming import RESERVED


@dataclass(frozen=True, slots=True)
class Column:
    """A column or member that is there, or that a hint asks for.

    Args:
        name: Its name in the lake.
        source: Its source name, if one is on record.
        loose: Whether it is unknown what it is called in the source, so that the rule decides.
        kind: Its type; `None` if it is only asked for.
        hint: Type asked for.
    """

    name: str
    source: Parts | None
    loose: bool
    kind: pa.DataType | None
    hint: pa.DataType | None


class Candidates:
    """Columns that are there, and the ways to find one.

    Args:
        columns: The columns.
        spelled: The rule: the name in the lake of any name.
        lenient: Names to find are a user's: they may be the lake's names, whatever is on record.
    """

    def __init__(
        self, columns: Sequence[Column], spelled: Callable[[str], str], *, lenient: bool = False
    ) -> None:
        self._lenient = lenient
        self.by_name = {column.name: column for column in columns}
        self._by_source = {column.source: column.name for column in columns if column.source is not None}
        self._loose = [column.name for column in columns if column.loose or lenient]
        self._spelled = spelled
        self._by_rule: dict[str, list[str]] | None = None
        self._by_case: dict[str, list[str]] = {}

    def handed_out(self, field: pa.Field) -> Parts | None:
        """The source name of a field that was read from this very column, as scans of a table hand it out."""
        source = source_parts_of(field)
        return source if source is not None and self._by_source.get(source) == field.name else None

    def recorded(self, key: Parts) -> str | None:
        """The column whose source name this is."""
        found = self._by_source.get(key)
        if found is not None or len(key) > 1:
            return found
        column = self.by_name.get(key[0])
        return key[0] if column is not None and (column.source is None or self._lenient) else None

    def alike(self, key: Parts, name: str) -> str | None:
        """The one column of an unknown source name that the rule makes equal to this one.

        Raises:
            SchemaError: There are several.
        """
        if not self._loose:
            return None
        if self._by_rule is None:
            self._by_rule = {}
            for there in self._loose:
                self._by_rule.setdefault(self._spelled(there), []).append(there)
                self._by_case.setdefault(there.lower(), []).append(there)
        fits = (self._by_rule.get(name) if len(key) == 1 else None) or self._by_case.get(name.lower(), [])
        if len(fits) > 1:
            raise SchemaError(
                f"the column {'.'.join(key)!r} could be any of {', '.join(map(repr, fits))} in the table",
                hint="Rename it in the source to exactly one of them.",
            )
        return fits[0] if fits else None


def columns_of(fields: list[pa.Field], hints: Mapping[str, pa.DataType], *, owned: bool) -> list[Column]:
    """The columns that are there and those hints ask for besides.

    Args:
        fields: Fields of the table or struct, with source names.
        hints: Types asked for, by name in the lake.
        owned: Whether lakeload made the table.
    """
    found = []
    for field in fields:
        text, hint = source_of(field), hints.get(field.name)
        loose = text == "" or (text is None and (not owned or hint is not None))
        found.append(Column(field.name, source_parts_of(field), loose, field.type, hint))
    there = {field.name for field in fields}
    added = [name for name in hints if name not in there]
    return [*found, *(Column(name, None, loose=True, kind=None, hint=hints[name]) for name in added)]


def members_of(known: pa.DataType | None, hint: pa.DataType | None, *, owned: bool) -> list[Column]:
    """The same of a struct, none if it is not known to be one."""
    fields = children(known) if known is not None and pa.types.is_struct(known) else []
    hinted = children(hint) if hint is not None and pa.types.is_struct(hint) else []
    return columns_of(fields, {field.name: field.type for field in hinted}, owned=owned)


def source_parts_of(field: pa.Field) -> Parts | None:
    """The source name a table's field has on record."""
    text = source_of(field)
    return source_parts(text) if text else None


def check_keys(keys: Sequence[Parts]) -> None:
    """Refuse source names that are no text, or there twice.

    Raises:
        SchemaError: One is.
    """
    seen: set[Parts] = set()
    for key in keys:
        if not all(isinstance(part, str) for part in key):
            raise SchemaError(f"the key {key!r} is no text", hint="Make the keys of the rows strings.")
        if key in seen:
            raise SchemaError(
                f"there are two columns named {'.'.join(key)!r}",
                hint="Rename one of them in the source.",
            )
        seen.add(key)


def check_reserved(found: Mapping[Parts, str]) -> None:
    """Refuse names that are lakeload's own.

    Raises:
        SchemaError: One is.
    """
    for key, name in found.items():
        if name.lower().startswith(RESERVED):
            raise SchemaError(
                f"the column name {'.'.join(key)!r} is reserved",
                hint=f"Names beginning with {RESERVED} are lakeload's own: rename or drop the column.",
            )
