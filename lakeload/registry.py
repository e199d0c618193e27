"""Names to implementations: a literal table, completed by entry points of other packages.

A third party adds a catalog by declaring an entry point in the group `lakeload.catalogs` whose name is
the URI scheme and whose value is a callable `(uri, warehouse, options, now) -> Catalog`, see
`lakeload.model.protocols.Catalog`. Nothing is imported before it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from lakeload.errors import ConfigError

FORMATS: tuple[str, ...] = ("delta", "iceberg")

CATALOGS: dict[str, str] = {
    "sqlite": "lakeload.catalogs.sql:SqlCatalog",
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
    """The implementation for a catalog URI.

    Raises:
        ConfigError: No implementation has this scheme.

    Example:
        >>> catalog_factory("sqlite:///lake/catalog.db").__name__
        'SqlCatalog'
    """
    scheme = uri.partition(":")[0]
    target = CATALOGS.get(scheme)
    if target is not None:
        module, name = target.split(":")
        return getattr(import_module(module), name)
    for point in entry_points(group="lakeload.catalogs"):
        if point.name == scheme:
            return point.load()
    raise ConfigError(
        f"no catalog has the scheme {scheme!r}", hint=f"Known ones: {', '.join(sorted(CATALOGS))}."
    )


def parse_formats(value: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Formats as users name them: `"delta"`, `"iceberg"`, `"both"`, or several.

    Raises:
        ConfigError: A format is not known.

    Example:
        >>> parse_formats("both"), parse_formats(["iceberg"])
        (('delta', 'iceberg'), ('iceberg',))
    """
    names = ("delta", "iceberg") if value == "both" else (value,) if isinstance(value, str) else tuple(value)
    unknown = sorted(set(names) - set(FORMATS))
    if unknown or not names:
        raise ConfigError(
            f"unknown table format {', '.join(map(repr, unknown)) or '()'}",
            hint="Use delta, iceberg or both.",
        )
    return tuple(name for name in FORMATS if name in names)
