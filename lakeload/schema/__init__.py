"""Schemas of tables in the words of others: JSON Schema, pydantic, SQL, dbt.

Beside the line extract → normalize → write → commit: everything here is text made of a `pyarrow.Schema`, and
touches no table.
"""

from __future__ import annotations

from lakeload.schema.dbt import to_dbt
from lakeload.schema.json_schema import to_json_schema
from lakeload.schema.pydantic_source import to_pydantic
from lakeload.schema.sql import DIALECTS, to_ddl

__all__ = ["DIALECTS", "to_dbt", "to_ddl", "to_json_schema", "to_pydantic"]
