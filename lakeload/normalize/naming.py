"""Names: how a column or a table is called in the lake, whatever its source calls it.

One rule for columns at every depth, applied in the normalize stage before anything else. It depends on the
name alone, gives the same result everywhere, and leaves its own results as they are.

| step | rule | example |
|---|---|---|
| 1 | Unicode NFKC; empty or blank names are refused | `ﬁeld` → `field` |
| 2 | words of camelCase and PascalCase are split, acronyms kept whole | `HTTPServerId` → `http_server_id` |
| 3 | lower case; letters, digits and combining marks of any script stay | `Größe` → `größe` |
| 4 | every other run of characters becomes one `_` | `a.b "c"` → `a_b_c` |
| 5 | `_` at the ends goes; one leading `_` stays if the name began so | `_id` → `_id`, `$id` → `id` |
| 6 | when nothing is left, the code points of the name are spelled out | `%` → `u0025`, `🎉` → `u1f389` |
| 7 | a leading digit gets a `_` before it | `2nd` → `_2nd` |
| 8 | longer than 127 bytes in UTF-8: cut, and ended with `_` and 8 hex digits of the SHA-256 of the whole | |
| 9 | names beginning with `_lakeload_` are refused at top level: they are lakeload's own | |

Two names that fall into one are refused, never renamed by position: which of them would get the suffix
would change with the order of the data. In a table that exists, a name is first looked for as it is, then
by the rule on both sides, then without regard to case: `UserId`, `user_id` and `userid` all find the column
`UserId` of a table made elsewhere.

Table names follow the same rule, except that a leading `_` goes, because engines take such directories
for hidden, and a leading digit gets `t_`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from lakeload.errors import SchemaError

MAX_BYTES = 127
"""Longest name, in bytes of UTF-8: it fits wherever it may become a directory or an identifier."""

RESERVED = "_lakeload_"

_UPPER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_RUN = re.compile(r"_+")


@lru_cache(maxsize=8192)
def column_name(raw: str) -> str:
    """The column's name in the lake.

    Raises:
        SchemaError: The name is empty or blank.

    Example:
        >>> column_name("HTTPServerId"), column_name("2nd try!"), column_name("_id")
        ('http_server_id', '_2nd_try', '_id')
    """
    name = _snake(raw, "column")
    if unicodedata.normalize("NFKC", raw).lstrip().startswith("_"):
        name = f"_{name}"
    return _shorten(f"_{name}" if name[0].isdigit() else name)


@lru_cache(maxsize=1024)
def table_name(raw: str) -> str:
    """The table's name in the lake; also a valid directory name.

    Raises:
        SchemaError: The name is empty or blank.

    Example:
        >>> table_name("Sales.Orders-2024"), table_name("2024")
        ('sales_orders_2024', 't_2024')
    """
    name = _snake(raw, "table")
    return _shorten(f"t_{name}" if name[0].isdigit() else name)


def column_names(raws: Sequence[str]) -> dict[str, str]:
    """Names in the lake by raw name, in the same order.

    Raises:
        SchemaError: A name is empty, reserved or there twice, or two of them fall into one.

    Example:
        >>> column_names(["userId", "Total"])
        {'userId': 'user_id', 'Total': 'total'}
    """
    return match_names(raws, ())


def match_names(raws: Sequence[str], existing: Iterable[str], *, top: bool = True) -> dict[str, str]:
    """Names in the lake by raw name, given the columns a table or struct already has.

    A raw name is the existing column of exactly that name, else the one existing column that the rule
    makes equal to it, else the one that differs from its name by the rule in case alone, else a new column
    named by the rule.

    Args:
        raws: Names in the source's spelling.
        existing: Names of the columns that are there.
        top: Whether these are top-level columns, where some names are reserved.

    Raises:
        SchemaError: A name is empty, reserved or there twice, or several columns fall into one.
    """
    known = list(existing)
    exact = set(known)
    # Two columns that differ in case alone are one to most engines, so case comes last.
    by_rule: dict[str, list[str]] = {}
    by_case: dict[str, list[str]] = {}
    for name in known:
        by_rule.setdefault(_rule_or_blank(name), []).append(name)
        by_case.setdefault(name.lower(), []).append(name)
    found: dict[str, str] = {}
    taken: dict[str, str] = {}
    for position, raw in enumerate(raws, start=1):
        final = raw if raw in exact else _match(raw, position, by_rule, by_case)
        if top and final.startswith(RESERVED):
            raise SchemaError(
                f"the column name {raw!r} is reserved",
                hint=f"Names beginning with {RESERVED} are lakeload's own: rename or drop the column.",
            )
        other = taken.setdefault(final.lower(), raw)
        if raw in found or other != raw:
            raise _collision(other, raw, final)
        found[raw] = final
    return found


def _match(raw: str, position: int, by_rule: dict[str, list[str]], by_case: dict[str, list[str]]) -> str:
    if not isinstance(raw, str):
        raise SchemaError(f"the key {raw!r} is no text", hint="Make the keys of the rows strings.")
    if not raw.strip():
        raise SchemaError(f"column {position} has no name", hint="Give it one in the source.")
    name = column_name(raw)
    candidates = by_rule.get(name) or by_case.get(name, [])
    if len(candidates) > 1:
        raise SchemaError(
            f"the column {raw!r} could be any of {', '.join(map(repr, candidates))} in the table",
            hint="Rename it in the source to exactly one of them.",
        )
    return candidates[0] if candidates else name


def _rule_or_blank(name: str) -> str:
    return column_name(name) if name.strip() else name


def _collision(one: str, other: str, final: str) -> SchemaError:
    if one == other:
        return SchemaError(f"there are two columns named {one!r}", hint="Rename one of them in the source.")
    return SchemaError(
        f"the columns {one!r} and {other!r} would both be named {final!r}",
        column=final,
        hint="Rename one of them in the source.",
    )


def _snake(raw: str, what: str) -> str:
    """Steps 1 to 6."""
    text = unicodedata.normalize("NFKC", raw)
    if not text.strip():
        raise SchemaError(f"a {what} has no name", hint="Give it one.")
    text = _UPPER.sub("_", text) if text.isascii() else _split(text)
    text = unicodedata.normalize("NFKC", text.lower())
    name = _RUN.sub("_", _words(text)).strip("_")
    return name or "_".join(f"u{ord(character):04x}" for character in text.strip())


def _split(text: str) -> str:
    """Step 2 for any script: the same boundaries the ASCII pattern finds."""
    pieces = [text[:1]]
    for i in range(1, len(text)):
        before, here, after = text[i - 1], text[i], text[i + 1 : i + 2]
        if here.isupper() and (
            before.islower() or before.isdigit() or (before.isupper() and after.islower())
        ):
            pieces.append("_")
        pieces.append(here)
    return "".join(pieces)


def _words(text: str) -> str:
    """Steps 3 and 4: `_` for every character that is no part of a word."""
    kept: list[str] = []
    for character in text:
        # Marks belong to the letter before them; variation selectors are part of emoji.
        mark = unicodedata.category(character) in ("Mn", "Mc") and not "\ufe00" <= character <= "\ufe0f"
        keep = character.isalnum() or (mark and bool(kept) and kept[-1] != "_")
        kept.append(character if keep else "_")
    return "".join(kept)


def _shorten(name: str) -> str:
    if len(name.encode()) <= MAX_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    head = name.encode()[: MAX_BYTES - 9].decode(errors="ignore").rstrip("_")
    return f"{head}_{digest}"
