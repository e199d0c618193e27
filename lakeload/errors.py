"""Everything lakeload raises on purpose.

```
LakeloadError
├── ConfigError        an option, a URI or a settings file is wrong
├── SourceError        the data cannot be found, opened or decoded
├── SchemaError        names collide, types conflict, a type cannot be stored
├── TableError         the table cannot be loaded into: wrong format, unsupported feature
├── StorageError       the place cannot be read or written: credentials, bucket, disk
├── CatalogError       the catalog refused or did not answer
└── ConflictError      somebody else changed what this load relied on
```

Each error says what happened, where, and what to do; `str(error)` is one line.
"""

from __future__ import annotations


class LakeloadError(Exception):
    """Root of every error lakeload raises on purpose.

    Args:
        what: What happened, as a sentence without a full stop.
        table: Table concerned.
        column: Column path concerned, dotted.
        row: Row number, counted from 1 within `place`.
        place: File, object, URI or request concerned. Must hold no secret.
        hint: What the reader can do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        table: str | None = None,
        column: str | None = None,
        row: int | None = None,
        place: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.table = table
        self.column = column
        self.row = row
        self.place = place
        self.hint = hint
        super().__init__(what)

    def __str__(self) -> str:
        where = [
            f"{label} {value}"
            for label, value in (
                ("table", self.table),
                ("column", self.column),
                ("row", self.row),
                ("in", self.place),
            )
            if value is not None
        ]
        text = self.what + (f" ({', '.join(where)})" if where else "")
        text = f"{text}. {self.hint}" if self.hint else text
        return " ".join(text.split())

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the facts when an executor sends the error between processes."""
        return (_rebuild, (type(self), self.what, self.__dict__))


def _rebuild(kind: type[LakeloadError], what: str, facts: dict[str, object]) -> LakeloadError:
    error = kind(what)
    error.__dict__.update(facts)
    return error


class ConfigError(LakeloadError):
    """An option, a URI or a settings file is wrong."""


class SourceError(LakeloadError):
    """The data cannot be found, opened or decoded."""


class SchemaError(LakeloadError):
    """Names collide, types conflict, or a type cannot be stored."""


class TableError(LakeloadError):
    """The table cannot be loaded into: another format, or a feature that cannot be honoured."""


class StorageError(LakeloadError):
    """The place cannot be read or written: credentials, bucket, permissions, full disk."""


class CatalogError(LakeloadError):
    """The catalog refused, or did not answer."""


class ConflictError(LakeloadError):
    """Somebody else changed what this load relied on, or was faster at every attempt.

    The hint says whether nothing was published or the next run completes the load.
    """
