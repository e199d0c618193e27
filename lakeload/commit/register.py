"""Keep a Delta table's catalog entry in step with the table.

The last step of extract → normalize → write → commit, for lakes whose Delta tables have a catalog. The
table's log is the truth and the entry derived from it, so the step can be repeated any number of times, by
any run, and a catalog that does not answer holds up no load: the next one brings the entry up to date.
"""

from __future__ import annotations

from lakeload.errors import TableError
from lakeload.model.protocols import DeltaCatalog
from lakeload.model.registration import Entry, plain
from lakeload.model.table import TableState


def check(catalog: DeltaCatalog, namespace: str, name: str, location: str) -> None:
    """Refuse a name that belongs to something else, before anything is written.

    Raises:
        TableError: The name is taken by a table of another kind or at another place.
        CatalogError: The catalog refused or did not answer.
    """
    _check(catalog, namespace, name, catalog.find(namespace, name), location)


def register(
    catalog: DeltaCatalog,
    namespace: str,
    name: str,
    location: str,
    state: TableState,
    *,
    replace: bool = False,
) -> bool:
    """Make the entry, or bring it up to date.

    Args:
        catalog: The catalog.
        namespace: Namespace of the table.
        name: Table name.
        location: Root of the table.
        state: The table's newest version.
        replace: Take over a Delta entry that points to another place.

    Returns:
        Whether anything had to be changed.

    Raises:
        TableError: The name is taken by a table of another kind or, without `replace`, at another place.
        CatalogError: The catalog refused or did not answer; the entry is as it was.
    """
    wanted = catalog.describe(location, state)
    found = catalog.find(namespace, name)
    if found == wanted:
        return False
    if not (replace and found is not None and found.provider == "delta"):
        _check(catalog, namespace, name, found, wanted.location)
    catalog.put(namespace, name, wanted)
    return True


def drift(
    catalog: DeltaCatalog, namespace: str, name: str, location: str, state: TableState
) -> tuple[str, ...]:
    """In what the entry differs from the table, as sentences; empty when it does not.

    Raises:
        CatalogError: The catalog refused or did not answer.
    """
    return differences(catalog.find(namespace, name), catalog.describe(location, state))


def differences(found: Entry | None, wanted: Entry) -> tuple[str, ...]:
    """In what an entry differs from what it should be.

    Example:
        >>> differences(Entry("/t", (("id", "int"),)), Entry("/t", (("id", "bigint"), ("name", "string"))))
        ('column id is int, in the table bigint', 'column name is missing')
    """
    if found is None:
        return ("not registered",)
    if found.provider != wanted.provider:
        return (f"registered as {found.provider}",)
    said: list[str] = []
    if found.location != wanted.location:
        said.append(f"registered at {found.location}")
    there, here = dict(found.columns), dict(wanted.columns)
    for column, kind in here.items():
        if column not in there:
            said.append(f"column {column} is missing")
        elif there[column] != kind:
            said.append(f"column {column} is {there[column]}, in the table {kind}")
    said += [f"column {column} is not in the table" for column in there if column not in here]
    if found.partition_by != wanted.partition_by:
        said.append(f"partitioned by {', '.join(found.partition_by) or 'nothing'}")
    if not said and found != wanted:
        said.append("columns are in another order")
    return tuple(said)


def _check(catalog: DeltaCatalog, namespace: str, name: str, found: Entry | None, location: str) -> None:
    if found is None:
        return
    if found.provider != "delta":
        raise TableError(
            f"the name {namespace}.{name} belongs to a table of the kind {found.provider!r} in the catalog",
            table=name,
            place=catalog.place,
            hint="Load under another name or namespace, or drop that entry first.",
        )
    if found.location != plain(location):
        raise TableError(
            f"the catalog has {namespace}.{name} at {found.location}, this lake at {location}",
            table=name,
            place=catalog.place,
            hint="Load under another name, or point the entry here with `lakeload register --replace`.",
        )
