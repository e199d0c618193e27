"""A server that is a Java program: started on ports of its own, killed and started again by tests of faults."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.request import urlopen

from services.java import LIGHT, java_home
from services.seaweedfs import _die_with_parent

_START_SECONDS = 90.0


class JavaServer:
    """One Java process; what it prints lies in `directory`.

    Args:
        directory: Folder of its own.
        probe: URL that answers 200 when the server is ready.
        arguments: What follows `java`.
        environment: Variables it gets besides those of the tests.
        oldest: First major version of Java it runs on.
    """

    def __init__(
        self,
        directory: Path,
        probe: str,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        oldest: int = 17,
    ) -> None:
        self.directory = directory
        self.log = directory / "server.log"
        self._probe, self._arguments, self._oldest = probe, list(arguments), oldest
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers; what it stored before is there again."""
        self.directory.mkdir(parents=True, exist_ok=True)
        java = java_home(self._oldest, 25) / "bin" / "java"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(java), "-Xmx320m", *LIGHT, *self._arguments], stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, cwd=self.directory, env={**os.environ, **self._environment},
                start_new_session=True, preexec_fn=_die_with_parent,  # noqa: PLW1509 - as for the S3 server
            )  # fmt: skip
        self._wait()

    @property
    def running(self) -> bool:
        """Whether the process was started and not ended by us."""
        return self._process is not None

    def stop(self) -> None:
        """Stop the server; a second call does nothing."""
        process, self._process = self._process, None
        if process is not None:
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

    def _ask(self) -> None:
        """Raise an `OSError` while the server is not ready."""
        with urlopen(self._probe, timeout=2):
            pass

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        failure = ""
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            try:
                self._ask()
            except OSError as error:
                failure = str(error)
            else:
                return
            time.sleep(0.1)
        tail = self.log.read_text(errors="replace")[-4000:]
        self.stop()
        raise RuntimeError(f"{type(self).__name__} did not start: {failure}\n{tail}")
