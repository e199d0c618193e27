"""`Contract`: what may change in a table when the data asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias, get_args

from lakeload.errors import ConfigError
from lakeload.given import texts_by_text

Outcome: TypeAlias = Literal["evolve", "freeze", "discard_value", "discard_row", "quarantine"]
"""What becomes of data that asks for a change: the table follows, the load fails, the value or row goes."""

CONTRACT_HINT = f"Use one of {', '.join(get_args(Outcome))}."


@dataclass(frozen=True, slots=True)
class Contract:
    """What may change in the tables of a resource, by kind of change.

    | outcome | new table | new column | value of another type |
    |---|---|---|---|
    | `evolve` (default) | created | added | the column is widened; refused where the format cannot |
    | `freeze` | refused | refused | refused; nothing of the load is published |
    | `discard_value` | its rows are dropped | the value is dropped | becomes null |
    | `discard_row` | the source rows are dropped | rows with the value are dropped | the row is dropped |
    | `quarantine` | the source rows are put aside | rows with it are put aside | the row is put aside |

    What is dropped is counted in the report; what is put aside lies in `<table>__quarantine`. A table that
    does not exist yet gets the columns of its hints, or else those of the first batch, before the contract
    applies.

    Args:
        tables: Tables that do not exist, child tables included. `None` leaves it to the next level.
        columns: Columns and members of structs that are not there.
        types: Values that the column's type does not hold exactly.

    Example:
        >>> Contract.parse("freeze").over(Contract(types="quarantine")).types
        'freeze'
        >>> Contract(columns="freeze").over(Contract.parse({"types": "quarantine"})).outcome("types")
        'quarantine'
    """

    tables: Outcome | None = None
    columns: Outcome | None = None
    types: Outcome | None = None

    def __post_init__(self) -> None:
        for kind in _KINDS:
            word = getattr(self, kind)
            if word is not None and (not isinstance(word, str) or word not in get_args(Outcome)):
                raise ConfigError(f"{word!r} is no outcome of a contract", hint=CONTRACT_HINT)

    @classmethod
    def parse(cls, given: Contract | str | Mapping[str, str] | None) -> Contract:
        """A contract from the forms users write: one word, or a word by kind of change, `""` for the others.

        Raises:
            ConfigError: A word is unknown.
        """
        if given is None or isinstance(given, Contract):
            return given or cls()
        words = (
            {"": given} if isinstance(given, str) else texts_by_text(given, "contract", like=CONTRACT_HINT)
        )
        if "" in words:
            words = {**dict.fromkeys(_KINDS, words.pop("")), **words}
        for kind in words:
            if kind not in _KINDS:
                raise ConfigError(f"a contract knows no {kind!r}", hint=f"It has {', '.join(_KINDS)}.")
        return cls(**words)  # type: ignore[arg-type]  # checked above

    def over(self, other: Contract) -> Contract:
        """This contract, completed by another one where it says nothing."""
        return Contract(*(getattr(self, kind) or getattr(other, kind) for kind in _KINDS))

    def outcome(self, kind: Literal["tables", "columns", "types"]) -> Outcome:
        """What applies in the end; `evolve` where nothing was said."""
        found: Outcome | None = getattr(self, kind)
        return found or "evolve"


_KINDS = tuple(field.name for field in fields(Contract))
