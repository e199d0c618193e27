"""Sail, an engine that speaks Spark's protocol without Java, as a server on a free port of 127.0.0.1."""

from __future__ import annotations

import os
import socket
import subprocess
import sysconfig
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from services.seaweedfs import REGION, S3, _die_with_parent, _free_ports

_START_SECONDS = 60.0


class Sail:
    """One server and one session; its log lies in `directory`."""

    def __init__(self, directory: Path, s3: S3) -> None:
        self.log = directory / "sail.log"
        self.port = _free_ports("sail")["sail"]
        self._s3 = s3
        self._process: subprocess.Popen[bytes] | None = None
        self._session: Any = None

    def start(self) -> None:
        """Start the server, wait until it listens, and open a session."""
        program = Path(sysconfig.get_path("scripts")) / "sail"
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": self._s3.access_key,
            "AWS_SECRET_ACCESS_KEY": self._s3.secret_key,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT": self._s3.endpoint,
            "AWS_ALLOW_HTTP": "true",
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(program), "spark", "server", "--ip", "127.0.0.1", "--port", str(self.port)],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment,
                start_new_session=True, preexec_fn=_die_with_parent,  # noqa: PLW1509 - as for the S3 server
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
            except OSError:
                time.sleep(0.2)
            else:
                # The client's own class: the builder allows no session beside one of Spark itself.
                from pyspark.sql.connect.session import SparkSession

                self._session = SparkSession(f"sc://127.0.0.1:{self.port}")
                return
        raise RuntimeError(f"Sail did not start\n{self.log.read_text(errors='replace')[-3000:]}")

    def stop(self) -> None:
        """Stop the server; a second call does nothing."""
        session, self._session = self._session, None
        if session is not None:
            session.stop()  # it would look for its server at the end of the run, and keep looking
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # it keeps nothing
            process.wait()

    def read(self, form: str, place: str) -> pa.Table:
        """All rows of the table at `place`, which for Iceberg is its metadata file."""
        return self._session.read.format(form).load(place).toArrow()
