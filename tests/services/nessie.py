"""A real Nessie server: an Iceberg REST catalog that versions all tables together, on a free port of 127.0.0.1.

It keeps its records in a RocksDB folder, so a killed server comes back with what it had promised.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from services import jars
from services.java_server import JavaServer
from services.seaweedfs import REGION, S3, _free_ports


class Nessie(JavaServer):
    """One Nessie process whose warehouse is a prefix of the S3 server's bucket.

    Args:
        directory: Folder for records and log.
        s3: Where the tables lie; Nessie signs its clients' requests with these keys.
        settings: More settings, by Quarkus' names.
    """

    def __init__(self, directory: Path, s3: S3, **settings: str) -> None:
        ports = _free_ports("http", "management")
        self.warehouse = f"s3://{s3.bucket}/nessie-{directory.name}"
        self.endpoint = f"http://127.0.0.1:{ports['http']}/iceberg"
        storage = "nessie.catalog.service.s3.default-options"
        secret = "nessie.catalog.secrets.s3"
        given = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": str(ports["http"]),
            "quarkus.management.host": "127.0.0.1",
            "quarkus.management.port": str(ports["management"]),
            "quarkus.log.file.enable": "false",
            # Names of secrets are free, and the check of settings knows none of them.
            "quarkus.config.mapping.validate-unknown": "false",
            "nessie.version.store.type": "ROCKSDB",
            "nessie.version.store.persist.rocks.database-path": str(directory / "records"),
            "nessie.catalog.default-warehouse": "lake",
            "nessie.catalog.warehouses.lake.location": self.warehouse,
            f"{storage}.endpoint": s3.endpoint,
            f"{storage}.path-style-access": "true",
            f"{storage}.region": REGION,
            f"{storage}.access-key": f"urn:nessie-secret:quarkus:{secret}",
            f"{secret}.name": s3.access_key,
            f"{secret}.secret": s3.secret_key,
            **settings,
        }
        (runner,) = jars.files("nessie")
        options = [f"-D{name}={value}" for name, value in given.items()]
        probe = f"http://127.0.0.1:{ports['management']}/q/health/ready"
        super().__init__(directory, probe, [*options, "-jar", str(runner)], oldest=21)

    @property
    def uri(self) -> str:
        """The catalog as lakeload is told about it."""
        return f"rest+{self.endpoint}?{urlencode({'warehouse': 'lake'})}"
