"""Options are declared in one place, and reach every interface from there."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import lakeload as ll
from lakeload.cli.options import FLAGS
from lakeload.model.table import TableSpec
from lakeload.options import Options, SourceOptions, TableOptions, spec_of
from lakeload.settings import ResourceSettings
from lakeload.sources.read import ReadOptions

OPTIONS = set(Options.__annotations__)
NO_FLAG = {
    "schema": "types by column are better written in a file",
    "properties": "the same",
}
"""Options the command line does not have, and why."""
NO_KEY = {"properties": "tables are described where they are read, not where they are loaded"}
"""Options pipeline files do not have, and why."""


def test_every_option_has_its_flag() -> None:
    assert OPTIONS - set(NO_FLAG) == set(FLAGS)


def test_every_option_has_its_key_in_pipeline_files() -> None:
    keys = {field.alias or name for name, field in ResourceSettings.model_fields.items()}
    assert keys - {"table", "source"} == OPTIONS - set(NO_KEY)


def test_every_option_has_its_field() -> None:
    merged = {"partition_by": "layout", "sort_by": "layout", "max_depth": "nesting"}
    assert {merged.get(name, name) for name in TableOptions.__annotations__} <= {
        f.name for f in fields(TableSpec)
    }
    assert set(SourceOptions.__annotations__) <= {field.name for field in fields(ReadOptions)}


@pytest.mark.parametrize(
    ("option", "near"),
    [
        ("primary_keys", "primary_key"),
        ("partition", "partition_by"),
        ("Cursor", "cursor"),
        ("rule", "rules"),
        ("tabel", "table"),
        ("storage_option", "storage_options"),
        ("recordpath", "record_path"),
    ],
)
def test_an_option_nobody_knows_is_told_with_the_nearest(tmp_path: Path, option: str, near: str) -> None:
    with pytest.raises(ll.ConfigError, match=rf"no option '{option}'. Did you mean {near}\?"):
        ll.load([{"id": 1}], tmp_path, **{"table": "t", option: "id"})
    assert ll.Lakehouse(tmp_path).tables() == []


def test_an_option_like_no_other_is_told_with_all_there_are() -> None:
    with pytest.raises(ll.ConfigError, match=r"no option 'xyz'\. There are name, .*contract, rules"):
        ll.resource(xyz=1)


@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_none_is_as_good_as_nothing(option: str) -> None:
    resource = ll.resource(**{option: None})(list)
    assert (resource.spec, resource.read) == (spec_of("list"), ReadOptions())


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("load_columns", "no"),
        ("fold", 0),
        ("detect_dates", "false"),
        ("primary_key", 5),
        ("primary_key", [5]),
        ("partition_by", b"a"),
        ("sort_by", [None]),
        ("cursor", ["a"]),
        ("cursor", 1),
        ("properties", "a=b"),
        ("record_path", 3),
        ("max_depth", "deep"),
    ],
)
def test_values_an_option_cannot_have_are_refused_by_its_name(option: str, wrong: object) -> None:
    with pytest.raises(ll.ConfigError, match=option):
        ll.resource(**{option: wrong})


def test_options_of_a_run_describe_its_data(tmp_path: Path) -> None:
    lake = ll.Lakehouse(tmp_path)
    report = ll.Pipeline("p", lake).run(
        b'{"d": [{"k": 1}]}', "t", record_path="d", partition_by="k", fold=False
    )
    assert report.tables["t"].rows == 1
    assert [str(field) for field in lake.table("t").layout().partition_by] == ["k"]


def test_a_nesting_and_a_depth_go_together() -> None:
    assert spec_of("t", nesting=ll.Nesting("json"), max_depth=3).nesting == ll.Nesting("json", max_depth=3)


TYPED = """
import lakeload as ll
ll.load([], "lake", cursor="id", fold=False)
ll.load([], "lake", fold="no")
ll.Pipeline("p", ll.Lakehouse("lake")).run([], "t", folt=True)
"""


@pytest.mark.slow
def test_types_of_options_are_checked_in_calls(tmp_path: Path) -> None:
    file = tmp_path / "calls.py"
    file.write_text(TYPED)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(file)],
        cwd=Path(inspect.getfile(ll)).parents[1], capture_output=True, text=True, check=False,
    )  # fmt: skip
    wrong = [line.partition("calls.py:")[2] for line in done.stdout.splitlines() if "error:" in line]
    assert [line.partition(":")[0] for line in wrong] == ["4", "5"], done.stdout
