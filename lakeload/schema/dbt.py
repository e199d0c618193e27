"""Tables as a dbt properties file: sources, or models (https://docs.getdbt.com/reference/configs-and-properties).

Columns carry their SQL type, the name they have in the source, and a `not_null` test where they are required.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pyarrow as pa

from lakeload.errors import ConfigError
from lakeload.schema.described import description
from lakeload.schema.sql_types import checked_dialect, sql_type


def to_dbt(
    tables: Mapping[str, pa.Schema],
    *,
    kind: Literal["sources", "models"] = "sources",
    source: str = "lake",
    namespace: str = "default",
    dialect: str = "spark",
) -> str:
    """A properties file for some tables.

    Args:
        tables: Columns by table name, in the order to write.
        kind: `sources` (tables dbt reads) or `models` (tables dbt makes).
        source: Name of the source, for `sources`.
        namespace: Namespace of the tables; dbt calls it schema. For `sources`.
        dialect: Whose types the columns get, see `lakeload.schema.sql_types`.

    Returns:
        YAML, for dbt 1.8 or later (`data_tests`).

    Raises:
        ConfigError: There is no such kind or dialect.
        SchemaError: The dialect has no type for a column.

    Example:
        >>> print(to_dbt({"t": pa.schema([("id", pa.int64())])}, kind="models"))
        version: 2
        models:
          - name: t
            columns:
              - name: id
                data_type: BIGINT
        <BLANKLINE>
    """
    words = checked_dialect(dialect)
    if kind not in ("sources", "models"):
        raise ConfigError(f"{kind!r} is no part of a dbt project", hint='Use "sources" or "models".')
    listed = [
        {
            "name": name,
            "columns": [_column(field, sql_type(field.type, words, (field.name,))) for field in schema],
        }
        for name, schema in tables.items()
    ]
    content = (
        {"models": listed}
        if kind == "models"
        else {"sources": [{"name": source, "schema": namespace, "tables": listed}]}
    )
    return _yaml({"version": 2, **content})


def _column(field: pa.Field, kind: str) -> dict[str, Any]:
    text = description(field)
    return {
        "name": field.name,
        **({} if field.name.isidentifier() and field.name.islower() else {"quote": True}),
        "data_type": kind,
        **({} if text is None else {"description": text}),
        **({} if field.nullable else {"data_tests": ["not_null"]}),
    }


def _yaml(content: dict[str, Any]) -> str:
    import yaml

    class Indented(yaml.SafeDumper):
        """Lists one step in, as dbt's own files have them."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - the library's signature
            super().increase_indent(flow, False)

    text: str = yaml.dump(content, Dumper=Indented, sort_keys=False, allow_unicode=True, width=1 << 20)
    return text
