"""Whatever public callables are given, what they raise is an error of ours."""

from __future__ import annotations

import contextlib
import datetime as dt
import inspect
import os
import random
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import lakeload as ll
from lakeload import hooks, rules
from lakeload.options import Options


class Odd:
    """Nothing any option could mean."""


POOL: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, float("nan"), 10**30, Decimal("NaN"), b"x", b"\xff", "", " ", "\x00", "\ud800",
    "a/b", "../x", "é" * 300, "s3://", "://", "file://", "sqlite:///", [], ["a"], [None], [["a"]], [1], (1, 2),
    {}, {"a": 1}, {1: "a"}, {"a": None}, {"": "x"}, {"a": "b"}, {"a"}, {1: {2: 3}}, frozenset(), Odd(), Odd,
    Exception("x"), int, len, lambda: None, lambda _: 1 / 0, pa.int64(), pa.schema([("a", pa.null())]),
    dt.datetime(2024, 1, 1), dt.date.max, Path("x"), range(3), slice(1), ..., ll.Append(),
    ll.Cursor("id"), ll.Contract(), ll.Nesting(), rules.not_null("id"), ll, iter([1]), memoryview(b"[1]"), 1j,
)  # fmt: skip
"""What users type, drop and pass on by mistake."""


def _calls(
    there: ll.Lakehouse | None, folder: Path
) -> dict[str, tuple[Callable[..., object], dict[str, Any]]]:
    """Callables with arguments that suit them."""
    lake = ll.Lakehouse(folder / "lake") if there is None else there
    table = lake.table("t") if there else None
    pipeline = ll.Pipeline("p", lake)
    options: dict[str, Any] = dict.fromkeys(Options.__annotations__)
    resource = ll.resource(lambda: [{"id": 1}])
    found: dict[str, tuple[Callable[..., object], dict[str, Any]]] = {
        "load": (ll.load, {"data": [{"id": 1}], "lake": lake, "table": "w", **options}),
        "Pipeline": (ll.Pipeline, {"name": "p", "lake": lake}),
        "Pipeline.run": (pipeline.run, {"data": [{"id": 1}], "table": "w", **options}),
        "Lakehouse": (ll.Lakehouse, {"root": folder / "other"}),
        "replay": (ll.replay, {"lake": lake, "table": "t"}),
        "resource": (ll.resource, {"name": "r", **options}),
        "Resource.with_table": (resource.with_table, {"table": "w"}),
        "Overwrite": (ll.Overwrite, {}),
        "Cursor": (ll.Cursor, {"path": "id"}),
        "CsvOptions": (ll.CsvOptions, {"separator": ";"}),
        "Contract": (ll.Contract, {}),
        "Contract.parse": (ll.Contract.parse, {"given": "freeze"}),
        "Nesting": (ll.Nesting, {}),
        "Nesting.parse": (ll.Nesting.parse, {"given": "json"}),
        "Rule": (ll.Rule, {"name": "r", "kind": "not_null", "columns": ("id",), "given": None}),
        "not_null": (rules.not_null, {"column": "id"}),
        "unique": (
            lambda column, outcome="quarantine": rules.unique(column, outcome=outcome),
            {"column": "id"},
        ),
        "between": (rules.between, {"column": "id", "low": 0, "high": 1}),
        "matches": (rules.matches, {"column": "id", "pattern": "a"}),
        "one_of": (rules.one_of, {"column": "id", "values": [1]}),
        "where": (rules.where, {"name": "w", "expression": None}),
        "conforms": (rules.conforms, {"model": None}),
        "log_changes": (hooks.log_changes, {}),
        "append_changes": (hooks.append_changes, {"path": folder / "changes.jsonl"}),
        "refuse_changes": (hooks.refuse_changes, {}),
        "post_changes": (hooks.post_changes, {"url": "https://example.com"}),
    }
    for name in (
        "table",
        "readable",
        "open",
        "location",
        "register",
        "drop",
        "drift",
        "store",
        "journal",
        "sync",
    ):
        given = (
            {"names": ["t"]} if name == "sync" else {"pipeline": "p"} if name == "journal" else {"name": "t"}
        )
        found[f"Lakehouse.{name}"] = (getattr(lake, name), given)
    for name in ("scan", "to_arrow"):
        found[f"LakeTable.{name}"] = (getattr(table, name, len), {"columns": ["id"]})
    return found


def _wrong(call: Callable[..., object], given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The call with one argument after the other replaced by every value of the pool."""
    names = [
        name
        for name, parameter in inspect.signature(call).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) and name != "now"
    ]
    for name in dict.fromkeys([*names, *given]):
        for value in POOL:
            yield {**given, name: value}


NAMES = sorted(_calls(None, Path()))
EXEMPT = {
    "Append",  # takes nothing
    "LakeTable", "Resource", "RunReport", "SchemaChange", "SchemaEvent", "TableReport",  # made by the library
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wrong")


@pytest.fixture(scope="module")
def calls(folder: Path) -> dict[str, tuple[Callable[..., object], dict[str, Any]]]:
    lake = ll.Lakehouse(folder / "lake")
    ll.load([{"id": 1}], lake, table="t")
    return _calls(lake, folder)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_given_errors_are_ours(
    calls: dict[str, tuple[Callable[..., object], dict[str, Any]]],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.chdir(folder)
    call, given = calls[name]
    wrong = list(_wrong(call, given))
    many = 200 if os.environ.get("LAKELOAD_TEST_PROFILE") != "nightly" else len(wrong)
    for arguments in random.Random(name).sample(wrong, min(many, len(wrong))):
        with contextlib.suppress(ll.LakeloadError):
            call(**arguments)


def test_every_public_callable_is_tried() -> None:
    errors = {name for name in ll.__all__ if name.endswith("Error")}
    tried = {name.partition(".")[0] for name in NAMES}
    assert set(ll.__all__) - errors - EXEMPT <= tried


def test_a_generator_that_raises_is_told_where_it_was(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield from ({"id": n} for n in range(300))
        raise KeyError("page 4")

    with pytest.raises(KeyError) as caught:
        ll.load(rows(), tmp_path, table="orders")
    notes = " ".join(caught.value.__notes__)
    assert "batch 2, at row 301" in notes
    assert "resource 'orders'" in notes
    assert ll.Lakehouse(tmp_path).tables() == []


@pytest.mark.parametrize("name", ["../t", "a/b", "..", "t\x00", ""])
def test_no_name_leads_out_of_the_lake(tmp_path: Path, name: str) -> None:
    (tmp_path / "t").mkdir()
    with pytest.raises(ll.LakeloadError):
        ll.Lakehouse(tmp_path / "lake").drop(name, purge=True)
    assert (tmp_path / "t").is_dir()
