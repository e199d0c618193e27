"""A lakehouse: one place, one namespace, one or two table formats, and the catalogs that know its tables."""

from __future__ import annotations

import datetime as dt
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lakeload import registry
from lakeload.commit import register
from lakeload.commit.journal import Journal
from lakeload.errors import CatalogError, ConfigError, LakeloadError, TableError
from lakeload.given import text as checked_text
from lakeload.given import unsuitable
from lakeload.html import table
from lakeload.lake_catalogs import LakeCatalogs
from lakeload.lake_table import LakeTable
from lakeload.model.protocols import Table
from lakeload.model.table import TableState
from lakeload.places import lake_root
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

if TYPE_CHECKING:
    from lakeload.formats.iceberg import IcebergTable

JOURNALS = "_lakeload/_journal"
"""Folder below a namespace that holds the journals of pipelines. Table buckets take no other names."""

_LONGEST_PIPELINE = 140
"""Bytes of UTF-8: room for what `lakeload.load` puts before a table name of any length."""


def utc_now() -> dt.datetime:
    """The wall clock; everything else receives it as an argument."""
    return dt.datetime.now(dt.UTC)


class Lakehouse:
    """A place for tables: a local folder or an S3 prefix.

    Tables lie at `<root>/<namespace>/<table>`. Delta tables need nothing else. Iceberg tables are
    registered in a catalog: by default, in a local lake, the SQLite file `<root>/catalog.db`.

    Args:
        root: Local path, `s3://bucket/prefix`, `gs://bucket/prefix`, or
            `abfss://container@account.dfs.core.windows.net/prefix`.
        format: `"delta"`, `"iceberg"`, or both as `("delta", "iceberg")` or `"both"`. `None`: what a table
            has, and Delta for new ones.
        catalog: Where tables are registered by name: `sqlite:///path`, `postgresql://…`, `rest+http(s)://…`
            (Iceberg), `hive://host:port`, `glue://` (either format), or one by format as
            `{"delta": "hive://…", "iceberg": "rest+https://…"}`. Needed for Iceberg on object storage.
        storage_options: Credentials and endpoint, keys as in `lakeload.storage_options.STORAGE_KEYS`. What is
            missing is taken from the usual AWS places.
        namespace: Namespace of the tables.
        now: Clock, for tests.

    Raises:
        ConfigError: An argument cannot be used.

    Example:
        >>> import tempfile
        >>> lake = Lakehouse(tempfile.mkdtemp(), format="both")
        >>> lake.formats, lake.tables()
        (('delta', 'iceberg'), [])
    """

    def __init__(
        self,
        root: str | Path,
        *,
        format: registry.Format | tuple[str, ...] | list[str] | None = None,  # noqa: A002 - the word users look for
        catalog: str | Mapping[str, str] | None = None,
        storage_options: Mapping[str, str] | None = None,
        namespace: str = "default",
        now: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        self.root, self.options = _root(root, storage_options)
        self.formats = registry.parse_formats("delta" if format is None else format)
        self._asked = format is not None
        self._found: dict[str, tuple[str, ...]] = {}
        self.namespace = _checked_namespace(namespace)
        self.now = now
        self._store = Store(self.root, self.options)
        given = registry.parse_catalogs(catalog, self.formats)
        self.catalogs = LakeCatalogs(self._store, given, self.options, now)
        self._open: dict[tuple[str, tuple[str, ...]], Table] = {}
        if "iceberg" in self.formats:
            self.catalogs.iceberg_uri()

    def __repr__(self) -> str:
        return f"Lakehouse({self.root!r}, format={'+'.join(self.formats)!r}, namespace={self.namespace!r})"

    def _repr_html_(self) -> str:
        rows = [(name, ", ".join(self.readable(name)) or "not registered") for name in self.tables()]
        return table(f"{self.root}, namespace {self.namespace}", ["table", "formats"], rows)

    def table(self, name: str) -> LakeTable:
        """A table to read.

        Raises:
            TableError: There is no such table, or only as Iceberg metadata no catalog of this lake knows.
        """
        formats = self.readable(name)
        if formats:
            return LakeTable(self.open(name, formats))
        if self._folders(name):
            raise TableError(
                "the catalog does not know the table",
                table=name,
                place=self.location(name),
                hint="Give the catalog that does, or register the table with `lakeload register`.",
            )
        there = ", ".join(self.tables()) or "none"
        raise TableError("there is no such table", table=name, hint=f"Tables here: {there}.")

    def tables(self) -> list[str]:
        """Names of the tables in the namespace, sorted."""
        # What a catalog lends opens one table at a time: the folder above them stays closed.
        below = [] if self.catalogs.lent else self._store.names(self.namespace)
        found = {name for name in below if not name.startswith((".", "_"))}
        return sorted({name for name in found if self._folders(name)} | self._registered())

    def readable(self, name: str) -> tuple[str, ...]:
        """Formats a table can be read in: as Iceberg only when a catalog of this lake knows it."""
        found = self._folders(_checked_name(name))
        known = {"delta"} & set(found) | ({"iceberg"} if name in self._registered() else set())
        return tuple(form for form in registry.FORMATS if form in known)

    def _formats(self, name: str) -> tuple[str, ...]:
        """Formats a table is found in, whether a catalog knows of it or not."""
        found = {*self._folders(name), *self.readable(name)}
        return tuple(form for form in registry.FORMATS if form in found)

    def writes(self, name: str) -> tuple[str, ...]:
        """Formats loads write a table in: those of the lake, or, where none were asked for, those it has.

        A table that is not there yet follows the one it belongs to, as `orders__quarantine` follows `orders`.
        """
        _checked_name(name)
        if self._asked:
            return self.formats
        if name not in self._found:
            parts = name.split("__")
            above = ["__".join(parts[:length]) for length in range(len(parts), 0, -1)]
            found = (self._existing(one) for one in above if one)
            self._found[name] = next((formats for formats in found if formats), self.formats)
        return self._found[name]

    def _existing(self, name: str) -> tuple[str, ...]:
        """Formats a table has; a catalog that does not answer holds up no load into Delta tables."""
        try:
            return self.readable(name)
        except CatalogError:
            there = self._folders(name)
            if "iceberg" in there:
                raise
            return there

    def open(self, name: str, formats: tuple[str, ...] | None = None) -> Table:
        """The table behind a name, existing or not, for loading into it."""
        key = (name, registry.parse_formats(formats) if formats else self.writes(name))
        _checked_name(name)
        if key not in self._open:
            self._open[key] = self._make(*key)
        return self._open[key]

    def check(self, name: str, state: TableState | None) -> None:
        """Refuse to publish a table in other formats than it already has, or beside one no catalog knows.

        Raises:
            TableError: The table exists in another format, in one more, or outside the catalog.
            CatalogError: The catalog of Iceberg tables did not answer, and the lake writes Iceberg.
        """
        own = self.writes(name)
        try:
            found = self._formats(name)
        except CatalogError:
            if "iceberg" in own:
                raise
            found = self._folders(name)
        lacking = [form for form in own if state and state.sides and form not in state.sides]
        if lacking:
            raise TableError(
                f"the table is not known as {lacking[0]}",
                table=name,
                place=self.location(name),
                hint="If it was dropped from its catalog, register it again (lakeload register); else load "
                f"with format={next(iter(state.sides)) if state else ''}. If another run is creating the "
                "table right now, run again.",
            )
        if found and found != own and (state is not None or set(found) - set(own)):
            raise TableError(
                f"the table is {' and '.join(found)}, this lakehouse writes {' and '.join(own)}",
                table=name,
                place=self.location(name),
                hint=f"Load with format={found[0] if len(found) == 1 else 'both'}, or under another name. "
                "If another run is creating the table right now, run again.",
            )
        if "iceberg" in found and "iceberg" in own and state is None and self._unregistered(name):
            raise TableError(
                "Iceberg metadata lies there, but the catalog does not know the table",
                table=name,
                place=self.location(name),
                hint="Give the catalog that knows it, register it with `lakeload register`, run the pipeline "
                "that was creating it again, or delete the folder.",
            )

    def check_name(self, name: str) -> None:
        """Refuse a name the catalog of Delta tables gives to something else.

        A catalog that does not answer refuses nothing: after the load it is asked again.

        Raises:
            TableError: The name is taken by a table of another kind or at another place.
        """
        catalog = self.catalogs.delta
        if catalog is not None and "delta" in self.writes(name):
            with suppress(CatalogError):
                register.check(catalog, self.namespace, name, self.location(name))

    def sync(self, names: Iterable[str]) -> dict[str, LakeloadError]:
        """Bring the catalog entries of Delta tables up to date; does nothing without a catalog for them.

        Every load does this for its tables. Tables that do not exist are passed over.

        Returns:
            By table why its entry is behind. The next load tries again.
        """
        catalog, failed = self.catalogs.delta, dict[str, LakeloadError]()
        for name in dict.fromkeys(names) if catalog is not None else ():
            try:
                self._sync(name, replace=False)
            except LakeloadError as error:
                failed[name] = error
            except Exception as error:  # noqa: BLE001 - the rows are published; no catalog may hold that up
                failed[name] = CatalogError(f"the entry cannot be made: {type(error).__name__}", table=name)
        return failed

    def register(self, name: str, *, replace: bool = False) -> tuple[str, ...]:
        """Give an existing table its name in the catalogs of this lake.

        For Delta the entry is made or brought up to date; for Iceberg the newest metadata file below the
        table's folder is registered, when the catalog does not know the name yet.

        Args:
            name: Table name.
            replace: Take over a Delta entry that points to another place.

        Returns:
            The formats that were registered, or whose entry changed; empty when all was well.

        Raises:
            TableError: There is no such table, or its name belongs to something else.
            ConfigError: The lake has no catalog that could know the table.
            CatalogError: A catalog refused or did not answer.
        """
        found = self._folders(_checked_name(name))
        if not found:
            raise TableError(
                "no table lies there", table=name, place=self.location(name), hint="Check its name."
            )
        if not set(found) & set(self.catalogs.uris):
            raise ConfigError(
                f"this lake has no catalog for {' and '.join(found)} tables", hint='Give catalog="…".'
            )
        done = []
        if "delta" in found and "delta" in self.catalogs.uris and self._sync(name, replace=replace):
            done.append("delta")
        if "iceberg" in found and "iceberg" in self.catalogs.uris and name not in self._registered():
            from lakeload.formats.iceberg_newest import newest_metadata

            self.catalogs.iceberg.register(self.namespace, name, newest_metadata(self.store(name)))
            done.append("iceberg")
        return tuple(done)

    def drop(self, name: str, *, purge: bool = False) -> None:
        """Forget a table in the catalogs of this lake; with `purge`, delete its files too.

        Args:
            name: Table name.
            purge: Delete everything below the table's folder. This cannot be undone.

        Raises:
            TableError: There is no such table, or, without `purge`, no catalog knows it.
            CatalogError: A catalog refused or did not answer; no file was deleted.
            StorageError: Files cannot be deleted.
        """
        known = _checked_name(name) in self._registered()
        entry = self.catalogs.delta.find(self.namespace, name) if self.catalogs.delta else None
        if not (known or entry or (purge and self._folders(name))):
            raise TableError(
                "no catalog of this lake knows the table",
                table=name,
                hint="Its folder is all there is of it: --purge (purge=True) deletes that."
                if self._folders(name)
                else f"Tables here: {', '.join(self.tables()) or 'none'}.",
            )
        if known:
            self.catalogs.iceberg.drop(self.namespace, name)
        if self.catalogs.delta and entry and entry.provider == "delta":
            self.catalogs.delta.drop(self.namespace, name)
        self._found.pop(name, None)
        self._open = {key: table for key, table in self._open.items() if key[0] != name}
        if purge:
            self.store(name).delete_all()

    def drift(self, name: str) -> dict[str, tuple[str, ...]]:
        """In what the catalogs of this lake differ from a table, by format; empty where there is no catalog.

        Raises:
            CatalogError: A catalog refused or did not answer.
            TableError: The table cannot be read.
        """
        found = dict[str, tuple[str, ...]]()
        folders = self._folders(_checked_name(name))
        if "iceberg" in folders and self.catalogs.iceberg_exists:
            found["iceberg"] = () if name in self._registered() else ("not registered",)
        catalog = self.catalogs.delta
        state = self.open(name, ("delta",)).load() if catalog and "delta" in folders else None
        if catalog is not None and state is not None:
            found["delta"] = register.drift(catalog, self.namespace, name, self.location(name), state)
        return found

    def _sync(self, name: str, *, replace: bool) -> bool:
        catalog, state = self.catalogs.delta, self.open(name, ("delta",)).load()
        if catalog is None or state is None:
            return False
        return register.register(catalog, self.namespace, name, self.location(name), state, replace=replace)

    def _unregistered(self, name: str) -> bool:
        """Whether versions of an Iceberg table lie there that the catalog does not know of."""
        from lakeload.formats.iceberg_newest import metadata_files

        return name not in self._registered() and bool(metadata_files(self.store(name)))

    def _folders(self, name: str) -> tuple[str, ...]:
        """Formats whose folders lie at the table's place, whatever catalogs say."""
        below = set(self._place(name).names(""))
        there = {"delta": "_delta_log" in below, "iceberg": bool(below & {"_iceberg", "metadata"})}
        return tuple(form for form in registry.FORMATS if there[form])

    def location(self, name: str) -> str:
        """Root of a table."""
        return self._store.uri(f"{self.namespace}/{name}")

    def store(self, name: str) -> Store:
        """The store rooted at a table: for Iceberg, once it is loaded, where its metadata says it is."""
        if "iceberg" in self.writes(name):
            return self._iceberg(name).store
        return self._place(name)

    def _place(self, name: str) -> Store:
        """The store at the place of that name; with what the catalog lends for it, if we have no keys."""
        if self.catalogs.lent:
            return self.catalogs.lent_store(self.namespace, name, self.location(name))
        return self._store.child(f"{self.namespace}/{name}")

    def _journals(self) -> Store:
        own, _, journals = JOURNALS.partition("/")
        if self.catalogs.lent:
            # Not every server takes a name that begins with an underscore, if only to lend for its place.
            place = self.location(own)
            return self.catalogs.lent_store(self.namespace, "lakeload_journal", place).child(journals)
        return self._store.child(f"{self.namespace}/{JOURNALS}")

    def journal(self, pipeline: str) -> Journal:
        """The journal of a pipeline, as it is now.

        Raises:
            ConfigError: The name cannot be used.
        """
        if not _names_pipeline(pipeline):
            raise ConfigError(
                f"{pipeline!r} cannot name a pipeline",
                hint="Use letters, digits, dot, dash and underscore, a letter or digit first, "
                f"at most {_LONGEST_PIPELINE} bytes.",
            )
        self._found.clear()  # a run begins: others may have made tables since the last one
        return Journal(self._journals().child(pipeline), pipeline)

    def pipelines(self) -> list[str]:
        """Names of the pipelines that loaded into the namespace, sorted."""
        return self._journals().names("")

    def _make(self, name: str, formats: tuple[str, ...]) -> Table:
        if formats == ("delta",):
            return self._delta(name)
        if formats == ("iceberg",):
            return self.catalogs.iceberg.open(self.namespace, name, self.location(name))
        from lakeload.formats.dual import DualTable

        return DualTable(self._delta(name), self._iceberg(name))

    def _delta(self, name: str) -> Table:
        from lakeload.formats.delta import DeltaFormatTable

        return DeltaFormatTable(name, self._place(name), now=self.now)

    def _iceberg(self, name: str) -> IcebergTable:
        return cast("IcebergTable", self.open(name, ("iceberg",)))

    def _registered(self) -> set[str]:
        return set(self.catalogs.iceberg.list(self.namespace)) if self.catalogs.iceberg_exists else set()


def _root(root: str | Path, given: Mapping[str, str] | None) -> tuple[str, StorageOptions]:
    """The place as it goes into table metadata, and how it is reached."""
    if not isinstance(root, str | os.PathLike):
        raise unsuitable(root, "the place of a lakehouse", "a local path or s3://bucket/prefix")
    text = str(root)
    if text.strip():
        checked_text(text, "the place of a lakehouse", like="a local path or s3://bucket/prefix")
    scheme, found, rest = text.partition("://")
    if found and scheme != "file":
        options = StorageOptions.read(given, remote=True, scheme=scheme)
        return lake_root(text, options.values), options
    if not found and not text.strip():
        raise ConfigError("the lakehouse has no place", hint="Give a local path or s3://bucket/prefix.")
    path = Path(rest) if found else Path(text).expanduser()
    return str(path.resolve()), StorageOptions.read(given, remote=False)


def _names_pipeline(text: object) -> bool:
    """Letters of every script are welcome, as in table names: many pipelines are called after a table."""
    # Marks are the accents and vowel signs that follow a letter.
    if not isinstance(text, str):
        return False
    known = all(c.isalnum() or c in "_.-" or unicodedata.category(c).startswith("M") for c in text)
    return known and text[:1].isalnum() and len(text.encode()) <= _LONGEST_PIPELINE


def _checked_name(name: object) -> str:
    """The name itself, if it can be one folder below a namespace."""
    found = checked_text(name, "table", like="the name of a table")
    if found in (".", "..") or "/" in found or "\\" in found:
        raise unsuitable(name, "table", "the name of a table, without slashes")
    return found


def _checked_namespace(namespace: str) -> str:
    if not isinstance(namespace, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_]*", namespace):
        raise ConfigError(
            f"{namespace!r} cannot name a namespace", hint="Use lower-case letters, digits and underscore."
        )
    return namespace
