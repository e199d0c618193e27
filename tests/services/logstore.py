"""The log store for Spark which `docs/guides/concurrent-writers.md` gives its readers, compiled as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from services import jars

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAME = "lakehouse.ConditionalPutLogStore"
_PAGE = Path(__file__).parent.parent.parent / "docs" / "guides" / "concurrent-writers.md"


def classpath(folder: Path) -> str:
    """What Spark's own class loader must see: compiled classes, and beside them the classes they extend."""
    folder.mkdir(parents=True, exist_ok=True)  # Java takes what is no folder when it starts for an archive
    return ":".join([str(folder), *(str(jar) for jar in jars.files("spark") if "delta-storage" in jar.name)])


def compile_into(session: SparkSession, folder: Path) -> None:
    """Compile the page's Java by the compiler Spark carries. Classes are looked for when first used, so late is fine."""
    found = re.search(r"^```java\n(.*?)^```", _PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{_PAGE} shows no Java"
    java = session._jvm
    compiler = java.org.codehaus.janino.SimpleCompiler()
    compiler.setParentClassLoader(java.java.lang.Thread.currentThread().getContextClassLoader())
    compiler.cook(found[1])
    for name, code in compiler.getBytecodes().items():
        target = folder / f"{name.replace('.', '/')}.class"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(code)
