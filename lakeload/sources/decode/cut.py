"""Members cut out of JSON records: some are decoded, the others stay the text they are.

Part of extract, used by `parsing` for members its parser has no types for. The records are read with a type
that names all members known, so that what is cut out is decoded on the way, and the rest only copied.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from lakeload.sources.decode.guard import is_sayable
from lakeload.sources.decode.literals import exact_number
from lakeload.sources.decode.records import may_have_duplicates

_ENCODER = msgspec.json.Encoder()


class Cutter:
    r"""Cuts the same members out of all records.

    Args:
        names: The members known.
        wanted: Those to cut out, and the types to decode them with, exactly (`json_kind`).

    Example:
        >>> Cutter(["a", "b"], {"b": Any}).cut(b'{"a": 1.0, "b": {"c": 2}}\n{"a": []}')
        (b'{"a":1.0}\n{"a":[]}\n', [{'b': {'c': 2}}, {}])
    """

    def __init__(self, names: Collection[str], wanted: Mapping[str, Any]) -> None:
        members = {f"f{i}": name for i, name in enumerate(names)}
        self._wanted = [(member, name) for member, name in members.items() if name in wanted]
        rest = msgspec.Raw | msgspec.UnsetType
        fields = [(member, wanted.get(name, rest), msgspec.UNSET) for member, name in members.items()]
        self.judged = Any not in wanted.values()
        """Whether what is cut out has the types wanted, or else is refused."""
        self._decoder: msgspec.json.Decoder[Any] | None = None
        if all(map(is_sayable, names)):
            record = msgspec.defstruct("Record", fields, rename=members, forbid_unknown_fields=True, gc=False)
            self._decoder = msgspec.json.Decoder(record, float_hook=exact_number)

    def cut(self, piece: bytes) -> tuple[bytes, list[dict[str, Any]]] | None:
        """The records without the members, one per line, and the members of each record.

        Returns:
            `None` where a record is malformed, has other members than are known or perhaps one twice, or a
            member's name is one that msgspec does not take.
        """
        if self._decoder is None:
            return None
        try:
            records = self._decoder.decode_lines(piece)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError):
            return None
        found: list[dict[str, Any]] = [{} for _ in records]
        for member, name in self._wanted:
            for record, row in zip(records, found, strict=True):
                value = getattr(record, member)
                if value is not msgspec.UNSET:
                    row[name] = value
                    setattr(record, member, msgspec.UNSET)
        rest = _ENCODER.encode_lines(records)
        return None if may_have_duplicates(piece, [msgspec.Raw(rest), found]) else (rest, found)
