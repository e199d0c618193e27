"""Reading a published table with DuckDB: a Python program; the SQL in it does the same in DuckDB's shell."""

from __future__ import annotations

from lakeload.connect.dialects import for_duckdb
from lakeload.connect.target import Place, Target, imports, literal, python


def snippet(target: Target) -> str:
    """Python that reads the table; DuckDB fetches the extensions the first time.

    Example:
        >>> print(snippet(Target("t", "default", "delta", "/lake/default/t")).splitlines()[-2])
        rows = connection.sql("SELECT * FROM delta_scan('/lake/default/t')")
    """
    statements, read = _delta(target) if target.format == "delta" else _iceberg(target)
    lines = ["connection = duckdb.connect()"]
    lines += [f"connection.execute({python(statement)})" for statement in statements]
    lines += [f"rows = connection.sql({python(read)})", "rows.show()"]
    return imports("\n".join(lines), "import duckdb")


def _secret(target: Target) -> list[str]:
    statement = for_duckdb(target.shown, target.location)
    return [statement] if statement else []


def _delta(target: Target) -> tuple[list[str], str]:
    return _secret(target), f"SELECT * FROM delta_scan({literal(target.location)})"


def _iceberg(target: Target) -> tuple[list[str], str]:
    place = target.place
    name = f'lake."{target.namespace}"."{target.name}"'
    if place and place.kind == "rest":
        return [*_secret(target), *_attach(place)], f"SELECT * FROM {name}"
    if place and place.kind == "glue":
        account = place.address.partition("//")[2]
        attach = f"ATTACH {literal(account)} AS lake (TYPE iceberg, ENDPOINT_TYPE glue)"
        return [*_secret(target), attach], f"SELECT * FROM {name}"
    if not target.metadata:
        raise target.refuse("DuckDB", "needs the table's metadata file", "Run this where the catalog is.")
    # DuckDB cannot ask such a catalog; the file named here is the newest version at this moment.
    return _secret(target), f"SELECT * FROM iceberg_scan({literal(target.metadata)})"


def _attach(place: Place) -> list[str]:
    given = place.settings
    terms = ["TYPE iceberg", f"ENDPOINT {literal(place.address)}"]
    if "credential" in given:
        server = given.get("oauth2-server-uri", f"{place.address}/v1/oauth/tokens")
        secret = (
            "CREATE OR REPLACE SECRET catalog (TYPE iceberg, CLIENT_ID '${LAKE_CATALOG_CLIENT_ID}', "
            f"CLIENT_SECRET '${{LAKE_CATALOG_CLIENT_SECRET}}', OAUTH2_SERVER_URI {literal(server)})"
        )
        terms.append("SECRET catalog")
    elif "token" in given:
        secret = f"CREATE OR REPLACE SECRET catalog (TYPE iceberg, TOKEN {literal(given['token'])})"
        terms.append("SECRET catalog")
    else:
        secret = ""
        terms.append("AUTHORIZATION_TYPE none")
    warehouse = literal(given.get("warehouse", ""))
    attach = f"ATTACH {warehouse} AS lake ({', '.join(terms)})"
    return [secret, attach] if secret else [attach]
