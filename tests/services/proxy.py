"""A proxy of the tests in front of a real HTTP server: it notes the requests, and breaks those it is told to."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass
class Request:
    """One request on its way to the server."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """Where it goes, without query."""
        return self.target.split("?")[0]

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body or b"null")

    def is_commit(self) -> bool:
        """Whether it publishes rows: a commit of a table, or of several, with a snapshot."""
        return self.method == "POST" and b'"add-snapshot"' in self.body


@dataclass
class Proxy:
    """Stands in front of `endpoint`; start with `with`.

    Args:
        endpoint: The server's address, with path.
        before: Called with every request before the server gets it; may raise `ConnectionError` to break off.
        swallow: Says of which requests the server's answer shall be lost.
        answer: Gives status and body to answer with instead of the server, or `None`.
    """

    endpoint: str
    before: Callable[[Request], None] = lambda _: None
    swallow: Callable[[Request], bool] = lambda _: False
    answer: Callable[[Request], tuple[int, bytes] | None] = lambda _: None
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def through(self, uri: str) -> str:
        """A catalog URI with this proxy in place of the server."""
        port = self._server.server_address[1]
        return uri.replace(urlsplit(self.endpoint).netloc, f"127.0.0.1:{port}", 1)

    def ask(self, request: Request) -> tuple[int, bytes]:
        """The server's own answer to a request."""
        # The Host header stays the proxy's, so a server that tells clients its address tells them ours.
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP}
        headers["Accept-Encoding"] = "identity"
        connection = http.client.HTTPConnection(urlsplit(self.endpoint).netloc, timeout=60)
        try:
            connection.request(request.method, request.target, request.body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def count(self, method: str, path: str) -> int:
        """How many requests of that method whose path ends like this came by."""
        return sum(one.method == method and one.path.endswith(path) for one in self.requests)


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, self.path, dict(self.headers), body)
            proxy.requests.append(request)
            try:
                proxy.before(request)
                found = proxy.answer(request) or proxy.ask(request)
            except OSError:
                found = None
            if found is None or proxy.swallow(request):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(found[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(found[1])))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(found[1])

        def log_message(self, *_: object) -> None:
            pass

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass  # noqa: N815 - names http.server looks for

    return Handler
