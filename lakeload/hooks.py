"""Who hears of schema changes: ready hooks for `on_schema_change=`, and how a run calls them.

Beside the line extract → normalize → write → commit. A hook is a callable that takes the `SchemaEvent`s of
one load, all tables together, and is not called when there are none. One with the attribute
`before_publish = True` runs before the load is recorded: if it raises, nothing is published. All others run
once the rows are published; the load stands whatever they do, and a failure becomes a warning.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from lakeload.errors import ConfigError, LakeloadError, SchemaError, StorageError
from lakeload.given import text, texts, texts_by_text, unsuitable
from lakeload.model.events import SchemaEvent

Hook: TypeAlias = Callable[[Sequence[SchemaEvent]], None]
"""What `on_schema_change=` takes, alone or several in a list."""

_RETRIES = 3
_PAUSE = 0.2
"""Seconds before the second retry; doubled for each one after it."""
_WORTH_RETRYING = (429, 500, 502, 503, 504)
_SLACK_LINES = 40
"""Events one Slack message lists before it counts the rest; Slack cuts messages at 40,000 characters."""
_KINDS = ("create_table", "add", "widen", "relax")
_LOGGER = logging.getLogger("lakeload.hooks")


def run_hooks(hooks: Iterable[Hook], events: Sequence[SchemaEvent], *, before: bool) -> list[str]:
    """Call the hooks of one moment.

    Args:
        hooks: All hooks of the run.
        events: What changed; nobody is called when nothing did.
        before: Call those that run before the load is recorded; otherwise all others.

    Returns:
        What went wrong, one line per hook that failed, for the report. Each is logged as a warning, too.

    Raises:
        Exception: Whatever a hook raised, when `before` is true.

    Example:
        >>> run_hooks([print], [], before=False)
        []
    """
    warnings: list[str] = []
    if not events:
        return warnings
    for hook in hooks:
        if before:
            if getattr(hook, "before_publish", False):
                hook(events)
            continue
        try:
            if not getattr(hook, "before_publish", False):
                hook(events)
        except Exception as error:  # noqa: BLE001 - the rows are published; no hook may fail the load
            warnings.append(f"the schema change hook {_name(hook)} failed: {reason(error)}")
            _LOGGER.warning("%s", warnings[-1])
    return warnings


def as_hooks(given: Hook | Iterable[Hook] | None) -> tuple[Hook, ...]:
    """One hook, several or none, as given to `on_schema_change=`.

    Raises:
        ConfigError: Something in it cannot be called.

    Example:
        >>> len(as_hooks([print, print])), as_hooks(None)
        (2, ())
    """
    if given is None:
        return ()
    found: tuple[Any, ...] = (given,) if callable(given) else _several(given)
    for hook in found:
        if not callable(hook):
            raise ConfigError(
                f"a hook for schema changes must be callable, not {type(hook).__name__}",
                hint="Give a function of one argument, the events; or one of lakeload.hooks.",
            )
    return found


def _several(given: object) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)


class _LogChanges:
    def __init__(self, logger: logging.Logger, level: int) -> None:
        self._logger, self._level = logger, level

    def __repr__(self) -> str:
        return f"log_changes({self._logger.name!r}, level={logging.getLevelName(self._level)})"

    def __call__(self, events: Sequence[SchemaEvent]) -> None:
        for event in events:
            self._logger.log(self._level, "%s", event, extra={"schema_event": event.to_dict()})


def log_changes(logger: logging.Logger | str | None = None, *, level: int = logging.WARNING) -> Hook:
    """A hook that logs every change as one record.

    Args:
        logger: Where to; by default the logger `lakeload.schema`. A text is the name of a logger.
        level: Level of the records. The default shows them even where logging was never set up.

    Returns:
        The hook. Its records carry the event as a mapping in the attribute `schema_event`.

    Example:
        >>> log_changes(level=logging.INFO)
        log_changes('lakeload.schema', level=INFO)
    """
    if isinstance(level, bool) or not isinstance(level, int):
        raise unsuitable(level, "level", "a level such as logging.INFO")
    if not isinstance(logger, logging.Logger):
        named = "lakeload.schema" if logger is None else text(logger, "logger", like="a logger or its name")
        return _LogChanges(logging.getLogger(named), level)
    found = logger
    return _LogChanges(found, level)


class _AppendChanges:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __repr__(self) -> str:
        return f"append_changes({str(self._path)!r})"

    def __call__(self, events: Sequence[SchemaEvent]) -> None:
        lines = "".join(json.dumps(event.to_dict(), ensure_ascii=False) + "\n" for event in events)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # One write of a file opened for appending: lines of two runs do not get into each other.
            with self._path.open("ab", buffering=0) as file:
                file.write(lines.encode())
        except OSError as error:
            raise StorageError(
                f"the schema changes cannot be written: {error.strerror or error}",
                place=str(self._path),
                hint="Give append_changes() a file this user may write.",
            ) from error


def append_changes(path: str | Path) -> Hook:
    """A hook that appends every change to a file of JSON lines.

    Args:
        path: A local file; it and its folder are made when they are not there. `~` is the home directory.

    Returns:
        The hook. It raises `StorageError` when the file cannot be written.

    Example:
        >>> append_changes("changes.jsonl")
        append_changes('changes.jsonl')
    """
    place = text(
        os.fspath(path) if isinstance(path, os.PathLike) else path, "path", like="the path of a file"
    )
    return _AppendChanges(Path(place).expanduser())


class _PostChanges:
    def __init__(self, url: str, form: str, timeout: float, headers: dict[str, str]) -> None:
        self._url, self._form, self._timeout, self._headers = url, form, timeout, headers

    def __repr__(self) -> str:
        return f"post_changes({_public(self._url)!r}, format={self._form!r})"

    def __call__(self, events: Sequence[SchemaEvent]) -> None:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        retries = Retry(
            total=_RETRIES,
            redirect=0,
            allowed_methods=None,
            status_forcelist=_WORTH_RETRYING,
            backoff_factor=_PAUSE,
            raise_on_status=False,
            respect_retry_after_header=False,  # a server may name hours, and the load waits
        )
        body = {"events": [e.to_dict() for e in events]} if self._form == "json" else _slack(events)
        try:
            with requests.Session() as session:
                adapter = HTTPAdapter(max_retries=retries)
                session.mount("http://", adapter)
                session.mount("https://", adapter)
                with session.post(
                    self._url,
                    json=body,
                    headers=self._headers,
                    auth=self._auth(),
                    timeout=self._timeout,
                    allow_redirects=False,
                    stream=True,  # the answer's body is of no interest, and may be endless
                ) as answer:
                    status = answer.status_code
        except (requests.RequestException, OSError, ValueError) as error:
            # Without its cause: what the library says of an error repeats the whole URL.
            raise self._failed(f"got no answer ({type(error).__name__})") from None
        if not 200 <= status < 300:  # noqa: PLR2004 - the class of successful answers
            raise self._failed(f"answered {status}")

    def _auth(self) -> Callable[[Any], Any] | None:
        """Keep the library from putting a password of ~/.netrc in place of the header that was given."""
        told = any(name.lower() == "authorization" for name in self._headers)
        return (lambda request: request) if told else None

    def _failed(self, what: str) -> StorageError:
        return StorageError(
            f"the webhook for schema changes {what}",
            place=_public(self._url),
            hint="Check its URL and whether it can be reached from here; the load itself is not concerned.",
        )


def post_changes(
    url: str,
    *,
    format: Literal["json", "slack"] = "json",  # noqa: A002 - the word users look for
    timeout: float = 10,
    headers: dict[str, str] | None = None,
) -> Hook:
    """A hook that posts the changes of a load to a webhook, as one request.

    It is tried again up to three times, within about two seconds plus timeouts, when nobody answers or the
    server says 429 or 5xx; so a receiver can see one load twice, with the same `load_id`. Proxies are taken
    from the usual environment variables. Redirects are not followed.

    Args:
        url: `http://…` or `https://…`. Path and query can be secret: neither appears in messages.
        format: `json` sends `{"events": [...]}` with the members of `SchemaEvent.to_dict`; `slack` sends
            `{"text": ...}`, which Slack, Mattermost and Rocket.Chat understand.
        timeout: Seconds to wait for a connection, and for each piece of the answer.
        headers: Sent with the request, for instance an `Authorization`. Never shown.

    Returns:
        The hook. It raises `StorageError` when the webhook does not take the changes.

    Raises:
        ConfigError: The URL or the format cannot be used.

    Example:
        >>> post_changes("https://hooks.slack.com/services/T0/B0/secret", format="slack")
        post_changes('https://hooks.slack.com/…', format='slack')
    """
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise unsuitable(timeout, "timeout", "seconds")
    given = texts_by_text(headers or {}, "headers", like='text by text, as {"Authorization": "…"}')
    if format not in ("json", "slack"):
        raise ConfigError(f"{format!r} is no format of webhooks", hint='Use "json" or "slack".')
    try:
        parts = urlsplit(str(url))
        usable = isinstance(url, str) and parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(
            "the URL of the webhook cannot be used", hint="It begins with https:// and a host name."
        )
    return _PostChanges(url, format, timeout, given)


class _RefuseChanges:
    before_publish = True

    def __init__(self, kinds: frozenset[str], tables: frozenset[str] | None) -> None:
        self._kinds, self._tables = kinds, tables

    def __repr__(self) -> str:
        where = "" if self._tables is None else f", tables={sorted(self._tables)}"
        return f"refuse_changes(kinds={sorted(self._kinds)}{where})"

    def __call__(self, events: Sequence[SchemaEvent]) -> None:
        refused = [e for e in events if e.kind in self._kinds and self._concerns(e.table)]
        if not refused:
            return
        first, more = refused[0], len(refused) - 1
        rest = f" and {more} more change{'' if more == 1 else 's'}" if more else ""
        raise SchemaError(
            f"the schema change is refused: {first}{rest}",
            table=first.table,
            column=first.column or None,
            hint="Nothing was published. Correct the data, or let this change pass refuse_changes().",
        )

    def _concerns(self, table: str) -> bool:
        return self._tables is None or table in self._tables


def refuse_changes(kinds: str | Iterable[str] = _KINDS, *, tables: str | Iterable[str] | None = None) -> Hook:
    """A hook that fails a load which would change a schema, before anything of it is published.

    Args:
        kinds: Kinds that are refused, of `create_table`, `add`, `widen` and `relax`; all by default.
        tables: Names of the tables that must not change, as they are in the lake; all by default.

    Returns:
        The hook. It raises `SchemaError`, which names the first change and counts the others.

    Raises:
        ConfigError: There is no such kind.

    Example:
        >>> refuse_changes("widen", tables=["orders"])
        refuse_changes(kinds=['widen'], tables=['orders'])
    """
    wanted = frozenset(texts(kinds, "kinds", like=f"one or several of {', '.join(_KINDS)}"))
    unknown = sorted(wanted - set(_KINDS))
    if unknown:
        raise ConfigError(f"there is no schema change {unknown[0]!r}", hint=f"Use {', '.join(_KINDS)}.")
    names = None if tables is None else frozenset(texts(tables, "tables"))
    return _RefuseChanges(wanted, names)


def _slack(events: Sequence[SchemaEvent]) -> dict[str, str]:
    first, more = events[0], len(events) - _SLACK_LINES
    head = f"Schema changes by pipeline {first.pipeline}, load {first.load_id}:"
    lines = [f"• {event}" for event in events[:_SLACK_LINES]]
    text = "\n".join([head, *lines, *([f"… and {more} more"] if more > 0 else [])])
    # Slack's three control characters; names of columns could otherwise mention people or make links.
    return {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


def _public(url: str) -> str:
    """Scheme and host: user, path and query can be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}/…"


def _name(hook: Hook) -> str:
    try:
        named = getattr(hook, "__qualname__", None)
        return named if isinstance(named, str) else repr(hook)
    except Exception:  # noqa: BLE001 - a warning must not fail over the words it is made of
        return type(hook).__name__


def reason(error: Exception) -> str:
    """What went wrong, in one line, whatever the error makes of itself."""
    if isinstance(error, LakeloadError):
        return str(error)
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001 - as above
        lines = []
    return f"{type(error).__name__}{f': {lines[0]}' if lines else ''}"
