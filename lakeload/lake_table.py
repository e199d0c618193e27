"""One table of a lakehouse, to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lakeload.errors import ConfigError, TableError
from lakeload.given import unsuitable
from lakeload.html import table
from lakeload.model.files import LiveFile
from lakeload.model.layout import Layout
from lakeload.model.protocols import Table
from lakeload.model.schema import without_ids
from lakeload.model.schema_history import SchemaVersion, history
from lakeload.model.table import TableState, Version
from lakeload.model.without_pandas import let_in
from lakeload.write.schema_notes import read_notes

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


class LakeTable:
    """One table of a lakehouse, to read: what `Lakehouse.table` gives. Every call sees the newest version.

    Args:
        table: The table behind it.

    Raises:
        TableError: By every method, when the table is gone or needs a feature that cannot be honoured.
        StorageError: By every method, when the place cannot be read.

    Example:
        >>> import tempfile, lakeload
        >>> lake = lakeload.Lakehouse(tempfile.mkdtemp())
        >>> report = lakeload.load([{"id": 1}, {"id": 2}], lake, table="numbers")
        >>> lake.table("numbers").to_arrow(["id"]).num_rows
        2
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def __repr__(self) -> str:
        return f"LakeTable({self._table.location!r}, {'+'.join(self._table.formats)})"

    def _repr_html_(self) -> str:
        rows = [(field.name, field.type, "" if field.nullable else "required") for field in self.schema()]
        return table(f"{self._table.name}, {'+'.join(self.formats)}", ["column", "type", ""], rows)

    @property
    def location(self) -> str:
        """Root of the table: absolute path or URI."""
        self._state()  # a catalog may have put it elsewhere than the lake would
        return self._table.location

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats the table is published in."""
        return self._table.formats

    def schema(self) -> pa.Schema:
        """Columns and their types."""
        return without_ids(self._state().schema)

    def layout(self) -> Layout:
        """Partitioning and sort order."""
        return self._state().layout

    def version(self) -> int | None:
        """Newest version: of Delta, the Iceberg snapshot id where there is no Delta."""
        return self._state().version

    def files(self) -> Sequence[LiveFile]:
        """Live data files with sizes in bytes, rows and partition values."""
        return self._table.files(self._state())

    def history(self) -> Sequence[Version]:
        """Versions, newest first."""
        return self._table.history()

    def schema_history(self) -> Sequence[SchemaVersion]:
        """Schemas the table has had, newest first, with what changed from one to the next.

        Put together from the table's log and from the notes loads leave beside the table, see the guide on
        schema changes. Reads every log entry there is. Of a table in both formats the Delta side is told.

        Example:
            >>> import tempfile, lakeload
            >>> lake = lakeload.Lakehouse(tempfile.mkdtemp())
            >>> for row in ({"id": 1}, {"id": 2, "name": "b"}):
            ...     report = lakeload.load([row], lake, table="t", load_columns=False)
            >>> for found in lake.table("t").schema_history():
            ...     print(found.version, found.created, [str(change) for change in found.changes])
            1 False ['added name string']
            0 True []
        """
        self._state()
        return history(self._table.schemas(), read_notes(self._table.store))

    def properties(self) -> dict[str, str]:
        """Table properties."""
        return dict(self._state().properties)

    def positions(self) -> dict[str, int]:
        """Sequence number of the last load of every pipeline that wrote here."""
        return dict(self._state().sequences)

    def scan(self, columns: Sequence[str] | None = None) -> pa.RecordBatchReader:
        """Stream the rows as Arrow record batches, in no promised order.

        Args:
            columns: Names of the columns to read; all, in table order, when `None`.

        Returns:
            A reader over the version that is newest now.

        Raises:
            TableError: There is no such column.
        """
        return self._table.scan(self._state(), columns)

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The whole table in memory; arguments and errors as of `scan`."""
        return self.scan(columns).read_all()

    def head(self, rows: int = 5) -> pa.Table:
        """A few rows, in no promised order: as many as asked for, or all there are.

        Raises:
            ConfigError: It is no number of rows.

        Example:
            >>> import tempfile, lakeload
            >>> lake = lakeload.Lakehouse(tempfile.mkdtemp())
            >>> report = lakeload.load([{"id": 1}, {"id": 2}], lake, table="numbers", load_columns=False)
            >>> lake.table("numbers").head(1).num_rows
            1
        """
        import pyarrow as pa

        if isinstance(rows, bool) or not isinstance(rows, int) or rows < 0:
            raise unsuitable(rows, "rows", "how many rows")
        found, taken = list[pa.RecordBatch](), 0
        reader = self.scan()
        for batch in reader:
            if taken >= rows:
                break
            found.append(batch.slice(0, rows - taken))
            taken += found[-1].num_rows
        return pa.Table.from_batches(found, reader.schema)

    def count(self) -> int:
        """How many rows there are; reads one column."""
        return sum(batch.num_rows for batch in self.scan(self.schema().names[:1]))

    def to_pandas(self, columns: Sequence[str] | None = None) -> Any:
        """The whole table as a pandas `DataFrame`; arguments and errors as of `scan`.

        Raises:
            ConfigError: pandas is not installed.
        """
        let_in()
        try:
            return self.to_arrow(columns).to_pandas()
        except ImportError as error:
            raise ConfigError("pandas is not installed", hint="Install it, or use to_polars().") from error

    def to_polars(self) -> pl.LazyFrame:
        """A lazy frame, read natively by Polars."""
        return self._table.lazy(self._state())

    def to_duckdb(self, connection: Any = None) -> Any:
        """A DuckDB relation over the rows in memory; needs the extra `lakeload[duckdb]`.

        Args:
            connection: An open DuckDB connection; the default one when `None`.

        Returns:
            A `duckdb.DuckDBPyRelation`.

        Raises:
            ConfigError: DuckDB is not installed.
        """
        try:
            import duckdb
        except ImportError as error:
            raise ConfigError("DuckDB is not installed", hint="Install lakeload[duckdb].") from error
        return (connection or duckdb).from_arrow(self.to_arrow())

    def _state(self) -> TableState:
        state = self._table.load()
        if state is None:
            raise TableError(
                "there is no such table any more",
                table=self._table.name,
                hint="It was dropped, or deleted from disk; load into it to make it again.",
            )
        return state
