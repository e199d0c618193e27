"""Iceberg's own REST server, the one its developers test clients with, over its own JDBC catalog in SQLite.

It takes every token and every client; it hands out storage credentials when it is told some to hand out. Its
records survive a kill.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlencode

from services import jars
from services.java_server import JavaServer
from services.seaweedfs import REGION, S3, _free_ports


class IcebergRest(JavaServer):
    """One process of the server.

    Args:
        directory: Folder for records and log.
        s3: Where the tables lie.
        lends: Whether it hands its storage credentials to clients.
        jdbc: Database of the catalog; a SQLite file of its own when `None`.
        settings: More properties of the catalog.
    """

    def __init__(
        self, directory: Path, s3: S3, *, lends: bool = False, jdbc: str | None = None, **settings: str
    ) -> None:
        port = _free_ports("http")["http"]
        self.warehouse = f"s3://{s3.bucket}/rest-{directory.name}"
        self.endpoint = f"http://127.0.0.1:{port}"
        properties = {
            "rest.port": str(port),
            "uri": jdbc or f"jdbc:sqlite:{directory / 'records.db'}",
            "warehouse": self.warehouse,
            "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            "client.region": REGION,
            "s3.endpoint": s3.endpoint,
            "s3.path-style-access": "true",
            "s3.access-key-id": s3.access_key,
            "s3.secret-access-key": s3.secret_key,
            "include-credentials": str(lends).lower(),
            **settings,
        }
        environment = {_variable(name): value for name, value in properties.items()}
        classes = os.pathsep.join(str(path) for path in jars.files("iceberg-rest"))
        main = "org.apache.iceberg.rest.RESTCatalogServer"
        super().__init__(directory, f"{self.endpoint}/v1/config", ["-cp", classes, main], environment)

    @property
    def uri(self) -> str:
        """The catalog as lakeload is told about it."""
        credential = {"credential": "any-client:any-secret-of-it"}
        return f"rest+{self.endpoint}?{urlencode({'warehouse': self.warehouse, **credential})}"


def _variable(name: str) -> str:
    """The environment variable the server reads a property from."""
    return f"CATALOG_{name.replace('-', '__').replace('.', '_').upper()}"
