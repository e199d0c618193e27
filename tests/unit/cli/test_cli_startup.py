"""The first second: what the command line imports, which is most of what it takes. Nothing here looks at a clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PRINT = "; import sys; print(*sys.modules, sep='\\n', file=sys.stderr)"
HELP = {"pyarrow", "msgspec", "asyncio"}
LOAD = {
    "polars", "deltalake", "pyiceberg", "sqlalchemy", "fsspec", "s3fs", "aiohttp", "requests", "botocore",
    "pydantic", "yaml", "rich", "duckdb", "pandas", "asyncio", "importlib.metadata",
}  # fmt: skip
"""What one row in a JSON file needs of no format; a frame, an object store or a terminal would."""


def _imported(*words: str) -> set[str]:
    code = f"from lakeload.cli import main; assert main({list(words)!r}) == 0" + PRINT
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.splitlines())


def test_help_loads_nothing_heavy() -> None:
    assert not _imported("--help") & (LOAD | HELP)


@pytest.mark.parametrize("form", ["delta", "iceberg", "both"])
@pytest.mark.parametrize(
    "words", [[], ["--partition-by", "day(at)", "--cursor", "at", "--nesting", "tables"]]
)
def test_a_small_load_imports_no_library_it_does_not_need(
    tmp_path: Path, form: str, words: list[str]
) -> None:
    source = tmp_path / "one.jsonl"
    source.write_text('{"id": 1, "at": "2024-03-01T10:00:00Z", "x": [{"a": 1.5}]}\n')
    options = ["--to", str(tmp_path / "lake"), "--table", "t", "--format", form, "--quiet", *words]
    for _ in range(2):  # the second finds a table, and a position
        assert not _imported("load", str(source), *options) & LOAD


FRAMES = """
import pyarrow as pa, lakeload as ll, sys, importlib.util
ll.load([{"a": 1, "b": "x"}], sys.argv[1], table="t")
assert "pandas" not in sys.modules
assert importlib.util.find_spec("pandas") is not None
assert "pandas" not in sys.modules
rows = (dict(a=n, b=str(n)) for n in range(3))
assert ll.load(rows, sys.argv[1], table="t").tables["t"].rows == 3
assert "pandas" not in sys.modules
import pandas as pd
assert pa.array(pd.Series(["x", float("nan")])).null_count == 1
assert pa.array(pd.Series([1.5, float("nan")])).null_count == 1
assert pa.table({"a": [1]}).to_pandas().shape == (1, 1)
assert ll.load(pd.DataFrame({"a": [5], "b": ["y"]}), sys.argv[1], table="t").tables["t"].rows == 1
"""
ASKED = """
import pyarrow as pa, lakeload as ll, sys
ll.load([{"a": 1}], sys.argv[1], table="t")
assert pa.table({"a": [1]}).to_pandas().shape == (1, 1)  # pyarrow imports it for its user
assert pa.array(sys.modules["pandas"].Series([float("nan")])).null_count == 1
"""
WITHIN = """
import lakeload as ll, sys
def frames():
    yield [{"a": 0.5}]
    import pandas as pd
    yield pd.DataFrame({"a": [1.5, float("nan")]})
assert ll.load(frames(), sys.argv[1], table="t").tables["t"].rows == 3
assert ll.Lakehouse(sys.argv[1]).table("t").to_polars().collect()["a"].null_count() == 1
"""


@pytest.mark.parametrize("code", [FRAMES, ASKED, WITHIN])
def test_pandas_is_imported_when_somebody_else_asks_and_is_whole_then(tmp_path: Path, code: str) -> None:
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "lake")], check=True)
