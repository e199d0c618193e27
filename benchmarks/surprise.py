"""What does one surprising row in a million cost?"""

from __future__ import annotations

import hashlib
from pathlib import Path

from benchmarks.competitors import imports
from benchmarks.generate import events
from benchmarks.harness.contest import Competitor, expected, hold
from benchmarks.harness.environments import cache
from benchmarks.harness.result import Options, Result

ROWS = 1_000_000
GOAL = 1.3
SURPRISES = {
    "a fraction among integers": (b'"actor":{"id":', b'"actor":{"id":0.5,"was":'),
    "text among integers": (b'"actor":{"id":', b'"actor":{"id":"none","was":'),
    "a new member": (b'"actor":{', b'"actor":{"surprise":1,'),
}
"""What to put in place of what, in the one row in the middle."""
CHECKSUM = "hash(id::VARCHAR, type, public, repo.name, actor.login, payload.push_id)"
COLUMNS = """{
    id: 'VARCHAR', type: 'VARCHAR', public: 'BOOLEAN', actor: 'STRUCT(login VARCHAR)',
    repo: 'STRUCT(name VARCHAR)', payload: 'STRUCT(push_id BIGINT)'
}"""


def run(options: Options) -> Result:
    """Load the same events with and without one row that fits nothing before it."""
    rows = options.rows or ROWS
    clean = events(rows)
    result = Result("surprise", f"One surprising row among {rows:,}")
    result.notes = [
        "Input: the events of json_to_table as one file; the row in the middle is changed.",
        "Text among integers turns the column into text, and all rows before it with it.",
    ]
    files = {"clean": clean, **{name: _changed(clean, rows, *words) for name, words in SURPRISES.items()}}
    right = expected(f"read_json('{clean}', format='newline_delimited', columns={COLUMNS})", CHECKSUM)
    competitors = [
        Competitor(
            f"lakeload, {name}",
            "lakeload",
            "benchmarks.competitors.lakeload:json_lines",
            {"source": str(path), "formats": ["delta"]},
            [("delta", "default/events")],
            CHECKSUM,
            right,
            imports("lakeload", ["delta"]),
        )
        for name, path in files.items()
    ]
    found = {name: record.work for name, record in hold(result, competitors, options).items()}
    base = found.get("lakeload, clean")
    for name in SURPRISES:
        if base and f"lakeload, {name}" in found:
            ratio = found[f"lakeload, {name}"] / base
            result.goal(f"{name}: time against clean rows", ratio, GOAL, unit="x")
    return result


def _changed(clean: Path, rows: int, old: bytes, new: bytes) -> Path:
    name = hashlib.sha256(new).hexdigest()[:8]
    path = cache("data") / f"{clean.stem}-{name}.jsonl"
    if not path.exists():
        aside = Path(f"{path}.part")
        with clean.open("rb") as source, aside.open("wb", buffering=1 << 20) as target:
            for number, line in enumerate(source):
                target.write(line.replace(old, new, 1) if number == rows // 2 else line)
        aside.rename(path)
    return path
