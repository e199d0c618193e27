"""The work, as each competitor's own documentation would have a user write it; one module per library.

A module imports its library at the top, and `IMPORTS` names what the libraries themselves import only when
they need it, by kind of table: imports are not part of the timed work.
"""

from __future__ import annotations

from collections.abc import Iterable

CATALOG = ("pyiceberg.catalog.sql", "pyiceberg.io.pyarrow", "sqlalchemy.dialects.sqlite")
LAKELOAD = ("lakeload.pipeline", "lakeload.run", "lakeload.sources.decode.items")
DLT = ("dlt.common.libs.pyarrow", "dlt.extract.extract", "dlt.normalize.normalize", "dlt.load.load")
IMPORTS: dict[str, dict[str, tuple[str, ...]]] = {
    "lakeload": {
        "delta": (*LAKELOAD, "lakeload.formats.delta"),
        "iceberg": (*LAKELOAD, "lakeload.formats.iceberg", "lakeload.catalogs.sql", *CATALOG),
    },
    "dlt": {
        "delta": (*DLT, "dlt.common.libs.deltalake"),
        "iceberg": (*DLT, "dlt.common.libs.pyiceberg", *CATALOG),
    },
    "polars": {
        "delta": ("deltalake",),
        "iceberg": ("benchmarks.competitors.pyiceberg", *CATALOG),
    },
    "pyiceberg": {"iceberg": CATALOG},
}


def imports(library: str, kinds: Iterable[str]) -> tuple[str, ...]:
    """Modules to import before the clock starts."""
    return tuple(name for kind in kinds for name in IMPORTS.get(library, {}).get(kind, ()))
