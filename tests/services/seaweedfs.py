"""A real S3 server with an Iceberg REST catalog: SeaweedFS, one process on free ports of 127.0.0.1."""

from __future__ import annotations

import ctypes
import json
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

BUCKET = "lake"
TABLE_BUCKET = "icelake"
REGION = "us-east-1"
_START_SECONDS = 60.0


@dataclass(frozen=True)
class S3:
    """Where the S3 server is and who may do what.

    `bucket` exists and is empty at the start of the run; tests take prefixes of their own below it.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    read_only_access_key: str
    read_only_secret_key: str = field(repr=False)
    bucket: str = BUCKET

    @property
    def storage_options(self) -> dict[str, str]:
        """Options of the identity that may do everything, in lakeload's spelling."""
        return self._options(self.access_key, self.secret_key)

    @property
    def read_only(self) -> dict[str, str]:
        """Options of the identity that may read and list, but not write."""
        return self._options(self.read_only_access_key, self.read_only_secret_key)

    @property
    def wrong_secret(self) -> dict[str, str]:
        """Options with a known key and a secret that is not its own."""
        return self._options(self.access_key, "not-the-secret-of-this-key")

    def _options(self, key: str, secret: str) -> dict[str, str]:
        return {
            "aws_access_key_id": key,
            "aws_secret_access_key": secret,
            "aws_region": REGION,
            "aws_endpoint_url": self.endpoint,
        }


@dataclass(frozen=True)
class RestCatalog:
    """An Iceberg REST catalog: its address, the credential of its OAuth2 client, its warehouse."""

    endpoint: str
    credential: str = field(repr=False)
    warehouse: str = f"s3://{TABLE_BUCKET}"

    @property
    def uri(self) -> str:
        """The catalog as lakeload is told about it."""
        query = urlencode({"warehouse": self.warehouse, "credential": self.credential})
        return f"rest+{self.endpoint}?{query}"

    def properties(self, s3: S3) -> dict[str, str]:
        """What pyiceberg's `load_catalog` needs to work with the catalog and its storage."""
        return {
            "type": "rest",
            "uri": self.endpoint,
            "oauth2-server-uri": f"{self.endpoint}/v1/oauth/tokens",
            "credential": self.credential,
            "warehouse": self.warehouse,
            "s3.endpoint": s3.endpoint,
            "s3.access-key-id": s3.access_key,
            "s3.secret-access-key": s3.secret_key,
            "s3.region": REGION,
        }


class SeaweedFS:
    """One `weed mini` process, its data below `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "weed.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = _free_ports(
            "s3.port", "s3.port.grpc", "s3.port.iceberg", "master.port", "master.port.grpc", "volume.port",
            "volume.port.grpc", "filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc",
        )  # fmt: skip
        self.s3 = S3(
            endpoint=f"http://127.0.0.1:{self._ports['s3.port']}",
            access_key="lakeadmin",
            secret_key="lakeadmin-secret",
            read_only_access_key="lakereader",
            read_only_secret_key="lakereader-secret",
        )
        self.catalog = RestCatalog(
            endpoint=f"http://127.0.0.1:{self._ports['s3.port.iceberg']}",
            credential=f"{self.s3.access_key}:{self.s3.secret_key}",
        )

    def start(self) -> None:
        """Start the server and wait until it takes an object and the catalog answers.

        What it stored before is there again.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        identities = self.directory / "s3.json"
        identities.write_text(json.dumps(self._identities()))
        command = [
            str(binary()), "-logtostderr=true", "mini", f"-dir={self.directory / 'data'}", "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1", f"-s3.config={identities}", f"-bucket={BUCKET}", f"-tableBucket={TABLE_BUCKET}",
            "-s3.port.lance=0", "-s3.autoCreateBucket=false", "-s3.readerCacheSizeMB=64", "-master.telemetry=false",
            "-admin.ui=false", "-webdav=false", f"-s3.externalUrl={self.s3.endpoint}",
            *(f"-{flag}={port}" for flag, port in self._ports.items()),
        ]  # fmt: skip
        (self.directory / "data").mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.directory,
                start_new_session=True, preexec_fn=_die_with_parent,  # noqa: PLW1509 - started before any thread
            )  # fmt: skip
        self._wait()

    def stop(self) -> None:
        """Stop the server; a second call does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End the server without a chance to finish anything."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _identities(self) -> Mapping[str, object]:
        s3 = self.s3
        return {
            "identities": [
                {
                    "name": "admin",
                    "credentials": [{"accessKey": s3.access_key, "secretKey": s3.secret_key}],
                    "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                },
                {
                    "name": "reader",
                    "credentials": [
                        {"accessKey": s3.read_only_access_key, "secretKey": s3.read_only_secret_key}
                    ],
                    "actions": [f"Read:{BUCKET}", f"List:{BUCKET}"],
                },
            ]
        }

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        failure = ""
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                with urlopen(f"{self.s3.endpoint}/healthz", timeout=2):
                    pass
                put(self.s3, "_ready", b"1")
                with socket.create_connection(("127.0.0.1", self._ports["s3.port.iceberg"]), timeout=2):
                    return
            except Exception as error:  # noqa: BLE001 - any failure means: not yet
                failure = str(error)
            time.sleep(0.2)
        tail = self.log.read_text(errors="replace")[-4000:]
        self.stop()
        raise RuntimeError(f"SeaweedFS did not start: {failure}\n{tail}")


def binary() -> Path | None:
    """The `weed` program of the environment the tests run in; `None` when it is not installed."""
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    return Path(found) if found else None


def client(s3: S3):
    """A botocore client of the server: a way in that shares no code with lakeload."""
    from botocore.config import Config
    from botocore.session import Session

    return Session().create_client(
        "s3",
        region_name=REGION,
        endpoint_url=s3.endpoint,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        config=Config(retries={"max_attempts": 1}, connect_timeout=5, read_timeout=20),
    )


def put(s3: S3, key: str, body: bytes) -> None:
    """Put one object into the bucket."""
    connection = client(s3)
    try:
        connection.put_object(Bucket=s3.bucket, Key=key, Body=body)
    finally:
        connection.close()


def keys(s3: S3, prefix: str) -> list[str]:
    """Keys below the prefix, sorted."""
    connection = client(s3)
    try:
        pages = connection.get_paginator("list_objects_v2").paginate(Bucket=s3.bucket, Prefix=prefix)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", ()))
    finally:
        connection.close()


def _free_ports(*flags: str) -> dict[str, int]:
    # All sockets stay open until every port is known, so that no port is given twice.
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in flags]
    try:
        return {flag: sock.getsockname()[1] for flag, sock in zip(flags, sockets, strict=True)}
    finally:
        for sock in sockets:
            sock.close()


def _die_with_parent() -> None:
    # A test run that is killed must not leave a server behind. Linux only; elsewhere stop() has to do.
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
