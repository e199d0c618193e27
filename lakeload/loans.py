"""What a catalog lends for the storage of a table, so that a load needs no keys of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Loan:
    """What a catalog lends for the storage of one table.

    Args:
        values: Options as of `STORAGE_KEYS`: keys, endpoint, region. Never shown.
        until: When the keys end, seconds since the epoch; `None` when that is not said.
        signs: There are no keys; the catalog signs every request instead.
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    until: float | None = None
    signs: bool = False


class Lender(Protocol):
    """A catalog that lets its clients into the storage of a table. Implemented in `lakeload.catalogs`."""

    def lend(self) -> Loan:
        """What is lent now.

        Raises:
            CatalogError: Nothing is, or the catalog did not answer.
        """
        ...

    def sign(
        self, method: str, url: str, region: str, headers: Mapping[str, list[str]]
    ) -> tuple[str, Mapping[str, list[str]]]:
        """Address and headers of a request to the storage, signed."""
        ...
