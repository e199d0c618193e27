"""Where records begin and end in JSON text, without decoding them.

Part of extract: `documents` cuts whole documents with it, `jsonl` lines that hold several objects. Records
stay bytes (`msgspec.Raw` points into the text), so that the parser which turns them into Arrow sees exactly
what was sent. No two members of an object are merged on the way: where msgspec would let the last one win,
the text is counted, and refused when a name occurs twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from lakeload.errors import SourceError
from lakeload.sources.decode.conflict import excerpt

BOM = b"\xef\xbb\xbf"
"""What some editors and Windows programs put before UTF-8."""
KEY_COLUMN = "_key"
"""Column with the keys of a dictionary of records; `_key_` where a record has a member of this name."""

_SEAM = re.compile(rb"(?<=\})[ \t\r\n]*(?=\{)")
_SEAM_OR_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|\}[ \t\r\n]*+(?=\{)', re.DOTALL)
_DICTIONARY = re.compile(rb'\{\s*"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*:\s*\{', re.DOTALL)
_START = 1 << 16
_LINES = 100
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_COLON_IN_DISGUISE = re.compile(rb"\\u003[aA]")


def records_of(document: bytes, record_path: str | None, map_keys: int) -> Sequence[msgspec.Raw]:
    """The records of a JSON document.

    | document | records |
    |---|---|
    | array | its elements |
    | object with `record_path` | what the path leads to, by these same rules; none for `null` |
    | object of more than `map_keys` members, all objects | its members, each with its key in `_key` |
    | any other object | itself |
    | objects one after another, however laid out | those objects |

    Args:
        document: The whole text.
        record_path: Dotted names that lead to the records.
        map_keys: Members beyond which an object of objects is taken for a dictionary of records.

    Raises:
        SourceError: The text is malformed, has a member twice, or holds no records there.

    Example:
        >>> [bytes(record) for record in records_of(b'{"a":1} {"a":2}', None, 256)]
        [b'{"a":1}', b'{"a":2}']
    """
    text = document.removeprefix(BOM)
    try:
        value = msgspec.json.decode(text, type=msgspec.Raw)
        for name in record_path.split(".") if record_path else ():
            value = _member(value, name, record_path or "")
        return _elements(value, map_keys, record_path)
    except msgspec.ValidationError:
        what = f"the record path {record_path} leads through something that is no object"
        raise SourceError(what, hint="Give record_path as dotted names.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if not record_path and text.lstrip()[:1] == b"{" and "trailing" in str(error):
            return several(text)
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        hint = "Fix the data; a file of one object per line is called .jsonl."
        raise SourceError(f"malformed JSON document: {what}", hint=hint) from None


def several(text: bytes) -> Sequence[msgspec.Raw]:
    """The objects that stand in the text one after another, with or without space between them.

    Raises:
        SourceError: Something else is among them, or one of them is malformed.
    """
    # Outside of text, `}` is followed by `{` only between two records.
    parts = _SEAM.split(text.strip())
    try:
        found = msgspec.json.decode(b"[" + b",".join(parts) + b"]", type=list[msgspec.Raw])
        if list(map(_size, found)) == list(map(len, parts)):
            return found
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    # A text holds what looks like a seam, or something is wrong.
    return _one_by_one(text.strip())


def _one_by_one(text: bytes) -> list[msgspec.Raw]:
    """The same, with regard to where text begins and ends."""
    records: list[msgspec.Raw] = []
    start = 0
    cuts = [match.end() for match in _SEAM_OR_TEXT.finditer(text) if match.group()[:1] != b'"']
    for end in [*cuts, len(text)]:
        record = text[start:end]
        start = end
        try:
            records.append(msgspec.json.decode(record, type=msgspec.Raw))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise malformed(record, error, row=len(records) + 1, last=end == len(text)) from None
    return records


def members(value: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The members of an object.

    Raises:
        SourceError: A name occurs twice.
        msgspec.ValidationError: The value is no object.
    """
    found = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    text = bytes(value)
    short = msgspec.json.format(text, indent=-1)
    if len(short) == len(text):
        sizes = sum(map(_size, found.values()))
    else:
        sizes = sum(len(msgspec.json.format(bytes(item), indent=-1)) for item in found.values())
    if len(short) - sizes != len(msgspec.json.encode(dict.fromkeys(found, 0))) - len(found):
        # A name with escapes, or one that occurs twice.
        refuse_duplicates(value)
    return found


def refuse_duplicates(record: bytes | msgspec.Raw) -> None:
    """Look for a name that occurs twice in one object, at any depth; slow, and exact.

    Raises:
        SourceError: There is one.
    """
    try:
        json.loads(bytes(record), object_pairs_hook=_no_duplicates, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"cannot read the record: {error}", hint="Fix or remove the record.") from None


def may_have_duplicates(text: bytes, rows: object) -> bool:
    """Whether names can have been merged when the text was decoded into these rows; cheap, never misses.

    Every member has a colon, in the text and when what was decoded is written again. Those inside of names
    and values stand on both sides, but for those that were lost with a member: then there are fewer.
    """
    if _COLON_IN_DISGUISE.search(text):
        return True
    return text.count(b":") != msgspec.json.encode(rows).count(b":")


def malformed(record: bytes, error: Exception, *, row: int | None = None, last: bool = False) -> SourceError:
    """The error for a record msgspec refused: what is wrong with it, and what to do."""
    hint = "Fix or remove the record."
    what = str(error)
    if isinstance(error, RecursionError):
        what = "nested too deeply"
    elif isinstance(error, UnicodeDecodeError):
        what, hint = "invalid UTF-8", "Convert the file to UTF-8."
    elif _SURROGATE.search(record) and _valid_json(record):
        what = "a \\u escape is half of a surrogate pair, which is no character"
    elif re.search(rb"\bNaN\b|\bInfinity\b", record):
        what, hint = "NaN and Infinity are not JSON", "Write null instead."
    elif "truncated" in what:
        what = "the line ends within the object"
        hint = "Fix the record; files of objects that span lines are called .json."
        if last:
            what, hint = "the record is cut off", "The file seems incomplete: fetch or write it again."
    return SourceError(
        f"malformed JSON: {what}: {excerpt(record[:200].decode('utf-8', 'replace'))}", row=row, hint=hint
    )


def is_document(start: bytes) -> bool:
    r"""Whether JSON text that begins so is one document rather than one record per line.

    Example:
        >>> is_document(b'{"a": 1}\n{"a": 2}\n'), is_document(b'{\n  "a": 1\n}')
        (False, True)
    """
    text = start.removeprefix(BOM).lstrip()
    if not text.startswith(b"{"):
        return text.startswith(b"[")
    first, _, rest = text.partition(b"\n")
    if not rest or rest.isspace():
        # One line: a record, unless it may be a dictionary of records.
        return _DICTIONARY.match(first) is not None and _is_json(first)
    # What is cut off at the end says nothing. One line of many may be long: a few of them tell.
    lines = text[:_START].split(b"\n")[: _LINES + 1]
    for line, following in pairwise(lines):
        try:
            msgspec.json.decode(line or b"{}", type=msgspec.Raw)
        except msgspec.DecodeError as error:
            # An object that goes on after the line is laid out for people: a document. If the next line
            # begins another one, this line is cut off.
            return "truncated" in str(error) and following.lstrip()[:1] != b"{"
        except (UnicodeDecodeError, RecursionError):
            return False
    return False


def _member(value: msgspec.Raw, name: str, record_path: str) -> msgspec.Raw:
    found = members(value)
    if name not in found:
        hint = f"The object has {', '.join(list(found)[:10])}."
        raise SourceError(f"no {name!r} on the record path {record_path}", hint=hint)
    return found[name]


def _elements(value: msgspec.Raw, map_keys: int, record_path: str | None) -> Sequence[msgspec.Raw]:
    start = bytes(memoryview(value)[:200]).lstrip()
    if start[:1] == b"[":
        return msgspec.json.decode(value, type=list[msgspec.Raw])
    if start[:1] == b"{":
        return _entries(value, map_keys) or [value]
    if record_path and start == b"null":
        return []
    raise SourceError(
        f"expected JSON records, found {excerpt(start[:80].decode('utf-8', 'replace'))}",
        hint="A document must be an array of objects, or an object with record_path.",
    )


def _entries(value: msgspec.Raw, map_keys: int) -> list[msgspec.Raw]:
    """The members of a dictionary of records, each with its key; none if it is no such thing."""
    if memoryview(value).nbytes < map_keys * len(b'"":{},'):
        return []
    try:
        found = members(value)
    except msgspec.ValidationError:
        return []
    if len(found) <= map_keys or any(bytes(memoryview(item)[:1]) != b"{" for item in found.values()):
        return []
    name = KEY_COLUMN
    quoted = f'"{name}"'.encode()
    while any(quoted in bytes(item) and name in members(item) for item in found.values()):
        name = f"{name}_"
        quoted = f'"{name}"'.encode()
    return [_with_key(quoted, msgspec.json.encode(key), bytes(item)) for key, item in found.items()]


def _with_key(name: bytes, key: bytes, record: bytes) -> msgspec.Raw:
    rest = record[1:].lstrip()
    comma = b"" if rest[:1] == b"}" else b","
    return msgspec.Raw(b"".join((b"{", name, b":", key, comma, rest)))


def _size(record: msgspec.Raw) -> int:
    return memoryview(record).nbytes


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _valid_json(record: bytes) -> bool:
    try:
        json.loads(record)
    except ValueError:
        return False
    return True


def _no_duplicates(pairs: list[tuple[str, object]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} occurs twice in one object")
