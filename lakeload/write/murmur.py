"""Murmur3 (x86, 32 bit, seed 0) of whole columns, for Iceberg's bucket transform.

Written with Arrow's vector functions: rows are hashed side by side, four bytes of each at a time. The
algorithm is Austin Appleby's, in the public domain; Iceberg's specification, appendix B, names it.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_WORD = 4
_U32 = pa.uint32()


def murmur3(column: pa.Array) -> pa.Array:
    """Hash of each value as uint32: of its 8 little-endian bytes for int64, of its bytes for binary.

    Nulls give an arbitrary hash.

    Example:
        >>> murmur3(pa.array([b"iceberg"])).to_pylist() == [1210000089]
        True
    """
    return _of_longs(column) if pa.types.is_int64(column.type) else _of_bytes(column)


def _of_longs(column: pa.Array) -> pa.Array:
    values = column.fill_null(0)
    words = pa.Array.from_buffers(
        _U32, 2 * len(values), [None, values.buffers()[1]], offset=2 * values.offset
    )
    low = words.take(pa.array(range(0, len(words), 2), pa.int64()))
    high = words.take(pa.array(range(1, len(words), 2), pa.int64()))
    hashes = pa.repeat(pa.scalar(0, _U32), len(values))
    for word in (low, high):
        hashes = _mix(hashes, word)
    return _finish(hashes, pa.repeat(pa.scalar(8, _U32), len(values)))


def _of_bytes(column: pa.Array) -> pa.Array:
    """Hash row by row position: step i mixes the i-th word of every row that has one."""
    values = column.fill_null(b"")
    if not len(values):
        return pa.array([], _U32)
    lengths = pc.binary_length(values).cast(pa.int64())
    starts = pa.Array.from_buffers(pa.int32(), len(values), [None, values.buffers()[1]], offset=values.offset)
    starts = starts.cast(pa.int64())
    content = values.buffers()[2] or pa.py_buffer(b"")
    data = pa.Array.from_buffers(pa.uint8(), content.size, [None, content])
    hashes = pa.repeat(pa.scalar(0, _U32), len(values))
    position = 0
    rows = pa.array(range(len(values)), pa.int64())
    finished: list[tuple[pa.Array, pa.Array]] = []
    while len(rows):
        full = pc.greater_equal(pc.subtract(lengths, position), _WORD)
        ended = pc.invert(full)
        last = [column.filter(ended) for column in (starts, lengths, hashes)]
        finished.append((rows.filter(ended), _tail(data, last[0], last[1], last[2], position)))
        rows, starts, lengths, hashes = (x.filter(full) for x in (rows, starts, lengths, hashes))
        hashes = _mix(hashes, _words(data, pc.add(starts, position), _WORD))
        position += _WORD
    order = pc.sort_indices(pa.concat_arrays([rows for rows, _ in finished]))
    return pa.concat_arrays([hashes for _, hashes in finished]).take(order)


def _tail(data: pa.Array, starts: pa.Array, lengths: pa.Array, hashes: pa.Array, position: int) -> pa.Array:
    """Mix the last one to three bytes, which are not rotated into the hash, and finish."""
    rest = pc.subtract(lengths, position)
    for left in (1, 2, 3):
        chosen = pc.equal(rest, left)
        if pc.any(chosen).as_py():
            word = _scramble(_words(data, pc.add(starts.filter(chosen), position), left))
            mixed = pc.bit_wise_xor(hashes.filter(chosen), word)
            hashes = pc.replace_with_mask(hashes, chosen, mixed)
    return _finish(hashes, lengths.cast(_U32))


def _words(data: pa.Array, starts: pa.Array, size: int) -> pa.Array:
    word = pa.repeat(pa.scalar(0, _U32), len(starts))
    for byte in range(size):
        part = data.take(pc.add(starts, byte)).cast(_U32)
        word = pc.bit_wise_or(word, pc.shift_left(part, _u32(8 * byte)))
    return word


def _mix(hashes: pa.Array, word: pa.Array) -> pa.Array:
    mixed = _rotate(pc.bit_wise_xor(hashes, _scramble(word)), 13)
    return pc.add(pc.multiply(mixed, _u32(5)), _u32(0xE6546B64))


def _scramble(word: pa.Array) -> pa.Array:
    return pc.multiply(_rotate(pc.multiply(word, _u32(0xCC9E2D51)), 15), _u32(0x1B873593))


def _finish(hashes: pa.Array, lengths: pa.Array) -> pa.Array:
    mixed = pc.bit_wise_xor(hashes, lengths)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed = pc.multiply(pc.bit_wise_xor(mixed, pc.shift_right(mixed, _u32(shift))), _u32(factor))
    return pc.bit_wise_xor(mixed, pc.shift_right(mixed, _u32(16)))


def _rotate(word: pa.Array, by: int) -> pa.Array:
    return pc.bit_wise_or(pc.shift_left(word, _u32(by)), pc.shift_right(word, _u32(32 - by)))


def _u32(value: int) -> pa.Scalar:
    return pa.scalar(value, _U32)
