"""What a version of an Iceberg table means to a load: its `TableState`, or why it is refused."""

from __future__ import annotations

from lakeload.errors import TableError
from lakeload.formats.iceberg_document import FORMAT_VERSION, Document, unsupported_version
from lakeload.formats.iceberg_layout import to_layout
from lakeload.formats.iceberg_position import sequences
from lakeload.formats.iceberg_schema import to_arrow
from lakeload.model.table import TableState


def read_state(document: Document, table: str) -> TableState:
    """The state of the table at a version.

    Args:
        document: The version.
        table: Table name, for messages.

    Raises:
        TableError: The table needs a feature that cannot be honoured.
    """
    _refuse_features(document, table)
    schema = document.schema
    return TableState(
        version=document.head,
        schema=to_arrow(schema, table),
        last_column_id=document.get("last-column-id"),
        layout=to_layout(document.spec, document.order, schema, table),
        properties=document.properties,
        sequences=sequences(document),
        handle=document,
    )


def _refuse_features(document: Document, table: str) -> None:
    version = document.get("format-version")
    if version != FORMAT_VERSION:
        raise unsupported_version(version, table)
    if document.properties.get("write.wap.enabled", "").lower() == "true":
        raise TableError(
            "the table asks for write-audit-publish (write.wap.enabled), which is not supported",
            table=table,
            hint="Unset the property, or load into another table.",
        )
