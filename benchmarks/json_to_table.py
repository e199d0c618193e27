"""How fast do nested JSON lines become a table?"""

from __future__ import annotations

from pathlib import Path

from benchmarks.competitors import imports
from benchmarks.generate import ROWS, events
from benchmarks.harness.contest import Competitor, Expected, expected, hold
from benchmarks.harness.result import Options, Result

# Types are given, not inferred: the right answer must not depend on a guess.
SOURCE_COLUMNS = """{
    id: 'VARCHAR', type: 'VARCHAR', public: 'BOOLEAN', created_at: 'TIMESTAMPTZ',
    actor: 'STRUCT(id BIGINT, login VARCHAR, site_admin BOOLEAN)',
    repo: 'STRUCT(id BIGINT, name VARCHAR)',
    org: 'STRUCT(id BIGINT, login VARCHAR)',
    payload: 'STRUCT(
        push_id BIGINT, ref VARCHAR, action VARCHAR,
        commits STRUCT(
            sha VARCHAR, author STRUCT(name VARCHAR, email VARCHAR), message VARCHAR, "distinct" BOOLEAN
        )[],
        pull_request STRUCT(
            title VARCHAR, body VARCHAR, merged BOOLEAN, additions BIGINT, head STRUCT(sha VARCHAR)
        ),
        issue STRUCT(title VARCHAR, labels STRUCT(name VARCHAR)[], milestone STRUCT(title VARCHAR)),
        comment STRUCT(body VARCHAR, user STRUCT(login VARCHAR))
    )'
}"""
TOP = "id::VARCHAR, type, public, created_at::TIMESTAMPTZ"
NESTED = f"""hash(
    {TOP}, actor.id, actor.login, actor.site_admin, repo.id, repo.name, org.id, org.login,
    payload.push_id, payload.ref, payload.action,
    list_transform(
        payload.commits, lambda c: hash(c.sha, c.author.name, c.author.email, c.message, c."distinct")
    ),
    payload.pull_request.title, payload.pull_request.body, payload.pull_request.merged,
    payload.pull_request.additions, payload.pull_request.head.sha,
    payload.issue.title, list_transform(payload.issue.labels, lambda l: l.name),
    payload.issue.milestone.title, payload.comment.body, payload.comment.user.login
)"""
# dlt makes child tables of lists: its parent table is compared without them.
NESTED_PARENT = f"""hash(
    {TOP}, actor.id, actor.login, repo.name, org.login, payload.push_id, payload.pull_request.head.sha,
    payload.issue.title, payload.comment.body
)"""
FLAT_PARENT = f"""hash(
    {TOP}, actor__id, actor__login, repo__name, org__login, payload__push_id,
    payload__pull_request__head__sha, payload__issue__title, payload__comment__body
)"""


def run(options: Options) -> Result:
    """Hold the contest."""
    rows = options.rows or ROWS
    dlt_rows = min(options.dlt_rows or rows, rows)
    source = events(rows)
    result = Result("json_to_table", f"Nested JSON lines → table ({rows:,} events)")
    result.notes = [
        f"Input: {source.stat().st_size / 1e6:.0f} MB of generated GitHub-like events, one file.",
        "DuckDB writes a bare Parquet file, no table; dlt flattens structs and makes child tables of lists.",
        "Checked: row count, and a checksum over every level of nesting (dlt: of the parent table).",
    ]
    right = expected(_relation(source), NESTED)
    competitors = [_lakeload(source, [kind], right) for kind in ("delta", "iceberg")]
    competitors += [
        Competitor(
            "DuckDB COPY → Parquet",
            "duckdb",
            "benchmarks.competitors.duckdb:json_lines",
            {"source": str(source)},
            [("parquet", "")],
            NESTED,
            right,
        ),
        _dlt(events(dlt_rows), rows / dlt_rows),
    ]
    if dlt_rows != rows:
        result.notes.append(f"dlt loaded the first {dlt_rows:,} events; its times are scaled up linearly.")
    _judge(result, {name: record.work for name, record in hold(result, competitors, options).items()})
    return result


def _relation(source: Path) -> str:
    return f"read_json('{source}', format='newline_delimited', columns={SOURCE_COLUMNS})"


def _lakeload(source: Path, formats: list[str], right: Expected) -> Competitor:
    return Competitor(
        f"lakeload → {' + '.join(formats)}",
        "lakeload",
        "benchmarks.competitors.lakeload:json_lines",
        {"source": str(source), "formats": formats},
        [(kind, "default/events") for kind in formats],
        NESTED,
        right,
        imports("lakeload", formats),
    )


def _dlt(source: Path, scale: float) -> Competitor:
    return Competitor(
        "dlt → delta",
        "dlt",
        "benchmarks.competitors.dlt:json_lines",
        {"source": str(source), "table_format": "delta"},
        [("delta", "lake/bench/events")],
        FLAT_PARENT,
        expected(_relation(source), NESTED_PARENT),
        imports("dlt", ["delta"]),
        scale,
    )


def _judge(result: Result, seconds: dict[str, float]) -> None:
    for ours in ("lakeload → delta", "lakeload → iceberg"):
        if ours in seconds and "dlt → delta" in seconds:
            result.goal_at_least(
                f"{ours}: times faster than dlt", seconds["dlt → delta"] / seconds[ours], 12, unit="x"
            )
        if ours in seconds and "DuckDB COPY → Parquet" in seconds:
            ratio = seconds[ours] / seconds["DuckDB COPY → Parquet"]
            result.goal(f"{ours}: time against DuckDB's copy", ratio, 1.5, unit="x")
