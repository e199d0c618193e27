"""Reading a published table with Trino: a catalog's properties file, and the SQL."""

from __future__ import annotations

from lakeload.connect.dialects import for_hadoop, for_trino
from lakeload.connect.target import REFERENCE, Place, Target, literal

_SPELLED = r"${ENV:\1}"


def snippet(target: Target) -> str:
    """`etc/catalog/lake.properties` and the statements; Trino itself puts `${ENV:NAME}` in.

    Example:
        >>> print(snippet(Target("t", "default", "delta", "s3://lake/default/t")).splitlines()[1])
        connector.name=delta_lake
    """
    properties, statements = _delta(target) if target.format == "delta" else _iceberg(target)
    properties |= for_trino(target.shown, target.location)
    listed = [f"{key}={REFERENCE.sub(_SPELLED, value)}" for key, value in properties.items()]
    return "\n".join(["# etc/catalog/lake.properties", *listed, "", "-- SQL", *statements])


def _delta(target: Target) -> tuple[dict[str, str], list[str]]:
    place = target.place
    table = f'lake."{target.namespace}"."{target.name}"'
    read = f"SELECT * FROM {table};"
    properties = {"connector.name": "delta_lake"}
    if place and place.kind == "hive":
        return properties | {"hive.metastore": "thrift", "hive.metastore.uri": place.thrift}, [read]
    if place and place.kind == "glue":
        return properties | _glue(place), [read]
    # Without a catalog of its own the table is registered once, in Trino's own file of names.
    where = for_hadoop(target.location, target.options)
    root = for_hadoop(target.warehouse, target.options) or where.rsplit("/", 2)[0]
    if target.family == "":
        where, root = f"local://{where}", f"local://{root}"
    properties |= {
        "hive.metastore": "file",
        "hive.metastore.catalog.dir": f"{root}/_trino",
        "delta.register-table-procedure.enabled": "true",
    }
    where_names = literal(f"{root}/_trino/{target.namespace}")
    return properties, [
        f'CREATE SCHEMA IF NOT EXISTS lake."{target.namespace}" WITH (location = {where_names});',
        "-- once:",
        f"CALL lake.system.register_table('{target.namespace}', '{target.name}', {literal(where)});",
        read,
    ]


def _iceberg(target: Target) -> tuple[dict[str, str], list[str]]:
    place = target.place
    if place is None:
        raise target.refuse("Trino", "finds Iceberg tables in a catalog only", "Give the catalog's URI.")
    properties = {"connector.name": "iceberg"}
    match place.kind:
        case "sql":
            properties |= _jdbc(place, target)
        case "rest":
            properties |= _rest(place)
        case "hive":
            properties |= {"iceberg.catalog.type": "hive_metastore", "hive.metastore.uri": place.thrift}
        case "glue":
            glue = _glue(place)
            del glue["hive.metastore"]
            properties |= {"iceberg.catalog.type": "glue", **glue}
        case _:
            raise target.refuse("Trino", f"has no settings here for {place.kind}", "See its documentation.")
    return properties, [f'SELECT * FROM lake."{target.namespace}"."{target.name}";']


def _jdbc(place: Place, target: Target) -> dict[str, str]:
    url, user, password = place.jdbc
    if not url.startswith("jdbc:postgresql:"):
        raise target.refuse(
            "Trino", "has no driver for SQLite", "Keep the catalog in PostgreSQL, or in a REST server."
        )
    prefix = "iceberg.jdbc-catalog."
    found = {
        "iceberg.catalog.type": "jdbc",
        f"{prefix}driver-class": "org.postgresql.Driver",
        f"{prefix}connection-url": url,
        f"{prefix}catalog-name": place.settings.get("catalog", "default"),
        f"{prefix}default-warehouse-dir": for_hadoop(target.warehouse, target.options),
    }
    found |= {f"{prefix}connection-user": user} if user else {}
    return found | ({f"{prefix}connection-password": password} if password else {})


def _rest(place: Place) -> dict[str, str]:
    prefix = "iceberg.rest-catalog."
    found = {"iceberg.catalog.type": "rest", f"{prefix}uri": place.address}
    for key in ("warehouse", "prefix"):
        if key in place.settings:
            found[f"{prefix}{key}"] = place.settings[key]
    given = {key: place.settings[key] for key in ("credential", "token", "scope") if key in place.settings}
    if given:
        found[f"{prefix}security"] = "OAUTH2"
        found |= {f"{prefix}oauth2.{key}": value for key, value in given.items()}
    if "credential" in given:
        server = place.settings.get("oauth2-server-uri", f"{place.address}/v1/oauth/tokens")
        found[f"{prefix}oauth2.server-uri"] = server
    return found


def _glue(place: Place) -> dict[str, str]:
    found = {"hive.metastore": "glue"}
    if region := place.settings.get("region"):
        found["hive.metastore.glue.region"] = region
    if account := place.address.partition("//")[2]:
        found["hive.metastore.glue.catalogid"] = account
    return found
