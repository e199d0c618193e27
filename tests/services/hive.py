"""A real Hive Metastore on a free port of 127.0.0.1, its records in a Derby database beside it.

The records survive `kill` and `start`, and so does the port: as a metastore that crashed and was restarted.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

from services import jars
from services.java_server import JavaServer
from services.seaweedfs import REGION, S3, _free_ports

_OPENED = ("java.base/java.lang", "java.base/java.net", "java.base/java.util")


class Hive(JavaServer):
    """One metastore process.

    Args:
        directory: Folder for records and log.
        s3: Where tables on S3 lie: the metastore looks at a table's location before it registers it.
        settings: More settings, by the metastore's names.
    """

    def __init__(self, directory: Path, s3: S3 | None = None, settings: dict[str, str] | None = None) -> None:
        self.port = _free_ports("thrift")["thrift"]
        self._s3, self._settings = s3, dict(settings or {})
        self._prepared = False
        path = ":".join([str(directory), *(str(file) for file in jars.files("hive"))])
        opened = [f"--add-opens={name}=ALL-UNNAMED" for name in _OPENED]
        command = ["org.apache.hadoop.hive.metastore.HiveMetaStore", "-p", str(self.port)]
        super().__init__(directory, "", [*opened, "-cp", path, *command], oldest=17)

    @property
    def uri(self) -> str:
        """The catalog as lakeload is told about it."""
        return f"hive://127.0.0.1:{self.port}"

    @property
    def thrift(self) -> str:
        """The catalog as Hive's clients are told about it: Spark, Trino, pyiceberg."""
        return f"thrift://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the metastore and wait until it answers; what it recorded before is there again."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self._prepared:
            self._prepare()
        self._configure({})
        super().start()

    def _prepare(self) -> None:
        # The schema is made by itself, except the tables of locks: those only by a metastore that is told
        # that it is tested. Such a one refuses the locks of others, so it does nothing else.
        self._configure({"hive.in.tez.test": "true"})
        super().start()
        with suppress(Exception), self.client() as hive:  # it answers with an error after making them
            hive.show_locks(_nothing())
        self.stop()
        self._prepared = True

    def client(self):
        """A connection of its own, to be used in a `with` statement."""
        from pyiceberg.catalog.hive import _HiveClient

        return _HiveClient(self.thrift)

    def _ask(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=2):
            pass

    def _configure(self, more: dict[str, str]) -> None:
        given = {
            "metastore.thrift.bind.host": "127.0.0.1",
            "metastore.warehouse.dir": f"file://{self.directory / 'warehouse'}",
            "javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={self.directory / 'records'};create=true",
            "javax.jdo.option.ConnectionDriverName": "org.apache.derby.jdbc.EmbeddedDriver",
            "datanucleus.schema.autoCreateAll": "true",
            "metastore.schema.verification": "false",
            # The defaults live in Hive's query engine, which is not here.
            "metastore.expression.proxy": "org.apache.hadoop.hive.metastore.DefaultPartitionExpressionProxy",
            "metastore.task.threads.always": "org.apache.hadoop.hive.metastore.events.EventCleanerTask",
            "metastore.server.min.threads": "8",
            **(_s3_settings(self._s3) if self._s3 is not None else {}),
            **self._settings,
            **more,
        }
        lines = "".join(
            f"<property><name>{name}</name><value>{value}</value></property>\n"
            for name, value in given.items()
        )
        (self.directory / "metastore-site.xml").write_text(f"<configuration>\n{lines}</configuration>\n")


def _nothing():
    from hive_metastore.ttypes import ShowLocksRequest

    return ShowLocksRequest()


def _s3_settings(s3: S3) -> dict[str, str]:
    return {
        "fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "fs.s3a.endpoint": s3.endpoint,
        "fs.s3a.endpoint.region": REGION,
        "fs.s3a.path.style.access": "true",
        "fs.s3a.access.key": s3.access_key,
        "fs.s3a.secret.key": s3.secret_key,
        "fs.s3a.connection.ssl.enabled": "false",
    }
