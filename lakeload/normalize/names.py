"""`Names`: which column every incoming field is, decided once per incoming schema, at every depth.

The first step of normalize: what comes after it sees the names of the lake alone. The rules that spell a
name are in `lakeload.normalize.naming`; here names meet those the table has, and each other.

| the source's name | its column |
|---|---|
| met before in this load | the same as then |
| kept in the table as some column's source name | that column |
| exactly the name of a column that has no other source name | that column |
| exactly the name of a column, in data with types of its own | it, unless its source name is there too |
| equal by the rule, else but for case, to one column of a table made elsewhere | it, for the smallest |
| on an Arrow field read from this table, with its source name in the metadata | where it was read |
| new | the name the rule gives it |
| new, and the name is taken | that name, `_`, and 8 hex digits of the SHA-256 of the source's name |

A name is taken by a column of the table, by a hint, or by another new name of the same batch: the one that
is spelled so already, else the smallest by code points. Names that differ in case alone are one name, as
they are to most engines. So the order of keys makes no difference, and what a source name was bound to
once, it stays bound to in every later run.

A column of a table lakeload made that has no source name on record is called in the source what it is
called in the lake: `userId` does not go into a column `user_id` that came from `user_id`. Data with types
of its own, such as a frame or a Parquet file, may come from the table, so there `user_id` does go into a
column that came from `userId`; JSON and Python rows may have both keys, and not in the same batch. Of tables
made elsewhere, of hints, and of columns whose record somebody wrote over, the source's names are not known,
so the rule decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.naming import (
    MAX_NAME_BYTES,
    PATH,
    SOURCE,
    SYSTEM,
    UNTYPED,
    Naming,
    Parts,
    incoming_parts,
    source_metadata,
    source_of,
    source_text,
)
from lakeload.model.schema import children, with_children, without_sources
from lakeload.model.types import is_list
from lakeload.normalize.candidates import (
    Candidates,
    Column,
    check_keys,
    check_reserved,
    columns_of,
    members_of,
    source_parts_of,
)
from lakeload.normalize.incoming import Path
from lakeload.normalize.naming import RESERVED, column_name, path_name, with_tail
from lakeload.normalize.type_parts import has_struct, list_of, types_within, unwrap

_NONE: Mapping[str, pa.DataType] = {}
"""One object, because what is known of columns is kept for as long as its parts are the same objects."""


class Names:
    """Names incoming fields, and remembers what it named during a load.

    Args:
        naming: How names are spelled.
        max_length: Longest name, in bytes of UTF-8.
        owned: Whether lakeload made the table, so that source names are on record.
        lenient: Names are what a user wrote, who may spell a column as the source does or as the table.

    Example:
        >>> raw = pa.schema([("userId", pa.int64()), ("user_id", pa.int64())])
        >>> Names().rename(raw, pa.schema([])).names
        ['user_id_6ccb2121', 'user_id']
    """

    def __init__(
        self,
        naming: Naming = "snake_case",
        *,
        max_length: int = MAX_NAME_BYTES,
        owned: bool = True,
        lenient: bool = False,
    ) -> None:
        self._naming, self._max_length = naming, max_length
        self._owned, self._lenient = owned and not lenient, lenient
        self._bound: dict[Path, dict[Parts, str]] = {}
        self._claimed: set[str] = set()
        """Top-level columns some source name is bound to."""
        self._typed = False
        self._index: tuple[pa.Schema, Mapping[str, pa.DataType], Candidates] | None = None

    def rename(
        self, source: pa.Schema, known: pa.Schema, hints: Mapping[str, pa.DataType] | None = None
    ) -> pa.Schema:
        """The incoming schema under the names of the lake.

        Args:
            source: Schema of incoming batches.
            known: The table's schema, with source names.
            hints: Types asked for, by name in the lake.

        Returns:
            Fields in the same order. Their metadata is the source's name, where it differs, and the marks
            of flattened and of lakeload's own columns.

        Raises:
            SchemaError: Two fields have the same name, or one is reserved or unclear.
        """
        columns = self._top(known, _NONE if hints is None else hints)
        self._typed = UNTYPED not in (source.metadata or {})
        return pa.schema(self._named(list(source), columns, ()), source.metadata)

    def asked(self, hints: Iterable[pa.Field], known: pa.Schema) -> list[pa.Field]:
        """Hints under the names of the lake, in the same order; binds nothing.

        Args:
            hints: Fields named as the user likes: as in the source or as in the table.
            known: The table's schema, with source names.

        Raises:
            SchemaError: Two hints have the same name, or one is reserved or unclear.
        """
        lenient = Names(self._naming, max_length=self._max_length, lenient=True)
        # Whose source names these are shows with the data.
        return list(without_sources(lenient.rename(pa.schema(list(hints)), known)))

    def find(self, raw: str, known: pa.Schema, hints: Mapping[str, pa.DataType] | None = None) -> str | None:
        """The column an incoming top-level name is, if there is one already; binds nothing."""
        columns, key = self._top(known, _NONE if hints is None else hints), (raw,)
        name: str | None = self._bound.get((), {}).get(key)
        if name is None:
            try:
                name = columns.recorded(key) or columns.alike(key, self._name(key))
            except SchemaError:
                return None
            if name in self._claimed:
                return None
        there = name is not None and name in columns.by_name and not name.lower().startswith(RESERVED)
        return name if there else None

    def meant(self, name: str, known: pa.Schema) -> str | None:
        """The column a user means who may spell it as the source or as the table does."""
        bound = self._bound.get((), {})
        sources = {source: field.name for field in known if (source := source_parts_of(field)) is not None}
        rule = column_name(name, self._naming, self._max_length) if name else ""
        fits = [
            field.name
            for field in known
            if rule in (field.name, column_name(field.name, self._naming, self._max_length))
        ]
        alike = [field.name for field in known if field.name.lower() == rule.lower()]
        found = [
            (name if name in known.names else None),
            bound.get((name,)) or sources.get((name,)),
            bound.get(tuple(name.split("."))) or sources.get(tuple(name.split("."))),
            *(one[0] for one in (fits, alike) if len(one) == 1),
        ]
        return next((one for one in found if one in known.names), None)

    def _top(self, known: pa.Schema, hints: Mapping[str, pa.DataType]) -> Candidates:
        if self._index is None or self._index[0] is not known or self._index[1] is not hints:
            self._index = (known, hints, self._known(columns_of(list(known), hints, owned=self._owned)))
        return self._index[2]

    def _known(self, columns: Sequence[Column]) -> Candidates:
        return Candidates(columns, self._spelled, lenient=self._lenient)

    def _spelled(self, name: str) -> str:
        return column_name(name, self._naming, self._max_length)

    def _named(self, fields: list[pa.Field], known: Candidates, path: Path) -> list[pa.Field]:
        own = [(field.metadata or {}).get(SYSTEM) is not None for field in fields]
        keys = [known.handed_out(field) or incoming_parts(field) for field in fields]
        found = self._settled([key for key, ours in zip(keys, own, strict=True) if not ours], known, path)
        self._bound.setdefault(path, {}).update(found)
        if not path:
            self._claimed |= set(found.values())
        result = []
        for field, key, ours in zip(fields, keys, own, strict=True):
            name = field.name if ours else found[key]
            column = known.by_name.get(name)
            kind, hint = (column.kind, column.hint) if column else (None, None)
            inner = self._renamed(field.type, kind, hint, (*path, name))
            kept = {mark: text for mark, text in (field.metadata or {}).items() if mark in (SYSTEM, PATH)}
            metadata = {**kept, **((not ours and source_metadata(key, name)) or {})}
            result.append(pa.field(name, inner, field.nullable, metadata or None))
        return result

    def _renamed(
        self, raw: pa.DataType, known: pa.DataType | None, hint: pa.DataType | None, path: Path
    ) -> pa.DataType:
        """The type with every struct member in it renamed; the very same when there is none."""
        if pa.types.is_struct(raw):
            members = self._known(members_of(known, hint, owned=self._owned))
            return pa.struct(self._named([raw.field(i) for i in range(raw.num_fields)], members, path))
        if not has_struct(raw):
            return raw
        if pa.types.is_dictionary(raw):
            return pa.dictionary(
                raw.index_type, self._renamed(raw.value_type, known, hint, path), raw.ordered
            )
        if pa.types.is_run_end_encoded(raw):
            return pa.run_end_encoded(raw.run_end_type, self._renamed(raw.value_type, known, hint, path))
        if isinstance(raw, pa.BaseExtensionType):
            return self._renamed(raw.storage_type, known, hint, path)
        if pa.types.is_map(raw):
            (key, value), (key_hint, value_hint) = types_within(known, 2), types_within(hint, 2)
            return pa.map_(
                raw.key_field.with_type(self._renamed(raw.key_type, key, key_hint, (*path, "key"))),
                raw.item_field.with_type(self._renamed(raw.item_type, value, value_hint, (*path, "value"))),
                raw.keys_sorted,
            )
        (there,), (asked,) = types_within(known, 1), types_within(hint, 1)
        element = self._renamed(raw.value_type, there, asked, (*path, "element"))
        return list_of(raw, raw.value_field.with_type(element))

    def _settled(self, keys: Sequence[Parts], known: Candidates, path: Path) -> dict[Parts, str]:
        """The column of every source name of one struct."""
        check_keys(keys)
        bound = self._bound.get(path, {})
        found = {key: bound[key] for key in keys if key in bound}
        claimed = set(bound.values())
        for key in keys:
            name = None if key in found else known.recorded(key)
            if name is not None and name not in claimed:
                found[key] = name
                claimed.add(name)
        for key in sorted(set(keys) - found.keys()):
            exact = key[0] if self._typed and len(key) == 1 and key[0] in known.by_name else None
            name = exact or known.alike(key, self._name(key))
            if name is not None and name not in claimed:
                found[key] = name
                claimed.add(name)
        self._settle_new(sorted(set(keys) - found.keys()), found, known, claimed)
        if not path:
            check_reserved(found)
        return found

    def _name(self, key: Parts) -> str:
        return path_name(key, self._naming, self._max_length)

    def _settle_new(
        self, keys: list[Parts], found: dict[Parts, str], known: Candidates, claimed: Iterable[str]
    ) -> None:
        """Give every new source name a name nobody has; `keys` are in the order of their code points."""
        taken = {name.lower() for name in (*known.by_name, *claimed)}
        wanted = {key: self._name(key) for key in keys}
        late: list[Parts] = []
        # Those that need no change first, so that they win over those the rule makes equal to them.
        for key in sorted(keys, key=lambda key: key != (wanted[key],)):
            if wanted[key].lower() in taken:
                late.append(key)
            else:
                found[key] = wanted[key]
                taken.add(wanted[key].lower())
        free = {name for name, column in known.by_name.items() if column.loose} - set(claimed)
        for key in sorted(late):
            found[key] = self._with_tail(key, wanted[key], taken, free)
            taken.add(found[key].lower())

    def _with_tail(self, key: Parts, name: str, taken: set[str], free: set[str]) -> str:
        text = source_text(key)
        for digits in (8, 16, 32, 64):  # a longer tail only if somebody's column is called just so
            tailed = with_tail(name, text, max(self._max_length, digits + 2), digits)
            if tailed in free or tailed.lower() not in taken:
                return tailed
        raise SchemaError(f"there is no free name for the column {text!r}", hint="Rename it in the source.")


def credited(schema: pa.Schema, renamed: pa.Schema, hints: Mapping[str, object]) -> pa.Schema:
    """A new table's schema, its hinted columns with the source names that came to be theirs.

    Args:
        schema: The schema so far.
        renamed: Incoming fields, by `Names.rename`.
        hints: What was hinted, by name in the lake.
    """
    incoming = {field.name: field for field in renamed}
    return pa.schema(
        [
            _credited(field, incoming[field.name])
            if field.name in hints and field.name in incoming
            else field
            for field in schema
        ]
    )


def _credited(field: pa.Field, incoming: pa.Field) -> pa.Field:
    text = source_of(incoming)
    if text and source_of(field) is None:
        field = field.with_metadata({**(field.metadata or {}), SOURCE: text.encode()})
    kind = unwrap(incoming.type)
    if not children(field.type) or pa.types.is_struct(kind) != pa.types.is_struct(field.type):
        return field
    found = [kind.value_field.with_name("element")] if is_list(kind) else children(kind)
    there = {child.name: child for child in found}
    inner = [
        _credited(child, there[child.name]) if child.name in there else child
        for child in children(field.type)
    ]
    return field.with_type(with_children(field.type, inner))
