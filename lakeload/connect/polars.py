"""Reading a published table with Polars: a Python program."""

from __future__ import annotations

from lakeload.connect.target import Place, Target, imports, mapping, python
from lakeload.places import is_plain


def snippet(target: Target) -> str:
    """Python that reads the table; Iceberg tables need pyiceberg beside Polars.

    Example:
        >>> print(snippet(Target("t", "default", "delta", "/lake/default/t")).splitlines()[-2])
        frame = pl.scan_delta("/lake/default/t")
    """
    storage = target.shown.for_object_store(target.location) if target.family else {}
    lines = [f"storage = {mapping(storage)}"] if storage else []
    options = ", storage_options=storage" if storage else ""
    if target.format == "delta":
        # Polars looks for files by the place as a URL, and takes folders like env=prod for partitions.
        by_arrow = "" if is_plain(target.location) else ", use_pyarrow=True"
        lines.append(f"frame = pl.scan_delta({python(target.location)}{options}{by_arrow})")
        return imports("\n".join([*lines, "print(frame.collect())"]), "import polars as pl")
    if target.place is None:
        raise target.refuse("pyiceberg", "finds Iceberg tables in a catalog only", "Give the catalog's URI.")
    name, properties = _catalog(target.place, target)
    lines += [
        f"catalog = load_catalog({python(name)}, **{mapping(properties)})",
        f"table = catalog.load_table(({python(target.namespace)}, {python(target.name)}))",
        f'frame = pl.scan_iceberg(table, reader_override="native"{options})',
        "print(frame.collect())",
    ]
    return imports("\n".join(lines), "import polars as pl", "from pyiceberg.catalog import load_catalog")


def _catalog(place: Place, target: Target) -> tuple[str, dict[str, str]]:
    """The catalog's name and properties for pyiceberg."""
    name = "lake"
    match place.kind:
        case "sql":
            name = place.settings.get("catalog", "default")
            properties = {
                "type": "sql",
                "uri": place.address.replace("postgresql://", "postgresql+psycopg2://"),
            }
        case "rest":
            properties = {"type": "rest", "uri": place.address, **place.settings}
            if "credential" in place.settings:
                properties.setdefault("oauth2-server-uri", f"{place.address}/v1/oauth/tokens")
        case "hive":
            properties = {"type": "hive", "uri": place.address.replace("hive://", "thrift://")}
        case "glue":
            properties = {"type": "glue"}
            if account := place.address.partition("//")[2]:
                properties["glue.id"] = account
            if region := place.settings.get("region"):
                properties["glue.region"] = region
        case _:
            raise target.refuse(
                "pyiceberg", f"has no settings here for {place.kind}", "See its documentation."
            )
    return name, {**properties, **target.shown.for_pyiceberg()}
