"""Names of data files: unique, and safe on every file system and in every URI.

A path is `data/[<partition field>=<value>/…]<load id>-<random>-<number>.parquet`, the folders in Hive's
form (`lakeload.model.partition_text`).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence

from lakeload.errors import SchemaError
from lakeload.model.files import Value
from lakeload.model.layout import PartitionField
from lakeload.model.partition_text import folder_text, human_text

DATA = "data"
_LONGEST = 240
"""Bytes of one folder name; file systems allow 255."""
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

    Raises:
        SchemaError: A value is too long for a folder name.

    Example:
        >>> import datetime as dt
        >>> folder([PartitionField("at", "month"), PartitionField("shop")], [650, "a/b"])
        'data/at_month=2024-03/shop=a%2Fb/'
    """
    parts = []
    for field, value in zip(fields, values, strict=True):
        part = folder_text(field.name, None if value is None else human_text(field, value))
        if len(part) > _LONGEST:
            raise SchemaError(
                f"a partition value is too long for a folder name: {str(value)[:40]!r}…",
                column=field.source,
                hint=f"Partition by truncate(32, {field.source}) or bucket(64, {field.source}).",
            )
        parts.append(part)
    return "/".join([DATA, *parts]) + "/"
