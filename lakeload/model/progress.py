"""How stages tell what they have done, without knowing who listens."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from lakeload.given import unsuitable

Stage: TypeAlias = Literal["extract", "write", "commit", "fold"]


class Progress(Protocol):
    """Listens to a run. Implemented by the CLI; called by the pipeline, from any thread."""

    def advance(self, stage: Stage, table: str, *, rows: int = 0, bytes: int = 0, files: int = 0) -> None:  # noqa: A002 - the unit's own name
        """So much more was done in this stage for this table."""
        ...


def listening(given: object) -> Progress:
    """The listener itself; nobody for `None`.

    Raises:
        ConfigError: It cannot listen.
    """
    if given is None:
        return Silent()
    if isinstance(given, type) or not callable(getattr(given, "advance", None)):
        raise unsuitable(given, "progress", "an object with the method advance, see lakeload.model.progress")
    return given  # type: ignore[return-value]  # checked above


class Silent:
    """Listens to nothing."""

    def advance(self, stage: Stage, table: str, *, rows: int = 0, bytes: int = 0, files: int = 0) -> None:  # noqa: A002 - the unit's own name
        """Do nothing."""
