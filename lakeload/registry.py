"""Names to implementations: a literal table, completed by entry points of other packages.

A third party adds a catalog by declaring an entry point in the group `lakeload.catalogs` (Iceberg tables) or
`lakeload.delta_catalogs` whose name is the URI scheme and whose value is a callable
`(uri, warehouse, options, now)` that gives a `Catalog` or a `DeltaCatalog`, see `lakeload.model.protocols`.
Nothing is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lakeload.errors import ConfigError
from lakeload.given import text, texts, texts_by_text

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

FORMATS: tuple[str, ...] = ("delta", "iceberg")

Format: TypeAlias = Literal["delta", "iceberg", "both"]
"""Formats as users name them."""

CATALOGS: dict[str, str] = {
    "sqlite": "lakeload.catalogs.sqlite:SqliteCatalog",
    "postgresql": "lakeload.catalogs.sql:SqlCatalog",
    "postgresql+psycopg2": "lakeload.catalogs.sql:SqlCatalog",
    "rest+http": "lakeload.catalogs.rest:RestCatalog",
    "rest+https": "lakeload.catalogs.rest:RestCatalog",
    "hive": "lakeload.catalogs.hive:HiveCatalog",
    "glue": "lakeload.catalogs.glue:GlueCatalog",
}
"""Catalogs of Iceberg tables by URI scheme."""

DELTA_CATALOGS: dict[str, str] = {
    "hive": "lakeload.catalogs.hive_delta:HiveDeltaCatalog",
    "glue": "lakeload.catalogs.glue_delta:GlueDeltaCatalog",
}
"""Catalogs of Delta tables by URI scheme; without one a Delta table is found by its path."""


def catalog_factory(uri: str) -> Any:
    """The implementation of an Iceberg catalog for a URI.

    Raises:
        ConfigError: No implementation has this scheme.

    Example:
        >>> catalog_factory("sqlite:///lake/catalog.db").__name__
        'SqliteCatalog'
    """
    return _factory(uri, CATALOGS, "lakeload.catalogs", "Iceberg")


def delta_catalog_factory(uri: str) -> Any:
    """The implementation of a catalog of Delta tables for a URI.

    Raises:
        ConfigError: No implementation has this scheme.

    Example:
        >>> delta_catalog_factory("hive://metastore:9083").__name__
        'HiveDeltaCatalog'
    """
    return _factory(uri, DELTA_CATALOGS, "lakeload.delta_catalogs", "Delta")


def _factory(uri: str, known: Mapping[str, str], group: str, form: str) -> Any:
    scheme = uri.partition(":")[0]
    target = known.get(scheme)
    if target is not None:
        module, name = target.split(":")
        return getattr(import_module(module), name)
    for point in _plugged_in(group):
        if point.name == scheme:
            return point.load()
    raise ConfigError(
        f"no catalog of {form} tables has the scheme {scheme!r}",
        hint=f"Known ones: {', '.join(sorted(known))}.",
    )


def _plugged_in(group: str) -> EntryPoints:
    """Entry points of other packages; the library that knows them takes a while to import."""
    from importlib.metadata import entry_points

    return entry_points(group=group)


def parse_catalogs(given: str | Mapping[str, str] | None, formats: tuple[str, ...]) -> dict[str, str]:
    """Catalog URI by format, from what a user gave for a lake of these formats.

    One URI serves every format its catalog can hold. A name stands for one table only in a catalog, so one
    that holds both formats serves a lake of both for one of them.

    Args:
        given: A URI, or one by format.
        formats: The lake's formats.

    Raises:
        ConfigError: A format or scheme is not known, or one catalog would have to hold one name twice.

    Example:
        >>> parse_catalogs("sqlite:///lake/catalog.db", ("delta", "iceberg"))
        {'iceberg': 'sqlite:///lake/catalog.db'}
        >>> parse_catalogs({"delta": "hive://a", "iceberg": "rest+https://b"}, ("delta", "iceberg"))
        {'delta': 'hive://a', 'iceberg': 'rest+https://b'}
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        found = texts_by_text(given, "catalog", like='a URI, or one by format as {"delta": "hive://…"}')
    else:
        found = _by_format(text(given, "catalog", like="a URI such as sqlite:///catalog.db"))
    unknown = sorted(set(found) - set(FORMATS))
    if unknown:
        raise ConfigError(f"unknown table format {unknown[0]!r} for a catalog", hint="Use delta or iceberg.")
    if len(formats) > 1 and len(found) > 1 and len(set(found.values())) == 1:
        raise ConfigError(
            "one catalog cannot hold a table in both formats under one name",
            hint='Give one per format: catalog={"delta": "hive://…", "iceberg": "rest+https://…"}.',
        )
    return found


def _by_format(uri: str) -> dict[str, str]:
    scheme = uri.partition(":")[0]
    kinds = {"delta": (DELTA_CATALOGS, "delta_catalogs"), "iceberg": (CATALOGS, "catalogs")}
    found = {
        form: uri
        for form, (known, group) in kinds.items()
        if scheme in known or scheme in {point.name for point in _plugged_in(f"lakeload.{group}")}
    }
    if not found:
        known = ", ".join(sorted({*CATALOGS, *DELTA_CATALOGS}))
        raise ConfigError(f"no catalog has the scheme {scheme!r}", hint=f"Known ones: {known}.")
    return found


def parse_formats(value: object) -> tuple[str, ...]:
    """Formats as users name them: `"delta"`, `"iceberg"`, `"both"`, or several.

    Raises:
        ConfigError: A format is not known.

    Example:
        >>> parse_formats("both"), parse_formats(["iceberg"])
        (('delta', 'iceberg'), ('iceberg',))
    """
    names = texts(value, "format", like="delta, iceberg or both")
    names = ("delta", "iceberg") if names == ("both",) else names
    unknown = sorted(set(names) - set(FORMATS))
    if unknown or not names:
        raise ConfigError(
            f"unknown table format {', '.join(map(repr, unknown)) or '()'}",
            hint="Use delta, iceberg or both.",
        )
    return tuple(name for name in FORMATS if name in names)
