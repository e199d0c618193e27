"""Members of JSON records that are kept as the text that stands in the source.

Part of extract, before the parsers: objects and lists at paths with the policy `json`, and whatever is no
text in columns declared as text, are written into the records as text, so that all later steps see text.
Text and `null` stay what they are. Nothing is decoded: values are cut out of the JSON and quoted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from lakeload.errors import SourceError
from lakeload.model.nesting import Nesting
from lakeload.sources.decode.coerce import Hint, is_text
from lakeload.sources.decode.records import may_have_duplicates, refuse_duplicates

_NESTED = (b"{", b"[")
_TEXT_OR_NULL = (b'"', b"n")
_REMEMBERED = 10_000
_OBJECTS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


class Verbatim:
    r"""Rewrites records with the text of some members in their place.

    Args:
        nesting: Its `json` paths, or `json` for everything, are kept as text.
        hint: Columns declared as text take every value, as it is written.

    Example:
        >>> texts = Verbatim(Nesting(paths={"a": "json"}), lambda name: None)
        >>> [bytes(record) for record in texts.rewrite([b'{"a":{"b":1.0}}'])]
        [b'{"a":"{\\"b\\":1.0}"}']
    """

    def __init__(self, nesting: Nesting, hint: Hint) -> None:
        self._nesting = nesting
        self._hint = hint
        self._steps: dict[tuple[str, ...], str] = {}
        self.by_policy = nesting.default == "json" or "json" in nesting.paths.values()
        """Whether any path is kept as text whatever the values are."""

    def rewrite(self, records: Sequence[bytes | msgspec.Raw]) -> list[msgspec.Raw] | None:
        """The records with text in them; `None` where they are malformed or have a member twice."""
        text = b"[" + b",".join(records) + b"]"
        try:
            rows = _OBJECTS.decode(text)
            if len(rows) != len(records):
                return None
            if may_have_duplicates(text, rows):
                for record in records:
                    refuse_duplicates(record)
            return [msgspec.Raw(msgspec.json.encode(self._object(row, ()))) for row in rows]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, SourceError):
            return None

    def odd(self, rows: Sequence[Mapping[str, object]]) -> bool:
        """Whether columns declared as text hold anything else."""
        names = [name for name in {name for row in rows for name in row} if is_text(self._hint(name))]
        return any(not isinstance(row.get(name), str | None) for name in names for row in rows)

    def _object(self, row: dict[str, msgspec.Raw], path: tuple[str, ...]) -> dict[str, msgspec.Raw]:
        for name, value in row.items():
            first = bytes(memoryview(value)[:1])
            step = self._steps.get((*path, name)) or self._step((*path, name))
            if step == "keep" or first in _TEXT_OR_NULL or (step != "declared" and first not in _NESTED):
                continue
            if step == "enter":
                row[name] = self._enter(value, (*path, name))
            else:
                row[name] = msgspec.Raw(msgspec.json.encode(bytes(value).decode()))
        return row

    def _enter(self, value: msgspec.Raw, path: tuple[str, ...]) -> msgspec.Raw:
        first = bytes(memoryview(value)[:1])
        if first == b"{":
            found = _OBJECT.decode(value)
            if may_have_duplicates(bytes(value), found):
                refuse_duplicates(value)
            return msgspec.Raw(msgspec.json.encode(self._object(found, path)))
        if first == b"[":
            return msgspec.Raw(msgspec.json.encode([self._enter(item, path) for item in _LIST.decode(value)]))
        return value

    def _step(self, path: tuple[str, ...]) -> str:
        """What to do with objects and lists at a path: text, look inside, or nothing."""
        if len(path) == 1 and is_text(self._hint(path[0])):
            step = "declared"
        elif self._nesting.policy(path) == "json":
            step = "text"
        else:
            start = ".".join((*path, ""))
            inside = (word == "json" and name.startswith(start) for name, word in self._nesting.paths.items())
            step = "enter" if any(inside) else "keep"
        if len(self._steps) < _REMEMBERED:
            self._steps[path] = step
        return step
