"""A proxy of the tests in front of a server that speaks anything over TCP: it watches what clients say."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

_SIZE = 1 << 16


class TcpProxy:
    """Stands in front of a port of 127.0.0.1; start with `with`.

    Args:
        port: Of the server.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.before: Callable[[bytes], bool] = lambda _: False
        """Sees what a client says before the server does; true: the connection breaks, unheard."""
        self.after: Callable[[bytes], bool] = lambda _: False
        """Sees it when the server has answered; true: the connection breaks and the answer is lost."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            server = socket.create_connection(("127.0.0.1", self._target), timeout=60)
            said: list[bytes] = [b""]
            with server:
                threading.Thread(target=self._answer, args=(server, client, said), daemon=True).start()
                while data := client.recv(_SIZE):
                    if self.before(data):
                        return
                    said[0] = data
                    server.sendall(data)

    def _answer(self, server: socket.socket, client: socket.socket, said: list[bytes]) -> None:
        with suppress(OSError):
            while data := server.recv(_SIZE):
                if self.after(said[0]):
                    break
                client.sendall(data)
        for one in (client, server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
