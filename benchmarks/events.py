"""What loading the generated events must give: one row per event, and one per element of every list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.contest import Expected, Output, expected

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
            title VARCHAR, body VARCHAR, merged BOOLEAN, additions BIGINT, head STRUCT(sha VARCHAR),
            labels STRUCT(id BIGINT, name VARCHAR, color VARCHAR)[],
            requested_reviewers STRUCT(id BIGINT, login VARCHAR)[]
        ),
        issue STRUCT(
            title VARCHAR, labels STRUCT(id BIGINT, name VARCHAR, color VARCHAR)[],
            milestone STRUCT(title VARCHAR)
        ),
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
    list_transform(payload.pull_request.requested_reviewers, lambda r: r.login),
    payload.issue.title, list_transform(payload.issue.labels, lambda l: l.name),
    payload.issue.milestone.title, payload.comment.body, payload.comment.user.login
)"""
# Where lists became tables of their own, the parent is compared without them.
NESTED_PARENT = f"""hash(
    {TOP}, actor.id, actor.login, repo.name, org.login, payload.push_id, payload.pull_request.head.sha,
    payload.issue.title, payload.comment.body
)"""
FLAT_PARENT = f"""hash(
    {TOP}, actor__id, actor__login, repo__name, org__login, payload__push_id,
    payload__pull_request__head__sha, payload__issue__title, payload__comment__body
)"""


@dataclass(frozen=True, slots=True)
class List:
    """One list of the events: where it is, and a hash of its elements nested and as a table."""

    path: str
    element: str
    row: str


LISTS = (
    List(
        "payload.commits",
        'e.sha, e.author.name, e.author.email, e.message, e."distinct"',
        'sha, author__name, author__email, message, "distinct"',
    ),
    List("payload.pull_request.labels", "e.id, e.name, e.color", "id, name, color"),
    List("payload.pull_request.requested_reviewers", "e.id, e.login", "id, login"),
    List("payload.issue.labels", "e.id, e.name, e.color", "id, name, color"),
)


def relation(source: Path) -> str:
    """The file, for DuckDB."""
    return f"read_json('{source}', format='newline_delimited', columns={SOURCE_COLUMNS})"


def right_lists(source: Path) -> dict[str, Expected]:
    """Rows and checksum of every list's elements with their positions, by path."""
    found = {}
    for one in LISTS:
        elements = (
            f"(SELECT unnest({one.path}) AS e, generate_subscripts({one.path}, 1) - 1 AS i "
            f"FROM {relation(source)})"
        )
        found[one.path] = expected(elements, f"hash(i::BIGINT, {one.element})")
    return found


def child_tables(kind: str, below: str, index: str, right: dict[str, Expected]) -> list[Output]:
    """The tables a loader makes of the lists.

    Args:
        kind: Table format.
        below: Directory of the parent table, below the target.
        index: Column that holds the position in the list.
        right: What they must hold.
    """
    return [
        Output(
            kind,
            f"{below}__{one.path.replace('.', '__')}",
            f"hash({index}::BIGINT, {one.row})",
            right[one.path],
        )
        for one in LISTS
    ]
