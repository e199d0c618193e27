"""Whatever public callables are given, what they raise is an error of ours."""

from __future__ import annotations

import datetime as dt
import inspect
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
    dt.datetime(2024, 1, 1), dt.date.max, Path("x"), range(3), slice(1), ..., NotImplemented, ll.Append(),
    ll.Cursor("id"), ll.Contract(), ll.Nesting(), rules.not_null("id"), ll, iter([1]), memoryview(b"[1]"), 1j,
)  # fmt: skip
"""What users type, drop and pass on by mistake."""


def _load(folder: Path) -> ll.Lakehouse:
    lake = ll.Lakehouse(folder / "lake")
    ll.load([{"id": 1}], lake, table="t")
    return lake


def _calls(lake: ll.Lakehouse, folder: Path) -> dict[str, tuple[Callable[..., object], dict[str, Any]]]:
    """Callables with arguments that suit them."""
    table, pipeline = lake.table("t"), ll.Pipeline("p", lake)
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
        "Contract": (ll.Contract, {}),
        "Contract.parse": (ll.Contract.parse, {"given": "freeze"}),
        "Nesting": (ll.Nesting, {}),
        "Nesting.parse": (ll.Nesting.parse, {"given": "json"}),
        "Rule": (ll.Rule, {"name": "r", "kind": "not_null", "columns": ("id",), "given": None}),
        "not_null": (rules.not_null, {"column": "id"}),
        "unique": (lambda column, outcome="quarantine": rules.unique(column, outcome=outcome), {"column": "id"}),
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
    for name in ("table", "readable", "open", "location", "register", "drop", "drift", "store", "journal", "sync"):
        given = {"names": ["t"]} if name == "sync" else {"pipeline": "p"} if name == "journal" else {"name": "t"}
        found[f"Lakehouse.{name}"] = (getattr(lake, name), given)
    for name in ("scan", "to_arrow"):
        found[f"LakeTable.{name}"] = (getattr(table, name), {"columns": ["id"]})
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


NAMES = sorted(_calls.__code__.co_consts) if False else None


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Callable[..., object], dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("wrong")
    return _calls(_load(folder), folder)


def main() -> None:
    import tempfile, os, collections, traceback, time, warnings
    warnings.simplefilter("error")
    folder = Path(tempfile.mkdtemp()); os.chdir(folder)
    bad = collections.Counter(); n = 0
    for name, (call, given) in _calls(_load(folder), folder).items():
        start = time.time(); m = 0
        for wrong in _wrong(call, given):
            m += 1
            try:
                call(**wrong)
            except ll.LakeloadError as e:
                str(e); repr(e)
            except BaseException as e:
                changed = next((k for k in wrong if k not in given or wrong[k] is not given[k]), None)
                tb = traceback.extract_tb(e.__traceback__)
                ours = [f for f in tb if "lakeload/" in f.filename]
                where = f"{ours[-1].filename.split('lakeload/')[-1]}:{ours[-1].lineno}" if ours else "sig"
                bad[(name, changed, type(e).__name__, str(e)[:60], where)] += 1
        print(name, m, round(time.time() - start, 1), flush=True)
        n += m
    print(n, sum(bad.values()))
    for k, v in sorted(bad.items(), key=str):
        print(v, *k, sep=" | ")


if __name__ == "__main__":
    main()
