"""Servers that come from the registries of Node and Go, fetched once into the tests' cache.

Versions are pinned here. What is missing on this machine is said by `MissingProgramError`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from services.jars import cache
from services.seaweedfs import _die_with_parent

AZURITE = ("azurite", "3.35.0")
S3RVER = ("s3rver", "3.7.1")
FAKE_GCS = ("github.com/fsouza/fake-gcs-server", "v1.56.1")
_START_SECONDS = 60.0


class MissingProgramError(RuntimeError):
    """This machine lacks what fetches or runs the program; the text says what."""


def from_npm(package: tuple[str, str], program: str) -> list[str]:
    """The command that runs a program of an npm package.

    Raises:
        MissingProgramError: Node or npm is not installed.
        RuntimeError: npm could not get it.
    """
    name, version = package
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise MissingProgramError(
            "Node.js is missing: install node and npm, for example Debian's nodejs and npm"
        )
    folder = cache() / f"{name}-{version}"
    if not folder.exists():
        _make(folder, [npm, "install", "--no-audit", "--no-fund", "--prefix", "{}", f"{name}@{version}"])
    # What is called `node` may be a launcher, and would leave the server behind when it is stopped.
    asked = subprocess.run([node, "-p", "process.execPath"], check=True, capture_output=True, text=True)
    return [asked.stdout.strip(), str((folder / "node_modules" / ".bin" / program).resolve())]


def from_go(module: tuple[str, str]) -> list[str]:
    """The command that runs the program of a Go module.

    Raises:
        MissingProgramError: Go is not installed.
        RuntimeError: It could not be built.
    """
    name, version = module
    go = shutil.which("go")
    if go is None:
        raise MissingProgramError("Go is missing: install it, for example Debian's golang-go")
    program = name.rsplit("/", 1)[-1]
    folder = cache() / f"{program}-{version}"
    if not folder.exists():
        _make(folder, ["env", "GOBIN={}", go, "install", f"{name}@{version}"])
    return [str(folder / program)]


def _make(folder: Path, command: Sequence[str]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Made aside and moved into place whole: another process may want the same folder right now.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as aside:
        target = Path(aside) / "made"
        target.mkdir()
        done = subprocess.run(
            [word.replace("{}", str(target)) for word in command],
            capture_output=True, text=True, check=False, cwd=aside, env=_environment(),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"could not get {folder.name}:\n{done.stderr[-3000:]}")
        try:
            target.rename(folder)
        except OSError:
            if not folder.exists():
                raise


def _environment() -> dict[str, str]:
    """Ours; Node is told whom this machine trusts, as everything else on it is."""
    trusted = os.environ.get("SSL_CERT_FILE")
    given = {"NODE_USE_SYSTEM_CA": "1", **({"NODE_EXTRA_CA_CERTS": trusted} if trusted else {})}
    return {**given, **os.environ}


class Program:
    """One server process; what it prints lies in `directory`.

    Args:
        directory: Folder of its own.
        command: Program and arguments.
        port: Where it listens on 127.0.0.1.
    """

    def __init__(self, directory: Path, command: Sequence[str], port: int) -> None:
        self.directory, self.port = directory, port
        self.log = directory / "server.log"
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it takes a connection."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                cwd=self.directory, start_new_session=True, preexec_fn=_die_with_parent,  # noqa: PLW1509 - as for S3
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=2):
                    return
            except OSError:
                time.sleep(0.1)
        tail = self.log.read_text(errors="replace")[-4000:]
        self.stop()
        raise RuntimeError(f"{self._command[0]} did not start:\n{tail}")

    def stop(self) -> None:
        """Stop it; a second call does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # they keep nothing
            process.wait()
