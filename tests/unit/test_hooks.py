"""Hooks for schema changes: what each does with events, against a real HTTP server and real files."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import pickle
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lakeload import hooks
from lakeload.errors import ConfigError, SchemaError, StorageError
from lakeload.hooks import append_changes, as_hooks, log_changes, post_changes, refuse_changes, run_hooks
from lakeload.model.events import SchemaEvent

AT = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)


def event(kind: Any = "add", column: str = "a.b", table: str = "t", **facts: Any) -> SchemaEvent:
    given = {"old": None, "new": "string", "cause": "rows of the data", "rows": 3, **facts}
    return SchemaEvent(table=table, column=column, kind=kind, load_id="load-a", at=AT, pipeline="p", **given)


EVENTS = [event(), event("widen", "n", old="int32", new="int64", rows=None)]


class Webhook:
    """A server that notes what it is sent and answers what it is told."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.seen: list[tuple[str, dict[str, str], Any]] = []
        self.sleep = 0.0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.seen.append((self.path, dict(self.headers), json.loads(body)))
                time.sleep(hook.sleep)
                status = hook.answers.pop(0) if hook.answers else 200
                try:
                    self.send_response(status)
                    if status == 302:
                        self.send_header("Location", "/elsewhere")
                    self.send_header("Retry-After", "3600")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    pass  # the caller lost patience

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/services/SECRET?token=SECRET"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    monkeypatch.setattr(hooks, "_PAUSE", 0.01)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    found = Webhook()
    yield found
    found.close()


# --- webhook -----------------------------------------------------------------------------------------------


def test_webhook_gets_all_changes_of_a_load_in_one_request(webhook: Webhook) -> None:
    post_changes(webhook.url, headers={"Authorization": "Bearer SECRET"})(EVENTS)
    ((path, headers, body),) = webhook.seen
    assert path == "/services/SECRET?token=SECRET"
    assert (headers["Content-Type"], headers["Authorization"]) == ("application/json", "Bearer SECRET")
    assert body == {"events": [found.to_dict() for found in EVENTS]}
    assert body["events"][0]["at"] == "2024-05-01T00:00:00+00:00"


def test_header_given_wins_over_the_password_file_of_the_user(
    webhook: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    post_changes(webhook.url, headers={"authorization": "Bearer SECRET"})(EVENTS)
    assert webhook.seen[0][1]["authorization"] == "Bearer SECRET"


def test_slack_gets_text_with_its_own_signs_escaped(webhook: Webhook) -> None:
    post_changes(webhook.url, format="slack")([event(column="<!channel>"), EVENTS[1]])
    assert webhook.seen[0][2] == {
        "text": "Schema changes by pipeline p, load load-a:\n"
        "• t: added &lt;!channel&gt; string (rows of the data, in 3 rows)\n"
        "• t: widened n from int32 to int64 (rows of the data)"
    }


def test_slack_message_of_many_changes_is_cut_and_says_so(webhook: Webhook) -> None:
    post_changes(webhook.url, format="slack")([event(column=f"c{n}") for n in range(100)])
    lines = webhook.seen[0][2]["text"].splitlines()
    assert (len(lines), lines[-1]) == (42, "… and 60 more")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_request_is_repeated_when_the_server_stumbles(webhook: Webhook, status: int) -> None:
    webhook.answers = [status, status]
    post_changes(webhook.url)(EVENTS)
    assert len(webhook.seen) == 3


@pytest.mark.parametrize(
    ("answers", "status", "requests"), [([500] * 9, 500, 4), ([404], 404, 1), ([302], 302, 1)]
)
def test_webhook_that_does_not_take_the_changes_is_an_error_without_secrets(
    webhook: Webhook, answers: list[int], status: int, requests: int
) -> None:
    webhook.answers = answers
    with pytest.raises(StorageError, match=rf"answered {status} \(in http://127.0.0.1/…\)") as caught:
        post_changes(webhook.url)(EVENTS)
    assert len(webhook.seen) == requests
    assert "SECRET" not in _everything(caught.value)


def test_server_that_is_down_is_an_error_without_secrets(webhook: Webhook) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://me:SECRET@127.0.0.1:{taken.getsockname()[1]}/SECRET?x=SECRET"
    with pytest.raises(StorageError, match="got no answer") as caught:
        post_changes(url)(EVENTS)
    assert "SECRET" not in _everything(caught.value)


def test_slow_server_is_waited_for_as_long_as_the_timeout_says(webhook: Webhook) -> None:
    webhook.sleep = 5
    start = time.perf_counter()
    with pytest.raises(StorageError, match="got no answer") as caught:
        post_changes(webhook.url, timeout=0.1)(EVENTS)
    assert time.perf_counter() - start < 3
    assert "SECRET" not in _everything(caught.value)


@pytest.mark.parametrize(
    "url", ["", "hooks.example.com/x", "ftp://SECRET@host/x", "https://", "http://[SECRET"]
)
def test_url_that_cannot_be_used_is_refused_at_once_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="URL of the webhook") as caught:
        post_changes(url)
    assert "SECRET" not in _everything(caught.value)


def test_format_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="teams"):
        post_changes("https://example.com", format="teams")  # type: ignore[arg-type]  # what a caller may get wrong


def test_hook_shows_no_secret() -> None:
    hook = post_changes("https://u:SECRET@example.com:8443/SECRET", headers={"X": "SECRET"})
    assert repr(hook) == "post_changes('https://example.com/…', format='json')"
    assert "SECRET" not in repr(pickle.loads(pickle.dumps(hook)))


def _everything(error: BaseException | None) -> str:
    """The error as any log would show it, with what it was raised from."""
    import traceback

    return (
        ""
        if error is None
        else "".join(traceback.format_exception_only(error))
        + repr(error)
        + (
            _everything(error.__cause__)
            + ("" if error.__suppress_context__ else _everything(error.__context__))
        )
    )


# --- log, file ---------------------------------------------------------------------------------------------


def test_log_gets_a_record_per_change(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_changes()(EVENTS)
        log_changes(logging.getLogger("mine"), level=logging.INFO)(EVENTS[:1])
        log_changes("yours")(EVENTS[:1])
    found = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert found == [
        ("lakeload.schema", "WARNING", "t: added a.b string (rows of the data, in 3 rows)"),
        ("lakeload.schema", "WARNING", "t: widened n from int32 to int64 (rows of the data)"),
        ("mine", "INFO", "t: added a.b string (rows of the data, in 3 rows)"),
        ("yours", "WARNING", "t: added a.b string (rows of the data, in 3 rows)"),
    ]
    assert caplog.records[0].schema_event == EVENTS[0].to_dict()  # type: ignore[attr-defined]  # set by `extra`


def test_column_with_percent_signs_does_not_break_the_log(caplog: pytest.LogCaptureFixture) -> None:
    log_changes()([event(column="%s%d")])
    assert "added %s%d string" in caplog.text


def test_file_gets_a_json_line_per_change_and_keeps_what_it_had(tmp_path: Path) -> None:
    path = tmp_path / "new" / "changes.jsonl"
    append_changes(path)(EVENTS)
    append_changes(str(path))([event(column="größe\n")])
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [e.to_dict() for e in [*EVENTS, event(column="größe\n")]]


def test_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot be written.*Give append_changes\(\) a file") as caught:
        append_changes(tmp_path)(EVENTS)
    assert caught.value.place == str(tmp_path)


# --- refusal -----------------------------------------------------------------------------------------------


def test_refusal_names_the_first_change_and_counts_the_others() -> None:
    with pytest.raises(SchemaError) as caught:
        refuse_changes()([*EVENTS, event(column="c")])
    assert (caught.value.table, caught.value.column) == ("t", "a.b")
    assert "added a.b string (rows of the data, in 3 rows) and 2 more changes" in str(caught.value)


@pytest.mark.parametrize(
    ("refusal", "refused"),
    [
        (refuse_changes("widen"), True),
        (refuse_changes(["relax", "create_table"]), False),
        (refuse_changes(tables="t"), True),
        (refuse_changes(tables=["u", "v"]), False),
        (refuse_changes("widen", tables=["u"]), False),
    ],
)
def test_refusal_concerns_the_kinds_and_tables_it_was_given(refusal: Any, refused: bool) -> None:
    if refused:
        with pytest.raises(SchemaError):
            refusal(EVENTS)
    else:
        refusal(EVENTS)


def test_refusal_of_an_unknown_kind_is_an_error_at_once() -> None:
    with pytest.raises(ConfigError, match=r"'drop'.*create_table, add, widen, relax"):
        refuse_changes("drop")


# --- running them ------------------------------------------------------------------------------------------


class Noted:
    def __init__(self, *, before: bool = False) -> None:
        self.calls: list[Sequence[SchemaEvent]] = []
        self.before_publish = before

    def __call__(self, events: Sequence[SchemaEvent]) -> None:
        self.calls.append(events)


def test_hooks_run_at_their_moment_and_only_when_something_changed() -> None:
    early, late, plain = Noted(before=True), Noted(), []
    several = [early, late, plain.append]
    assert run_hooks(several, EVENTS, before=True) == []
    assert (len(early.calls), len(late.calls), len(plain)) == (1, 0, 0)
    assert run_hooks(several, EVENTS, before=False) == []
    assert (len(early.calls), len(late.calls), len(plain)) == (1, 1, 1)
    run_hooks(several, [], before=True)
    run_hooks(several, [], before=False)
    assert (len(early.calls), len(late.calls), len(plain)) == (1, 1, 1)


def test_failure_after_publication_is_a_warning_and_the_next_hook_still_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(events: Sequence[SchemaEvent]) -> None:
        raise ValueError("first line\nsecond line")

    noted = Noted()
    warnings = run_hooks([broken, append_changes(tmp_path), noted], EVENTS, before=False)
    assert len(noted.calls) == 1
    assert "broken failed: ValueError: first line" in warnings[0]
    assert "second" not in warnings[0]
    assert warnings[1].startswith("the schema change hook append_changes(")
    assert [record.getMessage() for record in caplog.records] == warnings


@pytest.mark.parametrize("error", [SchemaError("no"), RuntimeError("no")])
def test_failure_before_publication_goes_through(error: Exception) -> None:
    def broken(events: Sequence[SchemaEvent]) -> None:
        raise error

    broken.before_publish = True  # type: ignore[attr-defined]  # how a function says when it runs
    with pytest.raises(type(error)):
        run_hooks([broken], EVENTS, before=True)


def test_one_hook_several_or_none_can_be_given() -> None:
    noted = Noted()
    assert as_hooks(noted) == as_hooks([noted]) == (noted,)
    assert as_hooks(None) == as_hooks([]) == ()
    for wrong in ("log", 5, [noted, "log"]):
        with pytest.raises(ConfigError, match="must be callable"):
            as_hooks(wrong)  # type: ignore[arg-type]  # what a caller may get wrong
