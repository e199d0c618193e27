"""The catalogs of one lake: one for Iceberg tables, one for Delta tables, opened when first needed."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from lakeload import registry
from lakeload.errors import ConfigError
from lakeload.model.protocols import Catalog, DeltaCatalog
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store


class LakeCatalogs:
    """Catalogs by format.

    Args:
        store: Rooted at the lake.
        given: Catalog URI by format, as `lakeload.registry.parse_catalogs` gives them.
        options: Credentials and endpoint of the lake.
        now: The clock.

    Example:
        >>> utc = lambda: dt.datetime.now(dt.UTC)
        >>> LakeCatalogs(Store("/lake"), {}, StorageOptions(), utc).uris
        {}
    """

    def __init__(
        self,
        store: Store,
        given: Mapping[str, str],
        options: StorageOptions,
        now: Callable[[], dt.datetime],
    ) -> None:
        self.uris = dict(given)
        self._store, self._options, self._now = store, options, now
        self._opened: dict[object, Any] = {}
        self._opening = threading.RLock()

    @property
    def iceberg(self) -> Catalog:
        """The catalog of Iceberg tables: the one given, or a SQLite file in a local lake.

        Raises:
            ConfigError: None was given, and the lake is not local.
            CatalogError: It cannot be opened.
        """
        catalog: Catalog = self._once("iceberg", self._open_iceberg)
        return catalog

    @property
    def delta(self) -> DeltaCatalog | None:
        """The catalog of Delta tables; `None` when they are found by their paths alone."""
        catalog: DeltaCatalog | None = self._once("delta", self._open_delta)
        return catalog

    def iceberg_uri(self) -> str:
        """Where the catalog of Iceberg tables is.

        Raises:
            ConfigError: None was given, and the lake is not local.
        """
        if "iceberg" in self.uris:
            return self.uris["iceberg"]
        if not self._store.local:
            raise ConfigError(
                "Iceberg tables on object storage need a catalog",
                place=self._store.root,
                hint='Give catalog="rest+https://…", "postgresql://…", "hive://…" or "sqlite:///…".',
            )
        return f"sqlite:///{self._default}"

    @property
    def lent(self) -> bool:
        """Whether the catalog of Iceberg tables lets us into storage, of which we have no keys."""
        return not self._store.local and "iceberg" in self.uris and getattr(self.iceberg, "lends", False)

    def lent_store(self, namespace: str, name: str, location: str) -> Store:
        """A store with what the catalog lends for the place of that name; nothing is registered.

        Args:
            namespace: Namespace of the lake.
            name: A table, or what lies beside the tables.
            location: Root of the store.
        """
        catalog = cast("Any", self.iceberg)  # of those that lend
        store: Store = self._once(
            (namespace, name), lambda: Store(location, catalog.storage(namespace, name, location))
        )
        return store

    @property
    def iceberg_exists(self) -> bool:
        """False while the catalog would have to be created first, and so has no tables."""
        return "iceberg" in self.uris or (self._store.local and self._default.exists())

    @property
    def _default(self) -> Path:
        return Path(self._store.root) / "catalog.db"

    def _open_iceberg(self) -> Catalog:
        uri = self.iceberg_uri()
        if self._store.local:
            self._store.make_root()
        catalog: Catalog = registry.catalog_factory(uri)(uri, self._store.root, self._options, now=self._now)
        return catalog

    def _open_delta(self) -> DeltaCatalog | None:
        uri = self.uris.get("delta")
        if uri is None:
            return None
        catalog: DeltaCatalog = registry.delta_catalog_factory(uri)(
            uri, self._store.root, self._options, now=self._now
        )
        return catalog

    def _once(self, key: object, make: Callable[[], Any]) -> Any:
        """What was made under the key, or is now: by one thread, before others see it."""
        with self._opening:
            if key not in self._opened:
                self._opened[key] = make()
            return self._opened[key]
