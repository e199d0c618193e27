"""GitHub-like events as JSON lines: nested, ragged, unicode; the same bytes for the same seed.

Only `random.Random.random` is used: its sequence for a seed is the one thing Python guarantees.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.harness.environments import cache
from benchmarks.harness.process import measure

ROWS = 500_000
SEED = 20261122
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

TEXT = """
    add fix remove refactor parser writer für größere naïve café retry cache lock snapshot manifest 表 日本語
    schema évolution stream batch commit merge test docs build ci release typo emoji 🚀 handle null edge
    performance memory timeout wächst данные partition column nested struct decimal timestamp zone case
"""
WORDS = TEXT.split()
NAMES = ("mona", "hubot", "linus", "grace", "ada", "žofie", "olu", "mei", "søren", "ines", "tomás", "yuki")
LABELS = (
    {"id": 1, "name": "bug", "color": "d73a4a", "default": True},
    {"id": 2, "name": "enhancement", "color": "a2eeef", "default": True},
    {"id": 3, "name": "hilfe gesucht", "color": "008672", "default": False},
)


def events(rows: int) -> Path:
    """The file of that many events, generated once and kept in the cache."""
    path = cache("data") / f"events-{SEED}-{rows}.jsonl"
    if not path.exists():
        measure("benchmarks.generate:write", {"path": str(path), "rows": rows})
    return path


def pages(path: str, rows: int = 1000) -> list[list[dict[str, Any]]]:
    """The records of a file as Python objects, in lists of so many, as an API would deliver them."""
    with Path(path).open("rb") as stream:
        records = [json.loads(line) for line in stream]
    return [records[start : start + rows] for start in range(0, len(records), rows)]


def write(path: str, rows: int, seed: int = SEED) -> None:
    """Write events to a file, which appears when complete."""
    import msgspec

    encoder = msgspec.json.Encoder()
    source = _Events(seed)
    aside = Path(f"{path}.part")
    with aside.open("wb", buffering=1 << 20) as stream:
        for number in range(rows):
            stream.write(encoder.encode(source.event(number)))
            stream.write(b"\n")
    aside.rename(path)


class _Events:
    """Draws events one after the other from one random sequence."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed).random
        self.clock = 0.0
        kinds = (
            (0.50, "PushEvent", self._push),
            (0.64, "PullRequestEvent", self._pull_request),
            (0.76, "IssuesEvent", self._issue),
            (0.84, "IssueCommentEvent", self._comment),
            (0.94, "WatchEvent", lambda: {"action": "started"}),
            (1.00, "CreateEvent", self._create),
        )
        self.kinds = kinds

    def event(self, number: int) -> dict[str, Any]:
        """One event; ids and times ascend."""
        draw = self.random()
        kind, payload = next((kind, make) for share, kind, make in self.kinds if draw <= share)
        self.clock += self.random() * 4
        owner, name = self._below(4_000), self._below(9)
        repo = f"{NAMES[owner % len(NAMES)]}-{owner}/{WORDS[(owner * 7 + name) % len(WORDS)]}-{name}"
        event = {
            "id": str(30_000_000_000 + number),
            "type": kind,
            "actor": self._user(),
            "repo": {
                "id": owner * 10 + name,
                "name": repo,
                "url": f"https://api.github.example/repos/{repo}",
            },
            "payload": payload(),
            "public": self.random() < 0.97,
            "created_at": self._time(),
        }
        if self.random() < 0.3:
            event["org"] = {"id": owner, "login": f"org-{owner}", "gravatar_id": None}
        return event

    def _below(self, limit: int) -> int:
        return int(self.random() * limit)

    def _hex(self, digits: int) -> str:
        # 48 bits at a time: a double carries 53.
        parts = (f"{int(self.random() * 2**48):012x}" for _ in range(0, digits, 12))
        return "".join(parts)[:digits]

    def _time(self) -> str:
        return (START + dt.timedelta(seconds=int(self.clock))).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _text(self, least: int, most: int) -> str:
        return " ".join(WORDS[self._below(len(WORDS))] for _ in range(least + self._below(most - least)))

    def _user(self) -> dict[str, Any]:
        number = int(self.random() ** 2 * 60_000)
        login = f"{NAMES[number % len(NAMES)]}{number}"
        return {"id": number, "login": login, "display_login": login, "site_admin": self.random() < 0.01}

    def _commit(self) -> dict[str, Any]:
        sha, name = self._hex(40), NAMES[self._below(len(NAMES))]
        return {
            "sha": sha,
            "author": {"name": name, "email": f"{name}{self._below(5_000)}@users.example"},
            "message": self._text(2, 8),
            "distinct": self.random() < 0.9,
        }

    def _push(self) -> dict[str, Any]:
        count = 1 + int(self.random() ** 3 * 5)
        return {
            "push_id": 9_000_000_000 + self._below(10**9),
            "size": count,
            "distinct_size": count,
            "ref": f"refs/heads/{WORDS[self._below(8)]}",
            "head": self._hex(40),
            "before": self._hex(40),
            "commits": [self._commit() for _ in range(count)],
        }

    def _pull_request(self) -> dict[str, Any]:
        merged = self.random() < 0.4
        return {
            "action": "closed" if merged else "opened",
            "number": self._below(20_000),
            "pull_request": {
                "id": 10**9 + self._below(10**8),
                "title": self._text(3, 9),
                "body": self._text(3, 12) if self.random() < 0.7 else None,
                "user": self._user(),
                "merged": merged,
                "merged_at": self._time() if merged else None,
                "additions": self._below(2_000),
                "deletions": self._below(900),
                "labels": [LABELS[self._below(3)] for _ in range(self._below(3))],
                "requested_reviewers": [self._user() for _ in range(self._below(3))],
                "head": {"ref": WORDS[self._below(8)], "sha": self._hex(40)},
            },
        }

    def _issue(self) -> dict[str, Any]:
        issue = {
            "id": 2 * 10**9 + self._below(10**8),
            "number": self._below(20_000),
            "title": self._text(3, 10),
            "body": self._text(3, 20) if self.random() < 0.8 else None,
            "user": self._user(),
            "labels": [LABELS[self._below(3)] for _ in range(self._below(3))],
            "comments": self._below(30),
            "locked": self.random() < 0.02,
        }
        if self.random() < 0.2:
            issue["milestone"] = {"number": self._below(40), "title": self._text(1, 3), "due_on": None}
        return {"action": "opened" if self.random() < 0.6 else "closed", "issue": issue}

    def _comment(self) -> dict[str, Any]:
        comment = {"id": 3 * 10**9 + self._below(10**8), "body": self._text(3, 20), "user": self._user()}
        return {"action": "created", "comment": comment}

    def _create(self) -> dict[str, Any]:
        branch = self.random() < 0.7
        described = self._text(4, 12) if self.random() < 0.6 else None
        ref = WORDS[self._below(8)] if branch else None
        return {"ref": ref, "ref_type": "branch" if branch else "repository", "description": described}
