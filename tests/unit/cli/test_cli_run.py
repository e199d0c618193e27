"""`lakeload run`: pipelines declared in YAML and written in Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lakeload as ll
from lakeload.cli import main

YAML = """\
pipeline: shop
lakehouse:
  path: lake
  format: both
resources:
  - table: orders
    source: orders.jsonl
    cursor: id
    partition_by: ["bucket(4, id)"]
    schema: {day: date}
  - table: countries
    source: [countries.csv]
    mode: overwrite
    load_columns: false
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a pipeline file and its sources."""
    monkeypatch.chdir(tmp_path)
    Path("shop.yml").write_text(YAML)
    Path("orders.jsonl").write_text('{"id": 1, "day": "2024-03-01"}\n{"id": 2, "day": "2024-03-02"}\n')
    Path("countries.csv").write_text("code,name\nIS,Iceland\nNO,Norway\n")
    return tmp_path


def test_declared_resources_are_loaded_as_declared(folder: Path) -> None:
    assert main(["run", "shop.yml"]) == 0
    lake = ll.Lakehouse("lake")
    orders, countries = lake.table("orders"), lake.table("countries")
    assert orders.formats == ("delta", "iceberg")
    assert str(orders.layout().partition_by[0]) == "bucket(4, id)"
    assert str(orders.schema().field("day").type) == "date32[day]"
    assert countries.to_arrow().to_pylist() == [
        {"code": "IS", "name": "Iceland"},
        {"code": "NO", "name": "Norway"},
    ]


def test_second_run_goes_on_where_the_first_stopped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "shop.yml"])
    Path("orders.jsonl").write_text('{"id": 2, "day": "2024-03-02"}\n{"id": 3, "day": "2024-03-03"}\n')
    capsys.readouterr()
    assert main(["run", "shop.yml", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["sequence"] == 2
    assert {name: table["rows"] for name, table in report["tables"].items()} == {"orders": 1, "countries": 2}


def test_relative_paths_count_from_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert main(["run", "../shop.yml"]) == 0
    assert ll.Lakehouse(folder / "lake").tables() == ["countries", "orders"]


def test_environment_is_read_where_the_file_refers_to_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("shop.yml").write_text(YAML.replace("path: lake", "path: ${SHOP_LAKE}"))
    assert main(["run", "shop.yml"]) == 2
    assert (
        "lakehouse.path: the environment variable SHOP_LAKE is not set (in shop.yml:3)"
        in capsys.readouterr().err
    )
    monkeypatch.setenv("SHOP_LAKE", str(folder / "other"))
    assert main(["run", "shop.yml"]) == 0
    assert ll.Lakehouse(folder / "other").tables() == ["countries", "orders"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("mode: overwrite", "mode: overwrit", "resources[1].mode: input should be 'append', 'overwrite'"),
        ("table: orders", "tabel: orders", "resources[0].tabel is not a known key (in shop.yml:6)"),
        ("    source: orders.jsonl\n", "", "resources[0].source is missing (in shop.yml:6)"),
        (
            "path: lake",
            "place: lake",
            "lakehouse.place is not a known key (in shop.yml:3). Known here: path, format",
        ),
        ("pipeline: shop\n", "", "pipeline is missing (in shop.yml:1)"),
        (
            "format: both",
            "format: hudi",
            "lakehouse.format: input should be 'delta' or 'iceberg' (in shop.yml:4)",
        ),
        ("{day: date}", "{day: dat}", "resources[0].schema.day: there is no type 'dat' (in shop.yml:10)"),
        ('"bucket(4, id)"', "bucket(4, id)", "Put it in quotes"),
        (
            '"bucket(4, id)"',
            '"week(id)"',
            "resources[0].partition_by[0]: cannot read the partition field 'week(id)'",
        ),
        (
            "cursor: id",
            "cursor: {path: id, lagg: 1}",
            "resources[0].cursor.lagg is not a known key (in shop.yml:8)",
        ),
        ("resources:", "resources: [", "is not YAML"),
        (YAML, "", "declares nothing"),
        (YAML, "- a\n", "declares nothing"),
    ],
)
def test_wrong_file_is_told_by_key_and_line(
    folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    Path("shop.yml").write_text(YAML.replace(old, new))
    assert main(["run", "shop.yml"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not Path("lake").exists()


def test_secret_of_a_wrong_file_is_in_no_message(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "  storage_options: {aws_secret_access_key: [hunter2]}\n"
    Path("shop.yml").write_text(YAML.replace("  format: both\n", options))
    assert main(["run", "shop.yml"]) == 2
    err = capsys.readouterr().err
    assert "aws_secret_access_key" in err
    assert "hunter2" not in err


def test_python_file_with_pipeline_and_resources_is_run(folder: Path) -> None:
    Path("shop.py").write_text(
        "import lakeload as ll\n"
        "pipeline = ll.Pipeline('shop', ll.Lakehouse('lake'))\n"
        "@ll.resource(cursor='id')\n"
        "def orders(since):\n"
        "    yield {'id': 1}\n"
        "resources = [orders]\n"
        "if __name__ == '__main__':\n"
        "    raise SystemExit('not for the command line')\n"
    )
    assert main(["run", "shop.py"]) == 0
    assert ll.Lakehouse("lake").table("orders").to_arrow().num_rows == 1


def test_main_of_a_python_file_is_run_and_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows_of_shop.py").write_text("ROWS = [{'id': 1}, {'id': 2}]\n")
    Path("shop.py").write_text(
        "import lakeload as ll\n"
        "from rows_of_shop import ROWS\n"
        "def main():\n"
        "    return [ll.load(ROWS, 'lake', table='a'), ll.load(ROWS, 'lake', table='b')]\n"
    )
    assert main(["run", "shop.py", "--json"]) == 0
    assert [list(report["tables"]) for report in json.loads(capsys.readouterr().out)] == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("x = 1\n", 2, "exposes no pipeline"),
        ("def main(:\n", 2, "is not Python: invalid syntax (in shop.py:1)"),
        ("def main():\n    return {}['key']\n", 1, "unexpected KeyError: 'key'"),
        (
            "import lakeload as ll\ndef main():\n    ll.load('nowhere', 'lake', table='t')\n",
            3,
            "no such file",
        ),
    ],
)
def test_wrong_python_file_ends_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, code: int, said: str
) -> None:
    Path("shop.py").write_text(text)
    assert main(["run", "shop.py"]) == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["nowhere.yml", "nowhere.py", "shop.txt"])
def test_file_that_is_none_is_refused(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["run", name]) == 2
    assert name in capsys.readouterr().err
