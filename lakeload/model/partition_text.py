"""Partition values as text: in Delta's log, and in folder names of both formats.

The texts are those of the Delta protocol, section "Partition Value Serialization"; folders follow Hive's
convention (`name=value`, percent-encoded, `__HIVE_DEFAULT_PARTITION__` for null), because some readers
take partition values from there and not from the log.
"""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from urllib.parse import quote

from lakeload.model.files import Value
from lakeload.model.layout import PartitionField

NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"
"""What a folder says for null."""

_EPOCH = dt.date(1970, 1, 1)


def value_text(value: Value) -> str:
    """A value of an identity, day, bucket or truncate partition as text.

    Example:
        >>> value_text(True), value_text(Decimal("1E+2")), value_text(dt.date(2024, 3, 1))
        ('true', '100', '2024-03-01')
    """
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value) if math.isfinite(value) else str(value)
        case Decimal():
            return format(value, "f")
        case bytes():
            return value.hex()
        case dt.datetime():
            return _timestamp_text(value)
        case dt.date():
            return value.isoformat()
        case _:
            return str(value)


def _timestamp_text(value: dt.datetime) -> str:
    # The form with "T" and "Z" says its zone; the one without is read in the session's zone by
    # some engines, so that it is kept for timestamps that have none.
    if value.tzinfo is None:
        return value.isoformat(sep=" ", timespec="microseconds")
    return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def human_text(field: PartitionField, value: Value) -> str:
    """A partition value as people write it: `2024`, `2024-03`, `2024-03-01`, `2024-03-01-13`.

    Args:
        field: The partition field.
        value: Its value, as in `DataFile.partition`; not null.

    Example:
        >>> human_text(PartitionField("at", "month"), 650), human_text(PartitionField("at", "hour"), 25)
        ('2024-03', '1970-01-02-01')
    """
    match field.transform, value:
        case "year", int():
            return str(1970 + value)
        case "month", int():
            return f"{1970 + value // 12:04d}-{value % 12 + 1:02d}"
        case "hour", int():
            return f"{_EPOCH + dt.timedelta(days=value // 24)}-{value % 24:02d}"
        case _:
            return value_text(value)


def folder_text(name: str, text: str | None) -> str:
    """One folder of a partition path, as written to the store; `None` is null.

    Example:
        >>> folder_text("shop", "a/b"), folder_text("shop", None)
        ('shop=a%2Fb', 'shop=__HIVE_DEFAULT_PARTITION__')
    """
    return f"{quote(name, safe='')}={NULL_FOLDER if text is None else quote(text, safe='')}"
