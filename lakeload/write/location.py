"""Names of data files: unique, and safe on every file system and in every URI.

A path is `data/[<partition field>=<value>/…]<load id>-<random>-<number>.parquet`. Partition folders help
people who look at the store; no reader takes values from them.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
from collections.abc import Iterator, Sequence

from lakeload.model.files import Value
from lakeload.model.layout import PartitionField

DATA = "data"
NULL = "__null__"
_LONGEST = 64
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def file_names(load_id: str) -> Iterator[str]:
    """Endless distinct file names; the random part keeps apart writers of one load.

    Example:
        >>> name = next(file_names("0193-ab"))
        >>> name.startswith("0193-ab-"), name.endswith("-0001.parquet")
        (True, True)
    """
    stem = f"{_UNSAFE.sub('-', load_id)}-{secrets.token_hex(5)}"
    number = 0
    while True:
        number += 1
        yield f"{stem}-{number:04d}.parquet"


def folder(fields: Sequence[PartitionField], values: Sequence[Value | None]) -> str:
    """Folder of a partition, ending in a slash.

    Example:
        >>> import datetime as dt
        >>> folder([PartitionField("at", "month"), PartitionField("shop name")], [650, "a/b"])
        'data/at_month=2024-03/shop-20name=a-2Fb/'
    """
    parts = [
        f"{escape(field.name)}={NULL if value is None else escape(human(field, value))}"
        for field, value in zip(fields, values, strict=True)
    ]
    return "/".join([DATA, *parts]) + "/"


def human(field: PartitionField, value: Value) -> str:
    """A partition value as people write it: `2024`, `2024-03`, `2024-03-01`, `2024-03-01-13`.

    Args:
        field: The partition field.
        value: Its value, as in `DataFile.partition`; not null.
    """
    match field.transform, value:
        case "year", int():
            return str(1970 + value)
        case "month", int():
            return f"{1970 + value // 12:04d}-{value % 12 + 1:02d}"
        case "hour", int():
            days, hour = divmod(value, 24)
            return f"{dt.date(1970, 1, 1) + dt.timedelta(days=days)}-{hour:02d}"
        case _, bytes():
            return value.hex()
        case _, bool():
            return str(value).lower()
        case _:
            return str(value)


def escape(text: str) -> str:
    """The text with everything but letters, digits and `._-` replaced by `-` and its bytes in hex."""
    safe = _UNSAFE.sub(lambda found: "".join(f"-{byte:02X}" for byte in found[0].encode()), text)
    return safe[:_LONGEST]
