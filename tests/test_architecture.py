"""The shape of the package: who imports whom, where libraries may appear, how large things get.

The tables below are the rules; the tests only walk the syntax trees.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lakeload"

TOP_LEVEL = {
    "LICENSE",
    "README.md",
    "benchmarks",
    "constraints.txt",
    "docs",
    "lakeload",
    "pyproject.toml",
    "tests",
}
"""What a clone has at its top besides dot files; `benchmarks` and `docs` are there once they are needed."""

LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "config": {"errors"},
    "places": {"errors"},
    "loans": set(),
    "storage_options": {"config", "errors", "loans", "places"},
    "given": {"errors"},
    "model": {"errors", "given"},
    "write.store": {"config", "errors", "places", "storage_options", "write.store_lent"},
    "write.store_lent": {"errors", "loans", "storage_options"},
    "write": {"config", "errors", "model", "storage_options", "write.store"},
    "sources.class_schema": {"errors", "model"},
    "sources": {"config", "errors", "given", "model", "options", "places", "storage_options", "write.store"},
    "options": {"config", "errors", "given", "model", "sources.class_schema"},
    "normalize": {"config", "errors", "model"},
    "formats": {"config", "errors", "model", "places", "storage_options", "write.store"},
    "catalogs": {"config", "errors", "formats", "loans", "model", "storage_options", "write.store"},
    "commit": {"errors", "model", "write", "write.store"},
    "maintain": {"commit", "config", "errors", "model", "write", "write.store"},
    "connect": {"errors", "places", "storage_options"},
    "registry": {"errors", "given"},
    "settings": {"config", "errors", "model"},
    "hooks": {"errors", "given", "model"},
    "rules": {"model"},
    "schema": {"errors", "model"},
}
"""Part → parts it may import, besides itself. Parts not named here are the face; see `FACE`."""

FACE = {
    "",
    "cli",
    "demo",
    "__main__",
    "html",
    "lake_catalogs",
    "lake_table",
    "lakehouse",
    "part",
    "pipeline",
    "preview",
    "replays",
    "report",
    "run",
    "task",
}
"""Parts that put the others together: they may import anything, and no layer may import them."""

LIBRARIES: dict[str, tuple[str, ...]] = {
    "deltalake": ("formats/delta",),
    "pyiceberg": ("formats/iceberg", "catalogs/"),
    "adlfs": ("write/store",),
    "fastavro": ("formats/iceberg_avro",),
    "gcsfs": ("write/store",),
    "s3fs": ("write/store", "config"),
    "botocore": ("config", "catalogs/glue"),
    "pydantic": ("settings", "schema/pydantic_source"),
    "yaml": ("settings", "schema/dbt"),
    "typer": ("cli/",),
    "rich": ("cli/", "demo/"),
    "duckdb": ("lake_table", "sources/"),
    "msgspec": (
        "catalogs/rest",
        "commit/",
        "formats/",
        "normalize/numbered",
        "normalize/payload",
        "sources/class_schema",
        "sources/decode/",
        "write/schema_notes",
    ),
    "numpy": (),
    "pandas": (),
    "polars": (
        "cli/demo",
        "connect/",
        "formats/",
        "lake_table",
        "normalize/casts",
        "normalize/row_tests",
        "sources/decode/literals",
        "normalize/rules",
        "normalize/seen",
        "normalize/text_types",
        "normalize/text_values",
    ),
    "requests": ("catalogs/rest", "catalogs/unity", "hooks"),
    "urllib3": ("hooks",),
    "httpx": (),
    "boto3": (),
}
"""Library → beginnings of the paths of the modules that may import it."""

ENVIRONMENT = ("config",)
"""Modules that may read the environment."""

CLOCK: tuple[str, ...] = ("lakehouse", "cli/", "demo/")
"""Modules that may ask for the date and time; all others get `now` handed in. Measuring durations is free."""

STANDARD_ONLY = ("errors", "given", "registry")
"""Modules that import nothing outside the standard library."""

MODEL_LIBRARIES = {"pyarrow"}
"""Third-party libraries `lakeload.model` may import."""

LIGHT = (
    "deltalake",
    "pyiceberg",
    "polars",
    "s3fs",
    "gcsfs",
    "adlfs",
    "duckdb",
    "pandas",
    "botocore",
    "aiobotocore",
    "typer",
    "rich",
    "pydantic",
    "yaml",
)
"""Libraries `import lakeload` must not load: they cost start-up time."""

VAGUE = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc", "core"}
MOST_LINES = 500
MOST_LINES_OF_A_FUNCTION = 60

MODULES = sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    """`formats/delta` for lakeload/formats/delta.py; `formats/` for its package; empty for the root."""
    relative = path.relative_to(PACKAGE).with_suffix("").as_posix()
    return "" if relative == "__init__" else relative.removesuffix("__init__")


def _part(module: str) -> str:
    """The part of the package a module path such as `write/store` or `commit/journal` belongs to."""
    dotted = module.strip("/").replace("/", ".")
    return dotted if dotted in LAYERS else dotted.split(".")[0]


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every imported module, dotted, with its line; names imported from a package count as its modules."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def _own(path: Path) -> Iterator[tuple[str, int]]:
    """Imported parts of lakeload."""
    for dotted, line in _imports(path):
        if dotted.split(".")[0] == "lakeload" and dotted != "lakeload.__version__":  # a constant of the root
            yield _resolve(dotted), line


def _resolve(dotted: str) -> str:
    """The part a dotted import such as `lakeload.write.store.Store` lands in."""
    names = dotted.split(".")[1:]
    while names and not ((place := PACKAGE.joinpath(*names)).is_dir() or place.with_suffix(".py").exists()):
        names.pop()
    return _part("/".join(names))


def _foreign(path: Path) -> Iterator[tuple[str, int]]:
    """Imported top-level packages that are neither ours nor in the standard library."""
    for dotted, line in _imports(path):
        top = dotted.split(".")[0]
        if top != "lakeload" and top not in sys.stdlib_module_names:
            yield top, line


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_module_imports_only_parts_its_layer_may(path: Path) -> None:
    part = _part(_name(path))
    if part in FACE:
        return
    assert part in LAYERS, f"{path}: say in LAYERS or FACE what the new part {part!r} may import"
    allowed = LAYERS[part] | {part}
    wrong = [
        f"{path}:{line}: {part} imports {found or 'the package root'}"
        for found, line in _own(path)
        if found not in allowed
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_library_appears_only_where_it_belongs(path: Path) -> None:
    name = _name(path)
    wrong = [
        f"{path}:{line}: {library}"
        for library, line in _foreign(path)
        if library in LIBRARIES and not name.startswith(LIBRARIES[library])
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_environment_is_read_in_one_module(path: Path) -> None:
    if _name(path) in ENVIRONMENT:
        return
    wrong = [
        f"{path}:{node.lineno}"
        for node in ast.walk(_tree(path))
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"))
        or (isinstance(node, ast.alias) and node.name in ("environ", "getenv"))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_wall_clock_is_injected(path: Path) -> None:
    if _name(path).startswith(CLOCK):
        return
    wrong = [f"{path}:{node.lineno}: {text}" for node, text in _clock_reads(_tree(path))]
    assert not wrong, "\n".join(wrong)


def _clock_reads(tree: ast.Module) -> Iterator[tuple[ast.Attribute, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        owner = ast.unparse(node.value).split(".")[-1]
        if (owner, node.attr) in {
            ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
            ("time", "time"), ("time", "time_ns"), ("time", "gmtime"), ("time", "localtime"),
        }:  # fmt: skip
            yield node, ast.unparse(node)


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if _name(path) in STANDARD_ONLY or _part(_name(path)) == "model"],
    ids=_name,
)
def test_lowest_layers_import_no_library_but_pyarrow(path: Path) -> None:
    allowed = MODEL_LIBRARIES if _part(_name(path)) == "model" else set()
    wrong = [f"{path}:{line}: {library}" for library, line in _foreign(path) if library not in allowed]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_module_is_of_readable_size(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{path} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_functions_are_of_readable_size(path: Path) -> None:
    wrong = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # The body without its docstring: long lists of options with their help are no complexity.
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if lines > MOST_LINES_OF_A_FUNCTION:
                wrong.append(f"{path}:{node.lineno}: {node.name} has {lines} lines")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_module_says_what_it_is_for_and_has_a_telling_name(path: Path) -> None:
    assert ast.get_docstring(_tree(path)), f"{path} has no docstring"
    assert not {path.stem, path.parent.name} & VAGUE, path


def test_top_level_holds_nothing_else() -> None:
    names = {name.split("/")[0] for name in _committed()} or {path.name for path in ROOT.iterdir()} - {
        "uv.lock",
        "lake",
        "dist",
    }
    found = {name for name in names if not name.startswith(".")}
    assert found <= TOP_LEVEL, f"not planned at the top level: {sorted(found - TOP_LEVEL)}"
    assert {"lakeload", "pyproject.toml", "tests"} <= found


def _committed() -> list[str]:
    """Files under version control; none when this is not a clone."""
    try:
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return []
    return listed.stdout.splitlines() if listed.returncode == 0 else []


def test_no_lock_file_is_committed() -> None:
    locks = {
        "uv.lock",
        "poetry.lock",
        "pdm.lock",
        "Pipfile.lock",
        "package-lock.json",
        "yarn.lock",
        "Cargo.lock",
        "pylock.toml",
    }
    assert not {Path(name).name for name in _committed()} & locks


def test_import_of_the_package_loads_no_heavy_library() -> None:
    code = f"import lakeload, sys; print(*[name for name in {LIGHT!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_tables_of_rules_name_only_what_exists() -> None:
    known = {_part(_name(path)) for path in MODULES}
    assert set(LAYERS) <= known, f"LAYERS names parts that are not there: {sorted(set(LAYERS) - known)}"
    for allowed in LAYERS.values():
        assert allowed <= set(LAYERS)
