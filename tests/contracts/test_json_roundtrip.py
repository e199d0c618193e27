"""Any JSON goes into a lake and comes back equal, by every nesting policy, in both formats.

What may differ is said by the rules in docs/concepts/schema.md, and worked out by `json_model`. The nightly
profile runs at least 20,000 examples over all tests of this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_model import Seen, modelled, text
from rebuild import _path, _raw, pruned, rebuild

import lakeload as ll

NIGHTLY = 2_500
"""Examples per test and format in the nightly profile: four tests, two formats."""

NAMES = st.one_of(
    st.sampled_from(["a", "b", "A", "user Id", "userId", "user_id", "", "ü", "🎉", "a.b", "a__b", "_id", "1"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
).filter(lambda name: not name.strip().startswith("_lakeload"))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["true", "1", "{}", "null", "\u0000", '"', "\\"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
ROWS = st.lists(st.dictionaries(NAMES, VALUES, max_size=5), min_size=1, max_size=8)
"""Rows of anything, of which hypothesis makes many that have columns in common."""


@pytest.fixture(scope="module", params=["delta", "iceberg"])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ll.Lakehouse:
    return ll.Lakehouse(tmp_path_factory.mktemp("lake"), format=request.param)


_NUMBERS = iter(range(10**9))


def fresh() -> str:
    return f"t{next(_NUMBERS)}"


def examples() -> settings:
    """The profile's number of examples, or in the nightly one enough for the whole file."""
    current = settings()
    return settings(max_examples=NIGHTLY if current.max_examples >= 500 else current.max_examples)


def forms(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows as what sources deliver."""
    return {"rows": rows, "lines": b"\n".join(_line(row) for row in rows), "array": _line(rows)}


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def loads_something(rows: list[dict[str, Any]]) -> bool:
    seen = Seen()
    for row in rows:
        seen.see(row)
    return any(part.column(256) != "none" for part in seen.members.values())


def read(lake: ll.Lakehouse, table: str) -> pa.Table:
    """The table with the stored schema, in which source names are."""
    found = lake.table(table)
    schema = found.schema()
    return found.to_arrow().select(schema.names).cast(schema)


def given_back(table: pa.Table) -> list[dict[str, Any]]:
    """Rows in the source's names without nulls, so that they can be compared with modelled ones."""
    fields = [field for field in table.schema if not field.name.startswith("_lakeload")]
    return [
        {_path(f)[-1]: _without_nulls(_raw(row[f.name], f.type)) for f in fields if row[f.name] is not None}
        for row in table.to_pylist()
    ]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        if value and all(isinstance(pair, tuple) for pair in value):
            return {key: _without_nulls(item) for key, item in value}
        return [_without_nulls(one) for one in value]
    return value


def in_order(rows: Iterable[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(_numbers(row), sort_keys=True) for row in rows)


def _numbers(value: Any) -> Any:
    """Numbers that are equal made the same: 1, 1.0 and the decimal 1."""
    if isinstance(value, dict):
        return {name: _numbers(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    if isinstance(value, Decimal):
        return int(value)  # decimals of this file are whole
    return int(value) if isinstance(value, float) and value.is_integer() else value


@examples()
@given(rows=ROWS, form=st.sampled_from(["rows", "lines", "array"]))
def test_native_rows_come_back(lake: ll.Lakehouse, rows: list[dict[str, Any]], form: str) -> None:
    if not loads_something(rows):
        return
    table = fresh()
    ll.load(forms(rows)[form], lake, table=table, detect_dates=False)
    assert _same(given_back(read(lake, table)), modelled(rows))


@examples()
@given(rows=ROWS, form=st.sampled_from(["rows", "lines"]))
def test_child_tables_put_together_are_the_rows(
    lake: ll.Lakehouse, rows: list[dict[str, Any]], form: str
) -> None:
    rows = [_without_name(row, "value") for row in rows]
    if not loads_something(rows):
        return
    table = fresh()
    report = ll.load(forms(rows)[form], lake, table=table, detect_dates=False, nesting="tables")
    tables = {_child_path(lake, name): read(lake, name) for name in report.tables}
    # A list of nothing but nulls has rows in its child table, though no column but the ids.
    found = [_without_bare_lists(row) or {} for row in rebuild(tables)]
    assert _same(found, [_without_bare_lists(pruned(row)) or {} for row in modelled(rows)])


@examples()
@given(rows=ROWS, form=st.sampled_from(["rows", "lines"]))
def test_json_text_says_what_the_value_was(
    lake: ll.Lakehouse, rows: list[dict[str, Any]], form: str
) -> None:
    if not any(value is not None for row in rows for value in row.values()):
        return
    table = fresh()
    ll.load(forms(rows)[form], lake, table=table, detect_dates=False, nesting="json")
    found = given_back(read(lake, table))
    nested = {name for row in rows for name, value in row.items() if isinstance(value, list | dict)}
    columns = {name: Seen() for row in rows for name in row}
    for row in rows:
        for name, value in row.items():
            columns[name].see(value if name not in nested or not isinstance(value, list | dict) else "")
    for row, back in zip(rows, found, strict=True):
        for name, value in row.items():
            if value is None:
                assert name not in back
            elif isinstance(value, list | dict):
                assert json.loads(back[name]) == value
            elif name in nested or columns[name].column(256) == "text":
                assert back[name] == text(value)
            else:
                assert back[name] == value


@examples()
@given(rows=ROWS, cuts=st.lists(st.integers(0, 8), max_size=3), seed=st.randoms(use_true_random=False))
def test_the_order_of_rows_and_batches_changes_nothing(
    lake: ll.Lakehouse, rows: list[dict[str, Any]], cuts: list[int], seed: Any
) -> None:
    if not loads_something(rows):
        return
    shuffled = list(rows)
    seed.shuffle(shuffled)
    table = fresh()
    ll.load(_pages(shuffled, cuts), lake, table=table, detect_dates=False)
    # In an earlier batch an empty list or object may have come before any type showed: it is null then.
    found = [pruned(row) or {} for row in given_back(read(lake, table))]
    assert _same(found, [pruned(row) or {} for row in modelled(rows)])


def test_objects_with_many_keys_come_back_as_maps(lake: ll.Lakehouse) -> None:
    rows = [{"by": {str(i): {"n": i, "t": "x" if i % 2 else None} for i in range(k, k + 200)}} for k in (0, 150)]
    for pages in ([rows], [rows[:1], rows[1:]]):
        table = fresh()
        ll.load(iter(pages), lake, table=table)
        kind = read(lake, table).schema.field("by").type
        assert pa.types.is_map(kind)
        assert _same(given_back(read(lake, table)), modelled(rows))


def _pages(rows: list[dict[str, Any]], cuts: list[int]) -> Iterator[bytes]:
    edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    for start, end in zip(edges, edges[1:], strict=False):
        yield _line(rows[start:end])


def _same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    assert in_order(found) == in_order(expected)
    return True


def _without_bare_lists(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: _without_bare_lists(member) for name, member in value.items()}
        return {name: member for name, member in kept.items() if member is not None} or None
    if isinstance(value, list):
        inner = [_without_bare_lists(one) for one in value]
        return inner if any(one is not None for one in inner) else None
    return value


def _without_name(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {k: _without_name(v, name) for k, v in value.items() if k != name}
    if isinstance(value, list):
        return [_without_name(one, name) for one in value]
    return value


def _child_path(lake: ll.Lakehouse, name: str) -> tuple[str, ...]:
    state = lake.open(name).load()
    assert state is not None
    return tuple(json.loads(state.properties.get("lakeload.parent-path", "[]")))
