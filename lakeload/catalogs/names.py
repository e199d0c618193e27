"""Which tables a catalog of pyiceberg's knows, naming and forgetting one: the same for every kind of catalog.

Committing differs from catalog to catalog and is in the module of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Protocol

from lakeload.errors import CatalogError

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog as LibraryCatalog


class Backed(Protocol):
    """A catalog with one of pyiceberg's below it. Implemented by every catalog of this package."""

    @property
    def library(self) -> LibraryCatalog:
        """The same catalog as pyiceberg's."""
        ...

    @property
    def place(self) -> str:
        """Where it is, without secrets."""
        ...

    def guarded(self) -> AbstractContextManager[None]:
        """Turns the library's failures inside into `CatalogError`."""
        ...


def list_names(catalog: Backed, namespace: str) -> Sequence[str]:
    """Names of the tables in the namespace, sorted; empty when the namespace does not exist.

    Raises:
        CatalogError: The catalog refused or did not answer.
    """
    from pyiceberg.exceptions import NoSuchNamespaceError

    with catalog.guarded():
        try:
            return sorted(identifier[-1] for identifier in catalog.library.list_tables(namespace))
        except NoSuchNamespaceError:
            return []


def drop_name(catalog: Backed, namespace: str, name: str) -> None:
    """Forget the table; its files are not touched by us.

    Raises:
        CatalogError: There is no such table, or the catalog refused.
    """
    from pyiceberg.exceptions import NoSuchTableError

    with catalog.guarded():
        try:
            catalog.library.drop_table((namespace, name))
        except NoSuchTableError as error:
            raise CatalogError(
                "there is no such table",
                table=f"{namespace}.{name}",
                place=catalog.place,
                hint="Check namespace and name; list() gives the names there are.",
            ) from error


def register_name(catalog: Backed, namespace: str, name: str, metadata_location: str) -> None:
    """Give an existing table a name; makes the namespace if there is none.

    Raises:
        CatalogError: The name is taken, or the catalog refused or did not answer.
    """
    from pyiceberg.exceptions import NamespaceAlreadyExistsError, TableAlreadyExistsError

    with catalog.guarded():
        with suppress(NamespaceAlreadyExistsError):
            catalog.library.create_namespace(namespace)
        try:
            catalog.library.register_table((namespace, name), metadata_location)
        except TableAlreadyExistsError as error:
            raise CatalogError(
                "the name is taken",
                table=f"{namespace}.{name}",
                place=catalog.place,
                hint="Drop that entry first, or register under another namespace.",
            ) from error
