"""Thrift's compact protocol, as far as Parquet footers need it.

Row groups are encoded apart from each other and joined into one file (see `assemble`); that moves their
bytes, so the offsets in their footers must be rewritten. Footers are Thrift structures in the compact
protocol (Apache Thrift, "Thrift Compact protocol encoding"; structures in Apache Parquet,
`parquet.thrift`). Unknown fields are kept as they are, so that nothing a newer encoder writes is lost.

A structure is a dictionary from field number to `(kind, value)`; a list is `(kind of elements, values)`.
"""

from __future__ import annotations

import struct
from typing import Any, Final, TypeAlias

from lakeload.errors import StorageError

TRUE: Final = 1
FALSE: Final = 2
BYTE: Final = 3
I16: Final = 4
I32: Final = 5
I64: Final = 6
DOUBLE: Final = 7
BINARY: Final = 8
LIST: Final = 9
SET: Final = 10
STRUCT: Final = 12

Structure: TypeAlias = dict[int, tuple[int, Any]]
"""Field number → (kind, value)."""

_SHORT_LIST = 15
_SHORT_STEP = 15


def decode(data: bytes | memoryview) -> Structure:
    """Read one structure.

    Raises:
        StorageError: The bytes are no such structure.

    Example:
        >>> decode(encode({1: (I32, -7), 2: (BINARY, b"x")}))
        {1: (5, -7), 2: (8, b'x')}
    """
    try:
        return _read_struct(bytes(data), 0)[0]
    except (IndexError, struct.error) as error:
        raise StorageError("a Parquet footer ends too early") from error


def encode(structure: Structure, after: int = 0) -> bytes:
    """Write one structure; the inverse of `decode`.

    Args:
        structure: The fields.
        after: Number of the field in front, when these are the last fields of a structure begun before.
    """
    out = bytearray()
    _write_struct(out, structure, after)
    return bytes(out)


def list_field(step: int, items: list[bytes]) -> bytes:
    """A field that is a list of structures which are encoded already.

    Args:
        step: How much its number is above the field in front, at most 15.
        items: The structures.
    """
    out = bytearray([step << 4 | LIST])
    _write_list_header(out, STRUCT, len(items))
    return bytes(out) + b"".join(items)


def _read_struct(data: bytes, at: int) -> tuple[Structure, int]:
    fields: Structure = {}
    number = 0
    while True:
        head = data[at]
        at += 1
        if head == 0:
            return fields, at
        kind, step = head & 15, head >> 4
        if step:
            number += step
        else:
            raw, at = _read_varint(data, at)
            number = _unzigzag(raw)
        if kind in (TRUE, FALSE):
            fields[number] = (TRUE, kind == TRUE)
        else:
            value, at = _read_value(data, at, kind)
            fields[number] = (kind, value)


def _read_value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (I16, I32, I64):
        raw, at = _read_varint(data, at)
        return _unzigzag(raw), at
    if kind == BINARY:
        size, at = _read_varint(data, at)
        if at + size > len(data):
            raise IndexError(at)
        return data[at : at + size], at + size
    if kind == STRUCT:
        return _read_struct(data, at)
    if kind in (LIST, SET):
        return _read_list(data, at)
    if kind in (TRUE, FALSE):  # element of a list: one byte each
        return data[at] == TRUE, at + 1
    if kind == BYTE:
        return data[at], at + 1
    if kind == DOUBLE:
        return struct.unpack_from("<d", data, at)[0], at + 8
    raise StorageError(f"a Parquet footer holds the unknown Thrift kind {kind}")


def _read_list(data: bytes, at: int) -> tuple[tuple[int, list[Any]], int]:
    head = data[at]
    at += 1
    kind, size = head & 15, head >> 4
    if size == _SHORT_LIST:
        size, at = _read_varint(data, at)
    items = []
    for _ in range(size):
        value, at = _read_value(data, at, kind)
        items.append(value)
    return (kind, items), at


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:  # noqa: PLR2004 - the continuation bit
            return value, at
        shift += 7


def _unzigzag(raw: int) -> int:
    return (raw >> 1) ^ -(raw & 1)


def _write_struct(out: bytearray, fields: Structure, last: int = 0) -> None:
    for number in sorted(fields):
        kind, value = fields[number]
        if kind in (TRUE, FALSE):
            kind = TRUE if value else FALSE
        step = number - last
        if 0 < step <= _SHORT_STEP:
            out.append(step << 4 | kind)
        else:
            out.append(kind)
            _write_varint(out, _zigzag(number))
        last = number
        if kind not in (TRUE, FALSE):
            _write_value(out, kind, value)
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in (I16, I32, I64):
        _write_varint(out, _zigzag(value))
    elif kind == BINARY:
        _write_varint(out, len(value))
        out += value
    elif kind == STRUCT:
        _write_struct(out, value)
    elif kind in (LIST, SET):
        inner, items = value
        _write_list_header(out, inner, len(items))
        for item in items:
            _write_value(out, inner, item)
    elif kind in (TRUE, FALSE):
        out.append(TRUE if value else FALSE)
    elif kind == BYTE:
        out.append(value)
    else:
        out += struct.pack("<d", value)


def _write_list_header(out: bytearray, kind: int, size: int) -> None:
    if size < _SHORT_LIST:
        out.append(size << 4 | kind)
    else:
        out.append(_SHORT_LIST << 4 | kind)
        _write_varint(out, size)


def _write_varint(out: bytearray, value: int) -> None:
    while value >= 128:  # noqa: PLR2004 - the continuation bit
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1
