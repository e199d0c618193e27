"""Text files as UTF-8, whatever they were written in.

Part of extract. A byte order mark says it; so do the empty bytes of UTF-16. Otherwise the beginning either is
UTF-8, or is taken for Windows-1252, of which Latin-1 is a part, if its bytes are what a Western European text
has. All else is left as it is, and refused where it is no UTF-8: a wrong guess would spoil the text without a
word.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator

from lakeload.errors import SourceError

UTF8 = "utf-8"
WESTERN = "windows-1252"
_MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HIGH = re.compile(rb"[\x80-\xff]")
_IN_WORDS = re.compile(
    rb"(?<=[A-Za-z])[\xc0-\xd6\xd8-\xf6\xf8-\xff]{1,2}(?![\x80-\xff])"
    rb"|(?<![\x80-\xff])[\xc0-\xd6\xd8-\xf6\xf8-\xff]{1,2}(?=[A-Za-z])"
)
_SIGNS = re.compile(rb"[\x80\x85\x91-\x97\x99\xa0\xa3\xa7\xa9\xab\xae\xb0-\xb4\xb7\xb9\xba-\xbe]")
_MOST = 0.8
ENCODING_HINT = (
    'Say the encoding, as CsvOptions(encoding="windows-1252") or --csv-encoding windows-1252, '
    "or convert the file to UTF-8."
)


def encoding_of(start: bytes) -> str:
    """The encoding the beginning of a file is most likely in.

    Example:
        >>> encoding_of("größe".encode()), encoding_of("größe".encode("latin-1"))
        ('utf-8', 'windows-1252')
    """
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    if b"\0" in start[:1024]:
        even, odd = start[0:1024:2].count(0), start[1:1024:2].count(0)
        if 4 * odd > len(start[:1024]) > 4 * even:
            return "utf-16-le"
        if 4 * even > len(start[:1024]) > 4 * odd:
            return "utf-16-be"
    if start.isascii() or _begins_utf8(start):
        return UTF8
    high = len(_HIGH.findall(start))
    likely = len(b"".join(_IN_WORDS.findall(start))) + len(_SIGNS.findall(start))
    return WESTERN if likely >= _MOST * high else UTF8


def is_utf8(text: bytes) -> bool:
    """Whether bytes are UTF-8, found without making text of them.

    Example:
        >>> is_utf8("ö".encode()), is_utf8("ö".encode("latin-1"))
        (True, False)
    """
    if text.isascii():
        return True
    import pyarrow as pa

    ends = pa.py_buffer(b"\0" * 8 + len(text).to_bytes(8, "little"))
    array = pa.Array.from_buffers(pa.large_utf8(), 1, [None, ends, pa.py_buffer(text)])
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _begins_utf8(start: bytes) -> bool:
    """Whether bytes, whose last character may lack a part, are UTF-8."""
    try:
        codecs.getincrementaldecoder(UTF8)().decode(start)
    except UnicodeDecodeError:
        return False
    return True


def as_utf8(pieces: Iterable[bytes], encoding: str, place: str) -> Iterator[bytes]:
    """The text in UTF-8 without a byte order mark. Bytes said to be UTF-8 are passed on unseen.

    Raises:
        SourceError: Bytes are not of the encoding.
    """
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii"):
        first = True
        for piece in pieces:
            yield piece.removeprefix(codecs.BOM_UTF8) if first else piece
            first = False
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    before = 0
    try:
        first = True
        for piece in pieces:
            text = decoder.decode(piece)
            yield (text.removeprefix("\ufeff") if first else text).encode()
            first = first and not text
            before += len(piece)
        yield decoder.decode(b"", final=True).encode()
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        near = before + error.start
        raise SourceError(
            f"not written in {encoding}: {error.reason} near byte {near:,}", place=place, hint=ENCODING_HINT
        ) from None
