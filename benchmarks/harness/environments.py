"""The environments competitors run in: one pinned virtual environment each, made when first needed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

CACHE_VARIABLE = "LAKELOAD_BENCH_CACHE"
PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class Environment:
    """Packages a competitor needs, pinned; no packages means the environment of this very process."""

    name: str
    packages: tuple[str, ...] = ()

    @property
    def place(self) -> Path:
        """Where the environment lies: a change of pins or of Python makes another one."""
        pins = "\n".join((PYTHON_VERSION, *self.packages))
        return cache("environments") / f"{self.name}-{hashlib.sha256(pins.encode()).hexdigest()[:10]}"

    def python(self) -> str:
        """The environment's interpreter, after installing the packages if that is not done yet."""
        if not self.packages:
            return sys.executable
        interpreter = self.place / "bin" / "python"
        done = self.place / "installed"
        if not done.exists():
            self._install(interpreter)
            done.touch()
        return str(interpreter)

    def _install(self, interpreter: Path) -> None:
        uv = os.environ.get("UV") or shutil.which("uv")
        if uv is None:
            raise SystemExit("uv is needed to make the competitors' environments")
        print(f"installing the environment {self.name}", file=sys.stderr, flush=True)
        self._uv(uv, "venv", "--clear", "--python", sys.executable, self.place)
        # Compiled now: the first run must not pay for it.
        self._uv(uv, "pip", "install", "--compile-bytecode", "--python", interpreter, *self.packages)

    def _uv(self, *command: str | Path) -> None:
        # The project's own uv settings and active environment must not leak into a competitor's.
        clean = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
        subprocess.run([*command, "--quiet"], env=clean, cwd=cache("environments"), check=True)


def _lakeload() -> tuple[str, ...]:
    """This project and what it depends on, as its users get it.

    The project's own environment holds more, and pyarrow imports pandas wherever it finds it.
    """
    root = Path(__file__).resolve().parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return ("--editable", str(root), *project["dependencies"])


PROJECT = Environment("project")
"""Where this process runs; measures nothing, but prepares and verifies."""

PYARROW, POLARS, DELTALAKE = "pyarrow==26.0.1", "polars==2.1.0", "deltalake==1.6.6"
PYICEBERG = "pyiceberg[pyarrow,sql-sqlite]==0.12.0"

ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment("lakeload", (*_lakeload(), PYARROW, POLARS, DELTALAKE, PYICEBERG)),
        Environment("dlt", ("dlt[filesystem,deltalake,pyiceberg]==1.31.0", PYARROW)),
        Environment("duckdb", ("duckdb==1.5.5",)),
        Environment("deltalake", (DELTALAKE, PYARROW)),
        Environment("polars", (POLARS, DELTALAKE, PYICEBERG, PYARROW)),
        Environment("pyiceberg", (PYICEBERG, PYARROW)),
        Environment("tpch", ("tpchgen-cli==4.0.0", PYARROW)),
    )
}


def cache(*parts: str) -> Path:
    """A directory of the benchmark cache, which lies outside the clone; made if missing."""
    root = os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "lakeload-bench"
    place = Path(root, *parts)
    place.mkdir(parents=True, exist_ok=True)
    return place
