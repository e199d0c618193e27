"""One table of another engine, and what its rows must be: every step is done to both, then every engine is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest
from engines.enginelake import EngineLake, deviation
from engines.matrix import Matrix
from readers import assert_same_rows

import lakeload as ll

GROUP = "Tables of others"
ENGINES = {"delta": ("spark", "trino", "duckdb"), "iceberg": ("spark", "trino", "duckdb", "pyiceberg")}
COLUMNS = pa.schema([("id", pa.int64()), ("part", pa.string())])

Row = Mapping[str, Any]


@dataclass
class Foreign:
    """A table made and changed by others, with a model of its rows.

    Args:
        lake: Where it lies.
        form: Its format.
        columns: Its columns, in Arrow's types.
        rows: What it must hold.
    """

    lake: EngineLake
    form: str
    columns: pa.Schema = COLUMNS
    rows: list[Row] = field(default_factory=list)

    def spark(self, *statements: str) -> None:
        """Run statements in Spark, `{t}` being the table, `{at}` its place."""
        for text in statements:
            self.lake.engines.spark.run(self._filled("spark", text))

    def ask_spark(self, query: str) -> pa.Table:
        """The rows of a query, written in the same way."""
        return self.lake.engines.spark.query(self._filled("spark", query))

    def trino(self, *statements: str) -> list[tuple[Any, ...]]:
        """The same in Trino."""
        return [self.lake.engines.trino.query(self._filled("trino", text)).rows for text in statements][-1]

    def append(self, *rows: Row, **options: Any) -> ll.RunReport:
        """Load rows with lakeload."""
        self.rows = [*self.rows, *rows]
        return self.lake.load(self.table(rows), **options)

    def overwrite(self, *rows: Row) -> None:
        """Replace all rows with lakeload."""
        self.rows = list(rows)
        self.lake.load(self.table(rows), mode=ll.Overwrite())

    def overwrite_partitions(self, *rows: Row, by: str = "part") -> None:
        """Replace the partitions of these rows with lakeload."""
        touched = {row[by] for row in rows}
        self.rows = [*(row for row in self.rows if row[by] not in touched), *rows]
        self.lake.load(self.table(rows), mode=ll.Overwrite(partitions="dynamic"))

    def table(self, rows: Iterable[Row]) -> pa.Table:
        """The rows as Arrow."""
        return pa.Table.from_pylist([dict(row) for row in rows], schema=self.columns)

    def check(self, *without: str) -> None:
        """Fail unless lakeload and every engine, but for those named, see exactly the model's rows."""
        expected = self.table(self.rows)
        table = self.lake.table()
        assert_same_rows(table.to_arrow(), expected)
        assert_same_rows(table.to_polars().collect().to_arrow(), expected, types=False)
        for engine in ENGINES[self.form]:
            if engine not in without:
                adjust, _ = deviation(engine, self.form, expected)
                found = adjust(self.lake.read_by(engine, self.form))
                assert_same_rows(found, adjust(expected), types=False)

    def objects(self) -> dict[str, tuple[int, str]]:
        """Every object of the lake with size and content hash."""
        found = self.lake.filesystem.find(self.lake.root, detail=True)
        return {path: (entry["size"], entry["ETag"]) for path, entry in found.items()}

    def refuses(self, match: str, *rows: Row, **options: Any) -> ll.LakeloadError:
        """Fail unless a load is refused by name and with a way out, and not one object was touched."""
        before = self.objects(), self._pointer()
        with pytest.raises(ll.LakeloadError, match=match) as caught:
            self.lake.load(self.table(rows or [{"id": 99, "part": "a"}]), **options)
        assert caught.value.hint
        assert (self.objects(), self._pointer()) == before
        return caught.value

    def loads(self, matrix: Matrix, feature: str, note: str = "") -> None:
        """Write down that lakeload loads into such a table."""
        matrix.loads(GROUP, feature, self.form, note)

    def refused(self, matrix: Matrix, feature: str) -> None:
        """Write down that lakeload refuses such a table."""
        matrix.refused(GROUP, feature, self.form)

    def _pointer(self) -> str | None:
        return self.lake.metadata_location() if self.form == "iceberg" else None

    def _filled(self, engine: str, text: str) -> str:
        name = self.lake.sql_name(engine, self.form) if "{t}" in text else ""
        return text.replace("{t}", name).replace("{at}", self.lake.location())


def rows(*pairs: tuple[int, str | None], **more: Any) -> list[Row]:
    """Rows of `COLUMNS`, with the same further values in each.

    Example:
        >>> rows((1, "a"))
        [{'id': 1, 'part': 'a'}]
    """
    return [{"id": number, "part": part, **more} for number, part in pairs]
