"""`Names`: which column every incoming field is, decided once per incoming schema, at every depth.

The first step of normalize: what comes after it sees the names of the lake alone. The rules that spell a
name are in `lakeload.normalize.naming`; here names meet those the table has, and each other.

| the source's name | its column |
|---|---|
| met before in this load | the same as then |
| kept in the table as some column's source name | that column |
| exactly the name of a column that has no other source name | that column |
| in a table made elsewhere: the rule makes it equal to one column, else to one but for case | that column; of several such names the smallest |
| an Arrow field read from a table of the lake, with its source name in the metadata | the column it was read from, if this is the table |
| new | the name the rule gives it |
| new, and the name is taken | that name, `_`, and 8 hex digits of the SHA-256 of the source's name |

A name is taken by a column of the table, by a hint, or by another new name of the same batch: the one that
is spelled so already, else the smallest by code points. Names that differ in case alone are one name, as
they are to most engines. So the result depends neither on the order of keys nor on that of runs, and what
a source name was bound to once, it stays bound to.

A column of a table lakeload made that has no source name on record is called in the source what it is
called in the lake: `userId` does not go into a column `user_id` that came from `user_id`. Of tables made
elsewhere, of hints, and of columns whose record somebody wrote over, that is not known, so the rule decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.naming import (
    MAX_NAME_BYTES,
    PATH,
    SOURCE,
    SYSTEM,
    Naming,
    Parts,
    incoming_parts,
    source_metadata,
    source_of,
    source_parts,
    source_text,
)
from lakeload.model.schema import children, with_children, without_sources
from lakeload.model.types import is_list
from lakeload.normalize.incoming import Path, unwrap
from lakeload.normalize.naming import RESERVED, column_name, path_name, with_tail


@dataclass(frozen=True, slots=True)
class _Column:
    """A column or member that is there, or that a hint asks for."""

    name: str
    source: Parts | None
    loose: bool
    kind: pa.DataType | None
    hint: pa.DataType | None


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
        ['user_id_2e35d3a6', 'user_id']
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
        self._index: tuple[pa.Schema, Mapping[str, pa.DataType], _Known] | None = None

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
        columns = self._top(known, hints or {})
        return pa.schema(self._named(list(source), columns, ()), source.metadata)

    def asked(self, hints: Iterable[pa.Field], known: pa.Schema) -> list[pa.Field]:
        """Hints under the names of the lake, in the same order; binds nothing.

        Args:
            hints: Fields named as the user likes: as in the source or as in the table.
            known: The table's schema, with source names.

        Raises:
            SchemaError: Two hints are for one column, or one is reserved or unclear.
        """
        lenient = Names(self._naming, max_length=self._max_length, lenient=True)
        # Whose source names these are shows with the data.
        return list(without_sources(lenient.rename(pa.schema(list(hints)), known)))

    def find(
        self, raw: str, known: pa.Schema, hints: Mapping[str, pa.DataType] | None = None
    ) -> str | None:
        """The column an incoming top-level name is, if there is one already; binds nothing."""
        columns = self._top(known, hints or {})
        try:
            name = self._settled([(raw,)], columns, ())[raw,]
        except SchemaError:
            return None
        return name if name in columns.by_name else None

    def meant(self, name: str, known: pa.Schema) -> str | None:
        """The column a user means who may spell it as the source or as the table does."""
        bound = self._bound.get((), {})
        sources = {source: field.name for field in known if (source := _source(field)) is not None}
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
            *(one[0] for one in (fits, alike) if len(one) == 1),
        ]
        return next((one for one in found if one in known.names), None)

    def _top(self, known: pa.Schema, hints: Mapping[str, pa.DataType]) -> _Known:
        if self._index is None or self._index[0] is not known or self._index[1] is not hints:
            self._index = (known, hints, self._known(_columns(list(known), hints, owned=self._owned)))
        return self._index[2]

    def _known(self, columns: Sequence[_Column]) -> _Known:
        return _Known(columns, self._spelled, lenient=self._lenient)

    def _spelled(self, name: str) -> str:
        return column_name(name, self._naming, self._max_length)

    def _named(self, fields: list[pa.Field], known: _Known, path: Path) -> list[pa.Field]:
        own = [(field.metadata or {}).get(SYSTEM) is not None for field in fields]
        keys = [known.handed_out(field) or incoming_parts(field) for field in fields]
        found = self._settled([key for key, ours in zip(keys, own, strict=True) if not ours], known, path)
        self._bound.setdefault(path, {}).update(found)
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
            there = _members(known, hint, owned=self._owned)
            fields = [raw.field(i) for i in range(raw.num_fields)]
            return pa.struct(self._named(fields, self._known(there), path))
        if not _has_struct(raw):
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
            (key, value), (key_hint, value_hint) = _inner(known, 2), _inner(hint, 2)
            return pa.map_(
                raw.key_field.with_type(self._renamed(raw.key_type, key, key_hint, (*path, "key"))),
                raw.item_field.with_type(self._renamed(raw.item_type, value, value_hint, (*path, "value"))),
                raw.keys_sorted,
            )
        element = self._renamed(raw.value_type, *_inner(known, 1), *_inner(hint, 1), (*path, "element"))
        return _list_of(raw, raw.value_field.with_type(element))

    def _settled(self, keys: Sequence[Parts], known: _Known, path: Path) -> dict[Parts, str]:
        """The column of every source name of one struct."""
        _refuse_doubles(keys)
        bound = self._bound.get(path, {})
        found = {key: bound[key] for key in keys if key in bound}
        claimed = set(bound.values())
        for key in keys:
            if key not in found and (name := known.recorded(key)) not in (None, *claimed):
                found[key] = name
        claimed |= set(found.values())
        for key in sorted(set(keys) - found.keys()):
            name = known.alike(key, self._name(key))
            if name is not None and name not in claimed:
                found[key] = name
                claimed.add(name)
        self._settle_new(sorted(set(keys) - found.keys()), found, known, claimed)
        if not path:
            _refuse_reserved(found)
        return found

    def _name(self, key: Parts) -> str:
        return path_name(key, self._naming, self._max_length)

    def _settle_new(
        self, keys: list[Parts], found: dict[Parts, str], known: _Known, claimed: Iterable[str]
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


class _Known:
    """Columns that are there, and the ways to find one."""

    def __init__(
        self, columns: Sequence[_Column], spelled: Callable[[str], str], *, lenient: bool = False
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
        source = _source(field)
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


def _columns(fields: list[pa.Field], hints: Mapping[str, pa.DataType], *, owned: bool) -> list[_Column]:
    found = []
    for field in fields:
        text, hint = source_of(field), hints.get(field.name)
        loose = text == "" or (text is None and (not owned or hint is not None))
        found.append(_Column(field.name, _source(field), loose, field.type, hint))
    there = {field.name for field in fields}
    added = [name for name in hints if name not in there]
    return [*found, *(_Column(name, None, loose=True, kind=None, hint=hints[name]) for name in added)]


def _members(known: pa.DataType | None, hint: pa.DataType | None, *, owned: bool) -> list[_Column]:
    fields = children(known) if known is not None and pa.types.is_struct(known) else []
    hinted = children(hint) if hint is not None and pa.types.is_struct(hint) else []
    columns = _columns(fields, {field.name: field.type for field in hinted}, owned=owned)
    sources = {field.name: _source(field) for field in hinted}
    return [
        column
        if column.kind is not None
        else _Column(column.name, sources[column.name], column.loose, None, column.hint)
        for column in columns
    ]


def _source(field: pa.Field) -> Parts | None:
    text = source_of(field)
    return source_parts(text) if text else None


def _inner(kind: pa.DataType | None, count: int) -> tuple[pa.DataType | None, ...]:
    """Types of a list's elements (1), or of a map's keys and values (2), where the kind is such a one."""
    found = [] if kind is None or pa.types.is_struct(kind) else children(kind)
    return tuple(field.type for field in found) if len(found) == count else (None,) * count


def _has_struct(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _has_struct(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind) or is_list(kind):
        return _has_struct(kind.value_type)
    if pa.types.is_map(kind):
        return _has_struct(kind.key_type) or _has_struct(kind.item_type)
    return bool(pa.types.is_struct(kind))


def _list_of(raw: pa.DataType, field: pa.Field) -> pa.DataType:
    """The same kind of list over another element."""
    if pa.types.is_fixed_size_list(raw):
        return pa.list_(field, raw.list_size)
    made = (
        (pa.types.is_large_list, pa.large_list),
        (pa.types.is_list_view, pa.list_view),
        (pa.types.is_large_list_view, pa.large_list_view),
    )
    return next((make(field) for test, make in made if test(raw)), None) or pa.list_(field)


def _refuse_doubles(keys: Sequence[Parts]) -> None:
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


def _refuse_reserved(found: Mapping[Parts, str]) -> None:
    for key, name in found.items():
        if name.lower().startswith(RESERVED):
            raise SchemaError(
                f"the column name {'.'.join(key)!r} is reserved",
                hint=f"Names beginning with {RESERVED} are lakeload's own: rename or drop the column.",
            )
