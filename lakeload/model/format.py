"""Formats files can be in."""

from __future__ import annotations

from typing import Any, Literal, get_args

from lakeload.errors import ConfigError

Format = Literal["jsonl", "json", "csv", "tsv", "parquet", "arrow"]
"""How the content of a file is to be read."""


def checked_format(value: Any) -> Format:
    """The format, if it is one.

    Raises:
        ConfigError: There is no such format.
    """
    names = get_args(Format)
    if value not in names:
        raise ConfigError(f"input_format cannot be {value!r}", hint=f"There are {', '.join(names)}.")
    found: Format = value
    return found
