"""A real Spark session in a Java process beside the tests, able to read and write Delta and Iceberg on S3."""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from services import jars, logstore
from services.java import LIGHT, java_home
from services.seaweedfs import REGION, S3, RestCatalog

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_HEAP = "2g"


class Spark:
    """One session of two threads. Catalogs can be added while it runs, see `catalog`."""

    def __init__(self, directory: Path, s3: S3) -> None:
        self.directory = directory
        self._s3 = s3
        self._session: SparkSession | None = None

    def start(self) -> None:
        """Start the Java process and open the session."""
        installed, wanted = importlib.metadata.version("pyspark"), jars.version("spark")
        assert installed == wanted, f"the jars are for Spark {wanted}, pyspark is {installed}"
        from pyspark.sql import SparkSession

        os.environ["JAVA_HOME"] = str(java_home(17, 21))
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
        builder = SparkSession.builder.master("local[2]").appName("lakeload tests")
        for key, value in {**self._settings(), **s3_settings(self._s3)}.items():
            builder = builder.config(key, value)
        self._session = builder.getOrCreate()
        self._session.sparkContext.setLogLevel("ERROR")
        logstore.compile_into(self._session, self.directory / "classes")

    def stop(self) -> None:
        """Close the session and end the Java process; a second call does nothing."""
        session, self._session = self._session, None
        if session is not None:
            session.stop()

    @property
    def session(self) -> SparkSession:
        """The session itself."""
        assert self._session is not None, "not started"
        return self._session

    def query(self, statement: str) -> pa.Table:
        """Run one statement; its rows as Arrow."""
        return self.session.sql(statement).toArrow()

    def run(self, statement: str) -> None:
        """Run one statement for its effect; what OPTIMIZE and its like report cannot become Arrow."""
        self.session.sql(statement).collect()

    def catalog(self, name: str, settings: Mapping[str, str]) -> None:
        """Make a catalog, `settings` by their names without `spark.sql.catalog.<name>`."""
        for key, value in settings.items():
            self.session.conf.set(f"spark.sql.catalog.{name}" + (f".{key}" if key else ""), value)

    def _settings(self) -> dict[str, str]:
        return {
            "spark.jars": ",".join(str(file) for file in jars.files("spark")),
            "spark.driver.memory": _HEAP,
            "spark.driver.extraJavaOptions": " ".join(LIGHT),
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "2",
            "spark.databricks.delta.snapshotPartitions": "2",
            "spark.sql.warehouse.dir": str(self.directory / "warehouse"),
            "spark.local.dir": tempfile.mkdtemp(dir=self.directory),
            # s3a:// is for tables with other writers, s3:// has Delta's own log store.
            "spark.delta.logStore.s3a.impl": logstore.NAME,
            "spark.driver.extraClassPath": logstore.classpath(self.directory / "classes"),
            "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension,"
            "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
            "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
            # Dates before 1582 are those of the calendar Arrow and the specifications know.
            "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
            "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
        }


def s3_settings(s3: S3) -> dict[str, str]:
    """How Spark's Hadoop file system reaches the S3 server."""
    return {
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.endpoint": s3.endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": REGION,
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.access.key": s3.access_key,
        "spark.hadoop.fs.s3a.secret.key": s3.secret_key,
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
    }


def rest_settings(s3: S3, catalog: RestCatalog) -> dict[str, str]:
    """An Iceberg catalog of a REST server, for `Spark.catalog`."""
    return {
        "": "org.apache.iceberg.spark.SparkCatalog",
        "type": "rest",
        "uri": catalog.endpoint,
        "warehouse": catalog.warehouse,
        "credential": catalog.credential,
        "oauth2-server-uri": f"{catalog.endpoint}/v1/oauth/tokens",
        "cache-enabled": "false",
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "s3.endpoint": s3.endpoint,
        "s3.path-style-access": "true",
        "s3.access-key-id": s3.access_key,
        "s3.secret-access-key": s3.secret_key,
        "client.region": REGION,
    }
