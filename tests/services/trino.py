"""A real Trino server on a free port of 127.0.0.1, with catalogs made while it runs."""

from __future__ import annotations

import datetime as dt
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from services import jars
from services.java import LIGHT, java_home
from services.seaweedfs import REGION, S3, RestCatalog, _die_with_parent, _free_ports

_PLUGINS = ("delta-lake", "iceberg", "tpch", "memory")
_START_SECONDS = 120.0
_HEAP = "2560m"


@dataclass(frozen=True)
class Answer:
    """What a statement gave: rows of Python values, the names and Trino types of their columns, and its cost."""

    rows: list[tuple[Any, ...]]
    names: list[str]
    types: list[str]
    stats: Mapping[str, Any]

    def arrow(self, schema: pa.Schema) -> pa.Table:
        """The rows as Arrow, with the types the table is known to have."""
        columns = list(zip(*self.rows, strict=True)) if self.rows else [[] for _ in self.names]
        kinds = [schema.field(name).type for name in self.names]
        arrays = [
            pa.array([_plain(value, kind) for value in column], type=kind)
            for column, kind in zip(columns, kinds, strict=True)
        ]
        return pa.table(arrays, names=self.names)


class Trino:
    """One coordinator that is its own worker; its log lies in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "trino.log"
        self.port = _free_ports("http")["http"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers a statement."""
        home = installed()
        etc = self.directory / "etc"
        etc.mkdir(parents=True)
        (self.directory / "data").mkdir()
        (etc / "log.properties").write_text("io.trino=WARN\n")
        (etc / "config.properties").write_text(
            "coordinator=true\n"
            "node-scheduler.include-coordinator=true\n"
            f"http-server.http.port={self.port}\n"
            f"discovery.uri=http://127.0.0.1:{self.port}\n"
            "node.internal-address=127.0.0.1\n"
            "catalog.management=dynamic\n"
            "catalog.store=memory\n"
            "query.max-memory=1200MB\n"
            "query.max-memory-per-node=1200MB\n"
            "memory.heap-headroom-per-node=300MB\n"
        )
        command = [
            str(java_home(24, 25) / "bin" / "java"),
            f"-Xmx{_HEAP}",
            *LIGHT,
            "-XX:+ExitOnOutOfMemoryError",
            "-Djdk.attach.allowAttachSelf=true",
            "-Dnode.environment=test",
            "-Dnode.id=one",
            f"-Dnode.data-dir={self.directory / 'data'}",
            f"-Dconfig={etc / 'config.properties'}",
            f"-Dlog.levels-file={etc / 'log.properties'}",
            "-cp",
            f"{home}/lib/*",
            "io.trino.server.TrinoServer",
        ]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=home,
                start_new_session=True, preexec_fn=_die_with_parent,  # noqa: PLW1509 - as for the S3 server
            )  # fmt: skip
        self._wait()

    def stop(self) -> None:
        """Stop the server; a second call does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # it keeps nothing
            process.wait()

    def query(self, statement: str, **session: str) -> Answer:
        """Run one statement to its end.

        Args:
            statement: SQL without semicolon.
            session: Session properties; `__` stands for the dot of a catalog's property.
        """
        from trino.dbapi import connect

        properties = {name.replace("__", "."): value for name, value in session.items()}
        with connect(
            host="127.0.0.1", port=self.port, user="test", timezone="UTC", session_properties=properties
        ) as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            rows = [tuple(row) for row in cursor.fetchall()]
            columns = cursor.description or []
            return Answer(
                rows, [column[0] for column in columns], [column[1] for column in columns], cursor.stats
            )

    def catalog(self, name: str, connector: str, properties: Mapping[str, str]) -> None:
        """Make a catalog, replacing the one of that name."""
        given = ", ".join(f"\"{key}\" = '{value}'" for key, value in properties.items())
        self.query(f"DROP CATALOG IF EXISTS {name}")
        self.query(f"CREATE CATALOG {name} USING {connector} WITH ({given})")

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        failure = ""
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=2):
                    pass  # before that, the client would only wait and retry
                self.query("SELECT 1")
            except Exception as error:  # noqa: BLE001 - any failure means: not yet
                failure = str(error)
            else:
                return
            time.sleep(0.5)
        tail = self.log.read_text(errors="replace")[-4000:]
        self.stop()
        raise RuntimeError(f"Trino did not start: {failure}\n{tail}")


def installed() -> Path:
    """Folder of the server, unpacked once with the plugins the tests use."""
    (archive,) = jars.files("trino")
    home = archive.parent.parent / f"{archive.parent.name}-server"
    if not home.exists():
        with tempfile.TemporaryDirectory(dir=home.parent, prefix=".trino-") as aside:
            # Plugins share their libraries by hard links, so everything is unpacked before most of it goes.
            with tarfile.open(archive) as packed:
                # The first releases of Python 3.11 know no filters.
                packed.extractall(aside, **({"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}))
            (server,) = Path(aside).iterdir()
            for plugin in (server / "plugin").iterdir():
                if plugin.name not in _PLUGINS:
                    shutil.rmtree(plugin)
            try:
                server.rename(home)
            except OSError:
                if not home.exists():
                    raise
    return home


def s3_properties(s3: S3) -> dict[str, str]:
    """How a catalog of Trino reaches the S3 server."""
    return {
        "fs.native-s3.enabled": "true",
        "s3.endpoint": s3.endpoint,
        "s3.region": REGION,
        "s3.path-style-access": "true",
        "s3.aws-access-key": s3.access_key,
        "s3.aws-secret-key": s3.secret_key,
    }


def delta_properties(s3: S3, metastore: str) -> dict[str, str]:
    """A catalog for Delta tables registered by hand, its own records below the S3 prefix `metastore`."""
    return {
        "hive.metastore": "file",
        "hive.metastore.catalog.dir": metastore,
        "delta.register-table-procedure.enabled": "true",
        "delta.enable-non-concurrent-writes": "true",
        **s3_properties(s3),
    }


def rest_properties(s3: S3, catalog: RestCatalog) -> dict[str, str]:
    """A catalog for the Iceberg tables of a REST server."""
    return {
        "iceberg.catalog.type": "rest",
        "iceberg.rest-catalog.uri": catalog.endpoint,
        "iceberg.rest-catalog.warehouse": catalog.warehouse,
        "iceberg.rest-catalog.security": "OAUTH2",
        "iceberg.rest-catalog.oauth2.credential": catalog.credential,
        "iceberg.rest-catalog.oauth2.server-uri": f"{catalog.endpoint}/v1/oauth/tokens",
        **s3_properties(s3),
    }


def _plain(value: Any, kind: pa.DataType) -> Any:
    """A value of the client as pyarrow wants it for the type."""
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {field.name: _plain(inner, field.type) for field, inner in zip(kind, value, strict=True)}
    if pa.types.is_map(kind):
        return [(_plain(k, kind.key_type), _plain(v, kind.item_type)) for k, v in value.items()]
    if pa.types.is_list(kind):
        return [_plain(inner, kind.value_type) for inner in value]
    if pa.types.is_timestamp(kind) and kind.tz and isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC)
    return value
