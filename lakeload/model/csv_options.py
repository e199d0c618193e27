"""`CsvOptions`: what a user says of separated text; what is left open is looked for in the file."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

from lakeload.errors import ConfigError

Ragged: TypeAlias = Literal["pad", "quarantine", "stop"]


@dataclass(frozen=True, slots=True)
class CsvOptions:
    r"""How CSV is written. `None` is found out from the beginning of each file, and shown in the report.

    Args:
        separator: Between values: one character, or several.
        quote: Around values that hold separators, quotes or line ends; `""` where nothing is quoted.
        escape: Before a quote within quotes, such as `"\\"`; `""` where quotes are doubled, and only that.
        encoding: Python's name of it, such as `"latin-1"` or `"utf-16"`.
        header: Whether the first row holds the names, or the names themselves, where the file has none.
        skip_rows: Lines above the header, or above the first row.
        ragged: Rows with fewer or more values than there are names. `"pad"`: what is missing is null, empty
            surplus is dropped, and a row with more values than names is put aside. `"quarantine"`: both are
            put aside. `"stop"`: both are refused.

    Raises:
        ConfigError: A value cannot be what it says.

    Example:
        >>> CsvOptions(separator=";", encoding="latin-1").ragged
        'pad'
    """

    separator: str | None = None
    quote: str | None = None
    escape: str | None = None
    encoding: str | None = None
    header: bool | Sequence[str] | None = None
    skip_rows: int | None = None
    ragged: Ragged = "pad"

    @classmethod
    def parse(cls, value: CsvOptions | Mapping[str, Any]) -> CsvOptions:
        """The options from the form users write.

        Raises:
            ConfigError: It is no such form.

        Example:
            >>> CsvOptions.parse({"separator": ";"}).separator
            ';'
        """
        if isinstance(value, CsvOptions):
            return value
        known = [field.name for field in fields(cls)]
        if not isinstance(value, Mapping) or not set(value) <= set(known):
            raise ConfigError(f"csv cannot be {value!r}", hint=f"Give ll.CsvOptions with {', '.join(known)}.")
        return cls(**value)

    def __post_init__(self) -> None:
        marks = {"separator": self.separator, "quote": self.quote, "escape": self.escape}
        for name, mark in marks.items():
            if mark is None:
                continue
            if not isinstance(mark, str) or (name == "separator" and not mark) or set(mark) & set("\r\n\0"):
                raise ConfigError(f"{mark!r} is no {name} of CSV", hint='Use a character, such as ";".')
            if name != "separator" and len(mark) > 1:
                raise ConfigError(f"{mark!r} is no {name} of CSV", hint="Use one character.")
        if self.quote and self.quote == self.separator:
            raise ConfigError("separator and quote of CSV are the same", hint="Use two characters.")
        if self.ragged not in get_args(Ragged):
            words = ", ".join(f'"{word}"' for word in get_args(Ragged))
            raise ConfigError(f"{self.ragged!r} is nothing to do with ragged rows", hint=f"Use {words}.")
        self._check_rest()

    def _check_rest(self) -> None:
        lines = self.skip_rows
        if lines is not None and (isinstance(lines, bool) or not isinstance(lines, int) or lines < 0):
            raise ConfigError(f"{lines!r} is no number of lines to skip", hint="Use 0 or more.")
        names = self.header
        if not (names is None or isinstance(names, bool)):
            listed = list(names) if isinstance(names, Sequence) and not isinstance(names, str) else []
            if not listed or not all(isinstance(name, str) for name in listed):
                raise ConfigError(
                    f"{names!r} is no header of CSV", hint="Use True, False or a list of column names."
                )
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except (LookupError, TypeError, ValueError):
                raise ConfigError(
                    f"{self.encoding!r} is no encoding", hint='Use a name such as "utf-16" or "latin-1".'
                ) from None
