"""A lake under test: load into it through the public face, read it back with engines that did not write it."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
from readers import (
    assert_same_rows,
    delta_readers,
    iceberg_readers,
    pyiceberg_properties,
    read_delta,
    read_iceberg,
    with_null_lists_empty,
)

import lakeload as ll

PROGRAM = str(Path(sysconfig.get_path("scripts")) / "lakeload")
"""The command line program, as installed."""


@dataclass(frozen=True)
class Place:
    """One lake: its formats, its root, and how to reach it."""

    formats: tuple[str, ...]
    root: str
    storage: Mapping[str, str] | None = None
    catalog: str | None = None
    namespace: str = "default"

    def lake(self, **options: Any) -> ll.Lakehouse:
        """The lake, opened anew: nothing is remembered from an earlier handle."""
        given: dict[str, Any] = {
            "format": self.formats if len(self.formats) > 1 else self.formats[0],
            "catalog": self.catalog,
            "storage_options": dict(self.storage) if self.storage else None,
            "namespace": self.namespace,
        }
        return ll.Lakehouse(self.root, **(given | options))

    def load(self, data: Any, table: str = "t", **options: Any) -> ll.RunReport:
        """One load with a lake handle of its own."""
        return ll.load(data, self.lake(), table=table, **options)

    def table(self, name: str = "t") -> Any:
        """The table, by a fresh handle."""
        return self.lake().table(name)

    def location(self, table: str = "t") -> str:
        """Root of the table."""
        return f"{self.root}/{self.namespace}/{table}"

    def read(self, table: str = "t") -> dict[str, pa.Table]:
        """The rows as every reader of every format sees them, and as lakeload itself gives them back."""
        found = {
            "lakeload": self.table(table).to_arrow(),
            "lakeload polars": self.table(table).to_polars().collect().to_arrow(),
        }
        if "delta" in self.formats:
            uri = self.location(table)
            found |= {
                f"delta by {name}": read_delta(uri, self.storage, engine=name) for name in delta_readers
            }
        if "iceberg" in self.formats:
            metadata = self.metadata_location(table)
            found |= {
                f"iceberg by {name}": read_iceberg(metadata, self.storage, engine=name)
                for name in iceberg_readers
            }
        return found

    def holds(self, expected: pa.Table, table: str = "t", *, types: bool = True) -> None:
        """Fail unless every reader sees exactly these rows."""
        hidden = self.hidden_columns(table)
        for reader, found in self.read(table).items():
            rows, wanted = found, expected
            if reader == "iceberg by pyiceberg":
                rows, wanted = with_null_lists_empty(found), with_null_lists_empty(expected)
            try:
                assert_same_rows(
                    rows.drop_columns([name for name in hidden if name in rows.column_names]),
                    wanted,
                    types=types,
                )
            except AssertionError as error:
                raise AssertionError(f"read by {reader}: {error}") from error

    def hidden_columns(self, table: str = "t") -> list[str]:
        """Generated partition columns: Delta readers show them, they are no part of the data."""
        own = set(self.table(table).schema().names)
        return (
            [name for name in self.delta(table).schema().to_arrow().names if name not in own]
            if "delta" in self.formats
            else []
        )

    def delta(self, table: str = "t") -> Any:
        """deltalake's view of the table."""
        from deltalake import DeltaTable

        options = {**self.storage, "aws_allow_http": "true"} if self.storage else None
        return DeltaTable(self.location(table), storage_options=options)

    @contextmanager
    def iceberg_catalog(self) -> Iterator[Any]:
        """pyiceberg's own connection to the SQL catalog of the lake."""
        from pyiceberg.catalog.sql import SqlCatalog

        uri = self.catalog or f"sqlite:///{self.catalog_file()}"
        catalog = SqlCatalog("default", uri=uri, warehouse=self.root, **pyiceberg_properties(self.storage))
        try:
            yield catalog
        finally:
            catalog.engine.dispose()

    def catalog_file(self) -> Path:
        """The SQLite file a local lake keeps its names in."""
        (found,) = [
            path for path in Path(self.root).iterdir() if path.is_file() and path.suffix in (".db", ".sqlite")
        ]
        return found

    def iceberg(self, table: str = "t") -> Any:
        """pyiceberg's view of the table; good for reading."""
        with self.iceberg_catalog() as catalog:
            return catalog.load_table((self.namespace, table))

    def iceberg_append(self, rows: pa.Table, table: str = "t") -> None:
        """Append as another program would: with pyiceberg."""
        with self.iceberg_catalog() as catalog:
            catalog.load_table((self.namespace, table)).append(rows)

    def metadata_location(self, table: str = "t") -> str:
        """Current metadata file of the Iceberg table."""
        return str(self.iceberg(table).metadata_location)

    def versions(self, table: str = "t") -> dict[str, int | None]:
        """Newest version by format: Delta's version, Iceberg's number of metadata commits."""
        found: dict[str, int | None] = {}
        if "delta" in self.formats:
            found["delta"] = self.delta(table).version()
        if "iceberg" in self.formats:
            found["iceberg"] = len(self.iceberg(table).metadata.snapshots)
        return found

    def exists(self, table: str = "t") -> bool:
        """True when the lake knows the table."""
        return table in self.lake().tables()

    @property
    def filesystem(self) -> Any:
        """A filesystem of our own over the place."""
        if not self.storage:
            return fsspec.filesystem("file")
        return fsspec.filesystem(
            "s3",
            key=self.storage["aws_access_key_id"],
            secret=self.storage["aws_secret_access_key"],
            client_kwargs={
                "endpoint_url": self.storage["aws_endpoint_url"],
                "region_name": self.storage["aws_region"],
            },
            use_listings_cache=False,
        )

    def data_files(self, table: str = "t") -> dict[str, int]:
        """Every Parquet file below the table, referenced or not, with its size."""
        found = self.filesystem.find(self.location(table), detail=True)
        return {
            path: entry["size"]
            for path, entry in found.items()
            if path.endswith(".parquet") and "/_delta_log/" not in path
        }
