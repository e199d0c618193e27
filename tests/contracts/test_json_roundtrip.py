"""Any JSON goes into a lake and comes back equal, by every nesting policy, in both formats.

What may differ is said by the rules in docs/concepts/schema.md, and worked out by `json_model`. The nightly
profile runs at least 20,000 examples over all tests of this file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any
from unicodedata import normalize

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from json_lake import Ground, Rows, agree, canonical, hollow, loose, without_nulls
from json_model import ALWAYS_MAPS, MAP_KEYS, Rules, Seen, modelled, seen_in, text
from json_values import DATED_ROWS, ROWS, TABLES
from rebuild import pruned, rebuild

from lakeload.errors import SchemaError

NIGHTLY, QUICK = 1_300, 8
"""Examples per test and format: ten tests, two formats. Each loads whole tables."""

# A thousand loads of families of tables take minutes, on a busy machine many.
pytestmark = pytest.mark.timeout(300 if settings().max_examples < 500 else 3600)

FORMS = st.sampled_from(["rows", "lines", "array"])


@pytest.fixture(scope="module", params=["delta", "iceberg"])
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("lakes"), request.param)


def examples() -> settings:
    """Few examples, or in the nightly profile enough for the whole file."""
    return settings(max_examples=NIGHTLY if settings().max_examples >= 500 else QUICK)


def formed(rows: Rows, form: str) -> Any:
    """The rows as a source delivers them."""
    if form == "lines":
        return b"\n".join(_text(row) for row in rows)
    return _text(rows) if form == "array" else rows


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def loads_something(rows: Rows, map_keys: int = MAP_KEYS) -> bool:
    return any(part.column(map_keys) != "none" for part in seen_in(rows).members.values())


@examples()
@given(rows=ROWS, form=FORMS)
def test_native_rows_come_back(ground: Ground, rows: Rows, form: str) -> None:
    assume(loads_something(rows))
    spot = ground.fresh().load(formed(rows, form))
    assert agree(spot.rows(), modelled(rows))


@examples()
@example(rows=[{"a b": [1], "a_b": [2], "A.B": [{"c": 3}]}], form="rows")  # one name for three tables
@given(rows=ROWS, form=FORMS)
def test_child_tables_put_together_are_the_rows(ground: Ground, rows: Rows, form: str) -> None:
    rows = [_without_name(row, "value") for row in rows]  # the name of the column of bare elements
    assume(loads_something(rows))
    spot = ground.fresh().load(formed(rows, form), nesting="tables")
    # A list of nothing but nulls has rows in its child table, though no column but the ids.
    assert agree(_hollow(rebuild(spot.family())), _hollow(modelled(rows)))


@examples()
@given(rows=ROWS, form=FORMS)
def test_flattened_members_put_together_are_the_rows(ground: Ground, rows: Rows, form: str) -> None:
    assume(loads_something(rows))
    spot = ground.fresh().load(formed(rows, form), nesting="flatten")
    assert agree(_pruned(spot.rows()), _pruned(modelled(rows)))


@examples()
@example(rows=[{"a": {"b": [], "c": {}}}, {"d": 1}], form="lines")
@given(rows=ROWS, form=FORMS)
def test_maps_hold_what_the_objects_held(ground: Ground, rows: Rows, form: str) -> None:
    assume(loads_something(rows))
    spot = ground.fresh().load(formed(rows, form), nesting="map")
    assert agree(_pruned(spot.rows()), _pruned(modelled(rows, Rules(map_keys=ALWAYS_MAPS))))


@examples()
@given(rows=ROWS, form=FORMS)
def test_json_text_says_what_the_value_was(ground: Ground, rows: Rows, form: str) -> None:
    assume(any(value is not None for row in rows for value in row.values()))
    found = ground.fresh().load(formed(rows, form), nesting="json").rows()
    nested = {name for row in rows for name, value in row.items() if isinstance(value, list | dict)}
    scalars = {name: Seen() for row in rows for name in row}
    for row in rows:
        for name, value in row.items():
            scalars[name].see("" if isinstance(value, list | dict) else value)
    for row, back in zip(rows, found, strict=True):
        assert back.keys() == {name for name, value in row.items() if value is not None}
        for name in back:
            if isinstance(row[name], list | dict):
                assert _in_order(back[name]) == _in_order(json.dumps(row[name]))
            elif name in nested or scalars[name].column(MAP_KEYS) == "text":
                assert back[name] == text(row[name])
            else:
                assert canonical(back[name]) == canonical(row[name])


@examples()
@example(rows=[{"d": "2024-05-01"}, {"d": "２０２４-05-01"}], form="lines")
@example(rows=[{"z": "2024-05-01T00:30:00+02:00"}, {"z": "2024-05-01 00:30:00.5Z"}], form="rows")
@given(rows=DATED_ROWS, form=FORMS)
def test_texts_that_are_all_dates_come_back_as_dates(ground: Ground, rows: Rows, form: str) -> None:
    assume(loads_something(rows))
    spot = ground.fresh().load(formed(rows, form), detect_dates=True)
    assert agree(spot.rows(), modelled(rows, Rules(dates=True)))


@examples()
@given(rows=ROWS, form=FORMS, chosen=st.sets(st.integers(0, 9)))
def test_columns_asked_for_as_text_are_text(ground: Ground, rows: Rows, form: str, chosen: set[int]) -> None:
    names = sorted({name for row in rows for name in row})
    spelled = Counter(map(_letters, names))  # of names that fall into one a hint can mean either
    asked = [name for i, name in enumerate(names) if i in chosen and spelled[_letters(name)] == 1]
    assume(asked or loads_something(rows))
    spot = ground.fresh().load(formed(rows, form), schema=pa.schema([(name, pa.string()) for name in asked]))
    found, expected = spot.rows(), modelled(rows, Rules(as_text=asked))
    # Asked for from the start, JSON is kept as it was written: with blanks, and nulls in objects.
    assert agree(found, expected) if form == "rows" else agree(loose(found), loose(expected))


@examples()
@given(table=TABLES, library=st.sampled_from(["arrow", "polars"]))
def test_typed_tables_come_back_by_every_policy(ground: Ground, table: pa.Table, library: str) -> None:
    rows = _hollow(without_nulls(table.to_pylist()))
    assume(any(rows))
    # Polars names what has none, and cannot pass on a name with a NUL character.
    assume(library == "arrow" or ("" not in table.schema.names and "\0" not in str(table.schema)))
    data = pl.from_arrow(table) if library == "polars" else table
    assert agree(_hollow(ground.fresh().load(data).rows()), rows)
    assert agree(_hollow(ground.fresh().load(data, nesting="flatten").rows()), rows)
    if all("value" not in str(field) for field in table.schema):
        assert agree(_hollow(rebuild(ground.fresh().load(data, nesting="tables").family())), rows)


@examples()
@example(rows=[{"a": [False]}, {"a": [None]}], cuts=[1], others=[], seed=Random(1))
@example(rows=[{"a": ["x"]}, {"a": {}}, {"a": [[], 1]}], cuts=[1, 2], others=[1], seed=Random(1))
@example(rows=[{"a": 2**60 + 1}, {"a": 1.5}], cuts=[1], others=[], seed=Random(1))
@given(
    rows=ROWS,
    cuts=st.lists(st.integers(0, 8), max_size=3),
    others=st.lists(st.integers(0, 8), max_size=3),
    seed=st.randoms(use_true_random=False),
)
def test_the_order_of_rows_and_batches_changes_nothing(
    ground: Ground,
    rows: Rows,
    cuts: list[int],
    others: list[int],
    seed: Any,
) -> None:
    assume(loads_something(rows))
    rows = [{**row, "number of the row": i} for i, row in enumerate(rows)]
    shuffled = list(rows)
    seed.shuffle(shuffled)
    one = ground.fresh().load(_pages(rows, cuts))
    other = ground.fresh().load(_pages(shuffled, others))
    assert one.columns() == other.columns()
    expected = loose(modelled(rows))
    assert agree(loose(one.rows()), expected)
    assert agree(loose(other.rows()), expected)


@examples()
@example(first=[{"a": ["x"]}], second=[{"a": {}}], form="rows")
@example(first=[{"b": 1}], second=[{"a": ["x"]}, {"a": {}}], form="rows")
@example(first=[{"b": 1}], second=[{"a": 1}, {"a": []}], form="rows")
@given(first=ROWS, second=ROWS, form=FORMS)
def test_two_loads_give_what_one_would_or_say_what_does_not_fit(
    ground: Ground,
    first: Rows,
    second: Rows,
    form: str,
) -> None:
    assume(loads_something(first))
    spot = ground.fresh().load(formed(first, form))
    before, error = spot.rows(), None
    if ground.form == "iceberg":
        try:
            spot.load(formed(second, form))
        except SchemaError as refusal:
            error = refusal
        if error:
            assert (error.table, bool(error.column), (error.row or 0) > 0) == (spot.name, True, True), error
            assert _changed(seen_in(first), seen_in(first + second))
            assert agree(spot.rows(), before)
            return
    else:
        spot.load(formed(second, form))
    assert agree(loose(spot.rows()), loose(modelled(first + second)))


def test_a_later_text_that_is_no_date_makes_text_of_the_column_or_is_refused_with_its_row(
    ground: Ground,
) -> None:
    spot = ground.fresh().load([{"d": "2024-05-01"}], detect_dates=True)
    later = [{"d": "2024-05-02"}, {"d": "soon"}]
    if ground.form == "iceberg":
        with pytest.raises(SchemaError, match=rf"soon .*\(table {spot.name}, column d, row 2\)"):
            spot.load(later, detect_dates=True)
        assert spot.columns() == {("d",): "date32[day]"}
    else:
        spot.load(later, detect_dates=True)
        assert agree(spot.rows(), [{"d": "2024-05-01"}, *later])


def test_objects_with_many_keys_come_back_as_maps(ground: Ground) -> None:
    rows = [
        {"by": {str(i): {"n": i, "t": "x" if i % 2 else None} for i in range(k, k + 200)}} for k in (0, 150)
    ]
    for pages in ([rows], [rows[:1], rows[1:]]):
        spot = ground.fresh().load(iter(pages))
        assert spot.columns()[("by",)].startswith("map<")
        assert agree(spot.rows(), modelled(rows))


def _letters(name: str) -> str:
    return "".join(char for char in normalize("NFKC", name).casefold() if char.isalnum())


def _hollow(rows: Rows) -> Rows:
    return [hollow(row) or {} for row in rows]


def _pruned(rows: Rows) -> Rows:
    return [pruned(row) or {} for row in rows]


def _in_order(json_text: str) -> Any:
    """What a JSON text says, with the order of members."""
    return canonical(json.loads(json_text, object_pairs_hook=lambda pairs: ["object", *map(list, pairs)]))


def _without_name(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {k: _without_name(v, name) for k, v in value.items() if k != name}
    if isinstance(value, list):
        return [_without_name(one, name) for one in value]
    return value


def _changed(before: Seen, after: Seen) -> bool:
    """Whether a value came that the column before could not take."""
    if before.column(MAP_KEYS) == "none":
        return False
    if before.kinds != after.kinds or before.column(MAP_KEYS) != after.column(MAP_KEYS):
        return True
    if _large(before) != _large(after):
        return True
    pairs = [(before.members[name], after.members[name]) for name in before.members]
    if before.element and after.element:
        pairs.append((before.element, after.element))
    return any(_changed(one, other) for one, other in pairs)


def _large(seen: Seen) -> bool:
    return seen.low < -(2**63) or seen.high >= 2**63


def _pages(rows: Rows, cuts: list[int]) -> Iterator[bytes]:
    edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    for start, end in pairwise(edges):
        yield json.dumps(rows[start:end], ensure_ascii=False).encode()
