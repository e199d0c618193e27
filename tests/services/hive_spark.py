"""Spark whose session catalog is a Hive Metastore, in a process of its own.

Which catalog a session has is settled when Spark's Java process starts, and there is one such process for each
Python process. This one reads statements from its standard input and answers with rows in Arrow's stream format.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from services.hive import Hive
from services.java import java_home
from services.seaweedfs import S3, _die_with_parent
from services.spark import Spark

_HEAP = "1g"
ICEBERG = "hms"
"""Name of the catalog of Iceberg tables in the metastore; Delta tables are in the session's own."""


class HiveSpark:
    """One Spark process whose tables are those of a metastore.

    Args:
        directory: Folder for its log and files.
        s3: Where tables on S3 lie.
        hive: The metastore.
    """

    def __init__(self, directory: Path, s3: S3, hive: Hive) -> None:
        self.directory, self._s3, self.hive = directory, s3, hive
        self.log = directory / "hive_spark.log"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the process and wait until it knows the metastore's namespaces."""
        java_home(17, 21)
        self.directory.mkdir(parents=True, exist_ok=True)
        facts = {"directory": str(self.directory), "s3": vars(self._s3), "thrift": self.hive.thrift}
        paths = os.pathsep.join(path for path in sys.path if path)
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__, json.dumps(facts)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, text=True, cwd=self.directory, env={**os.environ, "PYTHONPATH": paths},
                start_new_session=True, preexec_fn=_die_with_parent,  # noqa: PLW1509 - as for the S3 server
            )  # fmt: skip
        assert "default" in self.query("SHOW DATABASES")["namespace"].to_pylist()

    def stop(self) -> None:
        """End the process; a second call does nothing."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()

    def query(self, statement: str) -> pa.Table:
        """Run one statement; its rows."""
        assert self._process is not None, "not started"
        self._process.stdin.write(json.dumps(statement) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"Spark ended:\n{self.log.read_text(errors='replace')[-4000:]}")
        found = json.loads(answer)
        if "error" in found:
            raise RuntimeError(found["error"])
        return pa.ipc.open_stream(base64.b64decode(found["rows"])).read_all()


class _Session(Spark):
    def __init__(self, directory: Path, s3: S3, thrift: str) -> None:
        super().__init__(directory, s3)
        self._thrift = thrift

    def _settings(self) -> dict[str, str]:
        return {
            **super()._settings(),
            "spark.driver.memory": _HEAP,
            "spark.sql.catalogImplementation": "hive",
            "spark.hadoop.hive.metastore.uris": self._thrift,
            f"spark.sql.catalog.{ICEBERG}": "org.apache.iceberg.spark.SparkCatalog",
            f"spark.sql.catalog.{ICEBERG}.type": "hive",
            f"spark.sql.catalog.{ICEBERG}.uri": self._thrift,
            f"spark.sql.catalog.{ICEBERG}.cache-enabled": "false",
        }


def _serve() -> None:
    facts = json.loads(sys.argv[1])
    answers, sys.stdout = sys.stdout, sys.stderr
    spark = _Session(Path(facts["directory"]), S3(**facts["s3"]), facts["thrift"])
    spark.start()
    for line in sys.stdin:
        try:
            table = spark.query(json.loads(line))
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table)
            found = {"rows": base64.b64encode(sink.getvalue()).decode()}
        except Exception as error:  # noqa: BLE001 - told to the test
            found = {"error": str(error)[:4000]}
        answers.write(json.dumps(found) + "\n")
        answers.flush()
    spark.stop()


if __name__ == "__main__":
    _serve()
