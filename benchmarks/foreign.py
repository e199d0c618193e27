"""Shapes of JSON lines the reader was not tuned on: wide measurements, long log lines, repository events.

The same bytes for the same seed; only `random.Random.random` is used, whose sequence Python guarantees.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.harness.environments import cache
from benchmarks.harness.process import measure

SEED = 20261201
START = dt.datetime(2025, 7, 14, 6, 30, tzinfo=dt.UTC)
COLUMNS = 200
ROWS = {"measurements": 40_000, "logs": 120_000, "repositories": 140_000}
"""Rows by shape: about 120 MB each."""


def lines(shape: str, rows: int | None = None) -> Path:
    """The file of a shape, generated once and kept in the cache."""
    count = rows or ROWS[shape]
    path = cache("data") / f"foreign-{shape}-{SEED}-{count}.jsonl"
    if not path.exists():
        measure("benchmarks.foreign:write", {"path": str(path), "shape": shape, "rows": count})
    return path


def write(path: str, shape: str, rows: int) -> None:
    """Write the lines of a shape to a file, which appears when complete."""
    line = SHAPES[shape](Random(SEED).random)
    aside = Path(f"{path}.part")
    with aside.open("w", encoding="utf-8", buffering=1 << 20) as stream:
        for number in range(rows):
            stream.write(line(number))
            stream.write("\n")
    aside.rename(path)


def _measurements(random: Callable[[], float]) -> Callable[[int], str]:
    """Numbers in every notation programs print: shortest, 17 digits, fixed, exponent, long integers."""
    notations: tuple[Callable[[float], str], ...] = (
        repr,
        lambda value: f"{value * 180 - 90:.17g}",
        lambda value: f"{value * 1000:.6f}",
        lambda value: f"{value * 1e-7:.9e}",
        lambda value: str(int(value * 10**6)),
        lambda value: str(int(value * 2**60)),
        lambda value: f"{value * 400:.2f}",
        lambda value: "null" if value < 0.1 else repr(value / 3),
    )

    def line(number: int) -> str:
        values = (f'"m{i}": {notations[i % len(notations)](random())}' for i in range(COLUMNS))
        return f'{{"seq": {number}, {", ".join(values)}}}'

    return line


_PHRASES = (
    'failed to open "C:\\Users\\svc\\data"',
    "retrying\tin 5 s",
    "Verbindung getrennt - größer als erlaubt",
    "GET /api/v2/items?id=17&sort=desc HTTP/1.1",
    '  File "/srv/app/handlers.py", line 214, in dispatch\n    return self.route(request)',
    "\x1b[31mERROR\x1b[0m",
    "データベースに接続できません",
    "java.lang.IllegalStateException: pool exhausted\n\tat com.example.Pool.take(Pool.java:88)",
    "took 1532.25ms 2025.07.14 10:11:12,345",
    '{"nested": "json", "n": [1, 2, 3]}',
)


def _logs(random: Callable[[], float]) -> Callable[[int], str]:
    """Log lines of about a kilobyte, full of escapes."""
    levels, hosts = ("DEBUG", "INFO", "WARN", "ERROR"), 40

    def line(number: int) -> str:
        phrases = [_PHRASES[int(random() * len(_PHRASES))] for _ in range(4 + int(random() * 24))]
        moment = START + dt.timedelta(milliseconds=37 * number)
        record = {
            "timestamp": moment.isoformat(timespec="milliseconds"),
            "level": levels[int(random() ** 2 * 4)],
            "host": f"node-{int(random() * hosts):02d}.eu.example",
            "pid": int(random() * 65536),
            "message": "\n".join(phrases),
            "context": {"trace_id": f"{int(random() * 2**52):013x}", "elapsed": round(random() * 900, 3)},
        }
        # Half of all programs escape what is not ASCII.
        return json.dumps(record, ensure_ascii=random() < 0.5)

    return line


def _repositories(random: Callable[[], float]) -> Callable[[int], str]:
    """Events of repositories with addresses everywhere, after the shape of a public archive."""
    words = (
        "Fix",
        "add",
        "docs",
        "bump",
        "cache",
        "retry",
        "parser",
        "handles",
        "naïve",
        "flaky",
        "修复",
        "ключ",
    )

    def below(limit: int) -> int:
        return int(random() * limit)

    def text(most: int) -> str:
        return " ".join(words[below(len(words))] for _ in range(1 + below(most)))

    def user() -> dict[str, Any]:
        number = int(random() ** 3 * 90_000)
        home = f"https://api.example.org/users/u{number}"
        return {
            "login": f"u{number}",
            "id": number,
            "avatar_url": f"https://avatars.example.org/u/{number}?v=4",
            "url": home,
            "type": "Bot" if number % 50 == 0 else "User",
            "followers_url": f"{home}/followers",
            "site_admin": False,
        }

    def release() -> dict[str, Any]:
        assets = [
            {"name": f"pkg-{below(99)}.tar.gz", "size": below(10**8), "download_count": below(5_000)}
            for _ in range(below(4))
        ]
        return {"tag_name": f"v{below(9)}.{below(20)}.{below(40)}", "draft": False, "assets": assets}

    def line(number: int) -> str:
        owner, kind = below(20_000), below(4)
        moment = START + dt.timedelta(seconds=2 * number)
        payload: dict[str, Any] = {"action": ("created", "closed", "published", "edited")[kind]}
        if kind == 0:
            payload["comment"] = {"body": text(60) + "\r\n\r\n> " + text(20), "user": user()}
            payload["issue"] = {"number": below(9_000), "title": text(9), "user": user(), "labels": []}
        elif kind == 1:
            payload["issue"] = {
                "number": below(9_000),
                "title": text(9),
                "user": user(),
                "labels": [{"name": text(1), "color": f"{below(2**24):06x}"} for _ in range(below(4))],
                "closed_at": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        elif kind == 2:
            payload["release"] = release()
        else:
            payload["pages"] = [{"title": text(3), "sha": f"{below(2**50):040x}"} for _ in range(below(5))]
        event = {
            "id": f"{51_000_000_000 + number * 3}",
            "type": ("IssueCommentEvent", "IssuesEvent", "ReleaseEvent", "GollumEvent")[kind],
            "actor": user(),
            "repo": {"id": owner, "name": f"o{owner % 911}/r{owner}", "stars": below(40_000)},
            "payload": payload,
            "public": True,
            "score": random() * 10,
            "created_at": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return json.dumps(event, ensure_ascii=False, separators=(",", ":"))

    return line


SHAPES: dict[str, Callable[[Callable[[], float]], Callable[[int], str]]] = {
    "measurements": _measurements,
    "logs": _logs,
    "repositories": _repositories,
}
