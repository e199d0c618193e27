"""An OAuth2 server of the tests: it exchanges a client's secret for tokens another server really verifies.

Signed tokens with an expiry are what identity providers issue; issuing them here makes one that lives for
seconds, and one for the wrong server.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

CLIENT = "lake-client"
SECRET = "lake-client-secret"


class Tokens:
    """Issues tokens at `url`; start with `with`.

    Args:
        seconds: How long a token is valid.
    """

    def __init__(self, seconds: float = 3600.0) -> None:
        from cryptography.hazmat.primitives.asymmetric import rsa

        self.seconds = seconds
        self.issued: list[dict[str, list[str]]] = []
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public_key(self) -> str:
        """The key that verifies the tokens: base64 of its DER."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        key = self._key.public_key()
        return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()

    @property
    def url(self) -> str:
        """Where a secret is exchanged for a token."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/token"

    def token(self, seconds: float | None = None) -> str:
        """A token valid for so many seconds from now; negative: it has expired."""
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        now = time.time()
        claims = {
            "iss": "tests",
            "sub": CLIENT,
            "upn": CLIENT,
            "iat": int(now) - 3600,
            "exp": int(now + (self.seconds if seconds is None else seconds)),
        }
        signed = b".".join(_part(part) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
        signature = base64.urlsafe_b64encode(self._key.sign(signed, PKCS1v15(), SHA256())).rstrip(b"=")
        return (signed + b"." + signature).decode()

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _part(value: dict[str, Any]) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def _handler(tokens: Tokens) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
            if (form.get("client_id"), form.get("client_secret")) != ([CLIENT], [SECRET]):
                self._answer(401, {"error": "invalid_client", "error_description": "no such client"})
                return
            tokens.issued.append(form)
            found = {
                "access_token": tokens.token(),
                "token_type": "bearer",
                "expires_in": int(tokens.seconds),
            }
            self._answer(200, found)

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
