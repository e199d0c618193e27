"""A mock of AWS Glue: moto's server in a thread of the tests, on a free port of 127.0.0.1.

There is no Glue to be had outside AWS, so this is no real program like the other services, and tests that use
it say so. Three things moto leaves out are added here as the AWS documentation has them: an update that names
a version of the table that is not the newest is refused, a request can be refused by name of the error, and
an answer can get lost after the request was carried out. What was asked is on record in `requests`.
"""

from __future__ import annotations

import io
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlencode

REGION = "us-east-1"
_ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Glue:
    """A Data Catalog: its address as lakeload takes it, and who may write there.

    Args:
        uri: Address.
        storage: Options with keys and region; of Glue and of the object store.
        warehouse: `s3://` place for the tables; `None` when any place will do, local ones too.
        endpoint: Address of the mock; `None` for AWS itself.
    """

    uri: str
    storage: dict[str, str] = field(repr=False)
    warehouse: str | None = None
    endpoint: str | None = None

    def client(self) -> Any:
        """A botocore client: a way in that shares no code with lakeload."""
        return _session().create_client(
            "glue",
            region_name=self.storage["aws_region"],
            endpoint_url=self.endpoint,
            aws_access_key_id=self.storage["aws_access_key_id"],
            aws_secret_access_key=self.storage["aws_secret_access_key"],
            aws_session_token=self.storage.get("aws_session_token"),
        )

    def entry(self, namespace: str, name: str) -> dict[str, Any]:
        """An entry as Glue tells it."""
        found: dict[str, Any] = self.client().get_table(DatabaseName=namespace, Name=name)["Table"]
        return found

    def properties(self) -> dict[str, str]:
        """What pyiceberg's Glue catalog needs to be this one."""
        given = {
            "glue.region": self.storage["aws_region"],
            "glue.access-key-id": self.storage["aws_access_key_id"],
            "glue.secret-access-key": self.storage["aws_secret_access_key"],
            "glue.session-token": self.storage.get("aws_session_token"),
            "glue.endpoint": self.endpoint,
        }
        return {key: value for key, value in given.items() if value is not None}


class Moto:
    """The server and what it shall do wrong."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._lost: Counter[str] = Counter()
        self._refused: dict[str, tuple[str, str]] = {}
        self._before: dict[str, Callable[[], object]] = {}
        self._one_at_a_time = threading.Lock()
        self._server: Any = None

    def start(self) -> None:
        """Start to answer."""
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._application = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        threading.Thread(target=self._server.serve_forever, name="moto", daemon=True).start()

    def stop(self) -> None:
        """Stop to answer."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def glue(self) -> Glue:
        """The mocked Data Catalog; any keys will do."""
        endpoint = f"http://127.0.0.1:{self._server.server_port}"
        query = urlencode({"region": REGION, "endpoint": endpoint})
        keys = {"aws_access_key_id": "AKIAMOTO", "aws_secret_access_key": "moto-secret", "aws_region": REGION}
        return Glue(f"glue://?{query}", keys, endpoint=endpoint)

    def sent(self, operation: str) -> list[dict[str, Any]]:
        """What was asked of one operation, oldest first."""
        return [body for name, body in self.requests if name == operation]

    @contextmanager
    def refusing(self, operation: str, code: str, message: str = "no") -> Iterator[None]:
        """Refuse an operation with an error of AWS's."""
        self._refused[operation] = code, message
        try:
            yield
        finally:
            del self._refused[operation]

    @contextmanager
    def losing_answers(self, operation: str, times: int) -> Iterator[None]:
        """Carry the operation out but tell the client that something went wrong."""
        self._lost[operation] = times
        try:
            yield
        finally:
            del self._lost[operation]

    @contextmanager
    def before(self, operation: str, action: Callable[[], object]) -> Iterator[None]:
        """Do something when the operation is asked for the first time and before it is carried out."""
        self._before[operation] = action
        try:
            yield
        finally:
            self._before.pop(operation, None)

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").removeprefix("AWSGlue.")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if operation in self._before:
            self._before.pop(operation)()
        with self._one_at_a_time:
            asked = json.loads(body or b"{}")
            self.requests.append((operation, asked))
            if operation in self._refused:
                return _refusal(start_response, 400, *self._refused[operation])
            if operation == "UpdateTable" and _stale(asked):
                return _refusal(start_response, 400, "ConcurrentModificationException", "Update table failed")
            said: list[Any] = []
            answer = list(self._application(environ, lambda *given: said.extend(given)))
            if self._lost[operation] > 0 and said[0].startswith("200"):
                self._lost[operation] -= 1
                return _refusal(start_response, 500, "InternalServiceException", "the answer is lost")
            start_response(*said)
            return answer


@cache
def _session() -> Any:
    # One session for all clients: reading what Glue's calls look like takes half a second.
    from botocore.session import Session

    return Session()


def _stale(asked: dict[str, Any]) -> bool:
    from moto.glue.models import glue_backends

    databases = glue_backends[_ACCOUNT][REGION].databases
    database = databases.get(asked["DatabaseName"])
    table = database.tables.get(asked["TableInput"]["Name"]) if database is not None else None
    version = asked.get("VersionId")
    return table is not None and version is not None and version != table.as_dict()["VersionId"]


def _refusal(start_response: Any, status: int, code: str, message: str) -> list[bytes]:
    body = json.dumps({"__type": code, "message": message}).encode()
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
    start_response(f"{status} {'Bad Request' if status < 500 else 'Internal Server Error'}", headers)
    return [body]
