"""Stand-ins for object stores nobody can start at home. Each is an emulator, and proves what an emulator can.

Azurite is Microsoft's own for Azure Storage; fake-gcs-server speaks Google's JSON API; s3rver is an old S3
server that ignores `If-None-Match`, kept here because it is bad.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

from services.programs import AZURITE, FAKE_GCS, S3RVER, Program, from_go, from_npm
from services.seaweedfs import _free_ports

BUCKET = "lake"
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Account and key every Azurite has; Microsoft documents them."""


@dataclass(frozen=True)
class Cloud:
    """A running emulator: where tables go, and how they are reached."""

    root: str
    storage_options: dict[str, str] = field(repr=False)
    program: Program = field(repr=False)


def azurite(directory: Path) -> Cloud:
    """Azure Blob Storage with one container."""
    port = _free_ports("blob")["blob"]
    command = [
        *from_npm(AZURITE, "azurite-blob"), "--blobHost", "127.0.0.1", "--blobPort", str(port),
        "--location", str(directory), "--skipApiVersionCheck", "--disableTelemetry", "--silent",
    ]  # fmt: skip
    program = Program(directory, command, port)
    program.start()
    endpoint = f"http://127.0.0.1:{port}/{AZURITE_ACCOUNT}"
    options = {
        "azure_storage_account_name": AZURITE_ACCOUNT,
        "azure_storage_account_key": AZURITE_KEY,
        "azure_storage_endpoint": endpoint,
    }
    _container(endpoint)
    return Cloud(f"abfss://{BUCKET}@{AZURITE_ACCOUNT}.dfs.core.windows.net", options, program)


def _container(endpoint: str) -> None:
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient(endpoint, credential=AZURITE_KEY) as client:
        client.create_container(BUCKET)


def fake_gcs(directory: Path) -> Cloud:
    """Google Cloud Storage with one bucket; it asks for no credentials."""
    port = _free_ports("gcs")["gcs"]
    endpoint = f"http://127.0.0.1:{port}"
    command = [
        *from_go(FAKE_GCS), "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port),
        "-public-host", f"127.0.0.1:{port}", "-external-url", endpoint, "-log-level", "warn",
    ]  # fmt: skip
    program = Program(directory, command, port)
    program.start()
    body = json.dumps({"name": BUCKET}).encode()
    request = Request(f"{endpoint}/storage/v1/b?project=p", body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=20):
        pass
    options = {"google_base_url": endpoint, "google_skip_signature": "true"}
    return Cloud(f"gs://{BUCKET}", options, program)


def s3rver(directory: Path) -> Cloud:
    """An S3 server that overwrites whatever it is asked not to overwrite."""
    port = _free_ports("s3")["s3"]
    command = [
        *from_npm(S3RVER, "s3rver"), "--directory", str(directory / "data"), "--address", "127.0.0.1",
        "--port", str(port), "--configure-bucket", BUCKET, "--silent",
    ]  # fmt: skip
    program = Program(directory, command, port)
    (directory / "data").mkdir(parents=True)
    program.start()
    options = {
        "aws_endpoint_url": f"http://127.0.0.1:{port}",
        "aws_access_key_id": "S3RVER",
        "aws_secret_access_key": "S3RVER",
        "aws_region": "us-east-1",
    }
    return Cloud(f"s3://{BUCKET}", options, program)
