"""A wire between a client and a server that can be cut at a chosen word: for answers that are lost."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class Wire:
    """Forwards connections on a port of its own to another port of 127.0.0.1.

    Args:
        port: Where the server listens.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        """How often it was cut."""
        self._word: bytes | None = None
        self._first: Callable[[], None] | None = None
        self._then: Callable[[], None] | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_before(self, word: bytes, then: Callable[[], None]) -> None:
        """Call `then` instead of forwarding the next request that holds the word, and hang up."""
        self._word, self._first, self._then = word, then, None

    def cut_after(self, word: bytes, then: Callable[[], None]) -> None:
        """Forward the next request that holds the word, keep its answer, call `then` and hang up."""
        self._word, self._first, self._then = word, None, then

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client:
            try:
                server = socket.create_connection(("127.0.0.1", self._server), timeout=60)
            except OSError:
                return
            with server, suppress(OSError):  # either side may hang up at any word
                self._exchange(client, server)

    def _exchange(self, client: socket.socket, server: socket.socket) -> None:
        # A Thrift client sends one request and waits for its answer, so the two directions take turns.
        threading.Thread(target=_copy, args=(server, client), daemon=True).start()
        while data := _received(client):
            if self._word is None or self._word not in data:
                server.sendall(data)
                continue
            self._word = None
            self.cuts += 1
            if self._first is not None:
                self._first()
                return
            # Over a connection of its own, so that nothing forwards the answer.
            with socket.create_connection(("127.0.0.1", self._server), timeout=60) as apart:
                apart.sendall(data)
                apart.recv(1)
            if self._then is not None:
                self._then()
            return


def _received(peer: socket.socket) -> bytes:
    try:
        return peer.recv(1 << 20)
    except OSError:
        return b""


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
