"""Load data into lakehouses: Delta Lake and Apache Iceberg, from Python.

Names are loaded on first use, so that `import lakeload` stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakeload import hooks as hooks
    from lakeload import rules as rules
    from lakeload.errors import (
        CatalogError,
        ConfigError,
        ConflictError,
        LakeloadError,
        SchemaError,
        SourceError,
        StorageError,
        TableError,
    )
    from lakeload.lake_table import LakeTable
    from lakeload.lakehouse import Lakehouse
    from lakeload.model.changes import SchemaChange
    from lakeload.model.contract import Contract
    from lakeload.model.csv_options import CsvOptions
    from lakeload.model.cursor import Cursor
    from lakeload.model.events import SchemaEvent
    from lakeload.model.mode import Append, Overwrite
    from lakeload.model.nesting import Nesting
    from lakeload.model.rules import Rule
    from lakeload.pipeline import Pipeline, load
    from lakeload.replays import replay
    from lakeload.report import RunReport, TableReport
    from lakeload.sources.resource import Resource, resource

__version__ = "0.1.0"

__all__ = [
    "Append",
    "CatalogError",
    "ConfigError",
    "ConflictError",
    "Contract",
    "CsvOptions",
    "Cursor",
    "LakeTable",
    "Lakehouse",
    "LakeloadError",
    "Nesting",
    "Overwrite",
    "Pipeline",
    "Resource",
    "Rule",
    "RunReport",
    "SchemaChange",
    "SchemaError",
    "SchemaEvent",
    "SourceError",
    "StorageError",
    "TableError",
    "TableReport",
    "load",
    "replay",
    "resource",
]

_HOMES = {
    "lakeload.errors": [name for name in __all__ if name.endswith("Error")],
    "lakeload.lake_table": ["LakeTable"],
    "lakeload.lakehouse": ["Lakehouse"],
    "lakeload.model.changes": ["SchemaChange"],
    "lakeload.model.contract": ["Contract"],
    "lakeload.model.csv_options": ["CsvOptions"],
    "lakeload.model.cursor": ["Cursor"],
    "lakeload.model.events": ["SchemaEvent"],
    "lakeload.model.mode": ["Append", "Overwrite"],
    "lakeload.model.nesting": ["Nesting"],
    "lakeload.model.rules": ["Rule"],
    "lakeload.pipeline": ["Pipeline", "load"],
    "lakeload.replays": ["replay"],
    "lakeload.report": ["RunReport", "TableReport"],
    "lakeload.sources.resource": ["Resource", "resource"],
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}
_MODULES = ("hooks", "rules")
"""Modules that are part of the face: `ll.rules.not_null("id")` needs no import of its own."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"lakeload.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'lakeload' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
