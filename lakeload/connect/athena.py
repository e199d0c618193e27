"""Reading a published table with Amazon Athena: SQL written after its documentation, not run by tests."""

from __future__ import annotations

from lakeload.connect.target import Target, literal


def snippet(target: Target) -> str:
    """SQL that registers the table in Glue where it is not there yet, and reads it.

    Example:
        >>> print(snippet(Target("t", "default", "delta", "s3://lake/default/t")).splitlines()[-1])
        SELECT * FROM "default"."t";
    """
    if target.family != "aws" or target.options.get("aws_endpoint_url"):
        raise target.refuse(
            "Athena", "reads Amazon S3 only", "Choose another engine, or copy the lake to S3."
        )
    read = f'SELECT * FROM "{target.namespace}"."{target.name}";'
    head = "-- Not run by lakeload's tests."
    if target.place and target.place.kind == "glue":
        return f"{head}\n{read}"
    if target.format == "iceberg":
        raise target.refuse(
            "Athena", "reads Iceberg tables that are in Glue only", 'Load with catalog="glue://".'
        )
    return "\n".join(
        [
            head,
            f"CREATE DATABASE IF NOT EXISTS `{target.namespace}`;",
            f"CREATE EXTERNAL TABLE IF NOT EXISTS `{target.namespace}`.`{target.name}`",
            f"  LOCATION {literal(target.location + '/')}",
            "  TBLPROPERTIES ('table_type' = 'DELTA');",
            read,
        ]
    )
